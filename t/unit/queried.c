/*
 * queried.c (unit) owns the tests of queried.c.
 * One thread.
 * Nothing survives a crash, and nothing needs to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/queried.h"

static imx_queried_t queried;
static void *memory;

static int setup(void **state)
{
    (void)state;
    memory = aligned_alloc(64, (imx_queried_size() + 63) / 64 * 64);
    memset(memory, 0, imx_queried_size());
    imx_queried_format(&queried, memory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static void assert_totals(uint64_t runs, uint64_t failed, uint64_t points)
{
    imx_queried_totals_t t = imx_queried_totals(&queried);

    assert_int_equal(t.runs, runs);
    assert_int_equal(t.failed, failed);
    assert_int_equal(t.points, points);
}

/* A query that failed had its time as well: it is due again at the next one. */
static void test_last(void **state)
{
    (void)state;
    assert_totals(0, 0, 0);
    assert_true(imx_queried_last(&queried, 0, 7) == 0);
    imx_queried_ran(&queried, 0, 7, 1000, 3);
    imx_queried_failed(&queried, IMX_QUERIED_MAX - 1, 8, 2000);
    assert_true(imx_queried_last(&queried, 0, 7) == 1000);
    assert_true(imx_queried_last(&queried, IMX_QUERIED_MAX - 1, 8) == 2000);
    assert_true(imx_queried_last(&queried, 1, 7) == 0);
    assert_totals(1, 1, 3);
    imx_queried_ran(&queried, IMX_QUERIED_MAX - 1, 8, 3000, 0);
    assert_true(imx_queried_last(&queried, IMX_QUERIED_MAX - 1, 8) == 3000);
    assert_totals(2, 1, 3);
}

/* After a restart with other queries a number means another one. */
static void test_another_query(void **state)
{
    (void)state;
    imx_queried_ran(&queried, 4, 7, 1000, 1);
    assert_true(imx_queried_last(&queried, 4, 9) == 0);
    imx_queried_ran(&queried, 4, 9, 5000, 1);
    assert_true(imx_queried_last(&queried, 4, 9) == 5000);
    assert_true(imx_queried_last(&queried, 4, 7) == 0);
    assert_totals(2, 0, 2);
}

/* Another process's view of the same memory knows the same. */
static void test_another_view(void **state)
{
    imx_queried_t other;

    (void)state;
    imx_queried_ran(&queried, 4, 7, 1000, 1);
    imx_queried_format(&other, memory);
    assert_true(imx_queried_last(&other, 4, 7) == 1000);
    assert_int_equal(imx_queried_totals(&other).runs, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_last),
        TEST(test_another_query),
        TEST(test_another_view),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("queried", tests, NULL, NULL);
}
