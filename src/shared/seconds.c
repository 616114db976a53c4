/*
 * seconds.c owns the closing of seconds and minutes: from counters to periods.
 * Entered by the holder's monitor thread alone.
 * What was known at the end of a period survives in the history's bases; which
 * series is which host's is found again by the next holder.
 */
#include "shared/seconds.h"

#include <string.h>

#include "base/least.h"
#include "shared/fault.h"
#include "shared/quantile.h"

/* ---- which series is which host's ---- */

static uint32_t host_named(imx_seconds_t *s, const char *name, uint32_t series)
{
    uint32_t i;

    for (i = 0; i < s->hosts; i++) {
        if (strcmp(s->names[i], name) == 0) {
            return i;
        }
    }
    if (s->hosts == IMX_HISTORY_HOSTS) {
        return IMX_HISTORY_OTHER;
    }
    memcpy(s->names[s->hosts], name,
           strlen(name) + 1); /* has the same limit */
    imx_history_put_host(s->history, s->hosts, series);
    return s->hosts++;
}

/* Names are appended by graceful restarts, and none ever changes: so each
 * holder finds the same hosts.  The first series is "other". */
static void find_hosts(imx_seconds_t *s)
{
    uint32_t count = imx_series_count(s->series);

    for (; s->known < count && s->known < IMX_SERIES_MOST; s->known++) {
        imx_series_name_t name = imx_series_name(s->series, s->known);

        s->host_of[s->known] = (uint8_t)host_named(s, name.server, s->known);
    }
}

/* ---- adding up ---- */

static void count_requests(imx_seconds_t *s)
{
    uint32_t i;

    memset(s->requests, 0, sizeof s->requests);
    for (i = 0; i < s->known; i++) {
        s->requests[s->host_of[i]] += imx_stats_requests_in(s->stats, i);
    }
}

/*
 * Most hosts of a large server are idle, and a histogram is 16 times 12 cache
 * lines.  A request is added to several counters, one behind the other: so a
 * host is left alone only when it was added up once more after its last one.
 */
static int is_idle(const imx_history_host_t *old, uint64_t requests)
{
    return old->seen == requests && old->settled == 1;
}

static void add_up(imx_seconds_t *s, uint32_t host, imx_history_host_t *to,
                   imx_history_base_t *base)
{
    imx_stats_t first = *s->stats; /* histogram */
    uint32_t i;

    first.histograms = 1;
    memset(&to->sum, 0, sizeof to->sum);
    for (i = 0; i < s->known; i++) {
        if (s->host_of[i] == host) {
            uint64_t longest = imx_stats_take_max(s->stats, i,
                                                  IMX_STATS_FOR_HISTORY);

            imx_stats_add(&first, i, &to->sum);
            FAULT("taken");
            if (longest > base->longest) {
                base->longest = longest;
            }
        }
    }
}

/* ---- what happened between two bases ---- */

static uint8_t percentile(const imx_stats_sum_t *change, double share)
{
    uint32_t bucket = imx_quantile_bucket(change->buckets[0], share);

    return bucket < IMX_STATS_BUCKETS ? (uint8_t)bucket : IMX_HISTORY_NONE;
}

static void put_row(const imx_history_t *h, imx_history_ring_e ring,
                    uint64_t n, uint32_t host, const imx_stats_sum_t *change)
{
    imx_history_row_t row = {
        .request_ns = change->request_ns,
        .requests = (uint32_t)imx_stats_requests_of(change),
        .errors = (uint32_t)change->classes[4],
        .aborted = (uint32_t)change->aborted,
        .p50 = percentile(change, 0.5),
        .p95 = percentile(change, 0.95),
        .p99 = percentile(change, 0.99),
        .objective_total = (uint32_t)change->objective_total,
        .objective_good = (uint32_t)change->objective_good
    };

    imx_history_put_row(h, ring, n, host, &row);
}

static void put_idle_row(const imx_history_t *h, imx_history_ring_e ring,
                         uint64_t n, uint32_t host)
{
    const imx_history_row_t row = { .p50 = IMX_HISTORY_NONE,
                                    .p95 = IMX_HISTORY_NONE,
                                    .p99 = IMX_HISTORY_NONE };

    imx_history_put_row(h, ring, n, host, &row);
}

static void put_recent(const imx_history_t *h, uint64_t n, uint32_t host,
                       const imx_stats_sum_t *change)
{
    imx_history_recent_t recent;

    memcpy(recent.buckets, change->buckets[0], sizeof recent.buckets);
    imx_history_put_recent(h, n, host, &recent);
}

static void put_period(const imx_history_t *h, imx_history_ring_e ring,
                       uint64_t n, const imx_stats_sum_t *change,
                       imx_history_period_t *period)
{
    uint64_t last = imx_history_last(h, ring);
    uint32_t i;

    period->span = n > last ? n - last : 1;
    period->request_ns = change->request_ns;
    period->application_ns = change->application_ns;
    period->bytes_sent = change->bytes_sent;
    period->bytes_received = change->bytes_received;
    period->aborted = (uint32_t)change->aborted;
    for (i = 0; i < IMX_STATS_CLASSES; i++) {
        period->classes[i] = (uint32_t)change->classes[i];
    }
    memcpy(period->buckets, change->buckets[0], sizeof period->buckets);
    imx_history_put(h, ring, n, period);
}

static void put_points(imx_history_period_t *period,
                       const imx_history_base_t *old,
                       const imx_history_base_t *next)
{
    period->gauges.sent = (uint32_t)(next->sent - old->sent);
    period->gauges.rejected = (uint32_t)(next->rejected - old->rejected);
    period->gauges.dropped = (uint32_t)(next->dropped - old->dropped);
}

/* ---- a second ---- */

/* Returns 0 when nothing happened at this host. */
static int close_host(imx_seconds_t *s, uint32_t host,
                      const imx_history_base_t *old, imx_history_base_t *next,
                      imx_stats_sum_t *change)
{
    const imx_history_host_t *before = &old->hosts[host];
    imx_history_host_t *after = &next->hosts[host];
    uint64_t requests = s->requests[host];

    if (is_idle(before, requests)) {
        if (requests > 0) { /* else both have never been touched */
            *after = *before;
        }
        after->seen = requests;
        after->settled = 1;
        return 0;
    }
    add_up(s, host, after, next);
    after->seen = requests;
    after->settled = before->seen == requests;
    *change = after->sum;
    imx_stats_subtract(change, &before->sum);
    imx_history_put_totals(s->history, host,
                           imx_stats_requests_of(&after->sum),
                           after->sum.classes[4]);
    return 1;
}

static void begin_base(imx_history_base_t *next, uint64_t n,
                       const imx_seconds_sample_t *sample)
{
    if (next->number != n) { /* else a killed holder has begun it */
        next->longest = 0;
        next->number = n;
    }
    next->sent = sample->sent;
    next->rejected = sample->rejected;
    next->dropped = sample->dropped;
}

static void close_second(imx_seconds_t *s, const imx_seconds_sample_t *sample,
                         uint64_t n)
{
    const imx_history_t *h = s->history;
    const imx_history_base_t *old = imx_history_base(h, IMX_HISTORY_SECOND);
    imx_history_base_t *next = imx_history_next_base(h, IMX_HISTORY_SECOND);
    imx_stats_sum_t all, change;
    imx_history_period_t period;
    uint32_t host;

    memset(&all, 0, sizeof all);
    memset(&period, 0, sizeof period);
    begin_base(next, n, sample);
    imx_history_begin(h, IMX_HISTORY_SECOND, n);
    for (host = 0; host < s->hosts; host++) {
        if (close_host(s, host, old, next, &change)) {
            put_row(h, IMX_HISTORY_SECOND, n, host, &change);
            put_recent(h, n, host, &change);
            imx_stats_accumulate(&all, &change);
        }
        else {
            put_idle_row(h, IMX_HISTORY_SECOND, n, host);
        }
        FAULT("host");
    }
    period.wall = sample->wall;
    period.longest = next->longest;
    period.gauges = sample->gauges;
    put_points(&period, old, next);
    put_period(h, IMX_HISTORY_SECOND, n, &all, &period);
    imx_history_close(h, IMX_HISTORY_SECOND, n);
}

/* ---- a minute ---- */

/* What was looked at in each second of the minute: the mean of some, the
 * largest of the others, and the last. */
static void put_gauges(const imx_history_t *h, uint64_t last,
                       imx_history_period_t *minute)
{
    imx_history_gauges_t *g = &minute->gauges;
    uint64_t busy = 0, utilization = 0;
    imx_history_period_t second;
    uint32_t i, seen = 0;

    for (i = 0; i < 60; i++) {
        if (imx_history_period(h, IMX_HISTORY_SECOND, last - 59 + i,
                               &second)) {
            seen++;
            busy += second.gauges.busy;
            utilization += second.gauges.utilization;
            g->listen_queue = imx_most_32(g->listen_queue,
                                          second.gauges.listen_queue);
            g->pending = second.gauges.pending;
            if (second.longest > minute->longest) {
                minute->longest = second.longest;
            }
        }
    }
    if (seen > 0) {
        g->busy = (uint32_t)(busy / seen);
        g->utilization = (uint32_t)(utilization / seen);
    }
}

static int change_of_minute(const imx_history_host_t *old,
                            const imx_history_host_t *now,
                            imx_stats_sum_t *change)
{
    /* Idle, but perhaps not added up to the end when the minute before was
     * closed. */
    if (old->seen == now->seen && old->settled == 1) {
        return 0;
    }
    *change = now->sum;
    imx_stats_subtract(change, &old->sum);
    return 1;
}

static void close_minute(imx_seconds_t *s, int64_t wall, uint64_t n)
{
    const imx_history_t *h = s->history;
    const imx_history_base_t *old = imx_history_base(h, IMX_HISTORY_MINUTE);
    const imx_history_base_t *now = imx_history_base(h, IMX_HISTORY_SECOND);
    imx_history_base_t *next = imx_history_next_base(h, IMX_HISTORY_MINUTE);
    imx_stats_sum_t all, change;
    imx_history_period_t period;
    uint32_t host;

    memset(&all, 0, sizeof all);
    memset(&period, 0, sizeof period);
    imx_history_begin(h, IMX_HISTORY_MINUTE, n);
    for (host = 0; host < s->hosts; host++) {
        if (change_of_minute(&old->hosts[host], &now->hosts[host], &change)) {
            put_row(h, IMX_HISTORY_MINUTE, n, host, &change);
            imx_stats_accumulate(&all, &change);
        }
        else {
            put_idle_row(h, IMX_HISTORY_MINUTE, n, host);
        }
    }
    memcpy(next, now, offsetof(imx_history_base_t, hosts[s->hosts]));
    FAULT("minute");
    period.wall = wall;
    put_gauges(h, imx_history_last(h, IMX_HISTORY_SECOND), &period);
    put_points(&period, old, next);
    put_period(h, IMX_HISTORY_MINUTE, n, &all, &period);
    imx_history_close(h, IMX_HISTORY_MINUTE, n);
}

/* All series, and both histograms, also if the second is not counted any more.
 */
static void widen_totals(const imx_seconds_t *s)
{
    imx_stats_t both = *s->stats;
    uint32_t i;

    both.histograms = IMX_STATS_HISTOGRAMS;
    for (i = 0; i < s->known; i++) {
        imx_stats_widen(&both, i);
    }
}

/* ---- all of it ---- */

/* Another number than before, whatever somebody has written there. */
int imx_seconds_is_due(const imx_seconds_t *s, int64_t mono)
{
    return imx_history_number(s->history, mono)
           != imx_history_last(s->history, IMX_HISTORY_SECOND);
}

void imx_seconds_close(imx_seconds_t *s, const imx_seconds_sample_t *sample)
{
    uint64_t n = imx_history_number(s->history, sample->mono);

    find_hosts(s);
    count_requests(s);
    close_second(s, sample, n);
    if (n / 60 != imx_history_last(s->history, IMX_HISTORY_MINUTE)) {
        close_minute(s, sample->wall, n / 60);
        widen_totals(s);
    }
}
