/*
 * flow.h owns how much of a body may have gone out by now.
 * Pure arithmetic, for the thread that holds the lease.
 * Nothing survives a crash: the next holder's bodies have a flow of their own.
 *
 * A body that goes out as fast as it can keeps a core from the requests for
 * about a millisecond, at the same moment of each interval.  So the holder's
 * bodies go out in pieces, one each 20 ms: all that waits at a tick is out
 * shortly before the next one (pace.h).  There are not more bodies for that.
 *
 * Times are ns of the monotonic clock, as the caller reads it.
 */
#ifndef IMX_FLOW_H
#define IMX_FLOW_H

#include <stdint.h>

#define IMX_FLOW_STEP INT64_C(20000000)  /* ns between two pieces */
#define IMX_FLOW_LEAST (4 * 1024)        /* bytes of a piece */
#define IMX_FLOW_AT_ONCE INT64_C(100000) /* ns of work, then there is a rest */
#define IMX_FLOW_ANY UINT64_MAX          /* bytes: no limit */

typedef struct {
    uint64_t piece;   /* bytes, or IMX_FLOW_ANY */
    uint64_t allowed; /* bytes of the body that may be out by now */
    int64_t at;       /* when the last piece was allowed */
    int64_t rest;     /* nothing goes out before; 0: no rest */
    int64_t held;     /* the pauses between pieces that are over ... */
    int64_t held_from, held_until; /* ... and the one that is not */
} imx_flow_t;

/*
 * How large pieces are, so that what waits is out in time.  waiting: bytes that
 * are sealed, those of the body among them.  spread_ms: for all of them.
 */
uint64_t imx_flow_piece(uint64_t waiting, int64_t spread_ms);

/* A body begins, without limits. */
void imx_flow_begin(imx_flow_t *f, int64_t now);

/* From now on it goes out in such pieces.  Pieces of a body become larger and
 * never smaller: what waits grows less only because they go out. */
void imx_flow_limit(imx_flow_t *f, uint64_t piece, int64_t now);

/* Nothing of the body can go out yet, as there is no connection: this time does
 * not count. */
void imx_flow_wait(imx_flow_t *f, int64_t now);

/* So many bytes of the body are out, and nothing is done until
 * imx_flow_allow(): that is a pause, for as long as no more may go out. */
void imx_flow_pause(imx_flow_t *f, uint64_t out, int64_t now);

/* How many bytes of the body may be out now. */
uint64_t imx_flow_allow(imx_flow_t *f, int64_t now);

/* Until when a step may work at it, when so many bytes of the body are out; 0:
 * as long as it takes.  So it is where there is no limit; and where steps come
 * so late, on a processor that has no time, that little work in each of them
 * would never be enough. */
int64_t imx_flow_until(const imx_flow_t *f, uint64_t out, int64_t now);

/* Work for one piece took so long that it ended when only so many bytes of it
 * were done: the next ones wait as long as these would. */
void imx_flow_rest(imx_flow_t *f, uint64_t done, int64_t now);

/* When more may go out of a body of which so many bytes are out; at once, when
 * that is not later than now. */
int64_t imx_flow_next(const imx_flow_t *f, uint64_t out, int64_t now);

#endif
