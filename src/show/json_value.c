/*
 * json_value.c owns how a value stands in JSON.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/json_value.h"

#include "http_protocol.h"

#include "base/words.h"

const char *imx_json_value_string(request_rec *r, const char *text)
{
    size_t size = imx_words_json(NULL, 0, text) + 1;
    char *to = apr_palloc(r->pool, size);

    imx_words_json(to, size, text);
    return to;
}

void imx_json_value_int(request_rec *r, const char *name, int64_t value)
{
    ap_rprintf(r, ",\"%s\":%" APR_INT64_T_FMT, name, (apr_int64_t)value);
}

static void put_null(request_rec *r, const char *name)
{
    ap_rvputs(r, ",\"", name, "\":null", NULL);
}

void imx_json_value_known(request_rec *r, const char *name, int64_t value)
{
    if (value >= 0) {
        imx_json_value_int(r, name, value);
    }
    else {
        put_null(r, name);
    }
}

void imx_json_value_share(request_rec *r, const char *name, double value)
{
    if (value >= 0) {
        ap_rprintf(r, ",\"%s\":%.4f", name, value);
    }
    else {
        put_null(r, name);
    }
}
