/*
 * monitor_options.h owns the list of what a monitor is to do.
 * It has no code; the struct belongs to whoever fills it in.
 * Nothing here survives a process.
 */
#ifndef IMX_MONITOR_OPTIONS_H
#define IMX_MONITOR_OPTIONS_H

#include <stdint.h>

#include "base/log.h"
#include "deliver/backlog.h"
#include "deliver/influx.h"
#include "shared/arena.h"

#define IMX_MONITOR_SPOOLS_BEFORE IMX_BACKLOG_BEFORE

typedef struct {
    const imx_arena_t *arena;
    imx_batch_child_t *child; /* this child's view of the batch */
    imx_influx_options_t influx;
    int create_database;           /* v1: make a missing database */
    int interval_ms;               /* of a tick */
    int shutdown_ms;               /* for the last flush */
    uint64_t max_bytes, max_lines; /* of one body */
    const char *spool_dir;         /* NULL: no spool */
    const char *spool_before[IMX_MONITOR_SPOOLS_BEFORE]; /* NULL, or a former
                        spool_dir: its files are delivered, none is added */
    const char *spool_note; /* this server's, see spool_owner.h; NULL: none */
    uint64_t spool_max;     /* bytes, 0: no limit */
    imx_log_fn log;         /* also called by the thread of the spool's disk */
    void *log_context;
    /* The holder, in each step: adds lines of what is measured to the batch,
     * and waits for nothing; and at the end, for the last time.  NULL: there is
     * nothing to report. */
    void (*report)(void *context);
    void (*report_end)(void *context);
    void *report_context;
    /* The holder, about every 100 ms: looks at what the server does.  now: ns
     * of the monotonic clock.  NULL: there is nothing to look at. */
    void (*look)(void *context, int64_t now);
    /* Each child's monitor, holder or not: looks after its own process.
     * Returns for how many milliseconds it need not be called again; it may be
     * called some later.  NULL: there is nothing to look after. */
    int (*patrol)(void *context, int64_t now);
    void (*patrol_end)(void *context, int64_t now); /* for the last time */
    void *look_context, *patrol_context;
    /* For tests.  ns, never goes back; NULL: the clock. */
    int64_t (*now)(void *context);
    void *now_context;
    uint64_t seed;      /* of random waits, 0: another one each time */
    int waits_for_disk; /* 1: the spool is worked at in the monitor's thread */
} imx_monitor_options_t;

#endif
