/*
 * patrol.c owns what a child's monitor thread looks after beside delivery.
 * Entered by that thread, and by the main thread before it.
 * Nothing here survives the process.
 */
#include "report/patrol.h"

#include "base/clock.h"
#include "config/config.h"
#include "config/reporting.h"
#include "report/process_info.h"
#include "report/server_events.h"
#include "report/slow.h"
#include "report/workers.h"

#include <unistd.h>

static struct {
    const imx_arena_t *arena;
    imx_children_self_t self;
} child;

void imx_patrol_child_init(const imx_arena_t *a,
                           const imx_children_self_t *self, pid_t parent)
{
    child.arena = a;
    child.self = *self;
    imx_process_info_child_init(parent != getpid() ? parent : 0);
    imx_workers_child_init();
    imx_server_events_child_init();
}

/* What is done each so often (ns), 0: not at all; and when next. */
typedef struct {
    int64_t interval, due;
} round_t;

static round_t measure, slow;

static int is_due(round_t *r, int64_t now)
{
    if (r->interval == 0 || now < r->due) {
        return 0;
    }
    r->due = now + r->interval;
    return 1;
}

static int64_t sooner(const round_t *r, int64_t when)
{
    return r->interval > 0 && r->due < when ? r->due : when;
}

static int patrol(void *context, int64_t now)
{
    (void)context;
    if (is_due(&measure, now)) {
        imx_process_info_measure(child.arena, &child.self, now);
    }
    if (is_due(&slow, now)) {
        imx_slow_report_look(now);
    }
    return (int)((sooner(&measure, sooner(&slow, INT64_MAX)) - now)
                 / IMX_CLOCK_MS);
}

/* Requests that ended since the last look have their points now. */
static void patrol_end(void *context, int64_t now)
{
    (void)context;
    if (slow.interval > 0) {
        imx_slow_report_look(now);
    }
}

static void look(void *context, int64_t now)
{
    (void)context;
    imx_server_events_look(child.arena, &child.self);
    imx_workers_look(now);
}

void imx_patrol_use(imx_monitor_options_t *o)
{
    const apr_int64_t *interval = imx_reporting()->interval;

    measure.interval = interval[IMX_MEASURED_PROCESSES];
    /* How many are under way is told with the workers. */
    slow.interval = interval[IMX_MEASURED_SLOW] > 0
                            || interval[IMX_MEASURED_WORKERS] > 0
                        ? IMX_SLOW_LOOK
                        : 0;
    imx_slow_report_use(o->child, o->arena, imx_config_global()->hostname);
    o->patrol = measure.interval > 0 || slow.interval > 0 ? patrol : NULL;
    o->patrol_end = patrol_end;
    o->look = look;
}
