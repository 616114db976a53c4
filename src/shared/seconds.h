/*
 * seconds.h: closes the periods of history.h: what the counters of all series
 * say at the end of a second, less what they said at the end of the one before.
 *
 * The holder's monitor thread; it takes less than half a millisecond with 100
 * virtual hosts.
 */
#ifndef IMX_SECONDS_H
#define IMX_SECONDS_H

#include "shared/history.h"
#include "shared/series.h"

/* What the holder saw at the end of a second. */
typedef struct {
    int64_t wall, mono; /* ns since 1970, of the monotonic clock */
    imx_history_gauges_t gauges;
    uint64_t sent, rejected, dropped; /* points, since the arena was made */
} imx_seconds_sample_t;

/* The holder's own: which series are which host's.  Zeroed but for the first
 * three, it knows of none. */
typedef struct {
    const imx_history_t *history;
    const imx_stats_t *stats;
    const imx_series_t *series;
    uint32_t known, hosts;
    uint8_t host_of[IMX_SERIES_MOST];
    char names[IMX_HISTORY_HOSTS][IMX_SERIES_NAME_MAX + 1];
    uint64_t requests[IMX_HISTORY_HOSTS];
} imx_seconds_t;

/* Has a second ended that is not closed? */
int imx_seconds_is_due(const imx_seconds_t *s, int64_t mono);

/* Closes the second that has ended, and the minute if one has. */
void imx_seconds_close(imx_seconds_t *s, const imx_seconds_sample_t *sample);

#endif
