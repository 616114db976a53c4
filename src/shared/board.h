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

#define IMX_BOARD_VERSION 6 /* another one with each change of imx_board_t */
#define IMX_BOARD_ERROR_MAX 256
#define IMX_BOARD_REFUSED_MAX 408

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
    IMX_BOARD_CREATED,
    IMX_BOARD_SPOOL_HANGS,
    IMX_BOARD_REMARK,
    IMX_BOARD_SPOOL_USED,
    IMX_BOARD_TROUBLES
} imx_board_trouble_e;

typedef struct {
    int64_t quiet_until; /* ns of the monotonic clock */
    uint64_t count;      /* not yet told of */
} imx_board_trouble_t;

/* Kinds of loss that the page tells of while they last. */
typedef enum {
    IMX_BOARD_SPELL_REFUSED = 0, /* InfluxDB refuses points for good */
    IMX_BOARD_SPELL_BUFFER,      /* lost, as the buffer is full */
    IMX_BOARD_SPELL_SPOOL,       /* lost with files of the spool */
    IMX_BOARD_SPELLS
} imx_board_spell_e;

/*
 * A loss that goes on: it is over when no point was lost for a while.  That is
 * longer than the longest usual interval of a measurement (60 s), of which each
 * point may be refused.
 */
#define IMX_BOARD_SPELL_NS INT64_C(70000000000)

typedef struct {
    int64_t since, last; /* ns of the monotonic clock: the first and the last
                            loss; 0: there was none */
    uint64_t count;      /* points that were lost in it */
} imx_board_spell_t;

/*
 * What a holder has learned about when to send, and how much at a time; pace.h
 * has the arithmetic.  All zero: nothing was learned yet.  Times are ns of the
 * monotonic clock.
 */
typedef struct {
    uint64_t target;     /* a hash of the InfluxDB that it was learned of */
    int64_t not_before;  /* no body before that time */
    int64_t failed_at;   /* when a body was not taken for the last time */
    uint64_t backoff_ms; /* upper end of the last random wait, 0: none */
    uint64_t answer_ms; /* how long the last body that was taken and its answer
                            took without the pauses between its pieces, or a
                            little less than one before, if that took longer */
    uint64_t slow;      /* good answers in a row that took long */
    uint64_t careful;   /* for so many more good answers, bodies go out in half
                            an interval, as one was late */
    uint64_t proven;    /* bytes of the largest body that was taken since the
                            last failure */
    uint64_t fits;      /* bytes of a body: more were too large for it; 0: no
                            limit is known */
    uint64_t passes;    /* bytes of a body that passes in time, and through a
                            proxy; 0: any */
    int64_t passes_at;  /* no larger body is tried before that time, */
    int64_t passes_wait; /* which was so long after the last that failed, ns */
    uint64_t too_large;  /* the first body that was, 0: the log was told */
    uint64_t told;       /* the limit that the log was told of, 0: none */
    int64_t grow_at;     /* when a larger body than fits is to be tried ... */
    int64_t patience;    /* ... and how long after that the next time */
    uint64_t grew;       /* 1: it was, and there is no answer yet */
    uint64_t created;    /* 1: CREATE DATABASE was carried out, and no points
                            were taken since */
} imx_board_pace_t;

#define IMX_BOARD_SPOOLS 4

/* The account of one directory of files; backlog_account.h has the
 * arithmetic. */
typedef struct {
    uint64_t id;    /* a hash of its path, 0: it was never opened */
    uint64_t lines; /* that are counted and are to be in its files; not for the
                       one in use, which has what is in no other */
    uint64_t is_known; /* 1: all files that were there have been counted */
    uint64_t is_used;  /* 1: the log was told that another process uses it */
} imx_board_spool_t;

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
    int64_t spool_hangs;      /* ns, monotonic: since when a disk does not
                                 answer; 0: it does */
    uint64_t repeated;        /* lines that were sent again, or will be, as
                                 InfluxDB may have them already or not */
    int64_t down_since;       /* ns, monotonic; 0: delivery works */
    uint64_t down_lost;       /* lines lost before that */
    uint64_t down_said;       /* 1: the log tells of it, */
    int64_t down_again;       /* and does again at that time, ns, monotonic */
    int64_t clock_ahead;   /* s: this host's clock before InfluxDB's; 0: they
                                 agree, or InfluxDB does not tell */
    int64_t clock_again;   /* no word of it before, ns, monotonic */
    uint64_t no_room_seen; /* no_room, as far as trouble[] has it */
    imx_board_trouble_t trouble[IMX_BOARD_TROUBLES];
    imx_board_spell_t spells[IMX_BOARD_SPELLS];
    uint64_t buffer_seen, spool_seen; /* losses, as far as spells[] has them */
    char last_error[IMX_BOARD_ERROR_MAX];    /* "": the last one worked */
    char refusal_shown[IMX_BOARD_ERROR_MAX]; /* why a line was refused, without
                                                what a client sent */
    char refusal[IMX_BOARD_ERROR_MAX];   /* of the last refused line: why, */
    char refused[IMX_BOARD_REFUSED_MAX]; /* and its begin; "": not known */
    /* what a holder has learned, for the next one */
    int64_t next_tick;  /* ns, monotonic; 0: none yet */
    uint64_t under_way; /* lines that InfluxDB has not answered */
    imx_board_pace_t pace;
    imx_board_spool_t spools[IMX_BOARD_SPOOLS]; /* the one in use, and former
                                                   ones */
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

/* Does a loss still go on at that time, ns of the monotonic clock? */
int imx_board_spell_lasts(const imx_board_spell_t *spell, int64_t now);

/* Holder: so many more points were lost at that time. */
void imx_board_spell_add(imx_board_spell_t *spell, uint64_t count,
                         int64_t now);

/* Holder: is at work at that time, ns of the monotonic clock.  Any: when it
 * was, 0: never. */
void imx_board_beat(const imx_board_view_t *v, int64_t now);
int64_t imx_board_beaten(const imx_board_view_t *v);

/* Any: may the caller say now that the holder does nothing?  One child may,
 * once in `quiet` ns. */
int imx_board_may_say_silent(const imx_board_view_t *v, int64_t now,
                             int64_t quiet);

#endif
