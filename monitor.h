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

#include "batch.h"
#include "influx.h"
#include "log.h"

#define IMX_MONITOR_SPOOLS_BEFORE 3

typedef struct {
    const imx_batch_t *batch;
    imx_batch_child_t *child; /* this child's view of it */
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
 * Tells the thread to end and waits until it has: at once when other children
 * live, after a last flush of at most shutdown_ms when this one is the last.
 * Async-signal-safe: prefork calls it in a signal handler.  Returns 1 when the
 * thread has ended, 0 when it has not within shutdown_ms and half a second.
 */
int imx_monitor_stop(imx_monitor_t *m);

/*
 * For the helper that the parent forks when the server has ended, without a
 * thread: puts all that is left in the batch into the spool.  Waits at most
 * shutdown_ms for the lease.  child need not be in the table.
 */
void imx_monitor_spool_rest(imx_monitor_t *m);

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
