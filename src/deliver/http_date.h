/*
 * http_date.h owns how a date in a header of HTTP is read.
 * Pure functions for any thread.  Nothing survives a crash.
 */
#ifndef IMX_HTTP_DATE_H
#define IMX_HTTP_DATE_H

#include <stddef.h>
#include <stdint.h>

/* The value of a header (len bytes) with one of HTTP's three forms of a date:
 * seconds since 1970, -1 when it cannot be read. */
int64_t imx_http_date_read(const char *value, size_t len);

#endif
