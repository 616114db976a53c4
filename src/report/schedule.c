/*
 * schedule.c owns the table of measurements, and the order in which they are
 * closed and written.
 * Entered by the holder's monitor thread, or by the helper at a stop.
 * What an interval is survives in the arena (interval.h).
 */
#include "report/schedule.h"

#include "config/reporting.h"
#include "report/pressure.h"
#include "report/process_info.h"
#include "report/requests.h"
#include "report/self.h"
#include "report/server_events.h"
#include "report/workers.h"

#define LINES_A_STEP 1000 /* about a millisecond; ten times a second */
/* A measurement that is off still closes intervals, and writes none: so when it
 * is switched on its first one is no longer than this.  ns */
#define OFF_LENGTH INT64_C(60000000000)

static const imx_measurement_t *const measurements[] = {
    &imx_requests_metrics, &imx_requests_buckets, &imx_self,
    &imx_workers,          &imx_process_info,     &imx_pressure,
    &imx_server_events,
};

#define MEASUREMENTS (sizeof measurements / sizeof *measurements)

void *imx_schedule_use(imx_batch_child_t *child, const imx_arena_t *arena,
                       const char *hostname, const char *influxdb)
{
    static imx_output_t output;

    output.child = child;
    output.arena = arena;
    output.hostname = hostname;
    output.influxdb = influxdb;
    return &output;
}

/* ---- one measurement ---- */

static void close_interval(imx_output_t *out, const imx_measurement_t *m,
                           int64_t length, const imx_interval_now_t *now)
{
    const imx_interval_t *intervals = &out->arena->intervals;
    imx_measurement_rows_t rows = { 0, NULL, NULL };
    imx_interval_closed_t last;

    if (m->rows != NULL) {
        imx_interval_closed(intervals, m->measured, &last);
        rows = m->rows(out, &last, now);
    }
    imx_interval_close(intervals, m->measured, length, now, rows.rows,
                       rows.fill, rows.context);
}

/* Writes what is closed, or passes over it.  Returns 0 when something is left
 * to be written. */
static int write_closed(imx_output_t *out, const imx_measurement_t *m,
                        int is_on)
{
    const imx_interval_t *intervals = &out->arena->intervals;
    imx_interval_closed_t closed;

    if (!imx_interval_closed(intervals, m->measured, &closed)) {
        return 1;
    }
    if (is_on && !(imx_output_may_go_on(out) && m->write(out, &closed))
        && !out->is_last) {
        return 0;
    }
    imx_interval_written(intervals, m->measured, &closed);
    return 1;
}

static void step(imx_output_t *out, const imx_measurement_t *m,
                 const imx_interval_now_t *now)
{
    int64_t interval = imx_reporting()->interval[m->measured];
    int64_t length = interval > 0 ? interval : OFF_LENGTH;

    if (write_closed(out, m, interval > 0)
        && imx_interval_is_due(&out->arena->intervals, m->measured, length,
                               now)) {
        close_interval(out, m, length, now);
        write_closed(out, m, interval > 0);
    }
}

/* ---- all of them ---- */

void imx_schedule_step(void *schedule)
{
    imx_output_t *out = schedule;
    imx_interval_now_t now = imx_interval_now();
    size_t i;

    out->is_last = 0;
    /* Nothing is written while the buffer is full: an interval can get longer,
     * while a line would be lost. */
    out->lines_left = imx_batch_has_room(&out->arena->batch) ? LINES_A_STEP
                                                             : 0;
    for (i = 0; i < MEASUREMENTS; i++) {
        step(out, measurements[i], &now);
    }
}

/* What only says how things are has nothing to add at the end. */
void imx_schedule_end(void *schedule)
{
    imx_output_t *out = schedule;
    imx_interval_now_t now = imx_interval_now();
    size_t i;

    out->is_last = 1;
    for (i = 0; i < MEASUREMENTS; i++) {
        int is_on = imx_reporting()->interval[measurements[i]->measured] > 0;

        if (is_on && measurements[i]->rows != NULL) {
            write_closed(out, measurements[i], 1);
            close_interval(out, measurements[i], 0, &now);
            write_closed(out, measurements[i], 1);
        }
    }
}

int imx_schedule_is_open(const imx_arena_t *arena)
{
    return imx_requests_are_open(arena);
}
