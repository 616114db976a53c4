/*
 * status.c owns the handler: which requests are answered, in which rendering,
 * and with which headers.
 * Entered by any thread that serves a request; only reads.
 * What it shows is in shared memory and survives any child.
 */
#include "show/status.h"

#include "apr_strings.h"
#include "apr_tables.h"
#include "http_protocol.h"

#include "base/version.h"
#include "config/config.h"
#include "config/schema.h"
#include "shared/snapshot.h"
#include "show/html.h"
#include "show/json.h"
#include "show/json_history.h"
#include "show/objectives.h"
#include "show/openmetrics.h"
#include "show/page.h"
#include "show/text.h"
#include "show/view.h"

#define ALLOWED "GET, HEAD"

static imx_snapshot_inputs_t inputs; /* .arena NULL: nothing is recorded */

void imx_status_use(apr_pool_t *pchild, const server_rec *s,
                    const imx_arena_t *arena)
{
    inputs.arena = arena;
    imx_view_use(arena);
    imx_json_history_use(arena);
    imx_objectives_use(pchild, s, arena);
}

typedef struct {
    const char *word; /* as in ?json and ?format=json */
    const char *content_type;
    void (*figures)(request_rec *r, const imx_snapshot_t *s);
    void (*sentence)(request_rec *r, const char *sentence);
} rendering_t;

static const rendering_t renderings[] = {
    { "html", "text/html; charset=utf-8", imx_html_figures,
      imx_html_sentence },
    { "json", "application/json", imx_json_figures, imx_json_sentence },
    { "text", "text/plain; charset=utf-8", imx_text_figures,
      imx_text_sentence },
    /* What programs ask of mod_status. */
    { "auto", "text/plain; charset=utf-8", imx_text_figures,
      imx_text_sentence },
    /* What Prometheus asks for; which form it gets is decided there. */
    { "openmetrics", "text/plain; charset=utf-8", imx_openmetrics_figures,
      imx_openmetrics_sentence },
};
#define RENDERINGS (sizeof renderings / sizeof renderings[0])
#define AS_HTML (&renderings[0])
#define AS_TEXT (&renderings[2])

/* One word of the query: "json", "json=1" or "format=json". */
static const rendering_t *rendering_of_word(const char *word)
{
    size_t i, length;

    if (strncmp(word, "format=", 7) == 0) {
        word += 7;
    }
    length = strcspn(word, "=");
    for (i = 0; i < RENDERINGS; i++) {
        if (strlen(renderings[i].word) == length
            && strncmp(word, renderings[i].word, length) == 0) {
            return &renderings[i];
        }
    }
    return NULL;
}

static int has_query(request_rec *r)
{
    return r->args != NULL && r->args[0] != '\0';
}

/* The first word that names a rendering; without a query HTML; else NULL. */
static const rendering_t *rendering_of_query(request_rec *r)
{
    const rendering_t *as = NULL;
    const char *word;
    char *rest;

    if (!has_query(r)) {
        return AS_HTML;
    }
    for (word = apr_strtok(apr_pstrdup(r->pool, r->args), "&", &rest);
         word != NULL && as == NULL; word = apr_strtok(NULL, "&", &rest)) {
        as = rendering_of_word(word);
    }
    return as;
}

/* Whatever the answer is: it is of this moment, it is what Content-Type says,
 * and a browser runs nothing in it but the page's own script. */
static void set_headers(request_rec *r, const rendering_t *as)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   imx_page_policy());
    ap_set_content_type(r, as->content_type);
}

/* An answer of one sentence.  It is not left to httpd's error documents, which
 * would offer TRACE in Allow and have no word about this page. */
static int answer(request_rec *r, int status, const rendering_t *as,
                  const char *sentence)
{
    r->status = status;
    set_headers(r, as);
    as->sentence(r, sentence);
    return OK;
}

/*
 * The page without a query may be kept: its script renews all that is of a
 * moment, so that a copy is as good as a new one while the documents are the
 * same.  The weak tag says that.  Where no script runs, the figures of a copy
 * would be old ones: a browser without JavaScript goes to ?html by itself, and
 * where a policy stops the script, the page has a link to it.  ?html is never
 * kept.
 *
 * Filters add to the tag (mod_deflate: -gzip), so that it is searched for in
 * what the browser has.
 */
static int has_the_page(request_rec *r)
{
    const char *tag = apr_pstrcat(r->pool, IMX_VERSION "-", imx_page_tag(),
                                  NULL);
    const char *has = apr_table_get(r->headers_in, "If-None-Match");

    apr_table_setn(r->headers_out, "Cache-Control", "no-cache");
    apr_table_setn(r->headers_out, "ETag",
                   apr_pstrcat(r->pool, "W/\"", tag, "\"", NULL));
    return has != NULL && (strcmp(has, "*") == 0 || strstr(has, tag) != NULL);
}

/* OPTIONS, and methods that there are not. */
static int other_method(request_rec *r)
{
    apr_table_setn(r->headers_out, "Allow", ALLOWED);
    if (r->method_number == M_OPTIONS) {
        set_headers(r, AS_TEXT);
        ap_set_content_length(r, 0);
        return OK;
    }
    return answer(r, HTTP_METHOD_NOT_ALLOWED, AS_TEXT,
                  "This page can only be read: GET and HEAD.");
}

static int nothing_is_recorded(request_rec *r, const rendering_t *as)
{
    return imx_schema_is_used()
               ? answer(r, HTTP_SERVICE_UNAVAILABLE, as,
                        "Nothing is recorded since the last restart: httpd's "
                        "error log says why, with IMX0099.")
               : answer(r, HTTP_NOT_FOUND, as,
                        "Nothing is recorded: InfluxMetrics is Off everywhere "
                        "in the configuration of this server.");
}

int imx_status_serve(request_rec *r)
{
    imx_snapshot_inputs_t from = inputs;
    const rendering_t *as;
    imx_snapshot_t *s;

    if (r->method_number != M_GET) { /* HEAD has this number, too */
        return other_method(r);
    }
    as = rendering_of_query(r);
    if (as == NULL) {
        return answer(r, HTTP_BAD_REQUEST, AS_TEXT,
                      "This page has no such form. There are: no query (HTML), "
                      "?json or ?format=json (JSON), ?text, ?auto or "
                      "?format=text (a figure a line), and ?openmetrics "
                      "(Prometheus).");
    }
    if (from.arena == NULL) {
        return nothing_is_recorded(r, as);
    }
    set_headers(r, as);
    if (!has_query(r) && has_the_page(r)) {
        return HTTP_NOT_MODIFIED;
    }
    from.server = imx_config_global()->influx.url;
    s = apr_palloc(r->pool, sizeof *s);
    imx_snapshot_take(s, &from);
    as->figures(r, s);
    return OK;
}
