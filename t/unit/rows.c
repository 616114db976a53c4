/*
 * t/unit/rows.c: rows of queries become lines (intake/rows.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "intake/parse.h"
#include "intake/rows.h"

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))
#define TIME 5

static imx_rows_t rows;
static char text[8192];

static const char *line(const char *const *values)
{
    size_t len = imx_rows_line(&rows, values, TIME, text, sizeof text - 1);

    text[len] = '\0';
    return text;
}

static void begins(const char *const *names, int n)
{
    assert_true(imx_rows_begin(&rows, "m", names, n));
    assert_string_equal(rows.wrong, "");
}

static void does_not(const char *const *names, int n, const char *why)
{
    assert_false(imx_rows_begin(&rows, "m", names, n));
    assert_non_null(strstr(rows.wrong, why));
}

static void test_kinds(void **state)
{
    const char *names[] = { "int:i",  "b", "str:s p", "float:f",
                            "bool:o", "a", "tag:x:y" };
    const char *all[] = { "12", "bee", "3", "1.50", "t", "7", "z" };
    const char *none[] = { NULL, "bee", NULL, NULL, "false", "", NULL };
    const char *nothing[] = { NULL, "bee", NULL, NULL, NULL, NULL, NULL };

    (void)state;
    begins(names, COUNT(names));
    assert_string_equal(line(all),
                        "m,a=7,b=bee,x:y=z i=12i,s\\ p=\"3\",f=1.5,"
                        "o=true 5\n");
    assert_string_equal(line(none), "m,b=bee o=false 5\n");
    assert_string_equal(line(nothing), "");
    assert_int_equal(rows.left_out, 0);
}

static void test_wrong_values(void **state)
{
    const char *names[] = { "int:i", "float:f", "bool:o" };
    const char *bad[] = { "1.5", "NaN", "perhaps" };
    const char *one[] = { "x", "1e3", NULL };

    (void)state;
    begins(names, COUNT(names));
    assert_string_equal(line(bad), "");
    assert_int_equal(rows.left_out, 3);
    assert_non_null(strstr(rows.wrong, "\"o\" is neither true nor false"));
    assert_string_equal(line(one), "m f=1000 5\n");
    assert_int_equal(rows.left_out, 1);
}

static void test_columns(void **state)
{
    const char *no_field[] = { "a", "time" };
    const char *twice[] = { "a", "int:a" };
    const char *kind[] = { "integer:a" };
    const char *under[] = { "int:_a" };
    const char *no_name[] = { "int:" };
    const char *control[] = { "int:a\nb" };
    const char *latin1[] = { "int:caf\xe9" };
    const char *mended[] = { "int:caf\xef\xbf\xbd" };
    const char *utf8[] = { "int:caf\xc3\xa9" };
    const char *two[] = { "time", "int:a", "time" };
    const char *many[IMX_ROWS_COLUMNS_MAX + 1];
    char names[IMX_ROWS_COLUMNS_MAX + 1][16];
    char longest[400];
    const char *is_long[] = { longest };
    int i;

    (void)state;
    does_not(no_field, COUNT(no_field), "no column is a field");
    does_not(twice, COUNT(twice), "the name of another column");
    does_not(two, COUNT(two), "the name of another column");
    does_not(kind, COUNT(kind), "begins with none of");
    does_not(under, COUNT(under), "has no name");
    does_not(no_name, COUNT(no_name), "has no name");
    does_not(control, COUNT(control), "has no name");
    does_not(latin1, COUNT(latin1), "in UTF-8");
    does_not(mended, COUNT(mended), "has no name");
    begins(utf8, COUNT(utf8));
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "int:", 4);
    longest[sizeof longest - 1] = '\0';
    does_not(is_long, 1, "has no name");
    for (i = 0; i < COUNT(many); i++) {
        snprintf(names[i], sizeof names[i], "int:%d", i);
        many[i] = names[i];
    }
    begins(many, IMX_ROWS_COLUMNS_MAX);
    does_not(many, COUNT(many), "more than 64 columns");
}

static void test_times(void **state)
{
    static const struct {
        const char *text, *line;
    } times[] = {
        { "0", "m n=1i 0\n" },
        { "1700000000", "m n=1i 1700000000000000000\n" },
        { "1700000000.25", "m n=1i 1700000000250000000\n" },
        { "1700000000.1234567891", "m n=1i 1700000000123456789\n" },
        { "-1.5", "m n=1i -1500000000\n" },
        { NULL, "m n=1i 5\n" },
    };
    static const char *const bad[] = {
        "",   "-",   ".",           "1.2.3",      "1e9",
        " 1", "now", "99999999999", "2026-01-01", "+1"
    };
    const char *names[] = { "time", "int:n" };
    const char *values[] = { NULL, "1" };
    int i;

    (void)state;
    begins(names, 2);
    for (i = 0; i < COUNT(times); i++) {
        values[0] = times[i].text;
        assert_string_equal(line(values), times[i].line);
        assert_int_equal(rows.left_out, 0);
    }
    for (i = 0; i < COUNT(bad); i++) {
        values[0] = bad[i];
        assert_string_equal(line(values), "m n=1i 5\n");
        assert_int_equal(rows.left_out, 1);
    }
}

/* Whatever stands in them: one line, which every engine takes, or none. */
static void test_random(void **state)
{
    static const char bytes[] = ", =\\\"\n\r\t\x01\x7f\xc3\xa9\xffxi01.-e_#:";
    const char *names[] = { "a",      "int:i", "str:s", "float:f",
                            "bool:b", "time",  "t" };
    char cells[COUNT(names)][64];
    const char *values[COUNT(names)];
    unsigned seed = 1;
    int n, i, taken = 0;

    (void)state;
    begins(names, COUNT(names));
    for (n = 0; n < 200000; n++) {
        static imx_parse_t parse;
        imx_parse_line_t found;
        size_t len;

        for (i = 0; i < COUNT(names); i++) {
            int k, size = rand_r(&seed) % 12;

            for (k = 0; k < size; k++) {
                cells[i][k] = bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
            }
            cells[i][size] = '\0';
            values[i] = rand_r(&seed) % 8 == 0 ? NULL : cells[i];
        }
        len = imx_rows_line(&rows, values, TIME, text, sizeof text);
        if (len == 0) {
            continue;
        }
        taken++;
        imx_parse_begin(&parse, text, len, IMX_PARSE_NANOSECONDS);
        assert_int_equal(imx_parse_next(&parse, &found), 1);
        assert_int_equal(found.measurement.len, 1);
        assert_int_equal(imx_parse_next(&parse, &found), 0);
    }
    assert_true(taken > 50000);
}

/* No byte behind the end, however long the values are. */
static void test_long(void **state)
{
    const char *names[] = { "a", "str:s0", "str:s1", "str:s2", "str:s3" };
    const char *values[COUNT(names)];
    char value[3000], *buf;
    size_t size;
    int i;

    (void)state;
    begins(names, COUNT(names));
    memset(value, '"', sizeof value);
    value[sizeof value - 1] = '\0';
    for (i = 0; i < COUNT(names); i++) {
        values[i] = value;
    }
    for (size = 1; size < 12000; size += 97) {
        buf = malloc(size);
        if (imx_rows_line(&rows, values, TIME, buf, size) == 0) {
            assert_int_equal(rows.left_out, 1);
            assert_non_null(strstr(rows.wrong, "longer than a point"));
        }
        free(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_columns), cmocka_unit_test(test_times),
        cmocka_unit_test(test_random),  cmocka_unit_test(test_long),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
