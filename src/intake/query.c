/*
 * query.c owns the queries of a database: which is due, what becomes of its
 * rows, and what the log is told.
 * Entered by the parent while it checks the configuration, by a child's main
 * thread at its start and end, and by the holder's monitor thread.
 * What survives the holder is for which time each query ran (queried.h).
 *
 * A query runs for times: whole intervals since 1970 on the wall clock, which
 * are its points' times.  A holder that is killed has written some points of
 * such a time, or none, and has not said that it is done with it: the next one
 * runs the query again, with the same time, and InfluxDB stores each point
 * once.  So do several servers that ask the same database the same.
 *
 * Each run has a thread of its own (query_run.h).  The monitor only starts it
 * and, in a later step, looks whether it has ended: a database that does not
 * answer holds up no delivery and no other query.
 *
 * The end of a child: nobody waits for a run.  Its points are not needed, the
 * next holder runs the query again.  Its thread goes on in the driver until the
 * process ends, and meanwhile nothing may be destroyed that the driver uses.
 * Of what a child has that is: the run's pool, which nobody destroys; the code
 * of this module and of the driver, which stay (imx_stay_loaded()); and what
 * exit() would destroy, the libraries' own data (OpenSSL's, libpq's).  So the
 * child's clean-ups run as always, for other modules have files to write there,
 * and then it leaves by _exit() instead of the rest of exit(): see child_ends()
 * in life.c.  Killing the thread, or a signal that takes it out of the driver,
 * would leave locks behind that the clean-ups may want (malloc's, SQLite's).
 * The database sees a connection that was closed.
 */
#include "intake/query.h"

#include "apr_dbd.h"
#include "http_log.h"
#include "http_core.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/stay.h"
#include "config/config.h"
#include "config/names.h"
#include "intake/points.h"
#include "intake/query_run.h"
#include "report/error_log.h"
#include "lineproto.h"

APLOG_USE_MODULE(influx_metrics);

#define QUIET (600000 * IMX_CLOCK_MS) /* between two lines about one matter */
/* A query runs for a time that is no longer ago than this: what it finds later
 * is not what was then. */
#define LATE (60000 * IMX_CLOCK_MS)

/* What is said of a query, each once in a while. */
typedef enum { FAILED = 0, CUT, LEFT_OUT, SAID } said_e;

typedef struct {
    const imx_query_conf_t *conf;
    imx_aside_t *aside;       /* NULL: none is under way */
    imx_query_run_t *waiting; /* for room in the buffer; NULL: none */
    apr_int64_t time;         /* of these */
    apr_int64_t skipped;      /* the last time that was left out */
    int is_slow_said;
    struct {
        apr_int64_t at; /* ns of the monotonic clock; 0: never */
        unsigned times; /* since then */
    } said[SAID];
} query_t;

static const imx_arena_t *arena;
static server_rec *server;
static const apr_dbd_driver_t *driver;
static query_t queries[IMX_QUERIED_MAX];
static int count;

/* ---- the configuration ---- */

static int is_ours(const char *measurement)
{
    char text[8192];
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_begin(&lp, measurement, strlen(measurement));
    return imx_names_is_ours(text, imx_lineproto_length(&lp));
}

/* httpd reads its files twice at a start, and checks them each time. */
static int is_first_reading(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) != AP_SQ_RM_CONFIG_TEST
           && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

/* A site is not to be kept from serving by what it counts. */
static void say_what_is_missing(server_rec *s, const imx_queries_t *conf)
{
    const char *missing = !imx_queries_has_dbd() ? "mod_dbd is not loaded"
                          : conf->driver == NULL
                              ? "the main server has no DBDriver"
                              : NULL;

    if (conf->count > 0 && missing != NULL && !is_first_reading()) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(66) "%s, so no "
                     "InfluxMetricsQuery runs; all else does", missing);
    }
}

int imx_query_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                    server_rec *s)
{
    const imx_queries_t *conf = imx_queries();
    int i;

    (void)plog;
    (void)ptemp;
    imx_names_find(pconf, s);
    for (i = 0; i < conf->count; i++) {
        if (is_ours(conf->queries[i].measurement)) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(69)
                         "InfluxMetricsQuery: the measurement \"%s\" is one "
                         "that this server writes itself, use another name",
                         conf->queries[i].measurement);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    say_what_is_missing(s, conf);
    return OK;
}

void imx_query_child_init(apr_pool_t *pchild, server_rec *s,
                          const imx_arena_t *a)
{
    const imx_queries_t *conf = imx_queries();
    int i;

    count = 0;
    if (conf->count == 0 || conf->driver == NULL || !imx_queries_has_dbd()
        || apr_dbd_get_driver(pchild, conf->driver, &driver) != APR_SUCCESS) {
        return; /* mod_dbd has refused a driver that is not there */
    }
    imx_stay_loaded(driver);
    arena = a;
    server = s;
    for (i = 0; i < conf->count; i++) {
        queries[i].conf = &conf->queries[i];
    }
    count = conf->count;
}

/* ---- what the log is told ---- */

/* Returns how often this happened since it was said last, or 0 when it is not
 * to be said now. */
static unsigned may_say(query_t *q, said_e what)
{
    apr_int64_t now = imx_clock_now();
    unsigned times = ++q->said[what].times;

    if (q->said[what].at != 0 && now - q->said[what].at < QUIET) {
        return 0;
    }
    q->said[what].at = now;
    if (!imx_error_log_takes(server)) {
        return 0;
    }
    q->said[what].times = 0;
    return times;
}

static void say_failed(query_t *q, const char *why)
{
    unsigned times = may_say(q, FAILED);

    if (times > 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, IMX_LOGNO(67) "the "
                     "query for \"%s\" failed, %u times since this was said "
                     "last: %s", q->conf->measurement, times, why);
    }
}

static void say_cut(query_t *q)
{
    if (may_say(q, CUT) > 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, server, IMX_LOGNO(68) "the "
                     "query for \"%s\" has more than %d rows: the others are "
                     "left out", q->conf->measurement, IMX_QUERY_ROWS_MAX);
    }
}

static void say_left_out(query_t *q, const imx_query_run_t *run)
{
    if (may_say(q, LEFT_OUT) > 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, server, IMX_LOGNO(62) "%d "
                     "values or rows of the query for \"%s\" are left out: %s",
                     run->left_out, q->conf->measurement, run->rows.wrong);
    }
}

static void say_slow(query_t *q)
{
    if (q->is_slow_said) {
        return;
    }
    q->is_slow_said = 1;
    if (imx_error_log_takes(server)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, server, IMX_LOGNO(63) "the "
                     "query for \"%s\" takes longer than its interval, %d s, "
                     "so it is left out as long as it runs",
                     q->conf->measurement,
                     (int)(q->conf->interval / (1000 * IMX_CLOCK_MS)));
    }
}

/* ---- a run that has ended ---- */

static unsigned number(const query_t *q)
{
    return (unsigned)(q - queries);
}

static void is_done(query_t *q, apr_uint64_t points)
{
    imx_queried_ran(&arena->queried, number(q), q->conf->key, q->time, points);
}

static void has_failed(query_t *q, const char *why)
{
    imx_queried_failed(&arena->queried, number(q), q->conf->key, q->time);
    say_failed(q, why);
}

/* Returns 0 when there is no room now. */
static int append(query_t *q, imx_query_run_t *run)
{
    imx_points_body_t body = { .text = run->text,
                               .len = run->len,
                               .precision = IMX_PARSE_NANOSECONDS,
                               .most_lines = IMX_QUERY_ROWS_MAX };
    imx_points_found_t found = { 0, 0, NULL };

    if (imx_config_global()->write_tags) {
        body.adds_tags_of = imx_schema_dir(server->lookup_defaults);
    }
    switch (imx_points_take(run->pool, &body, &found)) {
    case IMX_POINTS_TAKEN:
        is_done(q, found.points);
        return 1;
    case IMX_POINTS_NO_ROOM:
        return 0;
    case IMX_POINTS_WRONG:
        has_failed(q, found.wrong);
        return 1;
    default:
        has_failed(q, "its rows are more than the buffer has room for");
        return 1;
    }
}

static void take(query_t *q, imx_query_run_t *run)
{
    if (run->error != NULL) {
        has_failed(q, run->error);
    }
    else if (run->lines == 0) {
        is_done(q, 0);
    }
    else if (!append(q, run)) {
        q->waiting = run;
        return;
    }
    if (run->is_cut) {
        say_cut(q);
    }
    if (run->left_out > 0) {
        say_left_out(q, run);
    }
    imx_query_run_free(run);
}

static void look_at(query_t *q)
{
    imx_query_run_t *run = q->waiting;

    if (q->aside != NULL && imx_aside_wait(q->aside, 0)) {
        run = imx_aside_take(q->aside);
        q->aside = NULL;
    }
    if (run != NULL) {
        q->waiting = NULL;
        take(q, run);
    }
}

/* ---- when ---- */

static void leave_out(query_t *q, apr_int64_t time)
{
    q->skipped = time;
    imx_queried_failed(&arena->queried, number(q), q->conf->key, time);
    if (q->waiting != NULL) {
        imx_query_run_free(q->waiting);
        q->waiting = NULL;
        say_failed(q, "the buffer has no room");
    }
    else {
        say_slow(q);
    }
}

static void begin(query_t *q, apr_int64_t time)
{
    imx_query_order_t order = { driver, imx_queries(), q->conf, time };

    q->time = time;
    q->aside = imx_query_run_start(&order);
    if (q->aside == NULL) {
        has_failed(q, "there is no memory for its thread");
    }
}

static void step(query_t *q, apr_int64_t now)
{
    apr_int64_t time = now - now % q->conf->interval;

    look_at(q);
    if (q->aside != NULL || q->waiting != NULL) {
        if (time != q->time && time != q->skipped) {
            leave_out(q, time);
        }
    }
    else if (time != q->skipped && now - time < LATE
             && time
                    != imx_queried_last(&arena->queried, number(q),
                                        q->conf->key)) {
        begin(q, time);
    }
}

void imx_query_step(void)
{
    int i;

    if (count > 0) {
        apr_int64_t now = imx_interval_now().wall;

        for (i = 0; i < count; i++) {
            step(&queries[i], now);
        }
    }
}

int imx_query_is_out(void)
{
    int i;

    for (i = 0; i < count; i++) {
        if (queries[i].aside != NULL) {
            return 1;
        }
    }
    return 0;
}
