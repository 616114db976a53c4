/*
 * t/unit/backlog_claims.c: segments on their way into a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/backlog_claims.h"
#include "small_arena.h"

#define LINE "m,host=one n=1i 1763961600123456789\n"

static small_arena_t shared;
static imx_backlog_claims_t c;

static int setup(void **state)
{
    int i;

    (void)state;
    if (small_arena_make(&shared) != 0) {
        return 1;
    }
    for (i = 0; i < 3000; i++) {
        imx_batch_append(&shared.child, LINE, sizeof LINE - 1);
    }
    imx_batch_seal_all(&shared.arena.batch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    imx_backlog_claims_free(&c);
    return small_arena_free(&shared);
}

static uint64_t fate(imx_batch_fate_e f)
{
    return imx_batch_totals(&shared.arena.batch).fate[f];
}

static void a_files_worth_is_claimed(void **state)
{
    size_t i, total = 0;

    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &shared.arena.batch, 10000,
                                             20000, 0),
                     0);
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
    assert_null(imx_batch_validate(&shared.arena.batch));
}

static void several_files_fit_into_the_spool(void **state)
{
    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &shared.arena.batch, 1 << 30,
                                             1 << 30, 80000),
                     0);
    assert_int_equal(c.max_bytes, 20000);
    assert_true(c.max_lines < 999999); /* as a name has it */
}

static void what_is_put_back_is_claimed_again(void **state)
{
    size_t count, lines;

    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &shared.arena.batch, 10000,
                                             20000, 0),
                     0);
    count = imx_backlog_claims_take(&c);
    lines = c.line_count;
    imx_backlog_claims_put_back(&c);
    assert_int_equal(c.count, 0);
    assert_int_equal(imx_batch_totals(&shared.arena.batch).pending, 3000);
    assert_int_equal(imx_backlog_claims_take(&c), count);
    assert_int_equal(c.line_count, lines);
    imx_backlog_claims_put_back(&c);
}

/* InfluxDB has them: they do not go to a file as well. */
static void lines_below_the_cursor_are_left_out(void **state)
{
    imx_batch_claim_t claim;
    uint32_t count;

    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &shared.arena.batch, 10000,
                                             1 << 20, 0),
                     0);
    assert_int_equal(imx_batch_claim(&shared.arena.batch, &claim, 1, 1, 1), 1);
    count = claim.lines;
    imx_batch_advance(&shared.arena.batch, &claim, 5, 0, 0);
    imx_batch_put_back(&shared.arena.batch, &claim);
    assert_true(imx_backlog_claims_take(&c) > 0);
    assert_int_equal(c.line_count, 3000 - 5);
    assert_int_equal(c.whole[0], count - 5);
    imx_backlog_claims_settle(&c);
    assert_int_equal(fate(IMX_BATCH_SPOOLED), 3000 - 5);
    assert_int_equal(fate(IMX_BATCH_SENT), 5);
}

/* A thread may read them still, so only the next holder puts them back. */
static void what_is_forgotten_is_the_next_holders(void **state)
{
    size_t count;

    (void)state;
    assert_int_equal(imx_backlog_claims_init(&c, &shared.arena.batch, 10000,
                                             1 << 20, 0),
                     0);
    count = imx_backlog_claims_take(&c);
    imx_backlog_claims_forget(&c);
    imx_backlog_claims_put_back(&c);
    assert_int_equal(imx_backlog_claims_take(&c), 0);
    imx_batch_recover(&shared.arena.batch);
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
        TEST(lines_below_the_cursor_are_left_out),
        TEST(what_is_forgotten_is_the_next_holders),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
