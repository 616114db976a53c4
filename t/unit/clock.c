/*
 * clock.c: preloaded into httpd by tools/soak.pl, makes its real clock go wrong
 * by as many ns as the file named in IMX_CLOCK says (8 bytes).  It takes no
 * lock, so a process may be killed anywhere (libfaketime's semaphores would
 * stay taken).  The monotonic clock is left alone, unless IMX_CLOCK_STEADY is
 * set: then that one goes wrong instead.  With IMX_CLOCK_TICK (ns) both move in
 * steps of that length.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define SHOWN __attribute__((visibility("default")))

static const _Atomic int64_t *off;
static int64_t tick;
static clockid_t which = CLOCK_REALTIME; /* goes wrong */

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("IMX_CLOCK");
    const char *text = getenv("IMX_CLOCK_TICK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *p;

    which = getenv("IMX_CLOCK_STEADY") ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    tick = text ? atoll(text) : 0;
    if (fd >= 0) {
        p = mmap(NULL, sizeof *off, PROT_READ, MAP_SHARED, fd, 0);
        off = p == MAP_FAILED ? NULL : p;
        close(fd);
    }
    /* cppcheck-suppress memleak ; it is mapped for as long as the process */
}

SHOWN int clock_gettime(clockid_t id, struct timespec *t)
{
    int rv = (int)syscall(SYS_clock_gettime, id, t);
    int64_t ns;

    if (rv == 0 && id == which && off != NULL) {
        ns = t->tv_sec * SECOND + t->tv_nsec + atomic_load(off);
        t->tv_sec = ns / SECOND;
        t->tv_nsec = ns % SECOND;
    }
    if (rv == 0 && tick > 0
        && (id == CLOCK_REALTIME || id == CLOCK_MONOTONIC)) {
        ns = t->tv_sec * SECOND + t->tv_nsec;
        ns -= ns % tick;
        t->tv_sec = ns / SECOND;
        t->tv_nsec = ns % SECOND;
    }
    return rv;
}

SHOWN int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

SHOWN time_t time(time_t *t)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (t != NULL) {
        *t = now.tv_sec;
    }
    return now.tv_sec;
}
