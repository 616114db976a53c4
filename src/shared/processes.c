/*
 * processes.c owns the rows with the figures of processes, and measures them.
 * Entered by each child's monitor, and by the holder.
 * What a process published survives it; a figure that it had not finished is
 * not seen.
 */
#include "shared/processes.h"

#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/proc.h"
#include "shared/twin.h"

#define WORDS (sizeof(imx_process_t) / sizeof(uint64_t))
_Static_assert(sizeof(imx_process_t) % sizeof(uint64_t) == 0
                   && offsetof(imx_process_t, use) == sizeof(uint64_t),
               "a row is copied by words, of which the first is who");
#define MOST (INT64_MAX / 4) /* of a number: 70 years in ns */

/* ---- the rows ---- */

size_t imx_processes_size(uint32_t children)
{
    return ((size_t)children + 1) * imx_twin_size(sizeof(imx_process_t));
}

void imx_processes_format(imx_processes_t *p, void *base, uint32_t children)
{
    p->rows = base;
    p->children = children;
}

static imx_twin_t *row_of(const imx_processes_t *p, uint32_t slot)
{
    return (
        imx_twin_t *)(p->rows + slot * imx_twin_size(sizeof(imx_process_t)));
}

void imx_processes_tell(const imx_processes_t *p, uint32_t slot,
                        const imx_process_t *process)
{
    if (slot <= p->children) {
        imx_twin_tell(row_of(p, slot), process, sizeof *process);
    }
}

/* In the arena a number is what anybody wrote there: between these bounds sums
 * and differences are numbers, too. */
static int64_t bounded(int64_t number)
{
    number = number > MOST ? MOST : number;
    return number < -MOST ? -MOST : number;
}

imx_process_t imx_processes_told(const imx_processes_t *p, uint32_t slot)
{
    imx_process_t process = { 0 };
    int64_t words[WORDS] = { 0 };
    size_t i;

    if (slot <= p->children) {
        imx_twin_told(row_of(p, slot), words, sizeof words);
    }
    for (i = 1; i < WORDS; i++) {
        words[i] = bounded(words[i]);
    }
    memcpy(&process, words, sizeof process);
    return process;
}

/* ---- measuring ---- */

#define SECOND INT64_C(1000000000)

static int64_t ns_of(struct timeval t)
{
    return (int64_t)t.tv_sec * SECOND + (int64_t)t.tv_usec * 1000;
}

/* Of numbers that can be nonsense. */
static int64_t sum(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static imx_process_t begin(imx_children_who_t who, const imx_process_t *before,
                           int64_t now)
{
    imx_process_t p = { .who = who,
                        .rss = -1,
                        .max_rss = -1,
                        .threads = -1,
                        .fds = -1,
                        .started = now };

    p.use.at = now;
    p.carried_user = before->carried_user;
    p.carried_system = before->carried_system;
    if (before->who == who) {
        p.before = before->use;
        p.started = before->started;
    }
    else {
        p.carried_user = sum(p.carried_user, before->use.cpu_user);
        p.carried_system = sum(p.carried_system, before->use.cpu_system);
    }
    return p;
}

static void take_stat(imx_process_t *p, const imx_proc_stat_t *s, int64_t now)
{
    int64_t age = imx_proc_age(s->started);

    p->rss = s->rss;
    p->threads = s->threads;
    if (age >= 0) {
        p->started = now - age;
    }
}

imx_process_t imx_processes_measure(imx_children_who_t who,
                                    const imx_process_t *before, int64_t now)
{
    imx_process_t p = begin(who, before, now);
    imx_proc_stat_t s;
    struct rusage r;

    if (getrusage(RUSAGE_SELF, &r) == 0) {
        p.use.cpu_user = ns_of(r.ru_utime);
        p.use.cpu_system = ns_of(r.ru_stime);
        p.max_rss = (int64_t)r.ru_maxrss * 1024;
    }
    p.fds = imx_proc_fds();
    if (imx_proc_stat(getpid(), &s) == 0) {
        take_stat(&p, &s, now);
    }
    return p;
}

imx_process_t imx_processes_measure_other(
    imx_children_who_t who, const imx_process_t *before, int64_t now)
{
    imx_process_t p = begin(who, before, now);
    imx_proc_stat_t s;

    if (imx_proc_stat(imx_children_pid(who), &s) != 0) {
        p.who = 0;
        p.carried_user = sum(before->carried_user, before->use.cpu_user);
        p.carried_system = sum(before->carried_system, before->use.cpu_system);
        return p;
    }
    p.use.cpu_user = s.cpu_user;
    p.use.cpu_system = s.cpu_system;
    take_stat(&p, &s, now);
    return p;
}
