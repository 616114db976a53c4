/*
 * line.c owns the values of built-in tags and fields beyond the usual ones, and
 * the evaluation of the administrator's own.
 * Entered by any thread of a child, when a request is logged.
 * Nothing survives a child.
 */
#include "line.h"

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

/* httpd takes the handler away when it has run and had been found by the type
 * of the content. */
static const char *handler(const request_rec *r, const request_rec *first)
{
    if (r->handler != NULL) {
        return r->handler;
    }
    return ap_get_module_config(first->request_config, &influx_metrics_module)
                   != NULL
               ? "default-handler"
               : NULL;
}

static const char *route(const imx_plan_t *plan, const request_rec *r)
{
    const apr_array_header_t *routes = plan->server->routes;
    int i;

    for (i = 0; routes != NULL && r->uri != NULL && i < routes->nelts; i++) {
        const imx_route_t *route = &APR_ARRAY_IDX(routes, i, imx_route_t);

        if (ap_regexec(route->regex, r->uri, 0, NULL, 0) == 0) {
            return route->name;
        }
    }
    return "unmatched";
}

/*
 * The server behind mod_proxy, as scheme and authority: a member of a balancer
 * by the name that mod_proxy_balancer leaves in the environment, a Unix socket
 * by its note, else what r->filename says ("proxy:http://HOST:PORT/path").
 */
static const char *backend(request_rec *r)
{
    const char *member = apr_table_get(r->subprocess_env,
                                       "BALANCER_WORKER_NAME");
    const char *socket = apr_table_get(r->notes, "uds_path");
    const char *url, *path;

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
    path = strstr(url, "://");
    path = path != NULL ? strchr(path + 3, '/') : NULL;
    return path != NULL
               ? apr_pstrmemdup(r->pool, url, (apr_size_t)(path - url))
               : url;
}

/* A name that was refused is no user. */
static const char *user(const request_rec *first, const request_rec *last)
{
    const char *name = last->user != NULL ? last->user : first->user;

    return last->status != HTTP_UNAUTHORIZED ? name : NULL;
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
static const char *evaluate(const imx_own_t *own, request_rec *r)
{
    const char *err = NULL;
    const char *text = ap_expr_str_exec(r, own->expr, &err);

    if (err != NULL) {
        imx_values_left_out(values);
        return NULL;
    }
    return text != NULL && *text != '\0' ? text : NULL;
}

/* ---- tags ---- */

static char *put_text(char *p, const imx_plan_text_t *text)
{
    memcpy(p, text->bytes, text->len);
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
static char *put_tag(char *p, char *end, const imx_plan_item_t *item,
                     const char *value)
{
    apr_size_t len = imx_schema_cut(value, strlen(value), IMX_VALUE_MAX);
    imx_lineproto_t lp;

    if (item->guard != IMX_NOT_GUARDED
        && !is_admitted(item->guard, value, len)) {
        value = "other";
        len = strlen(value);
    }
    imx_lineproto_init(&lp, p, room(p, end));
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag(&lp, item->name, item->name_len, value, len);
    if (imx_lineproto_error(&lp) != IMX_LINEPROTO_OK) {
        imx_values_left_out(values);
        return p;
    }
    return p + imx_lineproto_length(&lp);
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

static const char *builtin_string(imx_field_e field, request_rec *first,
                                  request_rec *last)
{
    switch (field) {
    case IMX_FIELD_CLIENT:
        return first->useragent_ip;
    case IMX_FIELD_CONNECTION_ID:
        return connection_id(first);
    case IMX_FIELD_QUERY:
        return first->args;
    case IMX_FIELD_REFERER:
        return header(first, "Referer");
    case IMX_FIELD_REQUEST_ID:
        return apr_table_get(last->subprocess_env, "UNIQUE_ID");
    case IMX_FIELD_TLS_VERSION:
        return tls_version(first);
    case IMX_FIELD_TRACE_ID:
        return trace_id(first);
    case IMX_FIELD_URI:
        return first->uri;
    case IMX_FIELD_USER_AGENT:
        return header(first, "User-Agent");
    default:
        return NULL;
    }
}

/* Requests before this one on its connection.  httpd has counted this one, too,
 * if the connection goes on (ap_set_keepalive()). */
static apr_int64_t keepalive(const conn_rec *c)
{
    return c->keepalives - (c->keepalive == AP_CONN_KEEPALIVE);
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

static apr_int64_t builtin_int(imx_field_e field, const request_rec *first,
                               const request_rec *last,
                               const imx_line_facts_t *facts)
{
    switch (field) {
    case IMX_FIELD_BYTES_SENT:
        return last->header_only ? 0 : last->bytes_sent;
    case IMX_FIELD_BYTES_RECEIVED:
        return facts->bytes_received;
    case IMX_FIELD_KEEPALIVE:
        return keepalive(first->connection);
    case IMX_FIELD_PID:
        return this_pid;
    case IMX_FIELD_THREAD:
        return thread(first);
    default:
        return IMX_LINE_ABSENT;
    }
}

static apr_int64_t builtin_time(imx_field_e field,
                                const imx_line_facts_t *facts)
{
    switch (field) {
    case IMX_FIELD_REQUEST_TIME:
        return facts->request_time;
    case IMX_FIELD_APPLICATION_TIME:
        return facts->application_time;
    case IMX_FIELD_SERVER_TIME:
        return facts->server_time;
    case IMX_FIELD_INPUT_TIME:
        return facts->input_time;
    case IMX_FIELD_OUTPUT_TIME:
        return facts->output_time;
    case IMX_FIELD_TTFB:
        return facts->ttfb;
    default:
        return IMX_LINE_ABSENT;
    }
}

/* A string that does not fit is cut, so that the field is there: of three bytes
 * that a byte may need, each fits. */
static void put_string(imx_lineproto_t *lp, const imx_plan_item_t *item,
                       const char *text)
{
    apr_size_t len = imx_schema_cut(text, strlen(text), IMX_VALUE_MAX);
    apr_size_t most = room(lp->pos + item->name_len + 16, lp->limit) / 3;

    len = imx_schema_cut(text, len, most);
    if (len > 0) {
        imx_lineproto_field_string(lp, item->name, item->name_len, text, len);
    }
    else {
        imx_lineproto_fail(lp, IMX_LINEPROTO_NO_ROOM);
    }
}

/* Nothing is written when there is no value. */
static void put_builtin(imx_lineproto_t *lp, const imx_plan_item_t *item,
                        request_rec *first, request_rec *last,
                        const imx_line_facts_t *facts)
{
    imx_field_e field = (imx_field_e)item->builtin;
    const char *text = builtin_string(field, first, last);
    apr_int64_t time = builtin_time(field, facts);
    apr_int64_t number = builtin_int(field, first, last, facts);

    if (text != NULL && *text != '\0') {
        put_string(lp, item, text);
    }
    else if (time != IMX_LINE_ABSENT) {
        imx_lineproto_field_seconds(lp, item->name, item->name_len, time);
    }
    else if (number != IMX_LINE_ABSENT) {
        imx_lineproto_field_int(lp, item->name, item->name_len, number);
    }
    else if (field == IMX_FIELD_ABORTED) {
        imx_lineproto_field_bool(lp, item->name, item->name_len,
                                 facts->is_aborted);
    }
}

/* ",name=value", or nothing; what cannot be written is counted. */
static char *put_field(char *p, char *end, const imx_plan_item_t *item,
                       request_rec *first, request_rec *last,
                       const imx_line_facts_t *facts)
{
    imx_lineproto_t lp;
    const char *text;
    int is_good = 1;

    imx_lineproto_init(&lp, p, room(p, end));
    imx_lineproto_encoded(&lp, "", 0);
    if (item->own == NULL) {
        put_builtin(&lp, item, first, last, facts);
    }
    else {
        text = evaluate(item->own, last);
        is_good = text == NULL || imx_schema_put_field(&lp, item->own, text);
    }
    if (!is_good || imx_lineproto_error(&lp) != IMX_LINEPROTO_OK) {
        imx_values_left_out(values);
        return p;
    }
    if (imx_lineproto_length(&lp) > 0) {
        *p = ','; /* the encoder began with the space of a first field */
    }
    return p + imx_lineproto_length(&lp);
}

char *imx_line_put_fields(char *p, char *end, const imx_plan_t *plan,
                          request_rec *first, request_rec *last,
                          const imx_line_facts_t *facts)
{
    int i;

    for (i = 0; i < plan->field_count; i++) {
        p = put_field(p, end, &plan->fields[i], first, last, facts);
    }
    return p;
}
