/*
 * slow.h: `slow-requests`, points of requests that still run, and of their end.
 * Each child's monitor looks at its own requests, publishes what it sees, and
 * writes the points of them.
 */
#ifndef IMX_REPORT_SLOW_H
#define IMX_REPORT_SLOW_H

#include "report/output.h"

/* A child, before its monitor: whose requests they are, as what its points are
 * written. */
void imx_slow_report_use(imx_batch_child_t *child, const imx_arena_t *arena,
                         const char *hostname);

/* Each child's monitor, once a second.  Waits for nothing. */
void imx_slow_report_look(int64_t now);

#endif
