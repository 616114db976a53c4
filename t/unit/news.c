/*
 * t/unit/news.c: what the log is told, and how often; step by step with a
 * clock of our own, against the stand-in server (delivery.h).
 */
#define _GNU_SOURCE
#include "delivery.h"

#include "deliver/news.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_log_outage(void **state)
{
    fixture_t *f = *state;
    int n;

    begin(f);
    append(f, 10);
    deliver(f);
    refuse(f, 503, "", "the disk is full");
    append(f, 10);
    tick(f);
    for (n = 2; n <= 20; n++) {
        until_refused(f, n, 10);
        ms_to_retry(f, 50, 31000);
    }
    until_refused(f, n, 10);
    assert_int_equal(f->log_count, 2);
    assert_says(f, "IMX0020", IMX_LOG_WARNING, "the disk is full");
    append(f, 3);
    heal(f);
    later(f, 100000);
    UNTIL(fate(f, IMX_BATCH_SENT) == 20);
    assert_int_equal(f->log_count, 3);
    assert_says(f, "IMX0021", IMX_LOG_NOTICE, "again after ");
    assert_says(f, "IMX0021", IMX_LOG_NOTICE, "pending, 0 lost meanwhile");
    deliver(f);
    assert_int_equal(f->log_count, 3);
}

/* Six hours, and whoever delivers: a line an hour, and one at the end. */
static void test_log_hours(void **state)
{
    fixture_t *f = *state;
    int64_t end;
    double seconds;
    int holders = 1;

    second_child(f);
    refuse(f, 503, "", "the disk is full");
    begin(f);
    append(f, 10);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    end = f->now + 6 * 3600 * 1000 * MS;
    for (; f->now < end; holders++) {
        int64_t change = f->now + 1800 * 1000 * MS;

        for (; f->now < change; later(f, 1000)) {
            imx_monitor_step(f->m);
            UNTIL(!is_sending(f));
            if (f->now % (60 * 1000 * MS) < 1000 * MS) {
                append(f, 1);
            }
        }
        end_monitor(f); /* recycled */
        f->o.child = &f->child[holders % 2];
        if (holders % 3 == 0) { /* in other words */
            refuse(f, 503, "", "still full");
        }
        begin(f);
    }
    assert_in_range(holders, 12, 14);
    assert_true(writes(f) > 6 * 3600 / 31 / 2);
    assert_in_range(logged(f, "IMX0020"), 6, 7);
    assert_int_equal(logged(f, "IMX0021"), 0);
    heal(f);
    end_monitor(f); /* and it is another one again */
    begin(f);
    later(f, 31000);
    deliver(f);
    assert_in_range(logged(f, "IMX0020"), 6, 7);
    assert_int_equal(logged(f, "IMX0021"), 1);
    seconds = strtod(strstr(last_log(f, "IMX0021")->text, "after ") + 6, NULL);
    assert_true(seconds > 6 * 3600 && seconds < 6 * 3600 + 300);
    assert_says(f, "IMX0021", IMX_LOG_NOTICE, "pending, 0 lost meanwhile");
    assert_int_equal(logged(f, "IMX0022") + logged(f, "IMX0027"), 0);
}

/* A minute is one minute also when each line comes from another child. */
static void test_log_quiet_for_all(void **state)
{
    fixture_t *f = *state;
    uint64_t sum;
    int i;

    refuse(f, 400, "", "no");
    for (i = 0; i < 60; i++) {
        begin(f);
        append(f, 3);
        deliver(f);
        later(f, 3000);
        end_monitor(f);
    }
    assert_in_range(logged(f, "IMX0022"), 3, 5);
    later(f, 61000);
    begin(f);
    later(f, 2000);
    imx_monitor_step(f->m);
    later(f, 2000);
    imx_monitor_step(f->m);
    logged_sum(f, "IMX0022", &sum);
    assert_int_equal(sum, 180);
}

/* It works and fails in turns for five minutes: two lines a minute. */
static void test_log_flapping(void **state)
{
    fixture_t *f = *state;
    const char *busy = http(f, 503, "", "busy");
    int i;

    begin(f);
    for (i = 0; i < 100; i++) {
        say(f, STANDIN_ANSWER, busy);
        append(f, 5);
        tick(f);
        until_refused(f, 2 * i + 1, 5);
        heal(f);
        later(f, 2000);
        UNTIL(pending(f) == 0);
    }
    assert_in_range(logged(f, "IMX0020"), 4, 6);
    assert_int_equal(logged(f, "IMX0021"), logged(f, "IMX0020"));
    i = logged(f, "IMX0020"); /* one that lasts is told of, later */
    say(f, STANDIN_ANSWER, busy);
    append(f, 5);
    tick(f);
    UNTIL((later(f, 10), logged(f, "IMX0020") == i + 1));
    heal(f);
    UNTIL((later(f, 10), pending(f) == 0));
    assert_int_equal(logged(f, "IMX0021"), i + 1);
    assert_int_equal(stored(f), 505);
}

/* Whatever is refused for five minutes: a line a minute, and the counts in
 * them add up, also those behind the last refusal. */
static void test_log_rejected(void **state)
{
    fixture_t *f = *state;
    uint64_t sum;
    int i;

    refuse(f, 400, "", "no");
    begin(f);
    for (i = 0; i < 300; i++) {
        append(f, 3);
        deliver(f);
    }
    assert_in_range(logged_sum(f, "IMX0022", &sum), 4, 6);
    later(f, 61000);
    imx_monitor_step(f->m);
    assert_in_range(logged_sum(f, "IMX0022", &sum), 5, 7);
    assert_int_equal(sum, 900);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 900);
}

static void test_log_lost(void **state)
{
    fixture_t *f = *state;
    uint64_t sum;
    int i;

    refuse(f, 503, "Retry-After: 3600\r\n", "full");
    begin(f);
    append(f, 64 * 128 + 100); /* nobody makes room meanwhile */
    assert_int_equal(atomic_load(&f->shared->refused), 100);
    UNTIL(writes(f) == 1 && sealed(f) > 0);
    for (i = 0; i < 3000; i++) {
        append(f, 5);
        later(f, 100);
        imx_monitor_step(f->m);
    }
    assert_int_equal(atomic_load(&f->shared->refused), 100);
    assert_in_range(logged_sum(f, "IMX0027", &sum), 3, 6);
    later(f, 61000);
    imx_monitor_step(f->m);
    logged_sum(f, "IMX0027", &sum);
    assert_true(sum > 10000);
    assert_int_equal(fate(f, IMX_BATCH_DROPPED), sum);
    assert_int_equal(logged_sum(f, "IMX0028", &sum), 1);
    assert_int_equal(sum, 100);
    later(f, 3600000);
    heal(f);
    UNTIL(logged(f, "IMX0021") == 1);
    assert_true(strtoull(strstr(last_log(f, "IMX0021")->text, "pending, ") + 9,
                         NULL, 10)
                > 10000);
}

/* Nobody holds the lease, or none long enough to look: told of all the same. */
static void test_log_lost_between(void **state)
{
    fixture_t *f = *state;
    uint64_t sum;
    int i;

    begin(f);
    end_monitor(f);
    append(f, 64 * 128 + 100);
    begin(f);
    assert_int_equal(logged_sum(f, "IMX0028", &sum), 1);
    assert_int_equal(sum, 100);
    for (i = 0; i < 10; i++) {
        end_monitor(f);
        append(f, 1000);
        later(f, 10000);
        begin(f);
    }
    later(f, 61000);
    imx_monitor_step(f->m);
    logged_sum(f, "IMX0028", &sum);
    assert_true(sum > 1000);
    assert_int_equal(sum, atomic_load(&f->shared->refused));
}

/* A holder that is stopped: another child says so, once a minute for all. */
static void test_silent_holder(void **state)
{
    fixture_t *f = *state;
    imx_monitor_t *others[2];
    int i, child = second_child(f);

    begin(f);
    f->o.child = &f->child[child];
    others[0] = make_monitor(f);
    others[1] = make_monitor(f);
    for (i = 0; i < 20; i++) {
        later(f, 1000);
        imx_monitor_step(f->m);
        imx_monitor_step(others[i % 2]);
    }
    assert_int_equal(logged(f, "IMX0080"), 0);
    for (i = 0; i < 100; i++) {
        later(f, 1000);
        imx_monitor_step(others[0]);
        imx_monitor_step(others[1]);
    }
    assert_int_equal(logged(f, "IMX0080"), 2);
    assert_says(f, "IMX0080", IMX_LOG_ERROR, "nobody delivers: child ");
    imx_monitor_step(f->m);
    for (i = 0; i < 8; i++) {
        later(f, 1000);
        imx_monitor_step(others[0]);
    }
    assert_int_equal(logged(f, "IMX0080"), 2);
    /* All of the server was stopped: the holder is as much awake as the one
     * that looks at it. */
    later(f, 120000);
    for (i = 0; i < 20; i++) {
        imx_monitor_step(others[i % 2]);
        imx_monitor_step(f->m);
        later(f, 1000);
    }
    assert_int_equal(logged(f, "IMX0080"), 2);
    imx_monitor_destroy(others[0]);
    imx_monitor_destroy(others[1]);
}

static imx_news_t news_of(fixture_t *f)
{
    return (imx_news_t){ .arena = &f->arena,
                         .where = "x",
                         .log = f->o.log,
                         .log_context = f,
                         .now = f->o.now,
                         .now_context = f };
}

/* A job of the spool that hangs is said once a minute, and is on the board. */
static void test_spool_hangs(void **state)
{
    fixture_t *f = *state;
    imx_news_t n = news_of(f);
    int64_t since = f->now;
    int i;

    for (i = 0; i < 100; i++) {
        imx_news_spool_busy(&n, "/spool", since);
        later(f, 1000);
        if (i == 5) {
            assert_int_equal(logged(f, "IMX0081"), 0);
        }
    }
    assert_int_equal(logged(f, "IMX0081"), 2);
    assert_says(f, "IMX0081", IMX_LOG_ERROR, "/spool");
    assert_int_equal(imx_board_told(&f->arena.board).spool_hangs, since);
    imx_news_spool_busy(&n, NULL, 0);
    assert_int_equal(imx_board_told(&f->arena.board).spool_hangs, 0);
}

/* A clock that is off is said once an hour, and is on the board until it is
 * right. */
static void test_clock(void **state)
{
    fixture_t *f = *state;
    imx_news_t n = news_of(f);
    imx_influx_result_t r = {
        .answer = IMX_INFLUX_SENT, .status = 204, .clock_ahead_s = 59
    };
    int i;

    imx_news_answer(&n, &r, 1);
    assert_int_equal(logged(f, "IMX0083"), 0);
    assert_int_equal(imx_board_told(&f->arena.board).clock_ahead, 0);
    for (i = 0; i < 100; i++) { /* two servers at one address */
        r.clock_ahead_s = i % 2 ? 0 : -3600;
        imx_news_answer(&n, &r, 1);
        later(f, 60000);
    }
    assert_int_equal(logged(f, "IMX0083"), 2);
    assert_says(f, "IMX0083", IMX_LOG_WARNING, "is 1 hour behind that of");
    assert_int_equal(imx_board_told(&f->arena.board).clock_ahead, 0);
    r.clock_ahead_s = 3600;
    later(f, 3600000);
    imx_news_answer(&n, &r, 1);
    assert_says(f, "IMX0083", IMX_LOG_WARNING, "is 1 hour ahead of that of");
    assert_int_equal(imx_board_told(&f->arena.board).clock_ahead, 3600);
    r.status = 0; /* no answer says nothing of it */
    r.clock_ahead_s = 0;
    imx_news_answer(&n, &r, 1);
    assert_int_equal(imx_board_told(&f->arena.board).clock_ahead, 3600);
}

/* A process takes back that the log was told of tags at their limit: a holder
 * says it once for each tag all the same. */
static struct {
    fixture_t *f;
    size_t size;
    char memory[8192]; /* as it was before */
} told;

static void take_back(void *context, imx_log_level_e level, const char *text)
{
    log_text(context, level, text);
    memcpy(told.f->arena.own_values, told.memory, told.size);
}

static void test_tags_taken_back(void **state)
{
    fixture_t *f = *state;
    imx_values_t *v = &f->arena.values;
    imx_news_t n = news_of(f);
    int i;

    assert_int_equal(imx_arena_new_values(&f->arena, 2, 1, "sixteen bytes :)"),
                     0);
    assert_true(imx_values_use(v, 0, "user") && imx_values_use(v, 1, "area"));
    for (i = 0; i < 4; i++) {
        assert_int_equal(imx_values_admit(v, (unsigned)i % 2, (uint64_t)i + 7),
                         i < 2);
    }
    told.f = f;
    told.size = f->arena.own_values_size;
    assert_true(told.size <= sizeof told.memory);
    memcpy(told.memory, f->arena.own_values, told.size);
    n.log = take_back;
    alarm(TEST_LIMIT);
    for (i = 0; i < 10; i++) {
        imx_news_watch(&n);
    }
    alarm(0);
    assert_int_equal(logged(f, "IMX0072"), 2);
    assert_int_equal(f->log_count, 2);
}

/* The board is nonsense each time that a holder takes over: a minute is one
 * minute of its own. */
static void test_board_taken_back(void **state)
{
    fixture_t *f = *state;
    imx_news_t n = news_of(f);
    imx_board_t nonsense = { .down_since = 1, .down_said = 1 };
    int i;

    for (i = 0; i < 100; i++) {
        imx_board_tell(&f->arena.board, &nonsense);
        imx_news_take_over(&n);
        imx_news_gave_up(&n, 5);
        imx_news_watch(&n);
        later(f, 100);
    }
    assert_int_equal(logged(f, "IMX0027"), 1);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_int_equal(f->log_count, 2);
    later(f, 60000);
    imx_news_gave_up(&n, 5);
    assert_int_equal(logged(f, "IMX0027"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_silent_holder),
        TEST(test_spool_hangs),
        TEST(test_clock),
        TEST(test_tags_taken_back),
        TEST(test_board_taken_back),
        TEST(test_log_outage),
        TEST(test_log_hours),
        TEST(test_log_quiet_for_all),
        TEST(test_log_flapping),
        TEST(test_log_rejected),
        TEST_SMALL(test_log_lost),
        TEST_SMALL(test_log_lost_between),
    };

    return run_delivery_tests("news", tests, sizeof tests / sizeof tests[0],
                              0);
}
