/*
 * stats.h: counters and histograms of all requests, for each series: a virtual
 * host, or a virtual host and a route.  Requests that are sampled, left out by
 * a condition or written nowhere are counted as well.
 *
 * The part of the arena:  cell[stripe 0][series 0] [series 1] ... [stripe 1]...
 *                         | longest[taker 0][series 0] [series 1] ...
 *                         | wide[series 0] [series 1] ...
 *
 * A request thread adds to the cell of its series in the stripe of its child.
 * There are 16 stripes, so that the children of a busy server seldom write to
 * one cache line, and no more, so that the holder can add them up ten times a
 * second.  Nobody ever sets a counter back: a child that is killed leaves its
 * counts, the next child in its stripe goes on, and what happened in an
 * interval is the difference of two sums.  The 32-bit counters of buckets wrap
 * around, and their differences are right all the same; what they have counted
 * in all is below.  The one exception is the maximum,
 * which the holder takes and sets to zero.  There are takers with intervals of
 * their own: what one of them takes is kept for the others.
 *
 * A cell has room for two histograms.  A process's view says how many of them
 * are counted, so that a graceful restart can change it; memory that nobody
 * writes to is free.
 *
 * The total of a bucket has 64 bits, of which the lower half are the counters
 * of all stripes.  wide[] is a total that the bucket had some time ago:
 *
 *     total = wide + (counters - wide modulo 2^32),
 *
 * as long as the holder writes such a total there at least once in 2^32
 * requests: it does so each minute, and not before it is needed.  A reader
 * takes wide first, by acquire, and the counters after that: so they are not
 * older than those that it was made of.  It does not matter which of these
 * totals it finds, and so a holder can be killed at any point.
 *
 * Each counter is exact.  Two counters that are read while requests end can
 * differ by the requests that end just then.
 *
 * Every index is checked against the view, which is private to the process; a
 * hostile writer can forge figures, and nothing else.
 */
#ifndef IMX_STATS_H
#define IMX_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define IMX_STATS_VERSION 4
#define IMX_STATS_STRIPES 16
#define IMX_STATS_CLASSES 6 /* 1xx .. 5xx at 0 .. 4, any other status at 5 */

/*
 * Buckets of a duration: base-2 exponential, eight an octave, as Prometheus'
 * native histograms of schema 3 and OpenTelemetry's of scale 3 have them.
 * Bucket i holds durations of at most 2^(i/8 - 16) seconds that do not fit into
 * bucket i - 1; the last one holds what is longer than 128 s.  0.25, 0.5, 1, 2
 * s ...  are bounds, so shares below these are exact.  2ab/(a+b) stands for the
 * bucket from a to b, and is wrong by at most 4.33 %.
 */
#define IMX_STATS_BUCKETS 186
#define IMX_STATS_OCTAVE 8
#define IMX_STATS_HISTOGRAMS 2  /* request_time, application_time */
#define IMX_STATS_BUCKET_1S 128 /* its bound is one second */

typedef struct imx_stats_cell imx_stats_cell_t;
typedef struct imx_stats_wide imx_stats_wide_t;

/* Who takes the maximum, each in its own time. */
typedef enum {
    IMX_STATS_FOR_INTERVALS = 0, /* request-metrics */
    IMX_STATS_FOR_HISTORY,
    IMX_STATS_TAKERS
} imx_stats_taker_e;

/* The part as a process sees it, in private memory. */
typedef struct {
    imx_stats_cell_t *cells;   /* 64 bytes aligned */
    _Atomic uint64_t *longest; /* ns; by taker and series */
    imx_stats_wide_t *wide;    /* by series */
    uint32_t series;
    uint32_t histograms; /* 1: request_time; 2: application_time as well */
} imx_stats_t;

/* What is counted of a request; ns, bytes. */
typedef struct {
    uint64_t request_ns, application_ns;
    uint64_t bytes_sent;
    uint32_t status;
} imx_stats_request_t;

/* What is counted besides, where somebody asked for it. */
typedef struct {
    uint64_t server_ns, input_ns, output_ns, bytes_received;
} imx_stats_more_t;

/* The sum of a series over all stripes. */
typedef struct {
    uint64_t request_ns, application_ns, bytes_sent;
    uint64_t classes[IMX_STATS_CLASSES];
    uint64_t server_ns, input_ns, output_ns, bytes_received;
    uint64_t aborted, objective_total, objective_good;
    uint32_t buckets[IMX_STATS_HISTOGRAMS][IMX_STATS_BUCKETS]; /* modulo 2^32 */
} imx_stats_sum_t;

/* The totals of its buckets. */
typedef struct {
    uint64_t buckets[IMX_STATS_HISTOGRAMS][IMX_STATS_BUCKETS];
} imx_stats_totals_t;

/* Parent: bytes of memory for so many series. */
size_t imx_stats_size(uint32_t series);

/* Parent: the view of zeroed memory of that size at base, 64 bytes aligned;
 * one histogram is counted. */
void imx_stats_format(imx_stats_t *stats, void *base, uint32_t series);

/* Any: the cell of a series in a stripe.  A number out of range is taken
 * modulo the number of stripes, and as series 0. */
imx_stats_cell_t *imx_stats_cell(const imx_stats_t *stats, uint32_t stripe,
                                 uint32_t series);

/* Any thread of a child: counts a request that has ended.  No lock, no system
 * call.  Besides: its client went away; its application_time, for a second
 * histogram; whether it kept the objective that it has; what somebody asked
 * for. */
void imx_stats_count(imx_stats_cell_t *cell,
                     const imx_stats_request_t *request);
void imx_stats_count_aborted(imx_stats_cell_t *cell);
void imx_stats_count_application(imx_stats_cell_t *cell, uint64_t ns);
void imx_stats_count_objective(imx_stats_cell_t *cell, int is_good);
void imx_stats_count_more(imx_stats_cell_t *cell,
                          const imx_stats_more_t *more);

/* Any: the sum of a series; adds it to another sum; series < stats->series. */
void imx_stats_add_up(const imx_stats_t *stats, uint32_t series,
                      imx_stats_sum_t *sum);
void imx_stats_add(const imx_stats_t *stats, uint32_t series,
                   imx_stats_sum_t *sum);

/* Holder, once in some minutes: no total of these series is lost when counters
 * wrap around. */
void imx_stats_widen(const imx_stats_t *stats, uint32_t series);

/* Any: the totals of all buckets of a series, which never fall. */
void imx_stats_totals(const imx_stats_t *stats, uint32_t series,
                      imx_stats_totals_t *totals);

/* a -= b, a += b.  Counters wrap around: differences of 32 bits, and of 64. */
void imx_stats_subtract(imx_stats_sum_t *a, const imx_stats_sum_t *b);
void imx_stats_accumulate(imx_stats_sum_t *a, const imx_stats_sum_t *b);

/* Any: how many requests a sum has; how many the first `series` series have
 * together, since the memory was made; how many one series has.  Series without
 * a name are not looked at: a page of memory that is only read takes room,
 * too. */
uint64_t imx_stats_requests_of(const imx_stats_sum_t *sum);
uint64_t imx_stats_requests(const imx_stats_t *stats, uint32_t series);
uint64_t imx_stats_requests_in(const imx_stats_t *stats, uint32_t series);

/* Holder: the longest request_time of a series since this taker last asked,
 * ns. */
uint64_t imx_stats_take_max(const imx_stats_t *stats, uint32_t series,
                            imx_stats_taker_e taker);

/* Any: the bucket of a duration; the bound of a bucket in seconds (infinite for
 * the last one). */
uint32_t imx_stats_bucket(uint64_t ns);
double imx_stats_bound(uint32_t bucket);

#endif
