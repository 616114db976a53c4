/*
 * line.c owns the values of built-in tags and fields beyond the usual ones, and
 * the evaluation of the administrator's own.
 * Entered by any thread of a child, when a request is logged.
 * Nothing survives a child.
 */
#include "record/line.h"

#include "apr_siphash.h"
#include "apr_strings.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "mod_ssl.h"
#include "scoreboard.h"

#include "lineproto.h"

#include <unistd.h>

#define METHOD_MAX 64 /* bytes; longer ones are OTHER */
#define TRACE_ID_LEN 32
#define NUMBER_ROOM IMX_LINEPROTO_NUMBER_MAX

char imx_line_status[IMX_LINE_STATUS_MAX + 1][4];
static const imx_values_t *values;
static APR_OPTIONAL_FN_TYPE(ssl_var_lookup) * ssl_lookup;
static pid_t this_pid;

void imx_line_child_init(const imx_values_t *shared)
{
    int status;

    values = shared;
    this_pid = getpid();
    ssl_lookup = APR_RETRIEVE_OPTIONAL_FN(ssl_var_lookup);
    for (status = 0; status <= IMX_LINE_STATUS_MAX; status++) {
        apr_snprintf(imx_line_status[status], sizeof imx_line_status[status],
                     "%03d", status);
    }
}

/* ---- what a request has ---- */

const char *imx_line_method(const request_rec *r)
{
    return r->method == NULL || r->method_number == M_INVALID
                   || strlen(r->method) > METHOD_MAX
               ? "OTHER"
               : r->method;
}

static const char *status_class(const request_rec *r)
{
    static const char *const classes[] = { "1xx", "2xx", "3xx", "4xx", "5xx" };
    int i = r->status / 100 - 1;

    return i >= 0 && i < 5 ? classes[i] : "other";
}

/* A client may write any number behind HTTP/1. */
static const char *protocol(const request_rec *r)
{
    switch (r->proto_num) {
    case HTTP_VERSION(0, 9):
        return "HTTP/0.9";
    case HTTP_VERSION(1, 0):
        return "HTTP/1.0";
    case HTTP_VERSION(1, 1):
        return "HTTP/1.1";
    case HTTP_VERSION(2, 0):
        return "HTTP/2.0";
    default:
        return "other";
    }
}

/* Its marks are made then (request.c). */
static int has_met_handler(const request_rec *first)
{
    return ap_get_module_config(first->request_config, &influx_metrics_module)
           != NULL;
}

/* httpd takes the handler away when it has run and had been found by the type
 * of the content. */
static const char *handler(const request_rec *r, const request_rec *first)
{
    if (r->handler != NULL) {
        return r->handler;
    }
    return has_met_handler(first) ? "default-handler" : NULL;
}

/* The path that was asked for, decoded: httpd does that in place, and what a
 * DirectoryIndex or RewriteRule makes of it goes to r->uri only. */
static const char *path(const request_rec *first)
{
    return first->parsed_uri.path ? first->parsed_uri.path : first->uri;
}

static const char *route(const imx_plan_t *plan, const request_rec *first)
{
    const apr_array_header_t *routes = plan->server->routes;
    const char *text = path(first);
    int i;

    for (i = 0; routes != NULL && text != NULL && i < routes->nelts; i++) {
        const imx_route_t *route = &APR_ARRAY_IDX(routes, i, imx_route_t);

        if (ap_regexec(route->regex, text, 0, NULL, 0) == 0) {
            return route->name;
        }
    }
    return "unmatched";
}

/*
 * The server behind mod_proxy, as scheme and authority: a member of a balancer
 * by the name that mod_proxy_balancer leaves in the environment, the socket of
 * a SetHandler by its note, else what r->filename says
 * ("proxy:http://HOST:PORT/path").
 */
static const char *backend_of(request_rec *r)
{
    const char *member = apr_table_get(r->subprocess_env,
                                       "BALANCER_WORKER_NAME");
    const char *socket = apr_table_get(r->notes, "uds_path");
    const char *url, *end;

    if (member != NULL) {
        return member;
    }
    if (r->filename == NULL || strncmp(r->filename, "proxy:", 6) != 0) {
        return NULL;
    }
    if (socket != NULL) {
        return apr_pstrcat(r->pool, "unix:", socket, NULL);
    }
    url = r->filename + 6;
    end = strstr(url, "://");
    end = end != NULL ? strchr(end + 3, '/') : NULL;
    return end != NULL ? apr_pstrmemdup(r->pool, url, (apr_size_t)(end - url))
                       : url;
}

/* Of the last request that went to one: when a backend fails, an ErrorDocument
 * may have followed. */
static const char *backend(request_rec *last)
{
    const char *found = NULL;

    for (; last != NULL && found == NULL; last = last->prev) {
        found = backend_of(last);
    }
    return found;
}

/* A name that was refused is no user, nor is one that could not be looked up:
 * httpd has it there before it knows. */
static const char *user(const request_rec *first, const request_rec *last)
{
    const char *name = last->user != NULL ? last->user : first->user;
    int is_claim = last->status == HTTP_UNAUTHORIZED
                   || (last->status == HTTP_INTERNAL_SERVER_ERROR
                       && !has_met_handler(first));

    return is_claim ? NULL : name;
}

static const char *builtin_tag(const imx_plan_t *plan, imx_tag_e tag,
                               request_rec *first, request_rec *last)
{
    switch (tag) {
    case IMX_TAG_BACKEND:
        return backend(last);
    case IMX_TAG_HANDLER:
        return handler(last, first);
    case IMX_TAG_METHOD:
        return imx_line_method(first);
    case IMX_TAG_PROTOCOL:
        return protocol(first);
    case IMX_TAG_ROUTE:
        return route(plan, first);
    case IMX_TAG_SCHEME:
        return ap_http_scheme(first);
    case IMX_TAG_STATUS:
        return imx_line_status[(unsigned)last->status <= IMX_LINE_STATUS_MAX
                                   ? last->status
                                   : 0];
    case IMX_TAG_STATUS_CLASS:
        return status_class(last);
    case IMX_TAG_USER:
        return user(first, last);
    case IMX_TAG_VHOST_PORT:
        return apr_itoa(first->pool, first->connection->local_addr->port);
    default:
        return NULL; /* constant ones are in the plan */
    }
}

/* NULL: there is no value. */
static inline const char *evaluate(const imx_own_t *own, request_rec *r)
{
    const char *err;
    const char *text = ap_expr_str_exec(r, own->expr, &err);

    if (text == NULL) { /* an error */
        imx_values_left_out(values);
        return NULL;
    }
    return *text != '\0' ? text : NULL;
}

/* ---- tags ---- */

/* Most keys are short; behind p there are IMX_PLAN_PAD bytes (see line.h). */
static inline char *put_text(char *p, const imx_plan_text_t *text)
{
    memcpy(p, text->bytes, IMX_PLAN_PAD);
    if (text->len > IMX_PLAN_PAD) {
        memcpy(p, text->bytes, text->len);
    }
    return p + text->len;
}

static apr_size_t room(const char *p, const char *end)
{
    return p < end ? (apr_size_t)(end - p) : 0;
}

/* Is this value one of those that the tag may have? */
static int is_admitted(unsigned guard, const char *value, apr_size_t len)
{
    return imx_values_admit(values, guard,
                            apr_siphash24(value, len, imx_values_key(values)));
}

/* The tag, or nothing if it has no value or does not fit. */
static char *put_guarded_tag(char *p, char *end, const imx_plan_item_t *item,
                             const char *value)
{
    apr_size_t len = imx_schema_cut(value, strlen(value), IMX_VALUE_MAX);
    imx_lineproto_t lp;

    if (!is_admitted(item->guard, value, len)) {
        value = "other";
        len = strlen(value);
    }
    imx_lineproto_init(&lp, p, room(p, end));
    imx_lineproto_encoded(&lp, item->key.bytes, item->key.len);
    imx_lineproto_tag_value(&lp, value, len);
    if (imx_lineproto_error(&lp) != IMX_LINEPROTO_OK) {
        imx_values_left_out(values);
        return p;
    }
    return imx_lineproto_length(&lp) > item->key.len
               ? p + imx_lineproto_length(&lp)
               : p;
}

/* One of the few values of a built-in tag, in which nothing needs an escape, or
 * a route. */
static char *put_tag(char *p, char *end, const imx_plan_item_t *item,
                     const char *value)
{
    apr_size_t len = strlen(value);

    if (item->guard != IMX_NOT_GUARDED) {
        return put_guarded_tag(p, end, item, value);
    }
    if (room(p, end) < item->key.len + len) {
        imx_values_left_out(values);
        return p;
    }
    p = put_text(p, &item->key);
    memcpy(p, value, len);
    return p + len;
}

char *imx_line_put_tags(char *p, char *end, const imx_plan_t *plan,
                        request_rec *first, request_rec *last)
{
    int i;

    end -= plan->constant_len;
    for (i = 0; i < plan->tag_count; i++) {
        const imx_plan_item_t *item = &plan->tags[i];
        const char *value;

        value = item->own != NULL
                    ? evaluate(item->own, last)
                    : builtin_tag(plan, (imx_tag_e)item->builtin, first, last);
        p = put_text(p, &item->before);
        end += item->before.len;
        if (value != NULL) {
            p = put_tag(p, end, item, value);
        }
    }
    return p;
}

/* ---- fields ---- */

static const char *header(const request_rec *r, const char *name)
{
    return apr_table_get(r->headers_in, name);
}

/* The second part of traceparent (https://www.w3.org/TR/trace-context/, 3.2):
 * 32 hexadecimal digits in lower case, not all of them zero. */
static const char *trace_id(request_rec *r)
{
    const char *parent = header(r, "traceparent");

    if (parent == NULL || strlen(parent) < 3 + TRACE_ID_LEN + 1
        || parent[2] != '-' || parent[3 + TRACE_ID_LEN] != '-'
        || strspn(parent + 3, "0123456789abcdef") != TRACE_ID_LEN
        || strspn(parent + 3, "0") == TRACE_ID_LEN) {
        return NULL;
    }
    return apr_pstrmemdup(r->pool, parent + 3, TRACE_ID_LEN);
}

/* As %L in an ErrorLogFormat, so that both can be brought together. */
static const char *connection_id(const request_rec *r)
{
    conn_rec *c = r->connection->master ? r->connection->master
                                        : r->connection;

    if (c->log_id == NULL) {
        ap_run_generate_log_id(c, NULL, &c->log_id);
    }
    return c->log_id;
}

static const char *tls_version(request_rec *r)
{
    char name[] = "SSL_PROTOCOL";

    return ssl_lookup != NULL
               ? ssl_lookup(r->pool, r->server, r->connection, r, name)
               : NULL;
}

/* Requests before this one on its connection.  httpd has counted this one, too,
 * if the connection goes on (ap_set_keepalive()).  What mod_http2 has there for
 * a stream is not its number. */
static apr_int64_t keepalive(const conn_rec *c)
{
    return c->master != NULL
               ? IMX_LINE_ABSENT
               : c->keepalives - (c->keepalive == AP_CONN_KEEPALIVE);
}

/* The number of the thread in httpd's scoreboard. */
static apr_int64_t thread(const request_rec *r)
{
    const worker_score *score =
        r->connection->sbh != NULL
            ? ap_get_scoreboard_worker(r->connection->sbh)
            : NULL;

    return score != NULL ? score->thread_num : IMX_LINE_ABSENT;
}

/* ---- how fields are written ---- */

typedef struct {
    char *end;
    request_rec *first, *last;
    const imx_line_facts_t *facts;
} source_t;

/* Numbers, ABSENT when there is none; times in ns. */
static apr_int64_t builtin_number(imx_field_e field, const source_t *s)
{
    const imx_line_facts_t *f = s->facts;

    switch (field) {
    case IMX_FIELD_REQUEST_TIME:
        return f->request_time;
    case IMX_FIELD_APPLICATION_TIME:
        return f->application_time;
    case IMX_FIELD_SERVER_TIME:
        return f->server_time;
    case IMX_FIELD_INPUT_TIME:
        return f->input_time;
    case IMX_FIELD_OUTPUT_TIME:
        return f->output_time;
    case IMX_FIELD_TTFB:
        return f->ttfb;
    case IMX_FIELD_BYTES_SENT:
        return s->last->header_only ? 0 : s->last->bytes_sent;
    case IMX_FIELD_BYTES_RECEIVED:
        return f->bytes_received;
    case IMX_FIELD_KEEPALIVE:
        return keepalive(s->first->connection);
    case IMX_FIELD_PID:
        return this_pid;
    case IMX_FIELD_THREAD:
        return thread(s->first);
    default:
        return IMX_LINE_ABSENT;
    }
}

static const char *builtin_string(imx_field_e field, const source_t *s)
{
    switch (field) {
    case IMX_FIELD_CLIENT:
        return s->first->useragent_ip;
    case IMX_FIELD_CONNECTION_ID:
        return connection_id(s->first);
    case IMX_FIELD_QUERY: /* a RewriteRule changes first->args */
        return s->first->parsed_uri.query;
    case IMX_FIELD_REFERER:
        return header(s->first, "Referer");
    case IMX_FIELD_REQUEST_ID:
        return apr_table_get(s->last->subprocess_env, "UNIQUE_ID");
    case IMX_FIELD_TLS_VERSION:
        return tls_version(s->first);
    case IMX_FIELD_TRACE_ID:
        return trace_id(s->first);
    case IMX_FIELD_URI:
        return path(s->first);
    case IMX_FIELD_USER_AGENT:
        return header(s->first, "User-Agent");
    default:
        return NULL;
    }
}

/* ",key=12i" or ",key=0.000312" */
static char *put_number(char *p, const source_t *s,
                        const imx_plan_item_t *item)
{
    imx_field_e field = (imx_field_e)item->builtin;
    apr_int64_t v = builtin_number(field, s);

    if (v == IMX_LINE_ABSENT) {
        return p;
    }
    if (room(p, s->end) < item->key.len + IMX_LINEPROTO_NUMBER_MAX) {
        imx_values_left_out(values);
        return p;
    }
    p = put_text(p, &item->key);
    return IMX_BIT(field) & IMX_FIELDS_TIMES
               ? imx_lineproto_write_seconds(p, v)
               : imx_lineproto_write_int(p, v);
}

/* Behind the key, or nothing and counted. */
static char *put_value(char *p, char *end, const imx_plan_item_t *item,
                       imx_type_e type, const char *text)
{
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, p, room(p, end));
    imx_lineproto_encoded_key(&lp, item->key.bytes, item->key.len);
    if (!imx_schema_put_value(&lp, type, text)) {
        imx_values_left_out(values);
        return p;
    }
    return lp.pos;
}

/*
 * A string that does not fit is cut, so that the field is there: a byte needs
 * at most three.
 */
static char *put_string(char *p, char *end, const imx_plan_item_t *item,
                        const char *text)
{
    apr_size_t most = room(p + item->key.len + 2, end) / 3;
    apr_size_t len = strlen(text);
    imx_lineproto_t lp;

    if (len > IMX_VALUE_MAX || len > most) {
        len = imx_schema_cut(text, len,
                             most < IMX_VALUE_MAX ? most : IMX_VALUE_MAX);
    }
    if (most < IMX_PLAN_PAD || item->key.len > 3 * most) {
        imx_values_left_out(values);
        return p;
    }
    imx_lineproto_init(&lp, put_text(p, &item->key), 3 * most + 2);
    imx_lineproto_encoded_key(&lp, "", 0);
    imx_lineproto_put_string(&lp, text, len);
    return lp.pos;
}

static char *put_builtin(char *p, const source_t *s,
                         const imx_plan_item_t *item)
{
    imx_field_e field = (imx_field_e)item->builtin;
    const char *text;

    if (IMX_BIT(field) & IMX_FIELDS_NUMBERS) {
        return put_number(p, s, item);
    }
    if (field == IMX_FIELD_ABORTED) {
        return put_value(p, s->end, item, IMX_TYPE_BOOL,
                         s->facts->is_aborted ? "1" : "0");
    }
    text = builtin_string(field, s);
    return text != NULL && *text != '\0' ? put_string(p, s->end, item, text)
                                         : p;
}

/*
 * A number as people write it can stand in a line as it is: a sign, digits, and
 * with a fraction a point and more digits.  Copies it if it has at most 18
 * digits, which an int64 holds; returns where it ends, or NULL.
 */
static inline char *copy_number(char *p, const char *text, int is_int)
{
    char *most = p + 18;
    const char *begin = p;

    if (*text == '-') {
        *p++ = *text++;
        begin = p;
    }
    while ((unsigned char)(*text - '0') <= 9 && p < most) {
        *p++ = *text++;
    }
    if (p == begin) {
        return NULL;
    }
    if (!is_int && *text == '.' && text[1] != '\0') {
        do {
            *p++ = *text++;
        } while ((unsigned char)(*text - '0') <= 9 && p < most);
    }
    return *text == '\0' ? p : NULL;
}

/* Not as simple as a number that can be copied. */
__attribute__((noinline)) static char *put_own_other(
    char *p, char *end, const imx_plan_item_t *item, const char *text)
{
    return item->own->type == IMX_TYPE_STRING
               ? put_string(p, end, item, text)
               : put_value(p, end, item, item->own->type, text);
}

char *imx_line_put_own_fields(char *p, char *end, const imx_plan_t *plan,
                              request_rec *last)
{
    const imx_plan_item_t *item = plan->own_fields;
    const imx_plan_item_t *behind = item + plan->own_count;

    for (; item < behind; item++) {
        const char *text = evaluate(item->own, last);
        char *number = NULL;

        if (text == NULL) {
            continue;
        }
        if (item->is_number && end - p > IMX_PLAN_PAD + NUMBER_ROOM) {
            memcpy(p, item->key.bytes, IMX_PLAN_PAD);
            number = copy_number(p + item->key.len, text, item->is_int);
        }
        if (number == NULL) {
            p = put_own_other(p, end, item, text);
        }
        else {
            *number = 'i';
            p = number + item->is_int;
        }
    }
    return p;
}

char *imx_line_put_fields(char *p, char *end, const imx_plan_t *plan,
                          request_rec *first, request_rec *last,
                          const imx_line_facts_t *facts)
{
    const source_t s = { end, first, last, facts };
    int i;

    for (i = 0; i < plan->field_count; i++) {
        p = put_builtin(p, &s, &plan->fields[i]);
    }
    return p;
}
