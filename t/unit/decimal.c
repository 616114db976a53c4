/*
 * t/unit/decimal.c: the text of a double reads back as the same bits, and is
 * one that InfluxDB 1.x reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/decimal.h"
#include "judge.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEFORE "m f="
#define AFTER " 1\n"

static char buf[128], text[64];
static size_t length;

/* ---- random numbers that are the same in every run ---- */

static uint64_t seed = 88172645463325252u;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545F4914F6CDD1Du;
}

static size_t below(size_t n)
{
    return (size_t)((random64() >> 11) % n);
}

/* ---- the tests ---- */

static double from_bits(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The text of v; buf has a line around it. */
static const char *text_of(double v)
{
    char *first = buf + strlen(BEFORE), *end = imx_decimal_write(first, v);

    memcpy(buf, BEFORE, strlen(BEFORE));
    memcpy(text, first, (size_t)(end - first));
    text[end - first] = '\0';
    assert_true(end - first <= IMX_DECIMAL_MAX);
    memcpy(end, AFTER, strlen(AFTER));
    length = (size_t)(end - buf) + strlen(AFTER);
    return text;
}

/* The double next to v > 0, above or below. */
static double beside(double v, int step)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return from_bits(bits + (uint64_t)(int64_t)step);
}

/* Reads back as the same bits, in a form that InfluxDB 1.x reads. */
static void check(double v)
{
    static char scratch[128];
    const char *seen_text = text_of(v);
    const char *wrong;
    judge_line_t line;
    double seen;

    wrong = judge_line(&line, buf, length, scratch);
    if (wrong != NULL || line.field[0].type != 'f') {
        fail_msg("%a is written as %s: %s", v, seen_text, wrong);
    }
    seen = strtod(seen_text, NULL);
    if (memcmp(&seen, &v, sizeof v) != 0
        || memcmp(&line.field[0].f, &v, sizeof v) != 0) {
        fail_msg("%a is written as %s, read as %a", v, seen_text, seen);
    }
}

static void check_neighbours(double v)
{
    check(v);
    check(-v);
    check(beside(v, -1));
    if (v < DBL_MAX) {
        check(beside(v, 1));
    }
}

static void texts(void **state)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 0.0, "0" },
        { -0.0, "-0" },
        { 1.0, "1" },
        { -1.0, "-1" },
        { 0.1, "0.1" },
        { 0.3, "0.3" },
        { 0.000312, "0.000312" },
        { 12.5, "12.5" },
        { 100.0, "100" },
        { 1e15, "1000000000000000" },
        { 123456789.125, "123456789.125" },
        { -0.05, "-0.05" },
        { 999999999999999.0, "999999999999999" },
        { 99.99, "99.99" },
        { 1e-7, "0.0000001" },
        { 1e22, "1e22" },
        { 5e-324, "4.9406564584124654e-324" },
        { -DBL_MAX, "-1.7976931348623157e308" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(text_of(cases[i].v), cases[i].text);
        check(cases[i].v);
    }
}

static void edges(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 52; i++) { /* powers of two */
        check_neighbours(from_bits(UINT64_C(1) << i));
    }
    for (i = 1; i < 2047; i++) {
        check_neighbours(from_bits((uint64_t)i << 52));
    }
    for (i = -323; i <= 308; i++) {
        char number[16];

        snprintf(number, sizeof number, "1e%d", i);
        check_neighbours(strtod(number, NULL));
        number[0] = '5';
        if (i < 308) {
            check_neighbours(strtod(number, NULL));
        }
    }
    check_neighbours(DBL_MAX);
    check_neighbours(DBL_MIN);
    check_neighbours(9007199254740992.0);
    check_neighbours(1.0 / 3);
    check(0.0);
    check(-0.0);
    for (i = 1; i < 2000; i++) {
        check(from_bits((uint64_t)i)); /* subnormals */
        check(from_bits((UINT64_C(1) << 52) - (uint64_t)i));
        check(from_bits(random64() & ((UINT64_C(1) << 52) - 1)));
    }
}

static void a_million(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 1000000; i++) {
        double v = from_bits(random64());

        if (isfinite(v)) {
            check(v);
        }
    }
}

/* A number with at most 15 digits is written as a person would write it. */
static void as_a_person_writes(void **state)
{
    char number[40];
    int i;

    (void)state;
    for (i = 0; i < 200000; i++) {
        uint64_t m = random64() % UINT64_C(1000000000000000) >> below(50);
        unsigned k = (unsigned)below(16);
        uint64_t unit = 1;
        unsigned j;
        char *end;

        for (j = 0; j < k; j++) {
            unit *= 10;
        }
        end = number + snprintf(number, sizeof number, "%" PRIu64, m / unit);
        if (m % unit > 0) {
            end += sprintf(end, ".%0*" PRIu64, (int)k, m % unit);
            while (end[-1] == '0') {
                *--end = '\0';
            }
        }
        assert_string_equal(text_of(strtod(number, NULL)), number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(edges),
        cmocka_unit_test(a_million),
        cmocka_unit_test(as_a_person_writes),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("decimal", tests, NULL, NULL);
}
