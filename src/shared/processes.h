/*
 * processes.h: the figures of each child process, and of httpd's parent, in the
 * arena.
 *
 * Only a process itself may look at its open files, so each child's monitor
 * measures its own process and publishes that in the row of its slot.  The
 * holder, which writes the points, measures the parent, which has the last row.
 *
 * A row is a twin (twin.h): a child that is killed meanwhile leaves what it had
 * published before.  The figures begin with who they are of, so those of a
 * child that is gone are not taken for those of the next one in its slot.
 *
 * Threads: each row by one thread at a time, its child's monitor; the last one
 * by the holder.  Any thread of any process reads.
 */
#ifndef IMX_PROCESSES_H
#define IMX_PROCESSES_H

#include "shared/children.h"

#define IMX_PROCESSES_VERSION 2

/* What was used up to a moment; ns. */
typedef struct {
    int64_t at; /* of the monotonic clock; 0: not measured */
    int64_t cpu_user, cpu_system;
} imx_process_use_t;

/* A number that there is none of is -1.  All fields are of 64 bits. */
typedef struct {
    imx_children_who_t who;        /* 0: nothing was published */
    imx_process_use_t use, before; /* now, and at the measurement before */
    int64_t rss, max_rss;          /* bytes */
    int64_t threads, fds;
    int64_t started; /* ns of the monotonic clock; may be negative */
    /* What processes before it in this row had used; ns.  So the sum of both is
     * a counter that no new child sets back. */
    int64_t carried_user, carried_system;
} imx_process_t;

/* A process's own view, in its private memory. */
typedef struct {
    char *rows;        /* of twins */
    uint32_t children; /* rows of children; one more is the parent's */
} imx_processes_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_processes_size(uint32_t children);
void imx_processes_format(imx_processes_t *p, void *base, uint32_t children);

/* The process in slot (or the holder for slot == children, the parent's):
 * publishes its figures.  A slot that there is not changes nothing. */
void imx_processes_tell(const imx_processes_t *p, uint32_t slot,
                        const imx_process_t *process);

/* Any: what was published in slot; its who is 0 if nothing was.  Whatever
 * stands in the arena, sums and differences of the numbers do not overflow. */
imx_process_t imx_processes_told(const imx_processes_t *p, uint32_t slot);

/* Any: measures the process that calls; before: the row's last figures.
 * Without /proc only what the system call gives. */
imx_process_t imx_processes_measure(imx_children_who_t who,
                                    const imx_process_t *before, int64_t now);

/* Holder: measures another process, httpd's parent. */
imx_process_t imx_processes_measure_other(
    imx_children_who_t who, const imx_process_t *before, int64_t now);

#endif
