/*
 * conflict.h owns which line InfluxDB means when it refuses a field's type and
 * names the field, its measurement and the type, but no line:
 *   input field "v" on measurement "m" is type integer, already exists as ...
 * Pure functions for any thread.  Nothing survives, as nothing is kept.
 */
#ifndef IMX_CONFLICT_H
#define IMX_CONFLICT_H

#include <stddef.h>

#include "deliver/body.h"

/* The first of count lines that has such a field, or NULL: none has, or the
 * words are others.  Where a series began with the other type an hour or a week
 * ago, its lines of then may have been taken: then it is one of that kind. */
const imx_influx_line_t *imx_conflict_find(const imx_influx_line_t *lines,
                                           size_t count, const char *reason);

#endif
