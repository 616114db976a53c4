/*
 * lease.h: which child delivers for the whole server.
 *
 * The lease is one 64-bit word that says who has it (imx_children_who_t), or 0.
 * There is no lock, no pointer and no type of the C library in it: whoever can
 * write to the arena can set the word, and no more than that.
 *
 *        take: compare-and-swap 0 -> me
 *     0 --------------------------------> me      give: me -> 0
 *     ^                                   |
 *     +-- the parent reaped it -----------+------> you: the word's process is
 *                                                  gone, compare-and-swap of
 *                                                  exactly that word
 *
 * Why there is one holder: the word changes only by compare-and-swap, from 0,
 * or from a word whose process is gone for good.  Two that find the same dead
 * holder swap the same word, so the second one fails.  The word cannot become
 * the dead holder's again in between, as only that process writes it: pid and
 * start time together are used once.  (Where /proc cannot be read, the start
 * time is missing, and this holds as long as a pid is not used again between
 * one call of kill() and the instruction that follows it.)
 *
 * When somebody writes nonsense into the word, a second child can take it while
 * the first one still works.  Both then go through the batch by
 * compare-and-swap, so a segment is settled once; lines that both had claimed
 * go to InfluxDB twice, with the same time, and files of the spool may, too.
 * Nothing else depends on there being one.
 *
 * The kernel does not give the lease back when the holder dies: who tries to
 * take it asks whether the holder lives, and the parent clears it when it reaps
 * the child.  Nobody ever waits in here.
 */
#ifndef IMX_LEASE_H
#define IMX_LEASE_H

#include "shared/children.h"

#define IMX_LEASE_VERSION 1

/* A process's own view; *children is that of the same arena. */
typedef struct {
    struct imx_lease_part *part;
    const imx_children_t *children;
} imx_lease_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_lease_size(void);
void imx_lease_format(imx_lease_t *l, void *base,
                      const imx_children_t *children);

/* A monitor thread: tries to get the lease.  Returns 1 when the caller has it
 * now; it is then to call imx_batch_recover(). */
int imx_lease_take(const imx_lease_t *l, const imx_children_self_t *self);

/* The holder: gives it back.  Changes nothing when somebody else has it. */
void imx_lease_give(const imx_lease_t *l, const imx_children_self_t *self);

/* The holder: does it still have the lease? */
int imx_lease_is_mine(const imx_lease_t *l, const imx_children_self_t *self);

/* Parent: the process with this pid was reaped.  Async-signal-safe. */
void imx_lease_died(const imx_lease_t *l, pid_t pid);

/* Tests: the holder's slot, NOBODY when there is none or it has no row.  Any:
 * the holder's pid, 0 when there is none. */
uint32_t imx_lease_holder(const imx_lease_t *l);
pid_t imx_lease_holder_pid(const imx_lease_t *l);

#endif
