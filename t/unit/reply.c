/*
 * reply.c (unit) owns the tests of reply.c: what is kept of what a server says.
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

#include <time.h>

#include "deliver/reply.h"

static imx_reply_t reply;

static int setup(void **state)
{
    (void)state;
    memset(&reply, 'x', sizeof(reply));
    imx_reply_clear(&reply);
    return 0;
}

/* As libcurl gives it: without a NUL. */
static size_t header(const char *line)
{
    size_t n = strlen(line), took;
    char *copy = malloc(n ? n : 1);

    memcpy(copy, line, n);
    took = imx_reply_header(copy, 1, n, &reply);
    free(copy);
    return took;
}

static void assert_nothing(void)
{
    assert_int_equal(reply.received, 0);
    assert_int_equal(reply.kept, 0);
    assert_int_equal(reply.flooded, 0);
    assert_int_equal(reply.retry_after_ms, -1);
    assert_int_equal(reply.clock_ahead_s, 0);
    assert_string_equal(reply.location, "");
}

static void test_headers(void **state)
{
    (void)state;
    assert_nothing();
    assert_int_equal(header("HTTP/1.1 503 Service Unavailable\r\n"), 34);
    header("Retry-After-Not: 9\r\n");
    header("X-Retry-After: 9\r\n");
    assert_int_equal(reply.retry_after_ms, -1);
    header("rEtRy-AfTeR: 7\r\n");
    assert_int_equal(reply.retry_after_ms, 7000);
    header("Retry-After:\r\n");
    assert_int_equal(reply.retry_after_ms, -1);
    header("Retry-After: 8\r\n");
    header("LOCATION: http://elsewhere/\r\n");
    assert_non_null(strstr(reply.location, "http://elsewhere/"));
    header("\r\n");
    header("");
    assert_int_equal(reply.retry_after_ms, 8000);
    assert_true(reply.received > 100);
    imx_reply_clear(&reply);
    assert_nothing();
}

/* 100 and 103 come before the answer: what they say is not what it says. */
static void test_interim(void **state)
{
    (void)state;
    header("HTTP/1.1 103 Early Hints\r\n");
    header("Retry-After: 7\r\n");
    header("Location: http://elsewhere/\r\n");
    header("HTTP/1.1 204 No Content\r\n");
    assert_int_equal(reply.retry_after_ms, -1);
    assert_string_equal(reply.location, "");
}

static void test_long_location(void **state)
{
    char line[1000] = "Location: ";
    size_t len = strlen(line);

    (void)state;
    memset(line + len, 'l', sizeof(line) - len - 1);
    assert_int_equal(header(line), sizeof(line) - 1);
    assert_int_equal(strlen(reply.location), sizeof(reply.location) - 1);
}

/* `name`: so many seconds from now, by this host's clock. */
static void header_at(const char *name, int64_t seconds)
{
    char line[100], date[64];
    time_t then = time(NULL) + (time_t)seconds;
    struct tm tm;

    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT",
             gmtime_r(&then, &tm));
    snprintf(line, sizeof(line), "%s: %s\r\n", name, date);
    header(line);
}

static int64_t ahead_of(int64_t seconds)
{
    header_at("Date", -seconds);
    return reply.clock_ahead_s;
}

static void test_clock(void **state)
{
    (void)state;
    assert_in_range(ahead_of(3600), 3540, 3600);
    assert_in_range(-ahead_of(-3600), 3540, 3600);
    header("Date: some day\r\n");
    assert_int_equal(reply.clock_ahead_s, 0);
}

/* The answer was written some time ago: the server thought for long, or this
 * process was stopped. */
static void test_clock_late(void **state)
{
    (void)state;
    reply.asked_at -= 300;
    assert_int_equal(ahead_of(290), 0);
    assert_int_equal(ahead_of(100), 0);
    assert_in_range(ahead_of(3600), 3240, 3300);
    assert_in_range(-ahead_of(-3600), 3540, 3600);
    reply.asked_at += 5000; /* our clock was set back meanwhile */
    assert_in_range(ahead_of(0), 0, 60);
    assert_in_range(ahead_of(3600), 3600, 3660);
}

/* A date is one by the server's clock, which may be another than ours. */
static void test_retry_at(void **state)
{
    const int64_t ahead[] = { 4000, -4000, 0 };
    int i, date_first;

    (void)state;
    for (i = 0; i < 3; i++) {
        for (date_first = 0; date_first <= 1; date_first++) {
            header("HTTP/1.1 503 x\r\n");
            if (date_first) {
                header_at("Date", ahead[i]);
            }
            header_at("Retry-After", ahead[i] + 120);
            if (!date_first) {
                header_at("Date", ahead[i]);
            }
            /* a busy machine may wait between the two */
            assert_in_range(reply.retry_after_ms, 110000, 130000);
        }
    }
}

static void test_retry_at_without_date(void **state)
{
    (void)state;
    header("HTTP/1.1 503 x\r\n");
    header_at("Retry-After", 120);
    assert_in_range(reply.retry_after_ms, 110000, 120000);
    header("Date: yesterday\r\n");
    assert_in_range(reply.retry_after_ms, 110000, 120000);
    header("HTTP/1.1 103 x\r\n");
    header_at("Date", -4000);
    header("HTTP/1.1 503 x\r\n");
    header_at("Retry-After", 120);
    assert_in_range(reply.retry_after_ms, 110000, 120000);
    header_at("Date", -4000);
    header("Retry-After: 7\r\n");
    assert_int_equal(reply.retry_after_ms, 7000);
}

static void test_long_retry(void **state)
{
    char line[200] = "Retry-After: ";

    (void)state;
    header("HTTP/1.1 503 x\r\n");
    memset(line + strlen(line), '1', 80);
    header(line);
    assert_int_equal(reply.retry_after_ms, -1);
}

/* The start is kept, the rest is taken up to a limit, which ends the
 * transfer. */
static void test_body(void **state)
{
    static char piece[16 * 1024];
    size_t took = 0, n;
    int i;

    (void)state;
    for (i = 0; i < 64; i++) {
        memset(piece, 'a' + i % 26, sizeof(piece));
        took += imx_reply_body(piece, 1, sizeof(piece), &reply);
        n = took < IMX_REPLY_KEPT ? took : IMX_REPLY_KEPT;
        assert_int_equal(reply.kept, n);
        assert_int_equal(reply.flooded, 0);
    }
    assert_int_equal(took, 1024 * 1024);
    for (n = 0; n < IMX_REPLY_KEPT; n++) {
        assert_int_equal(reply.said[n], 'a' + (int)(n / sizeof(piece)));
    }
    assert_int_equal(imx_reply_body(piece, 1, 1, &reply), 0);
    assert_int_equal(reply.flooded, 1);
    assert_int_equal(reply.kept, IMX_REPLY_KEPT);
}

/* A body that ends where no piece does. */
static void test_uneven(void **state)
{
    static char piece[IMX_REPLY_KEPT - 1];

    (void)state;
    memset(piece, 'a', sizeof(piece));
    imx_reply_body(piece, sizeof(piece), 1, &reply);
    assert_int_equal(reply.kept, IMX_REPLY_KEPT - 1);
    assert_int_equal(imx_reply_body(piece, 1, 10, &reply), 10);
    assert_int_equal(reply.kept, IMX_REPLY_KEPT);
    assert_int_equal(reply.received, IMX_REPLY_KEPT + 9);
}

/* Headers without end are no better. */
static void test_endless_headers(void **state)
{
    int i = 0;

    (void)state;
    while (header("X-Filler: 0123456789abcdef\r\n") != 0 && i < 100000) {
        i++;
    }
    assert_int_equal(reply.flooded, 1);
    assert_in_range(i, 30000, 40000);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_headers),
        TEST(test_interim),
        TEST(test_long_location),
        TEST(test_clock),
        TEST(test_clock_late),
        TEST(test_retry_at),
        TEST(test_retry_at_without_date),
        TEST(test_long_retry),
        TEST(test_body),
        TEST(test_uneven),
        TEST(test_endless_headers),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
