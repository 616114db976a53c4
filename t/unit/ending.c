/*
 * t/unit/ending.c: the end of a child, of the last one, and of the
 * server; step by step with a clock of our own, against the stand-in server
 * (delivery.h).
 */
#define _GNU_SOURCE
#include "delivery.h"

#include "shared/fault.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t spooled(fixture_t *f)
{
    imx_board_t d = imx_board_told(&f->arena.board);

    return fate(f, IMX_BATCH_SPOOLED) + d.spool_found - d.spool_delivered
           - d.spool_rejected - d.spool_dropped;
}

/* What is in files when the server ends is the next one's, which may have begun
 * already: only what is in the buffer is sent. */
static void test_end_leaves_files(void **state)
{
    fixture_t *f = *state;
    char dir[64];

    snprintf(dir, sizeof dir, "%s/spool", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    f->o.spool_dir = dir;
    refuse(f, 503, "Retry-After: 0\r\n", "full");
    append(f, 700);
    f->m = make_monitor(f);
    imx_monitor_end_server(f->m);
    end_monitor(f);
    assert_int_equal(spooled(f), 700);
    heal(f);
    append(f, 300);
    f->m = make_monitor(f);
    imx_monitor_end_server(f->m);
    end_monitor(f);
    assert_int_equal(pending(f), 0);
    assert_int_equal(stored(f), 300);
    assert_int_equal(spooled(f), 700);
    begin(f);
    UNTIL(spooled(f) == 0);
    assert_int_equal(stored(f), 1000);
    end_monitor(f);
    assert_int_equal(rmdir(dir), 0);
}

static int64_t finish_ms(fixture_t *f)
{
    int64_t begun = real_ms();

    run_clock(f);
    imx_monitor_finish(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    return real_ms() - begun;
}

/* With lines that a hanging server has. */
static void begin_hanging(fixture_t *f, int lines)
{
    int before = writes(f);

    hang(f);
    append(f, lines);
    begin(f);
    tick(f);
    UNTIL(writes(f) > before);
    assert_int_equal(sealed(f), 0);
}

static void test_finish_not_last(void **state)
{
    fixture_t *f = *state;
    int64_t ms, least = INT64_MAX;
    int i;

    second_child(f);
    for (i = 1; i <= 5; i++) { /* the machine may be busy */
        begin_hanging(f, 120);
        ms = finish_ms(f);
        least = ms < least ? ms : least;
        assert_int_equal(sealed(f), i * 120);
        end_monitor(f);
    }
    assert_in_range(least, 240, 450); /* for an answer */
    append(f, 1);                     /* late ones still work */
    heal(f);
    f->o.child = &f->child[1];
    begin(f);
    deliver(f);
    assert_int_equal(stored(f), 601);
    assert_int_equal(stored_again(f), 0);
}

/* A body that goes out in pieces goes out at once when its child leaves, and
 * nothing goes twice. */
static void test_finish_in_pieces(void **state)
{
    fixture_t *f = *state;
    int i, whole = 0;

    second_child(f);
    for (i = 1; i <= 20 && !whole; i++) { /* the machine may be busy */
        append(f, 1000);
        begin(f);
        deliver(f); /* so large a body is taken */
        append(f, 1000);
        tick(f);
        UNTIL(is_sending(f));
        assert_true(pending(f) > 0);
        finish_ms(f);
        whole = pending(f) == 0;
        end_monitor(f);
        f->clock_runs = 0;
    }
    assert_true(whole);
    assert_int_equal(stored_again(f), 0);
}

/* The last one, but others will come: it does not even try. */
static void test_finish_leaving(void **state)
{
    fixture_t *f = *state;

    append(f, 10);
    begin(f);
    imx_monitor_leave(f->m);
    imx_monitor_finish(f->m);
    assert_int_equal(writes(f), 0);
    assert_int_equal(pending(f), 10);
}

static void test_finish_last(void **state)
{
    fixture_t *f = *state;

    f->o.max_lines = 500;
    append_to(f, &f->child[second_child(f)], 10);
    imx_children_leave(&f->arena.children, &f->child[1].self);
    refuse(f, 503, "", "busy");
    append(f, 4000);
    begin(f);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    append(f, 1000); /* not sealed, and no tick is due */
    heal(f);
    assert_true(finish_ms(f) < 1500);
    assert_int_equal(pending(f), 0);
    assert_int_equal(stored(f), 5010);
    assert_int_equal(stored_again(f), 0);
    append(f, 1);
    assert_int_equal(pending(f), 1);
}

static void test_finish_down(void **state)
{
    fixture_t *f = *state;

    snprintf(f->url, sizeof f->url, "http://127.0.0.1:1");
    append(f, 600);
    begin(f);
    assert_true(finish_ms(f) < SLACK_MS);
    assert_int_equal(pending(f), 600);
}

static void test_finish_hanging(void **state)
{
    fixture_t *f = *state;
    int64_t ms;

    f->o.shutdown_ms = 600;
    begin_hanging(f, 600);
    ms = finish_ms(f);
    assert_in_range(ms, 600, 600 + SLACK_MS);
    assert_int_equal(sealed(f), 600);
    assert_int_equal(writes(f), 1);
}

/* The lease is with another one that is leaving, too: for a while ... */
static void *hold_the_lease(void *data)
{
    fixture_t *f = data;

    if (take_lease(f)) {
        while (atomic_load(&f->clock_calls) < 10) {
            poll(NULL, 0, 1);
        }
        give_lease(f);
    }
    return NULL;
}

static void test_finish_waits_for_lease(void **state)
{
    fixture_t *f = *state;
    pthread_t other;

    append(f, 10);
    f->m = make_monitor(f);
    atomic_store(&f->clock_calls, 0);
    assert_int_equal(pthread_create(&other, NULL, hold_the_lease, f), 0);
    AWAIT(imx_lease_holder(&f->arena.lease) == 99);
    assert_true(finish_ms(f) < 1500);
    pthread_join(other, NULL);
    assert_int_equal(stored(f), 10);
}

/* ... or for too long. */
static void test_finish_without_lease(void **state)
{
    fixture_t *f = *state;
    int64_t begun = real_ms();

    f->o.shutdown_ms = 300;
    append(f, 10);
    assert_true(take_lease(f));
    f->m = make_monitor(f);
    run_clock(f);
    imx_monitor_finish(f->m);
    assert_in_range(real_ms() - begun, 300, 300 + SLACK_MS);
    assert_int_equal(imx_lease_holder(&f->arena.lease), 99);
    assert_int_equal(pending(f), 10);
    give_lease(f);
}

/* At a graceful restart the first new child may come when the last old one is
 * already at it: it need not be waited for InfluxDB then. */
static void *join_later(void *data)
{
    fixture_t *f = data;

    while (atomic_load(&f->clock_calls) < 10) {
        poll(NULL, 0, 1);
    }
    join_here(&f->child[1], &f->arena);
    return NULL;
}

static void finish_relieved(fixture_t *f)
{
    pthread_t other;

    atomic_store(&f->clock_calls, 0);
    assert_int_equal(pthread_create(&other, NULL, join_later, f), 0);
    run_clock(f);
    imx_monitor_finish(f->m);
    pthread_join(other, NULL);
}

static void test_finish_relieved(void **state)
{
    fixture_t *f = *state;
    int64_t begun = real_ms();

    f->o.shutdown_ms = 8000;
    begin_hanging(f, 10);
    finish_relieved(f);
    assert_true(real_ms() - begun < 4000);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    assert_int_equal(sealed(f), 10); /* all of it is the other one's */
    end_monitor(f);
    heal(f);
    f->o.child = &f->child[1];
    begin(f);
    deliver(f);
    assert_int_equal(stored(f), 10);
    assert_int_equal(stored_again(f), 0);
}

static void count_report(void *reports)
{
    ++*(int *)reports;
}

/* What is measured goes on with the new one: no interval is cut short. */
static void test_finish_relieved_reports_nothing(void **state)
{
    fixture_t *f = *state;
    int reports = 0;

    f->o.shutdown_ms = 8000;
    f->o.report_end = count_report;
    f->o.report_context = &reports;
    f->m = make_monitor(f);
    finish_relieved(f);
    assert_int_equal(reports, 0);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
}

/* Nobody comes, as the module was taken out. */
static void test_finish_last_reports(void **state)
{
    fixture_t *f = *state;
    int reports = 0;

    f->o.report_end = count_report;
    f->o.report_context = &reports;
    append(f, 10);
    f->m = make_monitor(f);
    run_clock(f);
    imx_monitor_finish(f->m);
    assert_int_equal(reports, 1);
    assert_int_equal(stored(f), 10);
}

/* ... also when it does not get the lease, which the new one may have. */
static void test_finish_relieved_waiting(void **state)
{
    fixture_t *f = *state;
    int64_t begun = real_ms();

    f->o.shutdown_ms = 8000;
    append(f, 10);
    assert_true(take_lease(f));
    f->m = make_monitor(f);
    finish_relieved(f);
    assert_true(real_ms() - begun < 4000);
    assert_int_equal(imx_lease_holder(&f->arena.lease), 99);
    assert_int_equal(pending(f), 10);
    give_lease(f);
}

/* No time at all: nothing is sent, and the spool has it. */
static void test_no_time(void **state)
{
    fixture_t *f = *state;
    char dir[64];
    int i;

    snprintf(dir, sizeof dir, "%s/spool", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    f->o.spool_dir = dir;
    f->o.shutdown_ms = 0;
    run_clock(f);
    for (i = 1; i <= 2; i++) {
        append(f, 10);
        f->m = make_monitor(f);
        if (i == 1) {
            imx_monitor_end_server(f->m);
        }
        else {
            imx_monitor_finish(f->m);
        }
        end_monitor(f);
        assert_int_equal(pending(f), 0);
        assert_int_equal(fate(f, IMX_BATCH_SPOOLED), 10 * i);
        assert_int_equal(writes(f), 0);
    }
    f->o.shutdown_ms = 2000;
    begin(f);
    UNTIL((later(f, 100), imx_board_told(&f->arena.board).spool_lines == 0
                              && stored(f) == 20));
    end_monitor(f);
    assert_int_equal(rmdir(dir), 0);
}

static void *answer_later(void *data)
{
    fixture_t *f = data;

    poll(NULL, 0, 100);
    SET(f, holds, 0);
    return NULL;
}

/* A graceful restart: the body is out and its answer is due. */
static void test_answer_is_due(void **state)
{
    fixture_t *f = *state;
    pthread_t other;

    second_child(f);
    SET(f, holds, 1);
    append(f, 1000);
    begin(f);
    tick(f);
    UNTIL(held(f) == 1);
    assert_int_equal(pthread_create(&other, NULL, answer_later, f), 0);
    finish_ms(f);
    pthread_join(other, NULL);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 1000);
    assert_int_equal(stored(f), 1000);
    assert_int_equal(imx_board_told(&f->arena.board).repeated, 0);
    end_monitor(f);

    begin_hanging(f, 100); /* the answer does not come */
    finish_ms(f);
    assert_int_equal(imx_board_told(&f->arena.board).repeated, 100);
}

/* What InfluxDB asked for holds for the next holder, though the last delivery
 * did not heed it. */
static void test_asked_for_patience(void **state)
{
    fixture_t *f = *state;
    int64_t until;

    refuse(f, 503, "Retry-After: 3600\r\n", "later");
    append(f, 10);
    begin(f);
    tick(f);
    UNTIL(writes(f) == 1 && sealed(f) == 10);
    until = imx_board_told(&f->arena.board).pace.not_before;
    refuse(f, 503, "", "later");
    run_clock(f);
    imx_monitor_finish(f->m);
    assert_int_equal(writes(f), 2);
    assert_true(imx_board_told(&f->arena.board).pace.not_before >= until);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_time),
        TEST(test_answer_is_due),
        TEST(test_asked_for_patience),
        TEST(test_end_leaves_files),
        TEST(test_finish_not_last),
        TEST_LARGE(test_finish_in_pieces),
        TEST(test_finish_leaving),
        TEST(test_finish_last),
        TEST(test_finish_down),
        TEST(test_finish_hanging),
        TEST(test_finish_waits_for_lease),
        TEST(test_finish_without_lease),
        TEST(test_finish_relieved),
        TEST(test_finish_relieved_waiting),
        TEST(test_finish_relieved_reports_nothing),
        TEST(test_finish_last_reports),
    };

    return run_delivery_tests("ending", tests, sizeof tests / sizeof tests[0],
                              0);
}
