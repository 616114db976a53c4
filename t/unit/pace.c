/*
 * t/unit/pace.c: when the next body may be sent and how large it may be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/pace.h"

#include <string.h>

#define MS INT64_C(1000000)
#define HOUR (3600 * 1000 * MS)
#define MINUTE (60 * 1000 * MS)
#define NOW (100 * HOUR)

static const imx_pace_limits_t limits = { 4 << 20, 1000, 10000, 0 };

static uint64_t size(const imx_board_pace_t *p)
{
    return imx_pace_size(p, &limits);
}

static imx_board_pace_t fresh(void)
{
    imx_board_pace_t p;

    memset(&p, 0, sizeof p);
    imx_pace_take_over(&p, &limits, 1, NOW);
    return p;
}

static void test_fresh(void **state)
{
    imx_board_pace_t p = fresh();

    (void)state;
    assert_true(imx_pace_is_due(&p, NOW));
    assert_int_equal(size(&p), limits.max_bytes);
    assert_int_equal(imx_pace_body(&p, &limits, NOW), limits.max_bytes);
    assert_false(imx_pace_wants_two(&p));
    assert_int_equal(imx_pace_news(&p), 0);
}

/* A second to 2, 4, 8, 16, then always 30, and spread over all of that. */
static void test_back_off(void **state)
{
    static const int64_t most[] = { 2000, 4000, 8000, 16000, 30000, 30000 };
    imx_board_pace_t p = fresh();
    int64_t least = INT64_MAX, longest = 0, now = NOW;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof most / sizeof *most; i++) {
        imx_pace_back_off(&p, now, now, -1, (uint32_t)(i * 0x9E3779B9u));
        assert_in_range(p.not_before - now, 1000 * MS, most[i] * MS);
        assert_false(imx_pace_is_due(&p, p.not_before - 1));
        assert_true(imx_pace_is_due(&p, p.not_before));
        now = p.not_before;
    }
    for (i = 0; i < 1000; i++) {
        p.not_before = 0;
        imx_pace_back_off(&p, now, now, -1, (uint32_t)(i * 0x9E3779B9u));
        least = p.not_before < least ? p.not_before : least;
        longest = p.not_before > longest ? p.not_before : longest;
    }
    assert_in_range(least - now, 1000 * MS, 1500 * MS);
    assert_in_range(longest - now, 29500 * MS, 30000 * MS);
    assert_true(imx_pace_taken(&p, &limits, longest, longest, 0, 1));
    imx_pace_back_off(&p, longest, longest, -1, 0xFFFFFFFFu);
    assert_in_range(p.not_before - longest, 1000 * MS, 2000 * MS);
}

static void test_asked(void **state)
{
    imx_board_pace_t p = fresh();

    (void)state;
    imx_pace_back_off(&p, NOW, NOW, 7000, 99);
    assert_int_equal(p.not_before, NOW + 7000 * MS);
    imx_pace_back_off(&p, NOW, NOW, 0, 99); /* a last attempt, too early */
    assert_int_equal(p.not_before, NOW + 7000 * MS);
    imx_pace_back_off(&p, NOW + 1, NOW + 1, -1, 99);
    assert_int_equal(p.not_before, NOW + 7000 * MS);
    imx_pace_back_off(&p, NOW + 7000 * MS, NOW + 7000 * MS, 0, 99);
    assert_int_equal(p.not_before, NOW + 7000 * MS);
    imx_pace_back_off(&p, NOW, NOW, INT64_C(86400000), 99);
    assert_int_equal(p.not_before, NOW + HOUR);
    imx_pace_try_now(&p);
    assert_true(imx_pace_is_due(&p, NOW));
}

/* A new holder goes on where the last one was, ... */
static void test_take_over(void **state)
{
    imx_board_pace_t p = fresh(), same;

    (void)state;
    imx_pace_back_off(&p, NOW, NOW, 3600000, 99);
    imx_pace_too_large(&p, NOW, 1 << 20);
    imx_pace_try_smaller(&p, NOW, 1 << 19);
    p.created = 1;
    same = p;
    imx_pace_take_over(&same, &limits, 1, NOW + MINUTE);
    assert_memory_equal(&same, &p, sizeof p);
    /* ... but what was learned of another InfluxDB says nothing. */
    imx_pace_take_over(&p, &limits, 2, NOW + MINUTE);
    assert_true(imx_pace_is_due(&p, NOW + MINUTE));
    assert_int_equal(size(&p), limits.max_bytes);
    assert_int_equal(p.created, 0);
}

/* Other processes can write to the board. */
static void test_nonsense(void **state)
{
    static const unsigned char bytes[] = { 0xFF, 0x80, 0x7F, 0x01, 0xAA };
    imx_board_pace_t p;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bytes; i++) {
        memset(&p, bytes[i], sizeof p);
        p.target = 1;
        imx_pace_take_over(&p, &limits, 1, NOW);
        assert_true(imx_pace_is_due(&p, NOW + HOUR));
        assert_in_range(size(&p), 1, limits.max_bytes);
        assert_in_range(imx_pace_body(&p, &limits, NOW + 2 * HOUR), 1,
                        limits.max_bytes);
        assert_in_range(imx_pace_piece(&p, &limits, UINT64_MAX, UINT64_MAX), 1,
                        UINT64_MAX);
        assert_in_range(imx_pace_patience_ms(&p), 0, 20000);
        imx_pace_back_off(&p, NOW + HOUR, NOW + HOUR, -1, 12345);
        assert_in_range(p.not_before - NOW - HOUR, 1000 * MS, 30000 * MS);
        assert_true(
            imx_pace_taken(&p, &limits, NOW + 3 * HOUR, NOW + 3 * HOUR, 0, 1));
    }
    memset(&p, 0, sizeof p);
    p.target = 1;
    p.not_before = NOW + HOUR + 1; /* longer than anybody may ask for */
    p.failed_at = NOW + 1;
    imx_pace_take_over(&p, &limits, 1, NOW);
    assert_true(imx_pace_is_due(&p, NOW));
    assert_true(imx_pace_taken(&p, &limits, NOW, NOW, 0, 1));
}

/* A limit that stays is tried less and less often; one that goes is gone. */
static void test_too_large(void **state)
{
    imx_board_pace_t p = fresh();
    int64_t now = NOW;
    int tried = 0;

    (void)state;
    imx_pace_too_large(&p, now, 1 << 20);
    assert_int_equal(size(&p), 1 << 19);
    assert_int_equal(imx_pace_news(&p), 1 << 20);
    imx_pace_told(&p, 1);
    assert_int_equal(imx_pace_news(&p), 0);
    for (; now < NOW + 10 * HOUR; now += 1000 * MS) {
        uint64_t bytes = imx_pace_body(&p, &limits, now);

        if (bytes > 1 << 19) {
            imx_pace_too_large(&p, now, bytes);
            tried++;
        }
    }
    assert_in_range(tried, 8, 20);
    for (; size(&p) < limits.max_bytes && now < NOW + 24 * HOUR;
         now += 1000 * MS) {
        imx_pace_body(&p, &limits, now);
    }
    assert_int_equal(size(&p), limits.max_bytes);
}

/* What was too large once goes when a larger body is taken, however small the
 * limit was; but not when one of a size that fits is. */
static void test_limit_goes(void **state)
{
    imx_board_pace_t p = fresh();
    int64_t now = NOW + MINUTE;
    int bodies;

    (void)state;
    imx_pace_too_large(&p, NOW, 200);
    imx_pace_told(&p, 1);
    assert_int_equal(imx_pace_body(&p, &limits, now), 200);
    imx_pace_taken(&p, &limits, now, now, 0, 100);
    assert_int_equal(imx_pace_body(&p, &limits, now), 200);
    imx_pace_taken(&p, &limits, now, now, 0, 200);
    for (bodies = 0; size(&p) < limits.max_bytes && bodies < 100; bodies++) {
        uint64_t bytes = imx_pace_body(&p, &limits, now);

        imx_pace_taken(&p, &limits, now, now, 0, bytes);
        imx_pace_told(&p, 0);
    }
    assert_in_range(bodies, 10, 16);
}

/* A proxy says 502 for what is too large, for ever: that is tried less and less
 * often. */
static void test_gateway(void **state)
{
    imx_board_pace_t p = fresh();
    int64_t now = NOW;
    int tried = 0;

    (void)state;
    for (; now < NOW + 10 * HOUR; now += 1000 * MS) {
        uint64_t bytes = imx_pace_body(&p, &limits, now);

        if (bytes > 1 << 20) {
            imx_pace_try_smaller(&p, now, bytes);
            imx_pace_back_off(&p, now, now, -1, 7);
            tried++;
        }
        else {
            imx_pace_taken(&p, &limits, now, now, 0, bytes);
        }
    }
    assert_in_range(tried, 8, 20);
    for (; size(&p) < limits.max_bytes && now < NOW + 12 * HOUR;
         now += 1000 * MS) {
        imx_pace_taken(&p, &limits, now, now, 0, size(&p));
    }
    assert_int_equal(size(&p), limits.max_bytes);
    assert_int_equal(p.passes_wait, 0);
}

static void test_too_slow(void **state)
{
    imx_board_pace_t p = fresh();
    uint64_t bytes;
    int i;

    (void)state;
    for (bytes = limits.max_bytes, i = 0; i < 20; i++, bytes = size(&p)) {
        imx_pace_try_smaller(&p, NOW, bytes);
    }
    assert_int_equal(size(&p), IMX_PACE_LEAST);
    imx_pace_taken(&p, &limits, NOW + 2500 * MS, NOW, 0, 1);
    assert_int_equal(size(&p), IMX_PACE_LEAST);
    for (i = 0; i < 7; i++) {
        imx_pace_taken(&p, &limits, NOW + 2499 * MS, NOW, 0, 1);
    }
    assert_int_equal(size(&p), limits.max_bytes);
}

/* The first body of its size goes at once, and so does one after a failure. */
static void test_proven(void **state)
{
    imx_board_pace_t p = fresh();

    (void)state;
    assert_false(imx_pace_is_proven(&p, 1));
    imx_pace_taken(&p, &limits, NOW, NOW, 0, 1000);
    imx_pace_taken(&p, &limits, NOW, NOW, 0, 10);
    assert_true(imx_pace_is_proven(&p, 1250));
    assert_false(imx_pace_is_proven(&p, 1251));
    imx_pace_take_over(&p, &limits, 1, NOW); /* the next holder knows it */
    assert_true(imx_pace_is_proven(&p, 1250));
    imx_pace_back_off(&p, NOW, NOW, -1, 7);
    assert_false(imx_pace_is_proven(&p, 1));
    imx_pace_taken(&p, &limits, NOW, NOW, 0, 1000);
    imx_pace_too_large(&p, NOW, 1000);
    assert_false(imx_pace_is_proven(&p, 1));
    p.proven = UINT64_MAX; /* nonsense of another process */
    imx_pace_take_over(&p, &limits, 1, NOW);
    assert_false(imx_pace_is_proven(&p, 2 * limits.max_bytes));
    imx_pace_take_over(&p, &limits, 2, NOW); /* another InfluxDB */
    assert_false(imx_pace_is_proven(&p, 1));
}

static void take(imx_board_pace_t *p, int took_ms, int held_ms)
{
    imx_pace_taken(p, &limits, NOW + took_ms * MS, NOW, held_ms * MS, 1);
}

/* A body goes out in pieces: the pauses between them are no time that the
 * answer takes, and nobody waits for it as long at a stop. */
static void test_pauses(void **state)
{
    imx_board_pace_t p = fresh();
    int i;

    (void)state;
    take(&p, 520, 500);
    assert_int_equal(p.answer_ms, 20);
    assert_int_equal(imx_pace_patience_ms(&p), 40);
    take(&p, 520, 0);
    assert_int_equal(p.answer_ms, 520);
    take(&p, 520, 500); /* a long one is remembered, and not for ever */
    assert_int_equal(p.answer_ms, 390);
    for (i = 0; i < 20; i++) {
        take(&p, 520, 500);
    }
    assert_int_equal(p.answer_ms, 20);
    assert_false(imx_pace_wants_two(&p));
    for (i = 0; i < 10; i++) {
        take(&p, 1100, 875);
        assert_false(imx_pace_wants_two(&p));
    }
    for (i = 0; i < 3; i++) {
        take(&p, 760, 500);
    }
    assert_true(imx_pace_wants_two(&p));
}

/* In how many ms a body of a second's lines goes out; they are so many that no
 * piece is of the least size. */
static int spread(const imx_board_pace_t *p, uint64_t bodies)
{
    uint64_t bytes = UINT64_C(1) << 40;

    return 20 * (int)(bytes / imx_pace_piece(p, &limits, bytes, bodies) + 1);
}

/* The whole interval, but for the answers; half when one was late, as the lines
 * of the next tick waited for it. */
static void test_spread(void **state)
{
    static const imx_pace_limits_t hasty = { 4 << 20, 1000, 4800, 0 };
    static const imx_pace_limits_t slow_way = { 4 << 20, 60000, 600000, 0 };
    imx_board_pace_t p = fresh();
    int i;

    (void)state;
    assert_int_equal(spread(&p, 1), 860);
    assert_int_equal(imx_pace_piece(&p, &slow_way, 25000000, 1), 100001);
    assert_int_equal(imx_pace_piece(&p, &hasty, 30000000, 1), 1000001);
    take(&p, 975, 875);
    assert_int_equal(spread(&p, 1), 760);
    assert_int_equal(spread(&p, 3), 560);
    assert_int_equal(spread(&p, 9), 500);
    assert_int_equal(spread(&p, UINT64_MAX), 500);
    take(&p, 400, 0);
    assert_int_equal(spread(&p, 1), 500);
    take(&p, 900, 600);                   /* before the next tick */
    assert_int_equal(spread(&p, 1), 560); /* 400 / 4 * 3 */
    take(&p, 1125, 875);
    for (i = 0; i < 60; i++) {
        assert_int_equal(spread(&p, 1), 500);
        assert_int_equal(imx_pace_patience_ms(&p), 1000);
        assert_int_equal(imx_pace_piece(&p, &limits, 1, 1), 32 * 1024);
        take(&p, 510, 500);
    }
    assert_int_equal(spread(&p, 1), 860);
    assert_int_equal(imx_pace_piece(&p, &limits, 1, 1), 4 * 1024);
}

/* An InfluxDB that answers once a second can seem quick for long. */
static void test_at_seconds(void **state)
{
    static const imx_pace_limits_t seconds = { 4 << 20, 1000, 10000, 1 };
    imx_board_pace_t p;
    int i;

    (void)state;
    memset(&p, 0, sizeof p);
    imx_pace_take_over(&p, &seconds, 1, NOW);
    for (i = 0; i < 100; i++) {
        assert_int_equal(spread(&p, 1), 500);
        assert_int_equal(imx_pace_patience_ms(&p), 1000);
        imx_pace_taken(&p, &seconds, NOW + 510 * MS, NOW, 500 * MS, 1);
    }
}

/* One answer that is late does not make InfluxDB slow. */
static void test_two(void **state)
{
    imx_board_pace_t p = fresh();
    int i;

    (void)state;
    for (i = 0; i < 20; i++) {
        imx_pace_taken(&p, &limits, NOW + (i % 3 ? 990 : 100) * MS, NOW, 0, 1);
        assert_false(imx_pace_wants_two(&p));
    }
    for (i = 0; i < 4; i++) {
        imx_pace_taken(&p, &limits, NOW + 990 * MS, NOW, 0, 1);
    }
    assert_true(imx_pace_wants_two(&p));
    imx_pace_taken(&p, &limits, NOW + 100 * MS, NOW, 0, 1);
    assert_false(imx_pace_wants_two(&p));
}

/* Of two bodies that are under way when InfluxDB goes, one failure counts, and
 * the one that was taken all the same is no end of it. */
static void test_at_once(void **state)
{
    imx_board_pace_t p = fresh();
    int64_t before;

    (void)state;
    imx_pace_back_off(&p, NOW + 10, NOW, -1, 7);
    before = p.not_before;
    imx_pace_back_off(&p, NOW + 20, NOW + 1, -1, 7);
    assert_int_equal(p.not_before, before);
    assert_int_equal(p.backoff_ms, 2000);
    assert_false(imx_pace_taken(&p, &limits, NOW + 30, NOW + 2, 0, 1));
    assert_int_equal(p.backoff_ms, 2000);
    assert_false(imx_pace_is_due(&p, NOW + 40));
    imx_pace_back_off(&p, NOW + 40, NOW + 3, 60000, 7); /* it was asked */
    assert_int_equal(p.not_before, NOW + 40 + 60000 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh),      cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_asked),      cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_nonsense),   cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_too_slow),   cmocka_unit_test(test_two),
        cmocka_unit_test(test_at_once),    cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_spread),     cmocka_unit_test(test_at_seconds),
        cmocka_unit_test(test_proven),     cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_limit_goes),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
