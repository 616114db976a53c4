/*
 * t/unit/room.c: requests find free segments: what is given up, in time, and
 * without a look at all of a large buffer each time; step by step with a clock
 * of our own, against the stand-in server (delivery.h).
 */
#define _GNU_SOURCE
#include "delivery.h"

#include "shared/segment.h"

#include <stdio.h>

/* A sixth of what a look makes free, and a look: so nothing may be refused. */
static void overflow(fixture_t *f, int lines)
{
    for (; lines > 0; lines -= 100) {
        append(f, 100);
        later(f, 100);
        imx_monitor_step(f->m);
    }
    assert_int_equal(atomic_load(&f->shared->refused), 0);
}

/* first: the oldest line that is expected; all from there on are stored. */
static void assert_newest(fixture_t *f, uint32_t first)
{
    uint32_t i;

    for (i = first; i < f->shared->next; i++) {
        if (stored_times(f, i) != 1) {
            fail_msg("line %" PRIu32 " is stored %d times", i,
                     stored_times(f, i));
        }
    }
}

static void test_give_up_oldest(void **state)
{
    fixture_t *f = *state;
    uint64_t dropped;

    refuse(f, 503, "Retry-After: 3600\r\n", "full");
    begin(f);
    append(f, 10);
    tick(f);
    until_refused(f, 1, 10);
    overflow(f, 20000);
    dropped = fate(f, IMX_BATCH_DROPPED);
    assert_in_range(dropped, 20010 - 64 * 128, 20010 - 56 * 128);
    later(f, 3600000);
    heal(f);
    deliver(f);
    assert_newest(f, (uint32_t)dropped);
    assert_int_equal(stored(f), 20010 - dropped);
    assert_int_equal(stored_again(f), 0);
}

/* A large buffer that is full.  Its segments are not put in order for each one
 * that is given up: the next few need no other one to go. */
static int setup_many(void **state)
{
    return setup_size(state, 64 << 20);
}

static void append_segment(fixture_t *f)
{
    append(f, 1);
    imx_batch_seal_all(&f->arena.batch);
}

static void fill_in_an_outage(fixture_t *f, uint32_t segments)
{
    uint32_t i;

    refuse(f, 503, "Retry-After: 3600\r\n", "full");
    begin(f);
    append(f, 1);
    tick(f);
    until_refused(f, 1, 1);
    for (i = 1; i < segments; i++) {
        append_segment(f);
    }
}

static void test_give_up_many(void **state)
{
    fixture_t *f = *state;
    uint32_t all = imx_batch_segments(&f->arena.batch), i;
    uint64_t dropped;

    fill_in_an_outage(f, all);
    assert_true(all >= 1024);
    imx_monitor_step(f->m);
    dropped = fate(f, IMX_BATCH_DROPPED);
    assert_int_equal(dropped, all / 16 + 1 + all / 256);
    for (i = 0; i < all / 256; i++) {
        append_segment(f);
        imx_monitor_step(f->m);
        assert_int_equal(fate(f, IMX_BATCH_DROPPED), dropped);
    }
    append_segment(f);
    imx_monitor_step(f->m);
    assert_true(fate(f, IMX_BATCH_DROPPED) > dropped);
}

static uint32_t looks(fixture_t *f)
{
    return atomic_load(&f->arena.batch.part->in_turn);
}

/* A look at all segments of a full buffer costs; in an outage none is needed to
 * know that there is room still, and when there is none any more. */
static void test_full_in_an_outage(void **state)
{
    fixture_t *f = *state;
    uint32_t all = imx_batch_segments(&f->arena.batch), before, i;
    uint64_t dropped;

    fill_in_an_outage(f, all);
    imx_monitor_step(f->m);
    dropped = fate(f, IMX_BATCH_DROPPED);
    before = looks(f);
    for (i = 0; i < 90; i++) {
        later(f, 10);
        imx_monitor_step(f->m);
    }
    for (i = 0; i < all / 256; i++) {
        append_segment(f);
        imx_monitor_step(f->m);
    }
    assert_int_equal(looks(f), before);
    assert_int_equal(fate(f, IMX_BATCH_DROPPED), dropped);
    append_segment(f);
    imx_monitor_step(f->m);
    assert_in_range(looks(f), before + 1, before + 2);
    assert_true(fate(f, IMX_BATCH_DROPPED) > dropped);
    before = looks(f);
    later(f, 1000); /* what was scribbled, if anybody did, is seen */
    imx_monitor_step(f->m);
    assert_int_equal(looks(f), before + 1);
}

/* Nothing listens.  What is with InfluxDB just then is kept, so not exactly
 * the oldest ones go. */
static void test_give_up_down(void **state)
{
    fixture_t *f = *state;
    uint64_t dropped;

    snprintf(f->url, sizeof f->url, "http://127.0.0.1:1");
    begin(f);
    overflow(f, 20000);
    dropped = fate(f, IMX_BATCH_DROPPED);
    assert_in_range(dropped, 20000 - 64 * 128, 20000 - 56 * 128);
    end_monitor(f);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d",
             standin_port(f->server));
    begin(f);
    deliver(f);
    assert_newest(f, 20000 - 40 * 128);
    assert_int_equal(stored(f), 20000 - dropped);
}

/*
 * The server took a body and says nothing.  What it has cannot be given up,
 * and a body may be larger than the buffer: there must be others to give up.
 */
static void test_give_up_hanging(void **state)
{
    fixture_t *f = *state;
    uint64_t dropped;

    f->o.max_bytes = 64 << 20;
    f->o.max_lines = 1000000;
    hang(f);
    f->o.interval_ms = 3600000;
    begin(f);
    append(f, 60 * 128); /* before a tick could take any */
    overflow(f, 12000);
    UNTIL(writes(f) == 1); /* read, and not to be stored later */
    dropped = fate(f, IMX_BATCH_DROPPED);
    assert_true(dropped > 0);
    UNTIL(writes(f) == 1); /* else it finds the healed server */
    end_monitor(f);
    heal(f);
    f->o.interval_ms = 1000;
    begin(f);
    deliver(f);
    assert_newest(f, 60 * 128 + 12000 - 32 * 128);
    assert_int_equal(stored(f), 60 * 128 + 12000 - dropped);
    assert_int_equal(stored_again(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_SMALL(test_give_up_oldest),
        cmocka_unit_test_setup_teardown(test_give_up_many, setup_many,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_full_in_an_outage, setup_many,
                                        teardown),
        TEST_SMALL(test_give_up_down),
        TEST_SMALL(test_give_up_hanging),
    };

    return run_delivery_tests("room", tests, sizeof tests / sizeof tests[0],
                              1);
}
