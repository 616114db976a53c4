/*
 * t/unit/lease.c: the word that says which child delivers, with threads, with
 * holders that are killed, and with nonsense in it.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/fault.h"
#include "shared/lease.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "process.h"

#define ROWS 8

static imx_children_t children;
static imx_lease_t lease;
static char *memory;
static size_t lease_at;

static int setup(void **state)
{
    (void)state;
    lease_at = (imx_children_size(ROWS) + 63) & ~(size_t)63;
    memory = shared_memory(lease_at + imx_lease_size());
    imx_children_format(&children, memory, ROWS);
    imx_lease_format(&lease, memory + lease_at, &children);
    imx_fault = NULL;
    alarm(4 * TEST_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(memory, lease_at + imx_lease_size());
    return 0;
}

static imx_children_self_t join(pid_t pid)
{
    imx_children_self_t self;

    assert_int_equal(imx_children_join(&children, &self, pid), 0);
    return self;
}

/* Whatever is the first word of the part. */
static void write_word(uint64_t word)
{
    *(_Atomic uint64_t *)(memory + lease_at) = word;
}

static void test_take_and_give(void **state)
{
    imx_children_self_t me = join(getpid());
    imx_children_self_t other = imx_children_outsider(&children, getppid());

    (void)state;
    assert_int_equal(imx_lease_holder(&lease), IMX_CHILDREN_NOBODY);
    assert_int_equal(imx_lease_holder_pid(&lease), 0);
    assert_int_equal(imx_lease_take(&lease, &me), 1);
    assert_int_equal(imx_lease_is_mine(&lease, &me), 1);
    assert_int_equal(imx_lease_holder(&lease), me.slot);
    assert_int_equal(imx_lease_holder_pid(&lease), getpid());
    assert_int_equal(imx_lease_take(&lease, &me), 0); /* twice */
    assert_int_equal(imx_lease_take(&lease, &other), 0);
    imx_lease_give(&lease, &other); /* not its own */
    assert_int_equal(imx_lease_is_mine(&lease, &me), 1);
    imx_lease_give(&lease, &me);
    assert_int_equal(imx_lease_is_mine(&lease, &me), 0);
    assert_int_equal(imx_lease_holder(&lease), IMX_CHILDREN_NOBODY);
    imx_lease_give(&lease, &me);
    /* a process without a row */
    assert_int_equal(imx_lease_take(&lease, &other), 1);
    assert_int_equal(imx_lease_holder(&lease), IMX_CHILDREN_NOBODY);
    assert_int_equal(imx_lease_holder_pid(&lease), getppid());
}

static void test_the_parent_reaped_the_holder(void **state)
{
    imx_children_self_t me = join(getpid());
    imx_children_self_t other = imx_children_outsider(&children, getppid());

    (void)state;
    imx_lease_died(&lease, getpid()); /* nobody has it */
    assert_int_equal(imx_lease_take(&lease, &me), 1);
    imx_lease_died(&lease, getppid());
    imx_lease_died(&lease, 0);
    assert_int_equal(imx_lease_is_mine(&lease, &me), 1);
    imx_lease_died(&lease, getpid());
    assert_int_equal(imx_lease_take(&lease, &other), 1);
}

/* ---- simulated processes ---- */

static _Atomic uint32_t alive_from = 2; /* pids below are gone */

static uint32_t start_of(pid_t pid)
{
    return (uint32_t)pid * 3;
}

static int is_gone(pid_t pid, uint32_t start)
{
    return (uint32_t)pid < alive_from || start != (uint32_t)pid * 3;
}

static void simulate(void)
{
    children.start_of = start_of;
    children.is_gone = is_gone;
    alive_from = 2;
}

/* Another one takes the dead holder's lease, and gives it back, between our
 * question and our compare-and-swap. */
static int others_give;

static void be_faster(const char *point)
{
    imx_children_self_t other = imx_children_outsider(&children, 51);

    if (strcmp(point, "asked") == 0) {
        imx_fault = NULL;
        assert_int_equal(imx_lease_take(&lease, &other), 1);
        if (others_give) {
            imx_lease_give(&lease, &other);
        }
    }
}

static void test_two_find_the_same_dead_holder(void **state)
{
    imx_children_self_t dead, me;

    (void)state;
    simulate();
    dead = imx_children_outsider(&children, 40);
    me = imx_children_outsider(&children, 50);
    for (others_give = 0; others_give < 2; others_give++) {
        write_word(0);
        alive_from = 2;
        assert_int_equal(imx_lease_take(&lease, &dead), 1);
        alive_from = 45;
        imx_fault = be_faster;
        assert_int_equal(imx_lease_take(&lease, &me), 0);
        assert_int_equal(imx_lease_holder_pid(&lease), others_give ? 0 : 51);
    }
    assert_int_equal(imx_lease_take(&lease, &me), 1);
}

static void test_nonsense_is_nobody(void **state)
{
    static const uint64_t words[] = { 1, UINT64_MAX, UINT64_C(1) << 63,
                                      UINT64_C(0xFFFFFFFF) << 32,
                                      UINT64_C(0x7FFFFFFF) << 32 | 5 };
    imx_children_self_t me = join(getpid());
    size_t i;

    (void)state;
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        write_word(words[i]);
        assert_int_equal(imx_lease_is_mine(&lease, &me), 0);
        imx_lease_give(&lease, &me);
        assert_int_equal(imx_lease_take(&lease, &me), 1);
        imx_lease_give(&lease, &me);
    }
}

/* ---- threads ---- */

#define THREADS 4
#define TURNS 20000

static _Atomic uint32_t next_pid;
static _Atomic int holders, wrong, turns;

/* As processes that take the lease and die with it, or give it back. */
static void *take_and_die(void *arg)
{
    (void)arg;
    while (turns < TURNS) {
        imx_children_self_t self =
            imx_children_outsider(&children,
                                  (pid_t)atomic_fetch_add(&next_pid, 1));

        while (!imx_lease_take(&lease, &self)) {
            if (turns >= TURNS) {
                return NULL;
            }
        }
        wrong += atomic_fetch_add(&holders, 1) != 0;
        wrong += !imx_lease_is_mine(&lease, &self);
        atomic_fetch_add(&turns, 1);
        atomic_fetch_sub(&holders, 1);
        if (turns % 2) {
            imx_lease_give(&lease, &self);
        }
        else {
            imx_lease_died(&lease, imx_children_pid(self.who));
        }
    }
    return NULL;
}

static void test_one_holder_at_a_time(void **state)
{
    pthread_t threads[THREADS];
    int i;

    (void)state;
    simulate();
    next_pid = 1000;
    turns = holders = wrong = 0;
    for (i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, take_and_die, NULL);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(wrong, 0);
}

/* ---- processes ---- */

static int take_and_be_killed(void *arg)
{
    imx_children_self_t self;

    (void)arg;
    imx_children_join(&children, &self, getpid());
    if (!imx_lease_take(&lease, &self)) {
        return 2;
    }
    kill(getpid(), SIGKILL);
    return 3;
}

static void test_a_killed_holder(void **state)
{
    imx_children_self_t me = join(getpid());
    pid_t pid;
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        pid = spawn(take_and_be_killed, NULL);
        assert_int_equal(wait_and_keep(pid), -SIGKILL);
        if (i == 1) { /* nobody reaps it */
            assert_int_equal(imx_lease_holder_pid(&lease), pid);
            assert_int_equal(imx_lease_take(&lease, &me), 1);
            imx_lease_give(&lease, &me);
        }
        assert_int_equal(wait_for(pid), -SIGKILL);
        if (i == 2) {
            imx_lease_died(&lease, pid);
            assert_int_equal(imx_lease_holder_pid(&lease), 0);
        }
        assert_int_equal(imx_lease_take(&lease, &me), 1);
        imx_lease_give(&lease, &me);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_take_and_give),
        TEST(test_the_parent_reaped_the_holder),
        TEST(test_two_find_the_same_dead_holder),
        TEST(test_nonsense_is_nobody),
        TEST(test_one_holder_at_a_time),
        /* from here on with processes */
        TEST(test_a_killed_holder),
    };
    const size_t all = sizeof tests / sizeof *tests, with_processes = 1;

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("lease", tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
