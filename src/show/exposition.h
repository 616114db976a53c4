/*
 * exposition.h: the text that Prometheus reads, in two forms: OpenMetrics 1.0,
 * and the older text form, version 0.0.4.
 *
 * Call order: begin; for each family its head, and behind it all of its
 * samples; end.  Any thread; one exposition for each answer.
 */
#ifndef IMX_EXPOSITION_H
#define IMX_EXPOSITION_H

#include "httpd.h"

#include <stdint.h>

typedef enum {
    IMX_EXPOSITION_COUNTER = 0,
    IMX_EXPOSITION_GAUGE,
    IMX_EXPOSITION_HISTOGRAM,
    IMX_EXPOSITION_INFO
} imx_exposition_type_e;

typedef struct {
    request_rec *r;
    int is_open;      /* OpenMetrics */
    const char *name; /* of the family, without a suffix */
    imx_exposition_type_e type;
} imx_exposition_t;

/* Sets the type of the content by what the client accepts. */
void imx_exposition_begin(imx_exposition_t *e, request_rec *r);
void imx_exposition_end(imx_exposition_t *e);

/* name: without _total or _info; it ends with its unit, if that is seconds or
 * bytes.  help: a sentence. */
void imx_exposition_family(imx_exposition_t *e, const char *name,
                           imx_exposition_type_e type, const char *help);

/* `name="value"`, in the pool, with more labels before it (NULL: none). */
const char *imx_exposition_label(imx_exposition_t *e, const char *before,
                                 const char *name, const char *value);

/* One sample of a gauge or counter.  labels: "" or of imx_exposition_label().
 * seconds: ns, shown as seconds. */
void imx_exposition_int(imx_exposition_t *e, const char *labels,
                        int64_t value);
void imx_exposition_seconds(imx_exposition_t *e, const char *labels,
                            uint64_t ns);
void imx_exposition_double(imx_exposition_t *e, const char *labels,
                           double value);

/* Where the family says when its counters began, in OpenMetrics only, behind
 * the samples with these labels.  made: ns since 1970. */
void imx_exposition_created(imx_exposition_t *e, const char *labels,
                            int64_t made);

/* A sample of a histogram: how many took at most `le` seconds ("+Inf" in the
 * last one).  exemplar: NULL, or what stands behind it in OpenMetrics. */
void imx_exposition_bucket(imx_exposition_t *e, const char *labels,
                           const char *le, uint64_t count,
                           const char *exemplar);

/* The last two samples of a histogram.  sum: ns. */
void imx_exposition_sum(imx_exposition_t *e, const char *labels, uint64_t sum,
                        uint64_t count);

#endif
