/*
 * t/unit/events.c: events from several writers, each seen once and whole, in a
 * ring that goes round, with writers and holders that are killed.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/events.h"
#include "shared/fault.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "process.h"

static imx_events_t events;
static void *memory;

static int setup(void **state)
{
    (void)state;
    memory = shared_memory(imx_events_size());
    imx_events_format(&events, memory);
    imx_fault = NULL;
    alarm(4 * TEST_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(memory, imx_events_size());
    return 0;
}

/* The next one, said to be done; 0: there is none. */
static uint64_t take(imx_event_t *event)
{
    uint64_t n = imx_events_next(&events, event, 1);

    if (n != 0) {
        imx_events_done(&events, n);
    }
    return n;
}

static void test_each_once(void **state)
{
    imx_event_t e;
    int64_t last = 0;

    (void)state;
    assert_int_equal(take(&e), 0);
    assert_int_equal(imx_events_last(&events), 0);
    imx_events_add(&events, IMX_EVENT_START, 11, 0, 1);
    imx_events_add(&events, IMX_EVENT_KILLED, 12, 9, 2);
    assert_int_equal(imx_events_next(&events, &e, 1), 1);
    assert_int_equal(take(&e), 1); /* not done: once more */
    assert_true(e.kind == IMX_EVENT_START && e.pid == 11 && e.number == 0
                && e.generation == 1);
    last = e.time;
    assert_int_equal(take(&e), 2);
    assert_true(e.kind == IMX_EVENT_KILLED && e.pid == 12 && e.number == 9
                && e.generation == 2 && e.time >= last);
    assert_int_equal(take(&e), 0);
    assert_int_equal(imx_events_last(&events), 2);
}

/* More than the ring has room for: the last ones. */
static void test_goes_round(void **state)
{
    imx_event_t e;
    int i;

    (void)state;
    for (i = 1; i <= 200; i++) {
        imx_events_add(&events, IMX_EVENT_HOLDER, i, i, i);
    }
    assert_int_equal(imx_events_get(&events, 200 - IMX_EVENTS_KEPT, &e), 0);
    for (i = 200 - IMX_EVENTS_KEPT + 1; i <= 200; i++) {
        assert_int_equal(imx_events_get(&events, (uint64_t)i, &e), 1);
        assert_int_equal(take(&e), i);
        assert_int_equal(e.pid, i);
    }
    assert_int_equal(take(&e), 0);
}

#define EACH 20000
#define WRITERS 2

static _Atomic int writing;

static void *write_many(void *arg)
{
    int32_t from = *(int32_t *)arg * EACH, i;

    for (i = 0; i < EACH; i++) {
        imx_events_add(&events, IMX_EVENT_GRACEFUL, from + i, from + i,
                       from + i);
        if (i % 16 == 0) {
            sched_yield();
        }
    }
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

static void test_several_writers(void **state)
{
    pthread_t threads[WRITERS];
    int32_t names[WRITERS] = { 0, 1 };
    uint64_t last = 0;
    unsigned seen = 0, wrong = 0;
    imx_event_t e;
    int i;

    (void)state;
    writing = WRITERS;
    for (i = 0; i < WRITERS; i++) {
        pthread_create(&threads[i], NULL, write_many, &names[i]);
    }
    do {
        uint64_t n = take(&e);

        if (n != 0) {
            seen++;
            wrong += n <= last || e.pid != e.number || e.pid != e.generation
                     || e.pid >= WRITERS * EACH;
            last = n;
        }
    } while (atomic_load(&writing) > 0 || last < imx_events_last(&events));
    for (i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(last, WRITERS * EACH);
    assert_true(seen >= IMX_EVENTS_KEPT);
}

static void test_nonsense(void **state)
{
    imx_event_t e;
    int i;

    (void)state;
    memset(memory, 0xFF, imx_events_size());
    for (i = 0; i < 100; i++) {
        take(&e);
        imx_events_next(&events, &e, 0);
        imx_events_add(&events, IMX_EVENT_STOP, 1, 1, 1);
    }
}

/* ---- with processes ---- */

static int visits;

static void kill_itself(const char *point)
{
    (void)point;
    if (--visits == 0) {
        kill(getpid(), SIGKILL);
    }
}

static int add_and_die(void *arg)
{
    (void)arg;
    imx_fault = kill_itself;
    imx_events_add(&events, IMX_EVENT_STOP, 99, 99, 99);
    return 3;
}

/* A writer that is killed keeps nobody from the next event for long. */
static void test_killed_writer(void **state)
{
    imx_event_t e;
    int i;

    (void)state;
    for (i = 1; i <= 2; i++) {
        visits = i;
        assert_int_equal(wait_for(spawn(add_and_die, NULL)), -SIGKILL);
        imx_events_add(&events, IMX_EVENT_START, 5, 6, 7);
        assert_int_equal(imx_events_next(&events, &e, 1), 0);
        assert_int_equal(imx_events_next(&events, &e, 0), 2 * i);
        assert_int_equal(e.pid, 5);
        imx_events_done(&events, (uint64_t)(2 * i));
        assert_int_equal(imx_events_next(&events, &e, 0), 0);
    }
}

/* What a writer has begun to write over is not read as what it was. */
static void test_overwritten(void **state)
{
    imx_event_t e;
    int i;

    (void)state;
    for (i = 1; i <= IMX_EVENTS_KEPT; i++) {
        imx_events_add(&events, IMX_EVENT_HOLDER, i, i, i);
    }
    assert_int_equal(imx_events_get(&events, 1, &e), 1);
    visits = 2;
    assert_int_equal(wait_for(spawn(add_and_die, NULL)), -SIGKILL);
    assert_int_equal(imx_events_get(&events, 1, &e), 0);
    assert_int_equal(imx_events_next(&events, &e, 1), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_once),
        TEST(test_goes_round),
        TEST(test_several_writers),
        TEST(test_nonsense),
        /* from here on with processes */
        TEST(test_killed_writer),
        TEST(test_overwritten),
    };
    const size_t all = sizeof tests / sizeof *tests, with_processes = 2;

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("events", tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
