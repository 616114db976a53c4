/*
 * t/unit/objectives.c: which objective a virtual host has, and how many of its
 * requests kept it in the last five minutes and the last hour: by a false clock
 * over two hours, over gaps in which nobody closed a second, and for random
 * words.
 *
 * httpd is a stand-in: servers with a configuration of this module alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "apr_general.h"

#include "shared/seconds.h"
#include "show/objectives.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SECOND INT64_C(1000000000)
#define START INT64_C(1700000000) /* in the middle of a minute */
#define SERIES 20
#define MOST 8000 /* seconds */

module AP_MODULE_DECLARE_DATA influx_metrics_module;

static imx_arena_t arena;
static imx_seconds_t seconds;
static imx_seconds_sample_t sample;
static apr_pool_t *pool;

/* What was counted of a host, by the second in which it was closed. */
static uint64_t total[3][MOST], good[3][MOST];
static int now; /* seconds since the start */

/* ---- servers, and their configuration ---- */

typedef struct {
    server_rec rec;
    imx_schema_server_t server;
    imx_schema_dir_t dir;
    void *server_config[1], *dir_config[1];
    unsigned series[1];
} server_t;

static server_t servers[5];

static void make_server(int i, const char *name, int64_t ms, double percent)
{
    server_t *s = &servers[i];

    memset(s, 0, sizeof *s);
    s->series[0] = imx_series_use(&arena.series, name, "");
    s->server.series = s->series;
    s->server_config[0] = &s->server;
    s->dir_config[0] = &s->dir;
    s->dir.objective.ns = ms > 0 ? ms * 1000000 : IMX_UNSET;
    s->dir.objective.percent = percent;
    s->rec.module_config = (void *)s->server_config;
    s->rec.lookup_defaults = (void *)s->dir_config;
    if (i > 0) {
        servers[i - 1].rec.next = &s->rec;
    }
}

static void *memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(p != MAP_FAILED);
    return p;
}

static int begin(void **state)
{
    (void)state;
    now = 0;
    memset(total, 0, sizeof total);
    memset(good, 0, sizeof good);
    memset(&seconds, 0, sizeof seconds);
    sample.wall = START * SECOND;
    sample.mono = 4711 * SECOND;
    imx_stats_format(&arena.stats, memory(imx_stats_size(SERIES)), SERIES);
    imx_series_format(&arena.series, memory(imx_series_size(SERIES)), SERIES);
    imx_history_format(&arena.history, memory(imx_history_size()), sample.wall,
                       sample.mono);
    seconds.history = &arena.history;
    seconds.stats = &arena.stats;
    seconds.series = &arena.series;
    make_server(0, "none.test", 0, 0);
    make_server(1, "one.test", 500, 99.9);
    make_server(2, "two.test", 1000, 99);
    apr_pool_create(&pool, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    munmap(arena.stats.cells, imx_stats_size(SERIES));
    munmap(arena.series.part, imx_series_size(SERIES));
    munmap(arena.history.part, imx_history_size());
    return 0;
}

static void use(void)
{
    imx_objectives_use(pool, &servers[0].rec, &arena);
}

/* Some seconds pass in which requests come, and are closed as one. */
static void pass(int span)
{
    int host, n, i;

    now += span;
    for (host = 1; host < 3; host++) {
        n = (int)(lrand48() % (5 * span));
        for (i = 0; i < n; i++) {
            imx_stats_request_t r = { .request_ns = 1000, .status = 200 };
            imx_stats_cell_t *cell = imx_stats_cell(&arena.stats, 0,
                                                    (uint32_t)host + 1);
            int is_good = lrand48() % 10 != 0;

            imx_stats_count(cell, &r);
            imx_stats_count_objective(cell, is_good);
            total[host][now]++;
            good[host][now] += (uint64_t)is_good;
        }
    }
    sample.wall += span * SECOND;
    sample.mono += span * SECOND;
    imx_seconds_close(&seconds, &sample);
}

/* ---- what is counted ---- */

static void is_sum(const imx_objectives_span_t *span, int host, int from)
{
    uint64_t all = 0, of_these = 0;
    int i;

    for (i = from < 0 ? 0 : from; i <= now; i++) {
        all += total[host][i];
        of_these += good[host][i];
    }
    assert_int_equal(span->total, all);
    assert_int_equal(span->good, of_these);
}

/* Five minutes; and 59 whole ones with what has passed of the next. */
static void sums_are_right(void)
{
    const imx_objectives_t *o = imx_objectives_get(pool);
    int hour = 59 * 60 + (int)((START + now) % 60);
    int host;

    assert_non_null(o);
    assert_int_equal(o->seconds[IMX_OBJECTIVES_MINUTES5],
                     now < 300 ? now : 300);
    assert_int_equal(o->seconds[IMX_OBJECTIVES_HOUR], now < hour ? now : hour);
    for (host = 1; host < 3; host++) {
        const imx_objectives_span_t *spans = o->hosts[host + 1].spans;

        is_sum(&spans[IMX_OBJECTIVES_MINUTES5], host, now - 299);
        is_sum(&spans[IMX_OBJECTIVES_HOUR], host, now - hour + 1);
    }
}

static void two_hours(void **state)
{
    (void)state;
    use();
    while (now < 7200) {
        pass(1);
        if (now < 700 || now % 7 == 0 || now > 7000) {
            sums_are_right();
            apr_pool_clear(pool);
            use();
        }
    }
}

/* Nobody closed the second at the end of the minute: what was counted is in the
 * next one, which is in that minute, and not beside it. */
static void a_gap_at_the_end_of_a_minute(void **state)
{
    int i;

    (void)state;
    use();
    while ((START + now) % 60 != 57) {
        pass(1);
    }
    pass(8);
    for (i = 0; i < 30; i++) {
        is_sum(&imx_objectives_get(pool)->hosts[2].spans[IMX_OBJECTIVES_HOUR],
               1, 0);
        pass(1);
    }
}

/* ---- which objective ---- */

static void goal_is(const imx_objectives_row_t *row, int64_t ns,
                    double percent)
{
    assert_int_equal(row->goal.ns, ns);
    assert_true(row->goal.percent == percent);
}

static void which_one(void **state)
{
    const imx_objective_t of_a_section = { 200000000, 99.5 };
    const imx_objectives_t *o;

    (void)state;
    make_server(3, "one.test", 500, 99.9); /* of the same name */
    make_server(4, "three.test", 0, 0);
    servers[4].server.placed = of_a_section;
    use();
    pass(1);
    o = imx_objectives_get(pool);
    goal_is(&o->hosts[1], 0, 0);
    goal_is(&o->hosts[2], 500000000, 99.9);
    goal_is(&o->hosts[3], 1000000000, 99);
    goal_is(&o->hosts[4], 200000000, 99.5);
    goal_is(&o->all, IMX_OBJECTIVE_SEVERAL, IMX_OBJECTIVE_SEVERAL);
    servers[3].server.placed = of_a_section;
    servers[2].dir.objective.percent = 0;
    use();
    o = imx_objectives_get(pool);
    goal_is(&o->hosts[2], IMX_OBJECTIVE_SEVERAL, 99.9);
    goal_is(&o->hosts[3], 0, 0);
    servers[3].server.placed.percent = 0;
    servers[4].server.placed.percent = 0;
    use();
    o = imx_objectives_get(pool);
    goal_is(&o->all, 500000000, 99.9);
    servers[1].dir.objective.percent = servers[3].dir.objective.percent = 0;
    use();
    assert_null(imx_objectives_get(pool));
}

/* What was bad of all hosts, by what may be of each. */
static void burn_rates(void **state)
{
    const imx_objectives_t *o;
    imx_stats_cell_t *one = imx_stats_cell(&arena.stats, 0, 2);
    imx_stats_cell_t *two = imx_stats_cell(&arena.stats, 0, 3);
    int i;

    (void)state;
    use();
    pass(1);
    o = imx_objectives_get(pool);
    assert_int_equal(now, 1);
    for (i = 0; i < 2000; i++) {
        imx_stats_request_t r = { .request_ns = 1000, .status = 200 };

        imx_stats_count(i % 2 ? one : two, &r);
        imx_stats_count_objective(i % 2 ? one : two, i % 1000 > 1);
    }
    for (i = 0; i < 400; i++) { /* the first ones are out of five minutes */
        sample.wall += SECOND;
        sample.mono += SECOND;
        imx_seconds_close(&seconds, &sample);
        if (i == 1) {
            o = imx_objectives_get(pool);
        }
    }
    /* 1,000 requests and those of pass(). */
    assert_true(imx_objectives_burn(&o->hosts[2].spans[0]) > 0);
    assert_true(fabs(o->all.spans[0].allowed
                     - (double)o->hosts[2].spans[0].total / 1000
                     - (double)o->hosts[3].spans[0].total / 100)
                < 1e-6);
    assert_int_equal(o->all.spans[0].total - o->all.spans[0].good,
                     o->hosts[2].spans[0].total - o->hosts[2].spans[0].good
                         + o->hosts[3].spans[0].total
                         - o->hosts[3].spans[0].good);
    o = imx_objectives_get(pool);
    assert_int_equal(o->hosts[2].spans[IMX_OBJECTIVES_MINUTES5].total, 0);
    assert_true(imx_objectives_burn(&o->hosts[2].spans[0]) == -1);
    assert_true(o->hosts[2].spans[IMX_OBJECTIVES_HOUR].total >= 1000);
}

/* Whatever somebody writes there: an answer, and no more good ones than all. */
static void nonsense(void **state)
{
    _Atomic uint64_t *words = (void *)arena.history.part;
    int round, i;
    size_t n = imx_history_size() / sizeof *words;

    (void)state;
    use();
    for (round = 0; round < 100; round++) {
        const imx_objectives_t *o;

        for (i = 0; i < 300; i++) {
            uint64_t word = (uint64_t)lrand48() << 40 ^ (uint64_t)lrand48();

            atomic_store(&words[i % 2 ? (size_t)lrand48() % n
                                      : (size_t)lrand48() % 64],
                         i % 3 ? word : UINT64_MAX >> lrand48() % 64);
        }
        o = imx_objectives_get(pool);
        for (i = 0; i < IMX_HISTORY_HOSTS; i++) {
            assert_true(o->hosts[i].spans[1].good
                        <= o->hosts[i].spans[1].total);
        }
        apr_pool_clear(pool);
        use();
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_hours), TEST(a_gap_at_the_end_of_a_minute), TEST(which_one),
        TEST(burn_rates), TEST(nonsense)
    };

    apr_initialize();
    srand48(4711);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("objectives", tests, NULL, NULL);
}
