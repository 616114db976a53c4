/*
 * request.h: a finished request becomes a line in the batch.
 */
#ifndef IMX_REQUEST_H
#define IMX_REQUEST_H

#include "httpd.h"

#include "shared/batch.h"
#include "shared/exemplars.h"
#include "shared/stats.h"
#include "shared/values.h"

/* A child, before its first request: where its points go, the values that tags
 * have, the counters, and the exemplars.  All are borrowed for the child's
 * life. */
void imx_request_use(imx_batch_child_t *child, const imx_values_t *values,
                     const imx_stats_t *stats, const imx_exemplars_t *kept);

/* A forked process ends that is no child of httpd's: no request is recorded any
 * more.  s: the main server.  Async-signal-safe. */
void imx_request_use_nothing(server_rec *s);

/* Hook child_init, after that. */
void imx_request_child_init(apr_pool_t *pchild, server_rec *s);

/* Hooks of a request, on the thread that works on it. */
int imx_request_post_read(request_rec *r);
int imx_request_log(request_rec *r);

#endif
