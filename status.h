/*
 * status.h: the page of SetHandler influx-metrics.
 */
#ifndef IMX_STATUS_H
#define IMX_STATUS_H

#include "httpd.h"

/* Hook handler: HTML, with ?json JSON, with ?text lines of "name: value".  Any
 * thread. */
int imx_status_handler(request_rec *r);

#endif
