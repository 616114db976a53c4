/*
 * influx.h owns one HTTP conversation with InfluxDB: a POST of lines, one
 * answer.
 * Entered only by the thread that opened the handle (the monitor's).
 * Nothing here survives a crash, and nothing needs to: the caller keeps the
 * lines until it has seen IMX_INFLUX_SENT.
 *
 * No call here waits for a disk or a name server longer than it says: files are
 * read, and names are looked up, on threads of their own.
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
#include "deliver/body.h"
#include "deliver/influx_options.h"

typedef struct imx_influx imx_influx_t;

/*
 * Makes a handle: libcurl's easy and multi handle, headers, URL.  Begins to
 * read the files and to look up the name.  Returns 0, or an errno value with a
 * sentence in reason (IMX_INFLUX_REASON_MAX bytes), which is always ENOMEM:
 * whether a file can be read is the answer of the first post.
 */
int imx_influx_open(imx_influx_t **out, const imx_influx_options_t *o,
                    char *reason);

/*
 * Begins a POST of count lines (count > 0), streamed from where they lie: with
 * Content-Length, or compressed and in chunks, as their length is not known
 * then.  The same lines make the same bytes.  Only when nothing is under way.
 * With TLS, waits for at most 50 ms to see whether one of the files has
 * changed; then a new connection is made, with what is in them.
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

/* The post that was begun last goes out in pieces of so many bytes (flow.h),
 * from now on; IMX_FLOW_ANY: as fast as it can. */
void imx_influx_flow(imx_influx_t *in, uint64_t piece);

/* Ends what is under way at once, without an answer (milliseconds). */
void imx_influx_abort(imx_influx_t *in);

/*
 * How many lines of the post that is under way have gone out, and may be stored
 * although it is aborted now.
 */
uint64_t imx_influx_in_doubt(const imx_influx_t *in);

/* 1: libcurl has all bytes of the post that is under way, so that its answer is
 * what is missing. */
int imx_influx_is_out(const imx_influx_t *in);

/*
 * Reads the files again, for at most 200 ms; the next post uses what is in
 * them, on a new connection.  Returns 1 when the secret changed, 0 when not, -1
 * when a file could not be read, or not yet (reason is filled; the old secret
 * stays, and what comes late serves the next post).
 */
int imx_influx_reload_secret(imx_influx_t *in, char *reason);

void imx_influx_close(imx_influx_t *in);

#endif
