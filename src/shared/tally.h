/*
 * tally.h: what is known of a series (a virtual host, or one of its routes) at
 * the end of an interval, as a row of interval.h; and what happened between two
 * rows.
 *
 * A series can wait: while too few requests have come since its last row, the
 * next row is the same as before, and so its interval gets longer; nothing is
 * lost.  A row says since when its sums have been what they are.
 */
#ifndef IMX_TALLY_H
#define IMX_TALLY_H

#include <stddef.h>

#include "shared/interval.h"
#include "shared/stats.h"

typedef struct {
    imx_stats_sum_t sum;
    int64_t since;   /* ns, monotonic: when the sums were added up; 0: never */
    uint64_t number; /* of the interval, where the maximum was asked */
    uint64_t longest; /* request_time of the interval, ns; where it was asked */
} imx_tally_t;

_Static_assert(sizeof(imx_tally_t) % 8 == 0
                   && offsetof(imx_tally_t, number) % 8 == 0,
               "rows are put side by side, and written by words");

/* How rows are filled: the context of imx_tally_fill(). */
typedef struct {
    imx_stats_t stats; /* a view of both histograms */
    uint64_t number;   /* of the interval that is closed */
    int64_t began;     /* ns, monotonic: when that interval began */
    int64_t now;       /* ns, monotonic */
    int takes_max;     /* IMX_STATS_FOR_INTERVALS: one schedule alone */
    uint64_t least;    /* requests for which a row waits ... */
    int64_t patience;  /* ... for at most so many ns; 0: it does not wait */
} imx_tally_fill_t;

/* An imx_interval_fill_fn.  Row i is that of series i.  Where it takes the
 * maximum, the row says first which interval it is of. */
void imx_tally_fill(void *context, uint32_t i, const void *old, void *row);

/* Any thread, while the holder may be filling rows: what has been added to one
 * of the sums, by its place in a row, between the two rows of a series.
 * Returns 0 when one of them is that of another interval already; where the
 * rows have the maximum. */
int imx_tally_change(const imx_interval_closed_t *closed, uint32_t series,
                     size_t sum, uint64_t *change);

/* What happened between two rows of a series.  Returns the number of its
 * requests; *change is filled if it is not 0. */
uint64_t imx_tally_between(const imx_tally_t *old, const imx_tally_t *row,
                           imx_stats_sum_t *change);

/* For how many ns the difference of two rows was counted; at least 1. */
int64_t imx_tally_span(const imx_interval_closed_t *closed,
                       const imx_tally_t *old, const imx_tally_t *row);

#endif
