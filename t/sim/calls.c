/*
 * calls.c owns what the module's code gets when it asks the kernel for the
 * time, for a thread, for a wait, or about a process.  Files are in files.c.
 * Entered by the tasks of simulated processes.
 * Nothing survives a seed.
 */
#define _GNU_SOURCE
#include "calls.h"

#include "chance.h"
#include "ledger.h"
#include "process.h"
#include "sched.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t real_offset;

void calls_set_real_time(int64_t offset)
{
    real_offset = offset;
}

int64_t calls_real_time(void)
{
    return sched_now() + real_offset;
}

/* ---- time ---- */

int sim_clock_gettime(clockid_t clock, struct timespec *t)
{
    int64_t ns = sched_now();

    sched_spend(50);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        ns += real_offset;
    }
    t->tv_sec = ns / SIM_SECOND;
    t->tv_nsec = ns % SIM_SECOND;
    return 0;
}

int sim_nanosleep(const struct timespec *t, struct timespec *left)
{
    process_point("nanosleep");
    (void)left;
    sched_sleep(
        t->tv_sec * SIM_SECOND + t->tv_nsec + chance_between(1, 60) * SIM_US);
    return 0;
}

int sim_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
                        struct timespec *left)
{
    int64_t ns = t->tv_sec * SIM_SECOND + t->tv_nsec;

    if (clock == CLOCK_REALTIME && (flags & TIMER_ABSTIME)) {
        ns -= real_offset;
    }
    process_point("clock_nanosleep");
    (void)left;
    ns = flags & TIMER_ABSTIME ? ns - sched_now() : ns;
    sched_sleep((ns > 0 ? ns : 0) + chance_between(1, 60) * SIM_US);
    return 0;
}

int sim_usleep(useconds_t us)
{
    process_point("usleep");
    sched_sleep(us * SIM_US);
    return 0;
}

/* ---- waiting for descriptors ---- */

int sim_eventfd(unsigned int count, int flags)
{
    process_fd_t *d;
    int fd;

    process_point("eventfd");
    (void)flags;
    d = process_open(SIM_FD_EVENT, &fd);
    if (d == NULL) {
        return -1;
    }
    d->count = count;
    return fd;
}

int calls_is_readable(int fd)
{
    process_fd_t *d = fd >= 0 ? process_fd(fd, SIM_FD_EVENT) : NULL;

    return d != NULL && d->count > 0;
}

ssize_t calls_read_event(process_fd_t *d, void *to, size_t size)
{
    if (size < sizeof d->count) {
        errno = EINVAL;
        return -1;
    }
    if (d->count == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(to, &d->count, sizeof d->count);
    d->count = 0;
    return sizeof d->count;
}

ssize_t calls_write_event(process_fd_t *d, const void *from, size_t size)
{
    uint64_t n;

    if (size < sizeof n) {
        errno = EINVAL;
        return -1;
    }
    memcpy(&n, from, sizeof n);
    d->count += n;
    sched_wake(process_self());
    return sizeof n;
}

static int ready_count(struct pollfd *fds, nfds_t n)
{
    int ready = 0;
    nfds_t i;

    for (i = 0; i < n; i++) {
        fds[i].revents = 0;
        if (calls_is_readable(fds[i].fd)) {
            fds[i].revents = POLLIN;
            ready++;
        }
    }
    return ready;
}

int sim_poll(struct pollfd *fds, nfds_t n, int ms)
{
    int64_t deadline = ms < 0 ? SIM_NEVER : sched_now() + ms * SIM_MS;
    int ready;

    process_point("poll");
    while ((ready = ready_count(fds, n)) == 0 && sched_now() < deadline) {
        sched_wait(process_self(), deadline);
    }
    return ready;
}

/* ---- processes ---- */

pid_t sim_getpid(void)
{
    return process_self() ? process_self()->pid : 1;
}

uid_t sim_geteuid(void)
{
    return 33;
}

gid_t sim_getegid(void)
{
    return 33;
}

/* Nobody here is root. */
int sim_seteuid(uid_t user)
{
    errno = EPERM;
    return user == sim_geteuid() ? 0 : -1;
}

int sim_setegid(gid_t group)
{
    errno = EPERM;
    return group == sim_getegid() ? 0 : -1;
}

int sim_getrusage(int who, struct rusage *r)
{
    (void)who;
    memset(r, 0, sizeof *r);
    return 0;
}

int sim_getentropy(void *to, size_t size)
{
    unsigned char *p = to;

    for (; size > 0; size--) {
        *p++ = (unsigned char)chance_bits();
    }
    return 0;
}

int sim_kill(pid_t pid, int signal)
{
    process_point("kill");
    if (signal != 0) {
        trace_wrong("a signal is sent");
    }
    if (process_find(pid) == NULL) {
        errno = ESRCH;
        return -1;
    }
    return 0;
}

/* What /proc/PID/stat has; returns 0 when there is no such process. */
int calls_stat_text(pid_t pid, char *text, size_t size)
{
    sim_process_t *p = process_find(pid);

    if (p == NULL) {
        return 0;
    }
    snprintf(text, size,
             "%d (apache2 (1)) %c 1 1 1 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 %d 0 "
             "%lld 1000000 300 0\n",
             (int)pid, p->state == SIM_RUNS ? 'S' : 'Z',
             p->state == SIM_RUNS ? sched_tasks(p) : 1,
             (long long)(p->born / (10 * SIM_MS)));
    return 1;
}

long sim_syscall(long number, ...)
{
    va_list args;
    int tid;

    va_start(args, number);
    (void)va_arg(args, long);
    tid = (int)va_arg(args, long);
    va_end(args);
    switch (number) {
    case SYS_gettid:
        return sched_self();
    case SYS_tgkill:
        if (sched_is_alive(tid)) {
            return 0;
        }
        errno = ESRCH;
        return -1;
    default:
        errno = ENOSYS;
        return -1;
    }
}

/* A thread asks to give way to others: here nothing is faster for it, and no
 * filter of system calls is to be tried out. */
int sim_prctl(int option, ...)
{
    (void)option;
    return 0;
}

int sim_getpriority(int which, id_t who)
{
    (void)which;
    (void)who;
    return 0;
}

int sim_sched_getscheduler(pid_t pid)
{
    (void)pid;
    return 0;
}

pid_t sim_fork(void)
{
    errno = ENOSYS;
    return -1;
}

pid_t sim_waitpid(pid_t pid, int *status, int options)
{
    (void)pid;
    (void)status;
    (void)options;
    errno = ECHILD;
    return -1;
}

void sim__exit(int status)
{
    (void)status;
    abort();
}

long sim_sysconf(int name)
{
    return name == _SC_PAGESIZE ? 4096 : -1;
}

/* The arena is shared memory: what is removed reads as zeros. */
int sim_madvise(void *at, size_t size, int advice)
{
    process_point("madvise");
    if (advice != MADV_REMOVE || (uintptr_t)at % 4096 != 0) {
        errno = EINVAL;
        return -1;
    }
    memset(at, 0, size);
    return 0;
}

/* The simulation has an arena of its own memory. */
void *sim_mmap(void *at, size_t size, int access, int flags, int fd,
               off_t from)
{
    (void)at;
    (void)access;
    (void)flags;
    trace_wrong("memory is mapped: %zu bytes of %d from %lld", size, fd,
                (long long)from);
    errno = ENOMEM;
    return MAP_FAILED;
}

int sim_munmap(void *at, size_t size)
{
    trace_wrong("memory is unmapped: %zu bytes at %p", size, at);
    return 0;
}

/* ---- threads ---- */

typedef struct {
    void *(*run)(void *data);
    void *data;
} start_t;

static void run_thread(void *data)
{
    start_t *start = data;
    start_t copy = *start;

    sim_free(start);
    copy.run(copy.data);
}

int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                       void *(*run)(void *), void *data)
{
    start_t *start = sim_malloc(sizeof *start);

    (void)attr;
    if (start == NULL) {
        return EAGAIN;
    }
    start->run = run;
    start->data = data;
    *thread = (pthread_t)sched_spawn(process_self(), "thread", run_thread,
                                     start, chance_between(5, 500) * SIM_US);
    return 0;
}

int sim_pthread_attr_init(pthread_attr_t *attr)
{
    (void)attr;
    return 0;
}

int sim_pthread_attr_destroy(pthread_attr_t *attr)
{
    (void)attr;
    return 0;
}

int sim_pthread_attr_setstacksize(pthread_attr_t *attr, size_t size)
{
    (void)attr;
    (void)size;
    return 0;
}

int sim_pthread_attr_setdetachstate(pthread_attr_t *attr, int state)
{
    (void)attr;
    (void)state;
    return 0;
}

/* ---- mutexes: who has it stands in its own memory ---- */

typedef struct {
    int64_t owner; /* a task, 0: nobody */
    int64_t owner_process;
} mutex_t;

static int has_died(const mutex_t *m)
{
    return m->owner != 0 && !sched_is_alive((int)m->owner);
}

int sim_pthread_mutex_init(pthread_mutex_t *mutex,
                           const pthread_mutexattr_t *attr)
{
    (void)attr;
    memset(mutex, 0, sizeof *mutex);
    return 0;
}

int sim_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    (void)mutex;
    return 0;
}

int sim_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    mutex_t *m = (mutex_t *)mutex;
    int rv = has_died(m) ? EOWNERDEAD : 0;

    process_point("trylock");
    if (m->owner != 0 && !has_died(m)) {
        return EBUSY;
    }
    rv = has_died(m) ? EOWNERDEAD : 0;
    m->owner = sched_self();
    return rv;
}

int sim_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    mutex_t *m = (mutex_t *)mutex;

    process_point("lock");
    while (m->owner != 0 && !has_died(m)) {
        sched_wait(m, SIM_NEVER - 1);
    }
    m->owner = sched_self();
    return 0;
}

int sim_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    mutex_t *m = (mutex_t *)mutex;

    if (m->owner != sched_self()) {
        return EPERM;
    }
    m->owner = 0;
    sched_wake(m);
    process_point("unlocked");
    return 0;
}

int sim_pthread_mutex_consistent(pthread_mutex_t *mutex)
{
    (void)mutex;
    return 0;
}

int sim_pthread_mutexattr_init(pthread_mutexattr_t *attr)
{
    (void)attr;
    return 0;
}

int sim_pthread_mutexattr_destroy(pthread_mutexattr_t *attr)
{
    (void)attr;
    return 0;
}

int sim_pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int shared)
{
    (void)attr;
    (void)shared;
    return 0;
}

int sim_pthread_mutexattr_setrobust(pthread_mutexattr_t *attr, int robust)
{
    (void)attr;
    (void)robust;
    return 0;
}

/* ---- conditions, whose clock is the monotonic one ---- */

int sim_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
    (void)c;
    (void)attr;
    return 0;
}

int sim_pthread_cond_destroy(pthread_cond_t *c)
{
    (void)c;
    return 0;
}

int sim_pthread_cond_broadcast(pthread_cond_t *c)
{
    sched_wake(c);
    return 0;
}

int sim_pthread_cond_signal(pthread_cond_t *c)
{
    sched_wake(c);
    return 0;
}

int sim_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *mutex,
                               const struct timespec *until)
{
    int woken;

    ((mutex_t *)mutex)->owner = 0;
    sched_wake(mutex);
    woken = sched_wait(c, until->tv_sec * SIM_SECOND + until->tv_nsec);
    sim_pthread_mutex_lock(mutex);
    return woken ? 0 : ETIMEDOUT;
}

int sim_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *mutex)
{
    ((mutex_t *)mutex)->owner = 0;
    sched_wake(mutex);
    sched_wait(c, SIM_NEVER - 1);
    return sim_pthread_mutex_lock(mutex);
}
