/*
 * answer.h: what an InfluxDB said, sorted: which answer it is, how many lines
 * it refused, when to come back, and its words as one line for the log.
 * Pure: libc only, no state, any thread.  Every byte that is read here comes
 * from the network, may be cut anywhere, and need not end in NUL.
 *
 * The types have the name of influx.h, through which its callers see them.
 */
#ifndef IMX_ANSWER_H
#define IMX_ANSWER_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define IMX_INFLUX_REASON_MAX 256 /* bytes of a reason, NUL included */

typedef enum {
    IMX_INFLUX_V1 = 1, /* POST /write?db=&rp=&precision=n */
    IMX_INFLUX_V2,     /* POST /api/v2/write?org=&bucket= */
    IMX_INFLUX_V3      /* POST /api/v3/write_lp?db= */
} imx_influx_api_e;

typedef enum {
    IMX_INFLUX_IDLE = 0,     /* nothing under way */
    IMX_INFLUX_BUSY,         /* no answer yet: wait, then step again */
    IMX_INFLUX_SENT,         /* 2xx: stored, or as good as */
    IMX_INFLUX_PARTIAL,      /* good lines stored, others refused */
    IMX_INFLUX_MALFORMED,    /* whole body refused for a line in it */
    IMX_INFLUX_REJECTED,     /* refused, and will be refused again; also
                                       when every line is named as bad */
    IMX_INFLUX_REFUSED,      /* 400, 422 in words that are not known: may be
                                       a line, may be the request */
    IMX_INFLUX_TOO_LARGE,    /* 413, whoever said it */
    IMX_INFLUX_UNAUTHORIZED, /* 401, 403 */
    IMX_INFLUX_NOT_FOUND,    /* database or bucket is missing */
    IMX_INFLUX_RETRY,        /* 429, 5xx, 3xx, another's 404, not
                                       connected: surely not stored, or safe
                                       to repeat */
    IMX_INFLUX_UNKNOWN       /* sent, but no answer: stored or not */
} imx_influx_answer_e;

/* What the last answer said. */
typedef struct {
    imx_influx_answer_e answer;
    long status;            /* HTTP status, 0 when there was none */
    int curl_code;          /* CURLcode of the transfer */
    int too_slow;           /* 1: connected, but no answer in time */
    int64_t retry_after_ms; /* what the server asked for, -1: nothing */
    int64_t dropped;        /* lines refused in a PARTIAL, named in a
                                       MALFORMED; -1: not said */
    int more;               /* 1: at least so many, as the answer was cut */
    int quotes;             /* 1: the reason begins with a refused line */
    int64_t line;           /* v3: number of a refused line, from 1; 0: none
                                       named */
    char reason[IMX_INFLUX_REASON_MAX]; /* InfluxDB's words or curl's, one line,
                                       printable, no secret in it */
} imx_influx_result_t;

/*
 * Sorts the answer to a post of lines.  status 100..599, body: len bytes of
 * what the server said.  Fills answer, status, dropped, more, quotes, line and
 * reason of *r.
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

/*
 * The value of a Retry-After header (len bytes), seconds or one of HTTP's
 * three forms of a date.  Returns milliseconds from now on, at most a day;
 * -1 when it asks for nothing, or cannot be read.
 */
int64_t imx_answer_retry_after(const char *value, size_t len, time_t now);

/* Makes text the reason (IMX_INFLUX_REASON_MAX bytes): printable, one line. */
void imx_answer_explain(char *reason, const char *text);

/* Puts stars over the secret wherever the reason shows it, NULL: nothing. */
void imx_answer_hide(char *reason, const char *secret);

#endif
