/*
 * t/unit/board.c: what the holder tells, read meanwhile, and told by holders
 * that are killed.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/board.h"
#include "shared/fault.h"

#include <pthread.h>
#include <stdlib.h>

#include "process.h"

static imx_board_view_t board;
static void *memory;

static int setup(void **state)
{
    (void)state;
    memory = shared_memory(imx_board_size());
    imx_board_format(&board, memory);
    imx_fault = NULL;
    alarm(4 * TEST_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(memory, imx_board_size());
    return 0;
}

#define TOLD 20000

static void *tell(void *arg)
{
    imx_board_t d;
    int64_t i;

    (void)arg;
    for (i = 1; i <= TOLD; i++) {
        memset(&d, (int)(i % 100), sizeof d);
        d.last_flush = i;
        d.spool_bytes = (uint64_t)i;
        imx_board_tell(&board, &d);
    }
    return NULL;
}

static int is_whole(const imx_board_t *d)
{
    const size_t end = sizeof d->last_error - 1;

    return d->spool_bytes == (uint64_t)d->last_flush
           && d->last_error[0] == d->last_flush % 100
           && d->last_error[end - 1] == d->last_flush % 100
           && d->last_error[end] == '\0';
}

static const char *fault_point;
static int visits;

static void kill_itself(const char *point)
{
    if (strcmp(point, fault_point) == 0 && --visits == 0) {
        kill(getpid(), SIGKILL);
    }
}

static int tell_at(void *point)
{
    imx_board_t d;

    memset(&d, 99, sizeof d);
    fault_point = point;
    imx_fault = kill_itself;
    imx_board_tell(&board, &d);
    return 3;
}

/* A holder that is killed while it tells: what was told before stays. */
static void test_killed_while_telling(void **state)
{
    imx_board_t d;
    int i;

    (void)state;
    for (i = 1; i <= 20; i++) {
        memset(&d, i, sizeof d);
        d.last_flush = i;
        d.spool_bytes = (uint64_t)i;
        imx_board_tell(&board, &d);
        visits = i;
        assert_int_equal(wait_for(spawn(tell_at, (void *)"tell")), -SIGKILL);
        d = imx_board_told(&board);
        assert_int_equal(d.last_flush, i);
        assert_true(is_whole(&d));
    }
}

static int tell_until_killed(void *arg)
{
    fault_point = "told";
    visits = 2;
    imx_fault = kill_itself;
    tell(arg);
    return 3;
}

/* What a holder told before the one that killed it is there, and the next one
 * goes on from it. */
static void test_kill_who_tells(void **state)
{
    imx_board_t d;

    (void)state;
    assert_int_equal(wait_for(spawn(tell_until_killed, NULL)), -SIGKILL);
    d = imx_board_told(&board);
    assert_true(is_whole(&d));
    assert_int_equal(d.last_flush, 1);
    tell(NULL);
    d = imx_board_told(&board);
    assert_true(is_whole(&d));
    assert_int_equal(d.last_flush, TOLD);
}

/* Before the first, or all of one call; and never an older one than before. */
static void test_what_is_told_is_whole(void **state)
{
    imx_board_t d;
    pthread_t thread;
    int64_t last = 0;
    int wrong = 0;

    (void)state;
    pthread_create(&thread, NULL, tell, NULL);
    while (last < TOLD && wrong == 0) {
        d = imx_board_told(&board);
        wrong += !is_whole(&d) || d.last_flush < last;
        last = d.last_flush > last ? d.last_flush : last;
    }
    pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
}

static void test_nothing_was_told(void **state)
{
    imx_board_t d = imx_board_told(&board);

    (void)state;
    assert_int_equal(d.last_flush, 0);
    assert_string_equal(d.last_error, "");
}

/* The text ends, whatever is in the memory. */
static void test_nonsense(void **state)
{
    imx_board_t d;

    (void)state;
    memset(memory, 0xFF, imx_board_size());
    d = imx_board_told(&board);
    assert_int_equal(strlen(d.last_error), IMX_BOARD_ERROR_MAX - 1);
    imx_board_tell(&board, &d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_was_told),
        TEST(test_nonsense),
        TEST(test_what_is_told_is_whole),
        /* from here on with processes */
        TEST(test_killed_while_telling),
        TEST(test_kill_who_tells),
    };
    const size_t all = sizeof tests / sizeof *tests, with_processes = 2;

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("board", tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
