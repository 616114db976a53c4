/*
 * t/unit/children.c: the table of children, with threads, processes and pids
 * that are used again.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/children.h"
#include "shared/fault.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "process.h"

#define ROWS 4

static imx_children_t children;
static _Atomic int *stop; /* shared with processes */
static void *memory;

static int setup(void **state)
{
    (void)state;
    memory = shared_memory(imx_children_size(ROWS));
    imx_children_format(&children, memory, ROWS);
    stop = shared_memory(sizeof *stop);
    imx_fault = NULL;
    alarm(4 * TEST_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(memory, imx_children_size(ROWS));
    munmap((void *)stop, sizeof *stop);
    return 0;
}

static imx_children_self_t join(pid_t pid)
{
    imx_children_self_t self;

    assert_int_equal(imx_children_join(&children, &self, pid), 0);
    return self;
}

/* ---- simulated processes ---- */

/* Pids from here on are not asked of the kernel. */
static uint32_t start_now = 100;
static pid_t dead_pid;
static uint32_t dead_start;

static uint32_t start_of(pid_t pid)
{
    (void)pid;
    return start_now;
}

static int is_gone(pid_t pid, uint32_t start)
{
    return pid == dead_pid && start == dead_start;
}

static void simulate(void)
{
    children.start_of = start_of;
    children.is_gone = is_gone;
    dead_pid = 0;
    start_now = 100;
}

static void free_rows_of_the_dead(void)
{
    uint32_t i;

    for (i = 0; i < ROWS; i++) {
        imx_children_who_t who = imx_children_dead(&children, i, 1);

        if (who != 0) {
            imx_children_remove(&children, i, who);
        }
    }
}

static int is_dead(uint32_t slot)
{
    return imx_children_dead(&children, slot, 0) != 0;
}

/* ---- joining and leaving ---- */

static void test_the_table_is_full(void **state)
{
    imx_children_self_t self;
    unsigned i;

    (void)state;
    for (i = 0; i < ROWS; i++) {
        self = join(getpid());
        assert_int_equal(self.slot, i);
        assert_int_equal(imx_children_pid(self.who), getpid());
        assert_true(imx_children_is_taken(&children, i));
    }
    assert_int_equal(imx_children_join(&children, &self, getpid()), -1);
    assert_int_equal(self.slot, IMX_CHILDREN_NOBODY);
    assert_int_equal(imx_children_pid(self.who), getpid());
    assert_int_equal(imx_children_leave(&children, &self), 0);
    assert_false(imx_children_is_taken(&children, ROWS));
}

static void test_leave(void **state)
{
    imx_children_self_t a = join(getpid()), b = join(getpid());
    imx_children_self_t c = join(getpid());

    (void)state;
    assert_int_equal(imx_children_leave(&children, &b), 0);
    assert_int_equal(imx_children_leave(&children, &a), 0);
    assert_int_equal(imx_children_leave(&children, &c), 1);
}

/* Who had started and was not told to end is known once, also when the row is
 * free or has a child that is just starting. */
static void test_ran(void **state)
{
    imx_children_self_t a, b, outsider = { 5, IMX_CHILDREN_NOBODY };

    (void)state;
    simulate();
    a = join(7);
    b = join(8);
    assert_int_equal(imx_children_in(&children, b.slot), b.who);
    assert_int_equal(imx_children_in(&children, ROWS), 0);
    assert_false(imx_children_ran(&children, 7));
    imx_children_runs(&children, &a, 1);
    imx_children_runs(&children, &b, 1);
    imx_children_runs(&children, &outsider, 1);
    imx_children_runs(&children, &b, 0);
    assert_false(imx_children_ran(&children, 8));
    assert_false(imx_children_ran(&children, 0));
    imx_children_remove(&children, a.slot, a.who);
    assert_int_equal(imx_children_in(&children, a.slot), 0);
    join(9);
    assert_true(imx_children_ran(&children, 7));
    assert_false(imx_children_ran(&children, 7));
    assert_false(imx_children_ran(&children, 9));
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int wait_for_stop(void *arg)
{
    (void)arg;
    while (!*stop) {
        sched_yield();
    }
    return 0;
}

static void test_leave_counts_only_the_living(void **state)
{
    imx_children_self_t self;
    pid_t gone = spawn(end_at_once, NULL), there = spawn(wait_for_stop, NULL);

    (void)state;
    join(gone);
    join(there);
    self = join(getpid());
    assert_int_equal(wait_and_keep(gone), 0);
    assert_int_equal(imx_children_leave(&children, &self), 0);
    assert_int_equal(imx_children_count(&children), 1);
    *stop = 1;
    assert_int_equal(wait_and_keep(there), 0);
    assert_int_equal(imx_children_leave(&children, &self), 1); /* zombies */
    assert_int_equal(wait_for(gone) | wait_for(there), 0);
    assert_int_equal(imx_children_leave(&children, &self), 1);
    assert_int_equal(imx_children_count(&children), 0);
}

static pthread_barrier_t barrier;

static void *leave_together(void *self)
{
    pthread_barrier_wait(&barrier);
    return imx_children_leave(&children, self) ? self : NULL;
}

/* Of those that leave in the same moment, one at least knows it was last. */
static void test_leave_together(void **state)
{
    imx_children_self_t self[3];
    pthread_t threads[3];
    int round, i;

    for (round = 0; round < 300; round++) {
        int last = 0;

        pthread_barrier_init(&barrier, NULL, 3);
        for (i = 0; i < 3; i++) {
            self[i] = join(getpid());
            pthread_create(&threads[i], NULL, leave_together, &self[i]);
        }
        for (i = 0; i < 3; i++) {
            void *rv;

            pthread_join(threads[i], &rv);
            last += rv != NULL;
        }
        pthread_barrier_destroy(&barrier);
        assert_true(last >= 1);
        teardown(state);
        setup(state);
    }
}

static void test_epochs(void **state)
{
    imx_children_self_t new;
    imx_children_t forked;

    (void)state;
    assert_int_equal(imx_children_epoch(&children), 0);
    assert_int_equal(imx_children_has_since(&children, 0), 0);
    assert_int_equal(imx_children_new_epoch(&children), 1);
    join(getpid());
    assert_int_equal(imx_children_new_epoch(&children), 2);
    assert_int_equal(imx_children_epoch(&children), 2);
    assert_int_equal(imx_children_has_since(&children, 1), 1);
    assert_int_equal(imx_children_has_since(&children, 2), 0);
    new = join(getpid());
    assert_int_equal(imx_children_has_since(&children, 2), 1);
    assert_int_equal(imx_children_has_since(&children, 3), 0);
    imx_children_leave(&children, &new);
    assert_int_equal(imx_children_has_since(&children, 2), 0);
    assert_int_equal(imx_children_has_since(&children, 1), 1);

    /* Forked before a restart, and joins behind it. */
    forked = children;
    assert_int_equal(imx_children_new_epoch(&children), 3);
    assert_int_equal(imx_children_epoch(&forked), 2);
    assert_int_equal(imx_children_join(&forked, &new, getpid()), 0);
    assert_int_equal(imx_children_has_since(&children, 3), 0);
    assert_int_equal(imx_children_has_since(&forked, 2), 1);
}

/* ---- who is dead ---- */

static void test_who_is_gone(void **state)
{
    pid_t pid = spawn(wait_for_stop, NULL);
    imx_children_who_t who = imx_children_who(&children, pid);

    (void)state;
    assert_false(imx_children_is_gone(&children, who));
    assert_true(imx_children_is_gone(&children, who ^ 1)); /* another start */
    assert_false(imx_children_is_gone(&children, who >> 32 << 32));
    *stop = 1;
    assert_int_equal(wait_and_keep(pid), 0);
    assert_true(imx_children_is_gone(&children, who)); /* a zombie */
    assert_int_equal(wait_for(pid), 0);
    assert_true(imx_children_is_gone(&children, who));
    /* nonsense: kill() would ask of a group, or of all processes */
    assert_true(imx_children_is_gone(&children, 1));
    assert_true(imx_children_is_gone(&children, UINT64_MAX));
    assert_true(imx_children_is_gone(&children, UINT64_C(1) << 63));
}

static void test_died(void **state)
{
    imx_children_self_t a = join(getpid());

    (void)state;
    imx_children_died(&children, 1);
    assert_false(is_dead(a.slot));
    imx_children_died(&children, getpid());
    assert_true(is_dead(a.slot));
    imx_children_remove(&children, a.slot, a.who);
    assert_false(imx_children_is_taken(&children, a.slot));
    assert_false(is_dead(a.slot));
    /* a late one frees nobody's row */
    a = join(getpid());
    imx_children_remove(&children, a.slot, a.who ^ 1);
    assert_true(imx_children_is_taken(&children, a.slot));
}

/* The row is freed and taken again while the parent is about to mark it. */
static void take_it_again(const char *point)
{
    (void)point;
    imx_fault = NULL;
    dead_pid = 7;
    dead_start = 100;
    free_rows_of_the_dead();
    start_now = 200;
    assert_int_equal(join(8).slot, 0);
}

/*
 * Issue: the mark of the dead child stays in the row of the living one, and
 * when that row, later on, gets a child with the first one's pid, this one
 * seems to be dead.
 */
static void test_died_marks_a_row_that_was_taken_again(void **state)
{
    (void)state;
    simulate();
    assert_int_equal(join(7).slot, 0);
    imx_fault = take_it_again;
    imx_children_died(&children, 7);
    assert_false(is_dead(0));
    dead_pid = 8;
    dead_start = 200;
    free_rows_of_the_dead();
    start_now = 300;
    assert_int_equal(join(7).slot, 0); /* the pid again */
    assert_false(is_dead(0));
}

/* The same where start times are not known: joining clears the mark. */
static void take_it_again_unknown(const char *point)
{
    (void)point;
    imx_fault = NULL;
    dead_pid = 7;
    dead_start = 0;
    free_rows_of_the_dead();
    assert_int_equal(join(8).slot, 0);
}

static void test_died_without_start_times(void **state)
{
    (void)state;
    simulate();
    start_now = 0;
    join(7);
    imx_fault = take_it_again_unknown;
    imx_children_died(&children, 7);
    assert_false(is_dead(0));
    dead_pid = 8;
    imx_children_died(&children, 9); /* nobody */
    /* as imx_children_remove() does not run for a row that a hostile process
     * frees: the mark would stay */
    *(_Atomic uint64_t *)((char *)memory + 64) = 0;
    assert_false(imx_children_is_taken(&children, 0));
    assert_int_equal(join(7).slot, 0);
    assert_false(is_dead(0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_table_is_full),
        TEST(test_leave),
        TEST(test_ran),
        TEST(test_leave_together),
        TEST(test_epochs),
        TEST(test_died),
        TEST(test_died_marks_a_row_that_was_taken_again),
        TEST(test_died_without_start_times),
        /* from here on with processes */
        TEST(test_leave_counts_only_the_living),
        TEST(test_who_is_gone),
    };
    const size_t all = sizeof tests / sizeof *tests, with_processes = 2;

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("children", tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
