/*
 * marks.h: the marks of a request, which the hooks and filters set while it is
 * worked on, and the facts that come of them when it has ended.
 * Any thread of a child: HTTP/2 logs a request on another thread than the one
 * that ran its handler, and hands the marks on together with the request.
 */
#ifndef IMX_MARKS_H
#define IMX_MARKS_H

#include "httpd.h"
#include "http_config.h"
#include "util_filter.h"

#include "base/flight.h"
#include "config/schema.h"

#define IMX_MARKS_SET(mark, value) \
    __atomic_store_n((mark), (value), __ATOMIC_RELEASE)
#define IMX_MARKS_SEEN(mark) __atomic_load_n((mark), __ATOMIC_ACQUIRE)

#define IMX_ABSENT (-1)   /* a time or number that there is none of */
#define IMX_SECOND_LEN 11 /* bytes of " 1763961600" */
#define IMX_SECOND APR_INT64_C(1000000000) /* ns */

/* What only some requests have; in r->pool. */
typedef struct {
    int has_body;         /* the input filter is in the chain */
    apr_int64_t received; /* bytes of the body */
    apr_int64_t before;   /* ns blocked reading it before the handler */
    const char *scheme;   /* what TLS knew before the handler, where a ... */
    const char *tls_version;  /* ... point needs it; NULL: not looked at */
    apr_table_t *taken;       /* headers that were taken away; NULL: none */
    apr_bucket_brigade *rest; /* kept for splitting; NULL: not needed yet */
    /* Of a chain of internal redirects, of which one met a handler behind the
     * first request: the last that did, and the first, which is NULL where
     * that is the first request. */
    request_rec *met_last;
    const request_rec *met_first;
} imx_rare_t;

/*
 * What has been seen of one request; all zero when it begins.  The child's
 * monitor reads handler, end and the flags but is_broken_off meanwhile, and
 * behind a handler that was called `waited`: they are written by SET, and read
 * there by SEEN.
 */
typedef struct {
    apr_int64_t handler; /* it was called; 0: not yet */
    apr_int64_t end;     /* the end of the stream was produced; 0: not yet */
    apr_int64_t first;   /* first output; 0: it was the end */
    apr_int64_t blocked_in;  /* ns from handler to end, reading the body ... */
    apr_int64_t blocked_out; /* ... and writing */
    imx_rare_t *rare;        /* NULL: nothing */
    int is_reading;          /* of the body, now */
    int is_writing;          /* of a piece before the last one, now */
    int is_broken_off;       /* reading or writing found no client */
    int is_passed_over; /* up to the handler nobody said that it is recorded */
} imx_seen_t;

/*
 * Times are ns of the monotonic clock.
 *
 * A connection keeps one struct and uses it again for each of its requests:
 * r->pool would often have to grow for it, which costs more than all else here.
 * A request that comes while the one before it is not yet logged (pipelining)
 * and the streams of HTTP/2, which other threads log, have theirs in r->pool.
 */
typedef struct {
    ap_filter_t filter;    /* of output; first: it is where the marks are */
    ap_filter_t in_filter; /* its context is this struct */
    /* Its seat, where its request is under way until it is logged; NOWHERE:
     * none was free, and ... */
    imx_flight_t *flight;
    int is_unseated;    /* ... it is under way without one */
    apr_int64_t waited; /* ns from the request line to the handler */
    imx_seen_t seen;
    const imx_schema_dir_t *headers; /* how they are changed; NULL: not */
    /* line.c: when the second of the connection's last point began (ns since
     * 1970; before 1970: none yet), and how that stands in a line. */
    apr_int64_t second;
    char second_text[IMX_SECOND_LEN];
} imx_marks_t;

/* All that is known of a finished request; lives while it is logged. */
typedef struct {
    request_rec *first, *last; /* of its chain of internal redirects */
    imx_marks_t *marks;        /* NULL: it had no body, and met no handler */
    int met_handler;
    int route;         /* imx_getters_route(): known when it was counted */
    apr_int64_t now;   /* logged; of the monotonic clock */
    apr_int64_t ended; /* the same in ns since 1970 */
    apr_int64_t request_time;     /* ns */
    apr_int64_t application_time; /* ns; ABSENT: no handler was called */
    apr_int64_t bytes_sent;
} imx_facts_t;

/* A child, before its first request.  workers: its threads that serve. */
void imx_marks_child_init(unsigned workers);

/* The requests that are under way in this child, and have marks: their owners,
 * imx_marks_t, in their seats. */
imx_flights_t *imx_marks_flights(void);

/* Monitor: ns from the request line of `first`, which has these marks, to now.
 * A step of the real clock is in it only before the handler was called, and
 * then 0 is said where the clock says nothing. */
apr_int64_t imx_marks_age(const imx_marks_t *m, const request_rec *first,
                          apr_int64_t now);

/* Hook post_read_request, for a request that needs marks before its handler: it
 * is under way, and the body that anybody reads from now on is counted. */
imx_marks_t *imx_marks_begin_early(request_rec *r);

/* First in the hook log_transaction: no one looks at the request any more. */
int imx_marks_end(request_rec *r);

/* What only some requests have, made when it is needed; r: any of its chain. */
imx_rare_t *imx_marks_rare(imx_marks_t *m, const request_rec *r);

/* Hook insert_filter: what comes next is the handler. */
void imx_marks_insert_filter(request_rec *r);

/* "Content-Length" or "Transfer-Encoding", not "Connection" or "Cookie". */
static inline __attribute__((always_inline)) int imx_marks_is_of_body(
    const char *name)
{
    switch (*name | 0x20) {
    case 'c':
        return (name[1] | 0x20) == 'o' && (name[2] | 0x20) == 'n'
               && (name[3] | 0x20) == 't'
               && ap_cstr_casecmp(name, "Content-Length") == 0;
    case 't':
        return ap_cstr_casecmp(name, "Transfer-Encoding") == 0;
    default:
        return 0;
    }
}

/* Does the request have a body, as its header says?  mod_http2 sets
 * Transfer-Encoding for a stream whose header does not end it.  (APR's macro
 * apr_is_empty_table() looks into a table in the same way.) */
static inline __attribute__((always_inline)) int imx_marks_has_body(
    const request_rec *r)
{
    const apr_array_header_t *headers =
        (const apr_array_header_t *)r->headers_in;
    const apr_table_entry_t *h = (const apr_table_entry_t *)headers->elts;
    const apr_table_entry_t *end = h + headers->nelts;

    while (h < end && !imx_marks_is_of_body(h->key)) {
        h++;
    }
    return h < end;
}

/* The marks of a first request_rec; NULL: there are none. */
static inline imx_marks_t *imx_marks_of(const request_rec *first)
{
    extern module AP_MODULE_DECLARE_DATA influx_metrics_module;

    return ap_get_module_config(first->request_config, &influx_metrics_module);
}

static inline void imx_marks_give(imx_marks_t *m, request_rec *first)
{
    extern module AP_MODULE_DECLARE_DATA influx_metrics_module;

    memset(&m->seen, 0, sizeof m->seen);
    ap_set_module_config(first->request_config, &influx_metrics_module, m);
}

/* Where its connection has no marks, or they are in use; or for an internal
 * redirect, which comes here again.  DECLINED. */
int imx_marks_begin_otherwise(request_rec *r);

/* Hook post_read_request, for all others: it is under way.  DECLINED. */
static inline __attribute__((always_inline)) int imx_marks_begin(request_rec *r)
{
    extern module AP_MODULE_DECLARE_DATA influx_metrics_module;
    imx_marks_t *m = ap_get_module_config(r->connection->conn_config,
                                          &influx_metrics_module);

    if (m == NULL || r->prev != NULL || imx_flight_is_on(m->flight)) {
        return imx_marks_begin_otherwise(r);
    }
    imx_marks_give(m, r);
    imx_flight_begin(m->flight, r); /* from here on the monitor looks at it */
    return DECLINED;
}

/* The facts of a request that has ended: its handler was called, and it is
 * logged now; or it was answered before that (marks may be NULL then).  marks:
 * those of `first`. */
imx_facts_t imx_marks_handled(request_rec *first, request_rec *last,
                              imx_marks_t *marks, apr_int64_t now);
imx_facts_t imx_marks_unhandled(request_rec *first, request_rec *last,
                                imx_marks_t *marks);

#endif
