/*
 * schema.h: what is recorded of a request, as the administrator wrote it: which
 * requests, which tags, which fields; by server, virtual host and directory.
 * Setters, creation and merging: the parent's only thread, in pconf; merging
 * also any thread of a child.  Read only after that, by any thread.
 */
#ifndef IMX_SCHEMA_H
#define IMX_SCHEMA_H

#include "httpd.h"
#include "http_config.h"
#include "ap_expr.h"
#include "ap_regex.h"

#include "lineproto.h"
#include "base/pairs.h"

#define IMX_UNSET (-1)

/* The built-in tags, sorted by name as they stand in a line. */
typedef enum {
    IMX_TAG_BACKEND = 0,
    IMX_TAG_HANDLER,
    IMX_TAG_HOSTNAME,
    IMX_TAG_METHOD,
    IMX_TAG_PROCESS,
    IMX_TAG_PROTOCOL,
    IMX_TAG_ROUTE,
    IMX_TAG_SCHEME,
    IMX_TAG_SERVER,
    IMX_TAG_STATUS,
    IMX_TAG_STATUS_CLASS,
    IMX_TAG_USER,
    IMX_TAG_VHOST_PORT,
    IMX_TAGS
} imx_tag_e;

/* The built-in fields in the order in which they stand in a line. */
typedef enum {
    IMX_FIELD_REQUEST_TIME = 0,
    IMX_FIELD_APPLICATION_TIME,
    IMX_FIELD_BYTES_SENT,
    IMX_FIELD_SERVER_TIME,
    IMX_FIELD_INPUT_TIME,
    IMX_FIELD_OUTPUT_TIME,
    IMX_FIELD_TTFB,
    IMX_FIELD_BYTES_RECEIVED,
    IMX_FIELD_ABORTED,
    IMX_FIELD_CLIENT,
    IMX_FIELD_CONNECTION_ID,
    IMX_FIELD_KEEPALIVE,
    IMX_FIELD_PID,
    IMX_FIELD_QUERY,
    IMX_FIELD_REFERER,
    IMX_FIELD_REQUEST_ID,
    IMX_FIELD_THREAD,
    IMX_FIELD_TLS_VERSION,
    IMX_FIELD_TRACE_ID,
    IMX_FIELD_URI,
    IMX_FIELD_USER_AGENT,
    IMX_FIELDS
} imx_field_e;

#define IMX_BIT(i) (1u << (i))
#define IMX_FIELDS_USUAL \
    (IMX_BIT(IMX_FIELD_REQUEST_TIME) | IMX_BIT(IMX_FIELD_APPLICATION_TIME) \
     | IMX_BIT(IMX_FIELD_BYTES_SENT))

#define IMX_FIELDS_TIMES \
    (IMX_BIT(IMX_FIELD_REQUEST_TIME) | IMX_BIT(IMX_FIELD_APPLICATION_TIME) \
     | IMX_BIT(IMX_FIELD_SERVER_TIME) | IMX_BIT(IMX_FIELD_INPUT_TIME) \
     | IMX_BIT(IMX_FIELD_OUTPUT_TIME) | IMX_BIT(IMX_FIELD_TTFB))
#define IMX_FIELDS_NUMBERS \
    (IMX_FIELDS_TIMES | IMX_BIT(IMX_FIELD_BYTES_SENT) \
     | IMX_BIT(IMX_FIELD_BYTES_RECEIVED) | IMX_BIT(IMX_FIELD_KEEPALIVE) \
     | IMX_BIT(IMX_FIELD_PID) | IMX_BIT(IMX_FIELD_THREAD))

/* Tags whose values a client can influence have a number; see values.h. */
#define IMX_NOT_GUARDED 255u

typedef enum {
    IMX_TYPE_INT = 0,
    IMX_TYPE_FLOAT,
    IMX_TYPE_STRING,
    IMX_TYPE_BOOL,
    IMX_TYPE_TAG
} imx_type_e;

#define IMX_VALUE_MAX 1024 /* bytes of a value of a client's or one's own */

/* A tag or field of the administrator's own. */
typedef struct {
    const char *name;
    apr_size_t name_len;
    imx_type_e type;
    const ap_expr_info_t *expr; /* NULL: it is constant */
    const char *text;           /* the constant */
    unsigned guard;             /* of a tag that is not constant */
} imx_own_t;

/* Built-in ones: a list of its own, and changes to the list further out. */
typedef struct {
    int is_set;
    unsigned set, add, remove; /* bits */
} imx_choice_t;

typedef struct {
    double rate;      /* IMX_UNSET: no directive; 1: all */
    apr_int64_t slow; /* ns from which a request counts as slow; 0: none */
    int errors;       /* also every status of 400 and more */
} imx_sample_t;

/* For each directory. */
typedef struct {
    int enabled; /* 1, 0, or IMX_UNSET */
    imx_choice_t tags, fields;
    apr_array_header_t *own_tags; /* of imx_own_t *; NULL: none */
    apr_array_header_t *own_fields;
    const ap_expr_info_t *condition; /* NULL: all requests */
    imx_sample_t sample;
    apr_array_header_t *unset_headers; /* of names; NULL: none */
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
    /* What its own directory configuration makes; a child's, see plan.h. */
    const imx_schema_dir_t *usual_dir;
    const struct imx_plan *usual_plan;
} imx_schema_server_t;

/* Hook pre_config: forgets the configuration of the generation before. */
void imx_schema_reset(apr_pool_t *pconf);

void *imx_schema_create_server(apr_pool_t *p, server_rec *s);
void *imx_schema_merge_server(apr_pool_t *p, void *base, void *add);
void *imx_schema_create_dir(apr_pool_t *p, char *path);
void *imx_schema_merge_dir(apr_pool_t *p, void *base, void *add);

/* A child, before its first request: from now on merges are kept. */
void imx_schema_keep_merges(void);

/*
 * What is made of two objects that live as long as the child is made once, the
 * first time that a request needs it, and kept.  Sections that a request can
 * choose freely (<If>, <LocationMatch>) have more combinations than memory has
 * room for, so a map takes only so many.
 */
#define IMX_SCHEMA_KEPT_MAX 4096

typedef struct {
    imx_pairs_t pairs;
    _Atomic unsigned count;
} imx_schema_kept_t;

typedef void *imx_schema_make_t(apr_pool_t *p, const void *first,
                                const void *second);

/* Any thread of a child: what was made of both, or is made now; NULL: neither,
 * the map is full or another thread is adding to one.  make: is called with a
 * lock held; its result and what it takes from p live as long as the child. */
void *imx_schema_keep(imx_schema_kept_t *kept, const void *first,
                      const void *second, imx_schema_make_t *make);

/* Setters, for the table in config.c. */
const char *imx_schema_set_enabled(cmd_parms *cmd, void *dir, int on);
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
const char *imx_schema_set_unset_header(cmd_parms *cmd, void *dir,
                                        const char *name);

/* Is `InfluxMetrics On` anywhere in the configuration? */
int imx_schema_is_used(void);

/* InfluxMetricsTagLimit; the names of the guarded tags, by their numbers, NULL
 * behind the last one; the number of a built-in tag. */
unsigned imx_schema_tag_limit(void);
const char *imx_schema_guarded(unsigned number);
unsigned imx_schema_guard(imx_tag_e tag);

const char *imx_schema_tag_name(imx_tag_e tag);
const char *imx_schema_field_name(imx_field_e field);

/* The built-in tags in effect. */
unsigned imx_schema_tag_bits(const imx_schema_dir_t *dir,
                             const imx_schema_server_t *server);

/* Any: puts the text (borrowed, not "") as a value of this type, behind a key;
 * returns 0 if it is not of the type, or does not fit.  A string is cut at
 * IMX_VALUE_MAX. */
int imx_schema_put_value(imx_lineproto_t *lp, imx_type_e type,
                         const char *text);

/* Any: bytes of s (len) up to most, without cutting UTF-8 in pieces. */
apr_size_t imx_schema_cut(const char *s, apr_size_t len, apr_size_t most);

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
