/*
 * segment.h: how the words of a segment are put together and taken apart.  Part
 * of batch.c; nobody else needs to know.  batch.h says what they mean.
 */
#ifndef IMX_SEGMENT_H
#define IMX_SEGMENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The word: state 2 | owner 16 | generation 17 | lines 12 | bytes 17. */
#define BYTES_BITS 17
#define LINES_BITS 12
#define GENERATION_BITS 17
#define OWNER_BITS 16
#define LINES_SHIFT BYTES_BITS
#define GENERATION_SHIFT (LINES_SHIFT + LINES_BITS)
#define OWNER_SHIFT (GENERATION_SHIFT + GENERATION_BITS)
#define STATE_SHIFT (OWNER_SHIFT + OWNER_BITS)

#define LINES_MAX ((1u << LINES_BITS) - 1)
#define GENERATION_MASK ((1u << GENERATION_BITS) - 1)

enum { FREE = 0, FILLING, SEALED, SENDING };

/* Whose it is, in which state and generation: all but lines and bytes. */
#define TENURE(word) ((word) >> GENERATION_SHIFT)

static inline uint64_t load(const _Atomic uint64_t *p)
{
    return atomic_load_explicit(p, memory_order_acquire);
}

/* Sequentially consistent: see any_free in batch.c.  On x86 it is the same
 * instruction. */
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

/* An extent: generation 17 | length 17 | offset 17. */
static inline uint64_t make_extent(uint64_t word, size_t len)
{
    return (uint64_t)generation_of(word) << 34 | (uint64_t)len << 17
           | bytes_of(word);
}

static inline uint64_t extent_generation(uint64_t extent)
{
    return extent >> 34;
}

static inline size_t extent_length(uint64_t extent)
{
    return (extent >> 17) & ((1u << 17) - 1);
}

static inline size_t extent_offset(uint64_t extent)
{
    return extent & ((1u << 17) - 1);
}

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

/* None at all, when it is of another generation or nonsense. */
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

#endif
