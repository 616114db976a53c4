/*
 * marks.c owns when what happened to a request: its marks, the filters that set
 * them, and the facts that come of them.
 * Entered by any thread of a child; HTTP/2 logs on another thread than the one
 * that ran the handler, so nothing here is kept by thread.
 * A request that is under way when its child dies leaves nothing.
 *
 * Clock reads, three for a response that is passed on in one piece, all of the
 * monotonic clock: handler called, end of stream, logged.  Every 10 ms one
 * request of the child reads the real clock besides: four.
 * A request that no handler saw reads both clocks when it is logged.  A
 * response in pieces, or a body that is read, adds two reads for each piece:
 * the time blocked there is the client's.
 */
#include "record/marks.h"

#include "http_log.h"
#include "http_request.h"

#include "base/clock.h"
#include "base/log.h"
#include "record/response.h"

#include <stdatomic.h>

APLOG_USE_MODULE(influx_metrics);

#define WAITING_MAX 65536 /* bytes read before they are passed on */

#if MODULE_MAGIC_NUMBER_MAJOR != 20120211
#error "ap_filter_t is filled in here as httpd 2.4 has it"
#endif

static apr_status_t on_output(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t on_input(ap_filter_t *f, apr_bucket_brigade *bb,
                             ap_input_mode_t mode, apr_read_type_e block,
                             apr_off_t readbytes);

/* Not registered with httpd, so that no configuration can name them: they only
 * work where they are a part of marks. */
static ap_filter_rec_t output_filter = { .name = "influx_metrics",
                                         .filter_func.out_func = on_output,
                                         .ftype = AP_FTYPE_PROTOCOL },
                       input_filter = { .name = "influx_metrics",
                                        .filter_func.in_func = on_input,
                                        .ftype = AP_FTYPE_PROTOCOL };

/* ---- clocks ---- */

/* When this child began to serve: no request of it can be older. */
static apr_int64_t child_began;

/*
 * Real minus monotonic clock in this process, looked at again after
 * OFFSET_LASTS: so most requests read the monotonic clock alone.  A clock that
 * is slewed drifts by less than a microsecond until then; one that is stepped
 * is noticed by the first request after it.
 */
#define OFFSET_LASTS APR_INT64_C(10000000) /* ns */
static _Atomic apr_int64_t clock_offset, offset_until;

__attribute__((noinline, cold)) static void look_at_real_clock(apr_int64_t now)
{
    atomic_store_explicit(&clock_offset, imx_clock_wall() - now,
                          memory_order_relaxed);
    /* Who sees this sees the offset, too: before the first one it is 0. */
    atomic_store_explicit(&offset_until, now + OFFSET_LASTS,
                          memory_order_release);
}

static apr_int64_t offset_at(apr_int64_t now)
{
    if (now >= atomic_load_explicit(&offset_until, memory_order_acquire)) {
        look_at_real_clock(now);
    }
    return atomic_load_explicit(&clock_offset, memory_order_relaxed);
}

/*
 * ns from the request line to `now` (monotonic; real: the same moment).  httpd
 * gives the time of the request line on the real clock alone.  When that was
 * stepped in between, the difference can be negative or longer than the child
 * lives; then it says nothing and counts as nothing.
 */
static apr_int64_t since_request_line(const request_rec *first,
                                      apr_int64_t now, apr_int64_t real)
{
    apr_int64_t ns = real - first->request_time * 1000;

    return (apr_uint64_t)ns <= (apr_uint64_t)(now - child_began) ? ns : 0;
}

apr_int64_t imx_marks_age(const imx_marks_t *m, const request_rec *first,
                          apr_int64_t now)
{
    apr_int64_t handler = IMX_MARKS_SEEN(&m->seen.handler);

    return handler != 0 ? now - handler + IMX_MARKS_SEEN(&m->waited)
                        : since_request_line(first, now, imx_clock_wall());
}

/* ---- under way ---- */

static imx_flights_t flights;

#define SEATS_A_WORKER 16 /* HTTP/2 and keep-alive: more than workers */
#define SEATS_LEAST 256

/* Without memory there are no seats, and requests are counted only. */
void imx_marks_child_init(unsigned workers)
{
    unsigned seats = workers < IMX_FLIGHTS_MAX ? workers * SEATS_A_WORKER
                                               : IMX_FLIGHTS_MAX;

    child_began = imx_clock_now();
    imx_flights_init(&flights, seats > SEATS_LEAST ? seats : SEATS_LEAST);
}

imx_flights_t *imx_marks_flights(void)
{
    return &flights;
}

#define NOWHERE (&imx_flight_nowhere)

static imx_flight_t *take_seat(imx_marks_t *m)
{
    imx_flight_t *seat = imx_flights_take(&flights, m);

    return seat != NULL ? seat : NOWHERE;
}

static void end_unseated(imx_marks_t *m)
{
    if (m->is_unseated) {
        m->is_unseated = 0;
        atomic_fetch_sub(&flights.unseated, 1);
    }
}

/*
 * The memory of the marks, and so that of its requests, is about to be given
 * back: before the pools in it are, so that nobody looks at a request that
 * httpd has not logged.  What is logged after this has no seat any more.
 */
static apr_status_t leave(void *data)
{
    imx_marks_t *m = data;

    end_unseated(m);
    if (m->flight != NOWHERE) {
        imx_flights_give(&flights, m->flight);
        m->flight = NOWHERE;
    }
    return APR_SUCCESS;
}

__attribute__((noinline, cold)) static void end_otherwise(
    imx_marks_t *m, const request_rec *first)
{
    end_unseated(m);
    imx_flight_end(m->flight, first);
}

/*
 * At the first step of logging, and not at the last one: another module's hook
 * can break off the others, and then a request's memory would be given back
 * while its marks, which are the connection's, still say it is under way.
 */
int imx_marks_end(request_rec *r)
{
    imx_marks_t *m = imx_marks_of(r);

    if (m != NULL && !imx_flight_ends(m->flight, r)) {
        end_otherwise(m, r);
    }
    return DECLINED;
}

/* ---- marks ---- */

__attribute__((noinline, cold)) static imx_marks_t *new_marks(request_rec *r,
                                                              int is_kept)
{
    conn_rec *c = r->connection;
    apr_pool_t *p = is_kept ? c->pool : r->pool;
    imx_marks_t *m = apr_pcalloc(p, sizeof *m);

    m->flight = take_seat(m);
    apr_pool_pre_cleanup_register(p, m, leave);
    m->filter.frec = &output_filter;
    m->in_filter.frec = &input_filter;
    m->second = INT64_MIN; /* none that comes */
    m->in_filter.ctx = m;
    m->filter.c = m->in_filter.c = c;
    if (is_kept) {
        ap_set_module_config(c->conn_config, &influx_metrics_module, m);
    }
    return m;
}

static int is_in_use(const imx_marks_t *m)
{
    return m->flight != NOWHERE ? imx_flight_is_on(m->flight) : m->is_unseated;
}

/* The marks of its connection, or others. */
__attribute__((noinline, cold)) static imx_marks_t *take_marks(
    request_rec *first)
{
    const conn_rec *c = first->connection;
    imx_marks_t *m = ap_get_module_config(c->conn_config,
                                          &influx_metrics_module);

    if (m == NULL || is_in_use(m)) {
        m = new_marks(first, m == NULL && c->master == NULL);
    }
    if (m->flight == NOWHERE) { /* perhaps there is one by now */
        m->flight = take_seat(m);
    }
    imx_marks_give(m, first);
    m->seen.is_passed_over = imx_schema_dir(first->per_dir_config)->enabled
                             != 1;
    if (m->flight != NOWHERE) {
        imx_flight_begin(m->flight, first);
    }
    else {
        m->is_unseated = 1;
        atomic_fetch_add(&flights.unseated, 1);
    }
    return m;
}

/*
 * Puts a filter on top of the protocol filters: below DEFLATE, above all that
 * makes the bytes of HTTP.  That is a place that ap_add_output_filter() cannot
 * name, and costs a tenth of it.  Redirects and ErrorDocument keep the protocol
 * filters.  The filter is never removed, as r->prev keeps a pointer to it;
 * `end` makes it pass things through.
 */
static void add_filter(ap_filter_t *filter, request_rec *r, ap_filter_t **link,
                       ap_filter_t **protocol)
{
    while (*link != *protocol && *link != NULL) {
        link = &(*link)->next;
    }
    filter->r = r;
    filter->next = *link;
    *link = *protocol = filter;
}

/* What only some requests have. */
imx_rare_t *imx_marks_rare(imx_marks_t *m, const request_rec *r)
{
    if (m->seen.rare == NULL) {
        m->seen.rare = apr_pcalloc(r->pool, sizeof *m->seen.rare);
    }
    return m->seen.rare;
}

/* An internal redirect is under way with its first request, whose marks need
 * not be those of its connection: these can be free, or another's. */
int imx_marks_begin_otherwise(request_rec *r)
{
    if (r->prev == NULL) {
        take_marks(r);
    }
    return DECLINED;
}

imx_marks_t *imx_marks_begin_early(request_rec *r)
{
    imx_marks_t *m = take_marks(r);

    if (imx_marks_has_body(r)) {
        imx_marks_rare(m, r)->has_body = 1;
        add_filter(&m->in_filter, r, &r->input_filters,
                   &r->proto_input_filters);
    }
    return m;
}

/* The handler of r is called, a redirect of `first` or that itself. */
static inline void mark_handler(imx_marks_t *m, const request_rec *first,
                                request_rec *r)
{
    apr_int64_t now;

    add_filter(&m->filter, r, &r->output_filters, &r->proto_output_filters);
    now = imx_clock_now();
    IMX_MARKS_SET(&m->waited,
                  since_request_line(first, now, now + offset_at(now)));
    IMX_MARKS_SET(&m->seen.handler, now);
}

static request_rec *first_of(request_rec *r)
{
    while (r->prev != NULL) {
        r = r->prev;
    }
    return r;
}

/* A redirected request comes here again: the first call counts, but what is
 * taken away is for the last one to say. */
__attribute__((noinline, cold)) static void insert_otherwise(
    request_rec *r, const imx_schema_dir_t *dir)
{
    request_rec *first = first_of(r);
    imx_marks_t *m = imx_marks_of(first);

    if (r->main != NULL) {
        return;
    }
    /* It began where requests are recorded, and is to be answered where they
     * are not: nobody is to see it. */
    if (dir->enabled != 1) {
        if (m != NULL) {
            IMX_MARKS_SET(&m->seen.is_passed_over, 1);
        }
        return;
    }
    if (m == NULL) {
        m = take_marks(first);
    }
    m->headers = dir->changes_headers;
    if (r != first) {
        imx_rare_t *rare = imx_marks_rare(m, r);

        rare->met_last = r;
        rare->met_first = m->seen.handler == 0 ? r : rare->met_first;
    }
    if (m->seen.handler == 0) {
        mark_handler(m, first, r);
        return;
    }
    /* Called by ap_die(), mostly below our filter: what comes now is the
     * answer, behind what has gone out of another one. */
    if (r->prev != NULL && !r->prev->sent_bodyct) {
        m->seen.first = 0;
    }
    IMX_MARKS_SET(&m->seen.end, 0);
    IMX_MARKS_SET(&m->seen.is_writing, 0);
}

/* Only a first request_rec has marks, so none that is of a redirect or a
 * subrequest goes the usual way. */
void imx_marks_insert_filter(request_rec *r)
{
    const imx_schema_dir_t *dir = imx_schema_dir(r->per_dir_config);
    imx_marks_t *m = imx_marks_of(r);

    if (dir->enabled == 1 && m != NULL && m->seen.handler == 0) {
        m->headers = dir->changes_headers;
        mark_handler(m, r, r);
    }
    else if (dir->enabled == 1 || m != NULL || r->prev != NULL) {
        insert_otherwise(r, dir);
    }
}

/* ---- the output filter ---- */

_Static_assert(offsetof(imx_marks_t, filter) == 0,
               "the output filter of a request is where its marks are");

static inline imx_marks_t *marks_of(ap_filter_t *f)
{
    return (imx_marks_t *)f;
}

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

/* A piece was not taken, or a part of the body did not come. */
__attribute__((noinline, cold)) static apr_status_t failed(imx_marks_t *m,
                                                           apr_status_t rv)
{
    m->seen.is_broken_off |= is_gone(rv);
    return rv;
}

/* The next filter, as ap_pass_brigade() calls it; what that does besides, note
 * the end of the stream in r, it has done when it called this one. */
static inline apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_status_t rv = f->next->frec->filter_func.out_func(f->next, bb);

    return rv == APR_SUCCESS ? rv : failed(marks_of(f), rv);
}

/* A piece with more to come: what it waits for below is the client's time. */
__attribute__((noinline)) static apr_status_t pass_piece(
    ap_filter_t *f, apr_bucket_brigade *bb, apr_int64_t before)
{
    imx_marks_t *m = marks_of(f);
    apr_int64_t after;
    apr_status_t rv;

    if (m->seen.first == 0) {
        m->seen.first = before;
    }
    IMX_MARKS_SET(&m->seen.is_writing, 1);
    rv = ap_pass_brigade(f->next, bb);
    after = imx_clock_now();
    /* Else ap_die() made an answer below: what that waited for is counted. */
    if (m->seen.is_writing && m->seen.end == 0) {
        m->seen.blocked_out += after - before;
    }
    IMX_MARKS_SET(&m->seen.is_writing, 0);
    return rv == APR_SUCCESS ? rv : failed(m, rv);
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

/* An empty brigade, one for all pieces of a request: brigades stay in its pool
 * until it ends.  It is in use when ap_die() makes an answer below, which comes
 * through this filter while a piece is passed; that answer gets another one. */
static apr_bucket_brigade *empty_brigade(ap_filter_t *f,
                                         const apr_bucket_brigade *bb)
{
    imx_rare_t *rare = imx_marks_rare(marks_of(f), f->r);

    if (rare->rest == NULL || !APR_BRIGADE_EMPTY(rare->rest)) {
        rare->rest = apr_brigade_create(f->r->pool, bb->bucket_alloc);
    }
    return rare->rest;
}

/* Passes what is before e, with a flush; bb keeps e and what is behind it. */
static apr_status_t pass_front(ap_filter_t *f, apr_bucket_brigade *bb,
                               apr_bucket *e)
{
    apr_bucket_brigade *rest = apr_brigade_split_ex(bb, e,
                                                    empty_brigade(f, bb));
    apr_status_t rv;

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(bb->bucket_alloc));
    rv = pass_piece(f, bb, imx_clock_now());
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
        if (rv != APR_SUCCESS) {
            return rv;
        }
        rv = apr_bucket_read(e, &data, len, APR_BLOCK_READ);
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, f->r, IMX_LOGNO(92) "the "
                      "response breaks off: its handler's output cannot be "
                      "read any further");
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
    imx_marks_t *m = marks_of(f);
    apr_status_t rv = read_to_end(f, bb);

    if (m->seen.end == 0) { /* else an answer of ap_die() came and ended */
        IMX_MARKS_SET(&m->seen.end, imx_clock_now());
    }
    return rv == APR_SUCCESS ? pass(f, bb) : rv;
}

__attribute__((noinline)) static apr_status_t on_piece(
    ap_filter_t *f, apr_bucket_brigade *bb, apr_int64_t now)
{
    if (has_unread_piece(bb)) {
        apr_status_t rv = read_to_end(f, bb);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        now = imx_clock_now();
    }
    return pass_piece(f, bb, now);
}

/* At the first output. */
__attribute__((noinline, cold)) static void change_headers(ap_filter_t *f,
                                                           apr_int64_t now)
{
    imx_marks_t *m = marks_of(f);
    const imx_schema_dir_t *dir = m->headers;

    m->headers = NULL;
    if (dir->unset_headers != NULL) {
        imx_response_take(f->r, dir->unset_headers,
                          &imx_marks_rare(m, f->r)->taken);
    }
    if (dir->server_timing == 1) {
        imx_response_add_timing(f->r, m->waited,
                                now - m->seen.handler - m->seen.blocked_in);
    }
}

static apr_status_t on_output(ap_filter_t *f, apr_bucket_brigade *bb)
{
    imx_marks_t *m = marks_of(f);

    if (m->seen.end == 0) {
        apr_int64_t now = imx_clock_now();

        if (m->headers != NULL) {
            change_headers(f, now);
        }
        if (!has_end(bb)) {
            return on_piece(f, bb, now);
        }
        if (has_unread(bb)) {
            return pass_unread(f, bb);
        }
        IMX_MARKS_SET(&m->seen.end, now);
    }
    return pass(f, bb);
}

/* ---- the input filter ---- */

/* A body that is read before the handler is called is read by an access
 * checker, or by who looks through it for attacks. */
static void count_read(imx_marks_t *m, apr_int64_t ns)
{
    if (m->seen.handler == 0) {
        m->seen.rare->before += ns; /* there is a body, and so rare */
    }
    else if (m->seen.end == 0) {
        m->seen.blocked_in += ns;
    }
}

static apr_status_t read_body(ap_filter_t *f, apr_bucket_brigade *bb,
                              ap_input_mode_t mode, apr_read_type_e block,
                              apr_off_t readbytes)
{
    imx_marks_t *m = f->ctx;
    apr_int64_t before = imx_clock_now();
    apr_off_t length;
    apr_status_t rv;

    IMX_MARKS_SET(&m->seen.is_reading, 1);
    rv = ap_get_brigade(f->next, bb, mode, block, readbytes);
    IMX_MARKS_SET(&m->seen.is_reading, 0);
    count_read(m, imx_clock_now() - before);
    if (rv != APR_SUCCESS) {
        return failed(m, rv);
    }
    if (mode != AP_MODE_SPECULATIVE
        && apr_brigade_length(bb, 0, &length) == APR_SUCCESS && length > 0) {
        m->seen.rare->received += length; /* there is one: has_body */
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
    imx_marks_t *m = f->ctx;

    return m->seen.is_reading
               ? ap_get_brigade(f->next, bb, mode, block, readbytes)
               : read_body(f, bb, mode, block, readbytes);
}

/* ---- facts ---- */

/* As %B has it; HTTP/2 counts the body of a response to HEAD. */
static inline apr_int64_t bytes_sent(const request_rec *last)
{
    return last->sent_bodyct && !last->header_only ? last->bytes_sent : 0;
}

imx_facts_t imx_marks_unhandled(request_rec *first, request_rec *last,
                                imx_marks_t *m)
{
    imx_facts_t f = { .first = first,
                      .last = last,
                      .marks = m,
                      .met_handler = 0,
                      .now = imx_clock_now(),
                      .ended = imx_clock_wall(),
                      .application_time = IMX_ABSENT,
                      .bytes_sent = bytes_sent(last) };

    f.request_time = since_request_line(first, f.now, f.ended);
    return f;
}

/* Without an end of the stream (a tunnel, a handler that gave up) all the time
 * is the application's but what was spent on the client. */
imx_facts_t imx_marks_handled(request_rec *first, request_rec *last,
                              imx_marks_t *m, apr_int64_t now)
{
    apr_int64_t end = m->seen.end != 0 ? m->seen.end : now;
    imx_facts_t f = {
        .first = first,
        .last = last,
        .marks = m,
        .met_handler = 1,
        .now = now,
        .ended = now
                 + atomic_load_explicit(&clock_offset, memory_order_relaxed),
        .request_time = now - m->seen.handler + m->waited,
        .application_time = end - m->seen.handler - m->seen.blocked_in
                            - m->seen.blocked_out,
        .bytes_sent = bytes_sent(last)
    };

    return f;
}
