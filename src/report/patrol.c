/*
 * patrol.c owns what a child's monitor thread looks after beside delivery.
 * Entered by that thread, and by the main thread before it.
 * Nothing here survives the process.
 */
#include "report/patrol.h"

#include "base/clock.h"
#include "config/reporting.h"
#include "report/process_info.h"
#include "report/sampler.h"
#include "report/server_events.h"
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

static int patrol(void *context, int64_t now)
{
    (void)context;
    imx_process_info_measure(child.arena, &child.self, now);
    return (int)(imx_process_info_interval() / IMX_CLOCK_MS);
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
    o->patrol = patrol;
    o->look = look;
}
