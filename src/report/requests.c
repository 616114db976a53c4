/*
 * requests.c owns the measurements request-metrics and request-buckets.
 * Entered by the holder's monitor thread, or by the helper at a stop.
 * What is written is in the rows of the interval (interval.h); how far it is
 * written dies with the holder, and the next one begins again.
 */
#include "report/requests.h"

#include "config/reporting.h"
#include "shared/quantile.h"
#include "shared/tally.h"

#include <stdio.h>

#define SECOND 1e9
#define PATIENCE \
    INT64_C(300000000000) /* ns that buckets of few requests wait */

/* ---- rows ---- */

static imx_measurement_rows_t rows_of(
    const imx_output_t *out, const imx_interval_closed_t *last,
    const imx_interval_now_t *now, imx_tally_fill_t *fill)
{
    imx_measurement_rows_t rows = { imx_series_count(&out->arena->series),
                                    imx_tally_fill, fill };

    memset(fill, 0, sizeof *fill);
    fill->stats = out->arena->stats;
    /* Those of a histogram that is not counted any more stay as they are. */
    fill->stats.histograms = IMX_REPORTING_PHASES;
    fill->number = last->number + 1;
    fill->began = last->ended;
    fill->now = now->mono;
    return rows;
}

static imx_measurement_rows_t metrics_rows(imx_output_t *out,
                                           const imx_interval_closed_t *last,
                                           const imx_interval_now_t *now)
{
    static imx_tally_fill_t fill;
    imx_measurement_rows_t rows = rows_of(out, last, now, &fill);

    fill.takes_max = 1;
    return rows;
}

static uint32_t rows_of_series(void)
{
    const imx_reporting_t *conf = imx_reporting();
    uint32_t phases = 0, i;

    for (i = 0; i < IMX_REPORTING_PHASES; i++) {
        phases += conf->phases[i] != 0;
    }
    return conf->buckets > 0
               ? phases * imx_quantile_rows(NULL, conf->buckets, NULL)
               : 0;
}

/* Not more rows than requests, as a database keeps every row. */
static imx_measurement_rows_t buckets_rows(imx_output_t *out,
                                           const imx_interval_closed_t *last,
                                           const imx_interval_now_t *now)
{
    static imx_tally_fill_t fill;
    imx_measurement_rows_t rows = rows_of(out, last, now, &fill);

    if (!out->is_last) {
        fill.least = rows_of_series();
        fill.patience = PATIENCE;
    }
    return rows;
}

static int is_on(imx_measured_e measured)
{
    return imx_reporting()->interval[measured] > 0;
}

static int is_unwritten(const imx_arena_t *arena, imx_measured_e measured)
{
    imx_interval_closed_t closed;

    return is_on(measured)
           && imx_interval_closed(&arena->intervals, measured, &closed);
}

static int has_more(const imx_arena_t *arena, imx_measured_e measured,
                    uint32_t series, const imx_tally_t *now)
{
    imx_stats_sum_t change;

    return is_on(measured)
           && imx_tally_between(imx_interval_last(&arena->intervals, measured,
                                                  series),
                                now, &change)
                  > 0;
}

int imx_requests_are_open(const imx_arena_t *arena)
{
    uint32_t n = imx_series_count(&arena->series), i;
    imx_tally_t now = { .since = 0 };

    if (is_unwritten(arena, IMX_MEASURED_REQUESTS)
        || is_unwritten(arena, IMX_MEASURED_BUCKETS)) {
        return 1;
    }
    for (i = 0; i < n; i++) {
        imx_stats_add_up(&arena->stats, i, &now.sum);
        if (has_more(arena, IMX_MEASURED_REQUESTS, i, &now)
            || (imx_reporting()->buckets > 0
                && has_more(arena, IMX_MEASURED_BUCKETS, i, &now))) {
            return 1;
        }
    }
    return 0;
}

/* ---- how far an interval is written ---- */

typedef struct {
    uint64_t number;      /* of the interval, as this process knows it */
    uint32_t series, row; /* that are to be written next */
} progress_t;

static void resume(progress_t *p, const imx_interval_closed_t *closed)
{
    if (p->number != closed->number) {
        p->number = closed->number;
        p->series = 0;
        p->row = 0;
    }
}

/* ---- request-metrics ---- */

/* One series in one interval. */
typedef struct {
    imx_series_name_t name;
    imx_stats_sum_t change;
    uint64_t requests;
    int64_t span;    /* ns */
    int64_t longest; /* ns */
} part_t;

/* Returns 0 when it had no requests. */
static int get_part(const imx_output_t *out,
                    const imx_interval_closed_t *closed, uint32_t series,
                    part_t *part)
{
    const imx_tally_t *old = imx_interval_old(closed, series);
    const imx_tally_t *row = imx_interval_row(closed, series);

    part->requests = imx_tally_between(old, row, &part->change);
    if (part->requests == 0) {
        return 0;
    }
    part->name = imx_series_name(&out->arena->series, series);
    part->span = imx_tally_span(closed, old, row);
    part->longest = row->longest < INT64_MAX ? (int64_t)row->longest : 0;
    return 1;
}

static void put_times(imx_output_t *out, const part_t *part)
{
    const imx_stats_sum_t *sum = &part->change;

    imx_output_int(out, "request_count", part->requests);
    imx_output_float(out, "request_throughput",
                     (double)part->requests * SECOND / (double)part->span);
    imx_output_seconds(out, "interval", part->span);
    imx_output_seconds(out, "request_time", sum->request_ns / part->requests);
    imx_output_seconds(out, "application_time",
                       sum->application_ns / part->requests);
    imx_output_seconds(out, "request_time_sum", sum->request_ns);
    imx_output_seconds(out, "application_time_sum", sum->application_ns);
}

/* Where no request is asked for it, these are never counted. */
static void put_more_times(imx_output_t *out, const imx_stats_sum_t *sum,
                           const imx_stats_sum_t *ever)
{
    if (ever->server_ns + ever->input_ns + ever->output_ns
            + ever->bytes_received
        > 0) {
        imx_output_seconds(out, "server_time_sum", sum->server_ns);
        imx_output_seconds(out, "input_time_sum", sum->input_ns);
        imx_output_seconds(out, "output_time_sum", sum->output_ns);
        imx_output_int(out, "bytes_received", sum->bytes_received);
    }
    if (ever->objective_total > 0) {
        imx_output_int(out, "objective_total", sum->objective_total);
        imx_output_int(out, "objective_good", sum->objective_good);
    }
}

/* A request that ends just now may be counted, and not yet be the longest: then
 * it is at least as long as its bucket is. */
static int64_t longest_of(const part_t *part)
{
    uint32_t i = IMX_STATS_BUCKETS - 1;
    int64_t least;

    while (i > 0 && part->change.buckets[0][i] == 0) {
        i--;
    }
    least = i > 0 ? (int64_t)(imx_stats_bound(i - 1) * SECOND) : 0;
    return part->longest > least ? part->longest : least;
}

static void put_percentiles(imx_output_t *out, const part_t *part)
{
    const uint32_t *buckets = part->change.buckets[0];
    int64_t longest = longest_of(part);

    imx_output_seconds(out, "request_time_max", longest);
#define PERCENTILE(key, share) \
    imx_output_seconds(out, "request_time_" key, \
                       imx_quantile_ns(buckets, share, longest))
    PERCENTILE("p50", 0.5);
    PERCENTILE("p90", 0.9);
    PERCENTILE("p95", 0.95);
    PERCENTILE("p99", 0.99);
    PERCENTILE("p999", 0.999);
#undef PERCENTILE
}

static void put_counts(imx_output_t *out, const imx_stats_sum_t *sum)
{
    imx_output_int(out, "bytes_sent", sum->bytes_sent);
    imx_output_int(out, "status_1xx", sum->classes[0]);
    imx_output_int(out, "status_2xx", sum->classes[1]);
    imx_output_int(out, "status_3xx", sum->classes[2]);
    imx_output_int(out, "status_4xx", sum->classes[3]);
    imx_output_int(out, "status_5xx", sum->classes[4]);
    imx_output_int(out, "aborted", sum->aborted);
}

static int write_metrics_of(imx_output_t *out,
                            const imx_interval_closed_t *closed,
                            uint32_t series)
{
    const imx_tally_t *row = imx_interval_row(closed, series);
    part_t part;

    if (!get_part(out, closed, series, &part)) {
        return 1;
    }
    imx_output_begin(out, "request-metrics");
    imx_output_tag(out, "route", part.name.route);
    imx_output_tag(out, "server", part.name.server);
    put_times(out, &part);
    put_more_times(out, &part.change, &row->sum);
    put_percentiles(out, &part);
    put_counts(out, &part.change);
    return imx_output_end(out, closed->time);
}

static int write_metrics(imx_output_t *out,
                         const imx_interval_closed_t *closed)
{
    static progress_t p;

    resume(&p, closed);
    while (p.series < imx_series_count(&out->arena->series)) {
        if (!imx_output_may_go_on(out)
            || !write_metrics_of(out, closed, p.series)) {
            return 0;
        }
        p.series++;
    }
    return 1;
}

/* ---- request-buckets ---- */

/* "000.500000": sorted as text they are sorted as numbers. */
static void put_bound(char text[16], const imx_quantile_row_t *row)
{
    unsigned us;

    if (row->upper >= IMX_QUANTILE_BEYOND) {
        memcpy(text, "+Inf", 5);
        return;
    }
    us = (unsigned)(row->upper * 1e6 + 0.5);
    snprintf(text, 16, "%03u.%06u", us / 1000000 % 1000, us % 1000000);
}

static int write_row(imx_output_t *out, const imx_interval_closed_t *closed,
                     const imx_series_name_t *name, const char *phase,
                     const imx_quantile_row_t *row, uint64_t total)
{
    char bound[16];

    put_bound(bound, row);
    imx_output_begin(out, "request-buckets");
    imx_output_tag(out, "le", bound);
    imx_output_tag(out, "phase", phase);
    imx_output_tag(out, "route", name->route);
    imx_output_tag(out, "server", name->server);
    imx_output_int(out, "below", row->below);
    imx_output_int(out, "count", row->count);
    imx_output_int(out, "total", total);
    imx_output_float(out, "upper", row->upper);
    return imx_output_end(out, closed->time);
}

/* The rows of one phase of a series, of which the first is row `first` of the
 * series.  Returns 0 when not all are written. */
static int write_phase(imx_output_t *out, const imx_interval_closed_t *closed,
                       const part_t *part, int phase, uint32_t first,
                       progress_t *p)
{
    imx_quantile_row_t rows[IMX_QUANTILE_ROWS_MAX];
    uint32_t n = imx_quantile_rows(part->change.buckets[phase],
                                   imx_reporting()->buckets, rows);

    while (p->row >= first && p->row < first + n && rows[n - 1].below > 0) {
        if (!imx_output_may_go_on(out)
            || !write_row(out, closed, &part->name,
                          imx_reporting_phase((imx_reporting_phase_e)phase),
                          &rows[p->row - first], rows[n - 1].below)) {
            return 0;
        }
        p->row++;
    }
    if (p->row < first + n) {
        p->row = first + n;
    }
    return 1;
}

static int write_buckets_of(imx_output_t *out,
                            const imx_interval_closed_t *closed, progress_t *p)
{
    const imx_reporting_t *conf = imx_reporting();
    uint32_t n = imx_quantile_rows(NULL, conf->buckets, NULL), first = 0;
    part_t part;
    int phase;

    if (!get_part(out, closed, p->series, &part)) {
        return 1;
    }
    for (phase = 0; phase < IMX_REPORTING_PHASES; phase++) {
        if (conf->phases[phase]) {
            if (!write_phase(out, closed, &part, phase, first, p)) {
                return 0;
            }
            first += n;
        }
    }
    return 1;
}

static int write_buckets(imx_output_t *out,
                         const imx_interval_closed_t *closed)
{
    static progress_t p;

    resume(&p, closed);
    while (imx_reporting()->buckets > 0
           && p.series < imx_series_count(&out->arena->series)) {
        if (!write_buckets_of(out, closed, &p)) {
            return 0;
        }
        p.series++;
        p.row = 0;
    }
    return 1;
}

const imx_measurement_t imx_requests_metrics = { IMX_MEASURED_REQUESTS,
                                                 metrics_rows, write_metrics };
const imx_measurement_t imx_requests_buckets = { IMX_MEASURED_BUCKETS,
                                                 buckets_rows, write_buckets };
