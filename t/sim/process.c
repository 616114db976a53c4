/*
 * process.c owns the simulated processes and how they die (see process.h).
 * One thread enters it.
 * Nothing survives a seed.
 */
#include "process.h"

#include "chance.h"
#include "disk.h"
#include "ledger.h"
#include "sched.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES 512
#define NAMES 128

static sim_process_t processes[PROCESSES];
static int process_count;
static pid_t next_pid;
static process_death_fn on_death;
static const char *names[NAMES];
static size_t name_count;
static uint64_t seeds; /* that there were */
static uint64_t switches, poor;
static uint64_t until_switch; /* points */

static struct {
    const char *name;
    int64_t after;
    void (*run)(void *data);
    void *data;
} trap;

/* ---- memory ---- */

/* In front of each block; it keeps what follows aligned. */
typedef struct heap_block {
    struct heap_block *next, *last;
    struct sim_process *process;
    size_t size;
} heap_block_t;

static void heap_link(sim_process_t *p, heap_block_t *b, size_t size)
{
    b->process = p;
    b->size = size;
    b->next = p->heap;
    b->last = NULL;
    if (p->heap != NULL) {
        p->heap->last = b;
    }
    p->heap = b;
    p->heap_blocks++;
}

static void heap_unlink(heap_block_t *b)
{
    sim_process_t *p = b->process;

    if (b->next != NULL) {
        b->next->last = b->last;
    }
    if (b->last != NULL) {
        b->last->next = b->next;
    }
    else {
        p->heap = b->next;
    }
    p->heap_blocks--;
}

/* Memory of the module's code belongs to a process, and dies with it. */
static int is_short(void)
{
    if (poor == 0 || !chance_one_in(poor)) {
        return 0;
    }
    errno = ENOMEM;
    return 1;
}

void *sim_malloc(size_t size);
void *sim_malloc(size_t size)
{
    heap_block_t *b;

    process_point("malloc");
    if (is_short()) {
        return NULL;
    }
    b = malloc(sizeof *b + size);
    if (b == NULL) {
        abort();
    }
    /* Nobody may rely on what is in it. */
    memset(b + 1, 0xA5, size < 4096 ? size : 4096);
    heap_link(process_self(), b, size);
    return b + 1;
}

void *sim_calloc(size_t n, size_t size);
void *sim_calloc(size_t n, size_t size)
{
    heap_block_t *b;

    if (is_short()) {
        return NULL;
    }
    b = calloc(1, sizeof *b + n * size);
    if (b == NULL) {
        abort();
    }
    heap_link(process_self(), b, n * size);
    return b + 1;
}

void sim_free(void *p);
void sim_free(void *p)
{
    if (p != NULL) {
        heap_block_t *b = (heap_block_t *)p - 1;

        heap_unlink(b);
        free(b);
    }
}

void *sim_realloc(void *p, size_t size);
void *sim_realloc(void *p, size_t size)
{
    void *larger = sim_malloc(size);
    size_t old = p ? ((heap_block_t *)p - 1)->size : 0;

    if (larger == NULL) {
        return NULL;
    }
    if (old > 0) {
        memcpy(larger, p, old < size ? old : size);
    }
    sim_free(p);
    return larger;
}

char *sim_strdup(const char *s);
char *sim_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = sim_malloc(n);

    return copy != NULL ? memcpy(copy, s, n) : NULL;
}

static void heap_free_all(sim_process_t *p)
{
    while (p->heap != NULL) {
        heap_block_t *b = p->heap;

        heap_unlink(b);
        free(b);
    }
}

/* ---- descriptors ---- */

process_fd_t *process_open(fd_kind_e kind, int *fd)
{
    sim_process_t *p = process_self();
    int i;

    for (i = 3; i < PROCESS_FDS; i++) {
        if (p->fds[i].kind == SIM_FD_FREE) {
            memset(&p->fds[i], 0, sizeof p->fds[i]);
            p->fds[i].kind = kind;
            *fd = i;
            return &p->fds[i];
        }
    }
    errno = EMFILE;
    return NULL;
}

process_fd_t *process_fd(int fd, fd_kind_e kind)
{
    sim_process_t *p = process_self();

    if (fd < 0 || fd >= PROCESS_FDS || p->fds[fd].kind == SIM_FD_FREE) {
        if (fd >= 0) { /* it may have become somebody else's */
            trace_wrong("descriptor %d is used, which is not open", fd);
        }
        errno = EBADF;
        return NULL;
    }
    if (p->fds[fd].kind != kind) {
        errno = EINVAL;
        return NULL;
    }
    return &p->fds[fd];
}

void process_close(process_fd_t *d)
{
    if (d->kind == SIM_FD_FILE) {
        disk_let_go(d);
    }
    d->kind = SIM_FD_FREE;
}

/* ---- life and death ---- */

static void clear(sim_process_t *p)
{
    int i;

    for (i = 0; i < PROCESS_FDS; i++) {
        if (p->fds[i].kind != SIM_FD_FREE) {
            process_close(&p->fds[i]);
        }
    }
    heap_free_all(p);
    p->mutex_held = NULL;
}

void process_reset(process_death_fn death)
{
    int i;

    for (i = 0; i < process_count; i++) {
        clear(&processes[i]);
    }
    memset(processes, 0, (size_t)process_count * sizeof *processes);
    process_count = 0;
    next_pid = 1000;
    on_death = death;
    name_count = 0;
    seeds++;
    until_switch = 0;
    switches = 50;
    poor = 0;
    trap.name = NULL;
}

void process_set_memory(uint64_t one_in)
{
    poor = one_in;
}

void process_trap(const char *name, int64_t n, void (*run)(void *data),
                  void *data)
{
    trap.name = name;
    trap.after = n;
    trap.run = run;
    trap.data = data;
}

static int is_trapped(const char *name)
{
    return trap.name != NULL && strcmp(trap.name, name) == 0
           && trap.after-- == 0;
}

void process_set_switches(uint64_t one_in)
{
    switches = one_in;
}

/* Now and then a pid is used again that somebody dead has had. */
static pid_t new_pid(void)
{
    int i;

    for (i = 0; i < process_count && chance_percent(30); i++) {
        sim_process_t *p = &processes[i];

        if (p->state == SIM_GONE && process_find(p->pid) == NULL
            && p->born / (10 * SIM_MS) != sched_now() / (10 * SIM_MS)) {
            return p->pid;
        }
    }
    return next_pid++;
}

sim_process_t *process_make(const char *role, void (*run)(void *data),
                            void *data)
{
    sim_process_t *p = &processes[process_count];

    if (process_count == PROCESSES) {
        fprintf(stderr, "simulation: too many processes\n");
        abort();
    }
    memset(p, 0, sizeof *p);
    p->pid = new_pid();
    p->born = sched_now();
    p->state = SIM_RUNS;
    p->role = role;
    p->number = process_count++;
    p->kill_after = -1;
    trace_tell("%s %d begins (pid %d)", role, p->number, (int)p->pid);
    sched_spawn(p, "main", run, data, chance_between(0, 3) * SIM_MS);
    return p;
}

void process_reap(sim_process_t *p)
{
    if (p->state == SIM_ZOMBIE) {
        p->state = SIM_GONE;
    }
}

sim_process_t *process_find(pid_t pid)
{
    int i;

    for (i = process_count - 1; i >= 0; i--) {
        if (processes[i].pid == pid && processes[i].state != SIM_GONE) {
            return &processes[i];
        }
    }
    return NULL;
}

sim_process_t *process_self(void)
{
    return sched_process();
}

void process_kill(sim_process_t *p)
{
    if (p->state != SIM_RUNS) {
        return;
    }
    p->state = SIM_ZOMBIE;
    p->was_killed = 1;
    on_death(p);
    clear(p);
    sched_end_tasks(p);
}

void process_exit(void)
{
    sim_process_t *p = process_self();
    int tasks = sched_tasks(p);

    trace_tell("%s %d ends", p->role, p->number);
    if (p->heap_blocks > 0 && tasks == 1) {
        trace_wrong("%s %d leaves %zu blocks of memory behind", p->role,
                    p->number, p->heap_blocks);
    }
    p->state = SIM_ZOMBIE;
    on_death(p);
    clear(p);
    sched_end_tasks(p);
    abort();
}

void process_doom(sim_process_t *p, const char *name, int64_t points)
{
    snprintf(p->doomed, sizeof p->doomed, "%s", name);
    p->kill_after = points;
}

/* ---- points ---- */

static void note_name(const char *name)
{
    static struct {
        const char *name;
        uint64_t seed;
    } seen[256]; /* most calls end here */
    size_t i = ((uintptr_t)name >> 2 ^ (uintptr_t)name >> 10) % 256;

    if (seen[i].name == name && seen[i].seed == seeds) {
        return;
    }
    seen[i].name = name;
    seen[i].seed = seeds;
    for (i = 0; i < name_count; i++) {
        if (names[i] == name) {
            return;
        }
    }
    if (name_count < NAMES) {
        names[name_count++] = name;
    }
}

const char *process_point_name(size_t i)
{
    return names[i];
}

size_t process_point_names(void)
{
    return name_count;
}

static void spring(sim_process_t *p)
{
    trace_tell("%s %d is killed at \"%s\"", p->role, p->number, trap.name);
    trap.name = NULL;
    if (trap.run != NULL) {
        sched_at(sched_now(), trap.run, trap.data);
    }
    process_kill(p);
}

void process_point(const char *name)
{
    sim_process_t *p = process_self();

    if (p == NULL) {
        return;
    }
    p->points++;
    sched_spend(300);
    note_name(name);
    trace_count_point();
    if (p->kill_after >= 0
        && (p->doomed[0] == '\0' || strcmp(p->doomed, name) == 0)
        && p->kill_after-- == 0) {
        trace_tell("%s %d is killed at \"%s\"", p->role, p->number, name);
        process_kill(p);
    }
    if (p->may_die && is_trapped(name)) {
        spring(p);
    }
    if (until_switch-- == 0) {
        until_switch = chance_below(2 * switches);
        sched_sleep(chance_scale(SIM_US, 3 * SIM_MS));
    }
}
