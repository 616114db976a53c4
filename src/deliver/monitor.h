/*
 * monitor.h owns a child's delivery thread, and its way to the lease and from
 * it.  If the child has the lease, it takes lines out of the batch and brings
 * them to InfluxDB; if not, it waits to get it.
 * Driven by a plain struct, so that a test can drive it step by step, with its
 * own clock and without a thread.
 *
 * Ownership: options are copied, what they point to is borrowed until the
 * monitor is destroyed.
 */
#ifndef IMX_MONITOR_H
#define IMX_MONITOR_H

#include "deliver/monitor_options.h"

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
 * Tells the thread to end and waits until it has: soon when other children
 * live, after a last flush of at most shutdown_ms when this one is the last.
 * Async-signal-safe: prefork calls it in a signal handler.  Returns 1 when the
 * thread has ended and no other one of the monitor's is left.  Returns 0 when
 * that took longer than shutdown_ms and some seconds, or than some more than a
 * second if there is nothing to flush: the process is then to end by _exit().
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
