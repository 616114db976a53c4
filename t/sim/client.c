/*
 * client.c stands for src/deliver/influx.c: the same functions, without curl.
 * Entered by the tasks of simulated processes that deliver.
 * Nothing survives the process; a body that has arrived is InfluxDB's.
 */
#include "calls.h"
#include "chance.h"
#include "influxdb.h"
#include "ledger.h"
#include "process.h"
#include "sched.h"

#include "deliver/influx.h"
#include "deliver/reason.h"
#include "deliver/retry_after.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct imx_influx {
    const imx_influx_options_t *o;
    int secret;
    influxdb_post_t *post; /* NULL: nothing is under way */
    int64_t began;
};

int imx_influx_open(imx_influx_t **out, const imx_influx_options_t *o,
                    char *reason)
{
    process_point("influx open");
    *out = sim_calloc(1, sizeof **out);
    if (*out == NULL) {
        imx_reason_explain(reason, "out of memory");
        return ENOMEM;
    }
    (*out)->o = o;
    (*out)->secret = influxdb_secret();
    return 0;
}

void imx_influx_post(imx_influx_t *in, const imx_influx_line_t *lines,
                     size_t count)
{
    process_point("post");
    if (in->post != NULL) {
        trace_wrong("a body is begun while another one is under way");
    }
    if (influxdb_serves_another(process_self())) {
        trace_wrong("two children deliver at once");
    }
    ledger_post(process_self(), ledger_number(lines[0].data, lines[0].len),
                count);
    in->began = sched_now();
    in->post = influxdb_take(process_self(), process_self(), lines, count,
                             in->secret);
    process_point("posted");
}

/* Here the whole body is under way at once: what the flow changes is how long
 * that takes, and a body of this world takes any time. */
void imx_influx_flow(imx_influx_t *in, uint64_t piece)
{
    (void)in;
    (void)piece;
}

void imx_influx_create_database(imx_influx_t *in)
{
    process_point("create");
    in->began = sched_now();
    in->post = influxdb_take_creation(process_self(), process_self(),
                                      in->secret);
}

static void explain(imx_influx_result_t *r, imx_influx_answer_e answer,
                    int code, const char *reason)
{
    r->answer = answer;
    r->status = 0;
    r->curl_code = code;
    r->dropped = -1;
    imx_reason_explain(r->reason, reason);
}

static void sort(imx_influx_t *in, imx_influx_result_t *r)
{
    influxdb_post_t *p = in->post;

    if (p->retry_after[0]) {
        r->retry_after_ms =
            imx_retry_after_ms(p->retry_after, strlen(p->retry_after),
                               (time_t)(calls_real_time() / SIM_SECOND));
    }
    if (p->creates) {
        imx_answer_sort_created(p->status, p->text, strlen(p->text), r);
        return;
    }
    imx_answer_sort(in->o->api, p->status, p->text, strlen(p->text), r);
    imx_answer_count(in->o->api, p->count, r);
}

/* The ledger is told what the module is told now. */
static void note(imx_influx_t *in, const imx_influx_result_t *r)
{
    influxdb_post_t *p = in->post;

    if (!p->creates
        && (r->answer == IMX_INFLUX_SENT || r->answer == IMX_INFLUX_REJECTED
            || (r->answer == IMX_INFLUX_PARTIAL && r->dropped >= 0
                && !r->more))) {
        ledger_acknowledged(process_self(), p->numbers, p->count,
                            r->answer == IMX_INFLUX_PARTIAL && !r->quotes
                                && r->line == 0 && p->count > 1);
    }
    if (r->answer == IMX_INFLUX_RETRY || r->answer == IMX_INFLUX_UNKNOWN) {
        ledger_not_before(process_self(), in->began, r->retry_after_ms);
    }
    else if (r->answer == IMX_INFLUX_SENT || r->answer == IMX_INFLUX_PARTIAL) {
        ledger_taken(in->began);
    }
    else if (r->answer == IMX_INFLUX_UNAUTHORIZED
             || r->answer == IMX_INFLUX_NOT_FOUND) {
        ledger_failed();
    }
}

/* Fills *r when there is news of it; returns 0 while there is none. */
static int is_over(imx_influx_t *in, imx_influx_result_t *r)
{
    influxdb_post_t *p = in->post;
    int64_t spent = (sched_now() - in->began) / SIM_MS;

    memset(r, 0, sizeof *r);
    r->retry_after_ms = -1;
    if (p->state == POST_ANSWERED) {
        sort(in, r);
    }
    else if (p->state == POST_BROKEN) {
        explain(r, p->was_sent ? IMX_INFLUX_UNKNOWN : IMX_INFLUX_RETRY,
                p->curl_code, "the connection broke");
    }
    else if (!p->was_sent && spent >= in->o->connect_timeout_ms) {
        explain(r, IMX_INFLUX_RETRY, 28, "no connection in time");
    }
    else if (spent >= in->o->total_timeout_ms) {
        explain(r, IMX_INFLUX_UNKNOWN, 28, "no answer in time");
        r->try_smaller = 1;
    }
    else {
        return 0;
    }
    return 1;
}

imx_influx_answer_e imx_influx_step(imx_influx_t *in,
                                    imx_influx_result_t *result)
{
    process_point("step");
    if (in->post == NULL) {
        return IMX_INFLUX_IDLE;
    }
    if (!is_over(in, result)) {
        return IMX_INFLUX_BUSY;
    }
    trace_tell("the client is told: answer %d, status %ld, %.40s",
               (int)result->answer, result->status, result->reason);
    note(in, result);
    influxdb_leave(in->post);
    in->post = NULL;
    process_point("told the client");
    return result->answer;
}

void imx_influx_wait(imx_influx_t *in, int wake_fd, int ms)
{
    int64_t deadline = sched_now() + ms * SIM_MS, timeout;

    process_point("wait");
    if (in->post != NULL) {
        timeout = in->began
                  + (in->post->was_sent ? in->o->total_timeout_ms
                                        : in->o->connect_timeout_ms)
                        * SIM_MS;
        deadline = timeout < deadline ? timeout : deadline;
    }
    while (sched_now() < deadline && !calls_is_readable(wake_fd)
           && (in->post == NULL || in->post->state < POST_ANSWERED)) {
        sched_wait(process_self(), deadline);
    }
}

/* What went out and was not answered may be stored. */
uint64_t imx_influx_in_doubt(const imx_influx_t *in)
{
    return in->post != NULL && in->post->was_sent ? in->post->count : 0;
}

int imx_influx_is_out(const imx_influx_t *in)
{
    return in->post != NULL && in->post->state >= POST_CAME;
}

void imx_influx_abort(imx_influx_t *in)
{
    if (in->post != NULL) {
        influxdb_leave(in->post);
        in->post = NULL;
    }
}

int imx_influx_reload_secret(imx_influx_t *in, char *reason)
{
    int changed = in->secret != influxdb_secret();

    process_point("read the secret");
    if (influxdb_secret() < 0) {
        imx_reason_explain(reason, "/secret: Permission denied");
        return -1;
    }
    in->secret = influxdb_secret();
    return changed;
}

void imx_influx_close(imx_influx_t *in)
{
    imx_influx_abort(in);
    sim_free(in);
}
