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
#include "report/sampler.h"
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

/* What is done each so often (ns), and when next. */
typedef struct {
    int64_t interval, due;
} round_t;

static round_t measure, slow;

static int is_due(round_t *r, int64_t now)
{
    if (now < r->due) {
        return 0;
    }
    r->due = now + r->interval;
    return 1;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
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
    return (int)((earlier(measure.due, slow.due) - now) / IMX_CLOCK_MS);
}

/* Requests that ended since the last look have their points now. */
static void patrol_end(void *context, int64_t now)
{
    (void)context;
    imx_slow_report_look(now);
}

/* Where points are written of it, the parent is measured with them. */
static void look_at_parent(int64_t now)
{
    static int64_t last;

    if (imx_reporting()->interval[IMX_MEASURED_PROCESSES] == 0
        && (last == 0 || now - last >= imx_process_info_interval())) {
        last = now;
        imx_process_info_measure_parent(child.arena, now);
    }
}

static void look(void *context, int64_t now)
{
    (void)context;
    imx_server_events_look(child.arena, &child.self);
    imx_workers_look(now);
    look_at_parent(now);
    imx_sampler_look(child.arena, now);
}

void imx_patrol_use(imx_monitor_options_t *o)
{
    measure.interval = imx_process_info_interval();
    slow.interval = IMX_SLOW_LOOK;
    imx_slow_report_use(o->child, o->arena, imx_config_global()->hostname);
    o->patrol = patrol;
    o->patrol_end = patrol_end;
    o->look = look;
}
