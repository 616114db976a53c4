/*
 * tally.c owns the rows of series: how they are filled, and their differences.
 * Entered by the holder; imx_tally_change() by any thread.
 * The rows survive any process; see interval.h.
 */
#include "shared/tally.h"

#include "shared/atomic_copy.h"
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

/* ---- rows that may be written meanwhile ---- */

/* A row is read and written by words. */
static _Atomic uint64_t *word_of(const void *row, size_t place)
{
    return (_Atomic uint64_t *)((char *)(uintptr_t)row + place);
}

static uint64_t get(const void *row, size_t place)
{
    return atomic_load_explicit(word_of(row, place), memory_order_acquire);
}

static void put(void *row, size_t place, uint64_t word)
{
    atomic_store_explicit(word_of(row, place), word, memory_order_release);
}

#define NUMBER offsetof(imx_tally_t, number)
#define LONGEST offsetof(imx_tally_t, longest)

/* The number comes before the sums when a row is filled, so who has read a sum
 * of the next interval finds its number, too. */
int imx_tally_change(const imx_interval_closed_t *closed, uint32_t series,
                     size_t sum, uint64_t *change)
{
    const void *old = imx_interval_old(closed, series);
    const void *row = imx_interval_row(closed, series);
    uint64_t before = get(old, sum);

    *change = get(row, sum) - before;
    return get(old, NUMBER) < closed->number
           && get(row, NUMBER) <= closed->number;
}

/* ---- filling ---- */

static int waits(const imx_tally_fill_t *f, uint64_t requests, int64_t since)
{
    return requests == 0
           || (requests < f->least
               && (uint64_t)f->now - (uint64_t)since < (uint64_t)f->patience);
}

static void begin_row(const imx_tally_fill_t *f, void *row)
{
    if (get(row, NUMBER) != f->number) {
        put(row, LONGEST, 0);
        put(row, NUMBER, f->number);
    }
}

/*
 * Taken from the counters, the maximum is only here: so it is kept in the row
 * of the interval at once, and an attempt to close the interval that was cut
 * short has left what it had taken.
 */
static void keep_max(const imx_tally_fill_t *f, uint32_t i, void *row)
{
    uint64_t longest = imx_stats_take_max(&f->stats, i,
                                          IMX_STATS_FOR_INTERVALS);

    FAULT("taken");
    if (longest > get(row, LONGEST)) {
        put(row, LONGEST, longest);
    }
}

/* Not the new sums for one that waits: a request that ends just now may be in
 * some of them already. */
static void add_up(const imx_tally_fill_t *f, uint32_t i,
                   const imx_tally_t *before, imx_tally_t *after)
{
    int64_t since = before->since != 0 ? before->since : f->began;
    uint64_t requests;

    imx_stats_add_up(&f->stats, i, &after->sum);
    after->since = f->now;
    requests = requests_between(&before->sum, &after->sum);
    if (waits(f, requests, since)) {
        after->sum = before->sum;
        after->since = requests == 0 ? f->now : since;
    }
}

void imx_tally_fill(void *context, uint32_t i, const void *old, void *row)
{
    const imx_tally_fill_t *f = context;
    imx_tally_t after;

    if (f->takes_max) {
        begin_row(f, row);
    }
    add_up(f, i, old, &after);
    imx_atomic_copy_put(word_of(row, 0), &after, NUMBER / sizeof(uint64_t));
    if (f->takes_max) {
        keep_max(f, i, row);
    }
}
