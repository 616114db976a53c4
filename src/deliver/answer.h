/*
 * answer.h: what an InfluxDB said, sorted: which answer it is, how many lines
 * it refused, and its words as one line.
 * Pure functions for any thread.  Nothing survives a crash.  Every byte that is
 * read here comes from the network, may be cut anywhere, and need not end in
 * NUL.
 *
 * The types have the name of influx.h, through which its callers see them.
 */
#ifndef IMX_ANSWER_H
#define IMX_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "deliver/influx_options.h"
#include "deliver/reason.h"

typedef enum {
    IMX_INFLUX_IDLE = 0,     /* nothing under way */
    IMX_INFLUX_BUSY,         /* no answer yet: wait, then step again */
    IMX_INFLUX_SENT,         /* 2xx: stored, or as good as */
    IMX_INFLUX_PARTIAL,      /* good lines are stored, others refused */
    IMX_INFLUX_MALFORMED,    /* the whole body is refused for a line in it */
    IMX_INFLUX_REJECTED,     /* every line is named as bad; or the database
                                could not be created */
    IMX_INFLUX_REFUSED,      /* 400 or 422 in words that are not known: because
                                of a line, or of the request */
    IMX_INFLUX_TOO_LARGE,    /* 413, whoever said it and in whatever words */
    IMX_INFLUX_UNAUTHORIZED, /* 401, 403 */
    IMX_INFLUX_NOT_FOUND,    /* the database or bucket is missing */
    IMX_INFLUX_RETRY,        /* any other status, a page, not connected, a file
                                that cannot be read: surely not stored, or safe
                                to repeat */
    IMX_INFLUX_UNKNOWN       /* sent, but no answer: stored or not */
} imx_influx_answer_e;

/* What the last answer said. */
typedef struct {
    imx_influx_answer_e answer;
    long status;            /* HTTP status, 0 when there was none */
    int curl_code;          /* CURLcode of the transfer */
    int try_smaller;        /* 1: a smaller body may do, as none of this one
                               was answered in time or passed on by a proxy */
    int64_t retry_after_ms; /* what the server asked for, -1: nothing */
    int64_t clock_ahead_s;  /* of this host's clock before the server's; 0:
                               not known */
    int64_t held_ns;        /* the pauses between the pieces of the body */
    int64_t dropped;        /* lines refused in a PARTIAL, named in a
                               MALFORMED; -1: not said */
    int more;               /* 1: at least so many, as the answer was cut */
    int quotes;             /* 1: the reason begins with a refused line */
    int64_t line;           /* v3: number of a refused line, from 1; 0: none
                               is named */
    int remark;             /* 1: SENT, but the reason is worth a line in the
                               log, once */
    uint64_t repeated;      /* lines that went out once more in this post, as
                               a kept connection had died under them: they
                               may be stored twice where that makes a
                               difference */
    uint64_t in_doubt;      /* lines that went out and may be stored, though
                               the answer does not say so: whoever sends them
                               again repeats them */
    const char *advice;     /* the directives to look at; NULL: none, or, when
                               UNAUTHORIZED, those of the secret */
    char reason[IMX_INFLUX_REASON_MAX]; /* InfluxDB's words or curl's: for the
                                           log.  May quote a line, and what
                                           clients sent in it. */
    char public_reason[IMX_INFLUX_REASON_MAX]; /* the same without values of
                                                  tags and fields: for the
                                                  page */
} imx_influx_result_t;

/*
 * Sorts the answer to a post of lines.  status 100..599, body: len bytes of
 * what the server said.  Fills answer, status, dropped, more, quotes, line,
 * remark, advice and both reasons of *r, these without the advice.
 */
void imx_answer_sort(imx_influx_api_e api, long status, const char *body,
                     size_t len, imx_influx_result_t *r);

/*
 * What an answer that was sorted means for a post of so many lines: no more of
 * them are dropped than were sent, and when all are, none is worth a search.
 */
void imx_answer_count(imx_influx_api_e api, size_t lines,
                      imx_influx_result_t *r);

/* The answer to CREATE DATABASE: sorts it, and finds the error in a 200. */
void imx_answer_sort_created(long status, const char *body, size_t len,
                             imx_influx_result_t *r);

#endif
