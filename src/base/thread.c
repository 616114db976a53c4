/*
 * thread.c owns the life of one background thread (see thread.h).
 * Its owner and the thread enter it; the stop also a signal handler, so it
 * only stores, writes to an eventfd, and sleeps.
 * Nothing here survives the process.
 */
#define _GNU_SOURCE /* syscall() */
#include "base/thread.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 2 /* between two looks whether the thread has ended */
#define SLICE UINT64_C(10000000) /* ns; what others have is 3 ms or less */

int imx_thread_init(imx_thread_t *t)
{
    memset(t, 0, sizeof *t);
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return t->wake_fd >= 0 ? 0 : errno;
}

static void *begin(void *thread)
{
    imx_thread_t *t = thread;

    atomic_store(&t->tid, (int)syscall(SYS_gettid));
    t->run(t->data);
    atomic_store(&t->done, 1);
    return NULL;
}

int imx_thread_start(imx_thread_t *t, void (*run)(void *data), void *data)
{
    pthread_attr_t attr;
    pthread_t id;
    int rv = pthread_attr_init(&attr);

    if (rv != 0) {
        return rv;
    }
    t->run = run;
    t->data = data;
    pthread_attr_setstacksize(&attr, IMX_THREAD_STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rv = pthread_create(&id, &attr, begin, t);
    pthread_attr_destroy(&attr);
    t->started = rv == 0;
    return rv;
}

void imx_thread_wake(imx_thread_t *t)
{
    const uint64_t one = 1;
    int saved = errno;

    /* EAGAIN: it has been woken often enough. */
    if (write(t->wake_fd, &one, sizeof one) < 0) {
        errno = saved;
    }
}

int imx_thread_wake_fd(const imx_thread_t *t)
{
    return t->wake_fd;
}

void imx_thread_woken(imx_thread_t *t)
{
    uint64_t times;

    if (read(t->wake_fd, &times, sizeof times) < 0) {
        return; /* EAGAIN: it was the wait's time that ended */
    }
}

void imx_thread_wait(imx_thread_t *t, int ms)
{
    struct pollfd wake = { .fd = t->wake_fd, .events = POLLIN };

    if (poll(&wake, 1, ms) > 0) {
        imx_thread_woken(t);
    }
}

/* The kernel's, which libc may not have. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/*
 * SCHED_BATCH does not preempt others when it wakes up.  And since Linux 6.12 a
 * thread with a longer slice is preempted by those with a shorter one as soon
 * as these wake up, where it would otherwise go on for some milliseconds.
 * A lower priority would do less for that, and on a busy server take away what
 * delivery needs; nor can an ordinary user take it back.  SCHED_IDLE would keep
 * the thread off a busy processor for seconds.
 */
static int give_way(void)
{
    struct attributes a = { .size = sizeof a,
                            .policy = SCHED_BATCH,
                            .nice = getpriority(PRIO_PROCESS, 0),
                            .runtime = SLICE };

    return sched_getscheduler(0) == SCHED_OTHER
           && syscall(SYS_sched_setattr, 0, &a, 0) == 0;
}

/* Tries it in a process of its own, which the filter may kill. */
static int survives(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        give_way();
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && status == 0;
}

/*
 * A filter of system calls (SystemCallFilter=~@resources in a unit of systemd)
 * can kill the whole process for one that is only a favour.  With a filter it
 * is found out once, before it is asked for here.
 */
int imx_thread_may_give_way(void)
{
    enum { NOT_KNOWN, NO, YES };
    static _Atomic int may;

    if (atomic_load(&may) == NOT_KNOWN) {
        int is_filtered = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) > 0;

        atomic_store(&may, !is_filtered || survives() ? YES : NO);
    }
    return atomic_load(&may) == YES;
}

void imx_thread_give_way(void)
{
    if (imx_thread_may_give_way()) {
        give_way();
    }
}

void imx_thread_leave(imx_thread_t *t)
{
    atomic_store(&t->leave, 1);
}

int imx_thread_is_to_leave(const imx_thread_t *t)
{
    return atomic_load(&t->leave);
}

void imx_thread_tell_to_stop(imx_thread_t *t)
{
    atomic_store(&t->stop, 1);
    imx_thread_wake(t);
}

int imx_thread_is_to_stop(const imx_thread_t *t)
{
    return atomic_load(&t->stop);
}

/*
 * After `done` the thread still has a few instructions of ours to run, and then
 * libc's.  Signal 0 is sent to nobody: the kernel only says whether there is
 * such a thread in this process.
 */
static int has_ended(const imx_thread_t *t)
{
    return !t->started
           || (atomic_load(&t->done)
               && syscall(SYS_tgkill, getpid(), atomic_load(&t->tid), 0) != 0);
}

int imx_thread_stop(imx_thread_t *t, int ms)
{
    int64_t deadline = imx_clock_now() + ms * IMX_CLOCK_MS;
    int saved = errno, ended;

    imx_thread_tell_to_stop(t);
    while (!(ended = has_ended(t)) && imx_clock_now() < deadline) {
        imx_clock_pause(LOOK_MS);
    }
    errno = saved;
    return ended;
}

void imx_thread_destroy(imx_thread_t *t)
{
    if (t->wake_fd >= 0) {
        close(t->wake_fd);
        t->wake_fd = -1;
    }
}
