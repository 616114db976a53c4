/*
 * retry_after.c (unit) owns the tests of retry_after.c, which has no state.
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

#include "deliver/retry_after.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

typedef struct {
    const char *value;
    int64_t ms;
} retry_row_t;

static const retry_row_t retries[] = {
    { "7", 7000 },
    { " 120\r\n", 120000 },
    { "1", 1000 },
    { "\t1 \n", 1000 },
    { "86399", 86399000 },
    { "86400", 86400000 },
    { "86401", 86400000 },
    { "999999999999999999999999999999999999999999", 86400000 },

    /* RFC 9110's three forms of one second */
    { "Sun, 06 Nov 1994 08:49:47 GMT", 10000 },
    { "Sunday, 06-Nov-94 08:49:47 GMT", 10000 },
    { "Sun Nov  6 08:49:47 1994", 10000 },
    { "Sun, 06 Nov 1994 09:49:37 GMT\r\n", 3600000 },
    { "Sun, 06 Nov 1994 08:49:38 GMT", 1000 },
    { "Sat, 31 Dec 1994 23:59:60 GMT", 86400000 },
    { "Tue, 01 Jan 2069 00:00:00 GMT", 86400000 },
    { "Tuesday, 01-Jan-69 00:00:00 GMT", 86400000 }, /* not 1969 */

    /* over, or just now */
    { "0", -1 },
    { "000", -1 },
    { "Sun, 06 Nov 1994 08:49:37 GMT", -1 },
    { "Sunday, 06-Nov-70 08:49:37 GMT", -1 },
    { "Thu, 01 Jan 1970 00:00:00 GMT", -1 },

    /* not to be read */
    { "", -1 },
    { "  ", -1 },
    { "soon", -1 },
    { "-5", -1 },
    { "+5", -1 },
    { "7.5", -1 },
    { "7s", -1 },
    { "0x10", -1 },
    { "7, 8", -1 },
    { "Sun, 06 Nov 1994 08:49:47", -1 },
    { "Sun, 06 Nov 1994 08:49:47 CET", -1 },
    { "Sun, 06 Nov 1994 08:49:47 GMT+1", -1 },
    { "Sun, 06 Foo 1994 08:49:47 GMT", -1 },
    { "Sun, 06 ovD 1994 08:49:47 GMT", -1 },
    { "Sun, 06 No 1994 08:49:47 GMT", -1 },
    { "Sun, 00 Dec 1994 08:49:47 GMT", -1 },
    { "Sun, 32 Dec 1994 08:49:47 GMT", -1 },
    { "Sun, 06 Nov 1994 24:49:47 GMT", -1 },
    { "Mon, 07 Nov 1994 -8:49:47 GMT", -1 },
    { "Sun, 06 Nov 1994 08:60:47 GMT", -1 },
    { "Sun, 06 Nov 1994 08:49:61 GMT", -1 },
    { "Sun, 06 Nov 1994 09:-1:47 GMT", -1 },
    { "Sun, 06 Nov 1994 08:50:-1 GMT", -1 },
    { "Sun, 06 Nov 1969 08:49:47 GMT", -1 },
    { "06 Nov 1994 08:49:47 GMT", -1 },
    { "Sun Nov  6 08:49:47 1994 x", -1 },
    { "Sun Nov  6 08:49:47", -1 },
    { "7777777777777777777777777777777777777777777777777777777777777777777777",
      -1 },
};

#define RETRIES (sizeof(retries) / sizeof(retries[0]))

static void test_retry_after(void **state)
{
    (void)state;
    for (size_t i = 0; i < RETRIES; i++) {
        int64_t ms = imx_retry_after_ms(retries[i].value,
                                        strlen(retries[i].value), NOW);

        if (ms != retries[i].ms) {
            fail_msg("'%s': %ld", retries[i].value, (long)ms);
        }
    }
}

/* Cut anywhere; and the zone of this host makes no difference. */
static void test_retry_after_cut(void **state)
{
    (void)state;
    setenv("TZ", "America/Lima", 1);
    tzset();
    test_retry_after(state);
    for (size_t i = 0; i < RETRIES; i++) {
        for (size_t n = 0; n <= strlen(retries[i].value); n++) {
            char *copy = malloc(n ? n : 1);
            int64_t ms;

            memcpy(copy, retries[i].value, n);
            ms = imx_retry_after_ms(copy, n, NOW);
            free(copy);
            assert_true(ms == -1 || (ms >= 1000 && ms <= 86400000));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry_after_cut),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("retry_after", tests, NULL, NULL);
}
