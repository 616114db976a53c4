/*
 * queried.c owns what is kept of queries of databases: for which time each ran
 * last, and the counts.
 * Entered by the holder's monitor thread; any process reads the counts.
 * All of it survives any process: a new holder does not repeat a query that the
 * last one is done with.
 */
#include "shared/queried.h"

#include <stdatomic.h>

struct imx_queried_part {
    _Alignas(64) _Atomic uint64_t runs;
    _Atomic uint64_t failed, points;
    struct {
        _Atomic uint64_t key; /* which query it is */
        _Atomic int64_t time;
    } last[IMX_QUERIED_MAX];
};

size_t imx_queried_size(void)
{
    return sizeof(struct imx_queried_part);
}

void imx_queried_format(imx_queried_t *q, void *base)
{
    q->part = base;
}

int64_t imx_queried_last(const imx_queried_t *q, unsigned i, uint64_t key)
{
    return atomic_load(&q->part->last[i].key) == key
               ? atomic_load(&q->part->last[i].time)
               : 0;
}

/* Whoever dies between the two stores has only made a query run again. */
static void keep(const imx_queried_t *q, unsigned i, uint64_t key,
                 int64_t time)
{
    atomic_store(&q->part->last[i].time, time);
    atomic_store(&q->part->last[i].key, key);
}

void imx_queried_ran(const imx_queried_t *q, unsigned i, uint64_t key,
                     int64_t time, uint64_t points)
{
    keep(q, i, key, time);
    atomic_fetch_add(&q->part->runs, 1);
    atomic_fetch_add(&q->part->points, points);
}

void imx_queried_failed(const imx_queried_t *q, unsigned i, uint64_t key,
                        int64_t time)
{
    keep(q, i, key, time);
    atomic_fetch_add(&q->part->failed, 1);
}

imx_queried_totals_t imx_queried_totals(const imx_queried_t *q)
{
    imx_queried_totals_t t = { atomic_load(&q->part->runs),
                               atomic_load(&q->part->failed),
                               atomic_load(&q->part->points) };

    return t;
}
