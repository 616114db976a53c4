/*
 * view.h: what an answer shows beside the snapshot: what this child can see of
 * the server at the moment, and the verdict on all of it.
 */
#ifndef IMX_VIEW_H
#define IMX_VIEW_H

#include "httpd.h"

#include "report/workers.h"
#include "shared/verdict.h"
#include "show/objectives.h"

typedef struct {
    const imx_snapshot_t *snapshot;
    imx_workers_count_t workers;
    const imx_objectives_t *objectives; /* NULL: there are none */
    imx_verdict_facts_t facts;
    imx_verdict_t verdict;
} imx_view_t;

/* A child, before its first request; borrowed for the child's life. */
void imx_view_use(const imx_arena_t *arena);
const imx_arena_t *imx_view_arena(void);

/* Any thread.  In r's pool. */
const imx_view_t *imx_view_of(request_rec *r, const imx_snapshot_t *s);

#endif
