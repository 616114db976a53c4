/*
 * memo.h: what belongs to two pointers is made once, and found without a lock
 * after that.
 *
 * httpd merges the settings of a request's directories anew for each request,
 * from objects that live as long as the child.  So what is made of two such
 * objects can be made once and kept; a memo remembers it.
 *
 * Any thread.  Pairs are added with a lock held, in front of a bucket's list by
 * one release store, and never removed or changed, so a thread that walks the
 * list needs nothing but an acquire load.  Private to a process; nothing
 * survives it.
 */
#ifndef IMX_MEMO_H
#define IMX_MEMO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define IMX_MEMO_BUCKETS 1024

/* Memory of the maker's, which stays as long as the memo. */
typedef struct imx_memo_pair {
    struct imx_memo_pair *next;
    const void *first, *second;
    void *made; /* of both */
} imx_memo_pair_t;

typedef struct {
    _Atomic(imx_memo_pair_t *) bucket[IMX_MEMO_BUCKETS];
    _Atomic unsigned count;
    unsigned most; /* pairs that it takes */
    pthread_mutex_t lock;
} imx_memo_t;

#define IMX_MEMO_INIT(most_pairs) \
    { \
        .most = (most_pairs), .lock = PTHREAD_MUTEX_INITIALIZER \
    }

/* Makes what belongs to both, and a pair with `made` set (the memo fills in the
 * rest); NULL: it cannot.  Called with the memo's lock held, one thread at a
 * time. */
typedef imx_memo_pair_t *imx_memo_make_t(const void *first,
                                         const void *second);

/* What was made of both, or is made now.  NULL: neither; the memo is full,
 * make failed, or another thread is making something: nobody waits for that,
 * as prefork ends in a signal handler, in which requests are logged while the
 * interrupted one may hold the lock. */
void *imx_memo_get(imx_memo_t *memo, const void *first, const void *second,
                   imx_memo_make_t *make);

/* Fibonacci hashing (Knuth, TAOCP 3, 6.4). */
static inline _Atomic(imx_memo_pair_t *) *imx_memo_bucket(
    imx_memo_t *memo, const void *first, const void *second)
{
    uint64_t sum = (uint64_t)(uintptr_t)first * 31
                   + (uint64_t)(uintptr_t)second;

    return &memo->bucket[sum * UINT64_C(0x9E3779B97F4A7C15) >> 54];
}

/* What was made of both; NULL: nothing yet. */
static inline void *imx_memo_find(imx_memo_t *memo, const void *first,
                                  const void *second)
{
    const imx_memo_pair_t *p =
        atomic_load_explicit(imx_memo_bucket(memo, first, second),
                             memory_order_acquire);

    while (p != NULL && (p->first != first || p->second != second)) {
        p = p->next;
    }
    return p != NULL ? p->made : NULL;
}

#endif
