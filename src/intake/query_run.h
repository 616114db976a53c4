/*
 * query_run.h: one run of a query: a connection, a statement, and the lines
 * that its rows become.
 *
 * A database may not answer for as long as it likes, and no driver has a way to
 * stop it that works for all.  So a run is a call aside (base/aside.h), on a
 * thread that exists for this run alone and that nobody ever waits for.  It
 * touches nothing but the run, whose memory, the connection's included, is in a
 * pool that has no parent: no pool that ends with the child can be destroyed
 * under it.  It does not log and does not know the arena; whoever takes the run
 * does.  That is also why the connection is not one of mod_dbd's: those end
 * with the child's pool, also under a thread that still waits in one; a run
 * would take one away from requests, or wait for one without a limit; and a
 * statement that is prepared there, but cannot be, makes every connection fail,
 * those for logins (mod_authn_dbd) included.
 */
#ifndef IMX_QUERY_RUN_H
#define IMX_QUERY_RUN_H

#include "apr_dbd.h"
#include "apr_pools.h"

#include "base/aside.h"
#include "config/queries.h"
#include "intake/rows.h"

#define IMX_QUERY_ROWS_MAX 1000 /* that become points */

typedef struct {
    const apr_dbd_driver_t *driver;
    const imx_queries_t *queries;
    const imx_query_conf_t *query;
    apr_int64_t time; /* of its points, ns since 1970 */
} imx_query_order_t;

/* A run that has ended. */
typedef struct {
    apr_pool_t *pool;
    const char *error; /* NULL, or why it failed, in the database's words */
    char *text;        /* its lines, one behind the other */
    apr_size_t len;
    int lines;
    int is_cut;   /* there were more rows than become points */
    int left_out; /* values and rows that were; rows.wrong says why */
    imx_rows_t rows;
} imx_query_run_t;

/* Begins a run; the order is copied.  NULL: there is no memory, or thread. */
imx_aside_t *imx_query_run_start(const imx_query_order_t *order);

/* Frees a run that was taken from its call. */
void imx_query_run_free(imx_query_run_t *run);

#endif
