/*
 * life.h: the hooks of a process's life: the parent's start and end, and those
 * of each child with its monitor.
 */
#ifndef IMX_LIFE_H
#define IMX_LIFE_H

#include "httpd.h"
#include "ap_mpm.h"
#include "scoreboard.h"

/* Hook post_config, parent: makes the arena or takes the kept one. */
int imx_life_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                         apr_pool_t *ptemp, server_rec *s);

/* Hook child_init, the child's main thread: joins the table of children and
 * starts the monitor. */
void imx_life_child_init(apr_pool_t *pchild, server_rec *s);

/* Hook child_status, parent: tells the arena of children that ended. */
void imx_life_child_status(server_rec *s, pid_t pid, ap_generation_t gen,
                           int slot, mpm_child_status state);

#endif
