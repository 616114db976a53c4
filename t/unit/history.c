/*
 * t/unit/history.c: seconds and minutes: each request is in exactly one of
 * each, by a false clock over 25 hours, over gaps, steps of the clock and
 * holders that are killed at every point; readers meanwhile; random words.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/fault.h"
#include "shared/quantile.h"
#include "shared/seconds.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "cell.h"
#include "process.h"

#define SECOND INT64_C(1000000000)
#define SERIES 200
#define START INT64_C(1700000000) /* a time that no minute begins with */
#define KILLS 600
#define HOSTS 3 /* that are counted while holders are killed */

typedef struct {
    int64_t wall, mono; /* the holders' clocks, ns */
    _Atomic uint64_t counted, failed;
    _Atomic int stop;
} lab_t;

static lab_t *lab;
static imx_stats_t stats;
static imx_series_t series;
static imx_history_t history;

/* Of this process, as a holder. */
static imx_seconds_t seconds;

static void become_holder(void)
{
    memset(&seconds, 0, sizeof seconds);
    seconds.history = &history;
    seconds.stats = &stats;
    seconds.series = &series;
}

static int begin(void **state)
{
    (void)state;
    lab = shared_memory(sizeof *lab);
    lab->wall = START * SECOND + SECOND / 2;
    lab->mono = 4711 * SECOND;
    imx_stats_format(&stats, shared_memory(imx_stats_size(SERIES)), SERIES);
    imx_series_format(&series, shared_memory(imx_series_size(SERIES)), SERIES);
    imx_history_format(&history, shared_memory(imx_history_size()), lab->wall,
                       lab->mono);
    become_holder();
    alarm(4 * TEST_LIMIT);
    return 0;
}

static int end(void **state)
{
    (void)state;
    imx_fault = NULL;
    munmap(lab, sizeof *lab);
    munmap(stats.cells, imx_stats_size(SERIES));
    munmap(series.part, imx_series_size(SERIES));
    munmap(history.part, imx_history_size());
    return 0;
}

static void count(uint32_t stripe, uint32_t number, uint64_t ns, int status)
{
    imx_stats_request_t r = {
        .request_ns = ns, .bytes_sent = 100, .status = (uint32_t)status
    };

    imx_stats_count(imx_stats_cell(&stats, stripe, number), &r);
    imx_stats_count_objective(imx_stats_cell(&stats, stripe, number),
                              status < 500);
    lab->counted++;
    lab->failed += status >= 500;
}

static void pass(double s)
{
    lab->wall += (int64_t)(s * 1e9);
    lab->mono += (int64_t)(s * 1e9);
}

static void look(void)
{
    imx_seconds_sample_t sample = {
        .wall = lab->wall,
        .mono = lab->mono,
        .gauges = { .busy = 250, .listen_queue = 3 },
        .sent = lab->counted
    };

    if (imx_seconds_is_due(&seconds, lab->mono)) {
        imx_seconds_close(&seconds, &sample);
    }
}

/* Two looks: what was being counted at the first one is in the second. */
static void settle(void)
{
    pass(1);
    look();
    pass(1);
    look();
}

/* ---- sums over a ring ---- */

typedef struct {
    uint64_t periods, requests, errors, in_buckets, rows, row_errors, span;
    uint64_t objective_total, objective_good;
    uint64_t sent;
} sums_t;

static void add_rows(imx_history_ring_e ring, uint64_t n, sums_t *sums)
{
    uint32_t hosts = imx_history_hosts(&history), i;
    imx_history_row_t row;

    for (i = 0; i < hosts; i++) {
        if (imx_history_row(&history, ring, n, i, &row)) {
            sums->rows += row.requests;
            sums->row_errors += row.errors;
            sums->objective_total += row.objective_total;
            sums->objective_good += row.objective_good;
        }
    }
}

static sums_t sums_of(imx_history_ring_e ring)
{
    uint64_t last = imx_history_last(&history, ring), i;
    uint32_t places = imx_history_places(ring), b;
    imx_history_period_t p;
    sums_t sums;

    memset(&sums, 0, sizeof sums);
    for (i = 0; i < places; i++) {
        if (imx_history_period(&history, ring, last - i, &p)) {
            sums.periods++;
            sums.span += p.span;
            sums.requests += imx_history_requests(&p);
            sums.errors += imx_history_errors(&p);
            sums.sent += p.gauges.sent;
            for (b = 0; b < IMX_STATS_BUCKETS; b++) {
                sums.in_buckets += p.buckets[b];
            }
            add_rows(ring, last - i, &sums);
        }
    }
    return sums;
}

static void all_are_there(imx_history_ring_e ring)
{
    sums_t sums = sums_of(ring);

    assert_int_equal(sums.requests, lab->counted);
    assert_int_equal(sums.in_buckets, lab->counted);
    assert_int_equal(sums.errors, lab->failed);
    assert_int_equal(sums.rows, lab->counted);
    assert_int_equal(sums.row_errors, lab->failed);
    assert_int_equal(sums.objective_total, lab->counted);
    assert_int_equal(sums.objective_good, lab->counted - lab->failed);
}

/* ---- one holder ---- */

static void a_second_is_what_happened_in_it(void **state)
{
    imx_history_period_t p;
    imx_history_row_t row;
    uint64_t n, requests, errors;

    (void)state;
    imx_series_use(&series, "one.test", "");
    imx_series_use(&series, "one.test", "a route");
    imx_series_use(&series, "two.test", "");
    pass(1);
    look();
    count(0, 1, 1000000, 200);
    count(3, 2, 3000000, 503);
    count(9, 3, 2000000, 404);
    assert_false(imx_seconds_is_due(&seconds, lab->mono));
    pass(1);
    assert_true(imx_seconds_is_due(&seconds, lab->mono));
    look();
    n = imx_history_last(&history, IMX_HISTORY_SECOND);
    assert_int_equal(n, START + 2);
    assert_true(imx_history_period(&history, IMX_HISTORY_SECOND, n, &p));
    assert_int_equal(imx_history_requests(&p), 3);
    assert_int_equal(p.classes[1], 1);
    assert_int_equal(p.classes[3], 1);
    assert_int_equal(imx_history_errors(&p), 1);
    assert_int_equal(p.request_ns, 6000000);
    assert_int_equal(p.bytes_sent, 300);
    assert_int_equal(p.longest, 3000000);
    assert_int_equal(p.span, 1);
    assert_int_equal(p.wall, lab->wall);
    assert_int_equal(p.gauges.busy, 250);
    assert_int_equal(p.gauges.sent, 3);
    assert_int_equal(imx_history_hosts(&history), 3);
    assert_string_equal(imx_series_name(&series,
                                        imx_history_series(&history, 1))
                            .server,
                        "one.test");
    assert_true(imx_history_row(&history, IMX_HISTORY_SECOND, n, 1, &row));
    assert_int_equal(row.requests, 2);
    assert_int_equal(row.errors, 1);
    assert_int_equal(row.p50, imx_stats_bucket(1000000));
    assert_int_equal(row.p99, imx_stats_bucket(3000000));
    assert_int_equal(row.request_ns, 4000000);
    assert_int_equal(row.objective_total, 2);
    assert_int_equal(row.objective_good, 1);
    assert_true(imx_history_row(&history, IMX_HISTORY_SECOND, n, 0, &row));
    assert_int_equal(row.requests, 0);
    assert_int_equal(row.p50, IMX_HISTORY_NONE);
    imx_history_totals(&history, 1, &requests, &errors);
    assert_int_equal(requests, 2);
    assert_int_equal(errors, 1);
    pass(1);
    look();
    assert_true(imx_history_period(&history, IMX_HISTORY_SECOND, n + 1, &p));
    assert_int_equal(imx_history_requests(&p), 0);
    assert_int_equal(p.longest, 0);
}

/* The maximum is taken by two, and each has it. */
static void the_longest_is_everybodys(void **state)
{
    imx_history_period_t p;

    (void)state;
    count(2, 0, 5 * (uint64_t)SECOND, 200);
    assert_true(imx_stats_take_max(&stats, 0, IMX_STATS_FOR_INTERVALS)
                == 5 * (uint64_t)SECOND);
    settle();
    assert_true(
        imx_history_period(&history, IMX_HISTORY_SECOND,
                           imx_history_last(&history, IMX_HISTORY_SECOND) - 1,
                           &p));
    assert_int_equal(p.longest, 5 * SECOND);
    count(2, 0, 7 * (uint64_t)SECOND, 200);
    settle();
    assert_true(imx_stats_take_max(&stats, 0, IMX_STATS_FOR_INTERVALS)
                == 7 * (uint64_t)SECOND);
    assert_int_equal(imx_stats_take_max(&stats, 0, IMX_STATS_FOR_INTERVALS),
                     0);
}

/* A request that is in one of its counters at the end of a second, and in the
 * others after it. */
static void half_a_request_is_not_lost(void **state)
{
    imx_stats_cell_t *cell = imx_stats_cell(&stats, 0, 0);

    (void)state;
    count(0, 0, 1000, 200);
    pass(1);
    look();
    imx_stats_count_aborted(cell); /* of the same request, some ns later */
    pass(1);
    look();
    assert_int_equal(imx_history_base(&history, IMX_HISTORY_SECOND)
                         ->hosts[0]
                         .sum.aborted,
                     1);
}

static void a_gap_is_in_the_next_second(void **state)
{
    imx_history_period_t p;
    uint64_t n, i;

    (void)state;
    settle();
    count(1, 0, 1000, 200);
    pass(5);
    count(1, 0, 1000, 200);
    look();
    n = imx_history_last(&history, IMX_HISTORY_SECOND);
    assert_int_equal(n, START + 2 + 5);
    for (i = 1; i < 5; i++) {
        assert_false(
            imx_history_period(&history, IMX_HISTORY_SECOND, n - i, &p));
    }
    assert_true(imx_history_period(&history, IMX_HISTORY_SECOND, n, &p));
    assert_int_equal(imx_history_requests(&p), 2);
    assert_int_equal(p.span, 5);
    pass(5000); /* longer than the ring */
    count(1, 0, 1000, 200);
    look();
    n = imx_history_last(&history, IMX_HISTORY_SECOND);
    assert_true(imx_history_period(&history, IMX_HISTORY_SECOND, n, &p));
    assert_int_equal(imx_history_requests(&p), 1);
    assert_false(
        imx_history_period(&history, IMX_HISTORY_SECOND, n - 607, &p));
}

static void the_wall_clock_may_be_set(void **state)
{
    imx_history_period_t p;
    int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        count(1, 0, 1000, 200);
        pass(1);
        lab->wall += i == 30 ? -3600 * SECOND : i == 60 ? 86400 * SECOND : 0;
        look();
        assert_int_equal(imx_history_last(&history, IMX_HISTORY_SECOND),
                         START + i + 1);
        assert_true(imx_history_period(&history, IMX_HISTORY_SECOND,
                                       (uint64_t)START + (uint64_t)i + 1, &p));
        assert_int_equal(p.wall, lab->wall);
        assert_int_equal(imx_history_requests(&p), 1);
    }
    settle();
    all_are_there(IMX_HISTORY_SECOND);
}

/* 63 names of their own; the others are together, and nothing is missing. */
static void more_hosts_than_rows(void **state)
{
    imx_history_row_t row;
    char name[32];
    uint32_t i;

    (void)state;
    for (i = 1; i < 100; i++) {
        snprintf(name, sizeof name, "host-%u.test", i);
        imx_series_use(&series, name, "");
    }
    for (i = 1; i < 100; i++) {
        count(i, i, 1000, 200);
    }
    settle();
    assert_int_equal(imx_history_hosts(&history), IMX_HISTORY_HOSTS);
    assert_true(
        imx_history_row(&history, IMX_HISTORY_SECOND,
                        imx_history_last(&history, IMX_HISTORY_SECOND) - 1,
                        IMX_HISTORY_OTHER, &row));
    assert_int_equal(row.requests, 36);
    all_are_there(IMX_HISTORY_SECOND);
    imx_series_use(&series, "host-5.test", "a new route"); /* by a restart */
    count(0, 100, 1000, 200);
    settle();
    all_are_there(IMX_HISTORY_SECOND);
}

/* 25 hours: the rings go round; 24 hours are there to the minute. */
static void twenty_five_hours(void **state)
{
    const uint32_t minutes = 1500;
    imx_history_period_t p;
    uint64_t last;
    sums_t sums;
    uint32_t i, s;

    (void)state;
    imx_series_use(&series, "one.test", "");
    pass(60 - (double)(START % 60)); /* to the end of a minute */
    look();
    for (i = 0; i < minutes; i++) {
        for (s = 0; s < 60; s++) {
            if (s == 7) {
                count(i, i % 2, (uint64_t)(1 + i % 50) * 1000000,
                      i % 10 == 0 ? 500 : 200);
            }
            pass(1);
            look();
        }
    }
    last = imx_history_last(&history, IMX_HISTORY_MINUTE);
    for (i = 0; i < IMX_HISTORY_MINUTES; i++) {
        assert_true(
            imx_history_period(&history, IMX_HISTORY_MINUTE, last - i, &p));
        assert_int_equal(imx_history_requests(&p), 1);
        assert_int_equal(p.span, 1);
        assert_int_equal(p.longest, (1 + (minutes - 1 - i) % 50) * 1000000);
        assert_int_equal(p.gauges.busy, 250);
        assert_int_equal(p.gauges.listen_queue, 3);
        assert_int_equal(p.gauges.sent, 1);
        assert_int_equal((p.wall / SECOND) % 60, 0);
    }
    sums = sums_of(IMX_HISTORY_MINUTE);
    assert_int_equal(sums.periods, imx_history_places(IMX_HISTORY_MINUTE));
    assert_int_equal(sums.rows, sums.periods);
    assert_int_equal(sums_of(IMX_HISTORY_SECOND).periods,
                     imx_history_places(IMX_HISTORY_SECOND));
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
    (void)arg;
    become_holder();
    imx_fault = strike;
    for (;;) {
        count(7, 0, 1000, 200); /* so that each point is passed */
        look();
        pass(0.5);
    }
}

static int count_all_the_time(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg, n = 0;

    while (!lab->stop) {
        count(me, n % HOSTS, 20000 + n % 1000000 * 1000, n % 7 ? 200 : 502);
        n++;
    }
    return 0;
}

static void hold_and_be_killed(const char *where, int in)
{
    kill_where = where;
    kill_in = in;
    assert_int_equal(wait_for(spawn(hold, NULL)), -SIGKILL);
    pass(0.3 + (double)(lrand48() % 3));
}

static void killed(const char *const *points, size_t count_of_points,
                   int kills)
{
    pid_t counters[] = { spawn(count_all_the_time, (void *)1),
                         spawn(count_all_the_time, (void *)2) };
    uint64_t last;
    int i, done;

    imx_series_use(&series, "one.test", "");
    imx_series_use(&series, "two.test", "");
    for (i = 0; i < kills; i++) {
        if (count_of_points == 0) {
            hold_and_be_killed(NULL, 1 + (int)(lrand48() % 80));
        }
        else {
            hold_and_be_killed(points[(size_t)i % count_of_points],
                               1 + i / (int)count_of_points % 2);
        }
        last = imx_history_last(&history, IMX_HISTORY_SECOND);
        if (last - history.first > IMX_HISTORY_SECONDS - 20) {
            break; /* nothing is to leave the ring */
        }
    }
    done = i;
    lab->stop = 1;
    wait_for(counters[0]);
    wait_for(counters[1]);
    become_holder();
    /* The holders' clock goes on while a counter waits for the processor in the
     * middle of a request: then its host was taken for idle, until the next
     * request. */
    for (i = 0; i < HOSTS; i++) {
        count(1, (uint32_t)i, 1000, 200);
    }
    settle();
    all_are_there(IMX_HISTORY_SECOND);
    pass(60);
    look();
    all_are_there(IMX_HISTORY_MINUTE);
    assert_true(done > 20);
}

static void killed_at_each_point(void **state)
{
    static const char *const points[] = { "begun",    "put",    "row",  "host",
                                          "numbered", "closed", "taken" };

    (void)state;
    killed(points, sizeof points / sizeof *points, KILLS);
}

static void killed_anywhere(void **state)
{
    (void)state;
    killed(NULL, 0, KILLS);
}

/* In the middle of a minute's end. */
static void killed_in_a_minute(void **state)
{
    static const char *const points[] = { "minute", "put", "row", "numbered" };
    int i;

    (void)state;
    imx_series_use(&series, "one.test", "");
    for (i = 0; i < 8; i++) {
        count(0, 1, 1000, 200);
        while (imx_history_number(&history, lab->mono) % 60 != 59) {
            pass(1);
        }
        look(); /* the last second before the end of a minute */
        count(1, 0, 1000, 200);
        hold_and_be_killed(points[i % 4], i % 4 == 0 ? 1 : 2);
    }
    become_holder();
    pass(61);
    look();
    settle();
    all_are_there(IMX_HISTORY_MINUTE);
}

/* What a holder had taken before it was killed is not lost. */
static void the_longest_survives(void **state)
{
    imx_history_period_t p;

    (void)state;
    settle();
    count(0, 0, 3 * (uint64_t)SECOND, 200);
    lab->wall += SECOND;
    lab->mono += SECOND;
    kill_where = "host";
    kill_in = 1;
    assert_int_equal(wait_for(spawn(hold, NULL)), -SIGKILL);
    look();
    assert_true(
        imx_history_period(&history, IMX_HISTORY_SECOND,
                           imx_history_last(&history, IMX_HISTORY_SECOND),
                           &p));
    assert_int_equal(imx_history_requests(&p), 2); /* one is hold()'s */
    assert_int_equal(p.longest, 3 * SECOND);
}

/* ---- readers meanwhile ---- */

static _Atomic uint64_t seen, torn;

static void check_second(uint64_t n)
{
    imx_history_period_t p;
    imx_history_row_t row;
    imx_history_recent_t recent;
    uint64_t in_buckets = 0;
    uint32_t i;

    if (imx_history_period(&history, IMX_HISTORY_SECOND, n, &p)) {
        for (i = 0; i < IMX_STATS_BUCKETS; i++) {
            in_buckets += p.buckets[i];
        }
        seen++;
        torn += in_buckets != imx_history_requests(&p)
                || p.bytes_sent != 100 * in_buckets
                || p.request_ns != 1000 * in_buckets;
    }
    if (imx_history_row(&history, IMX_HISTORY_SECOND, n, 1, &row)) {
        torn += row.request_ns != (uint64_t)row.requests * 1000;
    }
    if (imx_history_recent(&history, n, 1, &recent)) {
        for (i = 0; i < IMX_STATS_BUCKETS; i++) {
            torn += i != imx_stats_bucket(1000) && recent.buckets[i] != 0;
        }
    }
}

static void *read_all_the_time(void *arg)
{
    (void)arg;
    while (!lab->stop) {
        uint64_t last = imx_history_last(&history, IMX_HISTORY_SECOND), i;

        for (i = 0; i < 12; i++) {
            check_second(last + 1 - i); /* the one being written, too */
            check_second(last + 1 - i - IMX_HISTORY_SECOND_PLACES);
        }
    }
    return NULL;
}

static void readers_see_whole_seconds(void **state)
{
    pthread_t readers[2];
    int i, j;

    (void)state;
    imx_series_use(&series, "one.test", "");
    for (i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_all_the_time,
                                        NULL),
                         0);
    }
    for (i = 0; i < 5000 || seen < 1000; i++) {
        for (j = 0; j < i % 50; j++) {
            count((uint32_t)j, (uint32_t)j % 2, 1000, 200);
        }
        pass(1);
        look();
    }
    lab->stop = 1;
    for (i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_true(seen >= 1000);
    assert_int_equal(torn, 0);
}

/* ---- random words ---- */

static uint64_t random64(void)
{
    return (uint64_t)lrand48() << 42 ^ (uint64_t)lrand48() << 21
           ^ (uint64_t)lrand48();
}

/* As docs/sizing.md says. */
static void how_large_it_is(void **state)
{
    size_t period = sizeof(imx_history_period_t) + sizeof(uint64_t);

    (void)state;
    assert_int_equal(period, 872);
    assert_int_equal(sizeof(imx_history_row_t), 32);
    assert_in_range(period * IMX_HISTORY_SECOND_PLACES, 500000, 549999);
    assert_in_range(period * IMX_HISTORY_MINUTE_PLACES, 1250000, 1349999);
    assert_in_range(imx_history_size(), 6500000, 7000000);
}

/* Everything is read, and goes on; a slot is closed each second. */
static void random_words(void **state)
{
    _Atomic uint64_t *words = (void *)history.part;
    const size_t head = 4096 / 8, all = imx_history_size() / 8;
    imx_history_recent_t recent;
    uint64_t closed = 0, n;
    int i, j;

    (void)state;
    imx_series_use(&series, "one.test", "");
    for (i = 0; i < 3000; i++) {
        for (j = 0; j < 20; j++) {
            size_t at = j < 5 ? (size_t)lrand48() % head : random64() % all;

            atomic_store(&words[at],
                         j % 3 ? random64() : random64() & random64());
        }
        count(0, (uint32_t)i % 3, random64() >> i % 60, 200);
        pass(1);
        n = imx_history_number(&history, lab->mono);
        look();
        closed += imx_history_last(&history, IMX_HISTORY_SECOND) == n;
        if (i % 20 == 0) {
            sums_of(IMX_HISTORY_SECOND);
            sums_of(IMX_HISTORY_MINUTE);
        }
        assert_true(imx_history_hosts(&history) <= IMX_HISTORY_HOSTS);
        imx_history_recent(&history, random64(), (uint32_t)random64(),
                           &recent);
        imx_series_name(&series, imx_history_series(&history, 3));
    }
    assert_int_equal(closed, 3000);
    /* And when it is over, it heals. */
    for (i = 0; i < 700; i++) {
        count(0, 1, 1000, 200);
        pass(1);
        look();
    }
    assert_int_equal(sums_of(IMX_HISTORY_SECOND).requests,
                     imx_history_places(IMX_HISTORY_SECOND));
}

/* ---- what it costs ---- */

static void bounded_with_100_hosts(void **state)
{
    struct timespec a, b;
    double best = 1e9, us;
    char name[32];
    uint32_t i, s;

    (void)state;
    for (i = 1; i <= 100; i++) {
        snprintf(name, sizeof name, "host-%u.test", i);
        imx_series_use(&series, name, "");
    }
    for (i = 0; i < 50; i++) {
        for (s = 0; s < 16 * 100; s++) {
            count(s % 16, 1 + s / 16, 1000 * (s + 1), 200);
        }
        pass(1);
        clock_gettime(CLOCK_MONOTONIC, &a);
        look();
        clock_gettime(CLOCK_MONOTONIC, &b);
        us = (double)(b.tv_sec - a.tv_sec) * 1e6
             + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
        best = us < best ? us : best;
    }
    print_message("# a second with 100 hosts, all of them busy: %.0f us\n",
                  best);
    assert_true(best < 5000); /* 0.5 ms, but under a sanitizer */
}

/* ---- totals ---- */

/* Five times 2^32 requests, in minutes of half as many. */
static void minutes_keep_the_totals(void **state)
{
    uint32_t host = imx_series_use(&series, "www.example.org", NULL), i;
    imx_stats_totals_t totals;

    (void)state;
    for (i = 1; i <= 10; i++) {
        count_at_once(imx_stats_cell(&stats, 0, host), 100, UINT64_C(1) << 31);
        imx_stats_totals(&stats, host, &totals);
        assert_true(totals.buckets[0][100] == (uint64_t)i << 31);
        pass(60);
        look();
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest threads[] = {
        TEST(readers_see_whole_seconds),
    };
    const struct CMUnitTest tests[] = {
        TEST(a_second_is_what_happened_in_it),
        TEST(the_longest_is_everybodys),
        TEST(half_a_request_is_not_lost),
        TEST(a_gap_is_in_the_next_second),
        TEST(the_wall_clock_may_be_set),
        TEST(more_hosts_than_rows),
        TEST(twenty_five_hours),
        TEST(killed_at_each_point),
        TEST(killed_anywhere),
        TEST(killed_in_a_minute),
        TEST(the_longest_survives),
        TEST(readers_see_whole_seconds),
        TEST(how_large_it_is),
        TEST(random_words),
        TEST(minutes_keep_the_totals),
        TEST(bounded_with_100_hosts),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return getenv("IMX_THREADS_ONLY") != NULL
               ? cmocka_run_group_tests(threads, NULL, NULL)
               : cmocka_run_group_tests(tests, NULL, NULL);
}
