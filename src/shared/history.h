/*
 * history.h: what the server did in each of the last 600 seconds and 1,440
 * minutes, in the arena: for whoever looks at the page, which can so show what
 * was before it was opened.
 *
 * The part:
 *
 *   closed[ring]               the period closed last, and which base is valid
 *   base[ring][2]              sums of all counters at the end of that period
 *   periods[ring][place]       what happened in a period, all servers together
 *   rows[ring][host][place]    and of each virtual host, in few words
 *   recent[host][10]           histograms of the last ten seconds
 *
 * Periods are numbered by the monotonic clock: the number of a second is what
 * the wall clock said when the arena was made, plus the seconds since then; a
 * minute ends with the second 60 times its number.  So a number is never used
 * twice, whatever becomes of the wall clock, and period n is in place n modulo
 * the ring's size.  The wall time stands in the period.
 *
 * One process writes, the holder (seconds.c does it).  It says in the place
 * that it is being written, writes the words, and then the number; a reader
 * that finds another number before or after has read nothing.  So has one that
 * looks for a period that nobody closed, as there was no holder in that second:
 * what was counted in it is in the next period.  The holder that is killed in
 * the middle of a period has not closed it, and the base of the period before
 * is still valid: the next holder takes that period away, and closes what is
 * then to be closed, from that base.  So the sum over all periods is what was
 * counted, and nothing is in two of them.
 *
 * A host is a virtual host's name; its routes count together.  The first 63
 * names have rows of their own, all others are in the first row, which is
 * "other".
 *
 * Readers take no lock and wait for nobody.  Each word of a period can be
 * nonsense when another process scribbles there; no index depends on one.
 */
#ifndef IMX_HISTORY_H
#define IMX_HISTORY_H

#include "shared/stats.h"

#define IMX_HISTORY_VERSION 3
#define IMX_HISTORY_HOSTS 64
#define IMX_HISTORY_OTHER 0 /* the host that has all without a row */
#define IMX_HISTORY_SECONDS 600
#define IMX_HISTORY_MINUTES 1440
/* Some more places: a slow reader does not find the oldest periods gone. */
#define IMX_HISTORY_SECOND_PLACES (IMX_HISTORY_SECONDS + 8)
#define IMX_HISTORY_MINUTE_PLACES (IMX_HISTORY_MINUTES + 16)
#define IMX_HISTORY_RECENT 10 /* seconds */
#define IMX_HISTORY_NONE 255  /* a percentile of no requests */

typedef enum {
    IMX_HISTORY_SECOND = 0,
    IMX_HISTORY_MINUTE,
    IMX_HISTORY_RINGS
} imx_history_ring_e;

/* What is not counted, but looked at when a period is closed. */
typedef struct {
    uint64_t pending;     /* points in the buffer and in the spool */
    uint32_t busy;        /* workers, mean, in hundredths */
    uint32_t utilization; /* of all workers that there may be, in 1/10,000 */
    uint32_t listen_queue;
    uint32_t sent, rejected, dropped; /* points, in the period */
} imx_history_gauges_t;

/* What happened in a period. */
typedef struct {
    int64_t wall;  /* ns since 1970, when it was closed */
    uint64_t span; /* seconds that are in it: 1, or more after a gap */
    uint64_t request_ns, application_ns, bytes_sent, bytes_received;
    uint64_t longest; /* request_time, ns */
    imx_history_gauges_t gauges;
    uint32_t classes[IMX_STATS_CLASSES];
    uint32_t aborted;
    uint32_t buckets[IMX_STATS_BUCKETS];
    uint32_t spare;
} imx_history_period_t;

/* The same of a host; percentiles are buckets, or IMX_HISTORY_NONE. */
typedef struct {
    uint64_t request_ns;
    uint32_t requests, errors; /* errors: 5xx */
    uint32_t aborted;
    uint8_t p50, p95, p99, spare;
    /* Of those with an objective: one can be in the period after the other. */
    uint32_t objective_total, objective_good;
} imx_history_row_t;

/* A host's requests of one second, for sums over some of these. */
typedef struct {
    uint32_t buckets[IMX_STATS_BUCKETS];
} imx_history_recent_t;

/* All counters of a host. */
typedef struct {
    imx_stats_sum_t sum;
    uint64_t seen;    /* requests, when they were last added up */
    uint64_t settled; /* 1: and there were no new ones since the time before */
} imx_history_host_t;

/* What was known at the end of a period; of the holder alone. */
typedef struct {
    uint64_t number;                  /* the period that `longest` is of */
    uint64_t longest;                 /* ns */
    uint64_t sent, rejected, dropped; /* points, since the arena was made */
    imx_history_host_t hosts[IMX_HISTORY_HOSTS];
} imx_history_base_t;

/* A process's own view, in its private memory. */
typedef struct {
    struct imx_history_part *part;
    int64_t zero; /* ns of the monotonic clock at second 0; may be negative */
    uint64_t first; /* the second in which the arena was made */
} imx_history_t;

/* Parent: bytes of the part; makes it in zeroed memory, 64 bytes aligned.
 * wall, mono: now, ns since 1970 and of the monotonic clock. */
size_t imx_history_size(void);
void imx_history_format(imx_history_t *h, void *base, int64_t wall,
                        int64_t mono);

/* Any: how many places a ring has; the second that has ended at that time. */
uint32_t imx_history_places(imx_history_ring_e ring);
uint64_t imx_history_number(const imx_history_t *h, int64_t mono);

/* ---- any thread reads ---- */

/* The period closed last. */
uint64_t imx_history_last(const imx_history_t *h, imx_history_ring_e ring);

/* Copies period n; n == 0 is none.  Returns 0 when it is not there: nobody
 * closed it, or it is too old. */
int imx_history_period(const imx_history_t *h, imx_history_ring_e ring,
                       uint64_t n, imx_history_period_t *period);

/* The same of a host, which had no requests where it has no row. */
int imx_history_row(const imx_history_t *h, imx_history_ring_e ring,
                    uint64_t n, uint32_t host, imx_history_row_t *row);

/* A host's requests of second n, one of the last ten.  Returns 0 when it had
 * none. */
int imx_history_recent(const imx_history_t *h, uint64_t n, uint32_t host,
                       imx_history_recent_t *recent);

/* How many hosts have rows, and the series whose server's name a host has. */
uint32_t imx_history_hosts(const imx_history_t *h);
uint32_t imx_history_series(const imx_history_t *h, uint32_t host);

/* A host's requests and 5xx since the arena was made. */
void imx_history_totals(const imx_history_t *h, uint32_t host,
                        uint64_t *requests, uint64_t *errors);

static inline uint64_t imx_history_requests(const imx_history_period_t *period)
{
    uint64_t n = 0;
    uint32_t i;

    for (i = 0; i < IMX_STATS_CLASSES; i++) {
        n += period->classes[i];
    }
    return n;
}

static inline uint32_t imx_history_errors(const imx_history_period_t *period)
{
    return period->classes[4]; /* 5xx */
}

/* ---- the holder writes ---- */

/* The base of the period closed last, and the one to be filled. */
imx_history_base_t *imx_history_base(const imx_history_t *h,
                                     imx_history_ring_e ring);
imx_history_base_t *imx_history_next_base(const imx_history_t *h,
                                          imx_history_ring_e ring);

/* In this order: begin period n, which takes away all behind the one closed
 * last; its words, rows and histograms; close it: then the base that was filled
 * is valid. */
void imx_history_begin(const imx_history_t *h, imx_history_ring_e ring,
                       uint64_t n);
void imx_history_put(const imx_history_t *h, imx_history_ring_e ring,
                     uint64_t n, const imx_history_period_t *period);
void imx_history_put_row(const imx_history_t *h, imx_history_ring_e ring,
                         uint64_t n, uint32_t host,
                         const imx_history_row_t *row);
void imx_history_put_recent(const imx_history_t *h, uint64_t n, uint32_t host,
                            const imx_history_recent_t *recent);
void imx_history_close(const imx_history_t *h, imx_history_ring_e ring,
                       uint64_t n);

/* Host `host` has the name of this series. */
void imx_history_put_host(const imx_history_t *h, uint32_t host,
                          uint32_t series);
void imx_history_put_totals(const imx_history_t *h, uint32_t host,
                            uint64_t requests, uint64_t errors);

/* Whether there was an outage when the holder last looked; it says so. */
int imx_history_was_down(const imx_history_t *h);
void imx_history_is_down(const imx_history_t *h, int is_down);

#endif
