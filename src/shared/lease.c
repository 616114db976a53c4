/*
 * lease.c owns the word that says which child delivers.
 * Entered by monitor threads, by the parent's helper at a stop, and by httpd's
 * parent (died).
 * The word survives any process; see lease.h for why there is one holder.
 */
#include "shared/lease.h"

#include <stdatomic.h>

#include "shared/fault.h"

struct imx_lease_part {
    _Alignas(64) _Atomic imx_children_who_t who; /* 0: nobody has the lease */
    _Atomic uint32_t slot;                       /* the holder's, for tests */
};

size_t imx_lease_size(void)
{
    return sizeof(struct imx_lease_part);
}

void imx_lease_format(imx_lease_t *l, void *base,
                      const imx_children_t *children)
{
    l->part = base;
    l->children = children;
    atomic_store(&l->part->slot, IMX_CHILDREN_NOBODY);
}

int imx_lease_take(const imx_lease_t *l, const imx_children_self_t *self)
{
    imx_children_who_t who = atomic_load(&l->part->who);

    if (who != 0 && !imx_children_is_gone(l->children, who)) {
        return 0;
    }
    FAULT("asked");
    if (!atomic_compare_exchange_strong(&l->part->who, &who, self->who)) {
        return 0;
    }
    FAULT("leased");
    atomic_store(&l->part->slot, self->slot);
    return 1;
}

void imx_lease_give(const imx_lease_t *l, const imx_children_self_t *self)
{
    imx_children_who_t me = self->who;

    if (imx_lease_is_mine(l, self)) {
        atomic_store(&l->part->slot, IMX_CHILDREN_NOBODY);
        atomic_compare_exchange_strong(&l->part->who, &me, 0);
    }
}

int imx_lease_is_mine(const imx_lease_t *l, const imx_children_self_t *self)
{
    return atomic_load(&l->part->who) == self->who;
}

void imx_lease_died(const imx_lease_t *l, pid_t pid)
{
    imx_children_who_t who = atomic_load(&l->part->who);

    if (who != 0 && imx_children_pid(who) == pid) {
        atomic_compare_exchange_strong(&l->part->who, &who, 0);
    }
}

uint32_t imx_lease_holder(const imx_lease_t *l)
{
    return atomic_load(&l->part->who) != 0 ? atomic_load(&l->part->slot)
                                           : IMX_CHILDREN_NOBODY;
}

pid_t imx_lease_holder_pid(const imx_lease_t *l)
{
    return imx_children_pid(atomic_load(&l->part->who));
}
