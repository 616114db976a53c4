/*
 * points.h: a text of line protocol becomes points in the batch, all of it or
 * nothing.
 */
#ifndef IMX_POINTS_H
#define IMX_POINTS_H

#include "httpd.h"

#include "config/schema.h"
#include "intake/parse.h"
#include "shared/batch.h"

typedef enum {
    IMX_POINTS_TAKEN = 0,
    IMX_POINTS_WRONG,     /* a line is none, or is not allowed */
    IMX_POINTS_TOO_MANY,  /* more lines than are allowed */
    IMX_POINTS_TOO_LARGE, /* for the buffer */
    IMX_POINTS_NO_ROOM    /* now */
} imx_points_e;

typedef struct {
    const char *text;
    apr_size_t len;
    imx_parse_precision_e precision;
    apr_size_t most_lines;
    /* Whose constant tags the points get, and the host's (that is what
     * InfluxMetricsWriteTags is for); NULL: none. */
    const imx_schema_dir_t *adds_tags_of;
} imx_points_body_t;

typedef struct {
    apr_size_t points; /* TAKEN: how many */
    unsigned line;     /* WRONG: its number, and why */
    const char *wrong;
} imx_points_found_t;

/* A child, before its first request: where points go; borrowed. */
void imx_points_use(imx_batch_child_t *child);

/* Any thread; imx_points_use() was called. */
imx_points_e imx_points_take(apr_pool_t *p, const imx_points_body_t *body,
                             imx_points_found_t *found);

#endif
