/*
 * options.h: what a monitor is told, in a child and in the parent's helper: the
 * configuration, the arena, the spools, and where it logs.
 * Any process's main thread.
 */
#ifndef IMX_OPTIONS_H
#define IMX_OPTIONS_H

#include "httpd.h"

#include "deliver/monitor.h"

/* child: this process's view of the batch.  What the options point to lives as
 * long as the process. */
imx_monitor_options_t imx_options_get(server_rec *s, imx_batch_child_t *child);

#endif
