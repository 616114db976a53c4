/*
 * quantile.h: what a histogram of stats.h says: percentiles, and the rows of a
 * fixed ladder of durations.
 * Any thread; only reads what it is given.
 */
#ifndef IMX_QUANTILE_H
#define IMX_QUANTILE_H

#include "shared/stats.h"

/*
 * The ladder: 2^-14 s (61 us), 2^-13.875 s ... 32 s, and one row for what is
 * longer: 154 rows with eight an octave, 78 with four, 40 with two.  All rows
 * are there, also those without requests: only so can rows of several times and
 * hosts be added up in a database.
 */
#define IMX_QUANTILE_ROWS_MAX 154
#define IMX_QUANTILE_BEYOND 1e9 /* stands for infinity in the last row */

typedef struct {
    double upper;   /* seconds; IMX_QUANTILE_BEYOND in the last row */
    uint64_t count; /* durations up to upper, that are in no row before */
    uint64_t below; /* durations up to upper */
} imx_quantile_row_t;

/* an_octave: 8, 4 or 2.  rows: room for IMX_QUANTILE_ROWS_MAX, or NULL.
 * Returns the number of rows. */
uint32_t imx_quantile_rows(const uint32_t buckets[IMX_STATS_BUCKETS],
                           uint32_t an_octave, imx_quantile_row_t *rows);

/*
 * The duration in ns that a share (0.99) of the durations does not exceed, by
 * the bucket it lies in: at most 4.33 % wrong between 15 us and 128 s.
 * longest: the longest of the durations in ns, 0: it is not known.  0 without
 * any.
 */
int64_t imx_quantile_ns(const uint32_t buckets[IMX_STATS_BUCKETS],
                        double share, int64_t longest);

/* The same as a bucket, IMX_STATS_BUCKETS without any; and the seconds that
 * stand for a bucket. */
uint32_t imx_quantile_bucket(const uint32_t buckets[IMX_STATS_BUCKETS],
                             double share);
double imx_quantile_seconds(uint32_t bucket);

#endif
