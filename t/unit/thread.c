/*
 * t/unit/thread.c: the life of a background thread: start, wake, wait, stop
 * from another thread and from a signal handler.
 */
#define _GNU_SOURCE /* SCHED_BATCH */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 20000 /* for what must happen soon, on a busy machine */

static imx_thread_t thread;
static _Atomic int rounds, left, may_end;

static int until(_Atomic int *value, int least)
{
    int64_t deadline = imx_clock_now() + LIMIT_MS * IMX_CLOCK_MS;

    while (atomic_load(value) < least && imx_clock_now() < deadline) {
        imx_clock_pause(1);
    }
    return atomic_load(value) >= least;
}

/* Waits without a limit, so each round has been asked for. */
static void go_round(void *data)
{
    (void)data;
    while (!imx_thread_is_to_stop(&thread)) {
        atomic_fetch_add(&rounds, 1);
        imx_thread_wait(&thread, -1);
    }
    atomic_store(&left, imx_thread_is_to_leave(&thread));
}

static int make(void **state)
{
    (void)state;
    atomic_store(&rounds, 0);
    atomic_store(&left, -1);
    atomic_store(&may_end, 0);
    return imx_thread_init(&thread);
}

static int unmake(void **state)
{
    (void)state;
    imx_thread_destroy(&thread);
    return 0;
}

static void a_thread_waits_until_it_is_woken(void **state)
{
    int i;

    (void)state;
    assert_int_equal(imx_thread_start(&thread, go_round, NULL), 0);
    for (i = 1; i <= 20; i++) {
        assert_true(until(&rounds, i));
        imx_thread_wake(&thread);
    }
    assert_true(until(&rounds, i));
    imx_clock_pause(20);
    assert_int_equal(atomic_load(&rounds), i); /* it waits again */
    assert_int_equal(imx_thread_stop(&thread, LIMIT_MS), 1);
    assert_int_equal(atomic_load(&left), 0);
}

static void a_wake_before_the_wait_is_not_lost(void **state)
{
    int64_t began = imx_clock_now();

    (void)state;
    imx_thread_wake(&thread);
    imx_thread_wait(&thread, LIMIT_MS);
    assert_true(imx_clock_now() - began < LIMIT_MS / 2 * IMX_CLOCK_MS);
    began = imx_clock_now();
    imx_thread_wait(&thread, 30); /* and it counts once */
    assert_true(imx_clock_now() - began >= 29 * IMX_CLOCK_MS);
}

static void it_learns_that_it_is_to_leave(void **state)
{
    (void)state;
    assert_int_equal(imx_thread_start(&thread, go_round, NULL), 0);
    assert_true(until(&rounds, 1));
    imx_thread_leave(&thread);
    assert_int_equal(atomic_load(&left), -1); /* leave alone ends nothing */
    assert_int_equal(imx_thread_stop(&thread, LIMIT_MS), 1);
    assert_int_equal(atomic_load(&left), 1);
}

static void one_that_was_never_started_has_ended(void **state)
{
    (void)state;
    assert_int_equal(imx_thread_stop(&thread, 0), 1);
}

static void hang(void *data)
{
    (void)data;
    atomic_store(&rounds, 1);
    while (!atomic_load(&may_end)) {
        imx_clock_pause(1);
    }
}

static void one_that_hangs_is_not_waited_for_longer_than_asked(void **state)
{
    int64_t began;

    (void)state;
    assert_int_equal(imx_thread_start(&thread, hang, NULL), 0);
    assert_true(until(&rounds, 1));
    began = imx_clock_now();
    assert_int_equal(imx_thread_stop(&thread, 50), 0);
    assert_true(imx_clock_now() - began >= 50 * IMX_CLOCK_MS);
    atomic_store(&may_end, 1);
    assert_int_equal(imx_thread_stop(&thread, LIMIT_MS), 1);
}

/* Runs after the thread's function has returned, as the end of a real thread's
 * function in the module does: that code must not be unmapped yet. */
static void be_slow(void *value)
{
    (void)value;
    imx_clock_pause(200);
    atomic_store(&rounds, 2);
}

static pthread_key_t key;

static void end_slowly(void *data)
{
    (void)data;
    pthread_setspecific(key, &key);
    atomic_store(&rounds, 1);
}

static void it_has_ended_only_when_it_runs_nothing_any_more(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&key, be_slow), 0);
    assert_int_equal(imx_thread_start(&thread, end_slowly, NULL), 0);
    assert_true(until(&rounds, 1));
    assert_int_equal(imx_thread_stop(&thread, LIMIT_MS), 1);
    assert_int_equal(atomic_load(&rounds), 2);
    pthread_key_delete(key);
}

static volatile sig_atomic_t ended;

static void stop_it(int sig)
{
    (void)sig;
    ended = imx_thread_stop(&thread, LIMIT_MS);
}

static void it_can_be_stopped_in_a_signal_handler(void **state)
{
    struct sigaction action;

    (void)state;
    memset(&action, 0, sizeof action);
    action.sa_handler = stop_it;
    sigaction(SIGUSR1, &action, NULL);
    assert_int_equal(imx_thread_start(&thread, go_round, NULL), 0);
    assert_true(until(&rounds, 1));
    raise(SIGUSR1);
    assert_int_equal(ended, 1);
    signal(SIGUSR1, SIG_DFL);
}

static _Atomic int policy;

static void give_way(void *data)
{
    (void)data;
    imx_thread_give_way();
    atomic_store(&policy, sched_getscheduler(0));
}

/* It alone, and not the threads that serve requests. */
static void it_gives_way_to_others(void **state)
{
    int before = sched_getscheduler(0);

    (void)state;
    if (before != SCHED_OTHER) {
        skip();
    }
    assert_int_equal(imx_thread_start(&thread, give_way, NULL), 0);
    assert_int_equal(imx_thread_stop(&thread, LIMIT_MS), 1);
    assert_int_equal(atomic_load(&policy), SCHED_BATCH);
    assert_int_equal(sched_getscheduler(0), before);
}

/* From here on the process is killed, or gets an error, when it asks for it. */
static int forbid_to_give_way(uint32_t action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setattr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
    };
    struct sock_fprog filter = { sizeof code / sizeof *code, code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
           && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

enum { GAVE_WAY = 10, DID_NOT, NO_FILTER };

static int give_way_with_filter(uint32_t action)
{
    const struct rlimit no_core = { 0, 0 };
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        if (!forbid_to_give_way(action)) {
            _exit(NO_FILTER);
        }
        imx_thread_give_way();
        _exit(sched_getscheduler(0) == SCHED_BATCH ? GAVE_WAY : DID_NOT);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Before any other that gives way: the answer is kept. */
static void a_filter_of_system_calls_does_not_kill_for_that(void **state)
{
    int killed = give_way_with_filter(SECCOMP_RET_KILL_PROCESS);

    (void)state;
    if (killed == NO_FILTER) {
        skip();
    }
    assert_int_equal(killed, DID_NOT);
    assert_int_equal(give_way_with_filter(SECCOMP_RET_ERRNO | EPERM), DID_NOT);
    assert_int_equal(give_way_with_filter(SECCOMP_RET_ALLOW),
                     sched_getscheduler(0) == SCHED_OTHER ? GAVE_WAY : DID_NOT);
}

static void no_descriptor_no_thread(void **state)
{
    struct rlimit was, none;
    imx_thread_t other;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &was);
    none = was;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    assert_int_not_equal(imx_thread_init(&other), 0);
    setrlimit(RLIMIT_NOFILE, &was);
    assert_int_equal(imx_thread_stop(&other, 0), 1);
    imx_thread_destroy(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_thread_waits_until_it_is_woken, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(a_wake_before_the_wait_is_not_lost,
                                        make, unmake),
        cmocka_unit_test_setup_teardown(it_learns_that_it_is_to_leave, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(one_that_was_never_started_has_ended,
                                        make, unmake),
        cmocka_unit_test_setup_teardown(
            one_that_hangs_is_not_waited_for_longer_than_asked, make, unmake),
        cmocka_unit_test_setup_teardown(
            it_has_ended_only_when_it_runs_nothing_any_more, make, unmake),
        cmocka_unit_test_setup_teardown(it_can_be_stopped_in_a_signal_handler,
                                        make, unmake),
        cmocka_unit_test(a_filter_of_system_calls_does_not_kill_for_that),
        cmocka_unit_test_setup_teardown(it_gives_way_to_others, make, unmake),
        cmocka_unit_test_setup_teardown(no_descriptor_no_thread, make, unmake),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
