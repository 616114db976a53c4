/*
 * status.c owns the page that shows the module's figures: one table of them,
 * written as HTML, JSON or text.
 * Entered by any thread that serves a request; only reads.
 * What it shows is in shared memory and survives any child.
 */
#include "show/status.h"

#include "apr_strings.h"
#include "apr_tables.h"
#include "http_core.h"
#include "http_protocol.h"

#include "shared/batch.h"
#include "config/config.h"

#define HANDLER "influx-metrics"

static const imx_arena_t *arena; /* NULL: the module records nothing */

void imx_status_use(const imx_arena_t *a)
{
    arena = a;
}

typedef struct {
    const char *name;  /* as in JSON */
    const char *label; /* for people */
    const char *text;  /* NULL: it is a number */
    apr_int64_t number;
} figure_t;

static void add_number(apr_array_header_t *figures, const char *name,
                       const char *label, apr_uint64_t number)
{
    figure_t *f = apr_array_push(figures);

    f->name = name;
    f->label = label;
    f->text = NULL;
    f->number = (apr_int64_t)number;
}

static void add_text(apr_array_header_t *figures, const char *name,
                     const char *label, const char *text)
{
    figure_t *f = apr_array_push(figures);

    f->name = name;
    f->label = label;
    f->text = text;
}

/* recorded = sent + rejected + dropped + pending + spooled, at any moment: d is
 * read before t (see imx_board_t). */
static void add_points(apr_array_header_t *figures,
                       const imx_batch_totals_t *t, const imx_board_t *d)
{
    apr_uint64_t spooled = t->fate[IMX_BATCH_SPOOLED] + d->spool_found
                           - d->spool_delivered - d->spool_rejected
                           - d->spool_dropped;

    add_number(figures, "points_recorded", "Points recorded",
               t->recorded + d->spool_found);
    add_number(figures, "points_sent", "Points that InfluxDB has",
               t->fate[IMX_BATCH_SENT] + d->spool_delivered);
    add_number(figures, "points_rejected", "Points that InfluxDB refused",
               t->fate[IMX_BATCH_REJECTED] + d->spool_rejected);
    add_number(figures, "points_dropped", "Points lost",
               t->no_room + t->fate[IMX_BATCH_DROPPED]
                   + t->fate[IMX_BATCH_TORN] + d->spool_dropped);
    add_number(figures, "points_pending", "Points in the buffer", t->pending);
    add_number(figures, "points_spooled", "Points in the spool", spooled);
    add_number(figures, "dropped_no_room", "Lost: no free segment",
               t->no_room);
    add_number(figures, "dropped_oldest", "Lost: the oldest, buffer full",
               t->fate[IMX_BATCH_DROPPED]);
    add_number(figures, "dropped_torn", "Lost: child killed while writing",
               t->fate[IMX_BATCH_TORN]);
    add_number(figures, "dropped_spool", "Lost: the oldest, spool full",
               d->spool_dropped);
}

/* Which tags have reached their limit, and what was left out of points. */
static void add_values(apr_array_header_t *figures, apr_pool_t *p)
{
    imx_values_totals_t t = imx_values_totals(&arena->values);
    const char *full = "";
    char name[IMX_VALUES_NAME_MAX + 1];
    apr_uint64_t others;
    apr_uint32_t n, i;

    for (i = 0; imx_values_tag(&arena->values, i, name, &n, &others); i++) {
        if (others > 0) {
            full = apr_pstrcat(p, full, *full ? " " : "", name, NULL);
        }
    }
    add_number(figures, "values_left_out",
               "Values left out: not of their type, or too long", t.left_out);
    add_number(figures, "tag_values_other",
               "Values of tags written as \"other\"", t.others);
    add_text(figures, "tags_at_limit", "Tags at InfluxMetricsTagLimit", full);
}

static apr_array_header_t *collect(request_rec *r)
{
    const imx_batch_t *b = &arena->batch;
    const imx_config_t *conf = imx_config_global();
    apr_array_header_t *figures = apr_array_make(r->pool, 32, sizeof(figure_t));
    imx_board_t d = imx_board_told(&arena->board);
    imx_batch_totals_t t = imx_batch_totals(b);
    apr_int64_t up = apr_time_now() - imx_arena_made(arena) / 1000;

    add_points(figures, &t, &d);
    add_text(figures, "server", "InfluxDB", conf->influx.url);
    add_number(figures, "last_flush", "Last delivery (s since 1970)",
               (apr_uint64_t)d.last_flush / 1000000000);
    add_number(figures, "last_status", "Last HTTP status",
               (apr_uint64_t)d.last_status);
    add_text(figures, "last_error", "Last error",
             apr_pstrdup(r->pool, d.last_error));
    add_number(figures, "lease_holder", "Process that delivers",
               (apr_uint64_t)imx_lease_holder_pid(&arena->lease));
    add_number(figures, "buffer_size", "Buffer (bytes)",
               (apr_uint64_t)t.segments * b->geometry.segment_size);
    add_number(figures, "buffer_used", "Buffer in use (bytes)",
               (apr_uint64_t)(t.segments - t.segments_free)
                   * b->geometry.segment_size);
    add_number(figures, "spool_bytes", "Spool (bytes)", d.spool_bytes);
    add_values(figures, r->pool);
    add_number(figures, "uptime", "Up (s)",
               up > 0 ? (apr_uint64_t)apr_time_sec(up) : 0);
    return figures;
}

/* Names of tags can have any character, in UTF-8, as JSON has it. */
static const char *json_string(apr_pool_t *p, const char *text)
{
    char *string = apr_palloc(p, 6 * strlen(text) + 3), *to = string;

    *to++ = '"';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < ' ' || c == '"' || c == '\\') {
            to += apr_snprintf(to, 7, "\\u%04x", (unsigned)c);
        }
        else {
            *to++ = *text;
        }
    }
    *to++ = '"';
    *to = '\0';
    return string;
}

static const char *as_json(request_rec *r, const figure_t *f)
{
    return f->text ? json_string(r->pool, f->text)
                   : apr_psprintf(r->pool, "%" APR_INT64_T_FMT, f->number);
}

static const char *as_text(request_rec *r, const figure_t *f)
{
    return f->text ? f->text
                   : apr_psprintf(r->pool, "%" APR_INT64_T_FMT, f->number);
}

static void write_json(request_rec *r, const apr_array_header_t *figures)
{
    int i;

    ap_set_content_type(r, "application/json");
    for (i = 0; i < figures->nelts; i++) {
        const figure_t *f = &APR_ARRAY_IDX(figures, i, figure_t);

        ap_rprintf(r, "%s\n  \"%s\": %s", i ? "," : "{", f->name,
                   as_json(r, f));
    }
    ap_rputs("\n}\n", r);
}

static void write_text(request_rec *r, const apr_array_header_t *figures)
{
    int i;

    ap_set_content_type(r, "text/plain; charset=utf-8");
    for (i = 0; i < figures->nelts; i++) {
        const figure_t *f = &APR_ARRAY_IDX(figures, i, figure_t);

        ap_rprintf(r, "%s: %s\n", f->name, as_text(r, f));
    }
}

static void write_html(request_rec *r, const apr_array_header_t *figures)
{
    int i;

    ap_set_content_type(r, "text/html; charset=utf-8");
    ap_rputs(
        "<!DOCTYPE html>\n"
        "<html><head><title>Influx metrics</title>"
        "<style>th { text-align: left }</style></head><body>\n"
        "<h1>Influx metrics</h1>\n<table>\n",
        r);
    for (i = 0; i < figures->nelts; i++) {
        const figure_t *f = &APR_ARRAY_IDX(figures, i, figure_t);

        ap_rprintf(r, "<tr><th>%s</th><td>%s</td></tr>\n", f->label,
                   ap_escape_html(r->pool, as_text(r, f)));
    }
    ap_rputs(
        "</table>\n<p><a href=\"?json\">JSON</a> "
        "<a href=\"?text\">text</a></p>\n</body></html>\n",
        r);
}

__attribute__((noinline)) static int serve(request_rec *r)
{
    const apr_array_header_t *figures;

    r->allowed = AP_METHOD_BIT << M_GET;
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (arena == NULL) {
        return HTTP_NOT_FOUND;
    }
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    figures = collect(r);
    if (r->args != NULL && strcmp(r->args, "json") == 0) {
        write_json(r, figures);
    }
    else if (r->args != NULL && strcmp(r->args, "text") == 0) {
        write_text(r, figures);
    }
    else {
        write_html(r, figures);
    }
    return OK;
}

int imx_status_handler(request_rec *r)
{
    /* Every request comes by here: most need no call to know. */
    if (r->handler == NULL || r->handler[0] != HANDLER[0]
        || strcmp(r->handler, HANDLER) != 0) {
        return DECLINED;
    }
    return serve(r);
}
