/*
 * t/unit/backlog_news.c: what the log is told of the spools, and how often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "deliver/backlog_news.h"
#include "small_arena.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static small_arena_t shared;
static imx_news_t news;
static imx_board_spool_t account;
static int64_t now;
static int said[100];
static char text[600];

static int64_t clock_ns(void *context)
{
    (void)context;
    return now;
}

static void note_log(void *context, imx_log_level_e level, const char *line)
{
    unsigned id = 0;

    (void)context;
    (void)level;
    assert_int_equal(sscanf(line, "IMX00%2u: ", &id), 1);
    said[id % 100]++;
    snprintf(text, sizeof text, "%s", line);
}

static int setup(void **state)
{
    (void)state;
    now = 1000000 * IMX_CLOCK_MS;
    memset(said, 0, sizeof said);
    memset(&account, 0, sizeof account);
    news = (imx_news_t){
        .arena = &shared.arena, .log = note_log, .now = clock_ns
    };
    return small_arena_make(&shared);
}

static int teardown(void **state)
{
    (void)state;
    return small_arena_free(&shared);
}

static void once_a_minute(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 130; i++, now += 1000 * IMX_CLOCK_MS) {
        imx_backlog_news_unusable(&news, "/spool", "it is on fire");
    }
    assert_int_equal(said[50], 3);
    assert_string_equal(text,
                        "IMX0050: the spool /spool cannot be used: it "
                        "is on fire");
}

static void all_that_was_dropped_is_told(void **state)
{
    (void)state;
    imx_backlog_news_full(&news, 0);
    assert_int_equal(said[55], 0);
    imx_backlog_news_full(&news, 10);
    imx_backlog_news_full(&news, 20);
    imx_backlog_news_full(&news, 30);
    assert_int_equal(said[55], 1);
    now += 61000 * IMX_CLOCK_MS;
    imx_backlog_news_full(&news, 0);
    assert_int_equal(said[55], 2);
    assert_non_null(strstr(text, "its oldest 50 points"));
}

static void in_use_is_said_once_until_it_is_free(void **state)
{
    (void)state;
    imx_backlog_news_free(&news, &account, "/spool"); /* as it was */
    assert_int_equal(said[57], 0);
    imx_backlog_news_in_use(&news, &account, "/spool");
    now += 3600000 * IMX_CLOCK_MS;
    imx_backlog_news_in_use(&news, &account, "/spool");
    imx_backlog_news_trouble(&news, &account, "/spool", EBUSY);
    assert_int_equal(said[56], 1);
    imx_backlog_news_free(&news, &account, "/spool");
    imx_backlog_news_free(&news, &account, "/spool");
    assert_int_equal(said[57], 1);
    now += 60000 * IMX_CLOCK_MS;
    imx_backlog_news_trouble(&news, &account, "/spool", EBUSY);
    assert_int_equal(said[56], 2);
    imx_backlog_news_trouble(&news, &account, "/spool", ENOSPC);
    assert_int_equal(said[50], 1);
    assert_non_null(strstr(text, "No space left"));
}

/* Two servers that do not see each other's processes may have it in turn. */
static void in_turn_is_said_once_a_minute(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 130; i++, now += 1000 * IMX_CLOCK_MS) {
        imx_backlog_news_in_use(&news, &account, "/spool");
        imx_backlog_news_free(&news, &account, "/spool");
    }
    assert_int_equal(said[56], 3);
    assert_int_equal(said[57], 3);
    imx_backlog_news_in_use(&news, &account, "/spool");
    assert_int_equal(said[56], 3);
    now += 60000 * IMX_CLOCK_MS; /* it is still in use */
    imx_backlog_news_in_use(&news, &account, "/spool");
    assert_int_equal(said[56], 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(once_a_minute),
        TEST(all_that_was_dropped_is_told),
        TEST(in_use_is_said_once_until_it_is_free),
        TEST(in_turn_is_said_once_a_minute),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
