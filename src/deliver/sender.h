/*
 * sender.h owns one load on its way to InfluxDB: the bodies that it is cut
 * into, the answers, and what they mean for each line.
 * Entered by the monitor's thread of the child that holds the lease.
 * A line that is accounted for is done for good, by its source; a load that
 * was not accounted for when the process died comes again.
 *
 * The holder has two senders, each with a connection and a load of its own, so
 * that no answer has to wait for another one.  What they learn of InfluxDB is
 * common to them: the pace, on the board.
 *
 * Call order:  { take, { post, { step }* }* }*
 */
#ifndef IMX_SENDER_H
#define IMX_SENDER_H

#include <stddef.h>
#include <stdint.h>

#include "deliver/influx.h"
#include "deliver/news.h"
#include "deliver/pace.h"
#include "deliver/source.h"

/* Borrowed until imx_sender_destroy(). */
typedef struct {
    const imx_influx_options_t *influx;
    imx_pace_limits_t limits;
    uint64_t max_lines;  /* of a body */
    size_t room;         /* lines of a load */
    int create_database; /* v1: make a missing database */
    uint64_t *random;    /* the holder's */
    imx_news_t *news;
} imx_sender_options_t;

typedef struct imx_sender imx_sender_t;

/* Opens no connection.  Returns NULL when there is no memory. */
imx_sender_t *imx_sender_create(const imx_sender_options_t *options);

/* Takes a load from the source.  Only when there is none.  Returns 1 when there
 * is one now. */
int imx_sender_take(imx_sender_t *s, imx_source_t *source);

/* Is there something to post: a load, or CREATE DATABASE? */
int imx_sender_has_work(const imx_sender_t *s);

/* Lines of the load that are not accounted for. */
size_t imx_sender_left(const imx_sender_t *s);

/* Lines that were accounted for since the last call. */
uint64_t imx_sender_done(imx_sender_t *s);

/* Posts what is next.  Only when there is work and nothing is under way.
 * Returns 0 when InfluxDB's handle could not be made. */
int imx_sender_post(imx_sender_t *s);

/* Bodies of the batch go out in pieces of so many bytes (flow.h): from the next
 * one on, or if they are larger, from now on.  IMX_FLOW_ANY, as in the
 * beginning: as fast as they can, from now on. */
void imx_sender_flow(imx_sender_t *s, uint64_t piece);

/* Bytes of the load that are not accounted for. */
uint64_t imx_sender_left_bytes(const imx_sender_t *s);

/* Is a body under way?  With all its bytes out, so that the answer is what is
 * missing? */
int imx_sender_is_posting(const imx_sender_t *s);
int imx_sender_is_out(const imx_sender_t *s);

/* Moves what is under way, and acts on the answer.  Returns 1 while it still
 * is under way. */
int imx_sender_step(imx_sender_t *s);

/* Waits until what is under way can move, wake_fd is readable, or ms
 * milliseconds are over. */
void imx_sender_wait(imx_sender_t *s, int wake_fd, int ms);

/* Ends what is under way, and puts the load back. */
void imx_sender_abort(imx_sender_t *s);

/* Closes the connection; the sender can be used again. */
void imx_sender_close(imx_sender_t *s);

/* s may be NULL. */
void imx_sender_destroy(imx_sender_t *s);

#endif
