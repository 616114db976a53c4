/*
 * events.c owns the ring of the last events.
 * Entered by httpd's parent (add), by the holder, and by readers.
 * The ring survives any process; what a writer that was killed had not finished
 * is not seen.
 */
#include "shared/events.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "shared/fault.h"

typedef struct {
    _Alignas(64) _Atomic uint64_t n; /* its number; 0: being written */
    _Atomic int64_t time;
    _Atomic uint64_t kind_and_pid, number_and_generation;
} place_t;

struct imx_events_part {
    _Alignas(64) _Atomic uint64_t last; /* the number given out last */
    _Alignas(64) _Atomic uint64_t done; /* up to which there are points */
    place_t places[IMX_EVENTS_KEPT];
};

size_t imx_events_size(void)
{
    return sizeof(struct imx_events_part);
}

void imx_events_format(imx_events_t *e, void *base)
{
    e->part = base;
}

static place_t *place_of(const imx_events_t *e, uint64_t n)
{
    return &e->part->places[n % IMX_EVENTS_KEPT];
}

static uint64_t pair(uint32_t high, uint32_t low)
{
    return (uint64_t)high << 32 | low;
}

void imx_events_add(const imx_events_t *e, imx_event_e kind, pid_t pid,
                    int32_t number, int32_t generation)
{
    uint64_t n = atomic_fetch_add(&e->part->last, 1) + 1;
    place_t *p = place_of(e, n);
    int64_t now = imx_clock_wall();

    atomic_store(&p->n, 0);
    FAULT("event");
    atomic_store(&p->time, now);
    atomic_store(&p->kind_and_pid, pair((uint32_t)kind, (uint32_t)pid));
    atomic_store(&p->number_and_generation,
                 pair((uint32_t)number, (uint32_t)generation));
    FAULT("event");
    atomic_store(&p->n, n);
}

uint64_t imx_events_last(const imx_events_t *e)
{
    return atomic_load(&e->part->last);
}

/* Any process can write there, so the kind is looked at. */
int imx_events_get(const imx_events_t *e, uint64_t n, imx_event_t *event)
{
    const place_t *p = place_of(e, n);
    uint64_t kind, number;

    if (n == 0 || atomic_load(&p->n) != n) {
        return 0;
    }
    event->time = atomic_load(&p->time);
    kind = atomic_load(&p->kind_and_pid);
    number = atomic_load(&p->number_and_generation);
    if (atomic_load(&p->n) != n || kind >> 32 == 0
        || kind >> 32 >= IMX_EVENTS) {
        return 0;
    }
    event->kind = (imx_event_e)(kind >> 32);
    event->pid = (pid_t)(uint32_t)kind;
    event->number = (int32_t)(number >> 32);
    event->generation = (int32_t)(uint32_t)number;
    return 1;
}

uint64_t imx_events_next(const imx_events_t *e, imx_event_t *event,
                         int patient)
{
    uint64_t last = imx_events_last(e), n = atomic_load(&e->part->done);

    /* Nonsense, or more happened than the ring has room for. */
    if (n > last || last - n > IMX_EVENTS_KEPT) {
        n = last > IMX_EVENTS_KEPT ? last - IMX_EVENTS_KEPT : 0;
    }
    while (n < last) {
        n++;
        if (imx_events_get(e, n, event)) {
            return n;
        }
        if (patient) {
            return 0;
        }
    }
    return 0;
}

void imx_events_done(const imx_events_t *e, uint64_t n)
{
    atomic_store(&e->part->done, n);
}
