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

#define IMX_INFLUX_REASON_MAX 256   /* bytes of a reason, NUL included */

typedef enum {
    IMX_INFLUX_V1 = 1,              /* POST /write?db=&rp=&precision=n */
    IMX_INFLUX_V2,                  /* POST /api/v2/write?org=&bucket= */
    IMX_INFLUX_V3                   /* POST /api/v3/write_lp?db= */
} imx_influx_api_e;

typedef enum {
    IMX_INFLUX_IDLE = 0,            /* nothing under way */
    IMX_INFLUX_BUSY,                /* no answer yet: wait, then step again */
    IMX_INFLUX_SENT,                /* 2xx: stored, or as good as */
    IMX_INFLUX_PARTIAL,             /* good lines stored, some refused for good */
    IMX_INFLUX_MALFORMED,           /* whole body refused for a line in it */
    IMX_INFLUX_REJECTED,            /* refused, and will be refused again; v1
                                       also when it names every line as bad */
    IMX_INFLUX_TOO_LARGE,           /* 413, whoever said it */
    IMX_INFLUX_UNAUTHORIZED,        /* 401, 403 */
    IMX_INFLUX_NOT_FOUND,           /* database or bucket is missing */
    IMX_INFLUX_RETRY,               /* 429, 5xx, not connected: surely not stored
                                       or safe to repeat; see retry_after */
    IMX_INFLUX_UNKNOWN              /* sent, but no answer: stored or not */
} imx_influx_answer_e;

/* What the administrator configured.  NULL where not set. */
typedef struct {
    imx_influx_api_e api;
    const char *url;                /* http://host:port, no trailing slash */
    const char *unix_socket;        /* path, or NULL for TCP */
    const char *database;           /* v1, v3 */
    const char *retention_policy;   /* v1 */
    const char *org, *bucket;       /* v2 */
    const char *user, *password_file;   /* v1 Basic */
    const char *token_file;         /* v1, v2 "Token", v3 "Bearer" */
    int connect_timeout_ms, total_timeout_ms;
} imx_influx_options_t;

typedef struct {
    const char *data;               /* a whole line, LF included */
    uint32_t len;                   /* bytes */
} imx_influx_line_t;

/* What the last answer said. */
typedef struct {
    imx_influx_answer_e answer;
    long status;                    /* HTTP status, 0 when there was none */
    int curl_code;                  /* CURLcode of the transfer */
    int64_t retry_after_ms;         /* what the server asked for, -1: nothing */
    int64_t dropped;                /* lines refused in a PARTIAL, named in a
                                       MALFORMED: at least so many, as long
                                       answers are cut; -1: not said */
    char reason[IMX_INFLUX_REASON_MAX]; /* InfluxDB's words or curl's, one line,
                                       printable, no secret in it */
} imx_influx_result_t;

typedef struct imx_influx imx_influx_t;

/*
 * Makes a handle: curl's easy and multi handle, headers, URL.  Reads the
 * password or token file.  Returns 0, or an errno value with a sentence in
 * reason (IMX_INFLUX_REASON_MAX bytes).
 */
int imx_influx_open(imx_influx_t **out, const imx_influx_options_t *o,
                    char *reason);

/*
 * Begins a POST of count lines (count > 0), streamed from where they lie, with
 * Content-Length.  Only when nothing is under way.  Does not block.
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
 * Reads the token or password file again; the next post uses what is in it.
 * Returns 1 when the secret changed, 0 when not, -1 when the file could not be
 * read (reason filled; the old secret stays).  Also while a post is under way.
 */
int imx_influx_reload_secret(imx_influx_t *in, char *reason);

/*
 * Sorts an HTTP answer into the enum: pure, for influx.c, tests and fuzzers.
 * status 100..599, body: len bytes of what the server said (may be cut, need
 * not end in NUL).  Fills answer, status, dropped and reason of *result.
 */
void imx_influx_sort(imx_influx_api_e api, long status, const char *body,
                     size_t len, imx_influx_result_t *result);

void imx_influx_close(imx_influx_t *in);

#endif
