/*
 * pace.h owns when the next body may be sent, and how large it and its pieces
 * may be.
 * Pure arithmetic, for the thread that holds the lease.
 * What was learned is a struct on the board, so it survives every holder: the
 * next one goes on where the last one was.
 *
 * Times are ns of the monotonic clock, as the caller reads it.
 */
#ifndef IMX_PACE_H
#define IMX_PACE_H

#include <stdint.h>

#include "shared/board.h"

#define IMX_PACE_ASKED_MOST_MS INT64_C(3600000) /* of a Retry-After */
#define IMX_PACE_LEAST \
    (64 * 1024) /* bytes of a body, however slow the way is */

/* What is configured; it does not change. */
typedef struct {
    uint64_t max_bytes; /* of a body */
    int interval_ms;    /* between two ticks */
    int timeout_ms;     /* for a body and its answer */
    int at_seconds;     /* 1: answers come once a second, as InfluxDB 3 writes
                           its log then */
} imx_pace_limits_t;

/*
 * A new holder: what is on the board becomes usable.  Other processes can write
 * there, so each value that no holder could have left is put right: nobody
 * waits longer than an hour.  target: a hash of the InfluxDB that this holder
 * delivers to; what was learned of another one is forgotten.
 */
void imx_pace_take_over(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                        uint64_t target, int64_t now);

/* May a body be sent now? */
int imx_pace_is_due(const imx_board_pace_t *p, int64_t now);

/* There is a reason to try at once, such as a new secret. */
void imx_pace_try_now(imx_board_pace_t *p);

/* A body, which was begun at that time, was not taken.  asked_ms: what
 * Retry-After asked for, -1: nothing.  random: any number; it spreads the waits
 * of many servers. */
void imx_pace_back_off(imx_board_pace_t *p, int64_t now, int64_t began,
                       int64_t asked_ms, uint32_t random);

/* InfluxDB took a body of so many bytes, which was begun at that time.
 * held_ns: the pauses between its pieces.  Returns 1 when it was begun after
 * the last failure. */
int imx_pace_taken(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                   int64_t now, int64_t began, int64_t held_ns,
                   uint64_t bytes);

/* May a body of so many bytes go out in pieces? */
int imx_pace_is_proven(const imx_board_pace_t *p, uint64_t bytes);

/* How large the pieces of a body are (flow.h).  waiting: bytes that are to be
 * out before the next tick, in so many bodies. */
uint64_t imx_pace_piece(const imx_board_pace_t *p,
                        const imx_pace_limits_t *limits, uint64_t waiting,
                        uint64_t bodies);

/* For how many ms the answer to a body that is out is worth waiting for. */
uint64_t imx_pace_patience_ms(const imx_board_pace_t *p);

/* How many bytes a body may have, as far as is known. */
uint64_t imx_pace_size(const imx_board_pace_t *p,
                       const imx_pace_limits_t *limits);

/* How many bytes the next body may have.  To be asked once for each body: now
 * and then it allows more than was found to fit, to try. */
uint64_t imx_pace_body(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                       int64_t now);

/* A body of so many bytes was refused as too large. */
void imx_pace_too_large(imx_board_pace_t *p, int64_t now, uint64_t bytes);

/* The size is not the reason: no limit is known. */
void imx_pace_forget_limit(imx_board_pace_t *p);

/* A body was not too large.  Returns the bytes of the first one that was, if
 * the log is to be told of the limit that was found, else 0. */
uint64_t imx_pace_news(const imx_board_pace_t *p);

/* The log was told of the limit, or need not be.  After imx_pace_taken(). */
void imx_pace_told(imx_board_pace_t *p, int told);

/* A body of so many bytes had no answer in time, or a proxy could not pass it
 * on. */
void imx_pace_try_smaller(imx_board_pace_t *p, int64_t now, uint64_t bytes);

/*
 * Do answers take so long that a second body should be on its way meanwhile?
 * (InfluxDB 3 answers when it has written its log, once a second.)
 */
int imx_pace_wants_two(const imx_board_pace_t *p);

#endif
