/*
 * t/unit/flow.c: how much of a body may have gone out by now, with a clock of
 * its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/flow.h"

#define MS INT64_C(1000000)
#define NOW (1000000 * MS)
#define MB (UINT64_C(1) << 20)

/* All that waits is out in that time; and little of it goes out at once. */
static void test_piece(void **state)
{
    (void)state;
    assert_int_equal(imx_flow_piece(0, 500), IMX_FLOW_LEAST);
    assert_int_equal(imx_flow_piece(100000, 500), IMX_FLOW_LEAST);
    assert_in_range(imx_flow_piece(25 * MB, 500), MB, MB + 1);
    assert_in_range(imx_flow_piece(43 * MB, 875), MB, MB + 1);
    assert_in_range(imx_flow_piece(25 * MB, 1), 25 * MB, 25 * MB + 1);
    assert_in_range(imx_flow_piece(25 * MB, 0), 25 * MB, 25 * MB + 1);
}

static void test_any(void **state)
{
    imx_flow_t f;

    (void)state;
    imx_flow_begin(&f, NOW);
    assert_true(imx_flow_allow(&f, NOW) == IMX_FLOW_ANY);
    assert_true(imx_flow_allow(&f, NOW + 1000 * MS) == IMX_FLOW_ANY);
    assert_true(imx_flow_next(&f, 1000 * MB, NOW) <= NOW);
}

/* Sends a body of so many bytes as the sender does; returns how long it takes,
 * and the most that went out within 20 ms. */
static int64_t send_body(imx_flow_t *f, uint64_t bytes, int64_t late,
                         uint64_t *most)
{
    int64_t now = NOW;
    uint64_t out = 0;

    *most = 0;
    while (out < bytes) {
        int64_t next = imx_flow_next(f, out, now);
        uint64_t may;

        now = next > now ? next + late : now;
        may = imx_flow_allow(f, now);
        may = may < bytes ? may : bytes;
        assert_true(may > out);
        *most = may - out > *most ? may - out : *most;
        out = may;
    }
    return now - NOW;
}

static void test_pieces(void **state)
{
    imx_flow_t f;
    uint64_t most;

    (void)state;
    imx_flow_begin(&f, NOW);
    imx_flow_limit(&f, 40000, NOW);
    assert_int_equal(send_body(&f, 1000000, 0, &most), 24 * IMX_FLOW_STEP);
    assert_int_equal(most, 40000);
    /* A thread that wakes up late makes up for it. */
    imx_flow_begin(&f, NOW);
    imx_flow_limit(&f, 40000, NOW);
    assert_in_range(send_body(&f, 1000000, IMX_FLOW_STEP * 3 / 2, &most),
                    23 * IMX_FLOW_STEP, 27 * IMX_FLOW_STEP);
    assert_int_equal(most, 80000);
    /* But after a long sleep not all goes out at once. */
    imx_flow_begin(&f, NOW);
    imx_flow_limit(&f, 40000, NOW);
    send_body(&f, 1000000, 100 * IMX_FLOW_STEP, &most);
    assert_int_equal(most, 160000);
}

static void test_faster(void **state)
{
    imx_flow_t f;
    uint64_t most;

    (void)state;
    imx_flow_begin(&f, NOW);
    imx_flow_limit(&f, 40000, NOW);
    imx_flow_limit(&f, 20000, NOW); /* never slower */
    assert_int_equal(f.piece, 40000);
    imx_flow_limit(&f, 80000, NOW);
    assert_int_equal(send_body(&f, 1000000, 0, &most), 12 * IMX_FLOW_STEP);
    assert_int_equal(most, 80000);
    imx_flow_limit(&f, IMX_FLOW_ANY, NOW);
    assert_int_equal(send_body(&f, 10000000, 0, &most), 0);
}

/* A connection that took long to make is no reason to send all at once. */
static void test_wait(void **state)
{
    int64_t now;
    imx_flow_t f;

    (void)state;
    imx_flow_begin(&f, NOW);
    imx_flow_limit(&f, 40000, NOW);
    for (now = NOW; now <= NOW + 500 * MS; now += 50 * MS) {
        imx_flow_wait(&f, now);
        assert_int_equal(imx_flow_allow(&f, now), 40000);
        assert_true(imx_flow_next(&f, 0, now) <= now);
    }
    now -= 50 * MS;
    assert_int_equal(imx_flow_next(&f, 40000, now), now + IMX_FLOW_STEP);
}

/* Work that took too long for its piece: the rest of the time is for others. */
static void test_rest(void **state)
{
    imx_flow_t f;

    (void)state;
    imx_flow_begin(&f, NOW);
    imx_flow_limit(&f, 40000, NOW);
    imx_flow_allow(&f, NOW);
    imx_flow_rest(&f, 10000, NOW);
    assert_int_equal(imx_flow_next(&f, 10000, NOW), NOW + IMX_FLOW_STEP / 4);
    /* No longer than until the next piece is due, when it was nearly all. */
    imx_flow_rest(&f, 40000, NOW + 1);
    assert_int_equal(imx_flow_next(&f, 40000, NOW + 1), NOW + IMX_FLOW_STEP);
    imx_flow_begin(&f, NOW);
    imx_flow_rest(&f, 10000, NOW); /* not where there is no limit */
    assert_true(imx_flow_next(&f, 10000, NOW) <= NOW);
}

/* What was no pause is work, or a thread that wakes up late. */
static void test_pauses(void **state)
{
    imx_flow_t f;

    (void)state;
    imx_flow_begin(&f, NOW);
    imx_flow_pause(&f, 40000, NOW); /* there is no limit */
    imx_flow_limit(&f, 40000, NOW);
    imx_flow_allow(&f, NOW);
    imx_flow_pause(&f, 30000, NOW); /* more may go out */
    imx_flow_allow(&f, NOW + 5 * MS);
    assert_int_equal(f.held, 0);
    imx_flow_pause(&f, 40000, NOW + 5 * MS);
    imx_flow_allow(&f, NOW + 12 * MS);
    assert_int_equal(f.held, 7 * MS);
    imx_flow_allow(&f, NOW + 13 * MS);
    imx_flow_pause(&f, 40000, NOW + 14 * MS);
    imx_flow_allow(&f, NOW + 31 * MS); /* due at 20 */
    assert_int_equal(f.held, 13 * MS);
    imx_flow_pause(&f, 80000, NOW + 31 * MS);
    imx_flow_limit(&f, IMX_FLOW_ANY, NOW + 33 * MS);
    imx_flow_allow(&f, NOW + 33 * MS);
    assert_int_equal(f.held, 15 * MS);
    imx_flow_begin(&f, NOW);
    assert_int_equal(f.held, 0);
}

#define AT_ONCE 20000 /* bytes that are compressed within IMX_FLOW_AT_ONCE */

/* A body of a million bytes, in 25 pieces, that is compressed by a thread that
 * wakes up so late; returns how long that takes. */
static int64_t compress(int64_t late)
{
    int64_t now = NOW;
    uint64_t out = 0;
    imx_flow_t f;

    imx_flow_begin(&f, now);
    imx_flow_limit(&f, 40000, now);
    while (out < 1000000) {
        int64_t next = imx_flow_next(&f, out, now);
        uint64_t may;

        now = next > now ? next + late : now;
        may = imx_flow_allow(&f, now) - out;
        if (imx_flow_until(&f, out, now) != 0 && may > AT_ONCE) {
            may = AT_ONCE;
        }
        now += (int64_t)may * IMX_FLOW_AT_ONCE / AT_ONCE;
        if (may == AT_ONCE) {
            imx_flow_rest(&f, may, now);
        }
        out += may;
    }
    return now - NOW;
}

/* A processor that has little time for the thread does not keep a body from
 * being out in about the time that it has for that. */
static void test_late(void **state)
{
    (void)state;
    assert_in_range(compress(0), 480 * MS, 510 * MS);
    assert_in_range(compress(5 * MS), 480 * MS, 600 * MS);
    assert_in_range(compress(15 * MS), 480 * MS, 700 * MS);
    assert_in_range(compress(40 * MS), 480 * MS, 700 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_piece),  cmocka_unit_test(test_any),
        cmocka_unit_test(test_pieces), cmocka_unit_test(test_faster),
        cmocka_unit_test(test_wait),   cmocka_unit_test(test_rest),
        cmocka_unit_test(test_pauses), cmocka_unit_test(test_late),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
