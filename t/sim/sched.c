/*
 * sched.c owns virtual time and who runs in it (see sched.h).
 * One thread enters it; its tasks take turns on stacks of their own.
 * Nothing survives a seed but the stacks, which are used again.
 */
#define _GNU_SOURCE
#include "sched.h"

#include "chance.h"

#include <errno.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define TASKS 256
#define STACK_BYTES (256 * 1024)
#define PAGE 4096

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(save, bottom, size) \
    ((void)(save), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(save, bottom, size) \
    ((void)(save), (void)(bottom), (void)(size))
#endif

typedef struct {
    int used, is_call; /* a call has no stack */
    int number;        /* of all that there were, from 1 */
    int64_t at;        /* when it goes on */
    uint64_t order;    /* of those at one time, by chance */
    const void *event; /* what it waits for, NULL: time only */
    int woken;
    struct sim_process *process;
    const char *name;
    void (*run)(void *data);
    void *data;
    char *stack; /* kept when the task has ended */
    int saved_errno;
    void *fake_stack; /* the sanitizer's */
    ucontext_t context;
} task_t;

static task_t tasks[TASKS];
static int task_count; /* none is used from here on */
static int numbers;
static ucontext_t own; /* the one who calls sched_step() */
static const void *own_bottom;
static size_t own_size;
static task_t *running;
static int64_t now_ns;
static uint64_t hash, steps;

void sched_reset(int64_t now)
{
    int i;

    for (i = 0; i < task_count; i++) {
        tasks[i].used = 0;
    }
    task_count = 0;
    numbers = 0;
    running = NULL;
    now_ns = now;
    hash = UINT64_C(0xCBF29CE484222325);
    steps = 0;
}

int64_t sched_now(void)
{
    return now_ns;
}

void sched_spend(int64_t ns)
{
    now_ns += ns;
}

uint64_t sched_hash(void)
{
    return hash;
}

void sched_mix(uint64_t what)
{
    hash = (hash ^ what) * UINT64_C(0x100000001B3);
    hash ^= hash >> 29;
}

uint64_t sched_steps(void)
{
    return steps;
}

struct sim_process *sched_process(void)
{
    return running ? running->process : NULL;
}

const char *sched_name(void)
{
    return running ? running->name : "world";
}

static task_t *free_task(void)
{
    int i = 0;

    while (i < task_count && tasks[i].used) {
        i++;
    }
    if (i == TASKS) {
        fprintf(stderr, "simulation: more than %d tasks\n", TASKS);
        abort();
    }
    if (i == task_count) {
        task_count++;
    }
    return &tasks[i];
}

static task_t *new_task(struct sim_process *process, const char *name,
                        void (*run)(void *data), void *data, int64_t at)
{
    task_t *t = free_task();
    char *stack = t->stack;

    memset(t, 0, offsetof(task_t, context));
    t->stack = stack;
    t->used = 1;
    t->number = ++numbers;
    t->at = at;
    t->order = chance_bits();
    t->process = process;
    t->name = name;
    t->run = run;
    t->data = data;
    return t;
}

/* The lowest page is no memory: a stack that is too small is seen at once. */
static char *make_stack(void)
{
    char *p = mmap(NULL, STACK_BYTES + PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED || mprotect(p, PAGE, PROT_NONE) != 0) {
        perror("simulation: a stack");
        abort();
    }
    return p + PAGE;
}

__attribute__((noreturn)) static void to_scheduler(task_t *t)
{
    (void)t;
    __sanitizer_start_switch_fiber(NULL, own_bottom, own_size);
    setcontext(&own);
    abort();
}

static void begin(void)
{
    task_t *t = running;

    __sanitizer_finish_switch_fiber(NULL, &own_bottom, &own_size);
    t->run(t->data);
    t->used = 0;
    to_scheduler(t);
}

int sched_spawn(struct sim_process *process, const char *name,
                void (*run)(void *data), void *data, int64_t delay)
{
    task_t *t = new_task(process, name, run, data, now_ns + delay);

    if (t->stack == NULL) {
        t->stack = make_stack();
    }
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(t->stack, STACK_BYTES);
#endif
    getcontext(&t->context);
    t->context.uc_stack.ss_sp = t->stack;
    t->context.uc_stack.ss_size = STACK_BYTES;
    t->context.uc_link = NULL;
    makecontext(&t->context, begin, 0);
    return t->number;
}

void sched_at(int64_t time, void (*run)(void *data), void *data)
{
    new_task(NULL, "call", run, data, time)->is_call = 1;
}

static void leave_processor(void)
{
    task_t *t = running;

    t->order = chance_bits();
    t->saved_errno = errno;
    __sanitizer_start_switch_fiber(&t->fake_stack, own_bottom, own_size);
    swapcontext(&t->context, &own);
    __sanitizer_finish_switch_fiber(t->fake_stack, &own_bottom, &own_size);
    errno = t->saved_errno;
}

void sched_sleep(int64_t ns)
{
    running->at = now_ns + ns;
    running->event = NULL;
    leave_processor();
}

int sched_wait(const void *event, int64_t deadline)
{
    task_t *t = running;

    t->at = deadline;
    t->event = event;
    t->woken = 0;
    leave_processor();
    t->event = NULL;
    return t->woken;
}

void sched_wake(const void *event)
{
    int i;

    for (i = 0; i < task_count; i++) {
        task_t *t = &tasks[i];

        if (t->used && t->event == event && !t->woken) {
            t->woken = 1;
            t->at = now_ns + chance_between(1, 30) * SIM_US;
        }
    }
}

void sched_end_tasks(struct sim_process *process)
{
    int i;

    for (i = 0; i < task_count; i++) {
        if (tasks[i].process == process) {
            tasks[i].used = 0;
        }
    }
    if (running != NULL && running->process == process) {
        to_scheduler(running);
    }
}

void sched_freeze(struct sim_process *process, int64_t ns)
{
    int i;

    for (i = 0; i < task_count; i++) {
        if (tasks[i].used && tasks[i].process == process
            && tasks[i].at < now_ns + ns) {
            tasks[i].at = now_ns + ns;
        }
    }
}

int sched_tasks(const struct sim_process *process)
{
    int i, n = 0;

    for (i = 0; i < task_count; i++) {
        n += tasks[i].used && tasks[i].process == process;
    }
    return n;
}

int sched_is_alive(int t)
{
    int i;

    for (i = 0; i < task_count; i++) {
        if (tasks[i].used && tasks[i].number == t) {
            return 1;
        }
    }
    return 0;
}

int sched_self(void)
{
    return running ? running->number : 0;
}

static task_t *next_task(void)
{
    task_t *next = NULL;
    int i;

    for (i = 0; i < task_count; i++) {
        task_t *t = &tasks[i];

        if (t->used
            && (next == NULL || t->at < next->at
                || (t->at == next->at && t->order < next->order))) {
            next = t;
        }
    }
    return next;
}

int sched_step(void)
{
    task_t *t = next_task();

    if (t == NULL || t->at == SIM_NEVER) {
        return 0;
    }
    if (t->at > now_ns) {
        now_ns = t->at;
    }
    steps++;
    sched_mix((uint64_t)now_ns);
    sched_mix((uint64_t)(t - tasks));
    running = t;
    if (t->is_call) {
        running = NULL;
        t->used = 0;
        t->run(t->data);
    }
    else {
        void *fake = NULL;

        __sanitizer_start_switch_fiber(&fake, t->stack, STACK_BYTES);
        swapcontext(&own, &t->context);
        __sanitizer_finish_switch_fiber(fake, NULL, NULL);
    }
    running = NULL;
    return 1;
}

void sched_give_up(void)
{
    to_scheduler(running);
}
