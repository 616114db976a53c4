/*
 * weather.h owns what befalls InfluxDB, the disk and the clock, until it clears
 * up.
 */
#ifndef SIM_WEATHER_H
#define SIM_WEATHER_H

#include <stddef.h>
#include <stdint.h>

#include "product.h"

/* It is bad between these two times, in a way that the seed decides. */
void weather_begin(const product_options_t *options, int64_t from, int64_t to);

/* Everything works from now on, but for what stays as it is: lines that
 * InfluxDB refuses, and how large a body may be. */
void weather_clear(void);

/* Files in the spools whose lines are still to be delivered. */
size_t weather_files(void);

/* The trace: which files there are. */
void weather_tell_files(void);

/* Lines in them, as their names say. */
uint64_t weather_lines(void);

#endif
