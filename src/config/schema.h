/*
 * schema.h: the settings of what is recorded of a request: which requests,
 * which tags, which fields; by server, virtual host and directory.
 * Setters, creation and merging: the parent's only thread, in pconf; merging
 * also any thread of a child.  Read only after that, by any thread.
 */
#ifndef IMX_SCHEMA_H
#define IMX_SCHEMA_H

#include "httpd.h"
#include "http_config.h"
#include "ap_regex.h"

#include "config/builtin.h"
#include "config/choice.h"
#include "config/objective.h"
#include "config/own.h"

#define IMX_UNSET (-1)

typedef struct {
    double rate;      /* IMX_UNSET: no directive; 1: all */
    apr_int64_t slow; /* ns from which a request counts as slow; 0: none */
    int errors;       /* also every status of 400 and more */
} imx_sample_t;

/* For each directory. */
typedef struct imx_schema_dir {
    int enabled;       /* 1, 0, or IMX_UNSET */
    int server_timing; /* the same */
    imx_choice_t tags, fields;
    apr_array_header_t *own_tags; /* of imx_own_t *; NULL: none */
    apr_array_header_t *own_fields;
    const ap_expr_info_t *condition; /* NULL: all requests */
    imx_sample_t sample;
    imx_objective_t objective; /* ns IMX_UNSET: no directive; 0: none */
    apr_array_header_t *unset_headers; /* of names; NULL: none */
    /* This, where the response's headers are changed, else NULL. */
    const struct imx_schema_dir *changes_headers;
    const char *handler; /* SetHandler in the configuration: of this module, or
                            "" for another; NULL: none is set here */
    unsigned field_bits; /* the built-in fields in effect */
    int is_passing;      /* ends with its request */
} imx_schema_dir_t;

typedef struct {
    const char *name; /* escaped, as it stands in a line */
    ap_regex_t *regex;
} imx_route_t;

/* For each virtual host. */
typedef struct {
    const char *measurement;    /* NULL: not set */
    apr_array_header_t *routes; /* of imx_route_t; NULL: none */
    imx_objective_t placed;     /* those of its sections together */
    /* Numbers of series: of each route and, behind them, of what matches none;
     * without routes only of the host.  See record/counted.h. */
    const unsigned *series;
    /* The plan of its own directory configuration, a child's; NULL: no request
     * has needed it yet.  See record/plan.h. */
    _Atomic(const struct imx_plan *) usual_plan;
} imx_schema_server_t;

/* Hook pre_config: forgets the configuration of the generation before. */
void imx_schema_reset(apr_pool_t *pconf);

void *imx_schema_create_server(apr_pool_t *p, server_rec *s);
void *imx_schema_merge_server(apr_pool_t *p, void *base, void *add);
void *imx_schema_create_dir(apr_pool_t *p, char *path);
void *imx_schema_merge_dir(apr_pool_t *p, void *base, void *add);

/* A child, before its first request: from now on merges are kept. */
void imx_schema_keep_merges(void);

/* Sections that a request can choose freely (<If>, <LocationMatch>) have more
 * combinations than memory has room for: so many merges, and so many plans, are
 * kept for the life of a child. */
#define IMX_SCHEMA_KEPT_MAX 4096

/* Setters, for the table in config.c; they are in recording.c. */
const char *imx_schema_set_enabled(cmd_parms *cmd, void *dir, int on);
const char *imx_schema_check_measurement(cmd_parms *cmd, const char *name);
const char *imx_schema_set_measurement(cmd_parms *cmd, void *dir,
                                       const char *name);
const char *imx_schema_set_tags(cmd_parms *cmd, void *dir, int argc,
                                char *const argv[]);
const char *imx_schema_set_fields(cmd_parms *cmd, void *dir, int argc,
                                  char *const argv[]);
const char *imx_schema_set_tag(cmd_parms *cmd, void *dir, const char *name,
                               const char *expr);
const char *imx_schema_set_field(cmd_parms *cmd, void *dir, const char *name,
                                 const char *type, const char *expr);
const char *imx_schema_set_route(cmd_parms *cmd, void *dir, const char *name,
                                 const char *regex);
const char *imx_schema_set_tag_limit(cmd_parms *cmd, void *dir,
                                     const char *limit);
const char *imx_schema_set_condition(cmd_parms *cmd, void *dir,
                                     const char *args);
const char *imx_schema_set_sample(cmd_parms *cmd, void *dir, const char *rate,
                                  const char *more, const char *yet_more);
const char *imx_schema_set_objective(cmd_parms *cmd, void *dir,
                                     const char *time, const char *percent);
const char *imx_schema_set_unset_header(cmd_parms *cmd, void *dir,
                                        const char *name);
const char *imx_schema_set_server_timing(cmd_parms *cmd, void *dir, int on);

/* Is `InfluxMetrics On`, the handler that takes points, or a query anywhere in
 * the configuration?  Setters: it is. */
int imx_schema_is_used(void);
void imx_schema_use(void);

/* InfluxMetricsTagLimit; the names of the tags that it limits, by their
 * numbers, NULL behind the last one. */
unsigned imx_schema_tag_limit(void);
const char *imx_schema_guarded(unsigned number);

/* The built-in tags in effect. */
unsigned imx_schema_tag_bits(const imx_schema_dir_t *dir,
                             const imx_schema_server_t *server);

extern module AP_MODULE_DECLARE_DATA influx_metrics_module;

static inline imx_schema_server_t *imx_schema_server(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &influx_metrics_module);
}

/* The effective settings of a directory. */
static inline const imx_schema_dir_t *imx_schema_dir(
    const ap_conf_vector_t *per_dir)
{
    return ap_get_module_config(per_dir, &influx_metrics_module);
}

#endif
