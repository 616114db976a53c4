/*
 * write.h: `SetHandler influx-metrics-write`: an endpoint that InfluxDB's own
 * clients write to.
 */
#ifndef IMX_WRITE_H
#define IMX_WRITE_H

#include "httpd.h"

#include "shared/arena.h"

/* A child, before its first request: where points go.  Borrowed for the child's
 * life. */
void imx_write_use(imx_batch_child_t *child, const imx_arena_t *arena);

/* Hook child_init, after that. */
void imx_write_child_init(apr_pool_t *pchild, server_rec *s);

/* Answers a request of this handler, any thread. */
int imx_write_serve(request_rec *r);

#endif
