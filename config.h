/*
 * config.h: what the administrator wrote, checked, merged and escaped.
 * Written by the parent while it reads the configuration, read only after
 * that, by any thread.  All of it lives in pconf.
 */
#ifndef IMX_CONFIG_H
#define IMX_CONFIG_H

#include "httpd.h"
#include "http_config.h"

#include "influx.h"

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

/* Encoded bytes, part of a line. */
typedef struct {
    const char *bytes;
    apr_size_t len;
} imx_config_text_t;

#define IMX_CONFIG_PREFIX_MAX 4096 /* bytes of a line before its method */

/* One for each virtual host. */
typedef struct {
    const char *measurement; /* NULL: not set */
    imx_config_text_t head;  /* what stands before the method */
    imx_config_text_t tail;  /* from the method to the status */
    imx_config_text_t get;   /* head, "GET" and tail */
} imx_config_server_t;

/* One for each directory. */
typedef struct {
    int enabled; /* 1, 0, or IMX_UNSET */
} imx_config_dir_t;

#define IMX_UNSET (-1)

extern const command_rec imx_config_commands[];

void *imx_config_create_server(apr_pool_t *p, server_rec *s);
void *imx_config_merge_server(apr_pool_t *p, void *base, void *add);
void *imx_config_create_dir(apr_pool_t *p, char *path);
void *imx_config_merge_dir(apr_pool_t *p, void *base, void *add);

/* Hook pre_config: forgets the configuration of the generation before. */
int imx_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);

/* Hook check_config, also run by httpd -t: what no single directive can see.
 * Logs one sentence and returns HTTP_INTERNAL_SERVER_ERROR when httpd must not
 * start. */
int imx_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *s);

/* Hook post_config: makes the encoded beginnings of the lines of every virtual
 * host.  APR_EGENERAL when a name cannot be encoded (logged). */
apr_status_t imx_config_encode(apr_pool_t *pconf, server_rec *s);

/* Is `InfluxMetrics On` anywhere in the configuration? */
int imx_config_is_used(void);

/* The settings of the whole server. */
const imx_config_t *imx_config_global(void);

extern module AP_MODULE_DECLARE_DATA influx_metrics_module;

/* The settings of a virtual host. */
static inline imx_config_server_t *imx_config_server(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &influx_metrics_module);
}

/* The effective settings of a directory. */
static inline const imx_config_dir_t *imx_config_dir(
    const ap_conf_vector_t *per_dir)
{
    return ap_get_module_config(per_dir, &influx_metrics_module);
}

#endif
