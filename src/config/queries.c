/*
 * queries.c owns the directive about queries of a database, and what mod_dbd's
 * directives say of the database.
 * Entered by the parent's only thread while it reads the configuration.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/queries.h"

#include "apr_strings.h"

#include "base/hash.h"
#include "config/directive.h"
#include "config/schema.h"

/* httpd fixes the parameters of setters. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define LEAST_MS 1000
#define MOST_MS (24 * 3600 * 1000)
#define MS APR_INT64_C(1000000)

static imx_queries_t conf;
static apr_array_header_t *init_sql;

void imx_queries_reset(apr_pool_t *pconf)
{
    static const imx_queries_t none;

    conf = none;
    conf.params = "";
    conf.sql = init_sql = apr_array_make(pconf, 1, sizeof(const char *));
}

const imx_queries_t *imx_queries(void)
{
    return &conf;
}

/* ---- InfluxMetricsQuery ---- */

const char *imx_queries_set(cmd_parms *cmd, void *dir, const char *measurement,
                            const char *interval, const char *sql)
{
    imx_query_conf_t *q = &conf.queries[conf.count];
    const char *err = imx_directive_only_main(cmd);
    int ms = 0;

    if (err == NULL && conf.count == IMX_QUERIED_MAX) {
        err = imx_directive_wrong(cmd, measurement,
                                  "one of at most " APR_STRINGIFY(
                                      IMX_QUERIED_MAX) " queries");
    }
    if (err == NULL) {
        err = imx_schema_check_measurement(cmd, measurement);
    }
    if (err == NULL) {
        err = imx_directive_time(cmd, interval, LEAST_MS, MOST_MS,
                                 "a time from 1s to 24h, such as 30s or 5min",
                                 &ms);
    }
    if (err == NULL && sql[strspn(sql, " \t\r\n")] == '\0') {
        err = imx_directive_wrong(cmd, sql, "a query in SQL");
    }
    if (err == NULL) {
        imx_schema_use();
        q->measurement = measurement;
        q->sql = sql;
        q->interval = ms * MS;
        q->key = imx_hash(imx_hash(IMX_HASH_BEGIN + (apr_uint64_t)ms,
                                   measurement),
                          sql);
        conf.count++;
    }
    return err;
}

/* ---- mod_dbd's directives ---- */

int imx_queries_has_dbd(void)
{
    return ap_find_linked_module("mod_dbd.c") != NULL;
}

/*
 * httpd gives a directive to every module that has it in its table: these
 * setters only look on, and mod_dbd checks what they see.  They are why httpd
 * no longer says itself that nobody knows the directive.
 */
static const char *refuse_without_dbd(cmd_parms *cmd)
{
    return imx_queries_has_dbd()
               ? NULL
               : apr_pstrcat(cmd->pool, "Invalid command '", cmd->cmd->name,
                             "': it is one of mod_dbd, which is not loaded",
                             NULL);
}

const char *imx_queries_see_driver(cmd_parms *cmd, void *dir,
                                   const char *driver)
{
    if (!cmd->server->is_virtual) {
        conf.driver = driver;
    }
    return refuse_without_dbd(cmd);
}

const char *imx_queries_see_params(cmd_parms *cmd, void *dir,
                                   const char *params)
{
    if (!cmd->server->is_virtual) {
        conf.params = params;
    }
    return refuse_without_dbd(cmd);
}

const char *imx_queries_see_sql(cmd_parms *cmd, void *dir, const char *sql)
{
    if (!cmd->server->is_virtual) {
        APR_ARRAY_PUSH(init_sql, const char *) = sql;
    }
    return refuse_without_dbd(cmd);
}
