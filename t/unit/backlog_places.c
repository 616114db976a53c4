/*
 * backlog_places.c (unit) owns the tests of backlog_places.c: which directory
 * is next for what.  No disk is touched.
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

#include "deliver/backlog_places.h"

enum { NONE = IMX_BACKLOG_PLACES, LAST = IMX_BACKLOG_PLACES - 1, NOW = 1000 };

static imx_backlog_places_t places;
static imx_backlog_account_t account;

/* All directories there are, open, with a file each that is not counted. */
static int setup(void **state)
{
    (void)state;
    memset(&places, 0, sizeof(places));
    memset(&account, 0, sizeof(account));
    for (int i = 0; i < IMX_BACKLOG_PLACES; i++) {
        places.all[i].path = "/spool";
        places.all[i].is_open = 1;
        account.dirs[i].seen.files = 1;
        account.dirs[i].seen.uncounted = 1;
    }
    return 0;
}

static int to_read(void)
{
    return imx_backlog_places_to_read(&places, &account, NOW);
}

static int to_count(int read)
{
    return imx_backlog_places_to_count(&places, &account, read, NOW);
}

static void test_to_open(void **state)
{
    (void)state;
    assert_int_equal(imx_backlog_places_to_open(&places, NOW), NONE);
    places.all[1].is_open = places.all[LAST].is_open = 0;
    assert_int_equal(imx_backlog_places_to_open(&places, NOW), 1);
    places.all[1].not_before = NOW + 1;
    assert_int_equal(imx_backlog_places_to_open(&places, NOW), LAST);
    places.all[LAST].path = NULL; /* that is no directory */
    assert_int_equal(imx_backlog_places_to_open(&places, NOW), NONE);
    assert_int_equal(imx_backlog_places_to_open(&places, NOW + 1), 1);
}

/* The oldest files are in the former directories.  One that fails keeps
 * nobody waiting. */
static void test_to_read(void **state)
{
    (void)state;
    assert_int_equal(to_read(), LAST);
    places.all[LAST].read_at = NOW + 1;
    assert_int_equal(to_read(), LAST - 1);
    places.all[LAST - 1].not_before = NOW + 1;
    assert_int_equal(to_read(), LAST - 2);
    for (int i = 1; i <= LAST - 2; i++) {
        places.all[i].is_open = 0;
    }
    assert_int_equal(to_read(), 0);
    account.dirs[0].seen.files = 0;
    assert_int_equal(to_read(), NONE);
    places.all[LAST].read_at = NOW;
    assert_int_equal(to_read(), LAST);
}

static void test_to_count(void **state)
{
    (void)state;
    assert_int_equal(to_count(-1), 0);
    /* The one file of it becomes known by being read. */
    assert_int_equal(to_count(0), 1);
    account.dirs[0].seen.uncounted = 2;
    assert_int_equal(to_count(0), 0);
    places.all[0].count_at = NOW + 1;
    assert_int_equal(to_count(-1), 1);
    places.all[1].is_open = 0;
    assert_int_equal(to_count(-1), 2);
    for (int i = 0; i < IMX_BACKLOG_PLACES; i++) {
        account.dirs[i].seen.uncounted = 0;
    }
    assert_int_equal(to_count(-1), NONE);
}

/* One after the other, and then there is a rest. */
static void test_to_look_at(void **state)
{
    (void)state;
    places.all[1].is_open = 0;
    for (int round = 0; round < 3; round++) {
        int64_t now = NOW + 50 * round;

        for (int i = 0; i < IMX_BACKLOG_PLACES; i++) {
            if (i != 1) {
                assert_int_equal(imx_backlog_places_to_look_at(&places, 50,
                                                               now),
                                 i);
            }
        }
        assert_int_equal(imx_backlog_places_to_look_at(&places, 50, now),
                         NONE);
        assert_int_equal(imx_backlog_places_to_look_at(&places, 50, now + 49),
                         NONE);
    }
    for (int i = 0; i < IMX_BACKLOG_PLACES; i++) {
        places.all[i].is_open = 0;
    }
    assert_int_equal(imx_backlog_places_to_look_at(&places, 50, NOW + 1000),
                     NONE);
}

static void test_due(void **state)
{
    (void)state;
    assert_true(imx_backlog_places_due(&places, 500, NOW) == 500);
    places.all[1].not_before = NOW + 300;
    places.all[2].read_at = NOW + 200;
    assert_true(imx_backlog_places_due(&places, 500, NOW) == 200);
    assert_true(imx_backlog_places_due(&places, 100, NOW) == 100);
    places.all[2].path = NULL;
    assert_true(imx_backlog_places_due(&places, 500, NOW) == 300);
    /* What is over is tried now, and nobody waits for it. */
    assert_true(imx_backlog_places_due(&places, 500, NOW + 300) == 500);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_to_open),    TEST(test_to_read), TEST(test_to_count),
        TEST(test_to_look_at), TEST(test_due),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("backlog_places", tests, NULL, NULL);
}
