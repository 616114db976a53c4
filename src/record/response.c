/*
 * response.c owns the changes to a response's headers.
 * Entered by the thread that has the first output of a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "record/response.h"

#include "apr_strings.h"

#define MS 1e6 /* ns */

static void take(request_rec *r, apr_table_t *headers, const char *name,
                 apr_table_t **taken)
{
    const char *value = apr_table_get(headers, name);

    if (value != NULL) {
        if (*taken == NULL) {
            *taken = apr_table_make(r->pool, 4);
        }
        apr_table_setn(*taken, name, value);
        apr_table_unset(headers, name);
    }
}

void imx_response_take(request_rec *r, const apr_array_header_t *names,
                       apr_table_t **taken)
{
    int i;

    for (i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        take(r, r->headers_out, name, taken);
        take(r, r->err_headers_out, name, taken);
    }
}

/* W3C Server Timing: names, and durations in milliseconds. */
void imx_response_add_timing(request_rec *r, apr_int64_t server,
                             apr_int64_t application)
{
    const char *value = apr_psprintf(r->pool, "server;dur=%.2f, app;dur=%.2f",
                                     (double)server / MS,
                                     (double)application / MS);

    apr_table_mergen(r->headers_out, "Server-Timing", value);
}
