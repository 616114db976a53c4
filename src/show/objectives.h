/*
 * objectives.h: which virtual hosts have an InfluxMetricsObjective, how many of
 * their requests kept it lately, and the burn rate: how fast they use up the
 * error budget.
 *
 * It is that of the dashboards: the share of requests that were not good, by
 * the share that need not be.  At 1 the budget lasts as long as it is planned
 * for.  For all hosts together both are added up first, as hosts may have other
 * percentages.
 *
 * Any thread that serves a request; waits for nobody.
 */
#ifndef IMX_OBJECTIVES_H
#define IMX_OBJECTIVES_H

#include "httpd.h"

#include "config/schema.h"
#include "shared/arena.h"

typedef enum {
    IMX_OBJECTIVES_MINUTES5 = 0,
    IMX_OBJECTIVES_HOUR,
    IMX_OBJECTIVES_SPANS
} imx_objectives_span_e;

typedef struct {
    uint64_t total, good; /* requests; good <= total */
    double allowed;       /* of these need not be good */
} imx_objectives_span_t;

/* Of a host, or of all.  Where several objectives are in it, they are together
 * as config/objective.h has it; a percentage of all that hosts do not have in
 * common is SEVERAL, too. */
typedef struct {
    imx_objective_t goal; /* percent 0: it has none */
    imx_objectives_span_t spans[IMX_OBJECTIVES_SPANS];
} imx_objectives_row_t;

typedef struct {
    uint32_t seconds[IMX_OBJECTIVES_SPANS]; /* that are known: at most 300, and
                                               3,540 to 3,600 */
    imx_objectives_row_t all, hosts[IMX_HISTORY_HOSTS]; /* as in history.h */
} imx_objectives_t;

/* A child, before its first request; memory from its pool. */
void imx_objectives_use(apr_pool_t *pchild, const server_rec *s,
                        const imx_arena_t *arena);

/* In the pool; NULL when no virtual host has an objective. */
const imx_objectives_t *imx_objectives_get(apr_pool_t *p);

/* That of a span; -1 when nothing was counted in it. */
static inline double imx_objectives_burn(const imx_objectives_span_t *span)
{
    return span->allowed > 0
               ? (double)(span->total - span->good) / span->allowed
               : -1;
}

#endif
