/*
 * process_info.h: the figures of httpd's processes, the parent too.
 * Each child's monitor thread measures its own process; the holder measures the
 * parent, and puts the points together.
 */
#ifndef IMX_PROCESS_INFO_H
#define IMX_PROCESS_INFO_H

#include <stdint.h>
#include <sys/types.h>

#include "report/measurement.h"

extern const imx_measurement_t imx_process_info;

/* A child, before its monitor: which process is httpd's parent; 0: this one
 * (httpd -X). */
void imx_process_info_child_init(pid_t parent);

/* Each child's monitor: measures its own process, and publishes that. */
void imx_process_info_measure(const imx_arena_t *a,
                              const imx_children_self_t *self, int64_t now);

/* Holder: the same of httpd's parent. */
void imx_process_info_measure_parent(const imx_arena_t *a, int64_t now);

/* How often each process is measured, ns. */
int64_t imx_process_info_interval(void);

/* Any: what was last published of the process in slot, if that still runs; the
 * parent's is a->processes.children.  Returns 0 when there is none. */
int imx_process_info_get(const imx_arena_t *a, uint32_t slot, int64_t now,
                         imx_process_t *p);

#define IMX_PROCESS_INFO_NAME_MAX \
    300 /* of a host, and the process behind it */

void imx_process_info_name(char *name, size_t size, const imx_arena_t *a,
                           const imx_process_t *p, uint32_t slot);

/* Seconds of processor time in a second, since the measurement before; at the
 * first one since the process was started.  Returns 0 if no time has passed. */
int imx_process_info_cores(const imx_process_t *p, double *user,
                           double *system);

#endif
