/*
 * spare.h: which memory of the batch is not needed any more, and goes back to
 * the system.
 *
 * Low segments are taken first, and only the holder frees those with lines.  So
 * it sees, as often as it looks at the batch, up to which segment there are
 * lines: what lay above that for a whole span was needed once, by an outage or
 * a burst.  It is given back from the top, a few segments a look, as each of
 * them costs some microseconds, and a millisecond where two thousand processes
 * share the memory.  A segment that is taken again gets new memory.
 *
 * Threads: the monitor that holds the lease.  Up to where there is memory is in
 * the batch: the next holder takes all of that for needed, and begins a span.
 */
#ifndef IMX_SPARE_H
#define IMX_SPARE_H

#include "shared/batch.h"

#define IMX_SPARE_SPAN INT64_C(10000000000) /* ns */
#define IMX_SPARE_AT_ONCE 16                /* segments, in one look */

typedef struct {
    uint32_t top;    /* segments from here on have no memory */
    uint32_t needed; /* segments below this had lines in the last span */
    uint32_t most;   /* ... in this one */
    int64_t until;   /* this span ends; ns of the monotonic clock */
} imx_spare_t;

/* Holder, when it begins; now: ns of the monotonic clock. */
void imx_spare_begin(imx_spare_t *s, const imx_batch_t *b, int64_t now);

/* Holder, with each look at the batch: segments from end on are free. */
void imx_spare_look(imx_spare_t *s, const imx_batch_t *b, uint32_t end,
                    int64_t now);

#endif
