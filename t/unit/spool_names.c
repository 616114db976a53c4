/*
 * t/unit/spool_names.c: what the names of a spool's files say, and their order.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/spool_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static imx_spool_name_t parsed(const char *text)
{
    imx_spool_name_t n;

    if (!imx_spool_names_parse(&n, text)) {
        fail_msg("%s is no name", text);
    }
    return n;
}

static void a_name_is_read_as_it_was_written(void **state)
{
    static const char *const names[] = {
        "0000000000000000001-00000002-000003.lp",
        "9223372036854775807-99999999-999999.bad",
        "1763961600123456789-00000000-000001.tmp",
        "1763961600123456789-00000000-000001-000000000077.lp",
        "1763961600123456789-00000000-000001-999999999999.bad"
    };
    char text[IMX_SPOOL_NAME_SIZE];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        imx_spool_name_t n = parsed(names[i]);

        imx_spool_names_print(&n, text);
        assert_string_equal(text, names[i]);
        assert_int_equal(n.lines, 0); /* not believed */
        assert_int_equal(n.counted, n.offset);
    }
}

static void other_names_are_not_ours(void **state)
{
    static const char *const names[] = {
        "",
        ".",
        "README",
        "0000000000000000001-00000002-000003",
        "0000000000000000001-00000002-000003.lp.gz",
        "0000000000000000001-00000002-00003.lp",
        "0000000000000000001-00000002-0000003.lp",
        "0000000000000000001-00000002-000003-1.lp",
        "0000000000000000001-00000002-000003-000000000000.lp",
        "9223372036854775808-00000002-000003.lp",
        "-000000000000000001-00000002-000003.lp",
        "000000000000000000a-00000002-000003.lp",
        "0000000000000000001_00000002-000003.lp"
    };
    imx_spool_name_t n;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        if (imx_spool_names_parse(&n, names[i])) {
            fail_msg("%s was taken", names[i]);
        }
    }
}

static void age_is_the_order_of_names(void **state)
{
    static const char *const ordered[] = {
        "0000000000000000001-00000000-000009.lp",
        "0000000000000000001-00000001-000001-000000000005.lp",
        "0000000000000000001-00000001-000002.lp",
        "0000000000000000001-00000001-000002-000000000004.lp",
        "0000000000000000001-00000001-000001.bad",
        "0000000000000000002-00000000-000000.lp"
    };
    size_t count = sizeof ordered / sizeof *ordered, i, k;

    (void)state;
    for (i = 0; i < count; i++) {
        for (k = 0; k < count; k++) {
            imx_spool_name_t a = parsed(ordered[i]), b = parsed(ordered[k]);
            int order = imx_spool_names_order(&a, &b);

            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
}

static void a_new_name_is_behind_all_others(void **state)
{
    imx_spool_name_t newest = parsed("0000000000000000500-00000007-000001.lp");
    imx_spool_name_t n;

    (void)state;
    assert_int_equal(imx_spool_names_new(&n, &newest, 600), 0);
    assert_int_equal(n.time, 600);
    assert_int_equal(n.number, 0);
    assert_int_equal(imx_spool_names_new(&n, &newest, 100), 0); /* set back */
    assert_int_equal(n.time, 600);
    assert_int_equal(n.number, 1);
    newest.number = 99999999;
    assert_int_equal(imx_spool_names_new(&n, &newest, 600), 0);
    assert_int_equal(n.time, 601);
    assert_int_equal(n.number, 0);
    newest.time = INT64_MAX;
    newest.number = 99999999;
    assert_int_equal(imx_spool_names_new(&n, &newest, 600), EOVERFLOW);
}

/* Against a plain array, with the oldest removed again and again. */
static void the_list_is_what_was_added(void **state)
{
    imx_spool_names_t l = { NULL, 0, 0, 0 };
    imx_spool_name_t n;
    uint64_t next = 0, oldest = 0;
    int round, i;

    (void)state;
    memset(&n, 0, sizeof n);
    for (round = 0; round < 200; round++) {
        for (i = 0; i < round % 7; i++) {
            n.time = next++;
            n.lines = 3;
            n.bytes = 10;
            assert_int_equal(imx_spool_names_add(&l, &n), 0);
        }
        for (i = 0; i < round % 5 && l.count > 0; i++, oldest++) {
            assert_int_equal(imx_spool_names_at(&l, 0)->time, oldest);
            imx_spool_names_remove(&l, 0);
        }
        assert_int_equal(l.count, next - oldest);
        assert_int_equal(imx_spool_names_lines(&l), 3 * l.count);
        assert_int_equal(imx_spool_names_bytes(&l), 10 * l.count);
    }
    n.time = oldest + 5;
    assert_int_equal(imx_spool_names_find(&l, &n), 5);
    n.lines = 9;
    assert_int_equal(imx_spool_names_set(&l, &n), 0);
    assert_int_equal(imx_spool_names_at(&l, 5)->lines, 9);
    n.time = next + 1;
    assert_int_equal(imx_spool_names_find(&l, &n), l.count);
    assert_int_equal(imx_spool_names_set(&l, &n), 0);
    assert_int_equal(imx_spool_names_at(&l, l.count - 1)->time, next + 1);
    imx_spool_names_free(&l);
    assert_int_equal(l.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_read_as_it_was_written),
        cmocka_unit_test(other_names_are_not_ours),
        cmocka_unit_test(age_is_the_order_of_names),
        cmocka_unit_test(a_new_name_is_behind_all_others),
        cmocka_unit_test(the_list_is_what_was_added),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
