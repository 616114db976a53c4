/*
 * flight.c owns the registry of what is under way in this process.
 * Entered by any thread; hold, let_go and ended by one of them, the looker.
 * Nothing survives the process.
 *
 * Why nobody looks at memory that is given back: the looker reads what `who`
 * points to only between its change to HELD and back.  While it says HELD, the
 * end spins, and only behind the end the memory is given back.  And why the
 * looker sees what was written before begin: that releases `who`, and the
 * change to HELD acquires it.
 */
#include "base/flight.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define NOTED ((uintptr_t)1)
#define HELD ((uintptr_t)1) /* as if nobody were noted */
#define SPINS 100           /* before the looker's thread is let run */

imx_flight_t imx_flight_nowhere = { .who = 2 }; /* no address, not noted */

/* ---- seats ---- */

int imx_flights_init(imx_flights_t *f, unsigned capacity)
{
    memset(f, 0, sizeof *f);
    if (capacity > IMX_FLIGHTS_MAX) {
        capacity = IMX_FLIGHTS_MAX;
    }
    capacity = (capacity + 63) / 64 * 64;
    f->seats = aligned_alloc(64, capacity * sizeof *f->seats);
    if (f->seats == NULL) {
        return ENOMEM;
    }
    memset(f->seats, 0, capacity * sizeof *f->seats);
    f->capacity = capacity;
    return 0;
}

static void raise_used(imx_flights_t *f, unsigned used)
{
    unsigned before = atomic_load(&f->used);

    while (before < used
           && !atomic_compare_exchange_weak(&f->used, &before, used)) {
    }
}

/* The first free one, so that the looker has few to look at. */
static imx_flight_t *take_of_word(imx_flights_t *f, unsigned word)
{
    uint64_t taken = atomic_load(&f->taken[word]);

    while (taken != UINT64_MAX) {
        unsigned bit = (unsigned)__builtin_ctzll(~taken);

        if (atomic_compare_exchange_weak(&f->taken[word], &taken,
                                         taken | UINT64_C(1) << bit)) {
            raise_used(f, word * 64 + bit + 1);
            return &f->seats[word * 64 + bit];
        }
    }
    return NULL;
}

imx_flight_t *imx_flights_take(imx_flights_t *f, void *owner)
{
    imx_flight_t *seat = NULL;
    unsigned word;

    for (word = 0; word < f->capacity / 64 && seat == NULL; word++) {
        seat = take_of_word(f, word);
    }
    if (seat != NULL) {
        seat->owner = owner;
    }
    return seat;
}

void imx_flights_give(imx_flights_t *f, imx_flight_t *seat)
{
    unsigned i = (unsigned)(seat - f->seats);
    uintptr_t who = atomic_load(&seat->who);

    if (who != 0) {
        imx_flight_end_seen(seat, 0);
    }
    atomic_fetch_and(&f->taken[i / 64], ~(UINT64_C(1) << i % 64));
}

/* ---- the end ---- */

static void wait_a_little(int spins)
{
    if (spins % SPINS == 0) {
        sched_yield();
    }
    else {
        atomic_signal_fence(memory_order_seq_cst);
    }
}

/* who 0: whoever is there. */
void imx_flight_end_seen(imx_flight_t *seat, uintptr_t who)
{
    uintptr_t there = atomic_load(&seat->who);
    int spins = 1;

    while (there != 0) {
        if (there == HELD) {
            wait_a_little(spins++);
            there = atomic_load(&seat->who);
            continue;
        }
        if (who != 0 && (there & ~NOTED) != who) {
            return;
        }
        if (there & NOTED) {
            atomic_store(&seat->ended, imx_clock_now());
        }
        if (atomic_compare_exchange_strong(&seat->who, &there, 0)) {
            return;
        }
    }
}

/* ---- the looker ---- */

void *imx_flight_hold(imx_flight_t *seat, int *noted)
{
    uintptr_t who = atomic_load(&seat->who);

    while (who != 0) {
        if (atomic_compare_exchange_strong(&seat->who, &who, HELD)) {
            *noted = (who & NOTED) != 0;
            return (void *)(who & ~NOTED);
        }
    }
    return NULL;
}

void imx_flight_let_go(imx_flight_t *seat, void *who, int noted)
{
    uintptr_t now = (uintptr_t)who;

    atomic_store_explicit(&seat->who, noted ? now | NOTED : now,
                          memory_order_release);
}

/* Not at each look: the end may have said when it was, and then have met the
 * looker on its way out. */
void imx_flight_note(imx_flight_t *seat, void *who)
{
    atomic_store(&seat->ended, 0);
    imx_flight_let_go(seat, who, 1);
}

int64_t imx_flight_ended(const imx_flight_t *seat)
{
    return atomic_load(&seat->ended);
}
