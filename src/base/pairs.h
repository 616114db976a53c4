/*
 * pairs.h: what belongs to two addresses, found without a lock.
 *
 * httpd merges the configurations of a request's directories anew for each
 * request, from objects that live as long as the child.  So what is made of two
 * of them can be made once and kept: these maps remember it.  Whoever adds to a
 * map bounds it.
 *
 * Any thread.  Entries are pushed in front of a bucket's list by one
 * compare-and-swap and never removed or changed, so who walks the list needs
 * nothing but an acquire load.  Two threads may push the same pair: both
 * entries say the same, the first that is found counts.  Private to a process;
 * nothing survives it.
 */
#ifndef IMX_PAIRS_H
#define IMX_PAIRS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define IMX_PAIRS_BUCKETS 1024

/* The caller's, and stays for as long as the map. */
typedef struct imx_pair {
    struct imx_pair *next;
    const void *first, *second;
    void *made; /* of both */
} imx_pair_t;

typedef struct {
    _Atomic(imx_pair_t *) bucket[IMX_PAIRS_BUCKETS];
} imx_pairs_t;

/* Fibonacci hashing (Knuth, TAOCP 3, 6.4). */
static inline _Atomic(imx_pair_t *) *imx_pairs_bucket(
    imx_pairs_t *pairs, const void *first, const void *second)
{
    uint64_t sum = (uint64_t)(uintptr_t)first * 31
                   + (uint64_t)(uintptr_t)second;

    return &pairs->bucket[sum * UINT64_C(0x9E3779B97F4A7C15) >> 54];
}

/* What was made of both; NULL: nothing yet. */
static inline void *imx_pairs_find(imx_pairs_t *pairs, const void *first,
                                   const void *second)
{
    const imx_pair_t *p =
        atomic_load_explicit(imx_pairs_bucket(pairs, first, second),
                             memory_order_acquire);

    while (p != NULL && (p->first != first || p->second != second)) {
        p = p->next;
    }
    return p != NULL ? p->made : NULL;
}

/* pair: filled in, but for next. */
static inline void imx_pairs_add(imx_pairs_t *pairs, imx_pair_t *pair)
{
    _Atomic(imx_pair_t *) *bucket = imx_pairs_bucket(pairs, pair->first,
                                                     pair->second);

    pair->next = atomic_load_explicit(bucket, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(bucket, &pair->next, pair,
                                                  memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

#endif
