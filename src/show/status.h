/*
 * status.h: the page of SetHandler influx-metrics.
 */
#ifndef IMX_STATUS_H
#define IMX_STATUS_H

#include "httpd.h"

#include "shared/arena.h"

/* A child, before its first request: what the page shows.  Borrowed for the
 * child's life. */
void imx_status_use(apr_pool_t *pchild, const server_rec *s,
                    const imx_arena_t *arena);

/*
 * Answers a request of this handler, any thread.  GET and HEAD get the figures:
 * as HTML, with ?json or ?format=json as JSON, with ?text, ?auto or
 * ?format=text as lines of "name: value", with ?openmetrics for Prometheus.
 * Other words beside one of these are passed over; a query without any of them
 * is answered with 400 and what there is.
 */
int imx_status_serve(request_rec *r);

#endif
