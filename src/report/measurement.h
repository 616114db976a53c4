/*
 * measurement.h owns the shape of a measurement that schedule.c writes in
 * intervals.  It has no code.
 *
 * Both functions are called by the holder's monitor thread and must not wait
 * for anything.
 */
#ifndef IMX_MEASUREMENT_H
#define IMX_MEASUREMENT_H

#include "report/output.h"
#include "shared/measured.h"

/* What is kept at the end of an interval; see imx_interval_close(). */
typedef struct {
    uint32_t rows;
    imx_interval_fill_fn fill;
    void *context;
} imx_measurement_rows_t;

typedef struct {
    imx_measured_e measured; /* which one, and so how often it is written */

    /* Says what to keep of the interval behind `last`, which ends now.  NULL:
     * nothing is kept, the lines say what is when they are written. */
    imx_measurement_rows_t (*rows)(imx_output_t *out,
                                   const imx_interval_closed_t *last,
                                   const imx_interval_now_t *now);

    /*
     * Writes the lines of an interval with the time closed->time.  Returns 1
     * when all are written, or 0 when it is to be called again in the next
     * step: as imx_output_may_go_on() said no, or there was no room.  A new
     * holder begins the interval again: a measurement with rows then writes the
     * same bytes.
     */
    int (*write)(imx_output_t *out, const imx_interval_closed_t *closed);
} imx_measurement_t;

#endif
