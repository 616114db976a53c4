/*
 * names.h: the measurements that the module writes itself, and which nobody
 * else may write to.
 */
#ifndef IMX_NAMES_H
#define IMX_NAMES_H

#include "httpd.h"

#include "intake/parse.h"

/* The parent with its configuration, or a child before its first request: finds
 * the names that are configured.  They live as long as the pool. */
void imx_names_find(apr_pool_t *p, server_rec *s);

/* Is the measurement, as it stands in a line, one of the module's?  Any
 * thread. */
int imx_names_is_ours(imx_parse_text_t measurement);

#endif
