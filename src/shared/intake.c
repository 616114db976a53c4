/*
 * intake.c owns the counts of what applications posted.
 * Entered by any thread of any child.
 * The counts survive any process.
 */
#include "shared/intake.h"

#include <stdatomic.h>

struct imx_intake_part {
    _Alignas(64) _Atomic uint64_t points;
    _Atomic uint64_t refused;
    _Atomic uint64_t said; /* of the refused ones, by the log */
    _Atomic int64_t said_at;
};

size_t imx_intake_size(void)
{
    return sizeof(struct imx_intake_part);
}

void imx_intake_format(imx_intake_t *i, void *base)
{
    i->part = base;
}

void imx_intake_took(const imx_intake_t *i, uint64_t points)
{
    atomic_fetch_add_explicit(&i->part->points, points, memory_order_relaxed);
}

/* The clock may have begun anew, or somebody may have written nonsense: a time
 * in the future is none. */
uint64_t imx_intake_refused(const imx_intake_t *i, int64_t now, int64_t quiet)
{
    uint64_t refused = atomic_fetch_add(&i->part->refused, 1) + 1;
    int64_t said_at = atomic_load(&i->part->said_at);

    if ((said_at != 0 && said_at <= now
         && (uint64_t)now - (uint64_t)said_at < (uint64_t)quiet)
        || !atomic_compare_exchange_strong(&i->part->said_at, &said_at, now)) {
        return 0;
    }
    return refused - atomic_exchange(&i->part->said, refused);
}

imx_intake_totals_t imx_intake_totals(const imx_intake_t *i)
{
    imx_intake_totals_t t = { atomic_load(&i->part->points),
                              atomic_load(&i->part->refused) };

    return t;
}
