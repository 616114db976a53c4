/*
 * t/unit/slow.c: what each child tells of its slow requests: whole, within
 * bounds whatever is in the memory, of children that run and tell it, and the
 * longest of all first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/slow.h"

#include <stdlib.h>
#include <string.h>

#define CHILDREN 6
#define SECOND INT64_C(1000000000)
#define NOW (100 * SECOND)

static imx_slow_t slow;
static imx_children_t children;
static void *memory, *table;
static imx_children_self_t self[CHILDREN];

static int nobody_is_gone(pid_t pid, uint32_t start)
{
    (void)pid;
    (void)start;
    return 0;
}

static uint32_t no_start(pid_t pid)
{
    return (uint32_t)pid;
}

static int setup(void **state)
{
    size_t size = imx_slow_size(CHILDREN);
    int i;

    (void)state;
    memory = aligned_alloc(64, size);
    table = aligned_alloc(64, (imx_children_size(CHILDREN) + 63) / 64 * 64);
    memset(memory, 0, size);
    memset(table, 0, imx_children_size(CHILDREN));
    imx_slow_format(&slow, memory, CHILDREN);
    imx_children_format(&children, table, CHILDREN);
    children.is_gone = nobody_is_gone;
    children.start_of = no_start;
    for (i = 0; i < CHILDREN - 1; i++) {
        assert_int_equal(imx_children_join(&children, &self[i], 100 + i), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    free(table);
    return 0;
}

static imx_slow_row_t row_of(int i, int64_t at, unsigned count)
{
    imx_slow_row_t row = {
        .who = self[i].who, .at = at, .in_flight = count + 1, .count = count
    };
    unsigned k;

    for (k = 0; k < count; k++) {
        row.slow[k].began = at
                            - (int64_t)(k * CHILDREN + (unsigned)i) * SECOND;
        row.slow[k].series = (uint32_t)i;
        strcpy(row.slow[k].method, "GET");
        strcpy(row.slow[k].path, "/a");
    }
    return row;
}

static void tell(int i, int64_t at, unsigned count)
{
    imx_slow_row_t row = row_of(i, at, count);

    imx_slow_tell(&slow, self[i].slot, &row);
}

static void test_who_is_believed(void **state)
{
    imx_slow_row_t row;
    uint32_t slot = self[0].slot;

    (void)state;
    assert_false(imx_slow_told(&slow, &children, slot, NOW, &row));
    assert_int_equal(imx_slow_in_flight(&slow, &children, NOW), -1);
    tell(0, NOW, 2);
    assert_true(imx_slow_told(&slow, &children, slot, NOW + SECOND, &row));
    assert_int_equal(row.count, 2);
    assert_int_equal(imx_slow_in_flight(&slow, &children, NOW), 3);
    /* It is stopped; the clock of whoever wrote it is nonsense. */
    assert_false(
        imx_slow_told(&slow, &children, slot, NOW + 4 * SECOND, &row));
    assert_false(imx_slow_told(&slow, &children, slot, NOW - 1, &row));
    /* Another one has its slot now; nobody has. */
    row = row_of(0, NOW, 2);
    row.who++;
    imx_slow_tell(&slow, slot, &row);
    assert_false(imx_slow_told(&slow, &children, slot, NOW, &row));
    assert_false(imx_slow_told(&slow, &children, CHILDREN, NOW, &row));
    imx_slow_tell(&slow, CHILDREN, &row);
    imx_slow_tell(&slow, IMX_CHILDREN_NOBODY, &row);
    tell(0, NOW, 2);
    imx_children_died(&children, 100);
    assert_true(imx_slow_told(&slow, &children, slot, NOW, &row));
    imx_children_remove(&children, slot,
                        imx_children_dead(&children, slot, 0));
    assert_false(imx_slow_told(&slow, &children, slot, NOW, &row));
}

static void test_nonsense(void **state)
{
    imx_slow_row_t row;
    unsigned i;

    (void)state;
    memset(&row, 0xEE, sizeof row);
    row.who = self[1].who;
    row.at = NOW;
    imx_slow_tell(&slow, self[1].slot, &row);
    assert_true(imx_slow_told(&slow, &children, self[1].slot, NOW, &row));
    assert_int_equal(row.in_flight, 0);
    assert_int_equal(row.count, IMX_SLOW_PLACES);
    for (i = 0; i < IMX_SLOW_PLACES; i++) {
        assert_int_equal(row.slow[i].began, NOW);
        assert_int_equal(strlen(row.slow[i].method), IMX_SLOW_METHOD_MAX);
        assert_int_equal(strlen(row.slow[i].path), IMX_SLOW_PATH_MAX);
        assert_non_null(imx_slow_wait(row.slow[i].wait));
    }
    row.slow[0].began = INT64_MIN;
    row.slow[1].began = INT64_MAX;
    imx_slow_tell(&slow, self[1].slot, &row);
    assert_true(imx_slow_told(&slow, &children, self[1].slot, NOW, &row));
    assert_int_equal(row.slow[0].began, NOW);
    assert_int_equal(row.slow[1].began, NOW);
}

/* More than the list has places for: the longest, in order. */
static void test_the_longest_first(void **state)
{
    imx_slow_list_t list;
    unsigned i;

    (void)state;
    for (i = 0; i < CHILDREN - 1; i++) {
        tell((int)i, NOW, IMX_SLOW_PLACES);
    }
    assert_int_equal(imx_slow_list(&slow, &children, NOW, &list),
                     (CHILDREN - 1) * (IMX_SLOW_PLACES + 1));
    assert_int_equal(list.count, IMX_SLOW_LISTED);
    assert_int_equal(list.of[0].elapsed / SECOND,
                     (IMX_SLOW_PLACES - 1) * CHILDREN + CHILDREN - 2);
    assert_int_equal(list.of[0].pid, 100 + CHILDREN - 2);
    for (i = 1; i < list.count; i++) {
        assert_true(list.of[i].elapsed < list.of[i - 1].elapsed);
    }
    /* All but the eight shortest of forty: each 6th second has no request. */
    assert_int_equal(list.of[IMX_SLOW_LISTED - 1].elapsed / SECOND, 9);
    tell(0, NOW, 0);
    for (i = 1; i < CHILDREN - 1; i++) {
        tell((int)i, NOW, i == 2);
    }
    imx_slow_list(&slow, &children, NOW, &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.of[0].request.series, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_longest_first, setup,
                                        teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("slow", tests, NULL, NULL);
}
