/*
 * requests.h: the measurements request-metrics and request-buckets, for each
 * virtual host and route.
 * The holder's monitor thread.
 */
#ifndef IMX_REQUESTS_H
#define IMX_REQUESTS_H

#include "report/measurement.h"

extern const imx_measurement_t imx_requests_metrics, imx_requests_buckets;

/* Any process: were requests counted that neither has in its rows yet? */
int imx_requests_are_open(const imx_arena_t *arena);

#endif
