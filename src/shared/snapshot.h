/*
 * snapshot.h: all that the shared memory says at one moment, for those who show
 * it or report it.
 */
#ifndef IMX_SNAPSHOT_H
#define IMX_SNAPSHOT_H

#include <stdint.h>
#include <sys/types.h>

#include "shared/arena.h"

/* Where a snapshot is taken from; all of it is borrowed. */
typedef struct {
    const imx_arena_t *arena; /* NULL: the module records nothing */
    const char *server;       /* URL of InfluxMetricsServer */
} imx_snapshot_inputs_t;

/* About 30 KB: for a pool or a static place, not for a small stack.  Nothing
 * in it points into the shared memory, where other processes could change it
 * while it is read. */
typedef struct {
    int64_t now;  /* ns since 1970 */
    int64_t tick; /* ns of the monotonic clock, at the same moment */
    int64_t made; /* ns since 1970: when the arena was made */
    const char *server;
    imx_board_t told;
    imx_batch_totals_t totals;
    imx_values_totals_t values;
    int64_t in_flight; /* requests under way; -1: nobody has told */
    imx_slow_list_t slow;
    char slow_servers[IMX_SLOW_LISTED][IMX_SERIES_NAME_MAX + 1]; /* of these */
    imx_intake_totals_t intake;
    imx_queried_totals_t queried;
    uint64_t requests; /* that were counted since the arena was made */
    int64_t beaten; /* ns, monotonic: when the holder last worked, 0: never */
    pid_t holder;   /* 0: no child has the lease */
    uint64_t buffer_size, buffer_used; /* bytes */
    /* Tags with values that became "other", with spaces between them. */
    char tags_at_limit[IMX_VALUES_TAGS_MAX * (IMX_VALUES_NAME_MAX + 1) + 1];
} imx_snapshot_t;

/* Fills *s.  from->arena is not NULL.  Any thread of any child; waits for
 * nobody. */
void imx_snapshot_take(imx_snapshot_t *s, const imx_snapshot_inputs_t *from);

/* Points that are in the spool, that were recorded, that are lost.  At any
 * moment recorded = sent + rejected + dropped + pending + spooled. */
uint64_t imx_snapshot_spooled(const imx_snapshot_t *s);
uint64_t imx_snapshot_recorded(const imx_snapshot_t *s);
uint64_t imx_snapshot_dropped(const imx_snapshot_t *s);

/* Whole seconds from a moment (ns, same clock as now) to now; never negative,
 * whatever somebody wrote into the memory. */
int64_t imx_snapshot_seconds(int64_t since, int64_t now);

#endif
