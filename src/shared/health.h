/*
 * health.h: whether points get to InfluxDB, in one word and in one sentence.
 */
#ifndef IMX_HEALTH_H
#define IMX_HEALTH_H

#include <stddef.h>

#include "shared/snapshot.h"

/* The worst first. */
typedef enum {
    IMX_HEALTH_NOBODY = 0, /* no child has the lease */
    IMX_HEALTH_SILENT,     /* the holder has done nothing for a while */
    IMX_HEALTH_OUTAGE,     /* InfluxDB takes no points */
    IMX_HEALTH_TROUBLE,    /* the last answer was not good */
    IMX_HEALTH_WAITING,    /* nothing was delivered yet */
    IMX_HEALTH_OK
} imx_health_e;

#define IMX_HEALTH_SENTENCE_MAX 1024 /* bytes, NUL included */

imx_health_e imx_health_of(const imx_snapshot_t *s);

/* The word for programs: "nobody", "silent", "outage", "trouble", "waiting",
 * "ok". */
const char *imx_health_word(imx_health_e health);

/* Sentences for people: what is wrong, since when, why, and what becomes of
 * the points.  Any thread; at most size bytes with the NUL. */
void imx_health_sentence(char *to, size_t size, const imx_snapshot_t *s);

#endif
