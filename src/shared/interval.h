/*
 * interval.h: intervals that are measured, so that none is lost and none is
 * written twice, whoever dies.
 *
 * The part of the arena, for each schedule:
 *
 *   closed, written | time, clock of copy 0, of copy 1 | rows of copy 0 | of 1
 *
 * A schedule has intervals, numbered from 1, one behind the other without a
 * gap.  A row is what is known of one thing, such as a virtual host, at the end
 * of an interval: sums that only grow.  What happened in interval k is the
 * difference of the rows of k and of k - 1, and these are the two copies.
 *
 *   1. Close interval k + 1: its rows, its time and the clock are written into
 *      the copy of k - 1, which nobody needs any more; then one store says that
 *      k + 1 is closed.
 *   2. Write it: the lines of the difference, all with the time of k + 1, are
 *      appended to the batch.
 *   3. One store says that it is written.  Only then the next one is closed.
 *
 * A holder that is killed in 1 has closed nothing: the interval gets longer.
 * After one that was killed in 2 the next holder writes all lines again, from
 * the same two copies and with the same time: the same bytes, which InfluxDB
 * stores once.  (They count twice among the recorded and sent points.)
 *
 * The time of an interval is that of its end on the wall clock, rounded down to
 * a whole interval, plus an offset below a millisecond, drawn when the arena is
 * made: so bins in a database are exact, and two servers of one host do not
 * overwrite each other's points.  After a clock was set back the intervals wait
 * for it for one interval, and then follow it with another offset, so that they
 * overwrite nothing.
 *
 * "Holder" is whoever has the lease; "any" reads what a hostile process may
 * have written: every number can be nonsense, no index depends on one.
 */
#ifndef IMX_INTERVAL_H
#define IMX_INTERVAL_H

#include <stddef.h>
#include <stdint.h>

#define IMX_INTERVAL_VERSION 1
#define IMX_INTERVAL_SCHEDULES_MAX 16

typedef struct {
    uint32_t rows, row_len; /* row_len: bytes, divisible by 8 */
} imx_interval_spec_t;

/* A process's own view, in its private memory. */
typedef struct {
    struct imx_interval_part *part;
    uint32_t schedules;
    imx_interval_spec_t spec[IMX_INTERVAL_SCHEDULES_MAX];
    size_t at[IMX_INTERVAL_SCHEDULES_MAX]; /* of the first copy's rows */
} imx_interval_t;

/* One moment, on both clocks: ns since 1970, ns of the monotonic clock. */
typedef struct {
    int64_t wall, mono;
} imx_interval_now_t;

/* An interval that was closed. */
typedef struct {
    uint64_t number;
    int64_t time;           /* of its lines, ns since 1970 */
    int64_t began, ended;   /* ns of the monotonic clock */
    const char *old, *rows; /* those at its begin and its end */
    uint32_t row_len;
} imx_interval_closed_t;

/* Makes a row of the next copy: `old` is the last one of the same thing.  row
 * has whatever was in it: of two intervals ago, or of an attempt to close this
 * one by a holder that was killed. */
typedef void (*imx_interval_fill_fn)(void *context, uint32_t i,
                                     const void *old, void *row);

/* Now, by the system's clocks. */
imx_interval_now_t imx_interval_now(void);

/* Parent: bytes of the part; makes it in zeroed memory, 64 bytes aligned.
 * offset: below 1,000,000, drawn by the caller. */
size_t imx_interval_size(const imx_interval_spec_t *spec, uint32_t schedules);
void imx_interval_format(imx_interval_t *v, void *base,
                         const imx_interval_spec_t *spec, uint32_t schedules,
                         const imx_interval_now_t *now, uint32_t offset);

/* Holder: is it time to close an interval of that length (ns)?  Not as long as
 * the last one is not written. */
int imx_interval_is_due(const imx_interval_t *v, uint32_t schedule,
                        int64_t length, const imx_interval_now_t *now);

/* Holder: closes an interval with its first `rows` rows.  length 0: the server
 * ends, and the interval has the time of now.  fill may be NULL where the
 * schedule has no rows. */
void imx_interval_close(const imx_interval_t *v, uint32_t schedule,
                        int64_t length, const imx_interval_now_t *now,
                        uint32_t rows, imx_interval_fill_fn fill,
                        void *context);

/* Any: the interval closed last, to be read as long as it is not written.
 * Returns 0 when it is written already. */
int imx_interval_closed(const imx_interval_t *v, uint32_t schedule,
                        imx_interval_closed_t *closed);

/* Holder: that one is written. */
void imx_interval_written(const imx_interval_t *v, uint32_t schedule,
                          const imx_interval_closed_t *closed);

/* Any: row i of the interval that was closed last, written or not; i is
 * clamped. */
const void *imx_interval_last(const imx_interval_t *v, uint32_t schedule,
                              uint32_t i);

/* Row i of a closed interval at its begin and at its end. */
static inline const void *imx_interval_old(const imx_interval_closed_t *c,
                                           uint32_t i)
{
    return c->old + (size_t)i * c->row_len;
}

static inline const void *imx_interval_row(const imx_interval_closed_t *c,
                                           uint32_t i)
{
    return c->rows + (size_t)i * c->row_len;
}

#endif
