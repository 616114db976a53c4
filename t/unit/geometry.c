/*
 * geometry.c (unit) owns the tests of geometry.c: how large the batch is.  What
 * becomes of the lines when that changes is in batch.c.
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

#include "shared/batch.h"
#include "shared/segment.h"

static void test_plan(void **state)
{
    static const uint32_t limits[] = { 1, 2, 16, 100, 400, 2000, 16000 };
    imx_batch_geometry_t g;
    size_t i, size;
    int raised;

    (void)state;
    for (i = 0; i < sizeof limits / sizeof *limits; i++) {
        for (size = 0; size < (size_t)1 << 32; size = size * 3 / 2 + 999) {
            imx_batch_plan(size, limits[i], 4096, &g, &raised);
            assert_true(g.children > limits[i]);
            assert_true(g.children < IMX_BATCH_NOBODY);
            assert_true(g.segments >= 2 * limits[i]);
            assert_true(g.segment_size == 16384 || g.segment_size == 32768
                        || g.segment_size == 65536);
            if (raised) {
                assert_int_equal(g.segment_size, IMX_BATCH_SEGMENT_MIN);
                assert_true((size_t)g.segments * g.segment_size > size);
            }
            else {
                assert_true((size_t)g.segments * g.segment_size <= size);
                assert_true((size_t)(g.segments + 1) * g.segment_size > size);
            }
        }
    }
}

static void test_plan_of_the_defaults(void **state)
{
    imx_batch_geometry_t g;
    int raised;

    (void)state;
    imx_batch_plan(32u << 20, 16, 4096, &g, &raised);
    assert_int_equal(raised, 0);
    assert_int_equal(g.segments, 512);
    assert_int_equal(g.segment_size, 65536);
    imx_batch_plan(1u << 20, 16, 4096, &g, &raised);
    assert_int_equal(raised, 0);
    assert_int_equal(g.segments, 64);
    assert_int_equal(g.segment_size, 16384);
    imx_batch_plan(1u << 20, 256, 4096, &g, &raised);
    assert_int_not_equal(raised, 0);
    imx_batch_plan(0, 1, 4096, &g, &raised);
    assert_int_not_equal(raised, 0);
    imx_batch_plan(0, UINT32_MAX, 4096, &g, &raised);
    assert_true(g.children < IMX_BATCH_NOBODY);
    imx_batch_plan((size_t)1 << 45, 16, 4096, &g, &raised);
    assert_true(g.segments < 1u << 24);
}

static void test_pages_of_other_sizes(void **state)
{
    static const uint32_t pages[] = { 4096, 16384, 65536 };
    imx_batch_geometry_t g;
    size_t i, size;
    int raised;

    (void)state;
    for (i = 0; i < 3; i++) {
        for (size = 0; size < 1u << 28; size = size * 2 + 1000) {
            imx_batch_plan(size, 16, pages[i], &g, &raised);
            assert_int_equal(g.segment_size % pages[i], 0);
            assert_int_equal(g.page, pages[i]);
            assert_in_range(g.segment_size, IMX_BATCH_SEGMENT_MIN,
                            IMX_BATCH_SEGMENT_MAX);
        }
    }
}

/* Three segments a child and 16, and not more bytes for that than needed. */
static void test_what_children_need(void **state)
{
    static const struct {
        size_t size;
        uint32_t children, page, segments, segment_size;
        int raised;
    } rows[] = {
        { 32u << 20, 16, 4096, 512, 65536, 0 },
        { 4u << 20, 4, 4096, 128, 32768, 0 }, /* 4 * 28 of them at least */
        { 1u << 20, 16, 4096, 64, 16384, 0 },
        { 1u << 20, 17, 4096, 67, 16384, 1 },
        { 1u << 20, 1, 65536, 19, 65536, 1 }, /* whole pages */
        { 1u << 20, 1, 16384, 64, 16384, 0 },
        { 0, 1, 4096, 19, 16384, 1 },
    };
    imx_batch_geometry_t g;
    size_t i;
    int raised;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        imx_batch_plan(rows[i].size, rows[i].children, rows[i].page, &g,
                       &raised);
        assert_int_equal(g.segments, rows[i].segments);
        assert_int_equal(g.segment_size, rows[i].segment_size);
        assert_int_equal(g.room, g.segments);
        assert_int_equal(g.children, 2 * rows[i].children + 16);
        assert_int_equal(raised, rows[i].raised);
    }
}

/* Addresses to grow into: never fewer than there are, nor more than a number
 * of a segment can say. */
static void test_reserve(void **state)
{
    imx_batch_geometry_t g;
    int raised;

    (void)state;
    imx_batch_plan(32u << 20, 16, 4096, &g, &raised);
    imx_batch_reserve(0, &g);
    assert_int_equal(g.room, 512);
    imx_batch_reserve((1u << 30) + 1000, &g);
    assert_int_equal(g.room, 16384);
    assert_int_equal(g.segments, 512);
    assert_int_equal(imx_batch_data_size(&g), 1u << 30);
    imx_batch_reserve(1u << 25, &g);
    assert_int_equal(g.room, 16384);
    imx_batch_reserve((size_t)1 << 50, &g);
    assert_int_equal(g.room, (1u << INDEX_BITS) - 1);
}

/* Each change of the size stays within what was reserved, and writes nothing
 * behind the part's end. */
static void test_resize_stays_inside(void **state)
{
    enum { GUARD = 64 };
    imx_batch_geometry_t g;
    imx_children_t children = { 0 };
    imx_batch_t batch;
    size_t size, i, segment;
    unsigned char *words;
    int raised;

    (void)state;
    imx_batch_plan(1u << 20, 2, 4096, &g, &raised);
    imx_batch_reserve(4u << 20, &g);
    segment = g.segment_size;
    size = (imx_batch_size(&g) + GUARD - 1) / GUARD * GUARD;
    words = aligned_alloc(64, size + GUARD);
    memset(words, 0, size);
    memset(words + imx_batch_size(&g), 0xa5,
           size + GUARD - imx_batch_size(&g));
    imx_batch_format(&batch, words, NULL, &g, &children);
    assert_int_equal(imx_batch_resize(&batch, 2u << 20, &raised), 2u << 20);
    assert_int_equal(raised, 0);
    assert_int_equal(imx_batch_resize(&batch, SIZE_MAX, &raised), 4u << 20);
    assert_int_equal(raised, 0);
    /* Two children and 22 segments: no fewer. */
    assert_int_equal(imx_batch_resize(&batch, 0, &raised), 22 * segment);
    assert_int_equal(raised, 1);
    assert_int_equal(imx_batch_resize(&batch, 22 * segment, &raised),
                     22 * segment);
    assert_int_equal(raised, 0);
    assert_int_equal(imx_batch_resize(&batch, 4u << 20, &raised), 4u << 20);
    for (i = imx_batch_size(&g); i < size + GUARD; i++) {
        assert_int_equal(words[i], 0xa5);
    }
    free(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_plan_of_the_defaults),
        cmocka_unit_test(test_pages_of_other_sizes),
        cmocka_unit_test(test_what_children_need),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_resize_stays_inside),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("geometry", tests, NULL, NULL);
}
