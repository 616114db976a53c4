/*
 * influx.h: one HTTP conversation with InfluxDB: a POST of lines, one answer.
 * Entered only by the thread that opened the handle (the monitor's).
 * Nothing here survives a crash, and nothing needs to: the caller keeps the
 * lines until it has seen IMX_INFLUX_SENT.
 *
 * Ownership: strings and the options struct are borrowed and must outlive the
 * handle; the lines of a post are borrowed until the post has an answer or was
 * aborted.  A handle is never shared between threads and never crosses a fork.
 * The caller runs curl_global_init() before the first open, on the main thread.
 *
 * Call order:  open, { post, { wait, step }, }*, close.
 */
#ifndef IMX_INFLUX_H
#define IMX_INFLUX_H

#include <stddef.h>
#include <stdint.h>

#include "deliver/answer.h"

/* What the administrator configured.  NULL where not set. */
typedef struct {
    imx_influx_api_e api;
    const char *url;                  /* http://host:port, no trailing slash */
    const char *unix_socket;          /* path, or NULL for TCP */
    const char *database;             /* v1, v3 */
    const char *retention_policy;     /* v1 */
    const char *org, *bucket;         /* v2 */
    const char *user, *password_file; /* v1 Basic */
    const char *token_file;           /* v1, v2 "Token", v3 "Bearer" */
    int connect_timeout_ms, total_timeout_ms;
    const char *ca_file;                     /* PEM; NULL: the system's CAs */
    const char *certificate_file, *key_file; /* PEM; both or none of them */
    int gzip;                                /* 1: bodies are compressed */
} imx_influx_options_t;

typedef struct {
    const char *data; /* a whole line, LF included */
    uint32_t len;     /* bytes */
} imx_influx_line_t;

typedef struct imx_influx imx_influx_t;

/*
 * Makes a handle: curl's easy and multi handle, headers, URL.  Reads the
 * password or token file.  Returns 0, or an errno value with a sentence in
 * reason (IMX_INFLUX_REASON_MAX bytes).
 */
int imx_influx_open(imx_influx_t **out, const imx_influx_options_t *o,
                    char *reason);

/*
 * Begins a POST of count lines (count > 0), streamed from where they lie: with
 * Content-Length, or compressed and in chunks, as their length is not known
 * then.  The same lines make the same bytes.  Only when nothing is under way.
 * Does not block.  When one of the TLS files has changed, a new connection is
 * made, with what is in them.
 */
void imx_influx_post(imx_influx_t *in, const imx_influx_line_t *lines,
                     size_t count);

/* Begins CREATE DATABASE (v1 only); otherwise as imx_influx_post(). */
void imx_influx_create_database(imx_influx_t *in);

/*
 * Moves what is under way.  Returns IMX_INFLUX_BUSY, or the answer, once, with
 * *result filled; IMX_INFLUX_IDLE when nothing was under way.
 */
imx_influx_answer_e imx_influx_step(imx_influx_t *in,
                                    imx_influx_result_t *result);

/*
 * Waits until the transfer can move, wake_fd (-1: none) is readable, or ms
 * milliseconds are over.  Also the way to sleep when nothing is under way.
 * Does not read from wake_fd.
 */
void imx_influx_wait(imx_influx_t *in, int wake_fd, int ms);

/* Ends what is under way at once, without an answer (milliseconds). */
void imx_influx_abort(imx_influx_t *in);

/*
 * Reads the token or password file again; the next post uses what is in it, on
 * a new connection.
 * Returns 1 when the secret changed, 0 when not, -1 when the file could not be
 * read (reason filled; the old secret stays).  Also while a post is under way.
 */
int imx_influx_reload_secret(imx_influx_t *in, char *reason);

void imx_influx_close(imx_influx_t *in);

#endif
