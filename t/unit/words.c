/*
 * t/unit/words.c: how numbers and strings are written for people and programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char got[512];

#define IS(call, expected) \
    do { \
        assert_int_equal(call, strlen(expected)); \
        assert_string_equal(got, expected); \
    } while (0)
#define JSON(text, expected) \
    IS(imx_words_json(got, sizeof got, text), "\"" expected "\"")

static void json_escapes(void **state)
{
    (void)state;
    JSON("", "");
    JSON("plain", "plain");
    JSON("a\"b\\c", "a\\u0022b\\u005cc");
    JSON("\n\t\x01\x7f", "\\u000a\\u0009\\u0001\\u007f");
    JSON("größe € \xF0\x9F\x98\x80", "größe € \xF0\x9F\x98\x80");
}

#define NO "\xEF\xBF\xBD"

static void json_is_utf8(void **state)
{
    (void)state;
    JSON("\xFF", NO);
    JSON("a\xC3", "a" NO);                 /* ends in the middle */
    JSON("\xC3(", NO "(");                 /* the next byte is not eaten */
    JSON("\xE2\x82", NO NO);               /* two of three */
    JSON("\xC0\xAF", NO NO);               /* overlong */
    JSON("\xE0\x80\xAF", NO NO NO);        /* overlong */
    JSON("\xF0\x80\x80\xAF", NO NO NO NO); /* overlong */
    JSON("\xED\xA0\x80", NO NO NO);        /* a surrogate */
    JSON("\xED\x9F\xBF", "\xED\x9F\xBF");
    JSON("\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF");
    JSON("\xF4\x90\x80\x80", NO NO NO NO); /* beyond U+10FFFF */
    JSON("\x80\xC2\xA0", NO "\xC2\xA0");
}

#define LABEL(text, expected) \
    IS(imx_words_label(got, sizeof got, text), expected)

static void label(void **state)
{
    (void)state;
    LABEL("", "");
    LABEL("plain größe", "plain größe");
    LABEL("a\"b\\c\nd", "a\\\"b\\\\c\\nd");
    LABEL("\t\r\x01\x7f", NO NO NO NO);
    LABEL(
        "\xFF"
        "a\xC3",
        NO "a" NO);
}

/* Whatever the room: never beyond it, and no character cut in the middle. */
static void room(void **state)
{
    const char *text = "a\"€";
    size_t whole = imx_words_json(NULL, 0, text), size;

    (void)state;
    assert_int_equal(whole, 1 + 1 + 6 + 3 + 1);
    for (size = 1; size <= whole + 1; size++) {
        char *to = malloc(size); /* the sanitizer watches its end */

        assert_non_null(to);
        assert_int_equal(imx_words_json(to, size, text), whole);
        assert_true(strlen(to) < size);
        assert_memory_equal(to, "\"a\\u0022€\"", strlen(to));
        assert_true(strlen(to) == 0 || strlen(to) == 1 || strlen(to) == 2
                    || strlen(to) == 8 || strlen(to) == 11
                    || strlen(to) == whole);
        assert_int_equal(strlen(to) == whole, size == whole + 1);
        free(to);
    }
}

static void line(void **state)
{
    (void)state;
    IS(imx_words_line(got, sizeof got, "a\r\nb\x7f\xC3\xB6"), "a  b \xC3\xB6");
    IS(imx_words_line(got, sizeof got, "\xC3\xFF\tz\xE2\x82"),
       "\xEF\xBF\xBD\xEF\xBF\xBD z\xEF\xBF\xBD\xEF\xBF\xBD");
}

static void number(void **state)
{
    (void)state;
    IS(imx_words_number(got, sizeof got, 0), "0");
    IS(imx_words_number(got, sizeof got, 999), "999");
    IS(imx_words_number(got, sizeof got, 1000), "1,000");
    IS(imx_words_number(got, sizeof got, 12345678), "12,345,678");
    IS(imx_words_number(got, sizeof got, -1000), "-1,000");
    IS(imx_words_number(got, sizeof got, INT64_MIN),
       "-9,223,372,036,854,775,808");
}

static void duration(void **state)
{
    (void)state;
    IS(imx_words_duration(got, sizeof got, -5), "0 seconds");
    IS(imx_words_duration(got, sizeof got, 0), "0 seconds");
    IS(imx_words_duration(got, sizeof got, 1), "1 second");
    IS(imx_words_duration(got, sizeof got, 60), "1 minute");
    IS(imx_words_duration(got, sizeof got, 200), "3 minutes 20 seconds");
    IS(imx_words_duration(got, sizeof got, 3601), "1 hour");
    IS(imx_words_duration(got, sizeof got, 7500), "2 hours 5 minutes");
    IS(imx_words_duration(got, sizeof got, 90061), "1 day 1 hour");
    IS(imx_words_duration(got, sizeof got, INT64_MAX),
       "106751991167300 days 15 hours");
}

static void taken(void **state)
{
    (void)state;
    IS(imx_words_taken(got, sizeof got, 0), "0 s");
    IS(imx_words_taken(got, sizeof got, -1), "0 s");
    IS(imx_words_taken(got, sizeof got, NAN), "0 s");
    IS(imx_words_taken(got, sizeof got, 0.0000154), "15 µs");
    IS(imx_words_taken(got, sizeof got, 0.00099949), "999 µs");
    IS(imx_words_taken(got, sizeof got, 0.0009996), "1.00 ms");
    IS(imx_words_taken(got, sizeof got, 0.0598), "59.8 ms");
    IS(imx_words_taken(got, sizeof got, 0.9996), "1.00 s");
    IS(imx_words_taken(got, sizeof got, 41.23), "41.2 s");
    IS(imx_words_taken(got, sizeof got, 59.96), "1 min");
    IS(imx_words_taken(got, sizeof got, 130), "2 min 10 s");
    IS(imx_words_taken(got, sizeof got, 3553200), "41 d 3 h");
    IS(imx_words_taken(got, sizeof got, 1e300), "106751991167300 d 15 h");
}

static void bytes(void **state)
{
    (void)state;
    IS(imx_words_bytes(got, sizeof got, 0), "0 bytes");
    IS(imx_words_bytes(got, sizeof got, 1), "1 byte");
    IS(imx_words_bytes(got, sizeof got, 1023), "1023 bytes");
    IS(imx_words_bytes(got, sizeof got, 1024), "1 KB");
    IS(imx_words_bytes(got, sizeof got, 1536), "1.5 KB");
    IS(imx_words_bytes(got, sizeof got, 1048575), "1 MB");
    IS(imx_words_bytes(got, sizeof got, 33554432), "32 MB");
    IS(imx_words_bytes(got, sizeof got, UINT64_MAX), "16 EB");
}

static void times(void **state)
{
    (void)state;
    IS(imx_words_time(got, sizeof got, 0), "1970-01-01 00:00:00 UTC");
    IS(imx_words_time(got, sizeof got, 1764165747), "2025-11-26 14:02:27 UTC");
    IS(imx_words_time(got, sizeof got, INT64_MAX),
       "9223372036854775807 seconds since 1970");
    imx_words_time(got, sizeof got, INT64_MAX / 1000000000);
    assert_string_equal(got, "2262-04-11 23:47:16 UTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_escapes), cmocka_unit_test(json_is_utf8),
        cmocka_unit_test(room),         cmocka_unit_test(line),
        cmocka_unit_test(number),       cmocka_unit_test(duration),
        cmocka_unit_test(taken),        cmocka_unit_test(bytes),
        cmocka_unit_test(times),        cmocka_unit_test(label),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
