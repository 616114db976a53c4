/*
 * board.h: what the holder tells of its delivery, in the arena: for the status
 * page, and for the next holder, so that an outage is one outage and a
 * Retry-After is heeded whoever delivers.
 *
 * There are two copies, and a word whose last bit says which one is read.  The
 * one writer, the holder, fills the other copy and then turns the word.  A
 * writer that is killed in between has told nothing.  A reader that sees the
 * word turn reads again.
 */
#ifndef IMX_BOARD_H
#define IMX_BOARD_H

#include <stddef.h>
#include <stdint.h>

#define IMX_BOARD_VERSION 1 /* another one with each change of imx_board_t */
#define IMX_BOARD_ERROR_MAX 256

/* Kinds of trouble of which the log tells at most once a minute. */
typedef enum {
    IMX_BOARD_OUTAGE = 0,
    IMX_BOARD_REFUSED,
    IMX_BOARD_FULL,
    IMX_BOARD_NO_ROOM,
    IMX_BOARD_NO_SPOOL,
    IMX_BOARD_TOO_LARGE,
    IMX_BOARD_NO_SECRET,
    IMX_BOARD_SPOOL_FULL,
    IMX_BOARD_TROUBLES
} imx_board_trouble_e;

typedef struct {
    int64_t quiet_until; /* ns of the monotonic clock */
    uint64_t count;      /* not yet told of */
} imx_board_trouble_t;

/*
 * Lines in the spool, read before the batch's totals t:
 *   t.fate[IMX_BATCH_SPOOLED] + found - delivered - rejected - dropped
 * Each move of lines shows in one of these words, or in those that one tell
 * publishes together, so the sum holds between any two instructions.
 *
 * All fields are of 64 bits, and text.  A reader must expect any value in them:
 * every child can write to the arena.
 */
typedef struct {
    /* what is told */
    int64_t last_flush;       /* ns since 1970, 0: none yet */
    int64_t last_status;      /* HTTP status, 0: no answer */
    uint64_t spool_known;     /* 1: the spool was looked at */
    uint64_t spool_lines;     /* in its files now, */
    uint64_t spool_bytes;     /* and bytes */
    uint64_t spool_twice;     /* of these, counted elsewhere (monitor.c) */
    uint64_t spool_found;     /* lines that were not moved there from here */
    uint64_t spool_delivered; /* lines that left it: InfluxDB has them, */
    uint64_t spool_rejected;  /* refused them, */
    uint64_t spool_dropped;   /* or they are lost */
    int64_t down_since;       /* ns, monotonic; 0: delivery works */
    uint64_t down_lost;       /* lines lost before that */
    uint64_t down_said;       /* 1: the log tells of it */
    uint64_t no_room_seen;    /* no_room, as far as trouble[] has it */
    imx_board_trouble_t trouble[IMX_BOARD_TROUBLES];
    char last_error[IMX_BOARD_ERROR_MAX]; /* "": the last one worked */
    /* what a holder has learned, for the next one */
    int64_t next_tick; /* ns, monotonic; 0: none yet */
} imx_board_t;

/* A process's own view, in its private memory. */
typedef struct {
    struct imx_board_part *part;
} imx_board_view_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_board_size(void);
void imx_board_format(imx_board_view_t *v, void *base);

/* Holder: publishes it. */
void imx_board_tell(const imx_board_view_t *v, const imx_board_t *b);

/* Any: reads it whole, as it was at one moment. */
imx_board_t imx_board_told(const imx_board_view_t *v);

#endif
