/*
 * batch.c owns the segments of finished lines until they are claimed.
 * Entered by request threads (append, unique times), and by the monitor that
 * holds the lease (seal, level).
 * All of it survives any process; see batch.h for why.
 */
#include "shared/batch.h"

#include <string.h>

#include "shared/fault.h"
#include "shared/group.h"
#include "shared/segment.h"

_Static_assert(SEGMENT_FATES == IMX_BATCH_FATES, "counts for each fate");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "a lock of libatomic would not be shared by processes");

#define SECOND UINT64_C(1000000000)

/* imx_batch_child_t.current: the word of a segment as it was taken, without
 * lines and bytes, and its index in their place; or NONE. */
#define NONE UINT64_MAX
_Static_assert(INDEX_BITS <= GENERATION_SHIFT,
               "an index has room below the generation");

static segment_t *segment(const imx_batch_t *b, uint32_t i)
{
    return b->segments + i;
}

static groups_t groups(const imx_batch_t *b)
{
    return (groups_t){ b->part, b->segments, b->marks, b->geometry.room };
}

uint32_t imx_batch_segments(const imx_batch_t *b)
{
    return at_most_room(&b->part->in_use, b->geometry.room);
}

/* ---- free segments ---- */

/* FREE -> FILLING for this child.  Low ones first, so that memory which was
 * never needed is never touched, and what lies above can go back (spare.h). */
static uint64_t look_for_free(imx_batch_child_t *c)
{
    const imx_batch_t *b = c->batch;
    uint32_t n = imx_batch_segments(b), tried, i, hint;

    hint = atomic_load_explicit(&b->part->look_here, memory_order_relaxed);
    i = hint % n;
    for (tried = 0; tried < n; tried++) {
        segment_t *s = segment(b, i);
        uint64_t word = atomic_load(&s->word), mine;

        mine = make_word(FILLING, c->self.slot, generation_of(word));
        if (state_of(word) == FREE && swap(&s->word, &word, mine)) {
            SEGMENT_IS_READ(s);
            FAULT("not marked");
            mark_segment(groups(b), i);
            FAULT("taken");
            atomic_store(&s->ticket, atomic_fetch_add(&b->part->tickets, 1));
            /* Not when a lower one became free meanwhile. */
            atomic_compare_exchange_strong_explicit(&b->part->look_here, &hint,
                                                    i + 1,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed);
            return mine | i;
        }
        i = i + 1 < n ? i + 1 : 0;
    }
    return NONE;
}

static uint64_t take_free(imx_batch_child_t *c)
{
    _Atomic uint32_t *any_free = &c->batch->part->any_free;
    uint64_t taken;

    if (!atomic_load_explicit(any_free, memory_order_relaxed)) {
        return NONE;
    }
    taken = look_for_free(c);
    if (taken == NONE) {
        FAULT("none is free");
        atomic_store(any_free, 0);
        FAULT("said so");
        taken = look_for_free(c);
        if (taken != NONE) {
            atomic_store(any_free, 1);
        }
    }
    return taken;
}

/* ---- appending ---- */

void imx_batch_open(imx_batch_child_t *c, const imx_batch_t *b,
                    const imx_children_self_t *self)
{
    c->batch = b;
    c->self = *self;
    atomic_store(&c->current, NONE);
}

static inline uint32_t index_of(uint64_t current)
{
    return (uint32_t)current & ((1u << INDEX_BITS) - 1);
}

/* The word as it was taken. */
static inline uint64_t taken_word(uint64_t current)
{
    return current - index_of(current);
}

/* FILLING -> SEALED if the segment is still in that tenure. */
static void seal(const imx_batch_t *b, uint32_t i, uint64_t tenure)
{
    _Atomic uint64_t *p = &segment(b, i)->word;
    uint64_t word = load(p);
    uint32_t tries = 0;

    while (TENURE(word) == tenure && ++tries < TRIES_MAX
           && !swap(p, &word, with_state(word, SEALED))) {
    }
}

static void give_back_unused(const imx_batch_t *b, uint64_t current)
{
    uint32_t i = index_of(current);
    uint64_t word = taken_word(current);

    if (swap(&segment(b, i)->word, &word, freed_unused(word))) {
        let_go(b->part, i);
    }
}

/*
 * The segment `seen` has no room, or is not ours any more: seals it and makes
 * another one current.  Several threads of the child may be here; one wins,
 * the others use what it took.  Returns 0 when there is no free segment.
 */
static int next_segment(imx_batch_child_t *c, uint64_t seen)
{
    uint64_t taken;

    if (load(&c->current) != seen) {
        return 1;
    }
    if (seen != NONE) {
        seal(c->batch, index_of(seen), TENURE(seen));
        FAULT("sealed");
    }
    taken = take_free(c);
    if (taken == NONE) {
        return load(&c->current) != seen;
    }
    if (!swap(&c->current, &seen, taken)) {
        give_back_unused(c->batch, taken);
    }
    return 1;
}

/* On every request's way: no stronger order than it needs. */
static inline int reserve(_Atomic uint64_t *p, uint64_t *word, size_t len)
{
    return atomic_compare_exchange_strong_explicit(p, word,
                                                   *word
                                                       + (UINT64_C(1)
                                                          << LINES_SHIFT)
                                                       + len,
                                                   memory_order_acq_rel,
                                                   memory_order_acquire);
}

/*
 * A place in the current segment while it is in the tenure that `current` says;
 * none when it has no room.
 * All threads of a child have the same current segment, request threads and the
 * monitor's: each has reserved its own bytes and its own extent before it
 * writes there, and the tenure is in the word that it swaps.
 * Inline: this is on every request's way.
 */
static inline __attribute__((always_inline)) imx_batch_place_t reserve_in(
    const imx_batch_t *b, uint64_t current, size_t len)
{
    const uint32_t i = index_of(current);
    const int64_t size = b->geometry.segment_size;
    _Atomic uint64_t *p = &segment(b, i)->word;
    uint64_t word = load(p);
    imx_batch_place_t place = { NULL, NULL, 0, segment(b, i) };
    uint64_t used; /* lines and bytes; in another tenure it is larger */
    int64_t below; /* where this line's extent begins; a hostile word may make
                      it negative */
    char *data;

    do {
        used = word - taken_word(current);
        below = size
                - (int64_t)((used >> LINES_SHIFT) + 1)
                      * (int64_t)sizeof(uint64_t);
        if (used >= (uint64_t)LINES_MAX << LINES_SHIFT
            || bytes_of(word) + (int64_t)len > below) {
            return place;
        }
    } while (!reserve(p, &word, len));
    FAULT("reserved");
    data = b->data + i * size;
    place.bytes = data + bytes_of(word);
    place.extent = (_Atomic uint64_t *)(data + below);
    place.made = make_extent(word, len);
    return place;
}

static int drop(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return 0;
}

/* Out of the way of the usual append: in another segment, or nowhere. */
__attribute__((noinline, cold)) static imx_batch_place_t reserve_elsewhere(
    imx_batch_child_t *c, size_t len)
{
    const imx_batch_t *b = c->batch;
    uint64_t current = load(&c->current);
    imx_batch_place_t place = { NULL, NULL, 0, NULL };
    int tries = 0;

    if (c->self.slot == IMX_BATCH_NOBODY) {
        drop(&b->part->homeless);
        return place;
    }
    for (;;) {
        if (current != NONE) {
            place = reserve_in(b, current, len);
        }
        if (place.bytes != NULL) {
            return place;
        }
        if (!next_segment(c, current) || ++tries == TRIES_MAX) {
            drop(&b->refused[c->self.slot].lines);
            return place;
        }
        current = load(&c->current);
    }
}

imx_batch_place_t imx_batch_reserve_line(imx_batch_child_t *c, size_t len)
{
    uint64_t current = load(&c->current);
    imx_batch_place_t place = { NULL, NULL, 0, NULL };

    if (current != NONE) {
        place = reserve_in(c->batch, current, len);
    }
    if (place.bytes == NULL) {
        place = reserve_elsewhere(c, len);
    }
    return place;
}

void imx_batch_publish(const imx_batch_place_t *place)
{
    FAULT("copied");
    SEGMENT_IS_WRITTEN(place->segment);
    atomic_store_explicit(place->extent, place->made, memory_order_release);
}

int imx_batch_append(imx_batch_child_t *c, const char *line, size_t len)
{
    imx_batch_place_t place;

    if (len == 0 || len > IMX_BATCH_LINE_MAX) {
        return drop(&c->batch->part->homeless);
    }
    place = imx_batch_reserve_line(c, len);
    if (place.bytes == NULL) {
        return 0;
    }
    memcpy(place.bytes, line, len);
    imx_batch_publish(&place);
    return 1;
}

/* The arithmetic is unsigned, as a hostile last time could overflow. */
int64_t imx_batch_unique_times(const imx_batch_t *b, int64_t now, uint32_t n)
{
    int64_t last = atomic_load_explicit(&b->part->last_time,
                                        memory_order_relaxed);
    int64_t unique;

    do {
        /* Unsigned: where now is the later one, this is more than a second,
         * too. */
        unique = (uint64_t)last - (uint64_t)now > SECOND
                     ? now
                     : (int64_t)((uint64_t)last + 1);
    } while (!atomic_compare_exchange_weak_explicit(&b->part->last_time, &last,
                                                    (int64_t)((uint64_t)unique
                                                              + n - 1),
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
    return unique;
}

int64_t imx_batch_unique_time(const imx_batch_t *b, int64_t now)
{
    return imx_batch_unique_times(b, now, 1);
}

/* ---- appending many lines, all or none ---- */

/* The lines that go into one segment. */
typedef struct {
    const char *text;
    const uint16_t *lengths;
    uint32_t lines, bytes;
} group_t;

/* As many lines as a segment of `room` bytes takes, of at most `left`, from
 * text on.  No group is empty, as each line fits into a segment. */
static group_t first_group(const char *text, const uint16_t *lengths,
                           size_t left, uint32_t room)
{
    group_t g = { text, lengths, 0, 0 };

    while (g.lines < left && g.lines < LINES_MAX
           && g.bytes + lengths[g.lines] + (g.lines + 1) * sizeof(uint64_t)
                  <= room) {
        g.bytes += lengths[g.lines++];
    }
    return g;
}

static size_t count_groups(const char *text, const uint16_t *lengths,
                           size_t left, uint32_t room)
{
    size_t groups;

    for (groups = 0; left > 0; groups++) {
        group_t g = first_group(text, lengths, left, room);

        text += g.bytes;
        lengths += g.lines;
        left -= g.lines;
    }
    return groups;
}

/* The extents of a group whose bytes are in the segment behind those that
 * `word` counts. */
static void put_extents(const imx_batch_t *b, uint32_t i, uint64_t word,
                        const group_t *g)
{
    char *end = b->data + (size_t)(i + 1) * b->geometry.segment_size;
    uint32_t line, below = lines_of(word);

    for (line = 0; line < g->lines; line++) {
        _Atomic uint64_t *extent = (_Atomic uint64_t *)end - 1 - below - line;

        atomic_store_explicit(extent, make_extent(word, g->lengths[line]),
                              memory_order_release);
        word += (UINT64_C(1) << LINES_SHIFT) + g->lengths[line];
    }
}

static uint64_t with_group(uint64_t word, const group_t *g)
{
    return word + ((uint64_t)g->lines << LINES_SHIFT) + g->bytes;
}

/* As reserve_in() and what follows it, for all lines of a group. */
static int append_group_to(const imx_batch_t *b, uint64_t current,
                           const group_t *g)
{
    const int64_t size = b->geometry.segment_size;
    uint32_t i = index_of(current);
    _Atomic uint64_t *p = &segment(b, i)->word;
    uint64_t word = load(p);

    do {
        int64_t extents = (int64_t)(lines_of(word) + g->lines)
                          * (int64_t)sizeof(uint64_t);

        if (TENURE(word) != TENURE(current)
            || lines_of(word) + g->lines > LINES_MAX
            || bytes_of(word) + (int64_t)g->bytes + extents > size) {
            return 0;
        }
    } while (!swap(p, &word, with_group(word, g)));
    FAULT("group reserved");
    memcpy(b->data + i * size + bytes_of(word), g->text, g->bytes);
    FAULT("group copied");
    SEGMENT_IS_WRITTEN(segment(b, i));
    put_extents(b, i, word, g);
    return 1;
}

/* How many segments are free; it is enough to know that there are `enough`. */
static size_t count_free(const imx_batch_t *b, size_t enough)
{
    uint32_t n = imx_batch_segments(b), seen, i;
    size_t found = 0;

    i = atomic_load_explicit(&b->part->look_here, memory_order_relaxed) % n;
    for (seen = 0; seen < n && found < enough; seen++) {
        found += state_of(load(&segment(b, i)->word)) == FREE;
        i = i + 1 < n ? i + 1 : 0;
    }
    return found;
}

/* Twice what the holder wants to be free before it gives up the oldest: so an
 * append of many lines never makes it do so. */
static size_t spare_segments(const imx_batch_t *b)
{
    return imx_batch_segments(b) / 8 + 2;
}

/* A few lines go where those of requests go. */
static imx_batch_many_e append_few(imx_batch_child_t *c, const group_t *g)
{
    uint64_t current = load(&c->current);
    int tries = 0;

    if (count_free(c->batch, spare_segments(c->batch))
        < spare_segments(c->batch)) {
        return IMX_BATCH_NO_ROOM;
    }
    while (current == NONE || !append_group_to(c->batch, current, g)) {
        if (!next_segment(c, current) || ++tries == TRIES_MAX) {
            return IMX_BATCH_NO_ROOM;
        }
        current = load(&c->current);
    }
    return IMX_BATCH_TAKEN;
}

static void let_all_go(const imx_batch_t *b, const uint64_t *held, size_t n)
{
    while (n > 0) {
        give_back_unused(b, held[--n]);
    }
}

/* Takes n segments, and leaves enough of them free; or takes none. */
static int hold(imx_batch_child_t *c, uint64_t *held, size_t n)
{
    const imx_batch_t *b = c->batch;
    size_t spare = spare_segments(b), taken = 0;

    if (count_free(b, n + spare) < n + spare) {
        return 0;
    }
    while (taken < n && (held[taken] = look_for_free(c)) != NONE) {
        FAULT("held one");
        taken++;
    }
    if (taken < n || count_free(b, spare) < spare) {
        let_all_go(b, held, taken);
        return 0;
    }
    return 1;
}

/* Nothing of a segment that is held shows before this one change of its word,
 * which also seals it. */
static void publish(imx_batch_child_t *c, uint64_t current, const group_t *g)
{
    uint32_t i = index_of(current);
    uint64_t word = taken_word(current), held = word;

    if (swap(&segment(c->batch, i)->word, &held,
             with_state(with_group(word, g), SEALED))) {
        FAULT("published");
        SEGMENT_IS_WRITTEN(segment(c->batch, i));
        put_extents(c->batch, i, word, g);
    }
    else { /* somebody wrote nonsense into it */
        atomic_fetch_add(&c->batch->refused[c->self.slot].lines, g->lines);
    }
}

/* Goes over the groups once to copy them, and once to publish them. */
static void put_groups(imx_batch_child_t *c, const uint64_t *held,
                       const char *text, const uint16_t *lengths, size_t left,
                       int publishes)
{
    const imx_batch_t *b = c->batch;
    size_t size = b->geometry.segment_size;

    while (left > 0) {
        group_t g = first_group(text, lengths, left, (uint32_t)size);

        if (publishes) {
            publish(c, *held, &g);
        }
        else {
            memcpy(b->data + index_of(*held) * size, g.text, g.bytes);
            FAULT("group copied aside");
        }
        held++;
        text += g.bytes;
        lengths += g.lines;
        left -= g.lines;
    }
}

imx_batch_many_e imx_batch_append_many(imx_batch_child_t *c, const char *text,
                                       const uint16_t *lengths, size_t lines)
{
    const uint32_t size = c->batch->geometry.segment_size;
    uint64_t held[IMX_BATCH_SEGMENTS_AT_ONCE];
    size_t n = count_groups(text, lengths, lines, size);

    if (c->self.slot == IMX_BATCH_NOBODY) {
        return IMX_BATCH_NO_ROOM;
    }
    if (n > IMX_BATCH_SEGMENTS_AT_ONCE
        || n + spare_segments(c->batch) > imx_batch_segments(c->batch)) {
        return IMX_BATCH_TOO_MANY;
    }
    if (count_groups(text, lengths, lines, size / 2) <= 1) {
        group_t g = first_group(text, lengths, lines, size);

        return append_few(c, &g);
    }
    if (!hold(c, held, n)) {
        return IMX_BATCH_NO_ROOM;
    }
    put_groups(c, held, text, lengths, lines, 0);
    put_groups(c, held, text, lengths, lines, 1);
    return IMX_BATCH_TAKEN;
}

/* ---- the holder's work ---- */

static void seal_group(const imx_batch_t *b, uint32_t group)
{
    uint32_t i, end = end_of_group(groups(b), group);

    for (i = group * GROUP; i < end; i++) {
        uint64_t word = load(&segment(b, i)->word);

        if (state_of(word) == FILLING && lines_of(word) > 0) {
            seal(b, i, TENURE(word));
        }
    }
}

void imx_batch_seal_all(const imx_batch_t *b)
{
    uint32_t g;

    for (g = next_group(groups(b), 0); g != NO_GROUP;
         g = next_group(groups(b), g + 1)) {
        seal_group(b, g);
    }
}

static void add_sealed(imx_batch_level_t *sum, const segment_t *s,
                       uint64_t word)
{
    uint32_t lines = lines_of(word);
    uint32_t left = lines - progress_in(s, word).cursor;

    sum->sealed_segments++;
    sum->sealed_lines += left;
    sum->sealed_bytes += lines == 0 ? 0
                                    : (uint64_t)bytes_of(word) * left / lines;
}

/* Returns how many segments of the group are not free. */
static uint32_t add_group(const imx_batch_t *b, imx_batch_level_t *sum,
                          uint32_t group)
{
    uint32_t i, end = end_of_group(groups(b), group), taken = 0;

    for (i = group * GROUP; i < end; i++) {
        uint64_t word = load(&segment(b, i)->word);

        if (state_of(word) == SEALED) {
            add_sealed(sum, segment(b, i), word);
        }
        if (state_of(word) != FREE) {
            taken++;
            sum->free_segments -= i < sum->segments;
            sum->end = i + 1;
        }
    }
    return taken;
}

/* One group more, in turn, whatever its mark says. */
static void look_in_turn(const imx_batch_t *b)
{
    uint32_t group = atomic_fetch_add(&b->part->in_turn, 1)
                     % groups_of(groups(b));
    uint32_t i = taken_in_group(groups(b), group);

    if (i != NO_GROUP) {
        mark_segment(groups(b), i);
    }
}

imx_batch_level_t imx_batch_level(const imx_batch_t *b)
{
    imx_batch_level_t sum = { .segments = imx_batch_segments(b) };
    uint32_t g;

    look_in_turn(b);
    sum.free_segments = sum.segments;
    for (g = next_group(groups(b), 0); g != NO_GROUP;
         g = next_group(groups(b), g + 1)) {
        if (add_group(b, &sum, g) == 0) {
            clear_group(groups(b), g);
        }
    }
    if (sum.free_segments > 0) {
        atomic_store(&b->part->any_free, 1);
    }
    return sum;
}

uint64_t imx_batch_taken(const imx_batch_t *b)
{
    return load(&b->part->tickets);
}

int imx_batch_has_room(const imx_batch_t *b)
{
    return atomic_load_explicit(&b->part->any_free, memory_order_relaxed)
           && count_free(b, 1) > 0;
}
