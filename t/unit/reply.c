/*
 * t/unit/reply.c: what a server says, as it comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static imx_reply_t *r;

static int setup(void **state)
{
    (void)state;
    r = malloc(sizeof *r);
    imx_reply_clear(r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(r);
    return 0;
}

static void header(const char *line)
{
    char text[300];
    int len = snprintf(text, sizeof text, "%s\r\n", line);

    assert_int_equal(imx_reply_header(text, 1, (size_t)len, r), len);
}

/* So many seconds from now, by this host's clock. */
static void header_at(const char *name, int64_t seconds)
{
    time_t then = time(NULL) + (time_t)seconds;
    char line[100], date[64];
    struct tm tm;

    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT",
             gmtime_r(&then, &tm));
    snprintf(line, sizeof line, "%s: %s", name, date);
    header(line);
}

static void seconds_are_seconds(void **state)
{
    (void)state;
    header("HTTP/1.1 503 x");
    header_at("Date", -4000);
    header("Retry-After: 7");
    assert_int_equal(r->retry_after_ms, 7000);
    assert_in_range(r->clock_ahead_s, 3999, 4010);
}

/* A date is one by the server's clock, which may be another than ours. */
static void a_date_is_measured_by_the_servers_clock(void **state)
{
    const int64_t ahead[] = { 4000, -4000, 0 };
    int i, date_first;

    (void)state;
    for (i = 0; i < 3; i++) {
        for (date_first = 0; date_first <= 1; date_first++) {
            header("HTTP/1.1 503 x");
            if (date_first) {
                header_at("Date", ahead[i]);
            }
            header_at("Retry-After", ahead[i] + 120);
            if (!date_first) {
                header_at("Date", ahead[i]);
            }
            /* a busy machine may wait between the two */
            assert_in_range(r->retry_after_ms, 110000, 130000);
        }
    }
}

static void without_a_date_it_is_ours(void **state)
{
    (void)state;
    header("HTTP/1.1 503 x");
    header_at("Retry-After", 120);
    assert_in_range(r->retry_after_ms, 110000, 120000);
    header("Date: yesterday");
    assert_in_range(r->retry_after_ms, 110000, 120000);
}

/* 100 or 103 comes before the answer, with headers of its own. */
static void an_answer_begins_anew(void **state)
{
    (void)state;
    header("HTTP/1.1 103 x");
    header_at("Date", -4000);
    header("Retry-After: 7");
    header("Location: /there");
    header("HTTP/1.1 503 x");
    assert_int_equal(r->retry_after_ms, -1);
    assert_string_equal(r->location, "");
    header_at("Retry-After", 120);
    assert_in_range(r->retry_after_ms, 110000, 120000);
}

static void what_is_too_long_asks_for_nothing(void **state)
{
    char line[200] = "Retry-After: ";

    (void)state;
    header("HTTP/1.1 503 x");
    memset(line + strlen(line), '1', 80);
    header(line);
    assert_int_equal(r->retry_after_ms, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(seconds_are_seconds),
        TEST(a_date_is_measured_by_the_servers_clock),
        TEST(without_a_date_it_is_ours),
        TEST(an_answer_begins_anew),
        TEST(what_is_too_long_asks_for_nothing),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
