/*
 * self.c owns the measurement influx-metrics: each number in the table of
 * figures.
 * Entered by the holder's monitor thread, or by the helper at a stop.
 * The counters at the end of an interval survive in its row (interval.h).
 */
#include "report/self.h"

#include "base/hash.h"
#include "shared/figures.h"

static imx_snapshot_t snapshot;

static void take(imx_output_t *out)
{
    imx_snapshot_inputs_t from = { out->arena, out->influxdb };

    imx_snapshot_take(&snapshot, &from);
}

/* ---- the counters at the end of an interval ---- */

/* The names are kept as a hash: after an upgrade there may be others in the
 * table. */
static void fill(void *context, uint32_t i, const void *old, void *row)
{
    imx_measured_self_t *self = row;
    size_t figures, f, n = 0;
    const imx_figures_row_t *figure = imx_figures_table(&figures);

    (void)i;
    (void)old;
    take(context);
    self->names = IMX_HASH_BEGIN;
    for (f = 0; f < figures && n < IMX_MEASURED_COUNTERS; f++) {
        if (figure[f].kind == IMX_FIGURES_COUNTER) {
            self->names = imx_hash(self->names, figure[f].name);
            self->counters[n++] = (uint64_t)figure[f].get(&snapshot).number;
        }
    }
}

static imx_measurement_rows_t rows(imx_output_t *out,
                                   const imx_interval_closed_t *last,
                                   const imx_interval_now_t *now)
{
    imx_measurement_rows_t self = { 1, fill, out };

    (void)last;
    (void)now;
    return self;
}

/* ---- the line ---- */

static void put(imx_output_t *out, const char *name, uint64_t number)
{
    static const char points[] = "points_";

    if (strncmp(name, points, sizeof points - 1) == 0) {
        name += sizeof points - 1;
    }
    imx_lineproto_field_int(&out->lp, name, strlen(name), (int64_t)number);
}

/* Counters: what came in the interval.  All others: what is now. */
static void put_figures(imx_output_t *out, const imx_measured_self_t *old,
                        const imx_measured_self_t *row)
{
    size_t figures, f, n = 0;
    const imx_figures_row_t *figure = imx_figures_table(&figures);

    for (f = 0; f < figures; f++) {
        if (figure[f].kind == IMX_FIGURES_GAUGE) {
            put(out, figure[f].name,
                (uint64_t)figure[f].get(&snapshot).number);
        }
        else if (figure[f].kind == IMX_FIGURES_COUNTER
                 && n < IMX_MEASURED_COUNTERS) {
            if (old->names == 0 || old->names == row->names) {
                put(out, figure[f].name, row->counters[n] - old->counters[n]);
            }
            n++;
        }
    }
}

static int write_self(imx_output_t *out, const imx_interval_closed_t *closed)
{
    take(out);
    imx_output_begin(out, "influx-metrics");
    /* Unsigned: both are from the arena. */
    imx_output_seconds(out, "interval",
                       (uint64_t)closed->ended - (uint64_t)closed->began);
    put_figures(out, imx_interval_old(closed, 0), imx_interval_row(closed, 0));
    imx_output_seconds(out, "flush_time",
                       snapshot.told.pace.answer_ms * 1000000);
    return imx_output_end(out, closed->time);
}

const imx_measurement_t imx_self = { IMX_MEASURED_SELF, rows, write_self };
