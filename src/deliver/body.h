/*
 * body.h owns the bytes of a POST: lines streamed from where they lie, as they
 * are or compressed.
 * Entered only by the thread that posts.  Nothing survives a crash, and the
 * same lines always make the same bytes.
 */
#ifndef IMX_BODY_H
#define IMX_BODY_H

#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>
#include <zlib.h>

typedef struct {
    const char *data; /* a whole line, LF included */
    uint32_t len;     /* bytes */
} imx_influx_line_t;

typedef struct {
    const imx_influx_line_t *lines; /* borrowed */
    size_t count;
    size_t at, off;    /* the position: a line, and bytes of it */
    int packed, ended; /* gzip, and its last byte is out */
    uint64_t taken;    /* bytes of lines so far */
    uint64_t may_take; /* of them; see flow.h */
    int64_t until; /* ns: then a read ends, a line done; 0: when it is full */
    int waits;     /* 1: libcurl was told to wait */
    int has_z;
    z_stream z;
} imx_body_t;

/* Once, before anything is packed.  Returns 0, or another number when there is
 * no memory. */
int imx_body_open_gzip(imx_body_t *b);
void imx_body_close(imx_body_t *b);

/* A body of these lines, from its beginning. */
void imx_body_set(imx_body_t *b, const imx_influx_line_t *lines, size_t count,
                  int packed);
void imx_body_rewind(imx_body_t *b);

/* Its bytes; -1 when they are known only at its end. */
curl_off_t imx_body_bytes(const imx_body_t *b);

/* How many bytes of lines may be read by now, and until when, as long as this
 * is not said again.  What sets it must wake libcurl when it waits. */
void imx_body_allow(imx_body_t *b, uint64_t bytes, int64_t until);

/* 1: libcurl has read every byte. */
int imx_body_is_out(const imx_body_t *b);

/* For CURLOPT_READFUNCTION, with a body for CURLOPT_READDATA. */
size_t imx_body_read(char *to, size_t size, size_t n, void *body);

#endif
