/*
 * forking.c (unit) owns the tests of forking.c: a signal that comes while
 * fork() is at work is handled at its end, in either process.
 * The main thread, and one that only exists, so that fork() takes its locks.
 * Nothing survives a crash, and nothing needs to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/forking.h"

#define HANDLED 7
#define HANDLED_LATE 8
#define NOT_HELD 9
#define NOT_HANDLED 10

static struct {
    int signal;         /* to be sent; 0: none */
    int in_copy;        /* 1: to the copy by itself, 0: to who forks */
    int was_held;       /* in who forks: it was still pending in fork() */
    volatile int times; /* in who forks: how often it was handled */
} t;
static pid_t self;

static int is_pending(int signal)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, signal);
}

static int is_blocked(int signal)
{
    sigset_t blocked;

    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    return sigismember(&blocked, signal);
}

/* These are registered before those of forking.c: the first of them runs after
 * forking.c's, and the other two before. */
static void before_fork(void)
{
    if (t.signal && !t.in_copy) {
        kill(getpid(), t.signal);
    }
}

static void in_parent(void)
{
    t.was_held = t.signal && is_pending(t.signal);
}

static void in_copy(void)
{
    if (t.signal && t.in_copy) {
        kill(getpid(), t.signal);
        if (!is_pending(t.signal)) {
            _exit(NOT_HELD);
        }
    }
}

static void handle(int signal)
{
    (void)signal;
    if (getpid() != self) {
        _exit(imx_forking_is_under_way() ? HANDLED : HANDLED_LATE);
    }
    t.times += imx_forking_is_under_way();
}

static int status_of(pid_t pid)
{
    int status;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static pid_t fork_with(int signal, int is_for_copy)
{
    pid_t pid;

    t.signal = signal;
    t.in_copy = is_for_copy;
    t.was_held = t.times = 0;
    pid = fork();
    if (pid == 0) {
        _exit(is_blocked(SIGTERM) || is_blocked(SIGHUP) ? 1 : NOT_HANDLED);
    }
    assert_false(imx_forking_is_under_way());
    return pid;
}

static const int deadly[] = { SIGTERM, SIGHUP };

static void the_copy_handles_it_at_the_end_of_fork(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    return; /* ThreadSanitizer keeps signals from what comes of a fork() */
#endif
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(status_of(fork_with(deadly[i], 1)), HANDLED);
        assert_false(is_blocked(deadly[i]));
    }
}

static void who_forks_handles_it_at_the_end_of_fork(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(status_of(fork_with(deadly[i], 0)), NOT_HANDLED);
        assert_true(t.was_held);
        assert_int_equal(t.times, 1);
        assert_false(is_blocked(deadly[i]));
    }
}

/* What a thread blocked before is blocked after it; a program that is executed
 * has that mask. */
static void the_mask_is_what_it_was(void **state)
{
    sigset_t term;

    (void)state;
    assert_int_equal(status_of(fork_with(0, 0)), NOT_HANDLED);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    assert_int_equal(status_of(fork_with(0, 0)), 1);
    assert_true(is_blocked(SIGTERM));
    assert_false(is_blocked(SIGHUP));
    pthread_sigmask(SIG_UNBLOCK, &term, NULL);
}

static void *exist(void *data)
{
    for (;;) {
        pause();
    }
    return data;
}

/* It takes no signal. */
static void start_thread(void)
{
    sigset_t all, was;
    pthread_t id;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    assert_int_equal(pthread_create(&id, NULL, exist, NULL), 0);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
}

static int set_up(void **state)
{
    (void)state;
    self = getpid();
    signal(SIGTERM, handle);
    signal(SIGHUP, handle);
    start_thread();
    return pthread_atfork(before_fork, in_parent, in_copy) != 0
           || imx_forking_hold_signals() != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_copy_handles_it_at_the_end_of_fork),
        cmocka_unit_test(who_forks_handles_it_at_the_end_of_fork),
        cmocka_unit_test(the_mask_is_what_it_was),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("forking", tests, set_up, NULL);
}
