/*
 * output.h: a line of the module's own, from its measurement to the batch.
 *
 * Call order for a line: begin, imx_lineproto_tag() for the tags between
 * "hostname" and the fields, imx_lineproto_field_...(), end.
 *
 * The monitor's thread of a child; one output for each thread that writes.
 */
#ifndef IMX_OUTPUT_H
#define IMX_OUTPUT_H

#include "lineproto.h"
#include "shared/arena.h"

typedef struct {
    const imx_arena_t *arena;
    imx_batch_child_t *child; /* whose lines they are */
    const char *hostname;     /* the tag of each line */
    const char *influxdb;     /* URL of InfluxMetricsServer */
    int lines_left;           /* that may be written in this step */
    int is_last;              /* the server ends: all of it, now */
    imx_lineproto_t lp;
    char text[IMX_BATCH_LINE_MAX];
} imx_output_t;

/* A measurement, a string constant, and its tag hostname. */
#define imx_output_begin(out, measurement) \
    imx_output_begin_text((out), measurement, sizeof(measurement) - 1)

void imx_output_begin_text(imx_output_t *out, const char *measurement,
                           size_t len);

/* A tag or a whole number, by a string constant as its key. */
#define imx_output_tag(out, key, value) \
    imx_lineproto_tag(&(out)->lp, IMX_LINEPROTO_TEXT(key), (value), \
                      strlen(value))
#define imx_output_int(out, key, value) \
    imx_lineproto_field_int(&(out)->lp, IMX_LINEPROTO_TEXT(key), \
                            (int64_t)(value))

/* A duration in ns, written as seconds; a number. */
#define imx_output_seconds(out, key, ns) \
    imx_lineproto_field_seconds(&(out)->lp, IMX_LINEPROTO_TEXT(key), \
                                (int64_t)(ns))
#define imx_output_float(out, key, value) \
    imx_lineproto_field_float(&(out)->lp, IMX_LINEPROTO_TEXT(key), (value))

/* Appends the line.  time: ns since 1970.  Returns 0 when there was no room for
 * it: it is to be written again later.  A line that is none, because a name in
 * it is too long, is left out. */
int imx_output_end(imx_output_t *out, int64_t time);

/* May another line be written in this step? */
static inline int imx_output_may_go_on(const imx_output_t *out)
{
    return out->lines_left > 0 || out->is_last;
}

#endif
