/*
 * json_value.h: how a value stands in the JSON of the status page.
 */
#ifndef IMX_JSON_VALUE_H
#define IMX_JSON_VALUE_H

#include "httpd.h"

#include <stdint.h>

/* A string of JSON with its quotes, in r's pool; any thread. */
const char *imx_json_value_string(request_rec *r, const char *text);

/* Each writes `,"name":value` to r.  What is not known, as it is negative, is
 * null; share: with four decimals. */
void imx_json_value_int(request_rec *r, const char *name, int64_t value);
void imx_json_value_known(request_rec *r, const char *name, int64_t value);
void imx_json_value_share(request_rec *r, const char *name, double value);

#endif
