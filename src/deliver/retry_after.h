/*
 * retry_after.h owns when a server wants to be asked again, as HTTP's header
 * Retry-After says it.
 * Pure functions for any thread.  Nothing survives a crash.
 */
#ifndef IMX_RETRY_AFTER_H
#define IMX_RETRY_AFTER_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * The value of a Retry-After header (len bytes), seconds or one of HTTP's
 * three forms of a date.  now: by the clock of the server that wrote it, as far
 * as that is known.  Returns milliseconds from now on, at most a day; -1 when
 * it asks for nothing, or cannot be read.
 */
int64_t imx_retry_after_ms(const char *value, size_t len, time_t now);

#endif
