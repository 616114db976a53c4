/*
 * t/unit/exemplars.c: the slowest of a minute stays, each bucket has one of the
 * last ones, and what was not finished, or written by two at once, is none.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/exemplars.h"
#include "shared/fault.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "process.h"

#define SECOND INT64_C(1000000000)
#define SERIES 3

static imx_exemplars_t exemplars;
static void *memory;
static imx_exemplar_t got;

static int setup(void **state)
{
    (void)state;
    memory = shared_memory(imx_exemplars_size(SERIES));
    imx_exemplars_format(&exemplars, memory, SERIES);
    imx_fault = NULL;
    alarm(TEST_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(memory, imx_exemplars_size(SERIES));
    return 0;
}

static const char *id_of(unsigned n)
{
    static _Thread_local char id[IMX_EXEMPLARS_ID_LEN + 1];

    snprintf(id, sizeof id, "%032x", n);
    return id;
}

static void offer(uint32_t series, unsigned id, int64_t ns, int64_t time)
{
    imx_exemplars_offer(&exemplars, series, id_of(id), ns, time);
}

static int has(uint32_t series, unsigned id)
{
    return imx_exemplars_get(&exemplars, series, &got)
           && strcmp(got.id, id_of(id)) == 0;
}

static void test_slowest(void **state)
{
    (void)state;
    assert_false(imx_exemplars_get(&exemplars, 1, &got));
    offer(1, 0xa1, 500, 100 * SECOND);
    assert_true(has(1, 0xa1));
    assert_int_equal(got.ns, 500);
    assert_int_equal(got.time, 100 * SECOND);
    offer(1, 0xa2, 499, 101 * SECOND);
    assert_true(has(1, 0xa1));
    offer(1, 0xa3, 501, 101 * SECOND);
    assert_true(has(1, 0xa3));
    offer(1, 0xa4, 1, 160 * SECOND);
    assert_true(has(1, 0xa3));
    offer(1, 0xa5, 1, 161 * SECOND);
    assert_true(has(1, 0xa5)); /* the other one is a minute old */
    offer(1, 0xa6, 0, 1 * SECOND);
    assert_true(has(1, 0xa6)); /* the clock was set back */
    assert_false(imx_exemplars_get(&exemplars, 0, &got));
    assert_false(imx_exemplars_get(&exemplars, 2, &got));
}

static int bucket_has(int64_t ns, unsigned id)
{
    return imx_exemplars_of_bucket(&exemplars, imx_stats_bucket((uint64_t)ns),
                                   &got)
           && strcmp(got.id, id_of(id)) == 0;
}

/* Of any series; the next one when it is ten seconds old, whether it was faster
 * or slower. */
static void test_buckets(void **state)
{
    uint32_t i, there = 0;

    (void)state;
    offer(1, 0xc1, 5 * SECOND, 100 * SECOND);
    assert_true(bucket_has(5 * SECOND, 0xc1));
    assert_int_equal(got.ns, 5 * SECOND);
    assert_int_equal(got.time, 100 * SECOND);
    offer(1, 0xc2, SECOND, 101 * SECOND);
    assert_true(has(1, 0xc1)); /* of the series, as it is slower */
    assert_true(bucket_has(SECOND, 0xc2));
    offer(2, 0xc3, 5 * SECOND + 1, 109 * SECOND);
    assert_true(bucket_has(5 * SECOND, 0xc1));
    offer(2, 0xc4, 5 * SECOND - 1, 110 * SECOND);
    assert_true(bucket_has(5 * SECOND, 0xc4));
    assert_true(has(2, 0xc3));
    offer(0, 0xc5, 1000 * SECOND, 110 * SECOND);
    assert_true(bucket_has(1000 * SECOND, 0xc5)); /* the last one */
    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        there += imx_exemplars_of_bucket(&exemplars, i, &got) != 0;
    }
    assert_int_equal(there, 3);
    assert_false(imx_exemplars_of_bucket(&exemplars, 4711, &got));
}

static void test_no_ids(void **state)
{
    static const char *const ids[] = {
        "",
        "a",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0",
        "0123456789ABCDEF0123456789abcdef",
        "0123456789abcdef0123456789abcde\"",
        "g123456789abcdef0123456789abcdef"
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof ids / sizeof *ids; i++) {
        imx_exemplars_offer(&exemplars, 1, ids[i], 5, 5);
        assert_false(imx_exemplars_get(&exemplars, 1, &got));
    }
    offer(4711, 7, 5, 5); /* no such series: it is the first one's */
    assert_true(has(0, 7));
    assert_true(imx_exemplars_get(&exemplars, 4711, &got));
}

static int visits;

static void die(const char *name)
{
    (void)name;
    if (--visits == 0) {
        raise(SIGKILL);
    }
}

static int offer_and_die(void *arg)
{
    (void)arg;
    imx_fault = die;
    offer(1, 0xb2, 600, 100 * SECOND);
    return 0;
}

/* Killed between any two words: it is one of both, or none, and the next one
 * takes the place. */
static void test_killed(void **state)
{
    int i;

    (void)state;
    for (i = 1; i <= 8; i++) {
        memset(memory, 0, imx_exemplars_size(SERIES));
        offer(1, 0xb1, 500, 89 * SECOND);
        visits = i;
        assert_int_equal(wait_for(spawn(offer_and_die, NULL)), -SIGKILL);
        assert_true(!imx_exemplars_get(&exemplars, 1, &got)
                    || has(1, i <= 4 ? 0xb1 : 0xb2));
        assert_true(!imx_exemplars_of_bucket(&exemplars, 0, &got)
                    || bucket_has(500, 0xb1));
        offer(1, 0xb3, 700, 110 * SECOND);
        assert_true(has(1, 0xb3));
        assert_true(bucket_has(700, 0xb3));
    }
}

#define ROUNDS 20000

static void *offer_many(void *arg)
{
    unsigned n = (unsigned)(uintptr_t)arg, i;

    for (i = 0; i < ROUNDS; i++) {
        imx_exemplars_offer(&exemplars, 1, id_of(n + 4 * i), n + 4 * i,
                            n + 4 * i);
    }
    return NULL;
}

/* What is read is what one of them wrote. */
static void test_two_at_once(void **state)
{
    pthread_t threads[2];
    unsigned i, seen = 0;

    (void)state;
    for (i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, offer_many,
                       (void *)(uintptr_t)(i + 1));
    }
    for (i = 0; i < ROUNDS; i++) {
        if (imx_exemplars_get(&exemplars, 1, &got)) {
            seen++;
            assert_string_equal(got.id, id_of((unsigned)got.ns));
            assert_int_equal(got.ns, got.time);
        }
    }
    for (i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    print_message("# %u of %d\n", seen, ROUNDS);
}

static void test_nonsense(void **state)
{
    size_t i;
    int round;

    (void)state;
    srandom(4711);
    for (round = 0; round < 1000; round++) {
        for (i = 0; i < imx_exemplars_size(SERIES); i++) {
            ((unsigned char *)memory)[i] = (unsigned char)random();
        }
        if (imx_exemplars_get(&exemplars, 1, &got)) {
            assert_true(strlen(got.id) == IMX_EXEMPLARS_ID_LEN);
        }
        offer(1, 5, INT64_MAX, 5);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest all[] = {
        TEST(test_slowest),     TEST(test_buckets),  TEST(test_no_ids),
        TEST(test_two_at_once), TEST(test_nonsense), TEST(test_killed)
    };
    const struct CMUnitTest threads[] = {
        TEST(test_slowest), TEST(test_buckets), TEST(test_no_ids),
        TEST(test_two_at_once), TEST(test_nonsense)
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return getenv("IMX_THREADS_ONLY") != NULL
               ? cmocka_run_group_tests_name("exemplars", threads, NULL, NULL)
               : cmocka_run_group_tests_name("exemplars", all, NULL, NULL);
}
