/*
 * pressure.h: what the server waits for that the machine has too little of:
 * Linux's pressure stall information, the load, the limits of its cgroup.
 * The holder's monitor thread, but for imx_pressure_cpu_some().
 */
#ifndef IMX_PRESSURE_H
#define IMX_PRESSURE_H

#include "report/measurement.h"

extern const imx_measurement_t imx_pressure;

/* Puts the fields of resource-pressure into a line that has its tags.  root: ""
 * (in tests the directory with proc/ and sys/).  A file that is not there, or
 * says nothing, has no field.  Returns how many fields there are. */
unsigned imx_pressure_put(imx_lineproto_t *lp, const char *root);

/* Any thread: for how many percent of the last 10 s something waited for a
 * processor; -1: the kernel does not say. */
double imx_pressure_cpu_some(const char *root);

#endif
