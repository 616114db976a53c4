/*
 * spool_place.h: the directory of InfluxMetricsSpool at a start or restart, and
 * which directories it was before.
 * The parent's only thread; the names are read by any process.
 */
#ifndef IMX_SPOOL_PLACE_H
#define IMX_SPOOL_PLACE_H

#include "httpd.h"

#include "deliver/monitor.h"

/* Parent, in post_config: makes the directory if it is not there.  What is
 * wrong with it is logged, and keeps nobody from serving.  Waits for the disk
 * for at most a second. */
void imx_spool_place_prepare(apr_pool_t *p, server_rec *s);

/* Parent, in post_config: from now on the spool is the configured one, and it
 * is this process's server that works there. */
void imx_spool_place_remember(void);

/* What this server's note in a spool says (spool_owner.h). */
const char *imx_spool_place_note(void);

/* The directories that were the spool before, NULL where there is none. */
void imx_spool_place_before(const char *dirs[IMX_MONITOR_SPOOLS_BEFORE]);

#endif
