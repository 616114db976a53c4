/*
 * batch.c owns the segments of finished lines until they are claimed.
 * Entered by request threads (append, unique time), by the monitor that holds
 * the lease (reap, seal, level), and by httpd's parent (format, resize).
 * All of it survives any process; see batch.h for why.
 */
#include "shared/batch.h"

#include <string.h>
#include <unistd.h>

#include "shared/fault.h"
#include "shared/segment.h"

_Static_assert(SEGMENT_FATES == IMX_BATCH_FATES, "counts for each fate");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "a lock of libatomic would not be shared by processes");

#define SECOND UINT64_C(1000000000)

/* imx_batch_child_t.current: tenure and index of a segment, or NONE. */
#define INDEX_BITS 24
#define NONE UINT64_MAX

/* While a segment is sealed, at most LINES_MAX appends can make the
 * compare-and-swap fail.  When it fails more often than this, somebody writes
 * nonsense into the word. */
#define TRIES_MAX (4 * LINES_MAX)

static segment_t *segment(const imx_batch_t *b, uint32_t i)
{
    return b->segments + i;
}

uint32_t imx_batch_segments(const imx_batch_t *b)
{
    return at_most_room(&b->part->in_use, b->geometry.room);
}

static uint32_t begun(const imx_batch_t *b)
{
    return at_most_room(&b->part->begun, b->geometry.room);
}

/* ---- making the parts ---- */

/* What many children need: three segments each. */
static uint32_t least_segments(uint32_t children)
{
    return 3 * children + 16;
}

size_t imx_batch_size(const imx_batch_geometry_t *g)
{
    return sizeof(struct imx_batch_part) + g->room * sizeof(segment_t)
           + g->children * sizeof(refused_t);
}

size_t imx_batch_data_size(const imx_batch_geometry_t *g)
{
    return (size_t)g->room * g->segment_size;
}

static uint32_t page_size(uint32_t wanted)
{
    long page = sysconf(_SC_PAGESIZE);

    return wanted != 0 ? wanted : page > 0 ? (uint32_t)page : 4096;
}

void imx_batch_plan(size_t size, uint32_t children, uint32_t page,
                    imx_batch_geometry_t *geometry, int *raised)
{
    size_t segment_size = IMX_BATCH_SEGMENT_MAX;
    size_t segments, least;

    if (children > (IMX_CHILDREN_MAX - 16) / 2) {
        children = (IMX_CHILDREN_MAX - 16) / 2;
    }
    page = page_size(page);
    least = least_segments(children);
    while (segment_size > IMX_BATCH_SEGMENT_MIN && segment_size / 2 >= page
           && size / segment_size < 4 * least) {
        segment_size /= 2;
    }
    segments = size / segment_size;
    if (segments >= 1u << INDEX_BITS) {
        segments = (1u << INDEX_BITS) - 1;
    }
    *raised = segments < least;
    geometry->segments = (uint32_t)(*raised ? least : segments);
    geometry->segment_size = (uint32_t)segment_size;
    geometry->room = geometry->segments;
    geometry->page = page;
    /* While children of two generations overlap, and until the dead are
     * salvaged, there are more rows than children. */
    geometry->children = 2 * children + 16;
}

void imx_batch_reserve(size_t size, imx_batch_geometry_t *geometry)
{
    size_t room = size / geometry->segment_size;

    if (room >= 1u << INDEX_BITS) {
        room = (1u << INDEX_BITS) - 1;
    }
    if (room > geometry->room) {
        geometry->room = (uint32_t)room;
    }
}

/* Only the parent gets here, so nobody else makes them meanwhile. */
static void begin_segments(const imx_batch_t *b, uint32_t n)
{
    uint32_t i;

    for (i = atomic_load(&b->part->begun); i < n; i++) {
        /* Generation 1: the zeroed extents are of generation 0. */
        atomic_store(&segment(b, i)->word,
                     make_word(FREE, IMX_BATCH_NOBODY, 1));
    }
    if (i > atomic_load(&b->part->begun)) {
        atomic_store(&b->part->begun, i);
    }
}

void imx_batch_format(imx_batch_t *b, void *words, void *data,
                      const imx_batch_geometry_t *geometry,
                      const imx_children_t *children)
{
    b->part = words;
    b->geometry = *geometry;
    b->geometry.page = page_size(geometry->page);
    if (b->geometry.room < geometry->segments) {
        b->geometry.room = geometry->segments;
    }
    b->segments = (segment_t *)(b->part + 1);
    b->refused = (refused_t *)(b->segments + b->geometry.room);
    b->data = data;
    b->children = children;
    atomic_store(&b->part->any_free, 1);
    begin_segments(b, geometry->segments);
    atomic_store(&b->part->in_use, geometry->segments);
}

size_t imx_batch_resize(const imx_batch_t *b, size_t size, int *raised)
{
    const imx_batch_geometry_t *g = &b->geometry;
    size_t least = least_segments(
        g->children > 16 ? (g->children - 16) / 2 : 0);
    size_t n = size / g->segment_size;

    *raised = n < least;
    n = *raised ? least : n;
    n = n < g->room ? n : g->room;
    begin_segments(b, (uint32_t)n);
    atomic_store(&b->part->in_use, (uint32_t)n);
    atomic_store(&b->part->any_free, 1);
    return n * g->segment_size;
}

/* ---- free segments ---- */

/* FREE -> FILLING for this child.  Low ones first, so that memory which was
 * never needed is never touched: it would stay the server's for good. */
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
            FAULT("taken");
            atomic_store(&s->ticket, atomic_fetch_add(&b->part->tickets, 1));
            /* Not when a lower one became free meanwhile. */
            atomic_compare_exchange_strong_explicit(&b->part->look_here, &hint,
                                                    i + 1,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed);
            return TENURE(mine) << INDEX_BITS | i;
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

static uint32_t index_of(uint64_t current)
{
    return (uint32_t)current & ((1u << INDEX_BITS) - 1);
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
    uint64_t word = (current >> INDEX_BITS) << GENERATION_SHIFT;

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
        seal(c->batch, index_of(seen), seen >> INDEX_BITS);
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
 * Appends to segment i while it is in the tenure; 0 when it has no room.
 * Inline: this is on every request's way.
 */
static inline __attribute__((always_inline)) int append_to(
    const imx_batch_t *b, uint32_t i, uint64_t tenure, const char *line,
    size_t len)
{
    const int64_t size = b->geometry.segment_size;
    _Atomic uint64_t *p = &segment(b, i)->word;
    uint64_t word = load(p);
    int64_t below; /* where this line's extent begins; a hostile
                                   word may make it negative */
    char *data;

    do {
        below = size - (lines_of(word) + 1) * (int64_t)sizeof(uint64_t);
        if (TENURE(word) != tenure || lines_of(word) == LINES_MAX
            || bytes_of(word) + (int64_t)len > below) {
            return 0;
        }
    } while (!reserve(p, &word, len));
    FAULT("reserved");
    data = b->data + i * size;
    memcpy(data + bytes_of(word), line, len);
    FAULT("copied");
    atomic_store_explicit((_Atomic uint64_t *)(data + below),
                          make_extent(word, len), memory_order_release);
    return 1;
}

static int drop(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return 0;
}

/* Out of the way of the usual append: with another segment, or not at all. */
__attribute__((noinline, cold)) static int append_elsewhere(
    imx_batch_child_t *c, const char *line, size_t len)
{
    const imx_batch_t *b = c->batch;
    uint64_t current = load(&c->current);
    int tries = 0;

    if (c->self.slot == IMX_BATCH_NOBODY || len == 0
        || len > IMX_BATCH_LINE_MAX) {
        return drop(&b->part->homeless);
    }
    while (current == NONE
           || !append_to(b, index_of(current), current >> INDEX_BITS, line,
                         len)) {
        if (!next_segment(c, current) || ++tries == TRIES_MAX) {
            return drop(&b->refused[c->self.slot].lines);
        }
        current = load(&c->current);
    }
    return 1;
}

int imx_batch_append(imx_batch_child_t *c, const char *line, size_t len)
{
    uint64_t current = load(&c->current);

    if (current != NONE && len - 1 < IMX_BATCH_LINE_MAX
        && append_to(c->batch, index_of(current), current >> INDEX_BITS, line,
                     len)) {
        return 1;
    }
    return append_elsewhere(c, line, len);
}

/* The arithmetic is unsigned, as a hostile last time could overflow. */
int64_t imx_batch_unique_time(const imx_batch_t *b, int64_t now)
{
    int64_t last = atomic_load_explicit(&b->part->last_time,
                                        memory_order_relaxed);
    int64_t unique;

    do {
        unique = now > last || (uint64_t)last - (uint64_t)now > SECOND
                     ? now
                     : (int64_t)((uint64_t)last + 1);
    } while (
        !atomic_compare_exchange_weak_explicit(&b->part->last_time, &last,
                                               unique, memory_order_relaxed,
                                               memory_order_relaxed));
    return unique;
}

/* ---- the holder's work ---- */

/* The segments of a dead child become nobody's. */
static void salvage(const imx_batch_t *b, uint32_t slot)
{
    uint32_t n = begun(b), i, tries = 0;

    for (i = 0; i < n; i++) {
        _Atomic uint64_t *p = &segment(b, i)->word;
        uint64_t word = load(p), next;

        do {
            if (owner_of(word) != slot
                || (state_of(word) != FILLING && state_of(word) != SEALED)) {
                break;
            }
            next = with_owner(with_state(word, SEALED), IMX_BATCH_NOBODY);
            if (lines_of(word) == 0) {
                next = freed_unused(word);
            }
        } while (!swap(p, &word, next) && ++tries < TRIES_MAX);
        if (state_of(load(p)) == FREE) {
            let_go(b->part, i);
        }
    }
}

unsigned imx_batch_reap(const imx_batch_t *b, int look_for_them)
{
    unsigned found = 0;
    uint32_t i;

    for (i = 0; i < b->geometry.children; i++) {
        imx_children_who_t who = imx_children_dead(b->children, i,
                                                   look_for_them);

        if (who != 0) {
            salvage(b, i);
            FAULT("salvaged");
            imx_children_remove(b->children, i, who);
            found++;
        }
    }
    return found;
}

void imx_batch_seal_all(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);

        if (state_of(word) == FILLING && lines_of(word) > 0) {
            seal(b, i, TENURE(word));
        }
    }
}

imx_batch_level_t imx_batch_level(const imx_batch_t *b)
{
    imx_batch_level_t sum = { imx_batch_segments(b), 0, 0, 0, 0 };
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);
        uint32_t lines = lines_of(word);

        if (state_of(word) == SEALED) {
            uint32_t left = lines - progress_in(segment(b, i), word).cursor;

            sum.sealed_segments++;
            sum.sealed_lines += left;
            sum.sealed_bytes += lines == 0
                                    ? 0
                                    : (uint64_t)bytes_of(word) * left / lines;
        }
        sum.free_segments += state_of(word) == FREE && i < sum.segments;
    }
    if (sum.free_segments > 0) {
        atomic_store(&b->part->any_free, 1);
    }
    return sum;
}
