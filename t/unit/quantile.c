/*
 * t/unit/quantile.c: percentiles against exact ones, and the ladder.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/quantile.h"

#define MANY 20000
#define BOUND 0.0434 /* (2^(1/8) - 1) / (2^(1/8) + 1) is 0.0433 */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Lognormal, or two hills. */
static uint64_t draw(int bimodal)
{
    double u = drand48() + 1e-12, v = drand48();
    double normal = sqrt(-2 * log(u)) * cos(2 * M_PI * v);
    double middle = bimodal && drand48() < 0.2 ? 2.0 : 0.01;

    return (uint64_t)(1e9 * middle * exp(normal * (bimodal ? 0.3 : 1.0)));
}

static void check_share(const uint64_t *all, const uint32_t *buckets,
                        double share)
{
    size_t rank = (size_t)ceil(share * MANY);
    double exact = (double)all[rank - 1];
    double got = (double)imx_quantile_ns(buckets, share, 0);

    assert_true(fabs(got - exact) <= BOUND * exact);
}

static void percentiles_are_near(void **state)
{
    static const double shares[] = { 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0 };
    static uint64_t all[MANY];
    int kind;
    size_t i;

    (void)state;
    srand48(7);
    for (kind = 0; kind < 2; kind++) {
        uint32_t buckets[IMX_STATS_BUCKETS] = { 0 };

        for (i = 0; i < MANY; i++) {
            all[i] = draw(kind);
            buckets[imx_stats_bucket(all[i])]++;
        }
        qsort(all, MANY, sizeof *all, compare);
        for (i = 0; i < sizeof shares / sizeof *shares; i++) {
            check_share(all, buckets, shares[i]);
        }
    }
}

static void the_ends_are_sensible(void **state)
{
    uint32_t buckets[IMX_STATS_BUCKETS] = { 0 };

    (void)state;
    assert_int_equal(imx_quantile_ns(buckets, 0.5, 0), 0);
    buckets[0] = 1;
    assert_int_equal(imx_quantile_ns(buckets, 0.5, 0), 15258);
    assert_int_equal(imx_quantile_ns(buckets, 0.5, 900), 900);
    buckets[IMX_STATS_BUCKETS - 1] = 1;
    assert_int_equal(imx_quantile_ns(buckets, 0.999, 0), 256000000000);
    assert_int_equal(imx_quantile_ns(buckets, 0.999, 130000000000),
                     130000000000);
    /* A maximum that is known too late is not believed. */
    assert_int_equal(imx_quantile_ns(buckets, 0.999, 1000), 256000000000);
}

static void check_ladder(uint32_t an_octave, uint32_t rows)
{
    imx_quantile_row_t row[IMX_QUANTILE_ROWS_MAX];
    uint32_t buckets[IMX_STATS_BUCKETS], i;
    uint64_t sum = 0;

    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        buckets[i] = i + 1;
    }
    assert_int_equal(imx_quantile_rows(buckets, an_octave, NULL), rows);
    assert_int_equal(imx_quantile_rows(buckets, an_octave, row), rows);
    assert_true(row[0].upper == ldexp(1, -14));
    assert_int_equal(row[0].count, 17 * 18 / 2);
    assert_true(row[rows - 2].upper == 32);
    assert_true(row[rows - 1].upper == IMX_QUANTILE_BEYOND);
    assert_int_equal(row[rows - 1].below, 186 * 187 / 2);
    for (i = 0; i < rows; i++) {
        uint32_t bucket = imx_stats_bucket(
            (uint64_t)llround(row[i].upper * 1e9) - 1);

        sum += row[i].count;
        assert_int_equal(row[i].below, sum);
        assert_int_equal(row[i].below,
                         (uint64_t)(bucket + 1) * (bucket + 2) / 2);
    }
}

static void ladders_add_up(void **state)
{
    (void)state;
    check_ladder(8, 154);
    check_ladder(4, 78);
    check_ladder(2, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_near),
        cmocka_unit_test(the_ends_are_sensible),
        cmocka_unit_test(ladders_add_up),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
