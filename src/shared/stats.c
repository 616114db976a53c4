/*
 * stats.c owns the counters and histograms of all requests.
 * Entered by request threads (count), by the holder (add_up, take_max), and by
 * readers of figures (add_up).
 * All counters survive any process; nobody sets one back.
 */
#include "shared/stats.h"

#include <math.h>
#include <string.h>

/* A usual request writes to the first 64 bytes and to one counter of the
 * histogram. */
struct imx_stats_cell {
    _Alignas(64) _Atomic uint64_t request_ns;
    _Atomic uint64_t application_ns;
    _Atomic uint64_t bytes_sent;
    _Atomic uint32_t classes[IMX_STATS_CLASSES];
    _Atomic uint32_t max_us;
    _Atomic uint32_t aborted;
    _Alignas(64) _Atomic uint64_t server_ns;
    _Atomic uint64_t input_ns, output_ns, bytes_received;
    _Atomic uint32_t objective_total, objective_good;
    _Atomic uint32_t buckets[2][IMX_STATS_BUCKETS];
};

_Static_assert(offsetof(imx_stats_cell_t, server_ns) == 64,
               "a usual request writes to one line of these");

/* ---- buckets ---- */

/*
 * The eight bounds 10^9 * 2^(k/8) ns that lie between two powers of two, as
 * 64-bit mantissas, rounded down (an integer exceeds the bound if and only if it
 * exceeds this); the ninth is never exceeded.  They are the same in each octave,
 * as a step of eight bounds doubles them.
 */
static const uint64_t bounds[IMX_STATS_OCTAVE + 1] = {
    UINT64_C(0x81ffa7a9549ca6e3),
    UINT64_C(0x8dc3b8960164a7d9),
    UINT64_C(0x9a9867054d512391),
    UINT64_C(0xa8965f74bf065071),
    UINT64_C(0xb7d88a12d0dd9ea0),
    UINT64_C(0xc87c3e7d03cdbec3),
    UINT64_C(0xdaa17c2cd19555db),
    UINT64_C(0xee6b280000000000),
    UINT64_MAX
};

/* How many of them lie below a mantissa with these six bits behind the first
 * one: at most one more lies in between, as they are 9 % apart. */
static const uint8_t bounds_below[64] = {
    0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4,
    4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6,
    6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 8
};

/* The bound 2^((i - 128)/8) s of bucket i lies in the octave from 2^e ns on
 * with i = 8 e + FIRST + how many bounds of that octave lie below. */
#define FIRST (-111)

static inline uint32_t bucket_of(uint64_t ns)
{
    int zeros = __builtin_clzll(ns | 1);
    uint64_t mantissa = ns << zeros;
    uint32_t below = bounds_below[mantissa >> 57 & 63];
    int bucket = IMX_STATS_OCTAVE * (63 - zeros) + FIRST + (int)below
                 + (mantissa > bounds[below]);

    if (bucket < 0) {
        return 0;
    }
    return bucket < IMX_STATS_BUCKETS ? (uint32_t)bucket
                                      : IMX_STATS_BUCKETS - 1;
}

uint32_t imx_stats_bucket(uint64_t ns)
{
    return bucket_of(ns);
}

double imx_stats_bound(uint32_t bucket)
{
    return bucket >= IMX_STATS_BUCKETS - 1
               ? INFINITY
               : exp2(((int)bucket - IMX_STATS_BUCKET_1S)
                      / (double)IMX_STATS_OCTAVE);
}

/* ---- the part ---- */

static size_t cell_len(uint32_t histograms)
{
    size_t unused = (2 - histograms) * sizeof(uint32_t[IMX_STATS_BUCKETS]);

    return (sizeof(imx_stats_cell_t) - unused + 63) & ~(size_t)63;
}

size_t imx_stats_size(uint32_t series, uint32_t histograms)
{
    return (size_t)IMX_STATS_STRIPES * series * cell_len(histograms);
}

void imx_stats_attach(imx_stats_t *stats, void *base, uint32_t series,
                      uint32_t histograms)
{
    stats->cells = base;
    stats->cell_len = cell_len(histograms);
    stats->series = series;
    stats->histograms = histograms;
}

imx_stats_cell_t *imx_stats_cell(const imx_stats_t *stats, uint32_t stripe,
                                 uint32_t series)
{
    size_t i = (size_t)(stripe % IMX_STATS_STRIPES) * stats->series
               + (series < stats->series ? series : 0);

    return (imx_stats_cell_t *)(void *)(stats->cells + i * stats->cell_len);
}

/* ---- counting ---- */

static inline void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void add_small(_Atomic uint32_t *counter, uint32_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void raise_max(_Atomic uint32_t *max, uint64_t ns)
{
    uint64_t us = ns / 1000;
    uint32_t mine = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    uint32_t seen = atomic_load_explicit(max, memory_order_relaxed);

    while (mine > seen
           && !atomic_compare_exchange_weak_explicit(max, &seen, mine,
                                                     memory_order_relaxed,
                                                     memory_order_relaxed)) {
    }
}

void imx_stats_count(const imx_stats_t *stats, imx_stats_cell_t *cell,
                     const imx_stats_request_t *request)
{
    uint32_t class = request->status / 100;

    add(&cell->request_ns, request->request_ns);
    add(&cell->application_ns, request->application_ns);
    add(&cell->bytes_sent, request->bytes_sent);
    add_small(&cell->classes[class < IMX_STATS_CLASSES ? class : 0], 1);
    add_small(&cell->buckets[0][bucket_of(request->request_ns)], 1);
    raise_max(&cell->max_us, request->request_ns);
    if (request->aborted) {
        add_small(&cell->aborted, 1);
    }
    if (stats->histograms > 1) {
        add_small(&cell->buckets[1][bucket_of(request->application_ns)], 1);
    }
}

void imx_stats_count_more(imx_stats_cell_t *cell, const imx_stats_more_t *more)
{
    add(&cell->server_ns, more->server_ns);
    add(&cell->input_ns, more->input_ns);
    add(&cell->output_ns, more->output_ns);
    add(&cell->bytes_received, more->bytes_received);
    add_small(&cell->objective_total, more->objective_total);
    add_small(&cell->objective_good, more->objective_good);
}

/* ---- adding up ---- */

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint32_t get_small(const _Atomic uint32_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_cell(imx_stats_sum_t *sum, const imx_stats_cell_t *cell,
                     uint32_t histograms)
{
    uint32_t i, h;

    sum->request_ns += get(&cell->request_ns);
    sum->application_ns += get(&cell->application_ns);
    sum->bytes_sent += get(&cell->bytes_sent);
    sum->server_ns += get(&cell->server_ns);
    sum->input_ns += get(&cell->input_ns);
    sum->output_ns += get(&cell->output_ns);
    sum->bytes_received += get(&cell->bytes_received);
    sum->aborted += get_small(&cell->aborted);
    sum->objective_total += get_small(&cell->objective_total);
    sum->objective_good += get_small(&cell->objective_good);
    for (i = 0; i < IMX_STATS_CLASSES; i++) {
        sum->classes[i] += get_small(&cell->classes[i]);
    }
    for (h = 0; h < histograms; h++) {
        for (i = 0; i < IMX_STATS_BUCKETS; i++) {
            sum->buckets[h][i] += get_small(&cell->buckets[h][i]);
        }
    }
}

void imx_stats_add_up(const imx_stats_t *stats, uint32_t series,
                      imx_stats_sum_t *sum)
{
    uint32_t stripe;

    memset(sum, 0, sizeof *sum);
    for (stripe = 0; stripe < IMX_STATS_STRIPES; stripe++) {
        add_cell(sum, imx_stats_cell(stats, stripe, series),
                 stats->histograms);
    }
}

uint32_t imx_stats_take_max(const imx_stats_t *stats, uint32_t series)
{
    uint32_t max = 0, stripe;

    for (stripe = 0; stripe < IMX_STATS_STRIPES; stripe++) {
        imx_stats_cell_t *cell = imx_stats_cell(stats, stripe, series);
        uint32_t one = atomic_exchange_explicit(&cell->max_us, 0,
                                                memory_order_relaxed);

        max = one > max ? one : max;
    }
    return max;
}
