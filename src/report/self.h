/*
 * self.h: the measurement influx-metrics: the module's own figures.
 * The holder's monitor thread.
 */
#ifndef IMX_SELF_H
#define IMX_SELF_H

#include "report/measurement.h"

extern const imx_measurement_t imx_self;

#endif
