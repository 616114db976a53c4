/*
 * slow.h: the slow requests that run now, for programs.
 */
#ifndef IMX_SHOW_SLOW_H
#define IMX_SHOW_SLOW_H

#include "httpd.h"

#include "shared/snapshot.h"

/* All write a part of an answer to r; any thread. */

/* [{"server":...,"method":...,"uri":...,"elapsed":...,...},...], the longest
 * first; uri is null where it is not shown. */
void imx_show_slow_json(request_rec *r, const imx_snapshot_t *s);

/* A line each. */
void imx_show_slow_text(request_rec *r, const imx_snapshot_t *s);

#endif
