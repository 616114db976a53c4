/*
 * tally.c owns the rows of series: how they are filled, and their differences.
 * Entered by the holder; differences by any thread.
 * The rows survive any process; see interval.h.
 */
#include "shared/tally.h"

#include "shared/fault.h"

/* ---- differences ---- */

static uint64_t requests_between(const imx_stats_sum_t *old,
                                 const imx_stats_sum_t *sum)
{
    uint64_t n = 0;
    uint32_t i;

    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        n += (uint32_t)(sum->buckets[0][i] - old->buckets[0][i]);
    }
    return n;
}

uint64_t imx_tally_between(const imx_tally_t *old, const imx_tally_t *row,
                           imx_stats_sum_t *change)
{
    uint64_t n = requests_between(&old->sum, &row->sum);

    if (n > 0) {
        *change = row->sum;
        imx_stats_subtract(change, &old->sum);
    }
    return n;
}

int64_t imx_tally_span(const imx_interval_closed_t *closed,
                       const imx_tally_t *old, const imx_tally_t *row)
{
    int64_t from = old->since != 0 ? old->since : closed->began;
    uint64_t span = (uint64_t)row->since - (uint64_t)from;

    return span > 0 && span < INT64_MAX ? (int64_t)span : 1;
}

/* ---- filling ---- */

static int waits(const imx_tally_fill_t *f, uint64_t requests, int64_t since)
{
    return requests == 0
           || (requests < f->least
               && (uint64_t)f->now - (uint64_t)since < (uint64_t)f->patience);
}

/*
 * Taken from the counters, the maximum is only here: so it is kept in the row
 * of the interval at once, and an attempt to close the interval that was cut
 * short has left what it had taken.
 */
static void keep_max(const imx_tally_fill_t *f, uint32_t i, imx_tally_t *row)
{
    uint64_t longest = imx_stats_take_max(&f->stats, i,
                                          IMX_STATS_FOR_INTERVALS);

    if (row->number != f->number) {
        row->longest = 0;
        row->number = f->number;
    }
    FAULT("taken");
    row->longest = longest > row->longest ? longest : row->longest;
}

void imx_tally_fill(void *context, uint32_t i, const void *old, void *row)
{
    const imx_tally_fill_t *f = context;
    const imx_tally_t *before = old;
    imx_tally_t *after = row;
    int64_t since = before->since != 0 ? before->since : f->began;
    uint64_t requests;

    imx_stats_add_up(&f->stats, i, &after->sum);
    after->since = f->now;
    requests = requests_between(&before->sum, &after->sum);
    if (waits(f, requests, since)) {
        /* Not the new sums: a request that ends just now may be in some of
         * them already. */
        after->sum = before->sum;
        after->since = requests == 0 ? f->now : since;
    }
    if (f->takes_max) {
        keep_max(f, i, after);
    }
}
