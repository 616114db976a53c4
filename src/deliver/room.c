/*
 * room.c owns that requests find free segments (room.h).
 * Entered by the monitor's thread of the holder.
 * What is given up is in the batch's counts, which survive the holder.
 */
#include "deliver/room.h"

#include "base/clock.h"

#define COUNT_EVERY (1000 * IMX_CLOCK_MS) /* full, in an outage */
#define DROPS_AT_ONCE 256u                /* segments, when it is full */

void imx_room_begin(imx_room_t *r, const imx_batch_t *batch, imx_news_t *news,
                    imx_backlog_t *backlog)
{
    *r = (imx_room_t){ .batch = batch, .news = news, .backlog = backlog };
}

int imx_room_is_short(const imx_batch_level_t *level)
{
    return level->free_segments < level->segments / 2;
}

/* So many segments are to be free. */
static size_t least_free(const imx_batch_level_t *level)
{
    return level->segments / 16 + 1;
}

/* ---- giving up ---- */

/* Returns how many lines it has. */
static uint64_t drop(const imx_batch_t *b, const imx_batch_claim_t *claim)
{
    uint64_t fate[IMX_BATCH_FATES] = { 0 };
    const char *text;
    uint32_t i;

    for (i = claim->first; i < claim->lines; i++) {
        fate[IMX_BATCH_DROPPED] += imx_batch_line(b, claim, i, &text) > 0;
    }
    imx_batch_settle(b, claim, fate);
    return fate[IMX_BATCH_DROPPED];
}

/*
 * Gives up the oldest sealed segments until `wanted` are free, and some more:
 * the segments of a large buffer take milliseconds to be put in order, which is
 * not to be done for each of them.  Returns 0 when there is none.
 */
static int drop_oldest(imx_room_t *r, size_t wanted, uint64_t *dropped)
{
    imx_batch_claim_t claims[DROPS_AT_ONCE];
    size_t n = wanted - r->level.free_segments
               + r->level.segments / DROPS_AT_ONCE;
    size_t claimed, i;

    claimed = imx_batch_claim(r->batch, claims,
                              n < DROPS_AT_ONCE ? n : DROPS_AT_ONCE,
                              UINT64_MAX, UINT64_MAX);
    for (i = 0; i < claimed; i++) {
        *dropped += drop(r->batch, &claims[i]);
    }
    return claimed > 0;
}

/* ---- making room ---- */

/*
 * In an outage without a spool that takes lines, the buffer is full for hours,
 * and all there is to do is to give up the oldest lines in time.  For that it
 * is enough to know how many segments were taken: to count those of gigabytes
 * takes a millisecond, which is not to be done a hundred times a second.
 */
static int needs_count(const imx_room_t *r)
{
    uint64_t taken = imx_batch_taken(r->batch) - r->taken;
    size_t least = least_free(&r->level);

    return !imx_room_is_short(&r->level)
           || imx_batch_segments(r->batch) != r->level.segments
           || imx_news_now(r->news) >= r->next_count
           || !imx_news_is_down(r->news) || imx_backlog_takes(r->backlog)
           || r->level.free_segments < least
           || taken > r->level.free_segments - least;
}

/* Segments that are taken meanwhile count as taken behind it. */
static void count(imx_room_t *r)
{
    r->next_count = imx_news_now(r->news) + COUNT_EVERY;
    r->taken = imx_batch_taken(r->batch);
    r->level = imx_batch_level(r->batch);
}

/*
 * Moves the oldest lines to the spool, one file a step and in time, while
 * InfluxDB takes nothing.  Without a spool that takes them, or when it is too
 * slow, they are given up.  The tries are counted: whatever is sealed
 * meanwhile, this ends.
 */
static void make_room(imx_room_t *r)
{
    size_t least = least_free(&r->level);
    size_t wanted = imx_news_is_down(r->news) ? r->level.segments / 2 : least;
    uint64_t dropped = 0;
    size_t tries = 0;

    if (r->level.free_segments < wanted
        && imx_backlog_put_oldest(r->backlog) > 0) {
        count(r);
    }
    while (r->level.free_segments < least && tries++ < least
           && !imx_backlog_takes(r->backlog)
           && drop_oldest(r, least, &dropped)) {
        count(r);
    }
    if (dropped > 0) {
        imx_news_gave_up(r->news, dropped);
    }
}

const imx_batch_level_t *imx_room_make(imx_room_t *r)
{
    if (needs_count(r)) {
        count(r);
        make_room(r);
    }
    return &r->level;
}
