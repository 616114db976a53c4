/*
 * Counters and histograms: every bound, every counter, many threads and
 * processes of which some are killed.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cell.h"
#include "shared/stats.h"

#define SERIES 3

static void *memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static imx_stats_t make(uint32_t histograms)
{
    imx_stats_t stats;

    imx_stats_format(&stats, memory(imx_stats_size(SERIES)), SERIES);
    stats.histograms = histograms;
    return stats;
}

/* The bucket by the definition: the first whose bound is not exceeded. */
static uint32_t bucket_by_definition(uint64_t ns)
{
    uint32_t i;

    for (i = 0; i < IMX_STATS_BUCKETS - 1; i++) {
        if ((long double)ns <= exp2l(((int)i - 128) / 8.0L) * 1e9L) {
            return i;
        }
    }
    return i;
}

static void every_bound_is_inclusive(void **state)
{
    uint32_t i;

    (void)state;
    for (i = 0; i < IMX_STATS_BUCKETS - 1; i++) {
        uint64_t ns = (uint64_t)floorl(exp2l(((int)i - 128) / 8.0L) * 1e9L);

        assert_int_equal(imx_stats_bucket(ns), i);
        assert_int_equal(imx_stats_bucket(ns + 1), i + 1);
        assert_true(fabs(imx_stats_bound(i) * 1e9 - (double)ns)
                    < 1.01 + imx_stats_bound(i) * 1e-6);
    }
    assert_true(isinf(imx_stats_bound(IMX_STATS_BUCKETS - 1)));
    assert_int_equal(imx_stats_bucket(0), 0);
    for (i = 40; i < 64; i++) {
        assert_int_equal(imx_stats_bucket(UINT64_C(1) << i),
                         IMX_STATS_BUCKETS - 1);
    }
    assert_int_equal(imx_stats_bucket(UINT64_MAX), IMX_STATS_BUCKETS - 1);
}

static void round_times_are_bounds(void **state)
{
    (void)state;
    assert_int_equal(imx_stats_bucket(1000000000), IMX_STATS_BUCKET_1S);
    assert_int_equal(imx_stats_bucket(500000000), IMX_STATS_BUCKET_1S - 8);
    assert_int_equal(imx_stats_bucket(500000001), IMX_STATS_BUCKET_1S - 7);
    assert_true(imx_stats_bound(IMX_STATS_BUCKET_1S - 16) == 0.25);
}

/* The representative 2ab/(a+b) of a bucket (a, b] is off by 4.33 % at most. */
static void random_times_and_the_error(void **state)
{
    uint64_t random = 88172645463325252u;
    double worst = 0;
    int i;

    (void)state;
    for (i = 0; i < 200000; i++) {
        uint64_t ns;
        uint32_t bucket;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        ns = random >> (random % 40 + 24);
        bucket = imx_stats_bucket(ns);
        assert_int_equal(bucket, bucket_by_definition(ns));
        if (bucket > 0 && bucket < IMX_STATS_BUCKETS - 1) {
            double a = imx_stats_bound(bucket - 1),
                   b = imx_stats_bound(bucket);
            double off = fabs(2 * a * b / (a + b) / ((double)ns / 1e9) - 1);

            worst = off > worst ? off : worst;
        }
    }
    assert_true(worst < 0.0434);
}

static void a_request_is_in_each_counter(void **state)
{
    imx_stats_t stats = make(2);
    imx_stats_sum_t sum;
    const imx_stats_request_t request = { 2000000, 500000, 12, 404 };
    const imx_stats_more_t more = { 1, 2, 3, 4 };
    imx_stats_cell_t *cell = imx_stats_cell(&stats, 5, 1);

    (void)state;
    imx_stats_count(cell, &request);
    imx_stats_count_aborted(cell);
    imx_stats_count_application(cell, request.application_ns);
    imx_stats_count_objective(cell, 1);
    imx_stats_count_objective(cell, 0);
    imx_stats_count_more(cell, &more);
    imx_stats_add_up(&stats, 1, &sum);
    assert_int_equal(sum.request_ns, 2000000);
    assert_int_equal(sum.application_ns, 500000);
    assert_int_equal(sum.bytes_sent, 12);
    assert_int_equal(sum.classes[3], 1);
    assert_int_equal(sum.aborted, 1);
    assert_int_equal(sum.buckets[0][imx_stats_bucket(2000000)], 1);
    assert_int_equal(sum.buckets[1][imx_stats_bucket(500000)], 1);
    assert_int_equal(sum.server_ns, 1);
    assert_int_equal(sum.input_ns, 2);
    assert_int_equal(sum.output_ns, 3);
    assert_int_equal(sum.bytes_received, 4);
    assert_int_equal(sum.objective_total, 2);
    assert_int_equal(sum.objective_good, 1);
    assert_int_equal(imx_stats_take_max(&stats, 1, IMX_STATS_FOR_INTERVALS),
                     2000000);
    assert_int_equal(imx_stats_take_max(&stats, 1, IMX_STATS_FOR_INTERVALS),
                     0);
    imx_stats_add_up(&stats, 0, &sum);
    assert_int_equal(sum.request_ns, 0);
}

/* How many counters of a line of the cache have changed. */
static int changed_in(const uint32_t *line, const uint32_t *before)
{
    int changed = 0, i;

    for (i = 0; i < 64 / 4; i++) {
        changed += line[i] != before[i];
    }
    return changed;
}

static void no_line_is_written_more_than_twice(void **state)
{
    imx_stats_t stats = make(1);
    const imx_stats_request_t request = { 2000000, 500000, 12, 200 };
    const uint32_t *cell = (const uint32_t *)imx_stats_cell(&stats, 0, 0);
    size_t size = imx_stats_size(SERIES), i;
    int lines = 0;
    uint32_t *before = memory(size);

    (void)state;
    /* The first request is the longest as well. */
    imx_stats_count(imx_stats_cell(&stats, 0, 0), &request);
    memcpy(before, cell, size);
    imx_stats_count(imx_stats_cell(&stats, 0, 0), &request);
    for (i = 0; i < size / 4; i += 64 / 4) {
        int changed = changed_in(cell + i, before + i);

        assert_in_range(changed, 0, 2);
        lines += changed > 0;
    }
    assert_int_equal(lines, 3);
}

static void odd_numbers_stay_inside(void **state)
{
    imx_stats_t stats = make(1);
    imx_stats_sum_t sum;
    imx_stats_request_t request = { UINT64_MAX, 0, 0, 0 };
    uint32_t status;

    (void)state;
    for (status = 0; status < 3000; status += 100) {
        request.status = status;
        imx_stats_count(imx_stats_cell(&stats, 16 + 3, 77), &request);
    }
    imx_stats_add_up(&stats, 0, &sum);
    assert_int_equal(sum.classes[5], 25);
    assert_int_equal(sum.classes[4], 1);
    assert_int_equal(imx_stats_requests_of(&sum), 30);
    assert_int_equal(imx_stats_requests(&stats, SERIES), 30);
    assert_int_equal(sum.buckets[0][IMX_STATS_BUCKETS - 1], 30);
    assert_int_equal(imx_stats_take_max(&stats, 0, IMX_STATS_FOR_INTERVALS),
                     UINT64_MAX);
}

static uint64_t all_of(const imx_stats_totals_t *totals)
{
    uint64_t n = 0;
    uint32_t i;

    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        n += totals->buckets[0][i];
    }
    return n;
}

/* Over 39 times 2^32 requests in two stripes, and with a holder that looks at
 * them now and then. */
static void totals_never_fall(void **state)
{
    imx_stats_t stats = make(1);
    const imx_stats_request_t request = { 1000000, 0, 1, 200 };
    uint32_t bucket = imx_stats_bucket(1000000), i;
    imx_stats_totals_t totals;
    uint64_t before = 0, counted = 0;

    (void)state;
    for (i = 0; i < 160; i++) {
        uint64_t n = i == 0 ? UINT32_MAX - 2 : UINT64_C(0x3FFFFFFF);

        count_at_once(imx_stats_cell(&stats, i % 2, 1), bucket, n);
        counted += n;
        imx_stats_widen(&stats, 1);
        for (n = 0; n < 5; n++, counted++) {
            imx_stats_totals(&stats, 1, &totals);
            assert_true(totals.buckets[0][bucket] == counted);
            assert_true(totals.buckets[0][bucket] >= before);
            assert_true(all_of(&totals) == imx_stats_requests_in(&stats, 1));
            before = totals.buckets[0][bucket];
            imx_stats_count(imx_stats_cell(&stats, i % 2, 1), &request);
        }
    }
    assert_true(counted > 39 * (UINT64_C(1) << 32));
    imx_stats_totals(&stats, 0, &totals);
    assert_true(all_of(&totals) == 0);
}

/* A reader that meets a holder in the middle finds a total, the old one or the
 * new one. */
static void totals_are_right_at_each_step(void **state)
{
    imx_stats_t stats = make(1);
    imx_stats_totals_t totals;
    uint32_t bucket = 100;
    uint64_t counted = 0, *wide = (uint64_t *)stats.wide, old;
    int i;

    (void)state;
    for (i = 0; i < 20; i++) {
        uint64_t n = UINT64_C(0xC0000000);

        old = wide[bucket];
        count_at_once(imx_stats_cell(&stats, 0, 0), bucket, n);
        counted += n;
        imx_stats_widen(&stats, 0);
        assert_true(wide[bucket] == counted);
        wide[bucket] = old; /* killed before this store */
        imx_stats_totals(&stats, 0, &totals);
        assert_true(totals.buckets[0][bucket] == counted);
        imx_stats_widen(&stats, 0);
    }
}

#define THREADS 4
#define REQUESTS 50000

static imx_stats_t together;

static void *count_many(void *data)
{
    uint64_t n = (uint64_t)(uintptr_t)data, i;

    for (i = 0; i < REQUESTS; i++) {
        imx_stats_request_t request = { 1000 * (i + 1), i, 1, 200 };

        imx_stats_count(imx_stats_cell(&together, (uint32_t)n % 2, 2),
                        &request);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    pthread_t threads[THREADS];
    imx_stats_sum_t sum;
    uint64_t in_buckets = 0;
    uintptr_t i;

    (void)state;
    together = make(1);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_many,
                                        (void *)i),
                         0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    imx_stats_add_up(&together, 2, &sum);
    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        in_buckets += sum.buckets[0][i];
    }
    assert_int_equal(sum.classes[1], THREADS * REQUESTS);
    assert_int_equal(in_buckets, THREADS * REQUESTS);
    assert_int_equal(sum.bytes_sent, THREADS * REQUESTS);
    assert_int_equal(imx_stats_take_max(&together, 2, IMX_STATS_FOR_INTERVALS),
                     1000 * REQUESTS);
}

/* What a child counted before it was killed stays, and its stripe goes on. */
static void a_killed_child_leaves_its_counts(void **state)
{
    imx_stats_t stats = make(1);
    const imx_stats_request_t request = { 1000, 0, 1, 200 };
    imx_stats_sum_t sum;
    int i, status;

    (void)state;
    for (i = 0; i < 5; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            imx_stats_count(imx_stats_cell(&stats, 0, 0), &request);
            raise(SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
    }
    imx_stats_add_up(&stats, 0, &sum);
    assert_int_equal(sum.classes[1], 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bound_is_inclusive),
        cmocka_unit_test(round_times_are_bounds),
        cmocka_unit_test(random_times_and_the_error),
        cmocka_unit_test(a_request_is_in_each_counter),
        cmocka_unit_test(no_line_is_written_more_than_twice),
        cmocka_unit_test(odd_numbers_stay_inside),
        cmocka_unit_test(totals_never_fall),
        cmocka_unit_test(totals_are_right_at_each_step),
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(a_killed_child_leaves_its_counts),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
