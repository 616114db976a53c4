/*
 * monitor.h: the thread of a child that takes lines out of the batch and brings
 * them to InfluxDB, if it holds the server's lease; otherwise it waits to get
 * it.  Driven by a plain struct, so that a test can drive it step by step, with
 * its own clock and without a thread.
 *
 * Ownership: options are copied, what they point to is borrowed until the
 * monitor is destroyed.
 */
#ifndef IMX_MONITOR_H
#define IMX_MONITOR_H

#include "shared/arena.h"
#include "deliver/influx.h"
#include "base/log.h"

#define IMX_MONITOR_SPOOLS_BEFORE 3

typedef struct {
    const imx_arena_t *arena;
    imx_batch_child_t *child; /* this child's view of the batch */
    imx_influx_options_t influx;
    int create_database;           /* v1: make a missing database */
    int interval_ms;               /* of a tick */
    int shutdown_ms;               /* for the last flush */
    uint64_t max_bytes, max_lines; /* of one body */
    const char *spool_dir;         /* NULL: no spool */
    const char *spool_before[IMX_MONITOR_SPOOLS_BEFORE]; /* NULL, or what was
                        spool_dir: its files are delivered, none is added */
    uint64_t spool_max; /* bytes, 0: no limit */
    imx_log_fn log;
    void *log_context;
    int64_t (*now)(void *context); /* ns, never goes back; NULL: the clock */
    void *now_context;
} imx_monitor_options_t;

typedef struct imx_monitor imx_monitor_t;

/* Makes a monitor for the child; starts nothing.  NULL: errno says why. */
imx_monitor_t *imx_monitor_create(const imx_monitor_options_t *options);

/* Starts the thread (small stack, inherits the caller's signal mask).
 * Returns 0 or an errno value. */
int imx_monitor_start(imx_monitor_t *m);

/*
 * Before imx_monitor_stop(): the server goes on, or its end is seen to by
 * somebody else, so there is no last flush, even if no other child lives now.
 * Async-signal-safe.
 */
void imx_monitor_leave(imx_monitor_t *m);

/*
 * Tells the thread to end and waits until it has: at once when other children
 * live, after a last flush of at most shutdown_ms when this one is the last.
 * Async-signal-safe: prefork calls it in a signal handler.  Returns 1 when the
 * thread has ended, 0 when it has not within shutdown_ms and two seconds, or
 * half a second if it has nothing to flush.
 */
int imx_monitor_stop(imx_monitor_t *m);

/*
 * For the helper that the parent forks when the server has ended, without a
 * thread: delivers what is left in the batch, for at most shutdown_ms, and puts
 * the rest into the spool, if there is one.  child need not be in the table.
 */
void imx_monitor_end_server(imx_monitor_t *m);

/* Frees it; only when no thread runs. */
void imx_monitor_destroy(imx_monitor_t *m);

/* The thread's work, for tests: one look at everything that may be due.
 * Returns for how many milliseconds nothing more is. */
int imx_monitor_step(imx_monitor_t *m);

/* The thread's work, for tests: what it does when it is told to end. */
void imx_monitor_finish(imx_monitor_t *m);

/* Waits as the thread does between steps. */
void imx_monitor_wait(imx_monitor_t *m, int ms);

#endif
