/*
 * t/unit/backlog_account.c: the account of the lines in the spools' files, over
 * many holders, without a disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/backlog_account.h"
#include "small_arena.h"

#include <string.h>

static small_arena_t shared;
static imx_news_t news;
static imx_backlog_account_t a;

static void no_log(void *context, imx_log_level_e level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
}

static int setup(void **state)
{
    (void)state;
    memset(&news, 0, sizeof news);
    news.arena = &shared.arena;
    news.log = no_log;
    a = (imx_backlog_account_t){ .news = &news, .batch = &shared.arena.batch };
    return small_arena_make(&shared);
}

static int teardown(void **state)
{
    (void)state;
    return small_arena_free(&shared);
}

/* So many lines were moved from the batch to the directory in use. */
static void spool(int lines)
{
    imx_batch_claim_t claim;
    uint64_t fate[IMX_BATCH_FATES] = { 0 };
    int i;

    for (i = 0; i < lines; i++) {
        assert_int_equal(imx_batch_append(&shared.child, "m n=1i 1\n", 9), 1);
    }
    imx_batch_seal_all(&shared.arena.batch);
    while (imx_batch_claim(&shared.arena.batch, &claim, 1, 1000, 100000) > 0) {
        fate[IMX_BATCH_SPOOLED] = claim.lines;
        imx_batch_settle(&shared.arena.batch, &claim, fate);
    }
}

static void begin(const char *dir, const char *former)
{
    const char *paths[IMX_BOARD_SPOOLS] = { dir, former };

    imx_news_take_over(&news);
    imx_backlog_account_begin(&a, paths);
}

/* What the directory has now. */
static void see(int dir, uint64_t lines, uint64_t found, uint64_t lost,
                uint64_t uncounted)
{
    imx_spool_totals_t t = { .is_ours = 1,
                             .files = 1,
                             .lines = lines,
                             .found = found,
                             .lost = lost,
                             .uncounted = uncounted };

    imx_backlog_account_see(&a, dir, &t);
    imx_news_publish(&news);
}

static void open_dir(int dir, uint64_t lines)
{
    imx_backlog_account_opened(&a, dir);
    see(dir, lines, lines, 0, 0);
}

static uint64_t deliver(int dir, uint64_t lines)
{
    uint64_t n = imx_backlog_account_out(&a, dir, &news.board.spool_delivered,
                                         lines);

    imx_news_publish(&news);
    return n;
}

static void check(uint64_t found, uint64_t dropped, uint64_t twice,
                  uint64_t left)
{
    const imx_board_t *d = &news.board;

    assert_int_equal(d->spool_found, found);
    assert_int_equal(d->spool_dropped, dropped);
    assert_int_equal(d->spool_twice, twice);
    assert_int_equal(imx_batch_totals(&shared.arena.batch)
                             .fate[IMX_BATCH_SPOOLED]
                         + found - d->spool_delivered - d->spool_rejected
                         - dropped,
                     left);
}

static void what_is_there_at_first_was_found(void **state)
{
    (void)state;
    begin("/a", NULL);
    open_dir(0, 10);
    check(10, 0, 0, 10);
}

static void the_next_holder_finds_what_is_promised(void **state)
{
    (void)state;
    begin("/a", NULL);
    open_dir(0, 10);
    spool(5);
    begin("/a", NULL);
    assert_int_equal(a.dirs[0].expected, 15);
    open_dir(0, 15);
    check(10, 0, 0, 15);
}

static void more_than_is_promised_counts_once(void **state)
{
    (void)state;
    begin("/a", NULL);
    open_dir(0, 10);
    begin("/a", NULL);
    open_dir(0, 13);
    check(10, 0, 3, 10);
    assert_int_equal(deliver(0, 2), 0);
    assert_int_equal(deliver(0, 11), 10);
    check(10, 0, 0, 0);
}

static void less_than_is_promised_was_dropped(void **state)
{
    (void)state;
    begin("/a", NULL);
    open_dir(0, 10);
    begin("/a", NULL);
    open_dir(0, 4);
    check(10, 6, 0, 4);
}

/* The last holder had not counted all files: the rest was found. */
static void what_was_not_counted_is_found_by_the_next_one(void **state)
{
    (void)state;
    begin("/a", NULL);
    imx_backlog_account_opened(&a, 0);
    see(0, 4, 4, 0, 3);
    check(4, 0, 0, 4);
    begin("/a", NULL);
    imx_backlog_account_opened(&a, 0);
    see(0, 0, 0, 0, 4);
    assert_int_equal(news.board.spool_lines, 4); /* promised, not yet seen */
    see(0, 7, 7, 0, 1);
    check(7, 0, 0, 7);
    see(0, 10, 10, 0, 0);
    check(10, 0, 0, 10);
}

static void a_directory_that_is_not_opened_keeps_its_lines(void **state)
{
    (void)state;
    begin("/a", NULL);
    open_dir(0, 10);
    begin("/b", "/a");
    open_dir(0, 3);
    spool(2);
    check(13, 0, 0, 15);
    assert_int_equal(imx_backlog_account_of(&a, 1)->lines, 10);
    deliver(0, 5);
    begin("/b", "/a");
    open_dir(0, 0);
    check(13, 0, 0, 10);
    open_dir(1, 10);
    check(13, 0, 0, 10);
    deliver(1, 10);
    check(13, 0, 0, 0);
}

static void directories_may_change_places(void **state)
{
    (void)state;
    begin("/a", NULL);
    open_dir(0, 10);
    begin("/b", "/a");
    open_dir(0, 3);
    open_dir(1, 10);
    begin("/a", "/b");
    assert_int_equal(a.dirs[0].expected, 10);
    assert_int_equal(a.dirs[1].expected, 3);
    open_dir(0, 10);
    open_dir(1, 3);
    check(13, 0, 0, 13);
    begin("/c", "/b"); /* nobody looks after /a any more */
    check(13, 10, 0, 3);
}

static void a_former_directory_that_is_gone_took_its_lines(void **state)
{
    (void)state;
    begin("/a", NULL);
    open_dir(0, 10);
    begin("/b", "/a");
    open_dir(0, 0);
    imx_backlog_account_gone(&a, 1);
    check(10, 10, 0, 0);
    imx_news_publish(&news);
    begin("/b", NULL);
    check(10, 10, 0, 0);
}

/* Every child can write to the arena. */
static void nonsense_on_the_board_is_survived(void **state)
{
    (void)state;
    begin("/a", NULL);
    open_dir(0, 10);
    imx_backlog_account_of(&a, 1)->lines = UINT64_MAX / 2;
    imx_backlog_account_of(&a, 1)->id = 77;
    imx_news_publish(&news);
    begin("/a", "/b");
    open_dir(0, 10);
    open_dir(1, 1);
    deliver(0, 10);
    deliver(1, 1);
    assert_true(imx_backlog_account_of(&a, 1)->lines <= UINT64_MAX / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_at_first_was_found),
        TEST(the_next_holder_finds_what_is_promised),
        TEST(more_than_is_promised_counts_once),
        TEST(less_than_is_promised_was_dropped),
        TEST(what_was_not_counted_is_found_by_the_next_one),
        TEST(a_directory_that_is_not_opened_keeps_its_lines),
        TEST(directories_may_change_places),
        TEST(a_former_directory_that_is_gone_took_its_lines),
        TEST(nonsense_on_the_board_is_survived),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
