/*
 * patrol.h: what the monitor thread of each child looks after beside delivery:
 * its own process, and as the holder what the workers do.
 */
#ifndef IMX_PATROL_H
#define IMX_PATROL_H

#include "deliver/monitor_options.h"

/* A child's main thread, before its monitor: whose patrol it is.  parent: pid
 * of httpd's parent. */
void imx_patrol_child_init(const imx_arena_t *a,
                           const imx_children_self_t *self, pid_t parent);

/* Sets patrol and look of a monitor's options. */
void imx_patrol_use(imx_monitor_options_t *o);

#endif
