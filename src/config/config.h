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

/* The files that InfluxMetrics...File directives name. */
typedef enum {
    IMX_FILE_TOKEN = 0,
    IMX_FILE_PASSWORD,
    IMX_FILE_CA,
    IMX_FILE_CERTIFICATE,
    IMX_FILE_KEY,
    IMX_FILES
} imx_config_file_e;

typedef struct {
    const char *path;      /* NULL: not given */
    const char *directive; /* its name, and where it stands */
    const char *conf;
    int line;
    const char *content; /* what must be in the file */
    int is_secret;
    int is_absolute; /* as it is written */
} imx_config_file_t;

/* The variables that InfluxMetricsTokenEnv and InfluxMetricsPasswordEnv name;
 * NULL: not given. */
typedef struct {
    const char *token, *password;
} imx_config_env_t;

/* One for the whole server, from the main server's directives.  Sizes in
 * bytes, times in milliseconds. */
typedef struct {
    imx_influx_options_t influx;
    imx_config_file_t files[IMX_FILES];
    imx_config_env_t env;
    imx_process_tag_e process_tag;
    int create_database;
    int gzip; /* 1, 0, or IMX_UNSET: when it is remote */
    int interval_ms, shutdown_ms;
    apr_size_t buffer_size;
    apr_size_t max_body, max_lines;     /* of a body */
    const char *spool_dir;              /* NULL: no spool */
    apr_size_t spool_max;               /* 0: no limit */
    apr_size_t write_most, write_lines; /* of a body that is written to us */
    int write_tags;                     /* its points get the host's tags */
    const char *hostname; /* this host's name, in all measurements */
} imx_config_t;

extern const command_rec imx_config_commands[];

/* Hook pre_config: forgets the configuration of the generation before. */
int imx_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);

/* Hook post_config: finds this host's name, for the tags: the main server's
 * InfluxMetricsTag hostname, or what the system says. */
apr_status_t imx_config_find_host(apr_pool_t *pconf, server_rec *s);

/* The settings of the whole server. */
const imx_config_t *imx_config_global(void);

/* The same for check.c, which decides what no single directive can. */
imx_config_t *imx_config_to_settle(void);

#endif
