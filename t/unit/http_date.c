/*
 * http_date.c (unit) owns the tests of http_date.c, which has no state.
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

#include "deliver/http_date.h"

typedef struct {
    const char *value;
    int64_t seconds;
} date_row_t;

static const date_row_t dates[] = {
    /* RFC 9110's three forms of one second */
    { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
    { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
    { "Sun Nov  6 08:49:37 1994", 784111777 },
    { " \tSun, 06 Nov 1994 08:49:37 GMT \r\n", 784111777 },

    { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
    { "Thu, 29 Feb 2024 00:00:00 GMT", 1709164800 },
    { "Thu, 29 Feb 2024 23:59:59 GMT", 1709251199 },
    { "Sat, 31 Dec 1994 23:59:60 GMT", 788918400 }, /* a leap second */
    { "Tue, 19 Jan 2038 03:14:08 GMT", 2147483648 },
    { "Friday, 06-Nov-70 08:49:37 GMT", 26729377 }, /* 1970 .. 2069 */
    { "Tuesday, 01-Jan-69 00:00:00 GMT", 3124224000 },

    { "", -1 },
    { "soon", -1 },
    { "784111777", -1 },
    { "06 Nov 1994 08:49:37 GMT", -1 },
    { "Sun, 06 Nov 1994 08:49:37", -1 },
    { "Sun, 06 Nov 1994 08:49:37 CET", -1 },
    { "Sun, 06 Nov 1994 08:49:37 GMT+1", -1 },
    { "Sun, 06 Foo 1994 08:49:37 GMT", -1 },
    { "Sun, 06 anF 1994 08:49:37 GMT", -1 },
    { "Sun, 06 No 1994 08:49:37 GMT", -1 },
    { "Sun, 00 Nov 1994 08:49:37 GMT", -1 },
    { "Sun, 32 Nov 1994 08:49:37 GMT", -1 },
    { "Sun, 06 Nov 1994 24:49:37 GMT", -1 },
    { "Sun, 06 Nov 1994 08:60:37 GMT", -1 },
    { "Sun, 06 Nov 1994 08:49:61 GMT", -1 },
    { "Sun, 06 Nov 1994 -8:49:37 GMT", -1 },
    { "Sunday, 06-Nov-94 08:49:37 GMT x", -1 },
    { "Sun Nov  6 08:49:37 1994 GMT", -1 },
    { "Sundaysundaysundaysundaysundaysundaysundaysunday, 06 Nov 1994 08:49:37 "
      "GMT",
      -1 },
};

#define DATES (sizeof(dates) / sizeof(dates[0]))

static void assert_date(const char *value, size_t len, int64_t seconds)
{
    int64_t read = imx_http_date_read(value, len);

    if (read != seconds) {
        fail_msg("'%.*s': %lld", (int)len, value, (long long)read);
    }
}

static void test_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < DATES; i++) {
        assert_date(dates[i].value, strlen(dates[i].value), dates[i].seconds);
    }
}

/* A date is in GMT, wherever this host is. */
static void test_dates_elsewhere(void **state)
{
    setenv("TZ", "America/Lima", 1);
    tzset();
    test_dates(state);
}

/* A value need not end in NUL: what stands behind it is not read. */
static void test_ends(void **state)
{
    static const char *const forms[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
                                         "Sunday, 06-Nov-94 08:49:37 GMT" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(forms[i]);

        for (size_t n = 0; n <= len; n++) {
            char *copy = malloc(n + 1); /* no NUL, and "GMT" goes on */

            memcpy(copy, forms[i], n);
            copy[n] = '5';
            assert_date(copy, n, n == len ? 784111777 : -1);
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_dates_elsewhere),
        cmocka_unit_test(test_ends),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http_date", tests, NULL, NULL);
}
