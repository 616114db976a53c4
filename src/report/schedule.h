/*
 * schedule.h: which measurement is due, and that each of its intervals is
 * closed and written.  A new measurement is a row in the table in schedule.c.
 */
#ifndef IMX_SCHEDULE_H
#define IMX_SCHEDULE_H

#include "report/measurement.h"

/* A process, before its monitor: what is written from now on is written as this
 * child.  Returns the context for the functions below. */
void *imx_schedule_use(imx_batch_child_t *child, const imx_arena_t *arena,
                       const char *hostname, const char *influxdb);

/* The holder, in each of its steps: closes the intervals that have ended, and
 * writes some of what is to be written.  It takes a millisecond or two at most,
 * and waits for nothing. */
void imx_schedule_step(void *schedule);

/* The holder, when the server ends: closes all intervals, and writes them. */
void imx_schedule_end(void *schedule);

/* Any process: is there something that imx_schedule_end() would write of the
 * requests? */
int imx_schedule_is_open(const imx_arena_t *arena);

#endif
