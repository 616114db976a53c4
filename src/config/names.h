/*
 * names.h: the measurements that the module writes itself, and which nobody
 * else may write to.
 */
#ifndef IMX_NAMES_H
#define IMX_NAMES_H

#include "httpd.h"

/* The parent with its configuration, or a child before its first request: finds
 * the names that are configured.  They live as long as the pool. */
void imx_names_find(apr_pool_t *p, server_rec *s);

/* Is the measurement, len bytes as they stand in a line, one of the module's?
 * Any thread. */
int imx_names_is_ours(const char *measurement, apr_size_t len);

/* Is it one that the points of requests may not have, as what else the module
 * writes there has fields of other types? */
int imx_names_is_of_intervals(const char *name);

#endif
