/*
 * aside.c owns one call that may hang, on a thread of its own (see aside.h).
 * Entered by the thread that starts the call, and by the call's own thread.
 * Nothing survives the process.
 */
#include "base/aside.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/stay.h"

/* Bytes: libc's resolver wants 64 KB of it, and a database's library that also
 * begins TLS more.  It is address space; what is used of it is memory. */
#define STACK (512 * 1024)

struct imx_aside {
    imx_aside_fn run, drop;
    void *data; /* NULL once it was taken */
    int fd;     /* an eventfd */
    _Atomic int done;
    _Atomic int owners; /* the starter and the thread */
};

static void let_go(imx_aside_t *a)
{
    if (--a->owners > 0) {
        return;
    }
    if (a->data) {
        a->drop(a->data);
    }
    close(a->fd);
    free(a);
}

static void *thread_main(void *arg)
{
    imx_aside_t *a = arg;
    uint64_t one = 1;

    a->run(a->data);
    a->done = 1;
    while (write(a->fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    let_go(a);
    return NULL;
}

/*
 * The thread of a call that hangs may go on when httpd has unloaded the module
 * already, at the end of a process.  So this code stays where it is.
 */
static void keep_code(void)
{
    imx_stay_loaded((const void *)(uintptr_t)keep_code);
}

static int start_thread(imx_aside_t *a)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int rv;

    if (pthread_attr_init(&attributes)) {
        return ENOMEM;
    }
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(&thread, &attributes, thread_main, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return rv;
}

imx_aside_t *imx_aside_start(imx_aside_fn run, imx_aside_fn drop, void *data)
{
    static pthread_once_t kept = PTHREAD_ONCE_INIT;
    imx_aside_t *a = calloc(1, sizeof(*a));

    if (!a) {
        return NULL;
    }
    pthread_once(&kept, keep_code);
    a->run = run;
    a->drop = drop;
    a->data = data;
    a->owners = 2;
    a->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->fd < 0 || start_thread(a)) {
        if (a->fd >= 0) {
            close(a->fd);
        }
        free(a);
        return NULL;
    }
    return a;
}

int imx_aside_fd(const imx_aside_t *a)
{
    return a->fd;
}

int imx_aside_wait(imx_aside_t *a, int ms)
{
    int64_t end = imx_clock_now() + ms * IMX_CLOCK_MS;
    struct pollfd p = { a->fd, POLLIN, 0 };

    while (!a->done && ms > 0) {
        poll(&p, 1, ms);
        ms = (int)((end - imx_clock_now()) / IMX_CLOCK_MS);
    }
    return a->done;
}

void *imx_aside_take(imx_aside_t *a)
{
    void *data = a->data;

    a->data = NULL;
    let_go(a);
    return data;
}

void imx_aside_abandon(imx_aside_t *a)
{
    if (a) {
        let_go(a);
    }
}
