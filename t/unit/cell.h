/*
 * cell.h: what so many requests would have left in the counters of a cell.
 * Where these are is known here alone.
 */
#ifndef IMX_UNIT_CELL_H
#define IMX_UNIT_CELL_H

#include "shared/stats.h"

static inline void count_at_once(imx_stats_cell_t *cell, uint32_t bucket,
                                 uint64_t n)
{
    uint64_t *classes = (uint64_t *)((char *)cell + 72);
    uint32_t *buckets = (uint32_t *)((char *)cell + 128);

    classes[1] += n;
    buckets[bucket] += (uint32_t)n;
}

#endif
