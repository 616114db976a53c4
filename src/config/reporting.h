/*
 * reporting.h: which measurements besides the requests' points are written, and
 * how often: InfluxMetricsReport and InfluxMetricsBuckets.
 * Setters: the parent's only thread, while it reads the configuration.  Read
 * only after that, by any thread.
 */
#ifndef IMX_REPORTING_H
#define IMX_REPORTING_H

#include "httpd.h"
#include "http_config.h"

#include "shared/measured.h"

/* Phases of which there can be buckets; also the numbers of the histograms. */
typedef enum {
    IMX_REPORTING_REQUEST = 0,
    IMX_REPORTING_APPLICATION,
    IMX_REPORTING_PHASES
} imx_reporting_phase_e;

typedef struct {
    apr_int64_t interval[IMX_MEASURED]; /* ns; 0: off; events: 1 for on */
    unsigned buckets;                   /* rows an octave: 8, 4, 2; 0: none */
    int phases[IMX_REPORTING_PHASES];   /* 1: has buckets */
    int sums_phases; /* 1: all phases are summed up, of every request */
    int hides_paths; /* of slow requests */
} imx_reporting_t;

/* Hook pre_config: as if there were no directive. */
void imx_reporting_reset(void);

const imx_reporting_t *imx_reporting(void);

/* Parent, in post_config, where nothing is recorded any more: what requests
 * have counted is still to be written, and after that nothing. */
void imx_reporting_requests_only(void);

/* "request", as it stands in the tag phase. */
const char *imx_reporting_phase(imx_reporting_phase_e phase);

/* Setters, for the table in config.c. */
const char *imx_reporting_set_report(cmd_parms *cmd, void *dir, int argc,
                                     char *const argv[]);
const char *imx_reporting_set_slow_path(cmd_parms *cmd, void *dir, int on);
const char *imx_reporting_set_buckets(cmd_parms *cmd, void *dir, int argc,
                                      char *const argv[]);

#endif
