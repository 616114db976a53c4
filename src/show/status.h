/*
 * status.h: the page of SetHandler influx-metrics.
 */
#ifndef IMX_STATUS_H
#define IMX_STATUS_H

#include "httpd.h"

#include "shared/batch.h"
#include "shared/values.h"

/* A child, before its first request: what the page shows.  Both are borrowed
 * for the child's life. */
void imx_status_use(const imx_batch_t *batch, const imx_values_t *values);

/* Hook handler: HTML, with ?json JSON, with ?text lines of "name: value".  Any
 * thread. */
int imx_status_handler(request_rec *r);

#endif
