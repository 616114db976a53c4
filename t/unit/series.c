/*
 * The names of series: numbers that stay, a part that is full, names that are
 * too long, and a part that somebody wrote nonsense into.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "shared/series.h"

static imx_series_t make(uint32_t capacity)
{
    imx_series_t s;
    void *p = mmap(NULL, imx_series_size(capacity), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    imx_series_format(&s, p, capacity);
    return s;
}

static void is_named(const imx_series_t *s, uint32_t series,
                     const char *server, const char *route)
{
    imx_series_name_t name = imx_series_name(s, series);

    assert_string_equal(name.server, server);
    assert_string_equal(name.route, route);
}

static void numbers_stay(void **state)
{
    imx_series_t s = make(10);

    (void)state;
    assert_int_equal(imx_series_count(&s), 1);
    is_named(&s, IMX_SERIES_OTHER, "other", "");
    assert_int_equal(imx_series_use(&s, "www.example.org", NULL), 1);
    assert_int_equal(imx_series_use(&s, "www.example.org", "cart"), 2);
    assert_int_equal(imx_series_use(&s, "www.example.org", "unmatched"), 3);
    assert_int_equal(imx_series_use(&s, "cart", NULL), 4);
    /* after a graceful restart */
    assert_int_equal(imx_series_use(&s, "www.example.org", "cart"), 2);
    assert_int_equal(imx_series_use(&s, "www.example.org", NULL), 1);
    assert_int_equal(imx_series_use(&s, "", NULL), 5);
    assert_int_equal(imx_series_count(&s), 6);
    is_named(&s, 2, "www.example.org", "cart");
    is_named(&s, 4, "cart", "");
}

/* A virtual host that is called so is counted there. */
static void other_is_one_series(void **state)
{
    imx_series_t s = make(10);

    (void)state;
    assert_int_equal(imx_series_use(&s, "other", NULL), IMX_SERIES_OTHER);
    assert_int_equal(imx_series_use(&s, "other", "cart"), 1);
}

static void what_finds_no_place_is_other(void **state)
{
    imx_series_t s = make(3);

    (void)state;
    assert_int_equal(imx_series_use(&s, "a", NULL), 1);
    assert_int_equal(imx_series_use(&s, "b", NULL), 2);
    assert_int_equal(imx_series_use(&s, "c", NULL), IMX_SERIES_OTHER);
    assert_int_equal(imx_series_use(&s, "b", NULL), 2);
    assert_int_equal(imx_series_count(&s), 3);
    is_named(&s, 3, "other", "");
    is_named(&s, UINT32_MAX, "other", "");
}

static void long_names_are_cut(void **state)
{
    imx_series_t s = make(3);
    char name[300], cut[IMX_SERIES_NAME_MAX + 1];

    (void)state;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    memcpy(name + IMX_SERIES_NAME_MAX - 1, "\xC3\xA4", 2); /* across the end */
    memset(cut, 'x', sizeof cut);
    cut[IMX_SERIES_NAME_MAX - 1] = '\0';
    assert_int_equal(imx_series_use(&s, name, name), 1);
    is_named(&s, 1, cut, cut);
    assert_int_equal(imx_series_use(&s, name, name), 1);
}

/* The count and a name without an end, as a hostile process would write. */
static void nonsense_stays_inside(void **state)
{
    imx_series_t s = make(4);
    imx_series_name_t name;

    (void)state;
    memset(s.part, 0xA5, imx_series_size(4));
    assert_int_equal(imx_series_count(&s), 4);
    name = imx_series_name(&s, 2);
    assert_int_equal(strlen(name.server), IMX_SERIES_NAME_MAX);
    assert_int_equal(strlen(name.route), IMX_SERIES_NAME_MAX);
    assert_int_equal(imx_series_use(&s, "a", NULL), IMX_SERIES_OTHER);
    memset(s.part, 0, imx_series_size(4));
    assert_int_equal(imx_series_count(&s), 1);
    assert_int_equal(imx_series_use(&s, "a", NULL), 1);
}

static void places_for_names(void **state)
{
    (void)state;
    assert_int_equal(imx_series_plan(0), 128);
    assert_int_equal(imx_series_plan(63), 128);
    assert_int_equal(imx_series_plan(64), 129);
    assert_int_equal(imx_series_plan(4000), 4065);
    assert_int_equal(imx_series_plan(4090), IMX_SERIES_MOST);
    assert_int_equal(imx_series_plan(UINT32_MAX), IMX_SERIES_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stay),
        cmocka_unit_test(other_is_one_series),
        cmocka_unit_test(what_finds_no_place_is_other),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(nonsense_stays_inside),
        cmocka_unit_test(places_for_names),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
