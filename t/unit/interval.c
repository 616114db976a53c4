/*
 * t/unit/interval.c: intervals with holders that are killed at every point of
 * closing and writing them, while others count.
 *
 * What is written goes into a database of the test's (lab), in memory that
 * outlives the holders, which like InfluxDB keeps one row for each series and
 * time, and notes when the same row comes again with other bytes.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/fault.h"
#include "shared/tally.h"

#include <stdatomic.h>
#include <pthread.h>
#include <stdlib.h>

#include "process.h"

#define SECOND INT64_C(1000000000)
#define SERIES 3
#define ROWS_MAX 20000
#define KILLS 400

typedef struct {
    uint32_t schedule, series;
    int64_t time, span;
    uint64_t number, requests, longest;
    imx_stats_sum_t change;
} row_t;

typedef struct {
    imx_interval_now_t now; /* the holders' clocks */
    _Atomic uint64_t counted;
    _Atomic int stop;
    uint32_t rows, again, differ, twins;
    row_t row[ROWS_MAX];
} lab_t;

static lab_t *lab;
static imx_stats_t stats;
static imx_interval_t intervals;

static const imx_interval_spec_t spec[] = {
    { SERIES, sizeof(imx_tally_t) },
    { SERIES, sizeof(imx_tally_t) },
    { 0, 0 },
};

#define SCHEDULES (sizeof spec / sizeof *spec)

static const int64_t lengths[SCHEDULES] = { 10 * SECOND, 60 * SECOND, SECOND };

static int begin(void **state)
{
    imx_interval_now_t now = { 1000003 * SECOND, 77 * SECOND };

    (void)state;
    lab = shared_memory(sizeof *lab);
    lab->now = now;
    imx_stats_format(&stats, shared_memory(imx_stats_size(SERIES)), SERIES);
    stats.histograms = 2;
    imx_interval_format(&intervals,
                        shared_memory(imx_interval_size(spec, SCHEDULES)),
                        spec, SCHEDULES, &now, 4711);
    return 0;
}

static int end(void **state)
{
    (void)state;
    munmap(lab, sizeof *lab);
    munmap(stats.cells, imx_stats_size(SERIES));
    munmap(intervals.part, imx_interval_size(spec, SCHEDULES));
    imx_fault = NULL;
    return 0;
}

static void pass(double seconds)
{
    lab->now.wall += (int64_t)(seconds * 1e9);
    lab->now.mono += (int64_t)(seconds * 1e9);
}

static void count(uint32_t stripe, uint32_t series, uint64_t ns)
{
    imx_stats_request_t r = { .request_ns = ns,
                              .application_ns = ns / 2,
                              .bytes_sent = 100,
                              .status = 200 };

    imx_stats_count(imx_stats_cell(&stats, stripe, series), &r);
    lab->counted++;
}

/* ---- a holder ---- */

static void put(const row_t *new)
{
    uint32_t i;

    for (i = 0; i < lab->rows; i++) {
        const row_t *r = &lab->row[i];

        if (r->schedule == new->schedule && r->series == new->series
            && r->time == new->time) {
            lab->again++;
            lab->differ += memcmp(r, new, sizeof *r) != 0;
            return;
        }
        lab->twins += r->schedule == new->schedule && r->series == new->series
                      && r->number == new->number;
    }
    assert_true(i < ROWS_MAX);
    lab->row[i] = *new;
    lab->rows++; /* last, as nobody is killed between these two */
}

static void write_series(uint32_t schedule, const imx_interval_closed_t *c,
                         uint32_t i)
{
    const imx_tally_t *old = imx_interval_old(c, i);
    const imx_tally_t *now = imx_interval_row(c, i);
    row_t r;

    memset(&r, 0, sizeof r);
    r.schedule = schedule;
    r.series = i;
    r.time = c->time;
    r.number = c->number;
    r.requests = imx_tally_between(old, now, &r.change);
    r.span = imx_tally_span(c, old, now);
    r.longest = now->longest;
    if (r.requests > 0) {
        put(&r);
    }
}

static void write_closed(uint32_t schedule)
{
    imx_interval_closed_t c;
    uint32_t i;

    if (imx_interval_closed(&intervals, schedule, &c)) {
        for (i = 0; i < spec[schedule].rows; i++) {
            write_series(schedule, &c, i);
            FAULT("line");
        }
        imx_interval_written(&intervals, schedule, &c);
    }
}

static uint64_t least = 0;

static void close_one(uint32_t schedule, int64_t length)
{
    imx_interval_closed_t c;
    imx_tally_fill_t fill = {
        .stats = stats, .now = lab->now.mono, .takes_max = schedule == 0
    };

    if (schedule == 1 && length != 0) {
        fill.least = least;
        fill.patience = 300 * SECOND;
    }
    imx_interval_closed(&intervals, schedule, &c);
    fill.number = c.number + 1;
    fill.began = c.ended;
    imx_interval_close(&intervals, schedule, length, &lab->now,
                       spec[schedule].rows, imx_tally_fill, &fill);
}

static void look(uint32_t schedule)
{
    write_closed(schedule);
    if (imx_interval_is_due(&intervals, schedule, lengths[schedule],
                            &lab->now)) {
        close_one(schedule, lengths[schedule]);
        write_closed(schedule);
    }
}

static void finish(uint32_t schedule)
{
    write_closed(schedule);
    close_one(schedule, 0);
    write_closed(schedule);
}

static uint64_t sum_of(uint32_t schedule)
{
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < lab->rows; i++) {
        sum += lab->row[i].schedule == schedule ? lab->row[i].requests : 0;
    }
    return sum;
}

/* ---- what an interval is ---- */

static void times_are_whole_intervals(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 700; i++) {
        count(0, 0, 1000000);
        pass(0.1);
        look(0);
    }
    assert_int_equal(lab->rows, 7);
    assert_int_equal(lab->row[0].time, 1000010 * SECOND + 4711);
    assert_int_equal(lab->row[6].time, 1000070 * SECOND + 4711);
    assert_int_equal(lab->row[0].span, 7 * SECOND);
    assert_int_equal(lab->row[3].span, 10 * SECOND);
    assert_int_equal(lab->row[3].requests, 100);
    assert_int_equal(lab->row[3].change.bytes_sent, 10000);
    assert_int_equal(lab->row[3].longest, 1000000);
}

static void the_end_has_its_own_time(void **state)
{
    (void)state;
    pass(8);
    count(1, 1, 5);
    look(0);
    pass(2);
    count(1, 1, 5);
    finish(0);
    assert_int_equal(sum_of(0), 2);
    assert_int_equal(lab->row[1].time, 1000013 * SECOND);
    count(1, 1, 5);
    finish(0);
    assert_int_equal(lab->row[2].time, 1000013 * SECOND + 1);
    assert_int_equal(lab->row[2].span, 1); /* never 0: it is divided by */
}

static void a_clock_set_back_overwrites_nothing(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 3000; i++) {
        count(0, 2, 1000000);
        pass(0.1);
        look(0);
        if (i == 1000) {
            lab->now.wall -= 60 * SECOND; /* the same times once more */
        }
        if (i == 2000) {
            lab->now.wall += 3600 * SECOND;
        }
    }
    finish(0);
    assert_int_equal(sum_of(0), 3000);
    assert_int_equal(lab->again + lab->differ + lab->twins, 0);
    for (i = 0; i < (int)lab->rows; i++) {
        assert_true(lab->row[i].span <= 21 * SECOND);
    }
}

static void few_requests_wait(void **state)
{
    int i;

    (void)state;
    least = 154;
    for (i = 0; i < 40; i++) {
        count(0, 0, 1000); /* 6 in an interval: waits for 5 minutes */
        count(0, 1, 1000);
        if (i % 2) {
            pass(10);
        }
        else {
            pass(0.5);
        }
        look(1);
    }
    assert_int_equal(sum_of(1), 0);
    for (i = 0; i < 154; i++) {
        count(0, 2, 1000); /* enough for series 2 alone */
    }
    pass(61);
    look(1);
    assert_int_equal(sum_of(1), 154);
    pass(61);
    look(1);
    assert_int_equal(lab->rows, 3);
    assert_int_equal(sum_of(1), 154 + 80);
    assert_true(lab->row[1].span >= 300 * SECOND);
    least = 0;
}

static void a_schedule_without_rows_has_times(void **state)
{
    imx_interval_closed_t c;

    (void)state;
    pass(1);
    assert_true(imx_interval_is_due(&intervals, 2, SECOND, &lab->now));
    imx_interval_close(&intervals, 2, SECOND, &lab->now, 0, NULL, NULL);
    pass(5); /* it is not written yet */
    assert_false(imx_interval_is_due(&intervals, 2, SECOND, &lab->now));
    assert_true(imx_interval_closed(&intervals, 2, &c));
    assert_int_equal(c.time, 1000004 * SECOND + 4711);
    imx_interval_written(&intervals, 2, &c);
    assert_false(imx_interval_closed(&intervals, 2, &c));
    assert_true(imx_interval_is_due(&intervals, 2, SECOND, &lab->now));
}

/* ---- killed ---- */

static int kill_in;            /* so many faults from now */
static const char *kill_where; /* NULL: anywhere */

static void strike(const char *point)
{
    if ((kill_where == NULL || strcmp(point, kill_where) == 0)
        && --kill_in == 0) {
        kill(getpid(), SIGKILL);
    }
}

__attribute__((noreturn)) static int hold(void *arg)
{
    uint32_t schedule;

    (void)arg;
    imx_fault = strike;
    for (;;) {
        for (schedule = 0; schedule < 2; schedule++) {
            look(schedule);
        }
        pass(1);
    }
}

static int count_all_the_time(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg, n = 0;

    while (!lab->stop) {
        count(me, n % SERIES, 20000 + n % 1000000 * 1000);
        n++;
    }
    return 0;
}

static void hold_and_be_killed(const char *where, int in)
{
    kill_where = where;
    kill_in = in;
    assert_int_equal(wait_for(spawn(hold, NULL)), -SIGKILL);
}

static void check_all_of_it(void)
{
    uint32_t schedule, i;
    uint64_t counted, ns[2] = { 0, 0 };

    lab->stop = 1;
    for (i = 0; i < 2; i++) {
        int status;

        assert_true(wait(&status) > 0);
    }
    for (schedule = 0; schedule < 2; schedule++) {
        finish(schedule);
    }
    counted = lab->counted;
    for (i = 0; i < lab->rows; i++) {
        ns[lab->row[i].schedule] += lab->row[i].change.request_ns;
    }
    assert_int_equal(sum_of(0), counted);
    assert_int_equal(sum_of(1), counted);
    assert_int_equal(ns[0], ns[1]);
    assert_int_equal(lab->differ, 0);
    assert_int_equal(lab->twins, 0);
    assert_true(lab->again > 0);
}

static void killed_anywhere(void **state)
{
    int i;

    (void)state;
    spawn(count_all_the_time, (void *)1);
    spawn(count_all_the_time, (void *)2);
    for (i = 0; i < KILLS; i++) {
        hold_and_be_killed(NULL, 1 + i % 37 + (int)(lrand48() % 3));
    }
    check_all_of_it();
}

static void killed_at_each_point(void **state)
{
    static const char *const points[] = { "filled",  "taken",  "timed",
                                          "closing", "closed", "line",
                                          "writing", "written" };
    size_t i;
    int times;

    (void)state;
    spawn(count_all_the_time, (void *)1);
    spawn(count_all_the_time, (void *)2);
    for (times = 1; times <= KILLS / 8; times++) {
        for (i = 0; i < sizeof points / sizeof *points; i++) {
            hold_and_be_killed(points[i], 1 + times % 3);
        }
    }
    check_all_of_it();
}

/* What a holder had taken before it was killed is not lost. */
static void the_maximum_survives(void **state)
{
    (void)state;
    count(0, 0, 3 * SECOND);
    pass(10);
    hold_and_be_killed("filled", 1);
    count(0, 0, SECOND);
    look(0);
    assert_int_equal(lab->row[0].longest, 3 * SECOND);
    pass(10);
    count(0, 0, SECOND);
    look(0);
    assert_int_equal(lab->row[1].longest, SECOND);
}

/* ---- readers meanwhile ---- */

#define CLOSINGS 20000

typedef struct {
    uint64_t seen, wrong;
} reader_t;

static void *read_all_the_time(void *data)
{
    reader_t *r = data;
    imx_interval_closed_t c;
    uint64_t change;

    while (!lab->stop) {
        imx_interval_closed(&intervals, 0, &c);
        if (imx_tally_change(&c, 1, offsetof(imx_tally_t, sum.request_ns),
                             &change)) {
            r->seen++;
            r->wrong += change != 1000;
        }
    }
    return NULL;
}

/* Each interval has one request: who reads meanwhile finds that, or knows that
 * it has come too late. */
static void readers_know_when_they_are_late(void **state)
{
    reader_t reader = { 0, 0 };
    pthread_t thread;
    int i;

    (void)state;
    count(0, 1, 1000);
    close_one(0, lengths[0]);
    assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, &reader),
                     0);
    for (i = 0; i < CLOSINGS; i++) {
        imx_interval_closed_t c;

        imx_interval_closed(&intervals, 0, &c);
        imx_interval_written(&intervals, 0, &c);
        count(0, 1, 1000);
        pass(10);
        close_one(0, lengths[0]);
    }
    lab->stop = 1;
    pthread_join(thread, NULL);
    assert_true(reader.seen > 0);
    assert_int_equal(reader.wrong, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(times_are_whole_intervals),
        TEST(the_end_has_its_own_time),
        TEST(a_clock_set_back_overwrites_nothing),
        TEST(few_requests_wait),
        TEST(a_schedule_without_rows_has_times),
        TEST(the_maximum_survives),
        TEST(readers_know_when_they_are_late),
        TEST(killed_anywhere),
        TEST(killed_at_each_point),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
