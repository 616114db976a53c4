/*
 * runtime.h: the module's life in httpd's processes: the shared area that the
 * parent makes and keeps over graceful restarts, and each child's monitor.
 */
#ifndef IMX_RUNTIME_H
#define IMX_RUNTIME_H

#include "httpd.h"
#include "ap_mpm.h"
#include "scoreboard.h"

/* Hook post_config, parent: makes the area or takes the kept one. */
int imx_runtime_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                            apr_pool_t *ptemp, server_rec *s);

/* Hook child_init, the child's main thread: joins the table of children and
 * starts the monitor. */
void imx_runtime_child_init(apr_pool_t *pchild, server_rec *s);

/* Hook child_status, parent: tells the area of children that ended. */
void imx_runtime_child_status(server_rec *s, pid_t pid, ap_generation_t gen,
                              int slot, mpm_child_status state);

#endif
