/*
 * post.h: what a handle of influx.h consists of, and the post that is under
 * way.  For influx.c, and for outcome.c, which judges what came of it.
 * Entered only by the thread that opened the handle.  Nothing survives a crash.
 */
#ifndef IMX_POST_H
#define IMX_POST_H

#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "deliver/address.h"
#include "deliver/answer.h"
#include "deliver/body.h"
#include "deliver/flow.h"
#include "deliver/influx_options.h"
#include "deliver/reply.h"
#include "deliver/secret.h"

typedef enum {
    PREPARING, /* files and addresses are not there yet */
    MOVING,    /* libcurl has the request */
    FAILED     /* it never got it: code and error tell why */
} stage_e;

struct imx_influx {
    const imx_influx_options_t *o;
    CURLM *multi;
    CURL *easy;
    char *write_url, *create_url;
    imx_secret_reader_t *reader;
    imx_secret_t *files; /* NULL until they were read */
    imx_secret_t *lent;  /* those whose bytes libcurl has */
    imx_address_t *address;
    struct curl_slist *headers[2]; /* [1]: of a compressed body */
    const char *credential;        /* in headers, what follows Basic, Token */
    int sleep_fd;                  /* never readable: for a wait of nothing */
    int stale;                     /* the next post makes a new connection */
    int plain;                     /* somebody on the way refused gzip */

    /* of the post that is under way */
    int busy, creating;
    stage_e stage;
    CURLcode code; /* when FAILED */
    int64_t began; /* ns */
    const char *url;
    imx_body_t body;
    imx_flow_t flow;   /* of the body */
    size_t out;        /* lines that were given to a connection that died */
    uint64_t repeated; /* lines that went out twice */
    imx_reply_t reply;
    char error[CURL_ERROR_SIZE + IMX_INFLUX_REASON_MAX];
};

#endif
