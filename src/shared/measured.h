/*
 * measured.h: which measurements have intervals of their own, and what is kept
 * of each at the end of an interval (interval.h).
 *
 * A new one is a row in the table in measured.c; then IMX_MEASURED_VERSION
 * changes, as the layout of the part does.
 */
#ifndef IMX_MEASURED_H
#define IMX_MEASURED_H

#include "shared/interval.h"

#define IMX_MEASURED_VERSION (200 + IMX_INTERVAL_VERSION)

/* In the order of InfluxMetricsReport. */
typedef enum {
    IMX_MEASURED_REQUESTS = 0,
    IMX_MEASURED_BUCKETS,
    IMX_MEASURED_PROCESSES,
    IMX_MEASURED_WORKERS,
    IMX_MEASURED_SLOW,
    IMX_MEASURED_SELF,
    IMX_MEASURED_PRESSURE,
    IMX_MEASURED_EVENTS,
    IMX_MEASURED
} imx_measured_e;

#define IMX_MEASURED_COUNTERS 40

/* The row of the module's own figures. */
typedef struct {
    uint64_t names; /* a hash of the names of the counters; 0: no row yet */
    uint64_t counters[IMX_MEASURED_COUNTERS];
} imx_measured_self_t;

/* What the part of the arena is made for, with so many series. */
void imx_measured_spec(imx_interval_spec_t spec[IMX_MEASURED],
                       uint32_t series);

#endif
