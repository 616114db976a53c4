/*
 * query.h: `InfluxMetricsQuery`: the rows of a database's queries become
 * points, in intervals.
 */
#ifndef IMX_QUERY_H
#define IMX_QUERY_H

#include "httpd.h"

#include "shared/arena.h"

/* Hook check_config, also run by httpd -t: refuses measurements that are the
 * module's own, and says when queries have no database. */
int imx_query_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                    server_rec *s);

/* A child's main thread, before its monitor; imx_points_use() was called.
 * arena: borrowed for the child's life. */
void imx_query_child_init(apr_pool_t *pchild, server_rec *s,
                          const imx_arena_t *arena);

/* The holder's monitor thread, in each of its steps: begins the runs that are
 * due, and takes those that have ended.  It waits for nothing. */
void imx_query_step(void);

/* When no monitor thread runs any more, also in a signal handler: is there a
 * run that has not ended?  Then the process is to end by _exit(). */
int imx_query_is_out(void);

#endif
