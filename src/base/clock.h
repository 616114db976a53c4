/*
 * clock.h owns the one way to read the monotonic clock, and the one to read the
 * wall clock.  Any thread and any signal handler.  Nothing here survives
 * anything.
 *
 * All waits and limits go by this clock; only time stamps that leave the
 * process go by the wall clock, which somebody may set.
 */
#ifndef IMX_CLOCK_H
#define IMX_CLOCK_H

#include <stdint.h>
#include <time.h>

#define IMX_CLOCK_MS INT64_C(1000000) /* ns */

static inline int64_t imx_clock_read(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * (1000 * IMX_CLOCK_MS) + t.tv_nsec;
}

/* ns since some moment of the past; never goes back. */
static inline int64_t imx_clock_now(void)
{
    return imx_clock_read(CLOCK_MONOTONIC);
}

/* ns since 1970; goes back when somebody sets it. */
static inline int64_t imx_clock_wall(void)
{
    return imx_clock_read(CLOCK_REALTIME);
}

/* Sleeps for about ms milliseconds; a signal may end it early. */
static inline void imx_clock_pause(int ms)
{
    const struct timespec pause = { ms / 1000,
                                    ms % 1000 * (long)IMX_CLOCK_MS };

    nanosleep(&pause, NULL);
}

#endif
