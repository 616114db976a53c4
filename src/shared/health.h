/*
 * health.h: whether points get to InfluxDB, in one word.
 */
#ifndef IMX_HEALTH_H
#define IMX_HEALTH_H

#include "shared/snapshot.h"

/* The worst first. */
typedef enum {
    IMX_HEALTH_NOBODY = 0, /* no child has had the lease for a while */
    IMX_HEALTH_SILENT,     /* the holder has done nothing for a while */
    IMX_HEALTH_OUTAGE,     /* InfluxDB takes no points */
    IMX_HEALTH_TROUBLE,    /* the last answer was not good */
    IMX_HEALTH_WAITING,    /* nothing was delivered yet */
    IMX_HEALTH_OK
} imx_health_e;

imx_health_e imx_health_of(const imx_snapshot_t *s);

/* The word for programs: "nobody", "silent", "outage", "trouble", "waiting",
 * "ok". */
const char *imx_health_word(imx_health_e health);

#endif
