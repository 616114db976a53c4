/*
 * history.c owns the rings of seconds and minutes: how a period is put there,
 * and read.
 * Entered by the holder (all that writes), and by any thread that reads.
 * All of it survives any process; a period that a killed holder had not
 * finished is not seen.
 */
#include "shared/history.h"

#include <stdatomic.h>

#include "shared/atomic_copy.h"
#include "shared/fault.h"

#define NS INT64_C(1000000000)
#define PERIOD_WORDS (sizeof(imx_history_period_t) / sizeof(uint64_t))
#define ROW_WORDS (sizeof(imx_history_row_t) / sizeof(uint64_t))
#define RECENT_WORDS (sizeof(imx_history_recent_t) / sizeof(uint64_t))

_Static_assert(sizeof(imx_history_period_t) % sizeof(uint64_t) == 0
                   && sizeof(imx_history_row_t) == 32
                   && sizeof(imx_history_recent_t) % sizeof(uint64_t) == 0,
               "they are copied by words");

typedef struct {
    _Atomic uint64_t n; /* its number; 0: being written */
    _Atomic uint64_t words[PERIOD_WORDS];
} place_t;

typedef struct {
    _Atomic uint64_t n; /* of the second; 0: being written */
    _Atomic uint64_t words[RECENT_WORDS];
} recent_t;

typedef struct {
    _Atomic uint64_t words[ROW_WORDS];
} row_t;

/* Rows of hosts that there are not are never touched, and take no memory. */
struct imx_history_part {
    /* Of each ring: the period closed last, twice, plus which base is valid. */
    _Alignas(64) _Atomic uint64_t closed[IMX_HISTORY_RINGS];
    _Atomic uint32_t down;
    _Atomic uint32_t hosts;
    _Atomic uint32_t series[IMX_HISTORY_HOSTS];
    _Atomic uint64_t totals[IMX_HISTORY_HOSTS][2];
    imx_history_base_t base[IMX_HISTORY_RINGS][2];
    _Alignas(64) place_t seconds[IMX_HISTORY_SECOND_PLACES];
    place_t minutes[IMX_HISTORY_MINUTE_PLACES];
    recent_t recent[IMX_HISTORY_HOSTS][IMX_HISTORY_RECENT];
    row_t second_rows[IMX_HISTORY_HOSTS][IMX_HISTORY_SECOND_PLACES];
    row_t minute_rows[IMX_HISTORY_HOSTS][IMX_HISTORY_MINUTE_PLACES];
};

size_t imx_history_size(void)
{
    return sizeof(struct imx_history_part);
}

void imx_history_format(imx_history_t *h, void *base, int64_t wall,
                        int64_t mono)
{
    h->part = base;
    h->zero = mono - wall;
    h->first = imx_history_number(h, mono);
    atomic_store(&h->part->closed[IMX_HISTORY_SECOND], h->first * 2);
    atomic_store(&h->part->closed[IMX_HISTORY_MINUTE], h->first / 60 * 2);
    atomic_store(&h->part->hosts, 1);
}

uint32_t imx_history_places(imx_history_ring_e ring)
{
    return ring == IMX_HISTORY_SECOND ? IMX_HISTORY_SECOND_PLACES
                                      : IMX_HISTORY_MINUTE_PLACES;
}

uint64_t imx_history_number(const imx_history_t *h, int64_t mono)
{
    return (uint64_t)((mono - h->zero) / NS);
}

/* ---- where things are ---- */

static place_t *place_of(const imx_history_t *h, imx_history_ring_e ring,
                         uint64_t n)
{
    return ring == IMX_HISTORY_SECOND
               ? &h->part->seconds[n % IMX_HISTORY_SECOND_PLACES]
               : &h->part->minutes[n % IMX_HISTORY_MINUTE_PLACES];
}

static row_t *row_of(const imx_history_t *h, imx_history_ring_e ring,
                     uint64_t n, uint32_t host)
{
    host %= IMX_HISTORY_HOSTS;
    return ring == IMX_HISTORY_SECOND
               ? &h->part->second_rows[host][n % IMX_HISTORY_SECOND_PLACES]
               : &h->part->minute_rows[host][n % IMX_HISTORY_MINUTE_PLACES];
}

static recent_t *recent_of(const imx_history_t *h, uint64_t n, uint32_t host)
{
    return &h->part->recent[host % IMX_HISTORY_HOSTS][n % IMX_HISTORY_RECENT];
}

static uint64_t get(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_acquire);
}

/* ---- reading ---- */

uint64_t imx_history_last(const imx_history_t *h, imx_history_ring_e ring)
{
    return get(&h->part->closed[ring]) / 2;
}

int imx_history_period(const imx_history_t *h, imx_history_ring_e ring,
                       uint64_t n, imx_history_period_t *period)
{
    const place_t *p = place_of(h, ring, n);

    if (n == 0 || get(&p->n) != n) {
        return 0;
    }
    imx_atomic_copy_get(period, p->words, PERIOD_WORDS);
    return get(&p->n) == n;
}

int imx_history_row(const imx_history_t *h, imx_history_ring_e ring,
                    uint64_t n, uint32_t host, imx_history_row_t *row)
{
    const place_t *p = place_of(h, ring, n);

    if (n == 0 || get(&p->n) != n) {
        return 0;
    }
    imx_atomic_copy_get(row, row_of(h, ring, n, host)->words, ROW_WORDS);
    return get(&p->n) == n;
}

int imx_history_recent(const imx_history_t *h, uint64_t n, uint32_t host,
                       imx_history_recent_t *recent)
{
    const recent_t *p = recent_of(h, n, host);
    const place_t *period = place_of(h, IMX_HISTORY_SECOND, n);

    if (n == 0 || get(&p->n) != n || get(&period->n) != n) {
        return 0;
    }
    imx_atomic_copy_get(recent, p->words, RECENT_WORDS);
    return get(&p->n) == n && get(&period->n) == n;
}

uint32_t imx_history_hosts(const imx_history_t *h)
{
    uint32_t hosts = atomic_load(&h->part->hosts);

    return hosts < IMX_HISTORY_HOSTS ? hosts : IMX_HISTORY_HOSTS;
}

uint32_t imx_history_series(const imx_history_t *h, uint32_t host)
{
    return atomic_load(&h->part->series[host % IMX_HISTORY_HOSTS]);
}

void imx_history_totals(const imx_history_t *h, uint32_t host,
                        uint64_t *requests, uint64_t *errors)
{
    const _Atomic uint64_t *totals = h->part->totals[host % IMX_HISTORY_HOSTS];

    *requests = get(&totals[0]);
    *errors = get(&totals[1]);
}

/* ---- writing ---- */

imx_history_base_t *imx_history_base(const imx_history_t *h,
                                     imx_history_ring_e ring)
{
    return &h->part->base[ring][get(&h->part->closed[ring]) & 1];
}

imx_history_base_t *imx_history_next_base(const imx_history_t *h,
                                          imx_history_ring_e ring)
{
    return &h->part->base[ring][~get(&h->part->closed[ring]) & 1];
}

/* A holder that was killed may have left a period behind the one closed last:
 * it is taken away, as its counts are in this one now. */
void imx_history_begin(const imx_history_t *h, imx_history_ring_e ring,
                       uint64_t n)
{
    uint64_t last = imx_history_last(h, ring), i;
    uint64_t behind = n > last ? n - last : 1;

    if (behind > imx_history_places(ring)) {
        behind = imx_history_places(ring);
    }
    for (i = 0; i < behind; i++) {
        atomic_store(&place_of(h, ring, n - i)->n, 0);
        FAULT("begun");
    }
}

void imx_history_put(const imx_history_t *h, imx_history_ring_e ring,
                     uint64_t n, const imx_history_period_t *period)
{
    imx_atomic_copy_put(place_of(h, ring, n)->words, period, PERIOD_WORDS);
    FAULT("put");
}

void imx_history_put_row(const imx_history_t *h, imx_history_ring_e ring,
                         uint64_t n, uint32_t host,
                         const imx_history_row_t *row)
{
    imx_atomic_copy_put(row_of(h, ring, n, host)->words, row, ROW_WORDS);
    FAULT("row");
}

void imx_history_put_recent(const imx_history_t *h, uint64_t n, uint32_t host,
                            const imx_history_recent_t *recent)
{
    recent_t *p = recent_of(h, n, host);

    atomic_store(&p->n, 0);
    imx_atomic_copy_put(p->words, recent, RECENT_WORDS);
    atomic_store_explicit(&p->n, n, memory_order_release);
}

void imx_history_close(const imx_history_t *h, imx_history_ring_e ring,
                       uint64_t n)
{
    uint64_t closed = atomic_load(&h->part->closed[ring]);

    atomic_store(&place_of(h, ring, n)->n, n);
    FAULT("numbered");
    atomic_store(&h->part->closed[ring], n * 2 + (~closed & 1));
    FAULT("closed");
}

void imx_history_put_host(const imx_history_t *h, uint32_t host,
                          uint32_t series)
{
    uint32_t hosts = atomic_load(&h->part->hosts);

    atomic_store(&h->part->series[host % IMX_HISTORY_HOSTS], series);
    if (hosts <= host || hosts > IMX_HISTORY_HOSTS) {
        atomic_store(&h->part->hosts, host + 1);
    }
}

void imx_history_put_totals(const imx_history_t *h, uint32_t host,
                            uint64_t requests, uint64_t errors)
{
    _Atomic uint64_t *totals = h->part->totals[host % IMX_HISTORY_HOSTS];

    atomic_store(&totals[0], requests);
    atomic_store(&totals[1], errors);
}

int imx_history_was_down(const imx_history_t *h)
{
    return atomic_load(&h->part->down) != 0;
}

void imx_history_is_down(const imx_history_t *h, int is_down)
{
    atomic_store(&h->part->down, is_down != 0);
}
