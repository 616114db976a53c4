/*
 * queries.h: the queries whose rows become points, and the database that they
 * are for: InfluxMetricsQuery, and what mod_dbd's directives say.
 * Setters: the parent's only thread, while it reads the configuration.  Read
 * only after that, by any thread.
 */
#ifndef IMX_QUERIES_H
#define IMX_QUERIES_H

#include "httpd.h"
#include "http_config.h"

#include "shared/queried.h"

typedef struct {
    const char *measurement;
    const char *sql;
    apr_int64_t interval; /* ns */
    apr_uint64_t key;     /* of all three: another query has another one */
} imx_query_conf_t;

typedef struct {
    imx_query_conf_t queries[IMX_QUERIED_MAX];
    int count;
    const char *driver;            /* DBDriver; NULL: none */
    const char *params;            /* DBDParams, or "" */
    const apr_array_header_t *sql; /* DBDInitSQL: of const char * */
} imx_queries_t;

/* Hook pre_config: as if there were no directive. */
void imx_queries_reset(apr_pool_t *pconf);

const imx_queries_t *imx_queries(void);

/* Is mod_dbd loaded? */
int imx_queries_has_dbd(void);

/* Setters, for the table in config.c. */
const char *imx_queries_set(cmd_parms *cmd, void *dir, const char *measurement,
                            const char *interval, const char *sql);
const char *imx_queries_see_driver(cmd_parms *cmd, void *dir,
                                   const char *driver);
const char *imx_queries_see_params(cmd_parms *cmd, void *dir,
                                   const char *params);
const char *imx_queries_see_sql(cmd_parms *cmd, void *dir, const char *sql);

#endif
