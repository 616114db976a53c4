/*
 * t/unit/processes.c: figures of processes, published whole or not at all, and
 * measured.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "shared/fault.h"
#include "shared/processes.h"

#include <pthread.h>
#include <stdlib.h>

#include "process.h"

#define CHILDREN 3
#define SECOND INT64_C(1000000000)

static imx_processes_t processes;
static void *memory;

static int setup(void **state)
{
    (void)state;
    memory = shared_memory(imx_processes_size(CHILDREN));
    imx_processes_format(&processes, memory, CHILDREN);
    imx_fault = NULL;
    alarm(4 * TEST_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(memory, imx_processes_size(CHILDREN));
    return 0;
}

/* All words are the same number. */
static imx_process_t all_of(int64_t n)
{
    imx_process_t p;
    int64_t words[sizeof p / sizeof n] = { 0 };
    size_t i;

    for (i = 0; i < sizeof words / sizeof *words; i++) {
        words[i] = n;
    }
    memcpy(&p, words, sizeof p);
    return p;
}

static int is_whole(const imx_process_t *p)
{
    imx_process_t same = all_of((int64_t)p->who);

    return memcmp(p, &same, sizeof same) == 0;
}

static void test_rows(void **state)
{
    imx_process_t p;
    uint32_t i;

    (void)state;
    for (i = 0; i <= CHILDREN; i++) {
        assert_int_equal(imx_processes_told(&processes, i).who, 0);
        p = all_of(i + 1);
        imx_processes_tell(&processes, i, &p);
    }
    for (i = 0; i <= CHILDREN; i++) {
        p = imx_processes_told(&processes, i);
        assert_int_equal(p.who, i + 1);
        assert_true(is_whole(&p));
    }
    imx_processes_tell(&processes, CHILDREN + 1, &p);
    imx_processes_tell(&processes, IMX_CHILDREN_NOBODY, &p);
    assert_int_equal(imx_processes_told(&processes, CHILDREN + 1).who, 0);
}

/* Another process wrote all ones, or only the highest bit, everywhere: sums and
 * differences of what is told are numbers. */
static void test_nonsense(void **state)
{
    static const uint64_t words[] = { UINT64_MAX, UINT64_C(1) << 63,
                                      INT64_MAX };
    size_t i, k, n = imx_processes_size(CHILDREN) / sizeof(uint64_t);
    imx_process_t p;

    (void)state;
    for (i = 0; i < 3; i++) {
        for (k = 0; k < n; k++) {
            ((uint64_t *)memory)[k] = words[i];
        }
        p = imx_processes_told(&processes, 0);
        assert_true(p.who == words[i]);
        assert_true(p.use.at >= -(INT64_MAX / 4) && p.use.at <= INT64_MAX / 4);
        assert_true(p.carried_system >= -(INT64_MAX / 4)
                    && p.carried_system <= INT64_MAX / 4);
    }
}

#define TOLD 50000

static void *tell(void *arg)
{
    int64_t i;

    (void)arg;
    for (i = 1; i <= TOLD; i++) {
        imx_process_t p = all_of(i);

        imx_processes_tell(&processes, 1, &p);
    }
    return NULL;
}

static void test_what_is_told_is_whole(void **state)
{
    pthread_t thread;
    uint64_t last = 0;
    int wrong = 0;

    (void)state;
    pthread_create(&thread, NULL, tell, NULL);
    while (last < TOLD && wrong == 0) {
        imx_process_t p = imx_processes_told(&processes, 1);

        wrong += !is_whole(&p) || p.who < last;
        last = p.who;
    }
    pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
}

static int visits;

static void kill_itself(const char *point)
{
    (void)point;
    if (--visits == 0) {
        kill(getpid(), SIGKILL);
    }
}

static int tell_and_die(void *arg)
{
    imx_process_t p = all_of(99);

    (void)arg;
    imx_fault = kill_itself;
    imx_processes_tell(&processes, 2, &p);
    return 3;
}

static void test_killed_while_telling(void **state)
{
    int i;

    (void)state;
    for (i = 1; i <= 12; i++) {
        imx_process_t p = all_of(i);

        imx_processes_tell(&processes, 2, &p);
        visits = i;
        assert_int_equal(wait_for(spawn(tell_and_die, NULL)), -SIGKILL);
        p = imx_processes_told(&processes, 2);
        assert_int_equal(p.who, i);
        assert_true(is_whole(&p));
    }
}

/* ---- measuring ---- */

static void burn(int64_t ns)
{
    int64_t end = imx_clock_now() + ns;

    while (imx_clock_now() < end) {
    }
}

/* The second time has what the first had; another process does not. */
static void test_measure(void **state)
{
    imx_process_t none = { 0 }, first, second, other;
    int64_t begun = imx_clock_now();

    (void)state;
    first = imx_processes_measure(7, &none, begun);
    assert_int_equal(first.who, 7);
    assert_int_equal(first.before.at, 0);
    assert_true(first.fds >= 3 && first.threads >= 1);
    assert_true(first.rss > 1 << 18 && first.max_rss > 1 << 18);
    assert_true(first.started < begun);
    burn(SECOND / 5);
    second = imx_processes_measure(7, &first, imx_clock_now());
    assert_int_equal(second.before.at, begun);
    assert_int_equal(second.before.cpu_user, first.use.cpu_user);
    assert_true(second.use.cpu_user + second.use.cpu_system
                > first.use.cpu_user + first.use.cpu_system);
    other = imx_processes_measure(8, &first, imx_clock_now());
    assert_int_equal(other.before.at, 0);
}

/* What another process in the row had used is carried on. */
static void test_carried(void **state)
{
    imx_process_t none = { 0 }, p = { 0 }, q;

    (void)state;
    p = imx_processes_measure(7, &none, 1);
    assert_int_equal(p.carried_user + p.carried_system, 0);
    p.use.cpu_user = 5 * SECOND;
    p.use.cpu_system = 3 * SECOND;
    q = imx_processes_measure(7, &p, 2);
    assert_int_equal(q.carried_user + q.carried_system, 0);
    q = imx_processes_measure(8, &p, 2);
    assert_int_equal(q.carried_user, 5 * SECOND);
    assert_int_equal(q.carried_system, 3 * SECOND);
    q.use.cpu_user = SECOND;
    q = imx_processes_measure(9, &q, 3);
    assert_int_equal(q.carried_user, 6 * SECOND);
    /* A parent that cannot be measured is no process, and loses nothing. */
    p.carried_user = SECOND;
    q = imx_processes_measure_other((imx_children_who_t)0x7ffffff0 << 32, &p,
                                    4);
    assert_int_equal(q.who, 0);
    assert_int_equal(q.carried_user, 6 * SECOND);
}

static void test_measure_other(void **state)
{
    imx_process_t none = { 0 }, p;
    imx_children_t c = { 0 };

    (void)state;
    p = imx_processes_measure_other(imx_children_who(&c, getppid()), &none,
                                    imx_clock_now());
    assert_true(p.who != 0 && p.rss > 0 && p.threads >= 1);
    assert_int_equal(p.fds, -1);
    p = imx_processes_measure_other(imx_children_who(&c, 0x7ffffff0), &none,
                                    imx_clock_now());
    assert_int_equal(p.who, 0);
}

static int measure_in_chroot(void *arg)
{
    imx_process_t none = { 0 }, p;

    (void)arg;
    if (chroot("/proc/self/fdinfo") != 0) { /* any without a /proc in it */
        return 3;
    }
    p = imx_processes_measure(7, &none, 5);
    return !(p.who == 7 && p.fds == -1 && p.rss == -1 && p.threads == -1
             && p.max_rss > 1 << 18 && p.started == 5);
}

/* As with ChrootDir: what the system call gives. */
static void test_without_proc(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(wait_for(spawn(measure_in_chroot, NULL)), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows),
        TEST(test_nonsense),
        TEST(test_what_is_told_is_whole),
        TEST(test_measure),
        TEST(test_carried),
        TEST(test_measure_other),
        /* from here on with processes */
        TEST(test_killed_while_telling),
        TEST(test_without_proc),
    };
    const size_t all = sizeof tests / sizeof *tests, with_processes = 2;

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("processes", tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
