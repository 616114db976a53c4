/*
 * snapshot.c owns the moment: all that is shown or reported of the shared
 * memory is read here, once, into private memory.
 * Entered by any thread of any child; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "shared/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define SECOND 1000000000LL

static void read_tags(imx_snapshot_t *s, const imx_values_t *values)
{
    char name[IMX_VALUES_NAME_MAX + 1];
    size_t length = 0;
    uint32_t count, i;
    uint64_t others;

    s->tags_at_limit[0] = '\0';
    for (i = 0; imx_values_tag(values, i, name, &count, &others); i++) {
        if (others > 0 && length < sizeof s->tags_at_limit - 1) {
            size_t room = sizeof s->tags_at_limit - length;

            snprintf(s->tags_at_limit + length, room, "%s%s",
                     length > 0 ? " " : "", name);
            length += strlen(s->tags_at_limit + length);
        }
    }
}

static void read_names(imx_snapshot_t *s, const imx_series_t *series)
{
    unsigned i;

    for (i = 0; i < s->slow.count; i++) {
        imx_series_name_t name = imx_series_name(series,
                                                 s->slow.of[i].request.series);

        snprintf(s->slow_servers[i], sizeof s->slow_servers[i], "%s",
                 name.server);
    }
}

void imx_snapshot_take(imx_snapshot_t *s, const imx_snapshot_inputs_t *from)
{
    const imx_arena_t *arena = from->arena;
    uint32_t segment = arena->batch.geometry.segment_size;

    s->now = imx_clock_wall();
    s->tick = imx_clock_now();
    s->made = imx_arena_made(arena);
    s->server = from->server ? from->server : "";
    /* The board before the totals: a line is never in neither of them (see
     * imx_board_t). */
    s->told = imx_board_told(&arena->board);
    s->totals = imx_batch_totals(&arena->batch);
    s->values = imx_values_totals(&arena->values);
    s->intake = imx_intake_totals(&arena->intake);
    s->queried = imx_queried_totals(&arena->queried);
    s->requests = imx_stats_requests(&arena->stats,
                                     imx_series_count(&arena->series));
    s->in_flight = imx_slow_list(&arena->slow, &arena->children, s->tick,
                                 &s->slow);
    read_names(s, &arena->series);
    s->beaten = imx_board_beaten(&arena->board);
    s->holder = imx_lease_holder_pid(&arena->lease);
    s->buffer_size = (uint64_t)s->totals.segments * segment;
    s->buffer_used = (uint64_t)(s->totals.segments - s->totals.segments_free)
                     * segment;
    read_tags(s, &arena->values);
}

uint64_t imx_snapshot_spooled(const imx_snapshot_t *s)
{
    return s->totals.fate[IMX_BATCH_SPOOLED] + s->told.spool_found
           - s->told.spool_delivered - s->told.spool_rejected
           - s->told.spool_dropped;
}

uint64_t imx_snapshot_recorded(const imx_snapshot_t *s)
{
    return s->totals.recorded + s->told.spool_found;
}

uint64_t imx_snapshot_dropped(const imx_snapshot_t *s)
{
    return s->totals.no_room + s->totals.fate[IMX_BATCH_DROPPED]
           + s->totals.fate[IMX_BATCH_TORN] + s->told.spool_dropped;
}

int64_t imx_snapshot_seconds(int64_t since, int64_t now)
{
    uint64_t age = (uint64_t)now - (uint64_t)since;

    return since < now && age <= INT64_MAX ? (int64_t)age / SECOND : 0;
}
