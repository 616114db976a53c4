/*
 * names.c owns the question which measurements are the module's own.
 * Entered by the parent while it reads and checks the configuration, by a
 * child's main thread at its start, and by any thread that writes points.
 * Nothing survives a child.
 */
#include "config/names.h"

#include "config/schema.h"

/* The first one is that of requests.  t/guard-names.t looks at whether it has
 * all. */
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
static int is_same(const char *measurement, apr_size_t len, const char *name)
{
    const char *p = measurement, *end = p + len;

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

static int is_of_intervals(const char *measurement, apr_size_t len)
{
    size_t i;

    for (i = 1; i < OURS; i++) {
        if (is_same(measurement, len, ours[i])) {
            return 1;
        }
    }
    return 0;
}

int imx_names_is_ours(const char *measurement, apr_size_t len)
{
    int k;

    if (is_same(measurement, len, ours[0])
        || is_of_intervals(measurement, len)) {
        return 1;
    }
    for (k = 0; k < configured->nelts; k++) {
        if (is_same(measurement, len,
                    APR_ARRAY_IDX(configured, k, const char *))) {
            return 1;
        }
    }
    return 0;
}

int imx_names_is_of_intervals(const char *name)
{
    return is_of_intervals(name, strlen(name));
}
