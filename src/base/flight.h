/*
 * flight.h: what is under way in this process, where one other thread can look
 * at it.
 *
 * A registry has seats.  Who often has something under way (a connection: one
 * request after the other) takes a seat for its life; begin and end are then
 * one store and one compare-and-swap.  The looker is one thread.  While it
 * holds what is in a seat, the end waits: so what it looks at is there, though
 * its memory is given back right after the end.  That takes the looker a
 * microsecond.
 *
 *     NULL --begin--> who <--hold, let go--> HELD
 *      ^               |
 *      +------end------+                 who | NOTED: the looker has noted it
 *
 * Begin, end: one thread at a time for a seat; which one may change (HTTP/2).
 * Private to a process; nothing survives it.
 */
#ifndef IMX_FLIGHT_H
#define IMX_FLIGHT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A seat, a cache line of its own. */
typedef struct {
    _Alignas(64) _Atomic uintptr_t who;
    void *owner;           /* who took the seat */
    _Atomic int64_t ended; /* ns, monotonic: when a noted one did; 0: not yet */
} imx_flight_t;

#define IMX_FLIGHTS_MAX 4096 /* seats */

/* For who has no seat: something is always under way there, and never ends. */
extern imx_flight_t imx_flight_nowhere;

/* Zeroed, it has no seats. */
typedef struct {
    imx_flight_t *seats;
    unsigned capacity;
    _Atomic unsigned used; /* all seats that were ever taken are before it */
    _Atomic unsigned unseated; /* what is under way without a seat */
    _Atomic uint64_t taken[IMX_FLIGHTS_MAX / 64];
} imx_flights_t;

/* A child, before its other threads: makes so many seats, at most MAX.  They
 * are never given back.  Returns 0 or an errno value; then there are none. */
int imx_flights_init(imx_flights_t *f, unsigned capacity);

/* Any thread: a seat for owner, or NULL when all are taken; gives it back, and
 * ends what is under way there. */
imx_flight_t *imx_flights_take(imx_flights_t *f, void *owner);
void imx_flights_give(imx_flights_t *f, imx_flight_t *seat);

/* The way to the end when the looker has held it, or has a note of it, or when
 * it has ended before. */
void imx_flight_end_seen(imx_flight_t *seat, uintptr_t who);

/* `who` begins: what is written before is seen by the looker.  Not NULL, its
 * last bit is 0. */
static inline void imx_flight_begin(imx_flight_t *seat, const void *who)
{
    atomic_store_explicit(&seat->who, (uintptr_t)who, memory_order_release);
}

/* Who begins and ends: is something under way there? */
static inline int imx_flight_is_on(const imx_flight_t *seat)
{
    return atomic_load_explicit(&seat->who, memory_order_relaxed) != 0;
}

/* The usual end; 0: it is another one, and imx_flight_end() is needed. */
static inline int imx_flight_ends(imx_flight_t *seat, const void *who)
{
    uintptr_t there = (uintptr_t)who;

    return atomic_compare_exchange_strong_explicit(&seat->who, &there, 0,
                                                   memory_order_acq_rel,
                                                   memory_order_acquire);
}

/* It has ended; the looker looks at it no more.  Does nothing when it is not
 * under way there. */
static inline void imx_flight_end(imx_flight_t *seat, const void *who)
{
    if (!imx_flight_ends(seat, who)) {
        imx_flight_end_seen(seat, (uintptr_t)who);
    }
}

/* ---- the looker ---- */

static inline unsigned imx_flights_used(const imx_flights_t *f)
{
    return atomic_load_explicit(&f->used, memory_order_acquire);
}

/* Holds what is under way in a seat, or returns NULL.  *noted: the looker has a
 * note of it.  It ends no earlier than it is let go, as it was or with a new
 * note. */
void *imx_flight_hold(imx_flight_t *seat, int *noted);
void imx_flight_let_go(imx_flight_t *seat, void *who, int noted);
void imx_flight_note(imx_flight_t *seat, void *who);

/* When the one that was noted last ended, ns of the monotonic clock; 0: it has
 * not. */
int64_t imx_flight_ended(const imx_flight_t *seat);

#endif
