/*
 * request.c owns what is measured of a request: marks, filters, the line.
 * Entered by any thread of a child; HTTP/2 logs on another thread than the one
 * that ran the handler, so nothing here is kept by thread.
 * A request that is under way when its child dies leaves nothing; one that was
 * appended is in the batch.
 *
 * Clock reads, three for a response that is passed on in one piece, all of the
 * monotonic clock: handler called, end of stream, logged.  Every 10 ms one
 * request of the child reads the real clock besides: four.
 * A request that no handler saw: real, when it is logged.  A response in
 * pieces, or a body that is read, adds two reads for each piece: the time
 * blocked there is the client's.
 */
#include "request.h"

#include "apr_strings.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_filter.h"

#include "batch.h"
#include "config.h"
#include "lineproto.h"
#include "runtime.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define SECOND APR_INT64_C(1000000000) /* ns */
#define SECOND_LEN 11                  /* bytes of " 1763961600" */
#define FILTER_NAME "INFLUX_METRICS"
#define STATUS_MAX 999
#define WAITING_MAX 65536   /* bytes read before they are passed on */
#define PROCESS_TAG_MAX 512 /* bytes of ",process=HOST:PID", escaped */

/*
 * What happened when, in ns of the monotonic clock.  Made when the handler of a
 * request from the network is called, found through request_config of its first
 * request_rec (NULL: no handler was called).  Threads hand it on together with
 * the request.
 *
 * A connection keeps one struct and uses it again for each of its requests:
 * r->pool would often have to grow for it, which costs more than all else here.
 * A request that comes while the one before is not yet logged (pipelining) and
 * HTTP/2's streams, which other threads log, have theirs in r->pool.
 */
typedef struct {
    ap_filter_t filter;           /* on_output; its context is this struct */
    int in_use;                   /* until its request is logged */
    apr_int64_t waited;           /* ns from the request line to handler */
    apr_int64_t handler;          /* the handler was called */
    apr_int64_t end;              /* end of stream was produced; 0: not yet */
    apr_int64_t blocked;          /* ns from handler to end, on the client */
    apr_int64_t second;           /* of the connection's last point ... */
    char second_text[SECOND_LEN]; /* ... and as it stands in the line */
} marks_t;

#if MODULE_MAGIC_NUMBER_MAJOR != 20120211
#error "ap_filter_t is filled in here as httpd 2.4 has it"
#endif

static ap_filter_rec_t *output_filter, *input_filter;
static char status_text[STATUS_MAX + 1][4]; /* "000" .. "999" */

/*
 * Real minus monotonic clock in this process, looked at again after
 * OFFSET_LASTS: so most requests read the monotonic clock alone.  A clock that
 * is slewed drifts by less than a microsecond until then; one that is stepped
 * is noticed by the first request after it.
 */
#define OFFSET_LASTS APR_INT64_C(10000000) /* ns */
static _Atomic apr_int64_t clock_offset, offset_until;

static apr_int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static marks_t *marks_of(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &influx_metrics_module);
}

/* ---- marks ---- */

__attribute__((noinline, cold)) static marks_t *new_marks(request_rec *r,
                                                          int is_kept)
{
    conn_rec *c = r->connection;
    marks_t *m = apr_pcalloc(is_kept ? c->pool : r->pool, sizeof *m);

    m->filter.frec = output_filter;
    m->filter.ctx = m;
    m->filter.c = c;
    if (is_kept) {
        ap_set_module_config(c->conn_config, &influx_metrics_module, m);
    }
    return m;
}

static marks_t *take_marks(request_rec *r)
{
    const conn_rec *c = r->connection;
    marks_t *m = ap_get_module_config(c->conn_config, &influx_metrics_module);

    if (m == NULL || m->in_use) {
        m = new_marks(r, m == NULL && c->master == NULL);
    }
    m->in_use = 1;
    m->end = m->blocked = 0;
    return m;
}

/*
 * Puts the filter on top of the protocol filters: below DEFLATE, above all that
 * makes the bytes of HTTP.  That is a place that ap_add_output_filter() cannot
 * name, and costs a tenth of it.  Redirects and ErrorDocument keep the protocol
 * filters.  It is never removed, r->prev keeps a pointer to it; `end` makes it
 * pass things through.
 */
static void add_output_filter(request_rec *r, marks_t *m)
{
    ap_filter_t **link = &r->output_filters;

    while (*link != r->proto_output_filters) {
        link = &(*link)->next;
    }
    m->filter.r = r;
    m->filter.next = *link;
    *link = r->proto_output_filters = &m->filter;
}

__attribute__((noinline, cold)) static void look_at_real_clock(apr_int64_t now)
{
    atomic_store_explicit(&clock_offset, read_clock(CLOCK_REALTIME) - now,
                          memory_order_relaxed);
    atomic_store_explicit(&offset_until, now + OFFSET_LASTS,
                          memory_order_relaxed);
}

static apr_int64_t offset_at(apr_int64_t now)
{
    if (now >= atomic_load_explicit(&offset_until, memory_order_relaxed)) {
        look_at_real_clock(now);
    }
    return atomic_load_explicit(&clock_offset, memory_order_relaxed);
}

/* Directly before the handler.  Redirected requests come here again: the first
 * call counts. */
void imx_request_insert_filter(request_rec *r)
{
    request_rec *first = r;
    marks_t *m;

    if (r->main != NULL || imx_config_dir(r->per_dir_config)->enabled != 1) {
        return;
    }
    while (first->prev != NULL) {
        first = first->prev;
    }
    if (marks_of(first) != NULL) {
        return;
    }
    m = take_marks(r);
    ap_set_module_config(first->request_config, &influx_metrics_module, m);
    add_output_filter(r, m);
    if (r->method_number != M_GET) {
        ap_add_input_filter_handle(input_filter, m, r, r->connection);
    }
    m->handler = read_clock(CLOCK_MONOTONIC);
    m->waited = m->handler + offset_at(m->handler)
                - first->request_time * 1000;
}

/* ---- filters ---- */

static int has_end(const apr_bucket_brigade *bb)
{
    const apr_bucket *e = APR_BRIGADE_LAST(bb);

    while (e != APR_BRIGADE_SENTINEL(bb) && APR_BUCKET_IS_METADATA(e)) {
        if (APR_BUCKET_IS_EOS(e)) {
            return 1;
        }
        e = APR_BUCKET_PREV(e);
    }
    return 0;
}

/* A piece with more to come: what it waits for below is the client's time. */
__attribute__((noinline)) static apr_status_t pass_piece(
    ap_filter_t *f, apr_bucket_brigade *bb, apr_int64_t before)
{
    marks_t *m = f->ctx;
    apr_status_t rv = ap_pass_brigade(f->next, bb);

    m->blocked += read_clock(CLOCK_MONOTONIC) - before;
    return rv;
}

/* The next filter, as ap_pass_brigade() calls it; what that does besides, note
 * the end of stream in r, it has done when it called this one. */
static apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb)
{
    return f->next->frec->filter_func.out_func(f->next, bb);
}

/* Is the end there, but bytes before it are yet to be made?  mod_cgi hands its
 * pipe down so, as the last thing before the end. */
static int has_unread(const apr_bucket_brigade *bb)
{
    const apr_bucket *e = APR_BUCKET_PREV(APR_BRIGADE_LAST(bb));

    return e != APR_BRIGADE_SENTINEL(bb) && e->length == (apr_size_t)-1;
}

/* Passes what is before e, with a flush; bb keeps e and what is behind it. */
static apr_status_t pass_front(ap_filter_t *f, apr_bucket_brigade *bb,
                               apr_bucket *e)
{
    apr_bucket_brigade *rest = apr_brigade_split(bb, e);
    apr_status_t rv;

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(bb->bucket_alloc));
    rv = pass_piece(f, bb, read_clock(CLOCK_MONOTONIC));
    apr_brigade_cleanup(bb);
    APR_BRIGADE_CONCAT(bb, rest);
    return rv;
}

/* Reads one bucket; what was read before goes out while it waits. */
static apr_status_t read_bucket(ap_filter_t *f, apr_bucket_brigade *bb,
                                apr_bucket *e, apr_size_t *len)
{
    const char *data;
    apr_status_t rv = apr_bucket_read(e, &data, len, APR_NONBLOCK_READ);

    if (APR_STATUS_IS_EAGAIN(rv)) {
        rv = pass_front(f, bb, e);
        if (rv == APR_SUCCESS) {
            rv = apr_bucket_read(e, &data, len, APR_BLOCK_READ);
        }
    }
    return rv;
}

/*
 * Reads what the application is still making, so that its time is not taken for
 * the client's.  As httpd's content-length filter, which comes next, would do:
 * what is there goes out before it waits for more, a short answer stays whole.
 */
static apr_status_t read_to_end(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_bucket *e = APR_BRIGADE_FIRST(bb);
    apr_status_t rv = APR_SUCCESS;
    apr_size_t len, waiting = 0;

    while (e != APR_BRIGADE_SENTINEL(bb) && rv == APR_SUCCESS) {
        len = 0;
        if (e->length == (apr_size_t)-1) {
            rv = read_bucket(f, bb, e, &len);
        }
        waiting += len;
        e = APR_BUCKET_NEXT(e);
        if (rv == APR_SUCCESS && waiting > WAITING_MAX) {
            rv = pass_front(f, bb, e);
            e = APR_BRIGADE_FIRST(bb);
            waiting = 0;
        }
    }
    return rv;
}

__attribute__((noinline, cold)) static apr_status_t pass_unread(
    ap_filter_t *f, apr_bucket_brigade *bb)
{
    marks_t *m = f->ctx;
    apr_status_t rv = read_to_end(f, bb);

    m->end = read_clock(CLOCK_MONOTONIC);
    return rv == APR_SUCCESS ? pass(f, bb) : rv;
}

static apr_status_t on_output(ap_filter_t *f, apr_bucket_brigade *bb)
{
    marks_t *m = f->ctx;

    if (m->end == 0) {
        apr_int64_t now = read_clock(CLOCK_MONOTONIC);

        if (!has_end(bb)) {
            return pass_piece(f, bb, now);
        }
        if (has_unread(bb)) {
            return pass_unread(f, bb);
        }
        m->end = now;
    }
    return pass(f, bb);
}

static apr_status_t on_input(ap_filter_t *f, apr_bucket_brigade *bb,
                             ap_input_mode_t mode, apr_read_type_e block,
                             apr_off_t readbytes)
{
    marks_t *m = f->ctx;
    apr_int64_t before;
    apr_status_t rv;

    if (m->end != 0) {
        return ap_get_brigade(f->next, bb, mode, block, readbytes);
    }
    before = read_clock(CLOCK_MONOTONIC);
    rv = ap_get_brigade(f->next, bb, mode, block, readbytes);
    m->blocked += read_clock(CLOCK_MONOTONIC) - before;
    return rv;
}

void imx_request_register_filters(void)
{
    output_filter = ap_register_output_filter(FILTER_NAME, on_output, NULL,
                                              AP_FTYPE_PROTOCOL);
    input_filter = ap_register_input_filter(FILTER_NAME, on_input, NULL,
                                            AP_FTYPE_PROTOCOL);
}

/* ---- the line ---- */

/* Most requests are GET, so that their beginning is one piece. */
static void add_process(apr_pool_t *pchild, imx_config_server_t *conf,
                        const char *tag, int tag_len)
{
    conf->tail.bytes = apr_psprintf(pchild, "%.*s%.*s", tag_len, tag,
                                    (int)conf->tail.len, conf->tail.bytes);
    conf->tail.len = strlen(conf->tail.bytes);
    conf->get.bytes = apr_psprintf(pchild, "%.*sGET%s", (int)conf->head.len,
                                   conf->head.bytes, conf->tail.bytes);
    conf->get.len = strlen(conf->get.bytes);
}

/* ",process=web1:3"; returns its length in bytes. */
static int encode_process(apr_pool_t *pchild, char *text, apr_size_t size)
{
    const imx_config_t *global = imx_config_global();
    unsigned number = imx_runtime_child->slot;
    const char *value;
    imx_lineproto_t lp;

    if (global->process_tag == IMX_PROCESS_OFF) {
        return 0;
    }
    if (global->process_tag == IMX_PROCESS_PID) {
        number = (unsigned)getpid();
    }
    value = apr_psprintf(pchild, "%s:%u", global->hostname, number);
    imx_lineproto_init(&lp, text, size);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("process"), value,
                      strlen(value));
    return (int)imx_lineproto_length(&lp);
}

void imx_request_child_init(apr_pool_t *pchild, server_rec *s)
{
    char text[PROCESS_TAG_MAX];
    int len, status;

    if (imx_runtime_child == NULL) {
        return;
    }
    for (status = 0; status <= STATUS_MAX; status++) {
        apr_snprintf(status_text[status], sizeof status_text[status], "%03d",
                     status);
    }
    len = encode_process(pchild, text, sizeof text);
    for (; s != NULL; s = s->next) {
        add_process(pchild, imx_config_server(s), text, len);
    }
}

/*
 * The pieces of a usual line are constants, numbers and what was encoded at the
 * start, so their sum has a bound and needs no checks on the way.
 */
#define METHOD_MAX 64 /* longer ones are OTHER */
#define NUMBERS_MAX (4 * IMX_LINEPROTO_NUMBER_MAX)
#define CONSTANTS_MAX 128 /* bytes of field names and separators */
_Static_assert(IMX_CONFIG_PREFIX_MAX + PROCESS_TAG_MAX + METHOD_MAX
                       + NUMBERS_MAX + CONSTANTS_MAX
                   <= IMX_BATCH_LINE_MAX,
               "every line fits");

static char *put(char *p, const char *bytes, apr_size_t len)
{
    memcpy(p, bytes, len);
    return p + len;
}

#define PUT(p, text) put((p), (text), sizeof(text) - 1)

__attribute__((noinline)) static char *put_other_tags(
    char *p, const imx_config_server_t *conf, const request_rec *r)
{
    const char *method = r->method;
    apr_size_t len;

    if (method == NULL || r->method_number == M_INVALID
        || (len = strlen(method)) > METHOD_MAX) {
        method = "OTHER";
        len = strlen(method);
    }
    p = put(p, conf->head.bytes, conf->head.len);
    p = put(p, method, len);
    return put(p, conf->tail.bytes, conf->tail.len);
}

static char *put_tags(char *p, const imx_config_server_t *conf,
                      const request_rec *r)
{
    const char *method = r->method;

    if (method != NULL && method[0] == 'G' && method[1] == 'E'
        && method[2] == 'T' && method[3] == '\0') {
        return put(p, conf->get.bytes, conf->get.len);
    }
    return put_other_tags(p, conf, r);
}

/* Three digits, as httpd's statuses have. */
static char *put_status(char *p, unsigned status)
{
    return put(p, status_text[status <= STATUS_MAX ? status : 0], 3);
}

static apr_int64_t not_negative(apr_int64_t ns)
{
    return ns > 0 ? ns : 0;
}

/* The times; *ended: when the request ended, ns since 1970. */
static char *put_times(char *p, const request_rec *r, const marks_t *m,
                       apr_int64_t *ended)
{
    apr_int64_t now, request_time;

    if (m == NULL) {
        now = read_clock(CLOCK_REALTIME);
        request_time = not_negative(now - r->request_time * 1000);
        *ended = now;
    }
    else {
        now = read_clock(CLOCK_MONOTONIC);
        request_time = now - m->handler + not_negative(m->waited);
        *ended = now
                 + atomic_load_explicit(&clock_offset, memory_order_relaxed);
    }
    p = PUT(p, " request_time=");
    p = imx_lineproto_write_seconds(p, request_time);
    if (m != NULL && m->end != 0) {
        p = PUT(p, ",application_time=");
        p = imx_lineproto_write_seconds(p, m->end - m->handler - m->blocked);
    }
    return p;
}

__attribute__((noinline, cold)) static void write_second(marks_t *m,
                                                         apr_int64_t ns)
{
    char text[IMX_LINEPROTO_NUMBER_MAX];

    imx_lineproto_write_time(text, ns);
    memcpy(m->second_text, text, SECOND_LEN);
    m->second = ns / SECOND;
}

/*
 * The point's time.  Requests of a connection come close together, so half of
 * the digits are mostly those of the point before.  (From 2001 to 2286 seconds
 * have ten digits; a clock that is not set has fewer.)
 */
static char *put_time(char *p, marks_t *m, apr_int64_t ns)
{
    apr_int64_t second = ns / SECOND;

    if (m == NULL || ns < SECOND * SECOND) {
        return imx_lineproto_write_time(p, ns);
    }
    if (second != m->second) {
        write_second(m, ns);
    }
    memcpy(p, m->second_text, SECOND_LEN);
    p = imx_lineproto_write_nine(p + SECOND_LEN,
                                 (apr_uint32_t)(ns - second * SECOND));
    *p = '\n';
    return p + 1;
}

/* httpd logs the first request_rec; how it ended is known by the last one. */
int imx_request_log(request_rec *r)
{
    const request_rec *last = r;
    marks_t *m = marks_of(r);
    char line[IMX_BATCH_LINE_MAX];
    apr_int64_t ended;
    char *p;

    while (last->next != NULL) {
        last = last->next;
    }
    if (imx_config_dir(last->per_dir_config)->enabled == 1) {
        p = put_tags(line, imx_config_server(r->server), r);
        p = put_status(p, (unsigned)last->status);
        p = put_times(p, r, m, &ended);
        p = PUT(p, ",bytes_sent=");
        p = imx_lineproto_write_int(p,
                                    last->header_only ? 0 : last->bytes_sent);
        ended = imx_batch_unique_time(imx_runtime_child->batch, ended);
        p = put_time(p, m, ended);
        imx_batch_append(imx_runtime_child, line, (apr_size_t)(p - line));
    }
    if (m != NULL) {
        m->in_use = 0;
    }
    return DECLINED;
}
