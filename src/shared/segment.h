/*
 * segment.h: what a segment looks like in the arena, and how its words are put
 * together and taken apart.  For batch.c, claim.c, geometry.c and group.h.
 * batch.h says what all this means.
 */
#ifndef IMX_SEGMENT_H
#define IMX_SEGMENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/children.h"

/*
 * The bytes of a segment are written by whoever has reserved them, and after
 * that read by the holder, which frees the segment: between two appends to the
 * same bytes there is the chain
 *
 *   copy -> extent (release) -> holder (acquire) -> word FREE (release)
 *        -> word FILLING (acquire) -> copy
 *
 * ThreadSanitizer sees one process alone, and the holder is often another one.
 * So it is told of this chain, and of nothing else: two appends that had the
 * same bytes in one tenure are still found.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define SEGMENT_IS_WRITTEN(segment) __tsan_release(segment)
#define SEGMENT_IS_READ(segment) __tsan_acquire(segment)
#else
#define SEGMENT_IS_WRITTEN(segment) ((void)0)
#define SEGMENT_IS_READ(segment) ((void)0)
#endif

/* The word: state 2 | owner 16 | generation 17 | lines 12 | bytes 17. */
#define BYTES_BITS 17
#define LINES_BITS 12
#define GENERATION_BITS 17
#define OWNER_BITS 16
#define LINES_SHIFT BYTES_BITS
#define GENERATION_SHIFT (LINES_SHIFT + LINES_BITS)
#define OWNER_SHIFT (GENERATION_SHIFT + GENERATION_BITS)
#define STATE_SHIFT (OWNER_SHIFT + OWNER_BITS)

#define INDEX_BITS 24 /* of a segment's number */

#define LINES_MAX ((1u << LINES_BITS) - 1)
#define GENERATION_MASK ((1u << GENERATION_BITS) - 1)

/* While a segment is sealed, at most LINES_MAX appends can make the
 * compare-and-swap fail.  When it fails more often than this, somebody writes
 * nonsense into the word. */
#define TRIES_MAX (4 * LINES_MAX)

enum { FREE = 0, FILLING, SEALED, SENDING };

/* Whose it is, in which state and generation: all but lines and bytes. */
#define TENURE(word) ((word) >> GENERATION_SHIFT)

static inline uint64_t load(const _Atomic uint64_t *p)
{
    return atomic_load_explicit(p, memory_order_acquire);
}

/* Sequentially consistent: see let_go(), and the marks of group.h.  On x86 it
 * is the same instruction. */
static inline int swap(_Atomic uint64_t *p, uint64_t *expected,
                       uint64_t desired)
{
    return atomic_compare_exchange_strong(p, expected, desired);
}

static inline uint64_t make_word(uint64_t state, uint64_t owner,
                                 uint64_t generation)
{
    return state << STATE_SHIFT | owner << OWNER_SHIFT
           | (generation & GENERATION_MASK) << GENERATION_SHIFT;
}

static inline unsigned state_of(uint64_t word)
{
    return (unsigned)(word >> STATE_SHIFT);
}

static inline uint32_t owner_of(uint64_t word)
{
    return (uint32_t)(word >> OWNER_SHIFT) & 0xFFFFu;
}

static inline uint32_t generation_of(uint64_t word)
{
    return (uint32_t)(word >> GENERATION_SHIFT) & GENERATION_MASK;
}

static inline uint32_t lines_of(uint64_t word)
{
    return (uint32_t)(word >> LINES_SHIFT) & LINES_MAX;
}

static inline uint32_t bytes_of(uint64_t word)
{
    return (uint32_t)word & ((1u << BYTES_BITS) - 1);
}

static inline uint64_t with_state(uint64_t word, uint64_t state)
{
    return (word & ((UINT64_C(1) << STATE_SHIFT) - 1)) | state << STATE_SHIFT;
}

static inline uint64_t with_owner(uint64_t word, uint64_t owner)
{
    return (word & ~(UINT64_C(0xFFFF) << OWNER_SHIFT)) | owner << OWNER_SHIFT;
}

/* An extent: what the word was when it was reserved, but for state and owner,
 * and the length: generation 17 | lines 12 | bytes 17 | length 18. */
#define LENGTH_BITS 18
_Static_assert(LENGTH_BITS + GENERATION_SHIFT + GENERATION_BITS == 64,
               "the generation stands at the upper end of an extent");

static inline uint64_t make_extent(uint64_t word, size_t len)
{
    return word << LENGTH_BITS | len;
}

/* Is it the extent of line i, in the generation of this word? */
static inline int extent_is_of(uint64_t extent, uint64_t word, uint32_t i)
{
    return extent >> (LENGTH_BITS + LINES_SHIFT)
           == ((uint64_t)generation_of(word) << LINES_BITS | i);
}

static inline size_t extent_length(uint64_t extent)
{
    return extent & ((1u << LENGTH_BITS) - 1);
}

static inline size_t extent_offset(uint64_t extent)
{
    return bytes_of(extent >> LENGTH_BITS);
}

/* An extent that was cleared: as long as no line. */
#define CLEARED UINT64_MAX

/* Progress: the generation's low bits 16 | cursor 12 | rejected 12 | dropped 12
 * | torn 12.  Those of the lines below the cursor that are none of the last
 * three are sent. */
#define PROGRESS_GENERATIONS 0xFFFFu

typedef struct {
    uint32_t cursor, rejected, dropped, torn;
} progress_t;

static inline uint64_t make_progress(uint64_t word, progress_t p)
{
    return (uint64_t)(generation_of(word) & PROGRESS_GENERATIONS) << 48
           | (uint64_t)p.cursor << 36 | (uint64_t)p.rejected << 24
           | (uint64_t)p.dropped << 12 | p.torn;
}

/* Takes the word apart; a progress of another generation, or nonsense, is none
 * at all. */
static inline progress_t progress_of(uint64_t word, uint64_t progress)
{
    progress_t p = { (uint32_t)(progress >> 36) & LINES_MAX,
                     (uint32_t)(progress >> 24) & LINES_MAX,
                     (uint32_t)(progress >> 12) & LINES_MAX,
                     (uint32_t)progress & LINES_MAX };
    const progress_t none = { 0, 0, 0, 0 };

    return progress >> 48 == (generation_of(word) & PROGRESS_GENERATIONS)
                   && p.cursor <= lines_of(word)
                   && p.rejected + p.dropped + p.torn <= p.cursor
               ? p
               : none;
}

/* ---- in the arena ---- */

#define SEGMENT_FATES 5

typedef struct imx_batch_segment {
    _Alignas(64) _Atomic uint64_t word;
    _Atomic uint64_t ticket;   /* order in which they were taken */
    _Atomic uint64_t progress; /* of this generation, or nothing */
    _Alignas(64) _Atomic uint64_t fate[2][SEGMENT_FATES];
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
    _Atomic uint32_t touched;   /* below this: those that were ever taken */
    _Atomic uint32_t backed;    /* ... and have memory still, see spare.h */
    _Atomic uint32_t in_turn;   /* a group that is looked at anyway */
    _Atomic uint64_t homeless;  /* lines refused to processes without a row */
};

static inline uint64_t freed(uint64_t word)
{
    return make_word(FREE, IMX_CHILDREN_NOBODY, generation_of(word) + 1);
}

/* Without having been used: the counts stay those of this generation. */
static inline uint64_t freed_unused(uint64_t word)
{
    return make_word(FREE, IMX_CHILDREN_NOBODY, generation_of(word));
}

/* The progress of the segment that has this word. */
static inline progress_t progress_in(const segment_t *s, uint64_t word)
{
    return progress_of(word, load(&s->progress));
}

/* A number of segments, which any child can write. */
static inline uint32_t at_most_room(const _Atomic uint32_t *p, uint32_t room)
{
    uint32_t n = atomic_load(p);

    return n >= 1 && n <= room ? n : room;
}

/*
 * Segment i became free, or so it seems.
 *
 * A thread that finds no free segment stores any_free = 0, so that a full
 * buffer costs a request one look.  It may have overwritten the 1 of a segment
 * that was freed meanwhile: so it looks once more after its 0.  All of these
 * accesses are sequentially consistent: freeing a segment comes before storing
 * 1, storing 0 comes before the second look.  Either the 1 is the later of the
 * two stores, then it stays; or the 0 is, then the second look sees the
 * segment.  (Killed before the second look, the 0 stays until the holder counts
 * free segments, which it does all the time, and once a second at least.)
 */
static inline void let_go(struct imx_batch_part *part, uint32_t i)
{
    _Atomic uint32_t *p = &part->look_here;
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
    atomic_store(&part->any_free, 1);
}

#endif
