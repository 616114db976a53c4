/*
 * group.h owns which groups of 64 segments have any that is not free: so a look
 * at the batch costs what is in it, however large it is.
 * Entered by any thread of any child (take), and by the holder.
 * All of it survives any process, as the batch does.
 *
 * A group's mark is a bit.  A child that takes a segment makes it FILLING, and
 * then sets the mark, before it appends to it: so there is no line without a
 * mark.  Who finds all segments of a group free clears its mark, and looks at
 * the group once more: either that look sees the segment that was taken
 * meanwhile, and sets the mark again; or the segment was taken behind it, and
 * its child sets the mark behind the clearing.  All these accesses are
 * sequentially consistent.
 *
 * Killed before it sets a mark, a child leaves a segment without lines; it is
 * freed when the child is salvaged.  Killed between clearing and the second
 * look, a holder leaves segments without a mark; the next one looks at all of
 * them (imx_batch_recover).  A child can also write nonsense here: so a look at
 * the batch looks at one group more, in turn.
 */
#ifndef IMX_GROUP_H
#define IMX_GROUP_H

#include "shared/fault.h"
#include "shared/segment.h"

#define GROUP 64u            /* segments */
#define MARKED (64u * GROUP) /* segments whose marks are in one word */
#define NO_GROUP UINT32_MAX

/* What a batch consists of (imx_batch_t), as far as groups go. */
typedef struct {
    struct imx_batch_part *part;
    segment_t *segments;
    _Atomic uint64_t *marks;
    uint32_t room; /* segments */
} groups_t;

static inline uint32_t mark_words(uint32_t room)
{
    return (room + MARKED - 1) / MARKED;
}

static inline uint32_t groups_of(groups_t b)
{
    return (at_most_room(&b.part->begun, b.room) + GROUP - 1) / GROUP;
}

/* Segments that were ever taken are below this. */
static inline uint32_t touched(groups_t b)
{
    uint32_t n = at_most_room(&b.part->begun, b.room);
    uint32_t most = atomic_load(&b.part->touched);

    return most < n ? most : n;
}

/* Segment i is not free. */
static inline void mark_segment(groups_t b, uint32_t i)
{
    uint64_t bit = UINT64_C(1) << i / GROUP % 64;
    uint32_t most = atomic_load(&b.part->touched);

    while (most <= i
           && !atomic_compare_exchange_weak(&b.part->touched, &most, i + 1)) {
    }
    if (!(atomic_load(&b.marks[i / MARKED]) & bit)) {
        atomic_fetch_or(&b.marks[i / MARKED], bit);
    }
}

/* The first marked group from `group` on; NO_GROUP: there is none. */
static inline uint32_t next_group(groups_t b, uint32_t group)
{
    uint32_t n = groups_of(b);

    while (group < n) {
        uint64_t word = atomic_load(&b.marks[group / 64]) >> group % 64;

        if (word != 0) {
            group += (uint32_t)__builtin_ctzll(word);
            return group < n ? group : NO_GROUP;
        }
        group = (group / 64 + 1) * 64;
    }
    return NO_GROUP;
}

/* The segments of a group: from its first one to before this. */
static inline uint32_t end_of_group(groups_t b, uint32_t group)
{
    uint32_t n = at_most_room(&b.part->begun, b.room);

    return (group + 1) * GROUP < n ? (group + 1) * GROUP : n;
}

/* A segment of the group that is not free; NO_GROUP: there is none. */
static inline uint32_t taken_in_group(groups_t b, uint32_t group)
{
    uint32_t i, end = end_of_group(b, group);

    for (i = group * GROUP; i < end; i++) {
        if (state_of(atomic_load(&b.segments[i].word)) != FREE) {
            return i;
        }
    }
    return NO_GROUP;
}

/* All segments of the group seem to be free. */
static inline void clear_group(groups_t b, uint32_t group)
{
    uint32_t i;

    FAULT("all are free");
    atomic_fetch_and(&b.marks[group / 64], ~(UINT64_C(1) << group % 64));
    FAULT("no mark");
    i = taken_in_group(b, group);
    if (i != NO_GROUP) {
        mark_segment(b, i);
    }
}

#endif
