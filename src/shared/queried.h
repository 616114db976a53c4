/*
 * queried.h: which queries of databases ran for which time, and what came of
 * them, in the arena.
 *
 * The holder writes, any process reads.  Every number can be nonsense: a time
 * that is none makes a query run once more, or not, and no more than that.
 */
#ifndef IMX_QUERIED_H
#define IMX_QUERIED_H

#include <stddef.h>
#include <stdint.h>

#define IMX_QUERIED_VERSION 1
#define IMX_QUERIED_MAX 32 /* queries */

/* A process's own view, in its private memory. */
typedef struct {
    struct imx_queried_part *part;
} imx_queried_t;

typedef struct {
    uint64_t runs;   /* that gave points, or would have if there were rows */
    uint64_t failed; /* that did not, those that were left out included */
    uint64_t points; /* of all runs */
} imx_queried_totals_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_queried_size(void);
void imx_queried_format(imx_queried_t *q, void *base);

/* The time (ns since 1970) for which query i ran last; 0 when it has not, or
 * when the one that had this number had another key. */
int64_t imx_queried_last(const imx_queried_t *q, unsigned i, uint64_t key);

/* Holder: query i ran for that time, and made so many points; or it failed. */
void imx_queried_ran(const imx_queried_t *q, unsigned i, uint64_t key,
                     int64_t time, uint64_t points);
void imx_queried_failed(const imx_queried_t *q, unsigned i, uint64_t key,
                        int64_t time);

imx_queried_totals_t imx_queried_totals(const imx_queried_t *q);

#endif
