/*
 * forking.c owns which signals wait while a thread forks (see forking.h).
 * Each thread that forks enters it, and a signal handler in such a thread.
 * Nothing here survives the process, but for the copy that fork() makes.
 */
#include "base/forking.h"

#include <pthread.h>
#include <signal.h>

static _Thread_local sigset_t before; /* what the thread blocked */
static _Thread_local volatile sig_atomic_t is_under_way;

/* Before fork() takes malloc's locks. */
static void begin(void)
{
    sigset_t deadly;

    sigemptyset(&deadly);
    sigaddset(&deadly, SIGTERM);
    sigaddset(&deadly, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &deadly, &before);
    is_under_way = 1;
}

/* In both processes, after it has given them back.  What has waited comes
 * within pthread_sigmask(). */
static void end(void)
{
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    is_under_way = 0;
}

int imx_forking_hold_signals(void)
{
    is_under_way = 0; /* takes the memory, which a handler cannot */
    return pthread_atfork(begin, end, end);
}

int imx_forking_is_under_way(void)
{
    return is_under_way;
}
