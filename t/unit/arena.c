/*
 * t/unit/arena.c: the shared mapping and its parts; and what happens to those
 * who work in it while somebody writes random words everywhere in it.
 *
 * The arena of that test lies between two pages that nobody may touch, and is
 * written to by processes of its own.  IMX_SCRIBBLE=N: so many seeds instead of
 * a few.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/arena.h"
#include "shared/measured.h"
#include "shared/seconds.h"
#include "shared/tally.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "process.h"

#define SECOND INT64_C(1000000000)
#define TAGS 3
#define TAG_LIMIT 50
#define SERIES 4

static const char key[IMX_VALUES_KEY_LEN] = "sixteen bytes...";
static imx_arena_t arena;
static char *map; /* a page, the arena, a page */
static size_t map_size, page;

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static imx_arena_spec_t small_spec(void)
{
    imx_arena_spec_t spec = {
        { 8, 4096, 6, 10, 0 }, TAGS, TAG_LIMIT, key, SERIES
    };

    return spec;
}

static int setup(void **state)
{
    imx_arena_spec_t spec = small_spec();
    size_t size = imx_arena_size(&spec);

    (void)state;
    page = (size_t)sysconf(_SC_PAGESIZE);
    map_size = size + 2 * page;
    map = mmap(NULL, map_size, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    mprotect(map + page, size, PROT_READ | PROT_WRITE);
    imx_arena_format(&arena, map + page, &spec);
    alarm(4 * TEST_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(map, map_size);
    return 0;
}

/* ---- the parts ---- */

static int is_inside(const void *p)
{
    const char *at = p;

    return at >= map + page && at < map + map_size - page;
}

static void test_the_parts(void **state)
{
    const char *wrong = imx_arena_validate(&arena);

    (void)state;
    if (wrong != NULL) {
        fail_msg("%s", wrong);
    }
    assert_int_equal(arena.size, map_size - 2 * page);
    assert_true(is_inside(arena.children.part));
    assert_true(is_inside(arena.lease.part));
    assert_true(is_inside(arena.board.part));
    assert_true(is_inside(arena.batch.part));
    assert_true(is_inside(arena.batch.data));
    assert_true(is_inside(arena.values.part));
    assert_true(is_inside(arena.series.part));
    assert_true(is_inside(arena.stats.cells));
    assert_int_equal((uintptr_t)arena.batch.data % page, 0);
    assert_in_range(imx_arena_made(&arena) / SECOND, time(NULL) - 5,
                    time(NULL) + 1);
    assert_non_null(strstr(imx_arena_layout(), " batch "));
    assert_non_null(strstr(imx_arena_layout(), " values "));
    assert_non_null(strstr(imx_arena_layout(), " series "));
    assert_non_null(strstr(imx_arena_layout(), " stats "));
}

/* The header is for people: no code believes it. */
static void test_a_header_of_nonsense(void **state)
{
    imx_children_self_t self;
    imx_batch_child_t child;

    (void)state;
    memset(arena.header, 0xA5, page);
    assert_non_null(imx_arena_validate(&arena));
    assert_int_equal(imx_children_join(&arena.children, &self, getpid()), 0);
    imx_batch_open(&child, &arena.batch, &self);
    assert_int_equal(imx_batch_append(&child, "x\n", 2), 1);
    imx_arena_died(&arena, getpid());
    assert_int_equal(imx_batch_totals(&arena.batch).pending, 1);
}

static void test_map(void **state)
{
    imx_arena_spec_t spec = small_spec();
    imx_arena_t a;
    int raised;

    (void)state;
    imx_batch_plan(1u << 20, 4, 0, &spec.batch, &raised);
    assert_int_equal(imx_arena_map(&a, &spec, 4u << 20), 0);
    assert_null(imx_arena_validate(&a));
    assert_int_equal(imx_batch_resize(&a.batch, 4u << 20, &raised), 4u << 20);
    munmap(a.header, a.size);
    /* more than there are addresses: less, then, or no room at all */
    assert_int_equal(imx_arena_map(&a, &spec, SIZE_MAX / 2), 0);
    assert_null(imx_arena_validate(&a));
    /* cppcheck-suppress doubleFree ; it is another one */
    munmap(a.header, a.size);
}

static void test_new_values(void **state)
{
    const struct imx_values_part *first = arena.values.part, *second;

    (void)state;
    assert_int_equal(imx_values_use(&arena.values, 0, "route"), 1);
    assert_int_equal(imx_values_admit(&arena.values, 0, 17), 1);
    assert_int_equal(imx_arena_new_values(&arena, 5, 1, key), 0);
    second = arena.values.part;
    assert_ptr_not_equal(second, first);
    assert_int_equal(imx_values_use(&arena.values, 0, "route"), 1);
    assert_int_equal(imx_values_admit(&arena.values, 0, 18), 1);
    assert_int_equal(imx_values_admit(&arena.values, 0, 17), 0);
    assert_int_equal(imx_arena_new_values(&arena, 5, 2, key), 0);
    assert_int_equal(imx_values_use(&arena.values, 0, "route"), 1);
    assert_int_equal(imx_values_admit(&arena.values, 0, 17), 1);
    munmap(arena.own_values, arena.own_values_size);
}

/* ---- random words everywhere ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

typedef struct {
    uint64_t seed;
} random_t;

static uint64_t random64(random_t *r)
{
    return mix(r->seed += 0x9E3779B97F4A7C15u);
}

static uint32_t below(random_t *r, uint32_t n)
{
    return (uint32_t)(random64(r) >> 16) % n;
}

/* Shared with the processes of the test. */
typedef struct {
    _Atomic int stop;
    _Atomic uint64_t outside; /* lines that were not in the data */
    _Atomic int64_t slowest;  /* ns of the parent's calls */
    _Atomic uint64_t rounds;
    uint64_t seed;
} lab_t;

static lab_t *lab;

/* What a hostile process would write: random words, wrong bits, words of other
 * places, pids of living processes, extremes. */
static uint64_t bad_word(random_t *r, _Atomic uint64_t *words, uint32_t n,
                         uint32_t at)
{
    switch (below(r, 6)) {
    case 0:
        return random64(r);
    case 1:
        return words[at] ^ UINT64_C(1) << below(r, 64);
    case 2:
        return words[below(r, n)];
    case 3:
        return (uint64_t)getpid() << 32 | below(r, 3);
    case 4:
        return random64(r) & random64(r) & random64(r);
    default:
        return below(r, 2) ? UINT64_MAX : UINT64_C(1) << 63;
    }
}

/* Half of the words go to the parts that have few of them. */
static void write_words(random_t *r, unsigned count)
{
    _Atomic uint64_t *words = (_Atomic uint64_t *)(map + page);
    const uint32_t all = (uint32_t)(arena.size / 8);
    const uint32_t small = (uint32_t)((char *)arena.batch.data - (map + page))
                           / 8;

    while (count-- > 0) {
        uint32_t at = below(r, below(r, 2) ? small : all);

        atomic_store_explicit(&words[at], bad_word(r, words, all, at),
                              memory_order_relaxed);
    }
}

static int scribble(void *arg)
{
    random_t r = { lab->seed };

    (void)arg;
    while (!lab->stop) {
        write_words(&r, 64);
    }
    return 0;
}

static void count_request(random_t *r)
{
    imx_stats_request_t request = { .request_ns = random64(r) >> below(r, 64),
                                    .status = below(r, 1000) };
    imx_stats_cell_t *cell = imx_stats_cell(&arena.stats, below(r, 99),
                                            below(r, SERIES + 1));

    imx_stats_count(cell, &request);
    imx_stats_count_application(cell, request.request_ns / 2);
}

/* A child's request thread. */
static void *record(void *arg)
{
    imx_batch_child_t *c = arg;
    random_t r = { lab->seed + 1000 };
    char line[300];

    memset(line, 'x', sizeof line);
    while (!lab->stop) {
        size_t len = 2 + below(&r, sizeof line - 2);

        line[len - 1] = '\n';
        imx_batch_unique_time(c->batch, (int64_t)(random64(&r) >> 1));
        imx_values_admit(&arena.values, below(&r, TAGS), random64(&r));
        imx_values_left_out(&arena.values);
        count_request(&r);
        imx_batch_append(c, line, len);
        line[len - 1] = 'x';
    }
    return NULL;
}

/* Reads all lines of a claim, byte by byte. */
static void read_claim(const imx_batch_claim_t *claim)
{
    const char *begin = arena.batch.data
                        + (size_t)claim->segment
                              * arena.batch.geometry.segment_size;
    const char *end = begin + arena.batch.geometry.segment_size, *line = NULL;
    volatile unsigned sum = 0;
    uint32_t i;

    for (i = claim->first; i < claim->lines; i++) {
        size_t len = imx_batch_line(&arena.batch, claim, i, &line);

        if (len > 0 && (line < begin || line + len > end)) {
            lab->outside++;
            return;
        }
        while (len > 0) {
            sum += (unsigned char)line[--len];
        }
    }
    (void)sum;
}

static void deliver(random_t *r)
{
    const imx_batch_t *b = &arena.batch;
    imx_batch_claim_t claims[4];
    uint64_t fate[IMX_BATCH_FATES] = { 0 };
    size_t n = imx_batch_claim(b, claims, 4, 10000, 1u << 20), i;

    for (i = 0; i < n; i++) {
        read_claim(&claims[i]);
        imx_batch_advance(b, &claims[i], below(r, 200), below(r, 3), 0);
        if (below(r, 2)) {
            imx_batch_put_back(b, &claims[i]);
        }
        else {
            fate[IMX_BATCH_SENT] = below(r, 100);
            imx_batch_settle(b, &claims[i], fate);
        }
    }
}

/* A name is as long as may be, whatever is written there. */
static void read_series(random_t *r)
{
    uint32_t series = below(r, SERIES + 2);
    imx_series_name_t name = imx_series_name(&arena.series, series);
    imx_stats_sum_t sum;

    lab->outside += strlen(name.server) > IMX_SERIES_NAME_MAX
                    || strlen(name.route) > IMX_SERIES_NAME_MAX
                    || imx_series_count(&arena.series) > SERIES;
    imx_stats_add_up(&arena.stats, below(r, SERIES), &sum);
    imx_stats_take_max(&arena.stats, below(r, SERIES),
                       (imx_stats_taker_e)below(r, IMX_STATS_TAKERS));
    imx_stats_requests(&arena.stats, UINT32_MAX);
}

/* The holder's second, and what a reader does with it. */
static void close_seconds(random_t *r)
{
    static imx_seconds_t seconds;
    imx_seconds_sample_t sample = { .wall = (int64_t)random64(r) };
    imx_history_ring_e ring = (imx_history_ring_e)below(r, IMX_HISTORY_RINGS);
    uint64_t last = imx_history_last(&arena.history, ring);
    imx_history_period_t period;
    imx_history_recent_t recent;
    imx_history_row_t row;

    seconds.history = &arena.history;
    seconds.stats = &arena.stats;
    seconds.series = &arena.series;
    sample.mono = imx_interval_now().mono + (int64_t)below(r, 200) * SECOND;
    imx_seconds_close(&seconds, &sample);
    imx_history_period(&arena.history, ring, last - below(r, 2000), &period);
    imx_history_row(&arena.history, ring, last, below(r, 100), &row);
    imx_history_recent(&arena.history, last, below(r, 100), &recent);
    lab->outside += imx_history_hosts(&arena.history) > IMX_HISTORY_HOSTS
                    || seconds.hosts > IMX_HISTORY_HOSTS;
}

/* The holder's intervals of requests, and who reads them meanwhile. */
static void close_intervals(random_t *r)
{
    const imx_interval_t *v = &arena.intervals;
    uint32_t schedule = below(r, IMX_MEASURED_PROCESSES);
    imx_interval_now_t now = imx_interval_now();
    imx_interval_closed_t c;
    imx_stats_sum_t change;
    uint64_t n;
    imx_tally_fill_t fill = { .stats = arena.stats,
                              .number = random64(r),
                              .now = now.mono,
                              .takes_max = schedule == IMX_MEASURED_REQUESTS };

    fill.stats.histograms = IMX_STATS_HISTOGRAMS;
    imx_interval_is_due(v, schedule, SECOND, &now);
    imx_interval_close(v, schedule, below(r, 2) * SECOND, &now,
                       imx_series_count(&arena.series), imx_tally_fill, &fill);
    imx_interval_closed(v, schedule, &c);
    imx_tally_between(imx_interval_old(&c, 0), imx_interval_row(&c, 0),
                      &change);
    imx_tally_change(&c, below(r, SERIES),
                     offsetof(imx_tally_t, sum.output_ns), &n);
    lab->outside += imx_tally_span(&c, imx_interval_old(&c, 0),
                                   imx_interval_row(&c, 0))
                    < 1;
    imx_interval_last(v, schedule, below(r, 2 * SERIES));
    imx_interval_written(v, schedule, &c);
}

static void look_at_totals(random_t *r)
{
    static const char id[] = "4bf92f3577b34da6a3ce929d0e0e4736";
    imx_stats_totals_t totals;
    imx_exemplar_t x;

    imx_stats_widen(&arena.stats, below(r, SERIES));
    imx_stats_totals(&arena.stats, below(r, SERIES), &totals);
    imx_exemplars_offer(&arena.exemplars, below(r, 2 * SERIES), id,
                        (int64_t)(random64(r) >> 1), now_ns());
    if (imx_exemplars_get(&arena.exemplars, below(r, 2 * SERIES), &x)) {
        lab->outside += strlen(x.id) != IMX_EXEMPLARS_ID_LEN || x.ns < 0
                        || x.time < 0;
    }
    imx_intake_took(&arena.intake, below(r, 9));
    imx_intake_refused(&arena.intake, now_ns(), SECOND);
    imx_intake_totals(&arena.intake);
}

/* A child's monitor. */
/* Numbers within their bounds and texts with an end, whatever is there. */
static void look_at_slow(random_t *r, const imx_children_self_t *self)
{
    uint32_t slot = below(r, 2) ? self->slot : below(r, 12);
    imx_slow_row_t row = { 0 };
    uint64_t i;

    if (imx_slow_told(&arena.slow, &arena.children, slot, now_ns(), &row)) {
        lab->outside += row.count > IMX_SLOW_PLACES || row.in_flight < 0;
        for (i = 0; i < row.count; i++) {
            lab->outside += strlen(row.slow[i].path) > IMX_SLOW_PATH_MAX
                            || strlen(row.slow[i].method) > IMX_SLOW_METHOD_MAX
                            || imx_slow_wait(row.slow[i].wait) == NULL;
        }
    }
    imx_slow_in_flight(&arena.slow, &arena.children, now_ns());
    row.who = self->who;
    row.at = now_ns();
    imx_slow_tell(&arena.slow, self->slot, &row);
}

static void hold(const imx_children_self_t *self, random_t *r)
{
    char name[IMX_VALUES_NAME_MAX + 1];
    imx_board_t board;
    imx_process_t process;
    imx_event_t event;

    if (imx_lease_take(&arena.lease, self)) {
        imx_batch_recover(&arena.batch);
    }
    imx_batch_reap(&arena.batch, below(r, 8) == 0);
    imx_batch_trim(&arena.batch);
    imx_batch_seal_all(&arena.batch);
    imx_batch_level(&arena.batch);
    deliver(r);
    read_series(r);
    close_seconds(r);
    close_intervals(r);
    look_at_totals(r);
    board = imx_board_told(&arena.board);
    lab->outside += strlen(board.last_error) >= IMX_BOARD_ERROR_MAX;
    imx_board_tell(&arena.board, &board);
    while (imx_values_news(&arena.values, name) && below(r, 4)) {
        lab->outside += strlen(name) > IMX_VALUES_NAME_MAX;
    }
    process = imx_processes_told(&arena.processes, below(r, 6));
    imx_processes_tell(&arena.processes, self->slot, &process);
    look_at_slow(r, self);
    imx_events_next(&arena.events, &event, (int)below(r, 2));
    imx_events_done(&arena.events, random64(r));
    imx_lease_is_mine(&arena.lease, self);
    if (below(r, 4) == 0) {
        imx_lease_give(&arena.lease, self);
    }
}

#define RECORDERS 2

static int live_like_a_child(void *arg)
{
    random_t r = { lab->seed + 77 };
    imx_children_self_t self;
    imx_batch_child_t child;
    pthread_t threads[RECORDERS];
    int i;

    (void)arg;
    imx_children_join(&arena.children, &self, getpid());
    imx_batch_open(&child, &arena.batch, &self);
    for (i = 0; i < RECORDERS; i++) {
        pthread_create(&threads[i], NULL, record, &child);
    }
    while (!lab->stop) {
        hold(&self, &r);
        lab->rounds++;
    }
    for (i = 0; i < RECORDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    imx_children_leave(&arena.children, &self);
    return 0;
}

/* All that the parent, which is root, ever does in the arena. */
static void be_the_parent(random_t *r)
{
    char name[IMX_VALUES_NAME_MAX + 1];
    uint32_t count, i;
    uint64_t others;
    int raised;

    imx_arena_died(&arena, (pid_t)below(r, 70000));
    imx_arena_died(&arena, getpid());
    imx_children_ran(&arena.children, (pid_t)below(r, 70000));
    imx_events_add(&arena.events, IMX_EVENT_GRACEFUL, getpid(), 1, 2);
    imx_children_count(&arena.children);
    imx_children_is_last(&arena.children);
    imx_children_has_since(&arena.children, below(r, 5));
    imx_children_new_epoch(&arena.children);
    imx_batch_resize(&arena.batch, below(r, 12) * 4096, &raised);
    imx_batch_totals(&arena.batch);
    imx_board_told(&arena.board);
    imx_lease_holder_pid(&arena.lease);
    imx_lease_holder(&arena.lease);
    imx_values_use(&arena.values, below(r, TAGS), "route");
    imx_values_totals(&arena.values);
    lab->outside += imx_series_use(&arena.series, "www.example.org",
                                   below(r, 2) ? "cart" : NULL)
                    >= SERIES;
    for (i = 0;
         imx_values_tag(&arena.values, i, name, &count, &others) && i < 9;
         i++) {
        lab->outside += strlen(name) > IMX_VALUES_NAME_MAX;
    }
    imx_batch_validate(&arena.batch);
    imx_arena_validate(&arena);
}

static void scribble_with_seed(uint64_t seed, int64_t ns)
{
    random_t r = { seed * 3 + 1 };
    int64_t end = now_ns() + ns, begin, took;
    pid_t scribbler, children[2];
    int i;

    memset(lab, 0, sizeof *lab);
    lab->seed = seed;
    for (i = 0; i < 2; i++) {
        children[i] = spawn(live_like_a_child, NULL);
    }
    scribbler = spawn(scribble, NULL);
    do {
        begin = now_ns();
        be_the_parent(&r);
        took = now_ns() - begin;
        lab->slowest = took > lab->slowest ? took : lab->slowest;
        /* On a busy machine the children may not have been let run yet. */
    } while (begin < end || (lab->rounds == 0 && begin < end + 30 * SECOND));
    lab->stop = 1;
    assert_int_equal(wait_for(scribbler), 0);
    for (i = 0; i < 2; i++) {
        assert_int_equal(wait_for(children[i]), 0); /* it has ended */
    }
    assert_int_equal(lab->outside, 0);
    assert_true(lab->rounds > 0);
    assert_true(lab->slowest < 5 * SECOND);
}

/*
 * The arena is formatted anew for each seed, so that the words are not all
 * nonsense from the second one on.
 */
static void test_random_words_everywhere(void **state)
{
    const char *wish = getenv("IMX_SCRIBBLE");
    uint64_t seeds = wish != NULL ? strtoull(wish, NULL, 10) : 12, seed;

    lab = shared_memory(sizeof *lab);
    for (seed = 1; seed <= seeds; seed++) {
        teardown(state);
        setup(state);
        imx_values_use(&arena.values, 0, "route");
        imx_values_use(&arena.values, 1, "host");
        imx_values_use(&arena.values, 2, "method");
        scribble_with_seed(seed, SECOND / 4);
    }
    munmap(lab, sizeof *lab);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_parts),
        TEST(test_a_header_of_nonsense),
        TEST(test_map),
        TEST(test_new_values),
        /* from here on with processes */
        TEST(test_random_words_everywhere),
    };
    const size_t all = sizeof tests / sizeof *tests, with_processes = 1;

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("arena", tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
