/*
 * names.c owns the question which measurements are the module's own.
 * Entered by the parent while it checks the configuration, by a child's main
 * thread at its start, and by any thread that writes points.
 * Nothing survives a child.
 */
#include "intake/names.h"

#include "config/schema.h"

/* t/guard-names.t looks at whether it has all. */
static const char *const ours[] = {
    "raw-requests",  "request-metrics", "request-buckets",
    "worker-states", "process-info",    "resource-pressure",
    "slow-requests", "server-events",   "influx-metrics"
};
#define OURS (sizeof ours / sizeof *ours)

static apr_array_header_t *configured; /* of const char * */

static int is_known(const char *name)
{
    int i;

    for (i = 0; i < configured->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(configured, i, const char *), name) == 0) {
            return 1;
        }
    }
    return 0;
}

void imx_names_find(apr_pool_t *p, server_rec *s)
{
    configured = apr_array_make(p, 4, sizeof(const char *));
    for (; s != NULL; s = s->next) {
        const char *name = imx_schema_server(s)->measurement;

        if (name != NULL && !is_known(name)) {
            APR_ARRAY_PUSH(configured, const char *) = name;
        }
    }
}

/* Without looking at backslashes: some engines leave out those that escape
 * nothing, and then "raw\-requests" is "raw-requests". */
static int is_same(imx_parse_text_t measurement, const char *name)
{
    const char *p = measurement.bytes, *end = p + measurement.len;

    for (;;) {
        while (p < end && *p == '\\') {
            p++;
        }
        while (*name == '\\') {
            name++;
        }
        if (p == end || *name == '\0' || *p != *name) {
            return p == end && *name == '\0';
        }
        p++;
        name++;
    }
}

int imx_names_is_ours(imx_parse_text_t measurement)
{
    size_t i;
    int k;

    for (i = 0; i < OURS; i++) {
        if (is_same(measurement, ours[i])) {
            return 1;
        }
    }
    for (k = 0; k < configured->nelts; k++) {
        if (is_same(measurement, APR_ARRAY_IDX(configured, k, const char *))) {
            return 1;
        }
    }
    return 0;
}
