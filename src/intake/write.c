/*
 * write.c owns the endpoint for applications' points: which requests are
 * answered, and with which words and headers, as InfluxDB 1, 2 and 3 have them.
 * Entered by any thread that serves a request.
 * Points that were taken, and the counts, survive any child.
 *
 * Who may write is httpd's business: Require, and the like.  Only browsers are
 * refused here, as they can be made to write by any page that somebody on an
 * allowed machine looks at.
 */
#include "intake/write.h"

#include "apr_strings.h"
#include "http_log.h"
#include "http_protocol.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "base/words.h"
#include "config/config.h"
#include "config/names.h"
#include "intake/upload.h"
#include "intake/points.h"

APLOG_USE_MODULE(influx_metrics);

#define QUIET (60000 * IMX_CLOCK_MS) /* between two lines in the log */

static const imx_arena_t *arena; /* NULL: nothing is recorded */

void imx_write_use(imx_batch_child_t *child, const imx_arena_t *a)
{
    arena = a;
    imx_points_use(child);
}

void imx_write_child_init(apr_pool_t *pchild, server_rec *s)
{
    if (arena != NULL) {
        imx_names_find(pchild, s);
    }
}

/* ---- which request ---- */

typedef enum { V1 = 0, V2, V3 } api_e;

typedef struct {
    const char *path; /* the end of it */
    const char *methods;
    apr_int64_t allowed; /* the same, as bits; GET also means HEAD */
    api_e api;
    int (*serve)(request_rec *r, api_e api);
} endpoint_t;

/* ---- answers ---- */

static const struct {
    int status;
    const char *code; /* InfluxDB 2's word for it */
} codes[] = {
    { HTTP_BAD_REQUEST, "invalid" },
    { HTTP_FORBIDDEN, "forbidden" },
    { HTTP_NOT_FOUND, "not found" },
    { HTTP_METHOD_NOT_ALLOWED, "method not allowed" },
    { HTTP_LENGTH_REQUIRED, "invalid" },
    { HTTP_REQUEST_ENTITY_TOO_LARGE, "request too large" },
    { HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported media type" },
    { HTTP_SERVICE_UNAVAILABLE, "unavailable" },
};

static const char *code_of(int status)
{
    apr_size_t i;

    for (i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i].status == status) {
            return codes[i].code;
        }
    }
    return "internal error";
}

/* Whatever the answer is.  It is not left to httpd's error documents, which no
 * client could read. */
static void begin_answer(request_rec *r, int status)
{
    r->status = status;
    apr_table_setn(r->headers_out, "X-Influxdb-Version",
                   "mod_influx_metrics-" IMX_VERSION);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
}

static int no_content(request_rec *r)
{
    begin_answer(r, HTTP_NO_CONTENT);
    return OK;
}

static int answer_json(request_rec *r, int status, const char *json)
{
    begin_answer(r, status);
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)strlen(json));
    ap_rputs(json, r);
    return OK;
}

static const char *quoted(request_rec *r, const char *text)
{
    apr_size_t size = imx_words_json(NULL, 0, text) + 1;
    char *json = apr_palloc(r->pool, size);

    imx_words_json(json, size, text);
    return json;
}

/*
 * An error, in the form of the API that was used: clients of InfluxDB 1 and 3
 * read "error", those of 2 "code" and "message".  Telegraf gives a body up, and
 * does not send it again for ever, when InfluxDB 1 says "unable to parse".
 */
static int refuse(request_rec *r, api_e api, int status, unsigned line,
                  const char *sentence)
{
    const char *message = line > 0 ? apr_psprintf(r->pool, "line %u: %s", line,
                                                  sentence)
                                   : sentence;
    const char *error = api == V1 && line > 0
                            ? apr_pstrcat(r->pool, "unable to parse ", message,
                                          NULL)
                            : message;

    if (api == V1) {
        apr_table_setn(r->headers_out, "X-Influxdb-Error", error);
    }
    return answer_json(r, status,
                       apr_pstrcat(r->pool, "{\"code\":\"", code_of(status),
                                   "\",\"message\":", quoted(r, message),
                                   line > 0
                                       ? apr_psprintf(r->pool, ",\"line\":%u",
                                                      line)
                                       : "",
                                   api != V2
                                       ? apr_pstrcat(r->pool, ",\"error\":",
                                                     quoted(r, error), NULL)
                                       : "",
                                   "}\n", NULL));
}

/* ---- parameters ---- */

/* The value of a parameter in a query or form, which may be NULL, decoded; ""
 * when it is not there. */
static const char *parameter_in(apr_pool_t *p, const char *form,
                                const char *name)
{
    apr_size_t len = strlen(name);
    char *rest, *word;

    if (form == NULL) {
        return "";
    }
    for (word = apr_strtok(apr_pstrdup(p, form), "&", &rest); word != NULL;
         word = apr_strtok(NULL, "&", &rest)) {
        if (strncmp(word, name, len) == 0 && word[len] == '=') {
            return ap_unescape_urlencoded(word + len + 1) == OK
                       ? word + len + 1
                       : "not decoded";
        }
    }
    return "";
}

static const char *parameter(request_rec *r, const char *name)
{
    return parameter_in(r->pool, r->args, name);
}

/* As each of the APIs has them; all of them, whichever is used. */
static int find_precision(request_rec *r, api_e api,
                          imx_parse_precision_e *precision)
{
    static const struct {
        const char *word;
        imx_parse_precision_e precision;
    } words[] = {
        { "n", IMX_PARSE_NANOSECONDS },
        { "ns", IMX_PARSE_NANOSECONDS },
        { "nanosecond", IMX_PARSE_NANOSECONDS },
        { "u", IMX_PARSE_MICROSECONDS },
        { "us", IMX_PARSE_MICROSECONDS },
        { "\xC2\xB5", IMX_PARSE_MICROSECONDS },
        { "\xC2\xB5s", IMX_PARSE_MICROSECONDS },
        { "microsecond", IMX_PARSE_MICROSECONDS },
        { "ms", IMX_PARSE_MILLISECONDS },
        { "millisecond", IMX_PARSE_MILLISECONDS },
        { "s", IMX_PARSE_SECONDS },
        { "second", IMX_PARSE_SECONDS },
        { "m", IMX_PARSE_MINUTES },
        { "h", IMX_PARSE_HOURS },
        { "auto", IMX_PARSE_AUTO },
    };
    const char *word = parameter(r, "precision");
    apr_size_t i;

    if (*word == '\0') {
        *precision = api == V3 ? IMX_PARSE_AUTO : IMX_PARSE_NANOSECONDS;
        return 1;
    }
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i].word) == 0) {
            *precision = words[i].precision;
            return 1;
        }
    }
    return 0;
}

/* ---- writing ---- */

/* A refused body: counted, and told in the log at most once a minute. */
static void note_refused(request_rec *r, int status, unsigned line,
                         const char *sentence)
{
    apr_uint64_t n = imx_intake_refused(&arena->intake, imx_clock_now(),
                                        QUIET);
    const char *where = line > 0 ? apr_psprintf(r->pool, "line %u: ", line)
                                 : "";

    if (n > 0) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, IMX_LOGNO(65) "bodies "
                      "of applications' points were refused, %" APR_UINT64_T_FMT
                      " since this was said last, now one at %s with %d: %s%s",
                      n, r->uri, status, where, sentence);
    }
}

static int refuse_body(request_rec *r, api_e api, int status, unsigned line,
                       const char *sentence)
{
    note_refused(r, status, line, sentence);
    return refuse(r, api, status, line, sentence);
}

/* A time in which the buffer can have become emptier: one more delivery. */
static void set_retry_after(request_rec *r)
{
    int ms = imx_config_global()->interval_ms;

    apr_table_setn(r->headers_out, "Retry-After",
                   apr_psprintf(r->pool, "%d", (ms + 1999) / 1000));
}

static int no_room(request_rec *r, api_e api)
{
    set_retry_after(r);
    return refuse_body(r, api, HTTP_SERVICE_UNAVAILABLE, 0,
                       "the buffer has no room, as InfluxDB does not take "
                       "points fast enough; nothing of the body was taken");
}

static int too_large(request_rec *r, api_e api)
{
    return refuse_body(r, api, HTTP_REQUEST_ENTITY_TOO_LARGE, 0,
                       apr_psprintf(r->pool,
                                    "a body may have %" APR_SIZE_T_FMT
                                    " bytes and %" APR_SIZE_T_FMT
                                    " lines here (InfluxMetricsWriteLimit), "
                                    "and must fit into the buffer; nothing of "
                                    "it was taken",
                                    imx_config_global()->write_most,
                                    imx_config_global()->write_lines));
}

/* The client was too slow, the connection is of no use any more, or httpd takes
 * no such body: it answers, or has answered already. */
static int left_to_httpd(request_rec *r, int status)
{
    int said = status == AP_FILTER_ERROR ? r->status : status;

    note_refused(r, said, 0,
                 said == HTTP_REQUEST_ENTITY_TOO_LARGE
                     ? "the body is longer than LimitRequestBody lets it be"
                     : "the body did not come whole");
    return status;
}

/* A body that cannot be had. */
static int no_body(request_rec *r, api_e api, int status)
{
    switch (status) {
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return too_large(r, api);
    case HTTP_UNSUPPORTED_MEDIA_TYPE:
        return refuse_body(r, api, status, 0,
                           "Content-Encoding can be gzip or identity here");
    case HTTP_BAD_REQUEST:
        return refuse_body(r, api, status, 0,
                           "the body did not come whole, or is no gzip");
    case HTTP_LENGTH_REQUIRED:
        return refuse_body(r, api, status, 0,
                           "a body over HTTP/2 needs a Content-Length or gzip, "
                           "as it cannot be seen otherwise whether it came "
                           "whole");
    default:
        return left_to_httpd(r, status);
    }
}

static int take(request_rec *r, api_e api, const imx_points_body_t *body)
{
    imx_points_found_t found = { 0, 0, NULL };

    switch (imx_points_take(r->pool, body, &found)) {
    case IMX_POINTS_TAKEN:
        imx_intake_took(&arena->intake, found.points);
        return no_content(r);
    case IMX_POINTS_WRONG:
        return refuse_body(r, api, HTTP_BAD_REQUEST, found.line, found.wrong);
    case IMX_POINTS_NO_ROOM:
        return no_room(r, api);
    default:
        return too_large(r, api);
    }
}

static int serve_write(request_rec *r, api_e api)
{
    const imx_config_t *conf = imx_config_global();
    imx_points_body_t body = { .most_lines = conf->write_lines };
    int rv;

    if (conf->write_tags) {
        body.adds_tags_of = imx_schema_dir(r->per_dir_config);
    }
    if (!find_precision(r, api, &body.precision)) {
        return refuse_body(r, api, HTTP_BAD_REQUEST, 0,
                           "invalid precision: it can be ns, us, ms, s, m, h "
                           "and what InfluxDB calls them otherwise");
    }
    rv = imx_upload_read(r, conf->write_most, &body.text, &body.len);
    return rv == OK ? take(r, api, &body) : no_body(r, api, rv);
}

/* ---- a database ---- */

#define FORM_MAX 65536 /* bytes */
#define BLANKS " \t\r\n"

/* Is it the next word, in letters of either case?  Then *p goes on behind it
 * and the blanks that follow. */
static int skip_word(const char **p, const char *word)
{
    apr_size_t len = strlen(word), blanks;

    if (ap_cstr_casecmpn(*p, word, len) != 0) {
        return 0;
    }
    blanks = strspn(*p + len, BLANKS);
    *p += len + blanks;
    return blanks > 0;
}

/* Nothing is behind the first semicolon that is not in quotes. */
static int is_one_statement(const char *q)
{
    char quote = '\0';

    for (; *q != '\0' && (quote != '\0' || *q != ';'); q++) {
        if (quote != '\0' && *q == '\\' && q[1] != '\0') {
            q++;
        }
        else if (*q == quote) {
            quote = '\0';
        }
        else if (quote == '\0' && (*q == '"' || *q == '\'')) {
            quote = *q;
        }
    }
    return q[strspn(q, ";" BLANKS)] == '\0';
}

static int creates_database(const char *q)
{
    q += strspn(q, BLANKS);
    return skip_word(&q, "CREATE") && skip_word(&q, "DATABASE") && *q != '\0'
           && *q != ';' && is_one_statement(q);
}

/* In the URL or, as Telegraf has it, in a form.  A body that cannot be had has
 * none; returns what httpd answers where the connection is of no use. */
static int find_statement(request_rec *r, const char **q)
{
    const char *form;
    apr_size_t len;
    int rv;

    *q = parameter(r, "q");
    if (**q != '\0' || r->method_number != M_POST) {
        return OK;
    }
    rv = imx_upload_read(r, FORM_MAX, &form, &len);
    if (rv == OK) {
        *q = parameter_in(r->pool, apr_pstrmemdup(r->pool, form, len), "q");
    }
    return rv == HTTP_REQUEST_ENTITY_TOO_LARGE
                   || rv == HTTP_UNSUPPORTED_MEDIA_TYPE
                   || rv == HTTP_LENGTH_REQUIRED || rv == HTTP_BAD_REQUEST
               ? OK
               : rv;
}

/* Clients create their database before they write to it, and want to hear that
 * it is there.  Which one it is, the configuration says. */
static int serve_query(request_rec *r, api_e api)
{
    const char *q;
    int rv = find_statement(r, &q);

    if (rv != OK) {
        return rv;
    }
    if (!creates_database(q)) {
        return refuse(r, api, HTTP_BAD_REQUEST, 0,
                      "points are taken here, and no query is answered: ask "
                      "InfluxDB itself");
    }
    return answer_json(r, HTTP_OK, "{\"results\":[{\"statement_id\":0}]}\n");
}

/* ---- is there anybody? ---- */

static int serve_ping(request_rec *r, api_e api)
{
    const char *verbose = parameter(r, "verbose");

    (void)api;
    if (*verbose == '\0' || strcmp(verbose, "0") == 0
        || strcmp(verbose, "false") == 0) {
        return no_content(r);
    }
    return answer_json(r, HTTP_OK,
                       "{\"version\":\"mod_influx_metrics-" IMX_VERSION
                       "\"}\n");
}

static int serve_health(request_rec *r, api_e api)
{
    (void)api;
    return answer_json(r, HTTP_OK,
                       "{\"name\":\"mod_influx_metrics\",\"message\":\"ready "
                       "for writes\",\"status\":\"pass\",\"checks\":[],"
                       "\"version\":\"" IMX_VERSION "\"}\n");
}

/* ---- the handler ---- */

#define GET (AP_METHOD_BIT << M_GET)
#define POST (AP_METHOD_BIT << M_POST)

/* The longest end of a path first. */
static const endpoint_t endpoints[] = {
    { "/api/v3/write_lp", "POST", POST, V3, serve_write },
    { "/api/v2/write", "POST", POST, V2, serve_write },
    { "/write", "POST", POST, V1, serve_write },
    { "/query", "GET, HEAD, POST", GET | POST, V1, serve_query },
    { "/ping", "GET, HEAD", GET, V1, serve_ping },
    { "/health", "GET, HEAD", GET, V2, serve_health },
};
#define ENDPOINTS (sizeof endpoints / sizeof *endpoints)

static const endpoint_t *endpoint_of(const char *path)
{
    apr_size_t len = strlen(path), i;

    for (i = 0; i < ENDPOINTS; i++) {
        apr_size_t n = strlen(endpoints[i].path);

        if (len >= n && strcmp(path + len - n, endpoints[i].path) == 0) {
            return &endpoints[i];
        }
    }
    return NULL;
}

static int is_allowed(const request_rec *r, const endpoint_t *e)
{
    return (e->allowed & AP_METHOD_BIT << r->method_number) != 0;
}

/* A page in a browser: these headers cannot be left out or set by it. */
static int is_from_a_page(const request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");

    return apr_table_get(r->headers_in, "Origin") != NULL
           || (site != NULL && strcmp(site, "none") != 0
               && strcmp(site, "same-origin") != 0);
}

static int other_method(request_rec *r, const endpoint_t *e)
{
    apr_table_setn(r->headers_out, "Allow", e->methods);
    if (r->method_number == M_OPTIONS) {
        return no_content(r);
    }
    return refuse(r, e->api, HTTP_METHOD_NOT_ALLOWED, 0,
                  apr_pstrcat(r->pool, "the method can be ", e->methods,
                              " here", NULL));
}

int imx_write_serve(request_rec *r)
{
    const endpoint_t *e = endpoint_of(r->uri);

    if (is_from_a_page(r)) {
        return refuse(r, e != NULL ? e->api : V2, HTTP_FORBIDDEN, 0,
                      "this is for programs, and not for pages in a browser: "
                      "a request with Origin or a foreign Sec-Fetch-Site is "
                      "refused");
    }
    if (e == NULL) {
        return refuse(r, V2, HTTP_NOT_FOUND, 0,
                      "there is nothing here but paths that end in /write, "
                      "/api/v2/write, /api/v3/write_lp, /query, /ping and "
                      "/health");
    }
    if (!is_allowed(r, e)) {
        return other_method(r, e);
    }
    if (arena == NULL) {
        set_retry_after(r);
        return refuse(r, e->api, HTTP_SERVICE_UNAVAILABLE, 0,
                      "nothing is recorded by this server");
    }
    return e->serve(r, e->api);
}
