/*
 * life.c owns the hooks of a process's life: the parent's start and end, and
 * those of each child with its monitor.
 * Entered by the parent's only thread, and by each child's main thread: at its
 * end also in a signal handler (prefork).
 * Nothing survives a restart; what does is runtime.c's.
 */
#include "server/life.h"

#include "apr_strings.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "mpm_common.h"

#include "base/forking.h"
#include "base/log.h"
#include "base/stay.h"
#include "base/thread.h"
#include "base/version.h"
#include "config/check.h"
#include "config/config.h"
#include "config/listener.h"
#include "config/reporting.h"
#include "config/schema.h"
#include "deliver/monitor.h"
#include "intake/query.h"
#include "intake/write.h"
#include "record/counted.h"
#include "record/plan.h"
#include "record/request.h"
#include "report/patrol.h"
#include "report/server_events.h"
#include "server/helper.h"
#include "server/options.h"
#include "server/runtime.h"
#include "server/spool_place.h"
#include "show/status.h"

#include <curl/curl.h>
#include <errno.h>
#include <unistd.h>

/* httpd fixes the parameters of hooks. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

static imx_batch_child_t child;
static imx_monitor_t *monitor;
static pid_t parent_pid;
static int generation; /* of this child, as httpd counts */
static pid_t child_pid;

/* ---- the parent ---- */

/* The parent's last step; also called at each restart, and in children. */
static apr_status_t parent_ends(void *data)
{
    if (getpid() == parent_pid
        && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_EXITING) {
        imx_server_events_ended(imx_runtime_arena());
        imx_helper_end_server(data);
    }
    return APR_SUCCESS;
}

static const char *where_to(apr_pool_t *p, const imx_influx_options_t *o)
{
    if (o->api == IMX_INFLUX_V2) {
        return apr_psprintf(p, "bucket \"%s\" of organization \"%s\" (API v2)",
                            o->bucket, o->org);
    }
    return apr_psprintf(p, "database \"%s\"%s (API %s)", o->database,
                        o->retention_policy
                            ? apr_psprintf(p, ", retention policy \"%s\"",
                                           o->retention_policy)
                            : "",
                        o->api == IMX_INFLUX_V3 ? "v3" : "v1");
}

static void say_what_runs(apr_pool_t *p, server_rec *s)
{
    const imx_config_t *conf = imx_config_global();
    const imx_influx_options_t *o = &conf->influx;
    int ms = conf->interval_ms;

    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                 IMX_LOGNO(17) "mod_influx_metrics " IMX_VERSION
                               " sends to %s%s%s, %s, "
                               "every %s",
                 o->url, o->unix_socket ? " at the socket " : "",
                 o->unix_socket ? o->unix_socket : "", where_to(p, o),
                 ms % 1000 ? apr_psprintf(p, "%d ms", ms)
                           : apr_psprintf(p, "%d s", ms / 1000));
    if (imx_listener_is_ours(p, o)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, IMX_LOGNO(18)
                     "InfluxMetricsServer: %s leads back to this very server, "
                     "so each delivery would be recorded as a request and "
                     "delivered again: set InfluxMetrics Off for the place "
                     "that proxies to InfluxDB, or name InfluxDB itself; what "
                     "is left at a stop cannot go this way", o->url);
    }
}

static void say_nothing_is_on(server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, IMX_LOGNO(98)
                 "mod_influx_metrics %s: InfluxMetrics is On nowhere, so no "
                 "request is recorded and nothing is sent; write InfluxMetrics "
                 "On into httpd's configuration, outside of any section or in "
                 "a <VirtualHost>", IMX_VERSION);
}

static void name_series(apr_pool_t *pconf, server_rec *s)
{
    const imx_series_t *series = &imx_runtime_arena()->series;
    unsigned others = imx_counted_prepare(pconf, s, series);

    if (others > 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, IMX_LOGNO(97) "%u "
                     "virtual hosts and routes are counted together, as "
                     "\"other\": there is memory for %u names until the next "
                     "full restart", others, series->capacity);
    }
}

/* What can fail, and `httpd -t` does not see. */
static int can_record(apr_pool_t *pconf, server_rec *s)
{
    return imx_config_find_host(pconf, s) == APR_SUCCESS
           && imx_plan_check(pconf, s, imx_config_global()->hostname)
                  == APR_SUCCESS
           && imx_runtime_prepare(s) == OK;
}

/* A start fails.  A restart would end a site that serves, after `httpd -t` has
 * found nothing: so it goes on without us. */
static int cannot_record(server_rec *s)
{
    apr_uint64_t waiting;

    if (!imx_check_is_restart()) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    waiting = imx_runtime_leave(s);
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(99) "httpd goes on "
                 "without mod_influx_metrics: no request is recorded and "
                 "nothing is sent until a restart finds this mended; %"
                 APR_UINT64_T_FMT " points are in the buffer, and a stop loses "
                 "those that the children of before cannot deliver", waiting);
    return OK;
}

int imx_life_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                         apr_pool_t *ptemp, server_rec *s)
{
    int is_kept;

    if (imx_check_secrets(s) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK; /* httpd reads its files twice at start */
    }
    if (!imx_schema_is_used()) {
        say_nothing_is_on(s);
        imx_reporting_only_requests();
    }
    /* Switched off by a graceful restart: what is in the arena is still to be
     * delivered. */
    if (!imx_schema_is_used() && !imx_runtime_is_kept(s)) {
        return OK;
    }
    is_kept = imx_runtime_is_kept(s);
    if (!can_record(pconf, s)) {
        return cannot_record(s);
    }
    name_series(pconf, s);
    if (imx_schema_is_used()) {
        say_what_runs(ptemp, s);
    }
    imx_spool_place_prepare(ptemp, s);
    imx_spool_place_remember();
    imx_children_new_epoch(&imx_runtime_arena()->children);
    (void)imx_thread_may_give_way();
    parent_pid = getpid();
    imx_server_events_began(imx_runtime_arena(), !is_kept);
    /* Before httpd's own, which forgets all hooks: drop_privileges. */
    apr_pool_pre_cleanup_register(pconf, s, parent_ends);
    return OK;
}

void imx_life_child_status(server_rec *s, pid_t pid, ap_generation_t gen,
                           int slot, mpm_child_status state)
{
    if (imx_runtime_arena() != NULL && state == MPM_CHILD_EXITED) {
        imx_server_events_reaped(imx_runtime_arena(), pid, gen);
        imx_arena_died(imx_runtime_arena(), pid);
    }
}

/* ---- a child's end ---- */

/* httpd -X is parent and child in one process. */
static int is_also_parent(void)
{
    return getpid() == parent_pid;
}

/*
 * Is it left to this child, if it is the last one, to deliver what there is?
 * Not while the server goes on: a child that is recycled must not wait for
 * InfluxDB, and another one will come.  Not when the server stops: the parent's
 * helper does it.  But a restart may have taken the module out, or put a
 * version in that cannot read this arena; and a parent that was killed does
 * nothing more.
 */
static int is_ours_to_deliver(void)
{
    return is_also_parent() || getppid() != parent_pid
           || ap_scoreboard_image->global->running_generation != generation;
}

/*
 * To run a CGI program, a child forks; in prefork the forked process has the
 * child's handler of SIGTERM until exec().  mod_cgi sends that signal when the
 * client goes away, and the forked process ends as the child would.  It has
 * nothing to end: the thread and the row are the child's, and so are the
 * requests that it logs.
 */
static int is_forked(void)
{
    return getpid() != child_pid;
}

/* A clean-up of pchild that runs first, before requests are logged. */
static apr_status_t forked_ends(void *s)
{
    if (is_forked()) {
        imx_request_use_nothing(s);
    }
    return APR_SUCCESS;
}

static volatile sig_atomic_t thread_is_left; /* it could not be stopped */

/* What exit() calls first, with the status that httpd tells the parent
 * (APEXIT_CHILDFATAL ends the server): see child_ends() and forking.h. */
static void leave_without_destructors(int status, void *data)
{
    if (thread_is_left || imx_forking_is_under_way()) {
        _exit(status);
    }
}

static int has_stopped(void)
{
    imx_children_runs(&imx_runtime_arena()->children, &child.self, 0);
    if (!is_ours_to_deliver()) {
        imx_monitor_leave(monitor);
    }
    return imx_monitor_stop(monitor) && !imx_query_is_out();
}

/*
 * A clean-up of pchild that was registered first and so runs last, after all
 * requests of the child are logged.  prefork runs it in a signal handler.
 * When the thread does not end, or that of a query, exit() under it would run
 * destructors of what it uses: so leave without them.  A forked process has
 * the locks of the thread, but not the thread.  (httpd -X: its own clean-ups
 * must still run.)
 */
static apr_status_t child_ends(void *data)
{
    if (is_forked() || (!has_stopped() && !is_also_parent())) {
        thread_is_left = 1;
#ifndef __GLIBC__
        _exit(0);
#endif
    }
    return APR_SUCCESS;
}

/*
 * prefork ends a child in its handler of SIGTERM and SIGHUP, which takes and
 * gives memory.  Without our thread fork() would not mind.  With threads for
 * requests, no handler does so.
 */
static void prepare_forks(void)
{
    int is_threaded = 0;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &is_threaded);
    if (!is_threaded) {
        (void)imx_forking_hold_signals();
    }
}

static void prepare_end(apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, NULL, child_ends, apr_pool_cleanup_null);
    if (is_also_parent()) {
        /* httpd -X unloads its modules at its end: a thread that is still there
         * must find its code. */
        imx_stay_loaded(&parent_pid);
        return;
    }
#ifdef __GLIBC__
    /* Now and not in child_ends(), as it takes memory. */
    on_exit(leave_without_destructors, NULL);
#endif
    prepare_forks();
}

/* ---- a child's start ---- */

static apr_status_t start_monitor(server_rec *s)
{
    imx_monitor_options_t o = imx_options_get(s, &child);

    imx_patrol_use(&o);
    /* On the main thread, before there are others: it is not thread-safe with
     * every libcurl.  Never undone: other modules use libcurl too. */
    curl_global_init(CURL_GLOBAL_DEFAULT);
    monitor = imx_monitor_create(&o);
    return monitor != NULL ? imx_monitor_start(monitor)
                           : APR_FROM_OS_ERROR(errno);
}

void imx_life_child_init(apr_pool_t *pchild, server_rec *s)
{
    imx_arena_t *a = imx_runtime_arena();
    imx_children_self_t self;
    apr_status_t rv;

    if (a == NULL) {
        return;
    }
    if (imx_children_join(&a->children, &self, getpid()) != 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(34) "no row is "
                     "free in the table of children: the requests of this "
                     "child are not recorded, only counted as dropped");
    }
    imx_batch_open(&child, &a->batch, &self);
    imx_request_use(&child, &a->values, &a->stats, &a->exemplars);
    child_pid = getpid();
    apr_pool_pre_cleanup_register(pchild, s, forked_ends);
    imx_status_use(pchild, s, a);
    imx_write_use(&child, a);
    imx_query_child_init(pchild, s, a);
    imx_patrol_child_init(a, &self, parent_pid);
    ap_mpm_query(AP_MPMQ_GENERATION, &generation);
    rv = start_monitor(s);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(35) "cannot start "
                     "the monitor thread: the other children deliver this "
                     "child's points");
        return;
    }
    prepare_end(pchild);
    imx_children_runs(&a->children, &self, 1);
}
