/*
 * source.h owns how the sender gets lines and says what became of them.
 * The sender calls a source, in the thread of the monitor.
 * What survives a crash is the business of each source.
 *
 * There are two: the batch (batch_source.h) and the backlog (backlog.h).
 *
 * Call order:  next, { done }*, [ put_back ]; a source is through when done has
 * accounted for all lines that next had returned.
 */
#ifndef IMX_DELIVER_SOURCE_H
#define IMX_DELIVER_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "deliver/influx.h"

typedef struct imx_source imx_source_t;

struct imx_source {
    /*
     * Fills lines, which has room for `room` of them, with the oldest ones:
     * about max_lines or max_bytes of them, whichever is less, but at least one
     * and at most `room`.  Returns how many; 0: there are none.  The bytes stay
     * where they are until the lines are accounted for.
     */
    size_t (*next)(imx_source_t *source, imx_influx_line_t *lines, size_t room,
                   uint64_t max_lines, uint64_t max_bytes);

    /* The next count lines are accounted for: InfluxDB refused `rejected` of
     * them for good, and has the others.  They are never sent again. */
    void (*done)(imx_source_t *source, size_t count, uint64_t rejected);

    /* Not now: the other lines stay, and next will return them again. */
    void (*put_back)(imx_source_t *source);

    /* 1: a rest that makes no full body is put back, as next returns it
     * together with what came since. */
    int rejoins;

    /* 1: lines come in steadily, and go out so (flow.h); 0: as fast as they
     * can. */
    int is_live;
};

#endif
