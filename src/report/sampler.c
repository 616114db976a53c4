/*
 * sampler.c owns what is looked at once a second, and when an outage begins or
 * ends.
 * Entered by the holder's monitor thread.
 * What was seen survives in the history and among the events; the mean of busy
 * workers is the next holder's own.
 */
#include "report/sampler.h"

#include "report/server_events.h"
#include "report/workers.h"
#include "shared/interval.h"
#include "shared/seconds.h"
#include "shared/snapshot.h"

/* A body that is lost now and then, or a restart of InfluxDB, is no event. */
#define OUTAGE_LEAST INT64_C(3000000000) /* ns */

static imx_seconds_t seconds;
static imx_snapshot_t snapshot; /* only what is said of points is filled in */

static void look_at_workers(imx_history_gauges_t *g)
{
    double busy = imx_workers_busy();
    int64_t most = imx_workers_max(), waiting, limit;

    if (busy < 0) { /* the first look of this holder */
        busy = (double)imx_workers_count().busy;
    }
    g->busy = (uint32_t)(busy * 100 + 0.5);
    g->utilization = most > 0 ? (uint32_t)(busy * 1e4 / (double)most + 0.5)
                              : 0;
    if (imx_workers_queue(&waiting, &limit) == 0) {
        g->listen_queue = (uint32_t)waiting;
    }
}

static void look_at_points(const imx_arena_t *a, imx_seconds_sample_t *sample)
{
    const imx_snapshot_t *s = &snapshot;

    /* In this order: see imx_board_t. */
    snapshot.told = imx_board_told(&a->board);
    snapshot.totals = imx_batch_totals(&a->batch);
    sample->sent = s->totals.fate[IMX_BATCH_SENT] + s->told.spool_delivered;
    sample->rejected = s->totals.fate[IMX_BATCH_REJECTED]
                       + s->told.spool_rejected;
    sample->dropped = imx_snapshot_dropped(s);
    sample->gauges.pending = s->totals.pending + imx_snapshot_spooled(s);
}

/* The next holder knows from the history that the outage was told of. */
static void look_at_outage(const imx_arena_t *a, int64_t now)
{
    int64_t since = snapshot.told.down_since;
    int was_down = imx_history_was_down(&a->history);
    int is_down = since != 0
                  && (was_down
                      || (uint64_t)now - (uint64_t)since >= OUTAGE_LEAST);

    if (is_down != was_down) {
        imx_history_is_down(&a->history, is_down);
        imx_server_events_outage(a, is_down);
    }
}

void imx_sampler_look(const imx_arena_t *a, int64_t now)
{
    imx_seconds_sample_t sample = { .mono = now };

    seconds.history = &a->history;
    seconds.stats = &a->stats;
    seconds.series = &a->series;
    if (!imx_seconds_is_due(&seconds, now)) {
        return;
    }
    sample.wall = imx_interval_now().wall;
    look_at_workers(&sample.gauges);
    look_at_points(a, &sample);
    imx_seconds_close(&seconds, &sample);
    look_at_outage(a, now);
}
