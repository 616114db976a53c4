/*
 * getters.c owns the values of tags and fields: a getter for each row of the
 * list in config/builtin.def.
 * Entered by any thread of a child, when a request is logged.
 * Nothing survives a child.
 */
#include "record/getters.h"

#include "apr_strings.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "mod_ssl.h"
#include "scoreboard.h"

#include "config/schema.h"

#include <unistd.h>

#define METHOD_MAX 64 /* bytes; longer ones are OTHER */
#define TRACE_ID_LEN 32

char imx_getters_status[IMX_GETTERS_STATUS_MAX + 1][4];
static APR_OPTIONAL_FN_TYPE(ssl_var_lookup) * ssl_lookup;
static pid_t this_pid;

void imx_getters_child_init(void)
{
    int i;

    this_pid = getpid();
    ssl_lookup = APR_RETRIEVE_OPTIONAL_FN(ssl_var_lookup);
    for (i = 0; i <= IMX_GETTERS_STATUS_MAX; i++) {
        apr_snprintf(imx_getters_status[i], sizeof imx_getters_status[i],
                     "%03d", i);
    }
}

static const imx_rare_t *rare_of(const imx_facts_t *f)
{
    return f->marks != NULL ? f->marks->seen.rare : NULL;
}

/* ---- tags ---- */

const char *imx_getters_method(const request_rec *r)
{
    return r->method == NULL || r->method_number == M_INVALID
                   || strlen(r->method) > METHOD_MAX
               ? "OTHER"
               : r->method;
}

static const char *get_method(const imx_facts_t *f)
{
    return imx_getters_method(f->first);
}

static const char *get_status(const imx_facts_t *f)
{
    unsigned status = (unsigned)f->last->status;

    return imx_getters_status[status <= IMX_GETTERS_STATUS_MAX ? status : 0];
}

static const char *get_status_class(const imx_facts_t *f)
{
    static const char *const classes[] = { "1xx", "2xx", "3xx", "4xx", "5xx" };
    int i = f->last->status / 100 - 1;

    return i >= 0 && i < 5 ? classes[i] : "other";
}

/* A client may write any number behind HTTP/1. */
static const char *get_protocol(const imx_facts_t *f)
{
    switch (f->first->proto_num) {
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

/* What names a server behind mod_proxy can have the user and the password that
 * were given before the host: the name of a balancer's member, what a
 * RewriteRule in a directory or mod_proxy_ftp makes of a URL, the handler
 * "proxy:URL".  The last '@' of the authority ends them. */
static const char *without_user(apr_pool_t *p, const char *url)
{
    const char *authority, *host;

    if (strchr(url, '@') == NULL || (authority = strstr(url, "://")) == NULL) {
        return url;
    }
    authority += 3;
    host = authority + strcspn(authority, "/?#");
    while (host > authority && host[-1] != '@') {
        host--;
    }
    return apr_pstrcat(p,
                       apr_pstrmemdup(p, url, (apr_size_t)(authority - url)),
                       host > authority ? host : authority, NULL);
}

/* httpd takes the handler away when it has run and had been found by the type
 * of the content. */
static const char *get_handler(const imx_facts_t *f)
{
    if (!f->met_handler) {
        return NULL; /* mod_proxy has its own there before authorization */
    }
    if (f->last->handler == NULL) {
        return "default-handler";
    }
    return strncmp(f->last->handler, "proxy:", 6) == 0
               ? without_user(f->last->pool, f->last->handler)
               : f->last->handler;
}

/* The path that was asked for, decoded: httpd does that in place, and what a
 * DirectoryIndex or RewriteRule makes of it goes to r->uri only. */
const char *imx_getters_uri(const request_rec *first)
{
    return first->parsed_uri.path ? first->parsed_uri.path : first->uri;
}

static const char *get_uri(const imx_facts_t *f)
{
    return imx_getters_uri(f->first);
}

int imx_getters_route(const imx_facts_t *f)
{
    const apr_array_header_t *routes =
        imx_schema_server(f->first->server)->routes;
    const char *text = get_uri(f);
    int i;

    if (routes == NULL) {
        return 0;
    }
    if (text == NULL) {
        return routes->nelts;
    }
    for (i = 0; i < routes->nelts; i++) {
        const imx_route_t *route = &APR_ARRAY_IDX(routes, i, imx_route_t);

        if (ap_regexec(route->regex, text, 0, NULL, 0) == 0) {
            break;
        }
    }
    return i;
}

static const char *get_route(const imx_facts_t *f)
{
    const apr_array_header_t *routes =
        imx_schema_server(f->first->server)->routes;

    return routes != NULL && f->route < routes->nelts
               ? APR_ARRAY_IDX(routes, f->route, imx_route_t).name
               : "unmatched";
}

static const char *tls_version(request_rec *r)
{
    char name[] = "SSL_PROTOCOL";

    return ssl_lookup != NULL
               ? ssl_lookup(r->pool, r->server, r->connection, r, name)
               : NULL;
}

void imx_getters_keep_scheme(imx_marks_t *marks, request_rec *r)
{
    imx_marks_rare(marks, r)->scheme = ap_http_scheme(r);
}

void imx_getters_keep_tls_version(imx_marks_t *marks, request_rec *r)
{
    imx_marks_rare(marks, r)->tls_version = tls_version(r);
}

static const char *get_scheme(const imx_facts_t *f)
{
    const imx_rare_t *rare = rare_of(f);

    return rare != NULL && rare->scheme != NULL ? rare->scheme
                                                : ap_http_scheme(f->first);
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
        return without_user(r->pool, member);
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
    if (end != NULL) {
        url = apr_pstrmemdup(r->pool, url, (apr_size_t)(end - url));
    }
    return without_user(r->pool, url);
}

/* Of the last request that went to one: when a backend fails, an ErrorDocument
 * may have followed.  mod_proxy names one before authorization, user and
 * password included: of those that met no handler nothing is read. */
static const char *get_backend(const imx_facts_t *f)
{
    const imx_rare_t *rare = rare_of(f);
    const request_rec *stop = NULL;
    request_rec *r = f->met_handler ? f->first : NULL;
    const char *found = NULL;

    if (rare != NULL && rare->met_last != NULL) {
        r = rare->met_last;
        stop = rare->met_first != NULL ? rare->met_first->prev : NULL;
    }
    for (; r != stop && found == NULL; r = r->prev) {
        found = backend_of(r);
    }
    return found;
}

/* A name that was refused is no user, nor is one that could not be looked up:
 * httpd has it there before it knows. */
static const char *get_user(const imx_facts_t *f)
{
    const char *name = f->last->user != NULL ? f->last->user : f->first->user;
    int is_claim = f->last->status == HTTP_UNAUTHORIZED
                   || (f->last->status == HTTP_INTERNAL_SERVER_ERROR
                       && !f->met_handler);

    return is_claim ? NULL : name;
}

static const char *get_vhost_port(const imx_facts_t *f)
{
    return apr_itoa(f->first->pool, f->first->connection->local_addr->port);
}

/* ---- where the time went ----
 *
 *   request line .. handler called .. end of stream .. logged
 *       server_time |  application_time    | output_time
 *       input_time  |  input, output_time  |
 *
 * The phases that happened add up to request_time.
 */

static apr_int64_t get_request_time(const imx_facts_t *f)
{
    return f->request_time;
}

static apr_int64_t get_application_time(const imx_facts_t *f)
{
    return f->application_time;
}

/* ns up to the call of the handler, or of all of it. */
static apr_int64_t up_to_handler(const imx_facts_t *f)
{
    return f->met_handler ? f->marks->waited : f->request_time;
}

/* ns of that blocked reading the body.  Only the whole is measured on the real
 * clock, which may have been stepped back meanwhile. */
static apr_int64_t before_handler(const imx_facts_t *f)
{
    const imx_rare_t *rare = rare_of(f);
    apr_int64_t most;

    if (rare == NULL) {
        return 0;
    }
    most = up_to_handler(f);
    return rare->before < most ? rare->before : most;
}

static apr_int64_t get_server_time(const imx_facts_t *f)
{
    const apr_int64_t all = up_to_handler(f);

    return all - before_handler(f);
}

/* A request that met its handler without a body waited 0 ns for 0 bytes. */
static int has_input(const imx_facts_t *f)
{
    return f->met_handler || (rare_of(f) != NULL && rare_of(f)->has_body);
}

static apr_int64_t get_input_time(const imx_facts_t *f)
{
    return has_input(f) ? before_handler(f) + f->marks->seen.blocked_in
                        : IMX_ABSENT;
}

static apr_int64_t get_bytes_received(const imx_facts_t *f)
{
    const imx_rare_t *rare = rare_of(f);

    return !has_input(f) ? IMX_ABSENT : rare != NULL ? rare->received : 0;
}

static apr_int64_t get_output_time(const imx_facts_t *f)
{
    const imx_marks_t *m = f->marks;

    if (!f->met_handler) {
        return IMX_ABSENT;
    }
    return m->seen.blocked_out + (m->seen.end != 0 ? f->now - m->seen.end : 0);
}

/* httpd closes a connection without a byte when a backend did so; what it had
 * prepared for the client went through the filters up to that point. */
static int is_sent(const request_rec *last)
{
    const request_rec *r = last;

    while (r->prev != NULL && !r->sent_bodyct) {
        r = r->prev;
    }
    return r->sent_bodyct || last->header_only
           || AP_STATUS_IS_HEADER_ONLY(last->status)
           || ap_is_HTTP_INFO(last->status);
}

static apr_int64_t get_ttfb(const imx_facts_t *f)
{
    const imx_marks_t *m = f->marks;
    apr_int64_t first;

    if (!f->met_handler || !is_sent(f->last)) {
        return IMX_ABSENT;
    }
    first = m->seen.first != 0 ? m->seen.first : m->seen.end;
    return first != 0 ? first - m->seen.handler + m->waited : IMX_ABSENT;
}

/* ---- other numbers ---- */

static apr_int64_t get_bytes_sent(const imx_facts_t *f)
{
    return f->bytes_sent;
}

/* mod_http2 sets the flag of a stream's connection and of the one below also
 * when it takes down what is complete. */
int imx_getters_is_aborted(const imx_facts_t *f)
{
    const conn_rec *c = f->first->connection;
    unsigned broken_off = f->marks != NULL
                              ? (unsigned)f->marks->seen.is_broken_off
                              : 0;

    /* One look for both, as most are neither. */
    return (broken_off | c->aborted) != 0
           && (broken_off != 0 || c->master == NULL);
}

static apr_int64_t get_aborted(const imx_facts_t *f)
{
    return imx_getters_is_aborted(f);
}

/* Requests before this one on its connection.  httpd has counted this one, too,
 * if the connection goes on (ap_set_keepalive()).  What mod_http2 has there for
 * a stream is not its number. */
static apr_int64_t get_keepalive(const imx_facts_t *f)
{
    const conn_rec *c = f->first->connection;

    return c->master != NULL
               ? IMX_ABSENT
               : c->keepalives - (c->keepalive == AP_CONN_KEEPALIVE);
}

static apr_int64_t get_pid(const imx_facts_t *f)
{
    (void)f;
    return this_pid;
}

/* httpd's scoreboard has the number of its place among all children's. */
static apr_int64_t get_thread(const imx_facts_t *f)
{
    const conn_rec *c = f->first->connection;
    const worker_score *score = c->sbh != NULL
                                    ? ap_get_scoreboard_worker(c->sbh)
                                    : NULL;

    return score != NULL
               ? score->thread_num % ap_scoreboard_image->global->thread_limit
               : IMX_ABSENT;
}

/* ---- strings ---- */

static const char *get_client(const imx_facts_t *f)
{
    return f->first->useragent_ip;
}

/* As %L in an ErrorLogFormat, so that both can be brought together. */
static const char *get_connection_id(const imx_facts_t *f)
{
    conn_rec *c = f->first->connection;

    c = c->master != NULL ? c->master : c;
    if (c->log_id == NULL) {
        ap_run_generate_log_id(c, NULL, &c->log_id);
    }
    return c->log_id;
}

/* A RewriteRule changes r->args. */
static const char *get_query(const imx_facts_t *f)
{
    return f->first->parsed_uri.query;
}

static const char *get_referer(const imx_facts_t *f)
{
    return apr_table_get(f->first->headers_in, "Referer");
}

static const char *get_request_id(const imx_facts_t *f)
{
    return apr_table_get(f->last->subprocess_env, "UNIQUE_ID");
}

static const char *get_tls_version(const imx_facts_t *f)
{
    const imx_rare_t *rare = rare_of(f);

    return rare != NULL && rare->tls_version != NULL
               ? rare->tls_version
               : tls_version(f->first);
}

/* The second part of traceparent (https://www.w3.org/TR/trace-context/, 3.2):
 * 32 hexadecimal digits in lower case, not all of them zero. */
static const char *get_trace_id(const imx_facts_t *f)
{
    request_rec *r = f->first;
    const char *parent = apr_table_get(r->headers_in, "traceparent");

    if (parent == NULL || strlen(parent) < 3 + TRACE_ID_LEN + 1
        || parent[2] != '-' || parent[3 + TRACE_ID_LEN] != '-'
        || strspn(parent + 3, "0123456789abcdef") != TRACE_ID_LEN
        || strspn(parent + 3, "0") == TRACE_ID_LEN) {
        return NULL;
    }
    return apr_pstrmemdup(r->pool, parent + 3, TRACE_ID_LEN);
}

static const char *get_user_agent(const imx_facts_t *f)
{
    return apr_table_get(f->first->headers_in, "User-Agent");
}

/* ---- the table ---- */

imx_getters_text_t *const imx_getters_tags[IMX_TAGS] = {
#define TAG(symbol, name, when, limited, getter, help) getter,
#define CONSTANT_TAG(symbol, name, when, getter, help) NULL,
#define FIELD(symbol, name, kind, unit, when, getter, help)
#include "config/builtin.def"
};

#define GETTER_SECONDS(getter) getter, NULL
#define GETTER_INT(getter) getter, NULL
#define GETTER_BOOL(getter) getter, NULL
#define GETTER_STRING(getter) NULL, getter

const imx_getters_field_t imx_getters_fields[IMX_FIELDS] = {
#define TAG(symbol, name, when, limited, getter, help)
#define CONSTANT_TAG(symbol, name, when, getter, help)
#define FIELD(symbol, name, kind, unit, when, getter, help) \
    { GETTER_##kind(getter) },
#include "config/builtin.def"
};
