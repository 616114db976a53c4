/*
 * slow.h: the slow requests that run now, in each rendering.
 */
#ifndef IMX_SHOW_SLOW_H
#define IMX_SHOW_SLOW_H

#include "httpd.h"

#include "shared/snapshot.h"

/* All write a part of an answer to r; any thread. */

/* A section with a table; nothing when there are none. */
void imx_show_slow_html(request_rec *r, const imx_snapshot_t *s);

/* [{"server":...,"method":...,"uri":...,"elapsed":...,...},...], the longest
 * first; uri is null where it is not shown. */
void imx_show_slow_json(request_rec *r, const imx_snapshot_t *s);

/* A line each. */
void imx_show_slow_text(request_rec *r, const imx_snapshot_t *s);

#endif
