/*
 * interval.c owns the ends of intervals: what was known at each, and whether it
 * is written.
 * Entered by the holder; closed() and last() by any thread.
 * All of it survives any process; see interval.h for why.
 */
#include "shared/interval.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "shared/fault.h"

#define OFFSETS 1000000u /* ns: below a millisecond */

typedef struct {
    _Alignas(64) _Atomic uint64_t closed, written; /* numbers of intervals */
    /* Of the two copies; interval k is in copy k & 1. */
    _Atomic int64_t time[2], clock[2];
} schedule_t;

struct imx_interval_part {
    _Alignas(64) _Atomic uint32_t offset;
    schedule_t schedules[IMX_INTERVAL_SCHEDULES_MAX];
};

imx_interval_now_t imx_interval_now(void)
{
    imx_interval_now_t now;

    now.wall = imx_clock_wall();
    now.mono = imx_clock_now();
    return now;
}

/* ---- the part ---- */

static size_t copy_size(const imx_interval_spec_t *spec)
{
    return ((size_t)spec->rows * spec->row_len + 63) & ~(size_t)63;
}

size_t imx_interval_size(const imx_interval_spec_t *spec, uint32_t schedules)
{
    size_t size = sizeof(struct imx_interval_part);
    uint32_t i;

    for (i = 0; i < schedules; i++) {
        size += 2 * copy_size(&spec[i]);
    }
    return size;
}

/* Interval 0 ends now, with rows of zeros, and is written. */
void imx_interval_format(imx_interval_t *v, void *base,
                         const imx_interval_spec_t *spec, uint32_t schedules,
                         const imx_interval_now_t *now, uint32_t offset)
{
    size_t at = sizeof(struct imx_interval_part);
    uint32_t i;

    v->part = base;
    v->schedules = schedules;
    atomic_store(&v->part->offset, offset % OFFSETS);
    for (i = 0; i < schedules; i++) {
        v->spec[i] = spec[i];
        v->at[i] = at;
        at += 2 * copy_size(&spec[i]);
        atomic_store(&v->part->schedules[i].time[0], now->wall);
        atomic_store(&v->part->schedules[i].clock[0], now->mono);
    }
}

static schedule_t *schedule_of(const imx_interval_t *v, uint32_t schedule)
{
    return &v->part->schedules[schedule % IMX_INTERVAL_SCHEDULES_MAX];
}

static char *copy_of(const imx_interval_t *v, uint32_t schedule,
                     uint64_t number)
{
    return (char *)v->part + v->at[schedule]
           + (number & 1) * copy_size(&v->spec[schedule]);
}

/* ---- its time ---- */

/* Unsigned where hostile numbers would overflow. */
static int64_t rounded_down(int64_t time, int64_t length)
{
    int64_t rest = time % length;

    return (
        int64_t)((uint64_t)time - (uint64_t)(rest < 0 ? rest + length : rest));
}

static int64_t between(int64_t from, int64_t to)
{
    return (int64_t)((uint64_t)to - (uint64_t)from);
}

/* Has the wall clock come to the end of an interval? */
static int has_ended(const schedule_t *s, uint64_t last, int64_t length,
                     const imx_interval_now_t *now)
{
    int64_t ended = atomic_load(&s->time[last & 1]);

    return rounded_down(now->wall, length) > rounded_down(ended, length);
}

/* The clock was set back, and does not come to it soon.  Nonsense in the part
 * looks the same, or as if the monotonic clock had gone back. */
static int is_set_back(const schedule_t *s, uint64_t last, int64_t length,
                       const imx_interval_now_t *now)
{
    int64_t age = between(atomic_load(&s->clock[last & 1]), now->mono);

    return age < 0 || age >= 2 * length;
}

int imx_interval_is_due(const imx_interval_t *v, uint32_t schedule,
                        int64_t length, const imx_interval_now_t *now)
{
    const schedule_t *s = schedule_of(v, schedule);
    uint64_t last = atomic_load(&s->closed);

    return atomic_load(&s->written) == last
           && (has_ended(s, last, length, now)
               || is_set_back(s, last, length, now));
}

static int64_t time_of(const imx_interval_t *v, const schedule_t *s,
                       uint64_t last, int64_t length,
                       const imx_interval_now_t *now)
{
    uint32_t offset = atomic_load(&v->part->offset) % OFFSETS;

    if (length == 0) {
        return now->wall + (now->wall == atomic_load(&s->time[last & 1]));
    }
    if (!has_ended(s, last, length, now)) {
        offset = (offset + 1) % OFFSETS;
        atomic_store(&v->part->offset, offset);
    }
    return rounded_down(now->wall, length) + offset;
}

/* ---- closing and writing ---- */

void imx_interval_close(const imx_interval_t *v, uint32_t schedule,
                        int64_t length, const imx_interval_now_t *now,
                        uint32_t rows, imx_interval_fill_fn fill,
                        void *context)
{
    schedule_t *s = schedule_of(v, schedule);
    const imx_interval_spec_t *spec = &v->spec[schedule];
    uint64_t last = atomic_load(&s->closed), next = last + 1;
    const char *old = copy_of(v, schedule, last);
    char *row = copy_of(v, schedule, next);
    uint32_t i;

    for (i = 0; i < rows && i < spec->rows; i++) {
        fill(context, i, old + (size_t)i * spec->row_len,
             row + (size_t)i * spec->row_len);
        FAULT("filled");
    }
    atomic_store(&s->time[next & 1], time_of(v, s, last, length, now));
    FAULT("timed");
    atomic_store(&s->clock[next & 1], now->mono);
    FAULT("closing");
    atomic_store(&s->closed, next);
    FAULT("closed");
}

int imx_interval_closed(const imx_interval_t *v, uint32_t schedule,
                        imx_interval_closed_t *closed)
{
    const schedule_t *s = schedule_of(v, schedule);
    uint64_t number = atomic_load(&s->closed);

    closed->number = number;
    closed->time = atomic_load(&s->time[number & 1]);
    closed->ended = atomic_load(&s->clock[number & 1]);
    closed->began = atomic_load(&s->clock[~number & 1]);
    closed->rows = copy_of(v, schedule, number);
    closed->old = copy_of(v, schedule, number + 1);
    closed->row_len = v->spec[schedule].row_len;
    return atomic_load(&s->written) != number;
}

void imx_interval_written(const imx_interval_t *v, uint32_t schedule,
                          const imx_interval_closed_t *closed)
{
    FAULT("writing");
    atomic_store(&schedule_of(v, schedule)->written, closed->number);
    FAULT("written");
}

const void *imx_interval_last(const imx_interval_t *v, uint32_t schedule,
                              uint32_t i)
{
    const imx_interval_spec_t *spec = &v->spec[schedule];
    uint64_t number = atomic_load(&schedule_of(v, schedule)->closed);

    return copy_of(v, schedule, number)
           + (size_t)(i < spec->rows ? i : 0) * spec->row_len;
}
