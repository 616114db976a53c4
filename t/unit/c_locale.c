/*
 * c_locale.c (unit) owns the tests of c_locale.c: numbers with a point, also
 * where this process has a locale with a comma, which t/unit-c_locale.t makes.
 * One thread.
 * Nothing survives a crash, and nothing needs to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/c_locale.h"

static void numbers_have_a_point(void)
{
    char text[32], *end;

    assert_int_equal(imx_c_locale_print(text, sizeof(text), "%.2f %s %d", 1.5,
                                        "x", 7),
                     8);
    assert_string_equal(text, "1.50 x 7");
    assert_int_equal(imx_c_locale_print(text, 3, "%g", 0.25), 4);
    assert_string_equal(text, "0.");
    assert_true(imx_c_locale_double("0.25,5", &end) == 0.25);
    assert_string_equal(end, ",5");
}

static void test_as_it_is(void **state)
{
    (void)state;
    numbers_have_a_point();
}

/* A comma for this process, and still one behind each of our calls. */
static void test_with_a_comma(void **state)
{
    char text[32];

    (void)state;
    if (setlocale(LC_ALL, "comma") == NULL) {
        print_message("# no locale with a comma\n");
        skip();
    }
    numbers_have_a_point();
    snprintf(text, sizeof(text), "%.2f", 1.5);
    assert_string_equal(text, "1,50");
    assert_true(strtod("0,25", NULL) == 0.25);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_it_is),
        cmocka_unit_test(test_with_a_comma),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("c_locale", tests, NULL, NULL);
}
