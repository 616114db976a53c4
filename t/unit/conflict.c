/*
 * conflict.c (unit) owns the tests of conflict.c, which has no state.
 * One thread.
 * Nothing survives a crash, and nothing needs to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deliver/conflict.h"

#define V "input field \"v\" on measurement \"m\" is type "
#define ALREADY ", already exists as type float dropped=1"

static const char *const lines[] = {
    /* 0 */ "m,t=a v=1 5\n",
    /* 1 */ "m,t=a w=1i 5\n",
    /* 2 */ "n,t=v\\ v=1i w=\"v=1i,v=2i \\\" v=3i\",x=t 5\n",
    /* 3 */ "m,t=a w=\"a \\\\\",v=1i 5\n",
    /* 4 */ "m v=\"1i\"\n",
    /* 5 */ "m,t=a\\ b v=true 5\n",
    /* 6 */ "m v=7u 5\n",
    /* 7 */ "m\\ m\\,m,t=1 v\\ \\,\\=w=1i\n",
    /* 8 */ "raw-requests,hostname=h,method=GET a=1i,request_time=0.5 5\n",
    /* 9: what is none */ "m",
    "m ",
    "m v",
    "m v=",
    "m v=\"",
    "m,\\",
    "m v=\"\\",
    "\\",
    "",
};

#define COUNT (sizeof lines / sizeof *lines)

/* Each in memory of its own size, so that a sanitizer sees a byte too much. */
static imx_influx_line_t copies[COUNT];

static int setup(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        size_t len = strlen(lines[i]);
        char *copy = malloc(len > 0 ? len : 1);

        assert_non_null(copy);
        memcpy(copy, lines[i], len);
        copies[i].data = copy;
        copies[i].len = (uint32_t)len;
    }
    return 0;
}

static int teardown(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        free((char *)(uintptr_t)copies[i].data);
    }
    return 0;
}

/* The number of the line that is meant, or COUNT. */
static size_t meant(const char *reason)
{
    const imx_influx_line_t *line = imx_conflict_find(copies, COUNT, reason);

    return line != NULL ? (size_t)(line - copies) : COUNT;
}

static void the_line_with_that_field_is_meant(void **state)
{
    (void)state;
    assert_int_equal(meant("partial write: field type conflict: " V
                           "integer" ALREADY),
                     3);
    assert_int_equal(meant("failure writing points to database: " V
                           "float, already exists as type integer"),
                     0);
    assert_int_equal(meant(V "string" ALREADY), 4);
    assert_int_equal(meant(V "boolean" ALREADY), 5);
    assert_int_equal(meant(V "unsigned" ALREADY), 6);
    assert_int_equal(meant("input field \"w\" on measurement \"n\" is type "
                           "string, already exists as type float"),
                     2);
    assert_int_equal(meant("input field \"x\" on measurement \"n\" is type "
                           "boolean, already exists as type float"),
                     2);
    assert_int_equal(meant("input field \"request_time\" on measurement "
                           "\"raw-requests\" is type float, already exists as "
                           "type integer dropped=1"),
                     8);
}

static void names_are_escaped_in_a_line(void **state)
{
    (void)state;
    assert_int_equal(meant("input field \"v ,=w\" on measurement \"m m,m\" is "
                           "type integer, already exists as type float"),
                     7);
}

static void none_is_meant(void **state)
{
    size_t i;
    static const char *const reasons[] = {
        "",
        "field type conflict dropped=1",
        V,
        V "integer",
        "input field \"v\" on measurement \"m",
        "input field \"v",
        V "complex" ALREADY,
        V ALREADY,
        "input field \"z\" on measurement \"m\" is type float" ALREADY,
        "input field \"\" on measurement \"\" is type integer" ALREADY,
        "input field \"v\" on measurement \"mm\" is type float" ALREADY,
        "on measurement \"m\" is type float, input field \"v\""
    };

    (void)state;
    for (i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (meant(reasons[i]) != COUNT) {
            fail_msg("%s: line %zu", reasons[i], meant(reasons[i]));
        }
    }
    assert_null(imx_conflict_find(copies, 0, V "integer" ALREADY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_with_that_field_is_meant),
        cmocka_unit_test(names_are_escaped_in_a_line),
        cmocka_unit_test(none_is_meant),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("conflict", tests, setup, teardown);
}
