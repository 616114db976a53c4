/*
 * atomics.c: preloaded into httpd under ThreadSanitizer (make test-tsan).
 * APR's atomic operations are not built for it.  So when the MPM gives a pool
 * from one thread to the next by them (ap_queue_info_push_pool), it sees two
 * threads with the same memory, and nothing between them.  These are the same
 * operations, and it sees them.
 */
#include <apr_atomic.h>

#define SHOWN __attribute__((visibility("default")))
#define IN_ORDER __ATOMIC_SEQ_CST

SHOWN apr_uint32_t apr_atomic_read32(volatile apr_uint32_t *mem)
{
    return __atomic_load_n(mem, IN_ORDER);
}

SHOWN void apr_atomic_set32(volatile apr_uint32_t *mem, apr_uint32_t val)
{
    __atomic_store_n(mem, val, IN_ORDER);
}

SHOWN apr_uint32_t apr_atomic_add32(volatile apr_uint32_t *mem,
                                    apr_uint32_t val)
{
    return __atomic_fetch_add(mem, val, IN_ORDER);
}

SHOWN void apr_atomic_sub32(volatile apr_uint32_t *mem, apr_uint32_t val)
{
    __atomic_fetch_sub(mem, val, IN_ORDER);
}

SHOWN apr_uint32_t apr_atomic_inc32(volatile apr_uint32_t *mem)
{
    return __atomic_fetch_add(mem, 1, IN_ORDER);
}

SHOWN int apr_atomic_dec32(volatile apr_uint32_t *mem)
{
    return __atomic_sub_fetch(mem, 1, IN_ORDER) != 0;
}

SHOWN apr_uint32_t apr_atomic_cas32(volatile apr_uint32_t *mem,
                                    apr_uint32_t with, apr_uint32_t cmp)
{
    __atomic_compare_exchange_n(mem, &cmp, with, 0, IN_ORDER, IN_ORDER);
    return cmp;
}

SHOWN apr_uint32_t apr_atomic_xchg32(volatile apr_uint32_t *mem,
                                     apr_uint32_t val)
{
    return __atomic_exchange_n(mem, val, IN_ORDER);
}

SHOWN void *apr_atomic_casptr(volatile void **mem, void *with, const void *cmp)
{
    void *is = (void *)(apr_uintptr_t)cmp;

    __atomic_compare_exchange_n((void *volatile *)mem, &is, with, 0, IN_ORDER,
                                IN_ORDER);
    return is;
}

SHOWN void *apr_atomic_xchgptr(volatile void **mem, void *with)
{
    return __atomic_exchange_n((void *volatile *)mem, with, IN_ORDER);
}
