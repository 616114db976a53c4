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
#include "record/request.h"

#include "apr_strings.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_filter.h"

#include "shared/batch.h"
#include "config/config.h"
#include "record/line.h"
#include "lineproto.h"
#include "record/plan.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define SECOND APR_INT64_C(1000000000) /* ns */
#define SECOND_LEN 11                  /* bytes of " 1763961600" */
#define FILTER_NAME "INFLUX_METRICS"
#define WAITING_MAX 65536 /* bytes read before they are passed on */

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
    ap_filter_t filter, in_filter; /* their context is this struct */
    int in_use;                    /* until its request is logged */
    int counts_input;              /* in_filter is in the chain */
    apr_int64_t waited;            /* ns from the request line to handler */
    apr_int64_t handler;           /* the handler was called */
    struct {
        apr_int64_t end;         /* end of stream was produced; 0: not yet */
        apr_int64_t first;       /* first output; 0: it was the end */
        apr_int64_t blocked_in;  /* ns from handler to end, reading ... */
        apr_int64_t blocked_out; /* ... and writing */
        apr_int64_t received;    /* bytes of the body */
        int is_reading;          /* of the body, now */
        int is_broken_off;       /* reading or writing found no client */
    } seen;
    const apr_array_header_t *unset; /* headers to take away; NULL: none */
    apr_table_t *taken;              /* ... that were; NULL: none */
    apr_int64_t second;              /* of the connection's last point ... */
    char second_text[SECOND_LEN];    /* ... and as it stands in the line */
} marks_t;

#if MODULE_MAGIC_NUMBER_MAJOR != 20120211
#error "ap_filter_t is filled in here as httpd 2.4 has it"
#endif

static imx_batch_child_t *recorder; /* NULL: nothing is recorded */
static const imx_values_t *tag_values;
static ap_filter_rec_t *output_filter, *input_filter;
static _Atomic apr_uint64_t draws; /* for samples; begins at the child's slot */

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
    m->in_filter.frec = input_filter;
    m->filter.ctx = m->in_filter.ctx = m;
    m->filter.c = m->in_filter.c = c;
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
    memset(&m->seen, 0, sizeof m->seen);
    return m;
}

/*
 * Puts a filter on top of the protocol filters: below DEFLATE, above all that
 * makes the bytes of HTTP.  That is a place that ap_add_output_filter() cannot
 * name, and costs a tenth of it.  Redirects and ErrorDocument keep the protocol
 * filters.  It is never removed, r->prev keeps a pointer to it; `end` makes it
 * pass things through.
 */
static void add_filter(ap_filter_t *filter, request_rec *r, ap_filter_t **link,
                       ap_filter_t **protocol)
{
    while (*link != NULL && *link != *protocol) {
        link = &(*link)->next;
    }
    filter->r = r;
    filter->next = *link;
    *link = *protocol = filter;
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

/* Most methods without a body are GET; one that has a body nevertheless is
 * looked at when somebody asked for what is seen there. */
static int may_have_body(const request_rec *r, const imx_schema_dir_t *dir)
{
    const unsigned of_input = IMX_BIT(IMX_FIELD_INPUT_TIME)
                              | IMX_BIT(IMX_FIELD_BYTES_RECEIVED);

    return r->method_number != M_GET || (dir->field_bits & of_input) != 0;
}

static inline marks_t *begin(request_rec *first, request_rec *r,
                             const imx_schema_dir_t *dir)
{
    marks_t *m = take_marks(r);

    ap_set_module_config(first->request_config, &influx_metrics_module, m);
    add_filter(&m->filter, r, &r->output_filters, &r->proto_output_filters);
    m->counts_input = may_have_body(r, dir);
    if (m->counts_input) {
        add_filter(&m->in_filter, r, &r->input_filters,
                   &r->proto_input_filters);
    }
    m->taken = NULL;
    m->handler = read_clock(CLOCK_MONOTONIC);
    m->waited = m->handler + offset_at(m->handler)
                - first->request_time * 1000;
    return m;
}

/* Directly before the handler.  Redirected requests come here again: the first
 * call counts, but what is taken away is for the last one to say. */
void imx_request_insert_filter(request_rec *r)
{
    const imx_schema_dir_t *dir = imx_schema_dir(r->per_dir_config);
    request_rec *first = r;
    marks_t *m;

    if (r->main != NULL || dir->enabled != 1) {
        return;
    }
    while (first->prev != NULL) {
        first = first->prev;
    }
    m = marks_of(first);
    if (m == NULL) {
        m = begin(first, r, dir);
    }
    m->unset = dir->unset_headers;
}

/* ---- filters ---- */

static inline int has_end(const apr_bucket_brigade *bb)
{
    const apr_bucket *e = APR_BRIGADE_LAST(bb);

    while (!APR_BUCKET_IS_EOS(e)) {
        if (e == APR_BRIGADE_SENTINEL(bb) || !APR_BUCKET_IS_METADATA(e)) {
            return 0;
        }
        e = APR_BUCKET_PREV(e);
    }
    return 1;
}

/* Errors of a client that went away; what is wrong in its body, too large or
 * too late is for the server to refuse. */
static int is_gone(apr_status_t rv)
{
    return APR_STATUS_IS_EOF(rv) || rv == APR_INCOMPLETE
           || APR_STATUS_IS_EPIPE(rv) || APR_STATUS_IS_ECONNRESET(rv)
           || APR_STATUS_IS_ECONNABORTED(rv);
}

/* A piece with more to come: what it waits for below is the client's time. */
__attribute__((noinline)) static apr_status_t pass_piece(
    ap_filter_t *f, apr_bucket_brigade *bb, apr_int64_t before)
{
    marks_t *m = f->ctx;
    apr_int64_t after;
    apr_status_t rv;

    if (m->seen.first == 0) {
        m->seen.first = before;
    }
    rv = ap_pass_brigade(f->next, bb);
    after = read_clock(CLOCK_MONOTONIC);
    /* When ap_die() made an answer below, it came here and ended. */
    m->seen.blocked_out += (m->seen.end != 0 ? m->seen.end : after) - before;
    m->seen.is_broken_off |= rv != APR_SUCCESS && is_gone(rv);
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

/* The same, where the end is not there yet: mod_include passes the pipes of its
 * parts on so. */
static int has_unread_piece(const apr_bucket_brigade *bb)
{
    const apr_bucket *e = APR_BRIGADE_FIRST(bb);

    while (e != APR_BRIGADE_SENTINEL(bb) && e->length != (apr_size_t)-1) {
        e = APR_BUCKET_NEXT(e);
    }
    return e != APR_BRIGADE_SENTINEL(bb);
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

    m->seen.end = read_clock(CLOCK_MONOTONIC);
    return rv == APR_SUCCESS ? pass(f, bb) : rv;
}

/* Takes a header of the application's away and keeps it until the request is
 * logged: its value may be a field. */
static void take_header(marks_t *m, apr_table_t *headers, const char *name,
                        apr_pool_t *p)
{
    const char *value = apr_table_get(headers, name);

    if (value != NULL) {
        if (m->taken == NULL) {
            m->taken = apr_table_make(p, 4);
        }
        apr_table_setn(m->taken, name, value);
        apr_table_unset(headers, name);
    }
}

__attribute__((noinline, cold)) static void take_headers(ap_filter_t *f)
{
    marks_t *m = f->ctx;
    int i;

    for (i = 0; i < m->unset->nelts; i++) {
        const char *name = APR_ARRAY_IDX(m->unset, i, const char *);

        take_header(m, f->r->headers_out, name, f->r->pool);
        take_header(m, f->r->err_headers_out, name, f->r->pool);
    }
    m->unset = NULL;
}

__attribute__((noinline)) static apr_status_t on_piece(
    ap_filter_t *f, apr_bucket_brigade *bb, apr_int64_t now)
{
    if (has_unread_piece(bb)) {
        apr_status_t rv = read_to_end(f, bb);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        now = read_clock(CLOCK_MONOTONIC);
    }
    return pass_piece(f, bb, now);
}

__attribute__((noinline, cold)) static apr_status_t not_passed(marks_t *m,
                                                               apr_status_t rv)
{
    m->seen.is_broken_off |= is_gone(rv);
    return rv;
}

static apr_status_t on_output(ap_filter_t *f, apr_bucket_brigade *bb)
{
    marks_t *m = f->ctx;
    apr_status_t rv;

    if (m->seen.end == 0) {
        apr_int64_t now = read_clock(CLOCK_MONOTONIC);

        if (m->unset != NULL) {
            take_headers(f);
        }
        if (!has_end(bb)) {
            return on_piece(f, bb, now);
        }
        if (has_unread(bb)) {
            return pass_unread(f, bb);
        }
        m->seen.end = now;
    }
    if (f->c->master == NULL) {
        return pass(f, bb); /* an error shows on the connection */
    }
    rv = pass(f, bb);
    return rv == APR_SUCCESS ? rv : not_passed(m, rv);
}

static apr_status_t read_body(ap_filter_t *f, apr_bucket_brigade *bb,
                              ap_input_mode_t mode, apr_read_type_e block,
                              apr_off_t readbytes)
{
    marks_t *m = f->ctx;
    apr_int64_t before = read_clock(CLOCK_MONOTONIC);
    apr_off_t length;
    apr_status_t rv;

    m->seen.is_reading = 1;
    rv = ap_get_brigade(f->next, bb, mode, block, readbytes);
    m->seen.is_reading = 0;
    if (m->seen.end == 0) {
        m->seen.blocked_in += read_clock(CLOCK_MONOTONIC) - before;
    }
    if (rv != APR_SUCCESS) {
        m->seen.is_broken_off |= is_gone(rv);
    }
    else if (mode != AP_MODE_SPECULATIVE
             && apr_brigade_length(bb, 0, &length) == APR_SUCCESS
             && length > 0) {
        m->seen.received += length;
    }
    return rv;
}

/* Behind the last chunk httpd's filter, which comes next, reads the trailer
 * through r's filters, and so through this one once more: that is no part of
 * the body, and its time is being taken. */
static apr_status_t on_input(ap_filter_t *f, apr_bucket_brigade *bb,
                             ap_input_mode_t mode, apr_read_type_e block,
                             apr_off_t readbytes)
{
    marks_t *m = f->ctx;

    return m->seen.is_reading
               ? ap_get_brigade(f->next, bb, mode, block, readbytes)
               : read_body(f, bb, mode, block, readbytes);
}

void imx_request_register_filters(void)
{
    output_filter = ap_register_output_filter(FILTER_NAME, on_output, NULL,
                                              AP_FTYPE_PROTOCOL);
    input_filter = ap_register_input_filter(FILTER_NAME, on_input, NULL,
                                            AP_FTYPE_PROTOCOL);
}

/* ---- the line ---- */

/* "web1:3"; NULL: no tag. */
static const char *process_value(apr_pool_t *pchild)
{
    const imx_config_t *global = imx_config_global();
    unsigned number = recorder->self.slot;

    if (global->process_tag == IMX_PROCESS_OFF) {
        return NULL;
    }
    if (global->process_tag == IMX_PROCESS_PID) {
        number = (unsigned)getpid();
    }
    return apr_psprintf(pchild, "%s:%u", global->hostname, number);
}

void imx_request_use(imx_batch_child_t *child, const imx_values_t *values)
{
    recorder = child;
    tag_values = values;
}

void imx_request_child_init(apr_pool_t *pchild, server_rec *s)
{
    if (recorder != NULL) {
        draws = (apr_uint64_t)recorder->self.slot << 32;
        imx_line_child_init(tag_values);
        imx_plan_child_init(pchild, s, imx_config_global()->hostname,
                            process_value(pchild));
    }
}

/*
 * A line is put together without a check on the way but for what can be long.
 * So the long parts end before LINE_LONG, and the rest, which has a bound, fits
 * behind them.
 */
#define NUMBERS_MAX (4 * IMX_LINEPROTO_NUMBER_MAX)
#define CONSTANTS_MAX 256 /* bytes of names, separators and sample_rate */
#define LINE_LONG \
    (IMX_BATCH_LINE_MAX - NUMBERS_MAX - CONSTANTS_MAX - IMX_PLAN_PAD)
_Static_assert(IMX_PLAN_CONSTANT_MAX + 2048 <= LINE_LONG,
               "what is constant leaves room for the rest");

static char *put(char *p, const char *bytes, apr_size_t len)
{
    memcpy(p, bytes, len);
    return p + len;
}

#define PUT(p, text) put((p), (text), sizeof(text) - 1)

__attribute__((noinline)) static char *put_usual_tags(
    char *p, const imx_plan_t *plan, const request_rec *r, unsigned status)
{
    const char *method = imx_line_method(r);

    p = put(p, plan->head.bytes, plan->head.len);
    p = put(p, method, strlen(method));
    p = put(p, plan->tail.bytes, plan->tail.len);
    return put(p, imx_line_status[status <= IMX_LINE_STATUS_MAX ? status : 0],
               3);
}

/* All up to the value of request_time; most requests are a GET with 200. */
static inline char *put_usual_beginning(char *p, const imx_plan_t *plan,
                                        const request_rec *first,
                                        const request_rec *last)
{
    const char *method = first->method;

    /* HEAD has GET's number, and so has a request without a method. */
    if (last->status == HTTP_OK && first->method_number == M_GET
        && method != NULL && *method == 'G') {
        return put(p, plan->get_ok.bytes, plan->get_ok.len);
    }
    p = put_usual_tags(p, plan, first, (unsigned)last->status);
    return put(p, plan->lead.bytes, plan->lead.len);
}

static apr_int64_t not_negative(apr_int64_t ns)
{
    return ns > 0 ? ns : 0;
}

/* When a request was logged, and how long it took. */
typedef struct {
    apr_int64_t now;          /* of the clock that its marks are of */
    apr_int64_t ended;        /* ns since 1970 */
    apr_int64_t request_time; /* ns */
} times_t;

static times_t times_of(const request_rec *r, const marks_t *m)
{
    times_t t;

    if (m == NULL) {
        t.now = t.ended = read_clock(CLOCK_REALTIME);
        t.request_time = not_negative(t.now - r->request_time * 1000);
    }
    else {
        t.now = read_clock(CLOCK_MONOTONIC);
        t.request_time = t.now - m->handler + not_negative(m->waited);
        t.ended = t.now
                  + atomic_load_explicit(&clock_offset, memory_order_relaxed);
    }
    return t;
}

/* Without an end of stream (a tunnel, a handler that gave up) all the time is
 * the application's but what was spent on the client. */
static inline apr_int64_t application_time(const marks_t *m, times_t t)
{
    apr_int64_t end = m->seen.end != 0 ? m->seen.end : t.now;

    return end - m->handler - m->seen.blocked_in - m->seen.blocked_out;
}

/* mod_http2 sets the flag of a stream's connection and of the one below also
 * when it takes down what is complete. */
static int is_aborted(const conn_rec *c, const marks_t *m)
{
    return (m != NULL && m->seen.is_broken_off)
           || (c->master == NULL && c->aborted);
}

/*
 * The phases; those that happened add up to request_time:
 *
 *   request line .. handler called .. end of stream .. logged
 *       server_time |  application_time    | output_time
 *                   |  input, output_time  | input_time
 */
static imx_line_facts_t facts_of(const request_rec *r, const marks_t *m,
                                 times_t t)
{
    imx_line_facts_t f = { .request_time = t.request_time,
                           .application_time = IMX_LINE_ABSENT,
                           .server_time = t.request_time,
                           .input_time = IMX_LINE_ABSENT,
                           .output_time = IMX_LINE_ABSENT,
                           .ttfb = IMX_LINE_ABSENT,
                           .bytes_received = IMX_LINE_ABSENT };
    apr_int64_t first;

    f.is_aborted = is_aborted(r->connection, m);
    if (m == NULL) {
        return f; /* no handler was called */
    }
    first = m->seen.first != 0 ? m->seen.first : m->seen.end;
    f.server_time = not_negative(m->waited);
    f.application_time = application_time(m, t);
    f.output_time = m->seen.blocked_out
                    + (m->seen.end != 0 ? t.now - m->seen.end : 0);
    if (m->counts_input) {
        f.input_time = m->seen.blocked_in;
        f.bytes_received = m->seen.received;
    }
    if (first != 0) {
        f.ttfb = first - m->handler + f.server_time;
    }
    return f;
}

/* ",application_time=..,bytes_sent=..", behind request_time. */
static inline __attribute__((always_inline)) char *put_usual_fields(
    char *p, const request_rec *last, const marks_t *m, times_t t)
{
    p = imx_lineproto_write_seconds(p, t.request_time);
    if (m != NULL) {
        p = PUT(p, ",application_time=");
        p = imx_lineproto_write_seconds(p, application_time(m, t));
    }
    p = PUT(p, ",bytes_sent=");
    return imx_lineproto_write_int(p,
                                   last->header_only ? 0 : last->bytes_sent);
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

/* ---- which requests ---- */

/*
 * Which requests are in a sample: splitmix64 (Steele, Lea, Flood 2014) with
 * the time added, which nobody else knows so exactly.  Its steps make requests
 * of the same moment independent, too, where a clock has coarse ticks.
 */
static apr_uint32_t draw(apr_int64_t time)
{
    apr_uint64_t n = atomic_fetch_add_explicit(&draws, 1,
                                               memory_order_relaxed);
    apr_uint64_t v = n * APR_UINT64_C(0x9E3779B97F4A7C15) + (apr_uint64_t)time;

    v = (v ^ v >> 30) * APR_UINT64_C(0xBF58476D1CE4E5B9);
    v = (v ^ v >> 27) * APR_UINT64_C(0x94D049BB133111EB);
    return (apr_uint32_t)(v >> 32);
}

/* Is there to be a point?  *rate: what it says of the sample it is in. */
static int is_chosen(const imx_plan_t *plan, request_rec *last, times_t t,
                     imx_plan_text_t *rate)
{
    const imx_sample_t *sample = &plan->dir->sample;
    const char *err = NULL;

    if (plan->dir->condition != NULL
        && ap_expr_exec(last, plan->dir->condition, &err) == 0
        && err == NULL) {
        return 0;
    }
    *rate = plan->kept;
    if (plan->kept.len == 0 || (sample->errors && last->status >= 400)
        || (sample->slow > 0 && t.request_time >= sample->slow)) {
        return 1;
    }
    *rate = plan->sampled;
    return draw(t.ended) < plan->sample_below;
}

/* ---- lines that are not the usual ones ---- */

/* Everything is absent: a line has to have a field. */
static char *put_any_field(char *p, times_t t)
{
    p = PUT(p, ",request_time=");
    return imx_lineproto_write_seconds(p, t.request_time);
}

/* The fields beyond the usual three. */
__attribute__((noinline)) static char *put_facts(
    char *p, char *end, const imx_plan_t *plan, request_rec *first,
    request_rec *last, const marks_t *m, times_t t)
{
    imx_line_facts_t facts = facts_of(first, m, t);

    return imx_line_put_fields(p, end, plan, first, last, &facts);
}

/* Headers that were taken from the response are there again, for expressions
 * to find them. */
__attribute__((noinline, cold)) static void give_back(const marks_t *m,
                                                      request_rec *last)
{
    apr_table_overlap(last->headers_out, m->taken, APR_OVERLAP_TABLES_SET);
}

static char *put_more_fields(char *p, char *end, const imx_plan_t *plan,
                             request_rec *first, request_rec *last,
                             const marks_t *m, times_t t)
{
    if (plan->field_count > 0) {
        p = put_facts(p, end, plan, first, last, m, t);
    }
    if (plan->own_count > 0) {
        if (m != NULL && m->taken != NULL) {
            give_back(m, last);
        }
        p = imx_line_put_own_fields(p, end, plan, last);
    }
    return p;
}

/* From the measurement to the last field; NULL: there is to be no point. */
__attribute__((noinline)) static char *put_other(
    char *p, const imx_plan_t *plan, request_rec *first, request_rec *last,
    const marks_t *m, times_t t)
{
    imx_plan_text_t rate = { "", 0 };
    char *end = p + LINE_LONG, *fields;

    if (m != NULL && m->taken != NULL) {
        give_back(m, last);
    }
    if (plan->is_selective && !is_chosen(plan, last, t, &rate)) {
        return NULL;
    }
    p = plan->has_usual_tags
            ? put_usual_tags(p, plan, first, (unsigned)last->status)
            : imx_line_put_tags(p, end, plan, first, last);
    fields = p + plan->lead_tags;
    p = put(p, plan->lead.bytes, plan->lead.len);
    if (plan->has_usual_fields) {
        p = put_usual_fields(p, last, m, t);
    }
    p = put_more_fields(p, end, plan, first, last, m, t);
    p = put(p, rate.bytes, rate.len);
    if (p == fields) {
        p = put_any_field(p, t);
    }
    *fields = ' ';
    return p;
}

static char *put_line(char *p, request_rec *first, request_rec *last,
                      const imx_schema_dir_t *dir, marks_t *m)
{
    const imx_plan_t *plan = imx_plan_find(dir, first->server, first->pool);
    times_t t = times_of(first, m);
    char *end = p + LINE_LONG;

    if (plan->is_usual) {
        p = put_usual_beginning(p, plan, first, last);
        p = put_usual_fields(p, last, m, t);
        p = put_more_fields(p, end, plan, first, last, m, t);
    }
    else {
        p = put_other(p, plan, first, last, m, t);
    }
    return p == NULL
               ? NULL
               : put_time(p, m,
                          imx_batch_unique_time(recorder->batch, t.ended));
}

/* httpd logs the first request_rec; how it ended is known by the last one.
 * (flatten: what it calls for a usual line becomes a part of it.) */
__attribute__((flatten)) int imx_request_log(request_rec *r)
{
    const imx_schema_dir_t *dir;
    request_rec *last = r;
    marks_t *m = marks_of(r);
    char line[IMX_BATCH_LINE_MAX];
    char *end;

    while (last->next != NULL) {
        last = last->next;
    }
    dir = imx_schema_dir(last->per_dir_config);
    if (dir->enabled == 1) {
        end = put_line(line, r, last, dir, m);
        if (end != NULL) {
            imx_batch_append(recorder, line, (apr_size_t)(end - line));
        }
    }
    if (m != NULL) {
        m->in_use = 0;
    }
    return DECLINED;
}
