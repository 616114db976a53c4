/*
 * t/unit/backlog_claims.c: segments on their way into a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/backlog_claims.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE "m,host=one n=1i 1763961600123456789\n"

static imx_batch_t batch;
static imx_batch_child_t child;
static imx_backlog_claims_t c;
static void *area;
static size_t size;

static int setup(void **state)
{
    imx_batch_geometry_t geometry;
    int raised, i;

    (void)state;
    size = imx_batch_plan(1 << 20, 4, &geometry, &raised);
    area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    if (area == MAP_FAILED || imx_batch_format(&batch, area, &geometry) != 0
        || imx_batch_join(&child, &batch, getpid()) != 0) {
        return 1;
    }
    for (i = 0; i < 3000; i++) {
        imx_batch_append(&child, LINE, sizeof LINE - 1);
    }
    imx_batch_seal_all(&batch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    imx_backlog_claims_free(&c);
    return munmap(area, size);
}

static uint64_t fate(imx_batch_fate_e f)
{
    return imx_batch_totals(&batch).fate[f];
}

static void a_files_worth_is_claimed(void **state)
{
    size_t i, total = 0;

    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &batch, 10000, 20000, 0), 0);
    while (imx_backlog_claims_take(&c) > 0) {
        /* at most a segment more */
        assert_in_range(c.line_count, 1, (20000 + 65536) / 36);
        for (i = 0; i < c.line_count; i++) {
            assert_int_equal(c.lines[i].iov_len, sizeof LINE - 1);
            assert_memory_equal(c.lines[i].iov_base, LINE, sizeof LINE - 1);
        }
        total += c.line_count;
        imx_backlog_claims_settle(&c);
        assert_int_equal(fate(IMX_BATCH_SPOOLED), total);
    }
    assert_int_equal(total, 3000);
    assert_null(imx_batch_validate(&batch));
}

static void several_files_fit_into_the_spool(void **state)
{
    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &batch, 1 << 30, 1 << 30,
                                             80000),
                     0);
    assert_int_equal(c.max_bytes, 20000);
    assert_true(c.max_lines < 999999); /* as a name has it */
}

static void what_is_put_back_is_claimed_again(void **state)
{
    size_t count, lines;

    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &batch, 10000, 20000, 0), 0);
    count = imx_backlog_claims_take(&c);
    lines = c.line_count;
    imx_backlog_claims_put_back(&c);
    assert_int_equal(c.count, 0);
    assert_int_equal(imx_batch_totals(&batch).pending, 3000);
    assert_int_equal(imx_backlog_claims_take(&c), count);
    assert_int_equal(c.line_count, lines);
    imx_backlog_claims_put_back(&c);
}

/* A thread may read them still, so only the next holder puts them back. */
static void what_is_forgotten_is_the_next_holders(void **state)
{
    size_t count;

    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &batch, 10000, 1 << 20, 0),
                     0);
    count = imx_backlog_claims_take(&c);
    imx_backlog_claims_forget(&c);
    imx_backlog_claims_put_back(&c);
    assert_int_equal(imx_backlog_claims_take(&c), 0);
    imx_batch_recover(&batch);
    assert_int_equal(imx_backlog_claims_take(&c), count);
    imx_backlog_claims_put_back(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_files_worth_is_claimed),
        TEST(several_files_fit_into_the_spool),
        TEST(what_is_put_back_is_claimed_again),
        TEST(what_is_forgotten_is_the_next_holders),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
