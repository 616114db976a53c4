/*
 * helper.c owns the parent's last step: a helper without root's rights delivers
 * what the children left, while the parent waits a bounded time.
 * Entered by the parent's only thread, when the whole server ends.
 * What neither InfluxDB nor the spool has by then ends with the arena.
 */
#include "server/helper.h"

#include "ap_listen.h"
#include "http_config.h"
#include "http_log.h"
#include "mpm_common.h"
#include "unixd.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "deliver/monitor.h"
#include "report/schedule.h"
#include "server/options.h"
#include "server/runtime.h"

#include <curl/curl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

APLOG_USE_MODULE(influx_metrics);

/*
 * How long the helper may go on, beyond InfluxMetricsShutdownTimeout: without
 * one line delivered or written to the spool, and in all.  A stop in which the
 * helper hangs stays under 8 s, with a ShutdownTimeout of 2 s.
 */
#define STALL_MS 3500
#define WORK_MS 8000
#define KILL_MS 500 /* for which a killed helper may take to end */

static int64_t in_ms(int ms)
{
    return imx_clock_now() + ms * IMX_CLOCK_MS;
}

/*
 * prefork's graceful stop, the usual one under systemd, leaves children behind
 * that are still delivering; systemd kills them when the parent exits.
 */
static void wait_for_children(const imx_arena_t *a)
{
    int64_t deadline = in_ms(imx_config_global()->shutdown_ms + 1000);

    while (imx_children_count(&a->children) > 0
           && imx_clock_now() < deadline) {
        imx_clock_pause(10);
    }
}

static int drop_privileges(server_rec *s)
{
    int was_root = geteuid() == 0;

    return ap_run_drop_privileges(s->process->pconf, s) == OK
           && (!was_root || geteuid() == ap_unixd_config.user_id);
}

/* The helper's whole life. */
static void help(server_rec *s)
{
    static imx_batch_child_t child;
    imx_monitor_options_t o = imx_options_get(s, &child);
    imx_children_self_t self;
    imx_monitor_t *m = NULL;

    /* It appends the last lines of what is measured, and so it needs a row. */
    (void)imx_children_join(&o.arena->children, &self, getpid());
    imx_batch_open(&child, &o.arena->batch, &self);
    if (drop_privileges(s)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        m = imx_monitor_create(&o);
    }
    if (m != NULL) {
        imx_monitor_end_server(m);
    }
    _exit(m == NULL);
}

static int has_ended(pid_t helper)
{
    return waitpid(helper, NULL, WNOHANG) != 0;
}

/* Returns whether the helper has ended by itself.  ShutdownTimeout is given
 * once, and not again after each line that was delivered within it. */
static int wait_for_helper(pid_t helper, const imx_arena_t *a)
{
    int64_t shutdown = in_ms(imx_config_global()->shutdown_ms);
    int64_t end = shutdown + WORK_MS * IMX_CLOCK_MS;
    int64_t stalled = shutdown + STALL_MS * IMX_CLOCK_MS;
    apr_uint64_t pending = imx_batch_totals(&a->batch).pending, now;

    while (!has_ended(helper)) {
        now = imx_batch_totals(&a->batch).pending;
        if (now != pending) {
            pending = now;
            stalled = imx_clock_now() > shutdown ? in_ms(STALL_MS) : stalled;
        }
        if (imx_clock_now() >= stalled || imx_clock_now() >= end) {
            return 0;
        }
        imx_clock_pause(5);
    }
    return 1;
}

static void kill_helper(server_rec *s, pid_t helper)
{
    int64_t end = in_ms(KILL_MS);

    kill(helper, SIGKILL);
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(38) "the process that "
                 "delivers what is left at the end made no progress, or took "
                 "too long, and was killed; perhaps the disk of the spool or "
                 "of a file for InfluxDB hangs");
    while (!has_ended(helper) && imx_clock_now() < end) {
        imx_clock_pause(5);
    }
}

/*
 * Root must not work on memory that the server's user can write, in a directory
 * of this user, nor talk to InfluxDB: a helper without root's rights does.  The
 * listeners are closed first, so that the next start finds its port free.
 */
static void deliver_rest(server_rec *s, const imx_arena_t *a)
{
    pid_t helper;

    if (imx_batch_totals(&a->batch).pending == 0 && !imx_schedule_is_open(a)) {
        return;
    }
    ap_close_listeners();
    helper = fork();
    if (helper == 0) {
        help(s);
    }
    if (helper > 0 && !wait_for_helper(helper, a)) {
        kill_helper(s, helper);
    }
}

/* What nobody could deliver ends with the arena. */
static void say_what_is_lost(server_rec *s, const imx_arena_t *a)
{
    imx_board_t d = imx_board_told(&a->board);
    imx_batch_totals_t t = imx_batch_totals(&a->batch);
    apr_uint64_t lost = t.no_room + t.fate[IMX_BATCH_DROPPED]
                        + t.fate[IMX_BATCH_TORN] + d.spool_dropped;
    apr_uint64_t refused = t.fate[IMX_BATCH_REJECTED] + d.spool_rejected;

    if (t.pending > 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     IMX_LOGNO(33) "%" APR_UINT64_T_FMT
                                   " points are given up, InfluxDB did "
                                   "not take them before the end",
                     t.pending);
    }
    if (lost > 0 || refused > 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(36) "since the "
                     "start, of %" APR_UINT64_T_FMT " points %" APR_UINT64_T_FMT
                     " were lost and %" APR_UINT64_T_FMT " refused",
                     t.recorded + d.spool_found, lost, refused);
    }
}

void imx_helper_end_server(server_rec *s)
{
    const imx_arena_t *a = imx_runtime_arena();

    wait_for_children(a);
    deliver_rest(s, a);
    say_what_is_lost(s, a);
}
