/*
 * children.c owns the table of children and the question whether one lives.
 * Entered by each child's main thread (join, leave), by the monitors, and by
 * httpd's parent (died, new_epoch).
 * The table survives any process; see children.h.
 */
#include "shared/children.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/proc.h"
#include "shared/fault.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "a lock of libatomic would not be shared by processes");

enum { EMPTY = 0, JOINING, LIVING, LEAVING };

typedef struct {
    _Alignas(64) _Atomic imx_children_who_t who; /* 0: the row is free */
    _Atomic imx_children_who_t reaped; /* equal to who: the parent saw it die */
    _Atomic imx_children_who_t runs; /* who of this row has started and was not
                             told to end; stays when the row is free */
    _Atomic uint32_t state;
    _Atomic uint32_t epoch;
} row_t;

struct imx_children_part {
    _Alignas(64) _Atomic uint32_t epoch;
    row_t rows[];
};

size_t imx_children_size(uint32_t rows)
{
    return sizeof(struct imx_children_part) + rows * sizeof(row_t);
}

void imx_children_format(imx_children_t *c, void *base, uint32_t rows)
{
    memset(c, 0, sizeof *c);
    c->part = base;
    c->rows = rows;
}

/* ---- the kernel's answer ---- */

/* The low half of a start time, never 0. */
static uint32_t low_half(uint64_t started)
{
    return (uint32_t)started ? (uint32_t)started : 1;
}

static uint32_t start_of(const imx_children_t *c, pid_t pid)
{
    imx_proc_stat_t s;

    if (c->start_of != NULL) {
        return c->start_of(pid);
    }
    return imx_proc_stat(pid, &s) == 0 ? low_half(s.started) : 0;
}

static int is_gone(pid_t pid, uint32_t start)
{
    imx_proc_stat_t s;

    if (kill(pid, 0) != 0 && errno == ESRCH) {
        return 1;
    }
    if (imx_proc_stat(pid, &s) != 0) {
        return 0; /* no /proc here (ChrootDir), or too many open files */
    }
    if (start != 0 && low_half(s.started) != start) {
        return 1;
    }
    return (s.state == 'Z' || s.state == 'X') && s.threads <= 1;
}

static uint32_t start_in(imx_children_who_t who)
{
    return (uint32_t)who;
}

pid_t imx_children_pid(imx_children_who_t who)
{
    return (pid_t)(uint32_t)(who >> 32);
}

imx_children_who_t imx_children_who(const imx_children_t *c, pid_t pid)
{
    return (imx_children_who_t)(uint32_t)pid << 32 | start_of(c, pid);
}

int imx_children_is_gone(const imx_children_t *c, imx_children_who_t who)
{
    pid_t pid = imx_children_pid(who);

    /* kill() would ask of a whole group, or of all. */
    if (pid <= 0) {
        return 1;
    }
    return c->is_gone != NULL ? c->is_gone(pid, start_in(who))
                              : is_gone(pid, start_in(who));
}

/* ---- a child's life ---- */

static row_t *row(const imx_children_t *c, uint32_t slot)
{
    return &c->part->rows[slot];
}

imx_children_self_t imx_children_outsider(const imx_children_t *c, pid_t pid)
{
    imx_children_self_t self = { imx_children_who(c, pid),
                                 IMX_CHILDREN_NOBODY };

    return self;
}

/*
 * What is left in a row that is taken again cannot concern the new child: a
 * late imx_children_died() names the old one, and who names both pid and start.
 * Where starts are not known, both could be the same word: so it is cleared.
 */
int imx_children_join(const imx_children_t *c, imx_children_self_t *self,
                      pid_t pid)
{
    uint32_t i;

    *self = imx_children_outsider(c, pid);
    for (i = 0; i < c->rows; i++) {
        row_t *r = row(c, i);
        imx_children_who_t none = 0;

        if (atomic_compare_exchange_strong(&r->who, &none, self->who)) {
            atomic_store(&r->reaped, 0);
            atomic_store(&r->state, JOINING);
            atomic_store(&r->epoch, c->epoch);
            atomic_store(&r->state, LIVING);
            self->slot = i;
            return 0;
        }
    }
    return -1;
}

int imx_children_leave(const imx_children_t *c,
                       const imx_children_self_t *self)
{
    if (self->slot < c->rows) {
        atomic_store(&row(c, self->slot)->state, LEAVING);
    }
    return imx_children_is_last(c);
}

void imx_children_runs(const imx_children_t *c,
                       const imx_children_self_t *self, int runs)
{
    if (self->slot < c->rows) {
        atomic_store(&row(c, self->slot)->runs, runs ? self->who : 0);
    }
}

int imx_children_ran(const imx_children_t *c, pid_t pid)
{
    uint32_t i;

    for (i = 0; i < c->rows; i++) {
        imx_children_who_t who = atomic_load(&row(c, i)->runs);

        if (who != 0 && imx_children_pid(who) == pid) {
            return atomic_compare_exchange_strong(&row(c, i)->runs, &who, 0);
        }
    }
    return 0;
}

/* A row that was taken and says no state yet is of one that joins. */
int imx_children_is_last(const imx_children_t *c)
{
    uint32_t i;

    for (i = 0; i < c->rows; i++) {
        imx_children_who_t who = atomic_load(&row(c, i)->who);

        if (who != 0 && atomic_load(&row(c, i)->state) != LEAVING
            && !imx_children_is_gone(c, who)) {
            return 0;
        }
    }
    return 1;
}

void imx_children_died(const imx_children_t *c, pid_t pid)
{
    uint32_t i;

    for (i = 0; i < c->rows; i++) {
        imx_children_who_t who = atomic_load(&row(c, i)->who);

        if (who != 0 && imx_children_pid(who) == pid) {
            FAULT("died");
            atomic_store(&row(c, i)->reaped, who);
        }
    }
}

unsigned imx_children_count(const imx_children_t *c)
{
    unsigned count = 0;
    uint32_t i;

    for (i = 0; i < c->rows; i++) {
        imx_children_who_t who = atomic_load(&row(c, i)->who);

        count += who != 0 && imx_children_pid(who) != getpid()
                 && !imx_children_is_gone(c, who);
    }
    return count;
}

imx_children_who_t imx_children_dead(const imx_children_t *c, uint32_t slot,
                                     int ask)
{
    imx_children_who_t who = atomic_load(&row(c, slot)->who);

    return who != 0
                   && (atomic_load(&row(c, slot)->reaped) == who
                       || (ask && imx_children_is_gone(c, who)))
               ? who
               : 0;
}

/* The state goes first: the next one in this row must not seem to leave. */
void imx_children_remove(const imx_children_t *c, uint32_t slot,
                         imx_children_who_t who)
{
    row_t *r = row(c, slot);

    atomic_store(&r->state, EMPTY);
    atomic_store(&r->reaped, 0);
    atomic_compare_exchange_strong(&r->who, &who, 0);
}

int imx_children_is_taken(const imx_children_t *c, uint32_t slot)
{
    return slot < c->rows && atomic_load(&row(c, slot)->who) != 0;
}

imx_children_who_t imx_children_in(const imx_children_t *c, uint32_t slot)
{
    return slot < c->rows ? atomic_load(&row(c, slot)->who) : 0;
}

/* ---- configurations ---- */

uint32_t imx_children_new_epoch(imx_children_t *c)
{
    c->epoch = atomic_fetch_add(&c->part->epoch, 1) + 1;
    return c->epoch;
}

uint32_t imx_children_epoch(const imx_children_t *c)
{
    return c->epoch;
}

int imx_children_has_since(const imx_children_t *c, uint32_t epoch)
{
    uint32_t i;

    if (epoch > atomic_load(&c->part->epoch)) {
        return 0; /* in the usual case, without a look at all rows */
    }
    for (i = 0; i < c->rows; i++) {
        imx_children_who_t who = atomic_load(&row(c, i)->who);

        if (who != 0 && atomic_load(&row(c, i)->state) == LIVING
            && atomic_load(&row(c, i)->epoch) >= epoch
            && !imx_children_is_gone(c, who)) {
            return 1;
        }
    }
    return 0;
}
