/*
 * exposition.c owns the text that Prometheus reads: which form, and each line.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/exposition.h"

#include "apr_strings.h"
#include "apr_tables.h"
#include "http_protocol.h"

#include "base/c_locale.h"
#include "base/words.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)
#define OPEN_TYPE "application/openmetrics-text"

/* ---- which form ---- */

/* Thousandths: "0.5" is 500, nothing is 1000. */
static int quality_of(const char *parameters)
{
    const char *q = strstr(parameters, "q=");
    double quality = q != NULL && q > parameters && strchr("; \t", q[-1])
                         ? imx_c_locale_double(q + 2, NULL)
                         : 1;

    return quality >= 0 && quality <= 1 ? (int)(quality * 1000) : 1000;
}

/* How much the client likes that type: 0, when it does not name it. */
static int best_quality(const char *accept, const char *type)
{
    size_t length = strlen(type);
    int best = 0;

    while (accept != NULL) {
        char range[256];
        const char *end = strchr(accept, ',');

        accept += strspn(accept, " \t");
        apr_cpystrn(range, accept, sizeof range);
        range[strcspn(range, ",")] = '\0';
        if (strncasecmp(range, type, length) == 0
            && strchr("; \t", range[length]) != NULL) {
            int quality = quality_of(range + length);

            best = quality > best ? quality : best;
        }
        accept = end != NULL ? end + 1 : NULL;
    }
    return best;
}

static int wants_open(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    int open = best_quality(accept, OPEN_TYPE);

    return open > 0 && open >= best_quality(accept, "text/plain");
}

void imx_exposition_begin(imx_exposition_t *e, request_rec *r)
{
    e->r = r;
    e->is_open = wants_open(r);
    apr_table_mergen(r->headers_out, "Vary", "Accept");
    ap_set_content_type(r, e->is_open
                               ? OPEN_TYPE "; version=1.0.0; charset=utf-8"
                               : "text/plain; version=0.0.4; charset=utf-8");
}

void imx_exposition_end(imx_exposition_t *e)
{
    if (e->is_open) {
        ap_rputs("# EOF\n", e->r);
    }
}

/* ---- families ---- */

static const char *suffix_of(imx_exposition_type_e type)
{
    return type == IMX_EXPOSITION_COUNTER ? "_total"
           : type == IMX_EXPOSITION_INFO  ? "_info"
                                          : "";
}

/* The older form has no infos. */
static const char *type_name(const imx_exposition_t *e,
                             imx_exposition_type_e type)
{
    static const char *const names[] = { "counter", "gauge", "histogram",
                                         "info" };

    return type == IMX_EXPOSITION_INFO && !e->is_open ? "gauge" : names[type];
}

static int ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), length = strlen(end);

    return n > length && strcmp(name + n - length, end) == 0;
}

static const char *unit_of(const char *name)
{
    return ends_with(name, "_seconds") ? "seconds"
           : ends_with(name, "_bytes") ? "bytes"
                                       : NULL;
}

/* In the older form a family has the name of its samples. */
void imx_exposition_family(imx_exposition_t *e, const char *name,
                           imx_exposition_type_e type, const char *help)
{
    const char *suffix = e->is_open ? "" : suffix_of(type);
    const char *unit = unit_of(name);

    e->name = name;
    e->type = type;
    ap_rvputs(e->r, "# HELP ", name, suffix, " ", help, "\n# TYPE ", name,
              suffix, " ", type_name(e, type), "\n", NULL);
    if (e->is_open && unit != NULL) {
        ap_rvputs(e->r, "# UNIT ", name, " ", unit, "\n", NULL);
    }
}

const char *imx_exposition_label(imx_exposition_t *e, const char *before,
                                 const char *name, const char *value)
{
    size_t size = imx_words_label(NULL, 0, value) + 1;
    char *text = apr_palloc(e->r->pool, size);

    imx_words_label(text, size, value);
    return apr_pstrcat(e->r->pool, before != NULL ? before : "",
                       before != NULL && before[0] != '\0' ? "," : "", name,
                       "=\"", text, "\"", NULL);
}

/* ---- samples ---- */

static void put_sample(imx_exposition_t *e, const char *suffix,
                       const char *labels, const char *value)
{
    int has_labels = labels[0] != '\0';

    ap_rvputs(e->r, e->name, suffix, has_labels ? "{" : "", labels,
              has_labels ? "} " : " ", value, "\n", NULL);
}

#define NUMBER_MAX 48

static const char *as_int(char text[NUMBER_MAX], uint64_t n)
{
    char *p = text + NUMBER_MAX - 1;

    *p = '\0';
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return p;
}

static const char *as_seconds(char text[NUMBER_MAX], uint64_t ns)
{
    apr_snprintf(text, NUMBER_MAX, "%" APR_UINT64_T_FMT ".%09u",
                 (apr_uint64_t)(ns / SECOND), (unsigned)(ns % SECOND));
    return text;
}

void imx_exposition_int(imx_exposition_t *e, const char *labels, int64_t value)
{
    char text[NUMBER_MAX];

    apr_snprintf(text, sizeof text, "%" APR_INT64_T_FMT, (apr_int64_t)value);
    put_sample(e, suffix_of(e->type), labels, text);
}

void imx_exposition_seconds(imx_exposition_t *e, const char *labels,
                            uint64_t ns)
{
    char text[NUMBER_MAX];

    put_sample(e, suffix_of(e->type), labels, as_seconds(text, ns));
}

void imx_exposition_double(imx_exposition_t *e, const char *labels,
                           double value)
{
    char text[NUMBER_MAX];

    apr_snprintf(text, sizeof text, "%.6f", value);
    put_sample(e, suffix_of(e->type), labels, text);
}

void imx_exposition_created(imx_exposition_t *e, const char *labels,
                            int64_t made)
{
    char text[NUMBER_MAX];

    if (e->is_open) {
        put_sample(e, "_created", labels, as_seconds(text, (uint64_t)made));
    }
}

void imx_exposition_bucket(imx_exposition_t *e, const char *labels,
                           const char *le, uint64_t count,
                           const char *exemplar)
{
    char text[NUMBER_MAX];

    ap_rvputs(e->r, e->name, "_bucket{", labels,
              labels[0] != '\0' ? ",le=\"" : "le=\"", le, "\"} ",
              as_int(text, count), NULL);
    if (exemplar != NULL && e->is_open) {
        ap_rvputs(e->r, " # ", exemplar, NULL);
    }
    ap_rputs("\n", e->r);
}

void imx_exposition_sum(imx_exposition_t *e, const char *labels, uint64_t sum,
                        uint64_t count)
{
    char text[NUMBER_MAX];

    put_sample(e, "_sum", labels, as_seconds(text, sum));
    put_sample(e, "_count", labels, as_int(text, count));
}
