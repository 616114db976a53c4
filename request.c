/*
 * request.c owns what is measured of a request: marks, filters, the line.
 * Entered by any thread of a child; HTTP/2 logs on another thread than the one
 * that ran the handler, so nothing here is kept by thread.
 * A request that is under way when its child dies leaves nothing; one that was
 * appended is in the batch.
 *
 * Clock reads, at most four for a response that is passed on in one piece:
 *   handler called      monotonic, real
 *   end of stream       monotonic
 *   logged              monotonic
 * A request that no handler saw: real, when it is logged (and monotonic at its
 * end of stream).  A response in pieces, or a body that is read, adds two
 * reads for each piece: the time blocked there is the client's.
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

extern module AP_MODULE_DECLARE_DATA influx_metrics_module;

#define FILTER_NAME "INFLUX_METRICS"
#define PROCESS_TAG_MAX 512         /* bytes of ",process=HOST:PID", escaped */

/*
 * What happened when, in ns of the monotonic clock; 0: did not happen.  One for
 * each request from the network, in r->pool, found through request_config of
 * the first request_rec.  Threads hand it on together with the request.
 */
typedef struct {
    apr_int64_t start;              /* the request line was there */
    apr_int64_t handler;            /* the handler was called */
    apr_int64_t end;                /* end of stream was produced */
    apr_int64_t blocked;            /* ns from handler to end, on the client */
} marks_t;

static ap_filter_rec_t *output_filter, *input_filter;

/* Real minus monotonic clock, as last seen in this process.  The end of a
 * request is read from the monotonic clock alone; after the real clock was
 * stepped, the requests that end before another begins in this child carry the
 * time of the old one. */
static _Atomic apr_int64_t clock_offset;

static apr_int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * APR_INT64_C(1000000000) + t.tv_nsec;
}

static marks_t *marks_of(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &influx_metrics_module);
}

/* ---- marks ---- */

int imx_request_create(request_rec *r)
{
    marks_t *m;

    if (r->main != NULL || r->prev != NULL || imx_runtime_child() == NULL) {
        return OK;
    }
    m = apr_palloc(r->pool, sizeof *m);
    m->handler = m->end = m->blocked = 0;
    ap_set_module_config(r->request_config, &influx_metrics_module, m);
    /* Here the chain is empty, so this one becomes the first of the protocol
     * filters: below DEFLATE, above what makes the bytes of HTTP. */
    ap_add_output_filter_handle(output_filter, m, r, r->connection);
    return OK;
}

/* Directly before the handler.  Redirected requests come here again: the first
 * call counts. */
void imx_request_insert_filter(request_rec *r)
{
    const request_rec *first = r;
    apr_int64_t real, since_start;
    marks_t *m;

    if (r->main != NULL) {
        return;
    }
    while (first->prev != NULL) {
        first = first->prev;
    }
    m = marks_of(first);
    if (m == NULL || m->handler != 0) {
        return;
    }
    m->handler = read_clock(CLOCK_MONOTONIC);
    real = read_clock(CLOCK_REALTIME);
    atomic_store_explicit(&clock_offset, real - m->handler,
                          memory_order_relaxed);
    since_start = real - first->request_time * 1000;
    m->start = m->handler - (since_start > 0 ? since_start : 0);
    if (r->method_number != M_GET) {
        ap_add_input_filter_handle(input_filter, m, r, r->connection);
    }
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

/* A protocol filter: redirects and ErrorDocument keep it. */
static apr_status_t on_output(ap_filter_t *f, apr_bucket_brigade *bb)
{
    marks_t *m = f->ctx;
    apr_int64_t before;
    apr_status_t rv;

    if (m->end != 0) {
        return ap_pass_brigade(f->next, bb);
    }
    before = read_clock(CLOCK_MONOTONIC);
    if (has_end(bb)) {
        m->end = before;
        return ap_pass_brigade(f->next, bb);
    }
    rv = ap_pass_brigade(f->next, bb);
    m->blocked += read_clock(CLOCK_MONOTONIC) - before;
    return rv;
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

/* ",process=web1:3" in front of the tail of each virtual host's line. */
static void add_process(apr_pool_t *pchild, imx_config_server_t *conf,
                        const char *tag, apr_size_t tag_len)
{
    char *tail = apr_palloc(pchild, tag_len + conf->tail_len);

    memcpy(tail, tag, tag_len);
    memcpy(tail + tag_len, conf->tail, conf->tail_len);
    conf->tail = tail;
    conf->tail_len += tag_len;
}

void imx_request_child_init(apr_pool_t *pchild, server_rec *s)
{
    const imx_config_t *global = imx_config_global();
    char text[PROCESS_TAG_MAX];
    const char *process;
    imx_lineproto_t lp;
    unsigned number;

    if (imx_runtime_child() == NULL
        || global->process_tag == IMX_PROCESS_OFF) {
        return;
    }
    number = global->process_tag == IMX_PROCESS_PID
             ? (unsigned)getpid() : imx_runtime_child()->slot;
    process = apr_psprintf(pchild, "%s:%u", global->hostname, number);
    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("process"), process,
                      strlen(process));
    for (; s != NULL; s = s->next) {
        add_process(pchild, imx_config_server(s), text,
                    imx_lineproto_length(&lp));
    }
}

static void put_method(imx_lineproto_t *lp, const request_rec *r)
{
    if (r->method == NULL || r->method_number == M_INVALID) {
        imx_lineproto_encoded(lp, IMX_LINEPROTO_TEXT("OTHER"));
    }
    else {
        imx_lineproto_encoded(lp, r->method, strlen(r->method));
    }
}

static void put_status(imx_lineproto_t *lp, int status)
{
    char digits[3];

    if (status < 100 || status > 999) {
        status = 0;
    }
    digits[0] = (char)('0' + status / 100);
    digits[1] = (char)('0' + status / 10 % 10);
    digits[2] = (char)('0' + status % 10);
    imx_lineproto_encoded(lp, digits, sizeof digits);
}

/* The times, and when the request ended (ns since 1970). */
static apr_int64_t put_times(imx_lineproto_t *lp, const request_rec *r,
                             const marks_t *m)
{
    apr_int64_t ended, request_time;

    if (m->handler == 0) {
        ended = read_clock(CLOCK_REALTIME);
        request_time = ended - r->request_time * 1000;
    }
    else {
        ended = read_clock(CLOCK_MONOTONIC);
        request_time = ended - m->start;
        ended += atomic_load_explicit(&clock_offset, memory_order_relaxed);
    }
    imx_lineproto_key(lp, IMX_LINEPROTO_TEXT("request_time"));
    imx_lineproto_put_seconds(lp, request_time > 0 ? request_time : 0);
    if (m->handler != 0 && m->end != 0) {
        imx_lineproto_key(lp, IMX_LINEPROTO_TEXT("application_time"));
        imx_lineproto_put_seconds(lp, m->end - m->handler - m->blocked);
    }
    return ended;
}

/* httpd logs the first request_rec; how it ended is known by the last one. */
int imx_request_log(request_rec *r)
{
    imx_batch_child_t *child = imx_runtime_child();
    const imx_config_server_t *conf;
    const request_rec *last = r;
    const marks_t *m = marks_of(r);
    char line[IMX_BATCH_LINE_MAX];
    imx_lineproto_t lp;
    apr_int64_t ended;

    while (last->next != NULL) {
        last = last->next;
    }
    if (m == NULL || imx_config_dir(last->per_dir_config)->enabled != 1) {
        return DECLINED;
    }
    conf = imx_config_server(r->server);
    imx_lineproto_init(&lp, line, sizeof line);
    imx_lineproto_encoded(&lp, conf->head, conf->head_len);
    put_method(&lp, r);
    imx_lineproto_encoded(&lp, conf->tail, conf->tail_len);
    put_status(&lp, last->status);
    ended = put_times(&lp, r, m);
    imx_lineproto_key(&lp, IMX_LINEPROTO_TEXT("bytes_sent"));
    imx_lineproto_put_int(&lp, last->header_only ? 0 : last->bytes_sent);
    imx_lineproto_end(&lp, imx_batch_unique_time(child->batch, ended));
    imx_batch_append(child, line, imx_lineproto_length(&lp));
    return DECLINED;
}
