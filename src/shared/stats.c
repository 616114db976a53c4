/*
 * stats.c owns the counters and histograms of all requests.
 * Entered by request threads (count), by the holder (add_up, take_max, widen),
 * and by readers of figures (add_up, totals).
 * All counters survive any process; nobody sets one back.
 */
#include "shared/stats.h"

#include <math.h>
#include <string.h>

/* A usual request writes twice to the first 64 bytes, twice to the next ones,
 * and to one counter of the histogram: no line more than twice. */
struct imx_stats_cell {
    _Alignas(64) _Atomic uint64_t request_ns;
    _Atomic uint64_t application_ns;
    _Atomic uint64_t max_ns;
    _Atomic uint64_t server_ns, input_ns, output_ns, bytes_received;
    _Atomic uint64_t aborted;
    _Alignas(64) _Atomic uint64_t bytes_sent;
    _Atomic uint64_t classes[IMX_STATS_CLASSES];
    _Alignas(
        64) _Atomic uint32_t buckets[IMX_STATS_HISTOGRAMS][IMX_STATS_BUCKETS];
    _Atomic uint64_t objective_total, objective_good;
};

struct imx_stats_wide {
    _Atomic uint64_t buckets[IMX_STATS_HISTOGRAMS][IMX_STATS_BUCKETS];
};

_Static_assert(
    offsetof(imx_stats_cell_t, bytes_sent) == 64
        && offsetof(imx_stats_cell_t, buckets) == 128,
    "times, size and status, and histograms have lines of their own");

/* ---- buckets ---- */

/*
 * The eight bounds 10^9 * 2^(k/8) ns that lie between two powers of two, as
 * 64-bit mantissas, rounded down (an integer exceeds the bound if and only if
 * it exceeds this); the ninth is never exceeded.  They are the same in each
 * octave, as a step of eight bounds doubles them.
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

/* How many of them lie below a mantissa with these seven bits first, of which
 * the first is set: at most one more lies in between, as they are 9 % apart. */
static const uint8_t bounds_below[128] = {
    [64] = 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4,
    4,        4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6,
    6,        6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 8
};

/* The bound 2^((i - 128)/8) s of bucket i lies in the octave from 2^e ns on
 * with i = 8 e + FIRST + how many bounds of that octave lie below. */
#define FIRST (-111)

static inline uint32_t bucket_of(uint64_t ns)
{
    uint32_t e = 63 ^ (uint32_t)__builtin_clzll(ns | 1);
    uint64_t mantissa = ns << (63 ^ e);
    uint32_t below = bounds_below[mantissa >> 57];

    return IMX_STATS_OCTAVE * e + (uint32_t)FIRST + below
           + (mantissa > bounds[below]);
}

__attribute__((noinline, cold)) static uint32_t limited(uint32_t bucket)
{
    return (int32_t)bucket < 0 ? 0 : IMX_STATS_BUCKETS - 1;
}

uint32_t imx_stats_bucket(uint64_t ns)
{
    uint32_t bucket = bucket_of(ns);

    return bucket < IMX_STATS_BUCKETS ? bucket : limited(bucket);
}

/* Powers of two, and 2^(1/8) to 2^(7/8), without the library of mathematics,
 * which httpd may not have. */
double imx_stats_bound(uint32_t bucket)
{
    static const double steps[IMX_STATS_OCTAVE] = {
        1,
        1.0905077326652577,
        1.1892071150027210,
        1.2968395546510096,
        1.4142135623730951,
        1.5422108254079408,
        1.6817928305074290,
        1.8340080864093424
    };
    const uint32_t least = IMX_STATS_BUCKET_1S / IMX_STATS_OCTAVE;

    return bucket >= IMX_STATS_BUCKETS - 1
               ? (double)INFINITY
               : steps[bucket % IMX_STATS_OCTAVE]
                     * (double)(1u << bucket / IMX_STATS_OCTAVE)
                     / (double)(1u << least);
}

/* ---- the part ---- */

static size_t cells_of(uint32_t series)
{
    return (size_t)IMX_STATS_STRIPES * series;
}

size_t imx_stats_size(uint32_t series)
{
    return cells_of(series) * sizeof(imx_stats_cell_t)
           + (size_t)IMX_STATS_TAKERS * series * sizeof(uint64_t)
           + (size_t)series * sizeof(imx_stats_wide_t);
}

void imx_stats_format(imx_stats_t *stats, void *base, uint32_t series)
{
    stats->cells = base;
    stats->longest = (_Atomic uint64_t *)(stats->cells + cells_of(series));
    stats->wide = (imx_stats_wide_t *)(stats->longest
                                       + IMX_STATS_TAKERS * (size_t)series);
    stats->series = series;
    stats->histograms = 1;
}

imx_stats_cell_t *imx_stats_cell(const imx_stats_t *stats, uint32_t stripe,
                                 uint32_t series)
{
    return stats->cells + (size_t)(stripe % IMX_STATS_STRIPES) * stats->series
           + (series < stats->series ? series : 0);
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

__attribute__((noinline, cold)) static void raise_max(_Atomic uint64_t *max,
                                                      uint64_t ns)
{
    uint64_t seen = atomic_load_explicit(max, memory_order_relaxed);

    while (ns > seen
           && !atomic_compare_exchange_weak_explicit(max, &seen, ns,
                                                     memory_order_relaxed,
                                                     memory_order_relaxed)) {
    }
}

__attribute__((noinline)) static void add_class(imx_stats_cell_t *cell,
                                                uint32_t status)
{
    uint32_t class = status / 100 - 1;

    add(&cell->classes
             [class < IMX_STATS_CLASSES ? class : IMX_STATS_CLASSES - 1],
        1);
}

/* In a bucket that there is, whatever bucket_of() says. */
static inline void add_bucket(imx_stats_cell_t *cell, int histogram,
                              uint64_t ns)
{
    uint32_t bucket = bucket_of(ns);

    if (__builtin_expect(bucket >= IMX_STATS_BUCKETS, 0)) {
        bucket = limited(bucket);
    }
    add_small(&cell->buckets[histogram][bucket], 1);
}

void imx_stats_count(imx_stats_cell_t *cell,
                     const imx_stats_request_t *request)
{
    add(&cell->request_ns, request->request_ns);
    add(&cell->application_ns, request->application_ns);
    add(&cell->bytes_sent, request->bytes_sent);
    if (__builtin_expect(request->status == 200, 1)) {
        add(&cell->classes[1], 1);
    }
    else {
        add_class(cell, request->status);
    }
    add_bucket(cell, 0, request->request_ns);
    if (__builtin_expect(request->request_ns
                             > atomic_load_explicit(&cell->max_ns,
                                                    memory_order_relaxed),
                         0)) {
        raise_max(&cell->max_ns, request->request_ns);
    }
}

void imx_stats_count_aborted(imx_stats_cell_t *cell)
{
    add(&cell->aborted, 1);
}

void imx_stats_count_application(imx_stats_cell_t *cell, uint64_t ns)
{
    add_bucket(cell, 1, ns);
}

void imx_stats_count_objective(imx_stats_cell_t *cell, int is_good)
{
    add(&cell->objective_total, 1);
    if (is_good) {
        add(&cell->objective_good, 1);
    }
}

void imx_stats_count_more(imx_stats_cell_t *cell, const imx_stats_more_t *more)
{
    add(&cell->server_ns, more->server_ns);
    add(&cell->input_ns, more->input_ns);
    add(&cell->output_ns, more->output_ns);
    add(&cell->bytes_received, more->bytes_received);
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
    sum->aborted += get(&cell->aborted);
    sum->objective_total += get(&cell->objective_total);
    sum->objective_good += get(&cell->objective_good);
    for (i = 0; i < IMX_STATS_CLASSES; i++) {
        sum->classes[i] += get(&cell->classes[i]);
    }
    for (h = 0; h < histograms; h++) {
        for (i = 0; i < IMX_STATS_BUCKETS; i++) {
            sum->buckets[h][i] += get_small(&cell->buckets[h][i]);
        }
    }
}

void imx_stats_add(const imx_stats_t *stats, uint32_t series,
                   imx_stats_sum_t *sum)
{
    uint32_t stripe;

    for (stripe = 0; stripe < IMX_STATS_STRIPES; stripe++) {
        add_cell(sum, imx_stats_cell(stats, stripe, series),
                 stats->histograms);
    }
}

void imx_stats_add_up(const imx_stats_t *stats, uint32_t series,
                      imx_stats_sum_t *sum)
{
    memset(sum, 0, sizeof *sum);
    imx_stats_add(stats, series, sum);
}

void imx_stats_subtract(imx_stats_sum_t *a, const imx_stats_sum_t *b)
{
    uint32_t i;

    a->request_ns -= b->request_ns;
    a->application_ns -= b->application_ns;
    a->bytes_sent -= b->bytes_sent;
    a->server_ns -= b->server_ns;
    a->input_ns -= b->input_ns;
    a->output_ns -= b->output_ns;
    a->bytes_received -= b->bytes_received;
    a->aborted -= b->aborted;
    a->objective_total -= b->objective_total;
    a->objective_good -= b->objective_good;
    for (i = 0; i < IMX_STATS_CLASSES; i++) {
        a->classes[i] -= b->classes[i];
    }
    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        a->buckets[0][i] -= b->buckets[0][i];
        a->buckets[1][i] -= b->buckets[1][i];
    }
}

/* a + b = a - (0 - b), modulo 2^n. */
void imx_stats_accumulate(imx_stats_sum_t *a, const imx_stats_sum_t *b)
{
    imx_stats_sum_t minus;

    memset(&minus, 0, sizeof minus);
    imx_stats_subtract(&minus, b);
    imx_stats_subtract(a, &minus);
}

uint64_t imx_stats_requests_of(const imx_stats_sum_t *sum)
{
    uint64_t n = 0;
    uint32_t i;

    for (i = 0; i < IMX_STATS_CLASSES; i++) {
        n += sum->classes[i];
    }
    return n;
}

static uint64_t requests_in_cell(const imx_stats_cell_t *cell)
{
    uint64_t n = 0;
    uint32_t i;

    for (i = 0; i < IMX_STATS_CLASSES; i++) {
        n += get(&cell->classes[i]);
    }
    return n;
}

uint64_t imx_stats_requests_in(const imx_stats_t *stats, uint32_t series)
{
    uint64_t n = 0;
    uint32_t stripe;

    for (stripe = 0; stripe < IMX_STATS_STRIPES; stripe++) {
        n += requests_in_cell(imx_stats_cell(stats, stripe, series));
    }
    return n;
}

uint64_t imx_stats_requests(const imx_stats_t *stats, uint32_t series)
{
    const uint32_t used = series < stats->series ? series : stats->series;
    uint64_t n = 0;
    uint32_t stripe, i;

    for (stripe = 0; stripe < IMX_STATS_STRIPES; stripe++) {
        for (i = 0; i < used; i++) {
            n += requests_in_cell(imx_stats_cell(stats, stripe, i));
        }
    }
    return n;
}

/* ---- totals of buckets ---- */

/* Half of what a counter can hold: until then none has wrapped around, and
 * wide[] is 0 and is not touched, as memory that is read takes room, too. */
#define MAY_WRAP (UINT64_C(1) << 31)

static uint32_t counters_of(const imx_stats_t *stats, uint32_t series,
                            uint32_t histogram, uint32_t bucket)
{
    uint32_t sum = 0, stripe;

    for (stripe = 0; stripe < IMX_STATS_STRIPES; stripe++) {
        sum += get_small(
            &imx_stats_cell(stats, stripe, series)->buckets[histogram][bucket]);
    }
    return sum;
}

void imx_stats_totals(const imx_stats_t *stats, uint32_t series,
                      imx_stats_totals_t *totals)
{
    int is_wide = imx_stats_requests_in(stats, series) >= MAY_WRAP;
    uint32_t h, i;

    memset(totals, 0, sizeof *totals);
    for (h = 0; h < stats->histograms; h++) {
        for (i = 0; i < IMX_STATS_BUCKETS; i++) {
            uint64_t wide =
                is_wide
                    ? atomic_load_explicit(&stats->wide[series].buckets[h][i],
                                           memory_order_acquire)
                    : 0;
            uint32_t sum = counters_of(stats, series, h, i);

            totals->buckets[h][i] = wide + (uint32_t)(sum - (uint32_t)wide);
        }
    }
}

void imx_stats_widen(const imx_stats_t *stats, uint32_t series)
{
    imx_stats_totals_t totals;
    uint32_t h, i;

    if (imx_stats_requests_in(stats, series) < MAY_WRAP) {
        return;
    }
    imx_stats_totals(stats, series, &totals);
    for (h = 0; h < stats->histograms; h++) {
        for (i = 0; i < IMX_STATS_BUCKETS; i++) {
            atomic_store_explicit(&stats->wide[series].buckets[h][i],
                                  totals.buckets[h][i], memory_order_release);
        }
    }
}

/* ---- the maximum ---- */

/* Cells of which most are 0 are not written to. */
static uint64_t take(_Atomic uint64_t *max)
{
    return get(max) != 0
               ? atomic_exchange_explicit(max, 0, memory_order_relaxed)
               : 0;
}

/* Between two lines a holder can be killed: then this maximum is lost. */
uint64_t imx_stats_take_max(const imx_stats_t *stats, uint32_t series,
                            imx_stats_taker_e taker)
{
    uint64_t max = 0, kept;
    uint32_t i;

    for (i = 0; i < IMX_STATS_STRIPES; i++) {
        uint64_t one = take(&imx_stats_cell(stats, i, series)->max_ns);

        max = one > max ? one : max;
    }
    for (i = 0; i < IMX_STATS_TAKERS && max > 0; i++) {
        raise_max(&stats->longest[i * stats->series + series], max);
    }
    kept = take(&stats->longest[(uint32_t)taker * stats->series + series]);
    return kept > max ? kept : max;
}
