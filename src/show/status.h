/*
 * status.h: the page of SetHandler influx-metrics.
 */
#ifndef IMX_STATUS_H
#define IMX_STATUS_H

#include "httpd.h"

#include "shared/arena.h"

/* A child, before its first request: what the page shows.  Borrowed for the
 * child's life. */
void imx_status_use(const imx_arena_t *arena);

/* Hook handler: HTML, with ?json JSON, with ?text lines of "name: value".  Any
 * thread. */
int imx_status_handler(request_rec *r);

#endif
