/*
 * config.h: what the administrator wrote, checked, merged and escaped.
 * Written by the parent while it reads the configuration, read only after
 * that, by any thread.  All of it lives in pconf.
 */
#ifndef IMX_CONFIG_H
#define IMX_CONFIG_H

#include "httpd.h"
#include "http_config.h"

#include "deliver/influx.h"

typedef enum {
    IMX_PROCESS_SLOT = 0,
    IMX_PROCESS_PID,
    IMX_PROCESS_OFF
} imx_process_tag_e;

/* One for the whole server, from the main server's directives.  Sizes in
 * bytes, times in milliseconds. */
typedef struct {
    imx_influx_options_t influx;
    imx_process_tag_e process_tag;
    int create_database;
    int gzip; /* 1, 0, or IMX_UNSET: when it is remote */
    int interval_ms, shutdown_ms;
    apr_size_t buffer_size, max_body;
    apr_size_t max_lines;
    const char *spool_dir; /* NULL: no spool */
    apr_size_t spool_max;  /* 0: no limit */
    const char *hostname;  /* this host's name */
} imx_config_t;

extern const command_rec imx_config_commands[];

/* Hook pre_config: forgets the configuration of the generation before. */
int imx_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);

/* Hook check_config, also run by httpd -t: what no single directive can see.
 * Logs one sentence and returns HTTP_INTERNAL_SERVER_ERROR when httpd must not
 * start. */
int imx_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *s);

/* Hook post_config: finds this host's name, for the tags. */
apr_status_t imx_config_find_host(apr_pool_t *pconf, server_rec *s);

/* The settings of the whole server. */
const imx_config_t *imx_config_global(void);

#endif
