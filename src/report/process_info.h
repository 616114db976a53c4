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

/* The name of a process as the points of requests have it; by its slot where
 * they do not name it. */
#define IMX_PROCESS_INFO_NAME_MAX 300
void imx_process_info_name(const imx_output_t *out,
                           char name[IMX_PROCESS_INFO_NAME_MAX],
                           const imx_children_self_t *process);

/* A child, before its monitor: which process is httpd's parent; 0: this one
 * (httpd -X). */
void imx_process_info_child_init(pid_t parent);

/* Each child's monitor: measures its own process, and publishes that. */
void imx_process_info_measure(const imx_arena_t *a,
                              const imx_children_self_t *self, int64_t now);

#endif
