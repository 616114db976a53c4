/*
 * measured.c owns the table of what is kept of each measurement.
 * Entered by httpd's parent, which makes the arena.
 * Nothing is kept here, so nothing has to survive.
 */
#include "shared/measured.h"

#include "shared/tally.h"

_Static_assert(IMX_MEASURED <= IMX_INTERVAL_SCHEDULES_MAX,
               "the part has too few schedules");

void imx_measured_spec(imx_interval_spec_t spec[IMX_MEASURED], uint32_t series)
{
    const imx_interval_spec_t rows[IMX_MEASURED] = {
        [IMX_MEASURED_REQUESTS] = { series, sizeof(imx_tally_t) },
        [IMX_MEASURED_BUCKETS] = { series, sizeof(imx_tally_t) },
        [IMX_MEASURED_SELF] = { 1, sizeof(imx_measured_self_t) },
    };
    uint32_t i;

    for (i = 0; i < IMX_MEASURED; i++) {
        spec[i] = rows[i];
    }
}
