/*
 * target.h owns the URLs that lines and statements are posted to, by the API
 * that InfluxDB has.
 * Pure functions for any thread.  Nothing survives a crash.
 */
#ifndef IMX_TARGET_H
#define IMX_TARGET_H

#include "deliver/influx_options.h"

/* The URL for lines, newly allocated.  Returns 0, or another number when there
 * is no memory; *url may be set all the same. */
int imx_target_write(char **url, const imx_influx_options_t *o);

/* The URL of CREATE DATABASE; stays NULL where the API has none. */
int imx_target_create(char **url, const imx_influx_options_t *o);

#endif
