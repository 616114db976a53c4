/*
 * hosts.c owns the table of virtual hosts.
 * Entered by any thread that serves a request; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/hosts.h"

#include <string.h>

#include "shared/quantile.h"

static const imx_arena_t *arena;

void imx_hosts_use(const imx_arena_t *a)
{
    arena = a;
}

/* What a host did in the last seconds. */
typedef struct {
    uint64_t requests, errors;
    double request_ns;
    imx_history_recent_t recent;
} sum_t;

static void add(const imx_history_t *h, uint64_t n, uint32_t host, sum_t *sum)
{
    imx_history_recent_t recent;
    imx_history_row_t row;
    uint32_t i;

    if (!imx_history_row(h, IMX_HISTORY_SECOND, n, host, &row)
        || row.requests == 0) {
        return;
    }
    sum->requests += row.requests;
    sum->errors += row.errors;
    sum->request_ns += (double)row.request_ns;
    if (imx_history_recent(h, n, host, &recent)) {
        for (i = 0; i < IMX_STATS_BUCKETS; i++) {
            sum->recent.buckets[i] += recent.buckets[i];
        }
    }
}

static double percentile(const sum_t *sum, double share)
{
    uint32_t bucket = imx_quantile_bucket(sum->recent.buckets, share);

    return bucket < IMX_STATS_BUCKETS ? imx_quantile_seconds(bucket) : -1;
}

/* The periods that are summed up, and of how many seconds their counts are. */
typedef struct {
    uint64_t last;
    uint32_t periods;
    double seconds;
} window_t;

/* Fewer than ten since the start.  Where no child delivered for a while, the
 * period behind that has all that was counted meanwhile. */
static window_t window_of(const imx_history_t *h)
{
    window_t w = { imx_history_last(h, IMX_HISTORY_SECOND), 0, 0 };
    uint64_t age = w.last - h->first, seconds;
    imx_history_period_t period;
    uint32_t i;

    w.periods = age < IMX_HISTORY_RECENT ? (uint32_t)age : IMX_HISTORY_RECENT;
    seconds = w.periods;
    for (i = 0; i < w.periods; i++) {
        if (imx_history_period(h, IMX_HISTORY_SECOND, w.last - i, &period)
            && period.span <= age && i + period.span > seconds) {
            seconds = i + period.span;
        }
    }
    w.seconds = (double)seconds;
    return w;
}

/* The figures a row has of a sum over so many seconds. */
static void fill(imx_hosts_row_t *row, const sum_t *sum, double seconds)
{
    row->requests = seconds > 0 ? (double)sum->requests / seconds : 0;
    row->errors = seconds > 0 ? (double)sum->errors / seconds : 0;
    row->p50 = percentile(sum, 0.5);
    row->p95 = percentile(sum, 0.95);
    row->p99 = percentile(sum, 0.99);
}

static double get_host(const imx_history_t *h, const window_t *w,
                       uint32_t host, imx_hosts_row_t *row)
{
    uint32_t i;
    sum_t sum;

    memset(&sum, 0, sizeof sum);
    for (i = 0; i < w->periods; i++) {
        add(h, w->last - i, host, &sum);
    }
    row->host = host;
    memcpy(row->name,
           imx_series_name(&arena->series, imx_history_series(h, host)).server,
           sizeof row->name);
    fill(row, &sum, w->seconds);
    imx_history_totals(h, host, &row->requests_total, &row->errors_total);
    return sum.request_ns;
}

/* The periods of all hosts together have what is in their rows, too. */
static void add_period(const imx_history_period_t *period, sum_t *sum)
{
    uint32_t i;

    sum->requests += imx_history_requests(period);
    sum->errors += imx_history_errors(period);
    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        sum->recent.buckets[i] += period->buckets[i];
    }
}

void imx_hosts_all(imx_hosts_row_t *all)
{
    const imx_history_t *h = &arena->history;
    const window_t w = window_of(h);
    imx_history_period_t period;
    uint32_t i;
    sum_t sum;

    memset(&sum, 0, sizeof sum);
    for (i = 0; i < w.periods; i++) {
        if (imx_history_period(h, IMX_HISTORY_SECOND, w.last - i, &period)) {
            add_period(&period, &sum);
        }
    }
    memset(all, 0, sizeof *all);
    fill(all, &sum, w.seconds);
    all->busy = 1;
    for (i = 0; i < imx_history_hosts(h); i++) {
        uint64_t requests, errors;

        imx_history_totals(h, i, &requests, &errors);
        all->requests_total += requests;
        all->errors_total += errors;
    }
}

uint32_t imx_hosts_get(imx_hosts_row_t rows[IMX_HISTORY_HOSTS])
{
    const imx_history_t *h = &arena->history;
    uint32_t hosts = imx_history_hosts(h), n = 0, i;
    const window_t w = window_of(h);
    double all = 0;

    for (i = 0; i < hosts; i++) {
        rows[n].busy = get_host(h, &w, i, &rows[n]);
        all += rows[n].busy;
        n += i != IMX_HISTORY_OTHER || rows[n].requests_total > 0;
    }
    for (i = 0; i < n; i++) {
        rows[i].busy = all > 0 ? rows[i].busy / all : 0;
    }
    return n;
}
