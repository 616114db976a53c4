/*
 * counting.c owns what is counted of each thread until its next system call,
 * and where all of it is summed (see counting.h).
 */
#define _GNU_SOURCE

#include "counting.h"

#include <dlfcn.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

_Thread_local int counting_is_off;

static counting_t *into; /* NULL: nothing is counted */
static _Thread_local uint64_t copied;

void counting_into(counting_t *sums)
{
    into = sums;
}

#define COUNTED __attribute__((visibility("default"))) /* libcurl sees it */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* ---- system calls ---- */

static void count_call(ssize_t sent)
{
    if (into != NULL && !counting_is_off) {
        into->calls++;
        if (sent > 0)
            into->sent += (uint64_t)sent;
        into->copied += copied;
    }
    copied = 0;
}

COUNTED ssize_t send(int fd, const void *data, size_t len, int flags)
{
    static __typeof__(&send) next;
    ssize_t n;

    next = next ? next : NEXT(send);
    n = next(fd, data, len, flags);
    count_call(n);
    return n;
}

COUNTED ssize_t recv(int fd, void *data, size_t len, int flags)
{
    static __typeof__(&recv) next;

    next = next ? next : NEXT(recv);
    count_call(0);
    return next(fd, data, len, flags);
}

COUNTED ssize_t read(int fd, void *data, size_t len)
{
    static __typeof__(&read) next;

    next = next ? next : NEXT(read);
    count_call(0);
    return next(fd, data, len);
}

COUNTED int poll(struct pollfd *fds, nfds_t n, int ms)
{
    static __typeof__(&poll) next;

    next = next ? next : NEXT(poll);
    count_call(0);
    return next(fds, n, ms);
}

/* ---- copies ---- */

typedef void *copy_t(void *to, const void *from, size_t len);

/* Until libc's are found.  Volatile: else the compiler would make a call of
 * memmove() of this, which is the one below. */
static void *slowly(void *to, const void *from, size_t len)
{
    volatile char *t = to;
    const volatile char *f = from;
    int is_behind = (uintptr_t)to > (uintptr_t)from;
    size_t i;

    for (i = 0; i < len; i++) {
        size_t at = is_behind ? len - 1 - i : i;

        t[at] = f[at];
    }
    return to;
}

static copy_t *next_copy = slowly, *next_move = slowly;

__attribute__((constructor)) static void find_copies(void)
{
    next_copy = NEXT(memcpy);
    next_move = NEXT(memmove);
}

COUNTED void *memcpy(void *to, const void *from, size_t len)
{
    copied += len;
    return next_copy(to, from, len);
}

COUNTED void *memmove(void *to, const void *from, size_t len)
{
    copied += len;
    return next_move(to, from, len);
}

/* What _FORTIFY_SOURCE makes of them; the size is looked at in the tests, not
 * here. */
COUNTED void *__memcpy_chk(void *to, const void *from, size_t len, size_t size)
{
    (void)size;
    return memcpy(to, from, len);
}

COUNTED void *__memmove_chk(void *to, const void *from, size_t len,
                            size_t size)
{
    (void)size;
    return memmove(to, from, len);
}
