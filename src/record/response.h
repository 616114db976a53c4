/*
 * response.h: what InfluxMetricsUnsetHeader and InfluxMetricsServerTiming do to
 * the headers of a response, before the first of it goes out.
 * Any thread of a child; r: the last of its chain of redirects.
 */
#ifndef IMX_RESPONSE_H
#define IMX_RESPONSE_H

#include "httpd.h"

/* Takes headers of the application's away; *taken, made when it is needed and
 * in r->pool, keeps them until the request is logged: they may be fields. */
void imx_response_take(request_rec *r, const apr_array_header_t *names,
                       apr_table_t **taken);

/* Adds Server-Timing, behind what the application has there: ns up to the
 * handler, and of the application up to now. */
void imx_response_add_timing(request_rec *r, apr_int64_t server,
                             apr_int64_t application);

#endif
