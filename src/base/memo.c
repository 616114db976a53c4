/*
 * memo.c owns the adding to a memo: one thread at a time, up to a bound.
 * Entered by any thread.
 * Nothing survives a process.
 */
#include "base/memo.h"

/* The caller has the lock; readers may walk the bucket's list meanwhile. */
static void add(imx_memo_t *memo, imx_memo_pair_t *pair)
{
    _Atomic(imx_memo_pair_t *) *bucket = imx_memo_bucket(memo, pair->first,
                                                         pair->second);

    pair->next = atomic_load_explicit(bucket, memory_order_relaxed);
    atomic_store_explicit(bucket, pair, memory_order_release);
    memo->count++;
}

static void *make_one(imx_memo_t *memo, const void *first, const void *second,
                      imx_memo_make_t *make)
{
    void *made = imx_memo_find(memo, first, second);
    imx_memo_pair_t *pair;

    if (made != NULL || memo->count >= memo->most) {
        return made;
    }
    pair = make(first, second);
    if (pair == NULL) {
        return NULL;
    }
    pair->first = first;
    pair->second = second;
    add(memo, pair);
    return pair->made;
}

void *imx_memo_get(imx_memo_t *memo, const void *first, const void *second,
                   imx_memo_make_t *make)
{
    void *made = imx_memo_find(memo, first, second);

    if (made == NULL && memo->count < memo->most
        && pthread_mutex_trylock(&memo->lock) == 0) {
        made = make_one(memo, first, second, make);
        pthread_mutex_unlock(&memo->lock);
    }
    return made;
}
