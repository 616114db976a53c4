/*
 * t/unit/body.c: the bytes of a POST, and when a read of them ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "deliver/body.h"

#define LINES 1000

static const char text[] = "raw-requests,method=GET n=1i 1763961600000000001\n";

static imx_influx_line_t lines[LINES];
static imx_body_t body;
static char to[16384];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < LINES; i++) {
        lines[i] = (imx_influx_line_t){ text, sizeof text - 1 };
    }
    return imx_body_open_gzip(&body);
}

static int teardown(void **state)
{
    (void)state;
    imx_body_close(&body);
    return 0;
}

/* On a busy machine libcurl may come so late that no read begins in time: each
 * takes a line all the same, and so the body is out at last. */
static void a_late_read_takes_a_line(void **state)
{
    size_t reads;

    (void)state;
    imx_body_set(&body, lines, LINES, 1);
    for (reads = 0; reads < 2 * LINES && !imx_body_is_out(&body); reads++) {
        uint64_t before = body.taken;

        imx_body_allow(&body, UINT64_MAX, imx_clock_now() - 1);
        imx_body_read(to, 1, sizeof to, &body);
        assert_true(body.taken == before + sizeof text - 1
                    || imx_body_is_out(&body));
    }
    assert_true(imx_body_is_out(&body));
}

/* ... and no more than one, and none that was not allowed. */
static void a_late_read_ends(void **state)
{
    (void)state;
    imx_body_set(&body, lines, LINES, 1);
    imx_body_allow(&body, UINT64_MAX, imx_clock_now() - 1);
    imx_body_read(to, 1, sizeof to, &body);
    assert_int_equal(body.at, 1);
    imx_body_allow(&body, sizeof text - 1, 0);
    assert_int_equal(imx_body_read(to, 1, sizeof to, &body),
                     CURL_READFUNC_PAUSE);
    assert_int_equal(body.at, 1);
    assert_true(body.waits);
}

/* Without compression there is no work that takes time. */
static void plain_lines_have_no_limit_of_time(void **state)
{
    (void)state;
    imx_body_set(&body, lines, LINES, 0);
    imx_body_allow(&body, UINT64_MAX, imx_clock_now() - 1);
    assert_int_equal(imx_body_read(to, 1, sizeof to, &body), sizeof to);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_late_read_takes_a_line),
        TEST(a_late_read_ends),
        TEST(plain_lines_have_no_limit_of_time),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
