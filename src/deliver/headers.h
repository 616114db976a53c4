/*
 * headers.h owns the headers of a POST, one of which carries the secret.
 * Entered only by the thread that posts.
 * Nothing survives a crash; what was secret is wiped before it is freed.
 */
#ifndef IMX_HEADERS_H
#define IMX_HEADERS_H

#include <curl/curl.h>

#include "deliver/influx_options.h"

/* The headers of a post with this word, packed or not, newly allocated; NULL:
 * no memory. */
struct curl_slist *imx_headers_make(const imx_influx_options_t *o,
                                    const char *word, int packed);

/* What follows Basic, Token or Bearer; NULL when there is no secret. */
const char *imx_headers_credential(const struct curl_slist *list);

void imx_headers_wipe(struct curl_slist *list);

/* The directives to look at when InfluxDB refuses the secret. */
const char *imx_headers_advice(const imx_influx_options_t *o);

#endif
