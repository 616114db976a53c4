/*
 * t/unit/many.c: many lines that are appended together, all of them or none:
 * in one segment and in many, when the buffer fills, by several threads at
 * once, beside those who append single lines, and killed in the middle.
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
#include "shared/segment.h"
#include "small_arena.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "process.h"

#define LINES 5000
#define CLAIMS 128

static small_arena_t small;
static const imx_batch_t *batch;

/* A body: lines of different lengths that say whose they are. */
typedef struct {
    char text[LINES * 64];
    uint16_t lengths[LINES];
    size_t lines;
} body_t;

static void fill(body_t *body, char writer, size_t lines)
{
    char *p = body->text;
    size_t i;

    body->lines = lines;
    for (i = 0; i < lines; i++) {
        body->lengths[i] = (uint16_t)sprintf(p, "%c%05zu %0*d\n", writer, i,
                                             (int)(i % 40) + 1, 0);
        p += body->lengths[i];
    }
}

static imx_batch_many_e append(const body_t *body)
{
    return imx_batch_append_many(&small.child, body->text, body->lengths,
                                 body->lines);
}

static int setup(void **state)
{
    (void)state;
    imx_fault = NULL;
    alarm(4 * TEST_LIMIT);
    if (small_arena_make(&small) != 0) {
        return -1;
    }
    batch = &small.arena.batch;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return small_arena_free(&small);
}

/* ---- what is in the batch ---- */

static unsigned char seen[256][LINES]; /* how often, by writer and number */

static int is_line(const char *line, size_t len)
{
    size_t number = strtoul(line + 1, NULL, 10);

    return number < LINES && len == number % 40 + 9 && line[len - 1] == '\n'
           && strspn(line + 7, "0") == number % 40 + 1;
}

/* Takes everything out; returns how many lines were whole.  end: the fate. */
static size_t take_all(void)
{
    static imx_batch_claim_t claims[CLAIMS];
    size_t whole = 0, n, i;
    uint32_t k;

    memset(seen, 0, sizeof seen);
    imx_batch_seal_all(batch);
    while ((n = imx_batch_claim(batch, claims, CLAIMS, UINT64_MAX, UINT64_MAX))
           > 0) {
        for (i = 0; i < n; i++) {
            uint64_t fate[IMX_BATCH_FATES] = { 0 };

            for (k = 0; k < claims[i].lines; k++) {
                const char *line;
                size_t len = imx_batch_line(batch, &claims[i], k, &line);

                if (len == 0) {
                    continue;
                }
                assert_true(is_line(line, len));
                seen[(unsigned char)*line][strtoul(line + 1, NULL, 10)]++;
                fate[IMX_BATCH_SENT]++;
            }
            whole += fate[IMX_BATCH_SENT];
            imx_batch_settle(batch, &claims[i], fate);
        }
    }
    return whole;
}

/* 1: each line of the writer is there once; 0: none is. */
static int has_all_of(char writer, size_t lines)
{
    size_t i, n = 0;

    for (i = 0; i < lines; i++) {
        assert_true(seen[(unsigned char)writer][i] <= 1);
        n += seen[(unsigned char)writer][i];
    }
    assert_true(n == 0 || n == lines);
    return n == lines;
}

static void assert_valid(void)
{
    const char *sentence = imx_batch_validate(batch);

    if (sentence != NULL) {
        fail_msg("%s", sentence);
    }
}

static uint32_t free_segments(void)
{
    return imx_batch_level(batch).free_segments;
}

static uint32_t spare(void)
{
    return imx_batch_segments(batch) / 8 + 2;
}

/* ---- alone ---- */

static void test_few_and_many(void **state)
{
    static const size_t sizes[] = { 1, 2, 17, 300, 1000, LINES };
    static body_t body;
    size_t i, all = 0;

    (void)state;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fill(&body, (char)('a' + i), sizes[i]);
        assert_int_equal(append(&body), IMX_BATCH_TAKEN);
        assert_true(imx_batch_append(&small.child, "z00000 0\n", 9));
        assert_valid();
        all += sizes[i] + 1;
        assert_int_equal(imx_batch_totals(batch).pending, all);
    }
    assert_int_equal(take_all(), all);
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_true(has_all_of((char)('a' + i), sizes[i]));
    }
    assert_int_equal(free_segments(), imx_batch_segments(batch));
}

/* Few lines do not cost a segment each. */
static void test_few_share_a_segment(void **state)
{
    static body_t body;
    uint32_t before = free_segments();
    int i;

    (void)state;
    fill(&body, 'a', 3);
    for (i = 0; i < 100; i++) {
        assert_int_equal(append(&body), IMX_BATCH_TAKEN);
    }
    assert_true(before - free_segments() <= 1);
}

/* Nothing that is there is touched, and an eighth stays free for requests. */
static void test_full(void **state)
{
    static body_t body, one;
    size_t bodies = 0;

    (void)state;
    fill(&body, 'a', LINES);
    fill(&one, 'b', 1);
    while (append(&body) == IMX_BATCH_TAKEN) {
        bodies++;
        assert_true(bodies < 100);
    }
    assert_true(bodies >= 3);
    assert_true(free_segments() >= spare());
    assert_int_equal(imx_batch_totals(batch).pending, bodies * LINES);
    while (append(&one) == IMX_BATCH_TAKEN) {
        assert_true(imx_batch_append(&small.child, "z00000 0\n", 9));
    }
    assert_true(free_segments() >= spare() - 1);
    assert_int_equal(append(&one), IMX_BATCH_NO_ROOM);
    assert_true(imx_batch_append(&small.child, "z00000 0\n", 9));
    assert_int_equal(imx_batch_totals(batch).no_room, 0);
    assert_valid();
}

static void test_too_many(void **state)
{
    static uint16_t lengths[400];
    static char text[400 * 4096];
    int i;

    (void)state;
    for (i = 0; i < 400; i++) {
        lengths[i] = 4096;
    }
    assert_int_equal(imx_batch_append_many(&small.child, text, lengths, 400),
                     IMX_BATCH_TOO_MANY);
    assert_int_equal(free_segments(), imx_batch_segments(batch));
}

static void test_without_a_row(void **state)
{
    static const uint16_t length = 8;
    imx_children_self_t nobody = { .slot = IMX_BATCH_NOBODY };
    imx_batch_child_t child;

    (void)state;
    imx_batch_open(&child, batch, &nobody);
    assert_int_equal(imx_batch_append_many(&child, "m f=1 1\n", &length, 1),
                     IMX_BATCH_NO_ROOM);
    assert_int_equal(imx_batch_totals(batch).recorded, 0);
}

static void test_times(void **state)
{
    int64_t first = imx_batch_unique_times(batch, 1000, 10);

    (void)state;
    assert_int_equal(first, 1000);
    assert_int_equal(imx_batch_unique_time(batch, 1005), 1010);
    assert_int_equal(imx_batch_unique_times(batch, 2000, 1), 2000);
    assert_int_equal(imx_batch_unique_time(batch, 2000), 2001);
}

/* ---- what others do in the middle of it ---- */

static unsigned visits;

/* Nothing of it shows while its bytes are copied, and nobody seals it. */
static void look(const char *point)
{
    if (strcmp(point, "group copied aside") == 0
        || strcmp(point, "held one") == 0) {
        visits++;
        assert_int_equal(imx_batch_totals(batch).pending, 0);
        imx_batch_seal_all(batch);
        assert_int_equal(imx_batch_level(batch).sealed_lines, 0);
    }
}

static void test_shows_at_once(void **state)
{
    static body_t body;

    (void)state;
    fill(&body, 'a', LINES);
    visits = 0;
    imx_fault = look;
    assert_int_equal(append(&body), IMX_BATCH_TAKEN);
    imx_fault = NULL;
    assert_true(visits >= 8);
    assert_int_equal(take_all(), LINES);
}

/* Requests take the last segments while this one holds some: it lets go. */
static void fill_up(const char *point)
{
    if (strcmp(point, "held one") == 0 && visits++ == 0) {
        while (free_segments() > 0) {
            assert_true(imx_batch_append(&small.child, "z00000 0\n", 9));
        }
    }
}

static void test_lets_go(void **state)
{
    static body_t body;
    imx_batch_totals_t t;

    (void)state;
    fill(&body, 'a', LINES);
    visits = 0;
    imx_fault = fill_up;
    assert_int_equal(append(&body), IMX_BATCH_NO_ROOM);
    imx_fault = NULL;
    assert_valid();
    t = imx_batch_totals(batch);
    assert_true(free_segments() >= 1 && t.no_room == 0);
    assert_int_equal(take_all(), t.pending);
    assert_false(has_all_of('a', LINES));
    assert_int_equal(free_segments(), imx_batch_segments(batch));
}

/* ---- threads ---- */

#define THREADS 6
#define ROUNDS 40 /* bodies that each gets rid of */

static _Atomic int going;

static void *write_bodies(void *arg)
{
    body_t *body = malloc(sizeof *body);
    long writer = (long)arg;
    int i;

    fill(body, (char)('a' + writer), writer % 2 ? LINES : 30);
    for (i = 0; i < ROUNDS;) {
        i += append(body) == IMX_BATCH_TAKEN;
        sched_yield();
    }
    free(body);
    going--;
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t thread[THREADS];
    uint64_t want = 0, whole = 0, singles = 0;
    long i;

    (void)state;
    going = THREADS;
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, write_bodies,
                                        (void *)i),
                         0);
    }
    while (going > 0) {
        singles += (uint64_t)imx_batch_append(&small.child, "z00000 0\n", 9);
        whole += take_all();
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        want += ROUNDS * (i % 2 ? (uint64_t)LINES : 30);
    }
    whole += take_all();
    assert_int_equal(whole, want + singles);
    assert_valid();
    assert_int_equal(imx_batch_totals(batch).fate[IMX_BATCH_TORN], 0);
    assert_int_equal(free_segments(), imx_batch_segments(batch));
}

/* ---- killed ---- */

static const char *die_at;
static unsigned die_visits;

static void die(const char *point)
{
    if (strcmp(point, die_at) == 0 && --die_visits == 0) {
        kill(getpid(), SIGKILL);
    }
}

static int append_as_a_child(void *arg)
{
    imx_children_self_t self;

    imx_fault = NULL;
    if (imx_children_join(&small.arena.children, &self, getpid()) != 0) {
        return 1;
    }
    imx_batch_open(&small.child, batch, &self);
    imx_fault = die;
    return append(arg) == IMX_BATCH_TAKEN ? 0 : 2;
}

static void die_in_it(const body_t *body, const char *point, unsigned visit)
{
    die_at = point;
    die_visits = visit;
    assert_int_equal(wait_for(spawn(append_as_a_child, (void *)body)),
                     -SIGKILL);
    imx_batch_reap(batch, 1);
    assert_valid();
}

/* Before the first segment shows: it never was.  What was copied does not come
 * back to life in the next tenure, either. */
static void test_killed_before(void **state)
{
    static const char *const points[] = { "held one", "group copied aside" };
    static body_t body, other;
    unsigned i, visit;

    (void)state;
    fill(&body, 'a', LINES);
    fill(&other, 'b', LINES);
    for (i = 0; i < 2; i++) {
        for (visit = 1; visit <= 5; visit += 2) {
            die_in_it(&body, points[i], visit);
            assert_int_equal(imx_batch_totals(batch).recorded, 0);
            assert_int_equal(free_segments(), imx_batch_segments(batch));
        }
    }
    assert_int_equal(append(&other), IMX_BATCH_TAKEN);
    assert_int_equal(take_all(), LINES);
    assert_true(has_all_of('b', LINES));
    assert_false(has_all_of('a', LINES));
}

/* Behind it: the account holds, and what is there is whole. */
static void test_killed_behind(void **state)
{
    static body_t body;
    imx_batch_totals_t t;
    unsigned visit;

    (void)state;
    fill(&body, 'a', LINES);
    for (visit = 1; visit <= 3; visit++) {
        die_in_it(&body, "published", visit);
        t = imx_batch_totals(batch);
        assert_int_equal(t.recorded, t.fate[IMX_BATCH_SENT]
                                         + t.fate[IMX_BATCH_TORN] + t.pending);
        take_all();
        t = imx_batch_totals(batch);
        assert_int_equal(t.pending, 0);
        assert_true(t.fate[IMX_BATCH_TORN] > 0);
        assert_int_equal(free_segments(), imx_batch_segments(batch));
    }
}

/* A few lines in the segment of all. */
static void test_killed_among_others(void **state)
{
    static const char *const points[] = { "group reserved", "group copied" };
    static body_t body;
    unsigned i;

    (void)state;
    fill(&body, 'a', 20);
    for (i = 0; i < 2; i++) {
        die_in_it(&body, points[i], 1);
        assert_int_equal(take_all(), 0);
        assert_int_equal(imx_batch_totals(batch).fate[IMX_BATCH_TORN],
                         20 * (i + 1));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_few_and_many),
        TEST(test_few_share_a_segment),
        TEST(test_full),
        TEST(test_too_many),
        TEST(test_without_a_row),
        TEST(test_times),
        TEST(test_shows_at_once),
        TEST(test_lets_go),
        TEST(test_threads),
        /* from here on with processes */
        TEST(test_killed_before),
        TEST(test_killed_behind),
        TEST(test_killed_among_others),
    };
    const size_t all = sizeof tests / sizeof *tests, with_processes = 3;

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("many", tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
