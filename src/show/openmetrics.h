/*
 * openmetrics.h: the figures for Prometheus: ?openmetrics.
 */
#ifndef IMX_OPENMETRICS_H
#define IMX_OPENMETRICS_H

#include "httpd.h"

#include "shared/snapshot.h"

/* Both write the body of the answer to r; any thread.  &compat=apache_exporter
 * in the query gives the names of that exporter, &buckets=8 all buckets. */
void imx_openmetrics_figures(request_rec *r, const imx_snapshot_t *s);
void imx_openmetrics_sentence(request_rec *r, const char *sentence);

#endif
