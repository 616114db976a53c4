/*
 * monitor.c owns a child's delivery thread, and its way to the lease and from
 * it.
 * One thread a child enters it; imx_monitor_stop() also any other thread or a
 * signal handler.
 * Nothing here survives the process, and nothing needs to.
 */
#include "deliver/monitor.h"

#include "base/clock.h"
#include "base/least.h"
#include "base/thread.h"
#include "deliver/ending.h"
#include "deliver/holder.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define MS IMX_CLOCK_MS
/* How long a stop waits for the thread: while it takes the answers that are
 * due, ... */
#define LEAVE_MS (IMX_ENDING_ANSWER_MS + 500)
/* ... or while it also writes the rest to the spool. */
#define STOP_MS (IMX_ENDING_SPOOL_MS + 500)
#define LEASE_LEAST_MS 500u /* between two looks at the lease, with jitter: */
#define LEASE_MOST_MS 2500u /* up to twice as much */
/* A child that begins at a graceful restart looks more often at first: the
 * holder of before gives the lease up as soon as there is such a child, and
 * meanwhile nobody delivers, and no second of the history is closed. */
#define HURRY_MS 3000
#define HURRY_TIMES 5u

struct imx_monitor {
    imx_monitor_options_t o;
    imx_holder_t *holder;
    imx_thread_t thread;
    int64_t hurry_until; /* 0: it has not begun */
    int64_t next_try;    /* to get the lease */
    int64_t next_patrol; /* of what runs in each child */
};

static int64_t now_of(const imx_monitor_t *m)
{
    return imx_news_now(imx_holder_news(m->holder));
}

/* Up to 5 s, so that thousands of children do not wake for nothing. */
static void try_lease(imx_monitor_t *m)
{
    uint32_t base = LEASE_LEAST_MS + 2 * m->o.arena->children.rows;

    if (base > LEASE_MOST_MS) {
        base = LEASE_MOST_MS;
    }
    if (m->hurry_until == 0) {
        m->hurry_until = now_of(m) + HURRY_MS * MS;
    }
    if (now_of(m) < m->hurry_until) {
        base /= HURRY_TIMES;
    }
    m->next_try = now_of(m)
                  + (base + imx_holder_random_below(m->holder, base)) * MS;
    if (imx_holder_is_superseded(m->holder)
        || !imx_holder_take(m->holder, 0)) {
        imx_holder_watch(m->holder);
    }
}

/* Returns for how many milliseconds no patrol is due. */
static int patrol(imx_monitor_t *m)
{
    int64_t now = now_of(m);

    if (m->o.patrol == NULL) {
        return INT_MAX;
    }
    if (now >= m->next_patrol) {
        m->next_patrol = now + m->o.patrol(m->o.patrol_context, now) * MS;
    }
    return (int)((m->next_patrol - now) / MS) + 1;
}

int imx_monitor_step(imx_monitor_t *m)
{
    int ms = patrol(m);

    if (!imx_holder_is_one(m->holder) && now_of(m) >= m->next_try) {
        try_lease(m);
    }
    if (imx_holder_is_one(m->holder)) {
        return imx_least_int(ms, imx_holder_step(m->holder));
    }
    return imx_least_int(ms, (int)((m->next_try - now_of(m)) / MS) + 1);
}

void imx_monitor_wait(imx_monitor_t *m, int ms)
{
    imx_holder_wait(m->holder, imx_thread_wake_fd(&m->thread), ms);
    imx_thread_woken(&m->thread);
}

/* ---- the end ---- */

static int is_relieved(void *context)
{
    imx_monitor_t *m = context;

    return !imx_children_is_last(&m->o.arena->children);
}

void imx_monitor_finish(imx_monitor_t *m)
{
    int is_last = imx_children_leave(&m->o.arena->children, &m->o.child->self);

    if (is_last && !imx_thread_is_to_leave(&m->thread)) {
        imx_ending_last(m->holder, m->o.shutdown_ms, is_relieved, m);
    }
    else {
        imx_ending_leave(m->holder);
    }
}

void imx_monitor_end_server(imx_monitor_t *m)
{
    imx_ending_server(m->holder, m->o.shutdown_ms);
}

/* ---- the thread ---- */

static void run(void *data)
{
    imx_monitor_t *m = data;

    imx_thread_give_way();
    while (!imx_thread_is_to_stop(&m->thread)) {
        int ms = imx_monitor_step(m);

        if (ms > 0) {
            imx_monitor_wait(m, ms);
        }
    }
    if (m->o.patrol_end != NULL) {
        m->o.patrol_end(m->o.patrol_context, now_of(m));
    }
    imx_monitor_finish(m);
    imx_holder_close(m->holder);
}

int imx_monitor_start(imx_monitor_t *m)
{
    return imx_thread_start(&m->thread, run, m);
}

void imx_monitor_leave(imx_monitor_t *m)
{
    imx_thread_leave(&m->thread);
}

/* Only what POSIX allows in a signal handler. */
int imx_monitor_stop(imx_monitor_t *m)
{
    int ms = imx_thread_is_to_leave(&m->thread) ? LEAVE_MS
                                                : m->o.shutdown_ms + STOP_MS;

    return imx_thread_stop(&m->thread, ms) && !imx_holder_hangs(m->holder);
}

static void wake(void *context)
{
    imx_monitor_t *m = context;

    imx_thread_wake(&m->thread);
}

imx_monitor_t *imx_monitor_create(const imx_monitor_options_t *options)
{
    imx_monitor_t *m = calloc(1, sizeof *m);
    int rv;

    if (m == NULL) {
        return NULL;
    }
    m->o = *options;
    rv = imx_thread_init(&m->thread);
    m->holder = rv == 0 ? imx_holder_create(&m->o, wake, m) : NULL;
    if (m->holder == NULL) {
        imx_monitor_destroy(m);
        errno = rv != 0 ? rv : ENOMEM;
        return NULL;
    }
    return m;
}

/* When a disk hangs, so does a thread that may still wake this one: then both
 * stay. */
void imx_monitor_destroy(imx_monitor_t *m)
{
    if (m->holder == NULL || imx_holder_destroy(m->holder)) {
        imx_thread_destroy(&m->thread);
        free(m);
    }
}
