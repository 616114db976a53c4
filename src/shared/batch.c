/*
 * batch.c owns the segments of finished lines and the counts of their fates.
 * Entered by request threads (append, unique time), by the monitor that holds
 * the lease, and by httpd's parent (format, resize, totals).
 * All of it survives any process; see batch.h for why.
 */
#include "shared/batch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/fault.h"
#include "shared/segment.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "a lock of libatomic would not be shared by processes");

#define SECOND UINT64_C(1000000000)

/* imx_batch_child_t.current: tenure and index of a segment, or NONE. */
#define INDEX_BITS 24
#define NONE UINT64_MAX

/* A compare-and-swap that has failed so often was played a trick.  Lines of a
 * segment are appended at most LINES_MAX times while somebody seals it. */
#define TRIES_MAX (4 * LINES_MAX)

typedef struct imx_batch_segment {
    _Alignas(64) _Atomic uint64_t word;
    _Atomic uint64_t ticket;   /* order in which they were taken */
    _Atomic uint64_t progress; /* of this generation, or nothing */
    _Alignas(64) _Atomic uint64_t fate[2][IMX_BATCH_FATES];
    /* lines, by the generation's last bit */
} segment_t;

/* Lines that a child could not append, as there was no room. */
typedef struct imx_batch_refused {
    _Alignas(64) _Atomic uint64_t lines;
} refused_t;

struct imx_batch_part {
    _Alignas(64) _Atomic int64_t last_time;
    _Alignas(64) _Atomic uint64_t tickets;
    _Atomic uint32_t look_here; /* a hint: no segment before it is free */
    _Atomic uint32_t any_free;  /* 0: do not even look */
    _Atomic uint32_t in_use;    /* segments that children may take */
    _Atomic uint32_t begun;     /* segments that were ever in use */
    _Atomic uint64_t homeless;  /* lines refused to processes without a row */
};

static uint64_t freed(uint64_t word)
{
    return make_word(FREE, IMX_BATCH_NOBODY, generation_of(word) + 1);
}

/* Without having been used: the counts stay those of this generation. */
static uint64_t freed_unused(uint64_t word)
{
    return make_word(FREE, IMX_BATCH_NOBODY, generation_of(word));
}

/* Where things are. */
static segment_t *segment(const imx_batch_t *b, uint32_t i)
{
    return b->segments + i;
}

static char *data_of(const imx_batch_t *b, uint32_t i)
{
    return b->data + (size_t)i * b->geometry.segment_size;
}

static _Atomic uint64_t *extent_of(const imx_batch_t *b, uint32_t i,
                                   uint32_t line)
{
    return (_Atomic uint64_t *)data_of(b, i + 1) - 1 - line;
}

/* The numbers of segments are in memory that any child can write. */
static uint32_t at_most_room(const imx_batch_t *b, const _Atomic uint32_t *p)
{
    uint32_t n = atomic_load(p);

    return n >= 1 && n <= b->geometry.room ? n : b->geometry.room;
}

uint32_t imx_batch_segments(const imx_batch_t *b)
{
    return at_most_room(b, &b->part->in_use);
}

static uint32_t begun(const imx_batch_t *b)
{
    return at_most_room(b, &b->part->begun);
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

/*
 * Segment i became free, or so it seems.
 *
 * Who finds no free segment stores any_free = 0, so that a full buffer costs a
 * request one look.  He must not do so over the 1 of a segment that was freed
 * meanwhile: so he looks once more after his 0.  All of these accesses are
 * sequentially consistent: freeing a segment comes before storing 1, storing 0
 * comes before the second look.  Either the 1 is the later of the two stores,
 * then it stays; or the 0 is, then the second look sees the segment.  (Killed
 * before the second look, the 0 stays until the holder counts free segments,
 * which it does all the time.)
 */
static void let_go(const imx_batch_t *b, uint32_t i)
{
    _Atomic uint32_t *p = &b->part->look_here;
    uint32_t seen = atomic_load_explicit(p, memory_order_relaxed);
    int tries;

    /* Low ones are looked at first. */
    for (tries = 0; i < seen && tries < 1000; tries++) {
        if (atomic_compare_exchange_weak_explicit(p, &seen, i,
                                                  memory_order_relaxed,
                                                  memory_order_relaxed)) {
            break;
        }
    }
    atomic_store(&b->part->any_free, 1);
}

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
        let_go(b, i);
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

/* Unsigned where a hostile last time would overflow. */
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

/* ---- clearing ---- */

/*
 * Nobody writes to a segment that is SENDING.  Its extents read as zero
 * afterwards: length 0, which is no line in any generation.  The kernel would
 * round up to whole pages, and take its neighbour's data.  Returns 0 when the
 * memory stays.
 */
static int give_memory_back(const imx_batch_t *b, uint32_t i)
{
    const size_t size = b->geometry.segment_size;

    return size % b->geometry.page == 0
           && madvise(data_of(b, i), size, MADV_REMOVE) == 0;
}

/*
 * A segment without lines that is SENDING with this word: clears it, and lets
 * it go.  What has to be cleared follows from the word and the size of the
 * buffer alone, so another holder can do it again.
 */
static void clear(const imx_batch_t *b, uint32_t i, uint64_t word)
{
    _Atomic uint64_t *p = &segment(b, i)->word;

    atomic_store(&segment(b, i)->progress, 0);
    if ((i < imx_batch_segments(b) || !give_memory_back(b, i))
        && generation_of(word) == 0) {
        memset(data_of(b, i), 0xFF, b->geometry.segment_size);
    }
    FAULT("cleared");
    if (swap(p, &word, freed_unused(word))) {
        let_go(b, i);
    }
}

/* In the next generation, the extents or the progress would look like those of
 * long ago; or the memory is to go back to the system. */
static int must_be_cleared(const imx_batch_t *b, uint32_t i, uint64_t word)
{
    return (generation_of(word) & PROGRESS_GENERATIONS) == PROGRESS_GENERATIONS
           || i >= imx_batch_segments(b);
}

void imx_batch_trim(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = imx_batch_segments(b); i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);
        uint64_t mine = with_state(word, SENDING);

        if (state_of(word) == FREE
            && swap(&segment(b, i)->word, &word, mine)) {
            FAULT("trimmed");
            clear(b, i, mine);
        }
    }
}

/* ---- the holder's work ---- */

void imx_batch_recover(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);

        if (state_of(word) == SENDING && lines_of(word) == 0) {
            clear(b, i, word);
        }
        else if (state_of(word) == SENDING) {
            swap(&segment(b, i)->word, &word, with_state(word, SEALED));
        }
    }
}

/* What a dead child was filling is nobody's. */
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
            let_go(b, i);
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

/* How far the segment with this word is done. */
static progress_t progress_in(const segment_t *s, uint64_t word)
{
    return progress_of(word, load(&s->progress));
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

/* The extents are in memory that any child can write: a line outside the data
 * of its segment is no line. */
size_t imx_batch_line(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      uint32_t i, const char **line)
{
    uint64_t extent = load(extent_of(b, claim->segment, i));
    size_t len = extent_length(extent), offset = extent_offset(extent);

    if (extent_generation(extent) != generation_of(claim->word)
        || offset + len > bytes_of(claim->word)) {
        return 0;
    }
    *line = data_of(b, claim->segment) + offset;
    return len;
}

static int is_sane(const imx_batch_t *b, uint64_t word)
{
    return bytes_of(word) + lines_of(word) * sizeof(uint64_t)
           <= b->geometry.segment_size;
}

static int is_complete(const imx_batch_t *b, const imx_batch_claim_t *claim)
{
    const char *line;
    uint32_t i;

    for (i = 0; i < claim->lines; i++) {
        if (imx_batch_line(b, claim, i, &line) == 0) {
            return 0;
        }
    }
    return 1;
}

/* A sealed segment that may be claimed: SEALED -> SENDING.  Of a word that is
 * nonsense, no line is looked at. */
static int claim_one(const imx_batch_t *b, imx_batch_claim_t *claim,
                     uint32_t i)
{
    segment_t *s = segment(b, i);
    uint64_t word = load(&s->word);
    progress_t done = { 0, 0, 0, 0 };

    if (state_of(word) != SEALED) {
        return 0;
    }
    claim->segment = i;
    claim->word = with_state(word, SENDING);
    claim->lines = is_sane(b, word) ? lines_of(word) : 0;
    if (owner_of(word) != IMX_BATCH_NOBODY && !is_complete(b, claim)) {
        return 0;
    }
    if (!swap(&s->word, &word, claim->word)) {
        return 0;
    }
    if (claim->lines > 0) {
        done = progress_in(s, word);
    }
    claim->first = done.cursor;
    claim->progress = make_progress(word, done);
    return 1;
}

typedef struct {
    uint64_t ticket;
    uint32_t segment;
} queued_t;

static int by_ticket(const void *a, const void *b)
{
    const queued_t *left = a, *right = b;

    return (left->ticket > right->ticket) - (left->ticket < right->ticket);
}

/* About: how long each line is stands in its extent only. */
static uint64_t bytes_left(const imx_batch_claim_t *claim)
{
    uint32_t left = claim->lines - claim->first;

    return left == 0 ? 0
                     : (uint64_t)bytes_of(claim->word) * left / claim->lines;
}

size_t imx_batch_claim(const imx_batch_t *b, imx_batch_claim_t *claims,
                       size_t max, uint64_t max_lines, uint64_t max_bytes)
{
    uint32_t n = begun(b), i;
    queued_t *queue = malloc(n * sizeof *queue);
    uint64_t lines = 0, bytes = 0;
    size_t queued = 0, claimed = 0, next;

    if (queue == NULL) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (state_of(load(&segment(b, i)->word)) == SEALED) {
            queue[queued].segment = i;
            queue[queued++].ticket = load(&segment(b, i)->ticket);
        }
    }
    qsort(queue, queued, sizeof *queue, by_ticket);
    for (next = 0; next < queued && claimed < max && lines < max_lines
                   && bytes < max_bytes;
         next++) {
        if (claim_one(b, &claims[claimed], queue[next].segment)) {
            lines += claims[claimed].lines - claims[claimed].first;
            bytes += bytes_left(&claims[claimed]);
            claimed++;
        }
    }
    free(queue);
    return claimed;
}

void imx_batch_advance(const imx_batch_t *b, imx_batch_claim_t *claim,
                       uint32_t cursor, uint32_t rejected, uint32_t dropped)
{
    progress_t p = progress_of(claim->word, claim->progress);
    const char *line;

    if (cursor > claim->lines) {
        cursor = claim->lines;
    }
    for (; p.cursor < cursor; p.cursor++) {
        p.torn += imx_batch_line(b, claim, p.cursor, &line) == 0;
    }
    p.rejected += rejected;
    p.dropped += dropped;
    claim->first = p.cursor;
    claim->progress = make_progress(claim->word, p);
    FAULT("advance");
    atomic_store(&segment(b, claim->segment)->progress, claim->progress);
    FAULT("advanced");
}

/* Adds to a segment's counts what the progress says. */
static void add_progress(uint64_t fate[IMX_BATCH_FATES], progress_t p)
{
    fate[IMX_BATCH_SENT] += p.cursor - p.rejected - p.dropped - p.torn;
    fate[IMX_BATCH_REJECTED] += p.rejected;
    fate[IMX_BATCH_DROPPED] += p.dropped;
    fate[IMX_BATCH_TORN] += p.torn;
}

void imx_batch_settle(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      const uint64_t fate[IMX_BATCH_FATES])
{
    segment_t *s = segment(b, claim->segment);
    progress_t done = progress_of(claim->word, claim->progress);
    uint64_t word = claim->word, next = freed(word), sum[IMX_BATCH_FATES];
    uint64_t torn = lines_of(word) - done.cursor;
    unsigned now = generation_of(word) & 1;
    int clears = must_be_cleared(b, claim->segment, word), i;

    for (i = 0; i < IMX_BATCH_TORN; i++) {
        sum[i] = load(&s->fate[now][i]) + fate[i];
        torn -= fate[i];
    }
    sum[IMX_BATCH_TORN] = load(&s->fate[now][IMX_BATCH_TORN]) + torn;
    add_progress(sum, done);
    for (i = 0; i < IMX_BATCH_FATES; i++) {
        atomic_store(&s->fate[!now][i], sum[i]);
        FAULT("count");
    }
    FAULT("counted");
    if (clears) {
        next = with_state(next, SENDING);
    }
    if (!swap(&s->word, &word, next)) {
        return;
    }
    FAULT("settled");
    if (clears) {
        clear(b, claim->segment, next);
    }
    else {
        let_go(b, claim->segment);
    }
}

void imx_batch_put_back(const imx_batch_t *b, const imx_batch_claim_t *claim)
{
    uint64_t word = claim->word;

    swap(&segment(b, claim->segment)->word, &word, with_state(word, SEALED));
}

/* ---- totals ---- */

/* The counts that go with the word: read again when it moved meanwhile, but not
 * for ever, as the parent reads, too.  Returns whether it is free. */
static int add_segment(imx_batch_totals_t *t, const segment_t *s)
{
    uint64_t fate[IMX_BATCH_FATES];
    uint64_t word = load(&s->word), before;
    progress_t done;
    int i, tries = 0;

    do {
        before = word;
        for (i = 0; i < IMX_BATCH_FATES; i++) {
            fate[i] = load(&s->fate[generation_of(word) & 1][i]);
        }
        done = progress_in(s, word);
        word = load(&s->word);
    } while (generation_of(word) != generation_of(before) && ++tries < 1000);
    if (done.cursor > lines_of(word)) {
        done = progress_of(word, 0);
    }
    add_progress(fate, done);
    for (i = 0; i < IMX_BATCH_FATES; i++) {
        t->fate[i] += fate[i];
        t->recorded += fate[i];
    }
    t->pending += lines_of(word) - done.cursor;
    t->bytes_used += bytes_of(word);
    return state_of(word) == FREE;
}

imx_batch_totals_t imx_batch_totals(const imx_batch_t *b)
{
    imx_batch_totals_t t = { 0 };
    uint32_t n = begun(b), i;

    t.segments = imx_batch_segments(b);
    for (i = 0; i < n; i++) {
        t.segments_free += add_segment(&t, segment(b, i)) && i < t.segments;
    }
    t.no_room = load(&b->part->homeless);
    for (i = 0; i < b->geometry.children; i++) {
        t.no_room += load(&b->refused[i].lines);
    }
    t.recorded += t.no_room + t.pending;
    return t;
}

/* ---- for the tests ---- */

static const char *validate_lines(const imx_batch_t *b, uint32_t i,
                                  uint64_t word)
{
    imx_batch_claim_t claim = { i, word, lines_of(word), 0, 0 };
    uint32_t line, at = 0;
    const char *text;

    for (line = 0; line < claim.lines; line++) {
        size_t len = imx_batch_line(b, &claim, line, &text);
        uint64_t extent = load(extent_of(b, i, line));

        if (len == 0 && extent_generation(extent) == generation_of(word)) {
            return "an extent points outside its segment";
        }
        if (len == 0) {
            continue;
        }
        if (text < data_of(b, i) + at) {
            return "two lines share bytes";
        }
        if (text[len - 1] != '\n') {
            return "a whole line has no end";
        }
        at = (uint32_t)(text - data_of(b, i)) + (uint32_t)len;
    }
    return NULL;
}

const char *imx_batch_validate(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);
        const char *wrong;

        if (state_of(word) == FREE && (lines_of(word) || bytes_of(word))) {
            return "a free segment has lines";
        }
        if (!is_sane(b, word)) {
            return "lines and extents of a segment overlap";
        }
        if (state_of(word) == FILLING
            && (owner_of(word) >= b->geometry.children
                || !imx_children_is_taken(b->children, owner_of(word)))) {
            return "a segment is being filled by nobody";
        }
        wrong = validate_lines(b, i, word);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}
