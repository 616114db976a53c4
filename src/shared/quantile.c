/*
 * quantile.c owns what is worked out of a histogram.
 * Entered by any thread.
 * Nothing is kept, so nothing has to survive.
 */
#include "shared/quantile.h"

#include <math.h>

#define FIRST_BOUND (IMX_STATS_BUCKET_1S - 14 * IMX_STATS_OCTAVE) /* 2^-14 s */
#define LAST_BOUND (IMX_STATS_BUCKET_1S + 5 * IMX_STATS_OCTAVE)   /* 32 s */

_Static_assert(LAST_BOUND - FIRST_BOUND + 2 == IMX_QUANTILE_ROWS_MAX,
               "the ladder with eight rows an octave");

uint32_t imx_quantile_rows(const uint32_t buckets[IMX_STATS_BUCKETS],
                           uint32_t an_octave, imx_quantile_row_t *rows)
{
    uint32_t step = IMX_STATS_OCTAVE / an_octave, bucket = 0, i, bound;
    uint32_t n = (LAST_BOUND - FIRST_BOUND) / step + 2;
    uint64_t below = 0;

    for (i = 0; i < n && rows != NULL; i++) {
        bound = i + 1 < n ? FIRST_BOUND + i * step : IMX_STATS_BUCKETS - 1;
        rows[i].count = 0;
        while (bucket <= bound) {
            rows[i].count += buckets[bucket++];
        }
        below += rows[i].count;
        rows[i].below = below;
        rows[i].upper = i + 1 < n ? imx_stats_bound(bound)
                                  : IMX_QUANTILE_BEYOND;
    }
    return n;
}

/* 2ab/(a+b) stands for the durations from a to b: it is as far from both. */
double imx_quantile_seconds(uint32_t bucket)
{
    double a, b;

    if (bucket == 0) {
        return imx_stats_bound(0);
    }
    a = imx_stats_bound(bucket - 1);
    b = imx_stats_bound(bucket);
    return isinf(b) ? 2 * a : 2 * a * b / (a + b);
}

uint32_t imx_quantile_bucket(const uint32_t buckets[IMX_STATS_BUCKETS],
                             double share)
{
    uint64_t total = 0, below = 0;
    uint32_t i;

    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        total += buckets[i];
    }
    if (total == 0) {
        return IMX_STATS_BUCKETS;
    }
    for (i = 0; i < IMX_STATS_BUCKETS - 1; i++) {
        below += buckets[i];
        if ((double)below >= share * (double)total) {
            break;
        }
    }
    return i;
}

int64_t imx_quantile_ns(const uint32_t buckets[IMX_STATS_BUCKETS],
                        double share, int64_t longest)
{
    uint32_t bucket = imx_quantile_bucket(buckets, share);
    int64_t ns;

    if (bucket == IMX_STATS_BUCKETS) {
        return 0;
    }
    ns = (int64_t)(imx_quantile_seconds(bucket) * 1e9);
    return longest > 0 && longest < ns
                   && imx_stats_bucket((uint64_t)longest) == bucket
               ? longest
               : ns;
}
