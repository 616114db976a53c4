/*
 * process_info.h: the figures of httpd's processes, the parent too.
 * Each child's monitor thread measures its own process; the holder measures the
 * parent, and puts the points together.
 */
#ifndef IMX_PROCESS_INFO_H
#define IMX_PROCESS_INFO_H

#include <stdint.h>
#include <sys/types.h>

#include "lineproto.h"
#include "shared/arena.h"

/* Each child's monitor: measures its own process. */
void imx_process_info_measure(const imx_arena_t *a,
                              const imx_children_self_t *self, int64_t now);

/* Holder: measures httpd's parent. */
void imx_process_info_measure_parent(const imx_arena_t *a, pid_t parent,
                                     int64_t now);

/* What was last published of the process in slot (a->processes.children: the
 * parent), if it lives and that is not older than `oldest` ns.  Returns 0 when
 * there is nothing. */
int imx_process_info_get(const imx_arena_t *a, uint32_t slot, int64_t now,
                         int64_t oldest, imx_process_t *p);

/* Puts the fields of process-info into a line that has its tags. */
void imx_process_info_put(imx_lineproto_t *lp, const imx_process_t *p,
                          int64_t now, int is_child);

#endif
