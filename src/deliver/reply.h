/*
 * reply.h owns what a server says, as it comes, as much of it as is kept.
 * Entered only by the thread that posts.  Nothing survives a crash.
 */
#ifndef IMX_REPLY_H
#define IMX_REPLY_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of an answer that are kept: InfluxDB 3 tells of 100 lines, each with
 * its own text. */
#define IMX_REPLY_KEPT (64 * 1024)

typedef struct {
    size_t received, kept;
    int flooded;            /* 1: it had no end, and was cut */
    int64_t asked_at;       /* when the request was begun, s since 1970 by
                               this host's clock */
    int64_t retry_after_ms; /* -1: not asked for */
    int64_t date;           /* of the answer, by the server's clock, s since
                               1970; 0: it does not tell its time */
    char asked[64];         /* its Retry-After as it stands there; "": none */
    int64_t clock_ahead_s;  /* of this host's clock before the server's; 0:
                               the server did not tell its time */
    char location[128];     /* where a redirect points; "": nowhere */
    char said[IMX_REPLY_KEPT];
} imx_reply_t;

void imx_reply_clear(imx_reply_t *r);

/* For CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION, with the reply for
 * their data. */
size_t imx_reply_header(char *data, size_t size, size_t n, void *reply);
size_t imx_reply_body(char *data, size_t size, size_t n, void *reply);

#endif
