/*
 * atomic_copy.h: words that one thread writes into shared memory while others
 * read them.
 *
 * Words are stored by release, in their order, and loaded by acquire: a reader
 * that sees a new word sees all that was stored before it, such as a number
 * which says that the words are being written.
 *
 * Threads: one writer at a time; any thread of any process reads.
 */
#ifndef IMX_ATOMIC_COPY_H
#define IMX_ATOMIC_COPY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void imx_atomic_copy_put(_Atomic uint64_t *to, const void *from,
                                       size_t words)
{
    const char *p = from;
    uint64_t word;
    size_t i;

    for (i = 0; i < words; i++, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        atomic_store_explicit(&to[i], word, memory_order_release);
    }
}

static inline void imx_atomic_copy_get(void *to, const _Atomic uint64_t *from,
                                       size_t words)
{
    char *p = to;
    uint64_t word;
    size_t i;

    for (i = 0; i < words; i++, p += sizeof word) {
        word = atomic_load_explicit(&from[i], memory_order_acquire);
        memcpy(p, &word, sizeof word);
    }
}

#endif
