/*
 * health.c owns the judgement: does InfluxDB get the points.
 * Entered by any thread.
 * Nothing is kept, so nothing has to survive.
 */
#include "shared/health.h"

/* A holder works several times a second, whatever InfluxDB does: when none has
 * for so many seconds, it is stopped, a call does not come back, or there is
 * none.  From one holder to the next it takes less. */
#define SILENT 5

static int is_silent(const imx_snapshot_t *s)
{
    return s->beaten != 0
               ? imx_snapshot_seconds(s->beaten, s->tick) >= SILENT
               : s->holder == 0
                     && imx_snapshot_seconds(s->made, s->now) >= SILENT;
}

imx_health_e imx_health_of(const imx_snapshot_t *s)
{
    if (is_silent(s)) {
        return s->holder == 0 ? IMX_HEALTH_NOBODY : IMX_HEALTH_SILENT;
    }
    if (s->told.down_since != 0) {
        return IMX_HEALTH_OUTAGE;
    }
    if (s->told.last_error[0] != '\0') {
        return IMX_HEALTH_TROUBLE;
    }
    return s->told.last_flush == 0 ? IMX_HEALTH_WAITING : IMX_HEALTH_OK;
}

const char *imx_health_word(imx_health_e health)
{
    static const char *const words[] = { "nobody",  "silent",  "outage",
                                         "trouble", "waiting", "ok" };

    return words[health];
}
