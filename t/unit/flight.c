/*
 * t/unit/flight.c: what is under way, looked at by another thread while it
 * begins and ends; its memory is given back right after its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/flight.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 4, HELD = 1000, SEATS = 64, WORDS = 8 };

static imx_flights_t flights;
static _Atomic int done, wrong, held;
static int owner;

static int setup(void **state)
{
    (void)state;
    done = wrong = held = 0;
    return imx_flights_init(&flights, SEATS);
}

static int teardown(void **state)
{
    (void)state;
    free(flights.seats);
    return 0;
}

/* ---- one thread ---- */

static void test_begin_and_end(void **state)
{
    imx_flight_t *seat = imx_flights_take(&flights, &owner);
    long thing = 7;
    int noted = 1;

    (void)state;
    assert_non_null(seat);
    assert_ptr_equal(seat->owner, &owner);
    assert_null(imx_flight_hold(seat, &noted));
    imx_flight_begin(seat, &thing);
    assert_ptr_equal(imx_flight_hold(seat, &noted), &thing);
    assert_int_equal(noted, 0);
    imx_flight_let_go(seat, &thing, 0);
    imx_flight_end(seat, &thing);
    assert_null(imx_flight_hold(seat, &noted));
    imx_flight_end(seat, &thing); /* once more */
    assert_null(imx_flight_hold(seat, &noted));
}

/* Who has ended says when, if there is a note; the next one there has none. */
static void test_a_note(void **state)
{
    imx_flight_t *seat = imx_flights_take(&flights, &owner);
    int64_t before = imx_clock_now();
    long thing = 7, next = 8;
    int noted = 0;

    (void)state;
    imx_flight_begin(seat, &thing);
    assert_ptr_equal(imx_flight_hold(seat, &noted), &thing);
    imx_flight_note(seat, &thing);
    assert_ptr_equal(imx_flight_hold(seat, &noted), &thing);
    assert_int_equal(noted, 1);
    imx_flight_let_go(seat, &thing, 1);
    assert_int_equal(imx_flight_ended(seat), 0);
    imx_flight_end(seat, &next); /* it is not there */
    assert_ptr_equal(imx_flight_hold(seat, &noted), &thing);
    imx_flight_let_go(seat, &thing, 1);
    imx_flight_end(seat, &thing);
    assert_true(imx_flight_ended(seat) >= before);
    imx_flight_begin(seat, &thing);
    assert_ptr_equal(imx_flight_hold(seat, &noted), &thing);
    assert_int_equal(noted, 0);
    imx_flight_let_go(seat, &thing, 0);
    assert_true(imx_flight_ended(seat) >= before);
    imx_flight_end(seat, &thing);
}

static void test_seats(void **state)
{
    imx_flight_t *seats[SEATS];
    imx_flights_t none = { 0 };
    long thing;
    int i, noted;

    (void)state;
    for (i = 0; i < SEATS; i++) {
        seats[i] = imx_flights_take(&flights, &owner);
        assert_ptr_equal(seats[i], &flights.seats[i]);
        assert_int_equal(imx_flights_used(&flights), i + 1);
    }
    assert_null(imx_flights_take(&flights, &owner));
    imx_flight_begin(seats[5], &thing);
    imx_flights_give(&flights, seats[5]);
    assert_null(imx_flight_hold(seats[5], &noted));
    assert_ptr_equal(imx_flights_take(&flights, &owner), seats[5]);
    assert_int_equal(imx_flights_used(&flights), SEATS);
    assert_null(imx_flights_take(&none, &owner));
    assert_int_equal(imx_flights_init(&none, 100 * IMX_FLIGHTS_MAX), 0);
    assert_int_equal(none.capacity, IMX_FLIGHTS_MAX);
    free(none.seats);
}

/* ---- many threads ---- */

/* What is under way: all words are the same as long as it is. */
static long *make(long n)
{
    long *thing = malloc(WORDS * sizeof *thing);
    int i;

    for (i = 0; i < WORDS; i++) {
        thing[i] = n;
    }
    return thing;
}

static void spoil(long *thing)
{
    memset(thing, 0xA5, WORDS * sizeof *thing);
    free(thing);
}

/* As connections do: some requests one after the other, then another seat. */
static void *work(void *arg)
{
    long n = (long)(intptr_t)arg;
    while (held < HELD) {
        imx_flight_t *seat = imx_flights_take(&flights, &owner);
        int k;

        for (k = 0; k < 3 && seat != NULL; k++) {
            long *thing = make(++n);

            imx_flight_begin(seat, thing);
            if (k < 2) {
                imx_flight_end(seat, thing);
            }
            else { /* it ends with its connection */
                imx_flights_give(&flights, seat);
            }
            spoil(thing);
        }
        wrong += seat == NULL;
    }
    done++;
    return NULL;
}

static void look_at(imx_flight_t *seat)
{
    int noted, i;
    long *thing = imx_flight_hold(seat, &noted);

    if (thing == NULL) {
        return;
    }
    wrong += seat->owner != &owner;
    if (++held % 16 == 0) {
        sched_yield(); /* others come to their end meanwhile */
    }
    for (i = 1; i < WORDS; i++) {
        wrong += thing[i] != thing[0];
    }
    if (!noted && thing[0] % 2) {
        imx_flight_note(seat, thing);
    }
    else {
        imx_flight_let_go(seat, thing, noted);
    }
}

static void test_looked_at_by_another_thread(void **state)
{
    pthread_t threads[WORKERS];
    unsigned i;

    (void)state;
    for (i = 0; i < WORKERS; i++) {
        pthread_create(&threads[i], NULL, work,
                       (void *)(intptr_t)(i * 10000000));
    }
    while (done < WORKERS) {
        for (i = 0; i < imx_flights_used(&flights); i++) {
            look_at(&flights.seats[i]);
        }
    }
    for (i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(wrong, 0);
    assert_true(imx_flights_used(&flights) <= WORKERS);
    for (i = 0; i < SEATS; i++) {
        int noted;

        assert_null(imx_flight_hold(&flights.seats[i], &noted));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_begin_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_note, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_looked_at_by_another_thread,
                                        setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
