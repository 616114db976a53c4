/*
 * columns.h: periods of the history side by side, as a chart wants them: so
 * many points, each of one period or of some.
 * Any thread that serves a request; all of it is in private memory.
 */
#ifndef IMX_COLUMNS_H
#define IMX_COLUMNS_H

#include "apr_pools.h"

#include "shared/history.h"

/* Buckets of a heatmap, four an octave: the first, 92, and what is longer than
 * 128 s. */
#define IMX_COLUMNS_HEAT 94

/* A point of all servers together. */
typedef struct {
    int is_there; /* 0: nobody closed one of its periods */
    int64_t time; /* s since 1970, when it ended */
    uint64_t requests, errors, aborted, bytes_sent;
    uint64_t longest;       /* ns */
    uint64_t pending;       /* points, at the end */
    double busy;            /* workers, mean */
    uint64_t listen_queue;  /* the largest */
    uint32_t p50, p95, p99; /* buckets, or IMX_STATS_BUCKETS */
    uint32_t heat[IMX_COLUMNS_HEAT];
} imx_columns_point_t;

/* A point of a host. */
typedef struct {
    uint64_t requests, errors;
    uint32_t p50, p95, p99; /* buckets, or IMX_STATS_BUCKETS */
} imx_columns_row_t;

/* Which points: of `each` periods of a ring; the last one ends with period
 * `last`, and may have periods that are not closed yet. */
typedef struct {
    const imx_history_t *history;
    imx_history_ring_e ring;
    uint64_t last;
    uint32_t each, count;
} imx_columns_t;

/* The newest points up to period `last`, at most `most` of them, none of before
 * the arena was made.  is_whole: the last one has all of its periods. */
imx_columns_t imx_columns(const imx_history_t *h, imx_history_ring_e ring,
                          uint64_t last, uint32_t each, uint32_t most,
                          int is_whole);

/* The points, and those of a host, from the pool; c->count of them. */
imx_columns_point_t *imx_columns_points(const imx_columns_t *c,
                                        apr_pool_t *pool);
void imx_columns_rows(const imx_columns_t *c, uint32_t host,
                      imx_columns_row_t *rows);

/* The bucket of the heatmap that has a bucket of stats.h; the bound of one, s,
 * infinite for the last one. */
uint32_t imx_columns_heat(uint32_t bucket);
double imx_columns_upper(uint32_t bucket);

#endif
