/*
 * listener.h: where InfluxMetricsServer leads to: to this host, or even to this
 * server itself.
 * The parent's only thread, while it starts or restarts.
 */
#ifndef IMX_LISTENER_H
#define IMX_LISTENER_H

#include "httpd.h"

#include "deliver/influx.h"

/* Does the way to InfluxDB not leave this host, as far as the URL says? */
int imx_listener_is_near(apr_pool_t *p, const imx_influx_options_t *o);

/* Does it lead to a port on which this very server listens?  Asks a name
 * server only when a port is the same, and waits at most half a second. */
int imx_listener_is_ours(apr_pool_t *p, const imx_influx_options_t *o);

#endif
