/*
 * children.h: the table of httpd's child processes, in the arena.
 *
 * A row is taken by one compare-and-swap of the word that says who the child
 * is: its pid and the low half of its start time, so that a pid that is used
 * again is another word.  A row that is left (the process was killed) stays
 * taken until the holder has salvaged what the child was filling.
 *
 * What a row says is written by processes that may be hostile.  So it is only
 * ever compared, and asked of the kernel.
 *
 * Threads: "any" may be called by any thread of any process; "parent" only by
 * httpd's parent; "holder" only by the monitor that has the lease.
 */
#ifndef IMX_CHILDREN_H
#define IMX_CHILDREN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define IMX_CHILDREN_VERSION 3
#define IMX_CHILDREN_NOBODY 0xFFFFu /* the slot of a process without a row */
#define IMX_CHILDREN_MAX 32016      /* rows */

/* A process's own view of the table, in its private memory. */
typedef struct {
    struct imx_children_part *part;
    uint32_t rows;
    uint32_t epoch; /* see imx_children_epoch() */
    /* For tests and the simulation; NULL: the kernel is asked.  Is this process
     * gone?  When was it started (0: unknown)? */
    int (*is_gone)(pid_t pid, uint32_t start);
    uint32_t (*start_of)(pid_t pid);
} imx_children_t;

/* Who a process is: pid 32 | start time 32; 0 is nobody. */
typedef uint64_t imx_children_who_t;

/* A process, as it knows itself. */
typedef struct {
    imx_children_who_t who;
    uint32_t slot; /* its row, or NOBODY */
} imx_children_self_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_children_size(uint32_t rows);
void imx_children_format(imx_children_t *c, void *base, uint32_t rows);

/* Any: who is the process with this pid; which pid somebody has. */
imx_children_who_t imx_children_who(const imx_children_t *c, pid_t pid);
pid_t imx_children_pid(imx_children_who_t who);

/*
 * Any: can no thread of that process run any more?  A zombie without other
 * threads is gone, also when nobody reaps it.  Where /proc cannot be read, only
 * a pid that does not exist is gone.  Nonsense is gone.
 */
int imx_children_is_gone(const imx_children_t *c, imx_children_who_t who);

/* A process, before its threads: takes a row.  Returns 0, or -1 when the table
 * is full; *self is filled in both cases. */
int imx_children_join(const imx_children_t *c, imx_children_self_t *self,
                      pid_t pid);

/* A process without a row: the table has none for it. */
imx_children_self_t imx_children_outsider(const imx_children_t *c, pid_t pid);

/* A child: its start is done (1), or httpd has told it to end (0).
 * Async-signal-safe. */
void imx_children_runs(const imx_children_t *c,
                       const imx_children_self_t *self, int runs);

/* Parent: had the child with this pid, which was reaped, started, and was it
 * not told to end?  Then it was killed.  Says so once. */
int imx_children_ran(const imx_children_t *c, pid_t pid);

/* A child: says that it is ending.  Returns whether it is the last one. */
int imx_children_leave(const imx_children_t *c,
                       const imx_children_self_t *self);

/* A child that left: is there still no living one that did not?  After a
 * graceful restart one can join when the last of the old ones has left. */
int imx_children_is_last(const imx_children_t *c);

/* Parent: the child with this pid was reaped.  Async-signal-safe. */
void imx_children_died(const imx_children_t *c, pid_t pid);

/* Any: rows whose process still exists, other than the caller's. */
unsigned imx_children_count(const imx_children_t *c);

/* Holder: who was in this row and is dead, or 0.  It is dead when the parent
 * has reaped it, and, if ask, when the kernel says so. */
imx_children_who_t imx_children_dead(const imx_children_t *c, uint32_t slot,
                                     int ask);

/* Holder: the row of that dead child is free. */
void imx_children_remove(const imx_children_t *c, uint32_t slot,
                         imx_children_who_t who);

/* Any: is somebody in this row? */
int imx_children_is_taken(const imx_children_t *c, uint32_t slot);

/* Any: who is in this row, or 0. */
imx_children_who_t imx_children_in(const imx_children_t *c, uint32_t slot);

/* Parent: a new configuration is in force; returns its number (from 1). */
uint32_t imx_children_new_epoch(imx_children_t *c);

/* Any: the number of the configuration that this process has.  It is inherited
 * at the fork, as the configuration is: when a child begins its work, the
 * parent may have the next one already. */
uint32_t imx_children_epoch(const imx_children_t *c);

/* Any: is a child of this epoch or a later one alive? */
int imx_children_has_since(const imx_children_t *c, uint32_t epoch);

#endif
