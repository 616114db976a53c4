/*
 * news.h owns what the log and the board are told of delivery, and how often.
 * Entered by a child's monitor thread.
 * The board is what the next holder goes on with: an outage is one outage, and
 * a minute is one minute for the whole server, whoever holds the lease.
 */
#ifndef IMX_NEWS_H
#define IMX_NEWS_H

#include <stdint.h>

#include "base/log.h"
#include "deliver/influx.h"
#include "shared/arena.h"

typedef struct {
    const imx_arena_t *arena;
    const char *where; /* InfluxDB, as the log names it */
    imx_log_fn log;
    void *log_context;
    int64_t (*now)(void *context); /* ns, monotonic; NULL: the clock */
    void *now_context;
    int64_t silent_beat, silent_at; /* ns: a beat that was old, and when that
                                       was seen first; see is_still() */
    /* The holder's own copy of the board.  Whoever changes it publishes it. */
    imx_board_t board;
    /* What this process has said, whatever the board says of it: lines about
     * tags at their limit, and when it said the others, ns; 0: never. */
    unsigned tags_said;
    int64_t said[IMX_BOARD_TROUBLES], said_silent;
} imx_news_t;

/* ns of the monotonic clock, or of the test's. */
int64_t imx_news_now(const imx_news_t *n);

/* A new holder takes over what the last one had published. */
void imx_news_take_over(imx_news_t *n);

void imx_news_publish(imx_news_t *n);

/* One line for the log; at most 1,000 bytes of it. */
__attribute__((format(printf, 3, 4))) void imx_news_say(
    imx_news_t *n, imx_log_level_e level, const char *format, ...);

/* Counts, and returns what the log is to be told now: the first of its kind at
 * once, then at most once a minute what came together; else 0. */
uint64_t imx_news_count(imx_news_t *n, imx_board_trouble_e kind,
                        uint64_t count);

/* Was a line of this kind written less than a minute ago? */
int imx_news_is_quiet(const imx_news_t *n, imx_board_trouble_e kind);

/* InfluxDB answered lines, or CREATE DATABASE: for the status page. */
void imx_news_answer(imx_news_t *n, const imx_influx_result_t *r, int lines);

/* Nothing is delivered, for this reason: for the log, and for the page, which
 * shows no values of tags and fields. */
void imx_news_down(imx_news_t *n, const char *reason,
                   const char *public_reason);
int imx_news_is_down(const imx_news_t *n);

/* InfluxDB takes points. */
void imx_news_up(imx_news_t *n);

/* InfluxDB refused so many lines for good.  line: one of them, or NULL. */
void imx_news_refused(imx_news_t *n, uint64_t count, const char *reason,
                      const imx_influx_line_t *line);

/* A body that fits was found after some that were too large. */
void imx_news_body_fits(imx_news_t *n);

/* InfluxDB took lines, and said something that the administrator should know.
 */
void imx_news_remark(imx_news_t *n, const char *reason);

void imx_news_created(imx_news_t *n, const char *database);

/* The secret that InfluxDB refused cannot be read again. */
void imx_news_no_secret(imx_news_t *n, const char *reason);

/* So many of the oldest points were given up, as the buffer was full; 0: to say
 * what became due. */
void imx_news_gave_up(imx_news_t *n, uint64_t count);

/* A job of the spool is under way in dir since that time, 0: none is.  The disk
 * is said to hang when that is long. */
void imx_news_spool_busy(imx_news_t *n, const char *dir, int64_t since);

/* The holder, at each step: it is alive.  Another child: says when the holder
 * is not, once a minute for the server. */
void imx_news_beat(imx_news_t *n);
void imx_news_watch_holder(imx_news_t *n);

/* Every two seconds: what became due meanwhile, and what requests lost. */
void imx_news_watch(imx_news_t *n);

#endif
