/*
 * headers.c owns the headers of a POST: see headers.h.
 * Entered only by the thread that posts.
 * Nothing survives a crash; what was secret is wiped before it is freed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* explicit_bzero */
#endif

#include "deliver/headers.h"

#include <errno.h>
#include <string.h>

#include "deliver/secret.h"

void imx_headers_wipe(struct curl_slist *list)
{
    for (struct curl_slist *h = list; h; h = h->next) {
        explicit_bzero(h->data, strlen(h->data));
    }
    curl_slist_free_all(list);
}

static int add_header(struct curl_slist **list, const char *header)
{
    struct curl_slist *longer = header ? curl_slist_append(*list, header)
                                       : NULL;

    if (!longer) {
        return ENOMEM;
    }
    *list = longer;
    return 0;
}

static int add_authorization(const imx_influx_options_t *o,
                             struct curl_slist **list, const char *word)
{
    char *header;
    int rv;

    if (!o->token_file && !o->token && !o->user) {
        return 0;
    }
    header = imx_secret_header(o, word);
    rv = add_header(list, header);
    imx_secret_wipe(header);
    return rv;
}

/* The headers of a post, the one with the secret first; NULL: no memory. */
struct curl_slist *imx_headers_make(const imx_influx_options_t *o,
                                    const char *word, int packed)
{
    struct curl_slist *list = NULL;

    if (add_authorization(o, &list, word)
        || add_header(&list, "Content-Type: text/plain; charset=utf-8")
        || add_header(&list, "Expect:") /* would cost a round trip */
        || (packed
            && (add_header(&list, "Content-Encoding: gzip")
                || add_header(&list, "Transfer-Encoding: chunked")))) {
        imx_headers_wipe(list);
        return NULL;
    }
    return list;
}

/* What follows Basic, Token or Bearer; NULL when there is no secret. */
const char *imx_headers_credential(const struct curl_slist *list)
{
    const char *space = strchr(list->data, ' ');

    return strncmp(list->data, "Authorization: ", 15) == 0
               ? strchr(space + 1, ' ') + 1
               : NULL;
}

#define TOKEN_ENV "InfluxMetricsTokenEnv: a new token takes a stop and a start"
#define TOKEN_FILE "InfluxMetricsTokenFile"

/* Only InfluxDB 2 knows tokens at the address of v1. */
static const char *token_for_v1_advice(const imx_influx_options_t *o)
{
    if (o->token) {
        return TOKEN_ENV
            "; an InfluxDB 1 wants InfluxMetricsUser and "
            "InfluxMetricsPasswordEnv in place of a token";
    }
    return TOKEN_FILE
        "; an InfluxDB 1 wants InfluxMetricsUser and "
        "InfluxMetricsPasswordFile in place of a token";
}

/* A secret of a file is read again by itself. */
const char *imx_headers_advice(const imx_influx_options_t *o)
{
    if (o->api == IMX_INFLUX_V1 && (o->token || o->token_file)) {
        return token_for_v1_advice(o);
    }
    return o->token        ? TOKEN_ENV
           : o->token_file ? TOKEN_FILE
           : o->password ? "InfluxMetricsUser and InfluxMetricsPasswordEnv: a "
                           "new password takes a stop and a start"
           : o->user     ? "InfluxMetricsUser and InfluxMetricsPasswordFile"
           : o->api == IMX_INFLUX_V1
               ? "InfluxMetricsUser and InfluxMetricsPasswordFile, or for "
                 "InfluxDB 2 InfluxMetricsBucket and InfluxMetricsTokenFile"
               : "InfluxMetricsTokenFile, of which there is none";
}
