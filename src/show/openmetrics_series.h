/*
 * openmetrics_series.h: what is counted of the requests, for Prometheus: a
 * sample for each virtual host and route.
 */
#ifndef IMX_OPENMETRICS_SERIES_H
#define IMX_OPENMETRICS_SERIES_H

#include "show/exposition.h"
#include "show/view.h"

/* an_octave: how many buckets: 1, 2, 4, or 8 for all that there are. */
void imx_openmetrics_series(imx_exposition_t *e, const imx_view_t *v,
                            unsigned an_octave);

#endif
