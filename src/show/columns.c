/*
 * columns.c owns how periods of the history become the points of a chart.
 * Entered by any thread that serves a request; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/columns.h"

#include "shared/quantile.h"

/* A time beyond these, in s since 1970, is nonsense; 24 hours before the first
 * one is none. */
#define TIME_LEAST INT64_C(100000)
#define TIME_MOST INT64_C(99999999999)

/* ---- which points ---- */

static uint64_t first_period(const imx_history_t *h, imx_history_ring_e ring)
{
    return ring == IMX_HISTORY_SECOND ? h->first + 1 : h->first / 60 + 1;
}

imx_columns_t imx_columns(const imx_history_t *h, imx_history_ring_e ring,
                          uint64_t last, uint32_t each, uint32_t most,
                          int is_whole)
{
    imx_columns_t c = { h, ring, last, each, 0 };
    uint64_t first = first_period(h, ring), point = last / each;

    if (!is_whole && last % each != 0) {
        point++;
    }
    c.last = point * each;
    if (c.last >= first) {
        uint64_t count = point - (first + each - 1) / each + 1;

        c.count = count < most ? (uint32_t)count : most;
    }
    return c;
}

/* Period j of point i; numbers of before 0 are of no period. */
static uint64_t period_of(const imx_columns_t *c, uint32_t i, uint32_t j)
{
    uint64_t back = (uint64_t)(c->count - 1 - i) * c->each + c->each - 1 - j;

    return c->last > back ? c->last - back : 0;
}

/* ---- their times ---- */

static int64_t unit_of(const imx_columns_t *c)
{
    return c->ring == IMX_HISTORY_SECOND ? 1 : 60;
}

static int64_t limited(int64_t n, int64_t least, int64_t most)
{
    return n < least ? least : n > most ? most : n;
}

/*
 * When period `end` ended or ends, by the wall time at which period n was
 * closed. The number of a second is what the wall clock said if nobody had set
 * it, and it is closed some 100 ms behind its end; a clock that is a little
 * fast or slow changes nothing.
 */
static int64_t time_of(const imx_columns_t *c, uint64_t end, uint64_t n,
                       int64_t wall)
{
    uint64_t unit = (uint64_t)unit_of(c);
    int64_t off =
        limited((int64_t)((uint64_t)(wall / 100000000) - n * unit * 10),
                -10 * TIME_MOST, 10 * TIME_MOST)
        + 4; /* tenths of a second */
    int64_t seconds = off >= 0 ? off / 10 : -((9 - off) / 10);

    return limited((int64_t)(end * unit) + seconds, TIME_LEAST, TIME_MOST);
}

/* From the last one back: a time is that of the next one less the step, so no
 * two are the same, also where the wall clock was set back; but where it was
 * set forward, or the machine slept, the times of before are what they were. */
static void set_times(const imx_columns_t *c, imx_columns_point_t *points)
{
    int64_t step = unit_of(c) * (int64_t)c->each, time;
    uint32_t i;

    for (i = c->count; i > 0; i--) {
        imx_columns_point_t *p = &points[i - 1];

        if (i < c->count) {
            time = points[i].time - step;
            if (!p->is_there || p->time >= time - 1) {
                p->time = time;
            }
        }
        else if (!p->is_there) {
            p->time = limited((int64_t)(c->last * (uint64_t)unit_of(c)),
                              TIME_LEAST, TIME_MOST);
        }
    }
}

/* ---- all servers together ---- */

/* What is added up while a point is made. */
typedef struct {
    uint32_t buckets[IMX_STATS_BUCKETS];
    uint32_t periods;
    uint64_t busy;
} sums_t;

static void add_period(const imx_history_period_t *period,
                       imx_columns_point_t *p, sums_t *sums)
{
    const imx_history_gauges_t *g = &period->gauges;
    uint32_t i;

    p->is_there = 1;
    p->requests += imx_history_requests(period);
    p->errors += imx_history_errors(period);
    p->aborted += period->aborted;
    p->bytes_sent += period->bytes_sent;
    p->longest = period->longest > p->longest ? period->longest : p->longest;
    p->pending = g->pending;
    if (g->listen_queue > p->listen_queue) {
        p->listen_queue = g->listen_queue;
    }
    sums->periods++;
    sums->busy += g->busy;
    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        sums->buckets[i] += period->buckets[i];
    }
}

uint32_t imx_columns_heat(uint32_t bucket)
{
    return bucket / 2 + (bucket % 2);
}

double imx_columns_upper(uint32_t bucket)
{
    return imx_stats_bound(2 * bucket);
}

static void finish(imx_columns_point_t *p, const sums_t *sums)
{
    uint32_t i;

    p->busy = (double)sums->busy / sums->periods / 100;
    p->p50 = imx_quantile_bucket(sums->buckets, 0.5);
    p->p95 = imx_quantile_bucket(sums->buckets, 0.95);
    p->p99 = imx_quantile_bucket(sums->buckets, 0.99);
    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        p->heat[imx_columns_heat(i)] += sums->buckets[i];
    }
}

imx_columns_point_t *imx_columns_points(const imx_columns_t *c,
                                        apr_pool_t *pool)
{
    imx_columns_point_t *points = apr_pcalloc(pool,
                                              (c->count + 1) * sizeof *points);
    imx_history_period_t period;
    uint32_t i, j;

    for (i = 0; i < c->count; i++) {
        sums_t sums = { .periods = 0 };

        for (j = 0; j < c->each; j++) {
            uint64_t n = period_of(c, i, j);

            if (imx_history_period(c->history, c->ring, n, &period)) {
                add_period(&period, &points[i], &sums);
                points[i].time = time_of(c, period_of(c, i, c->each - 1), n,
                                         period.wall);
            }
        }
        if (points[i].is_there) {
            finish(&points[i], &sums);
        }
    }
    set_times(c, points);
    return points;
}

/* ---- a host ---- */

/* Of some periods: p50 is their mean by requests, p95 and p99 are the largest.
 * */
static void add_row(const imx_history_row_t *row, imx_columns_row_t *to,
                    uint64_t *p50)
{
    *p50 += (uint64_t)row->p50 * row->requests;
    to->requests += row->requests;
    to->errors += row->errors;
    to->p95 = row->p95 > to->p95 ? row->p95 : to->p95;
    to->p99 = row->p99 > to->p99 ? row->p99 : to->p99;
}

static uint32_t bucket_or_none(uint64_t bucket)
{
    return bucket < IMX_STATS_BUCKETS ? (uint32_t)bucket : IMX_STATS_BUCKETS;
}

void imx_columns_rows(const imx_columns_t *c, uint32_t host,
                      imx_columns_row_t *rows)
{
    imx_history_row_t row;
    uint32_t i, j;

    for (i = 0; i < c->count; i++) {
        const imx_columns_row_t none = { 0, 0, 0, 0, 0 };
        uint64_t p50 = 0;

        rows[i] = none;
        for (j = 0; j < c->each; j++) {
            if (imx_history_row(c->history, c->ring, period_of(c, i, j), host,
                                &row)
                && row.requests > 0) {
                add_row(&row, &rows[i], &p50);
            }
        }
        rows[i].p50 = bucket_or_none(
            rows[i].requests > 0 ? p50 / rows[i].requests : IMX_STATS_BUCKETS);
        rows[i].p95 = bucket_or_none(
            rows[i].requests > 0 ? rows[i].p95 : IMX_STATS_BUCKETS);
        rows[i].p99 = bucket_or_none(
            rows[i].requests > 0 ? rows[i].p99 : IMX_STATS_BUCKETS);
    }
}
