/*
 * flushed.c owns the table of what runs of delivery came to: see flushed.h.
 * One thread; nothing is kept.
 */
#define _GNU_SOURCE

#include "flushed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

int flushed_is_good(const result_t *r)
{
    return r->recorded > 0 && r->sent == r->recorded
           && r->arrived == r->recorded;
}

void flushed_print_head(void)
{
    printf(
        "| recorded | sent | in the sink | dropped | what | lines/s | lines/s "
        "a core | CPU ns a line | bytes copied a line | "
        "system calls a line | "
        "lines a body | most in the buffer, MB |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
}

double flushed_quartile(const result_t *r, int n, size_t figure, int which)
{
    double values[FLUSHED_ROUNDS_MAX];
    int i;

    for (i = 0; i < n; i++)
        memcpy(&values[i], (const char *)&r[i] + figure, sizeof(*values));
    return quartile(values, n, which);
}

static void print_spread(const result_t *r, int n, size_t figure)
{
    printf("| %.0f", flushed_quartile(r, n, figure, 2));
    if (n > 1)
        printf(" (%.0f .. %.0f)", flushed_quartile(r, n, figure, 1),
               flushed_quartile(r, n, figure, 3));
    printf(" ");
}

int flushed_print_row(const case_t *c, const result_t *r, int n)
{
    result_t all = { 0 };
    int good = 1, i;

    for (i = 0; i < n; i++) {
        all.recorded += r[i].recorded;
        all.sent += r[i].sent;
        all.arrived += r[i].arrived;
        all.dropped += r[i].dropped;
        good &= flushed_is_good(&r[i]);
    }
    printf("| %llu | %llu | %llu | %llu | %s ",
           (unsigned long long)all.recorded, (unsigned long long)all.sent,
           (unsigned long long)all.arrived, (unsigned long long)all.dropped,
           c->name);
    print_spread(r, n, offsetof(result_t, rate));
    printf("| %.0f ", 1e9 / FLUSHED_MEDIAN(r, n, ns));
    print_spread(r, n, offsetof(result_t, ns));
    printf("| %.0f | %.4f | %.1f | %.1f |\n", FLUSHED_MEDIAN(r, n, copied),
           FLUSHED_MEDIAN(r, n, calls), FLUSHED_MEDIAN(r, n, body),
           FLUSHED_MEDIAN(r, n, highest));
    fflush(stdout);
    return good;
}

/* ---- what the network allows ---- */

/* Bodies one after the other, each with its time on the network and the wait
 * for its answer; two of them halve the waits, but not the time of bytes. */
double flushed_limit(const case_t *c, const result_t *r, int n, int bodies)
{
    double lines = FLUSHED_MEDIAN(r, n, body);
    double bytes = FLUSHED_MEDIAN(r, n, body_bytes);
    double wire = c->bandwidth > 0 ? bytes / (double)c->bandwidth : 0;
    double waits = c->delay_ms / 1000.0 + (c->is_v3 ? 1 : 0);
    double limit = wire + waits > 0 ? bodies * lines / (wire + waits) : 0;

    return wire > 0 && limit > lines / wire ? lines / wire : limit;
}

void flushed_print_limits_head(void)
{
    printf(
        "| what | MB/s of the network | ms there and back | kB a body | "
        "lines/s | limit with one body at a time | limit with two | lines/s "
        "of the first limit | bodies under way at once |\n"
        "|---|---|---|---|---|---|---|---|---|\n");
}

static uint64_t under_way_at_once(const result_t *r, int n)
{
    uint64_t most = 0;
    int i;

    for (i = 0; i < n; i++)
        most = r[i].under_way > most ? r[i].under_way : most;
    return most;
}

void flushed_print_limits(const case_t *c, const result_t *r, int n)
{
    double rate = FLUSHED_MEDIAN(r, n, rate);
    double one = flushed_limit(c, r, n, 1);

    printf("| %s ", c->name);
    if (c->bandwidth > 0)
        printf("| %.1f ", (double)c->bandwidth / 1e6);
    else
        printf("| no limit ");
    printf("| %d | %.0f ", c->delay_ms,
           FLUSHED_MEDIAN(r, n, body_bytes) / 1e3);
    print_spread(r, n, offsetof(result_t, rate));
    if (one > 0)
        printf("| %.0f | %.0f | %.0f %% ", one, flushed_limit(c, r, n, 2),
               100 * rate / one);
    else
        printf("| - | - | - ");
    printf("| %llu |\n", (unsigned long long)under_way_at_once(r, n));
    fflush(stdout);
}

/* The three quartiles of the ratios of rates, pair by pair. */
static void ratio_quartiles(const result_t *r, const result_t *others, int n,
                            double q[4])
{
    double ratios[FLUSHED_ROUNDS_MAX] = { 0 };
    int i;

    for (i = 0; i < n; i++)
        ratios[i] = r[i].rate / others[i].rate;
    for (i = 1; i <= 3; i++)
        q[i] = quartile(ratios, n, i);
}

/* As ImxRounds.pm has it: farther from 1 than the control is wide, and not on
 * both sides of 1 itself. */
static int is_distinguishable(const double q[4], const double c[4])
{
    double wide = fmax(c[3] - c[1], fmax(fabs(c[1] - 1), fabs(c[3] - 1)));

    return fabs(q[2] - 1) > wide && (q[1] - 1) * (q[3] - 1) > 0;
}

void flushed_print_ratio(const result_t *r, const result_t *control,
                         const result_t *others, int n)
{
    double q[4], c[4];

    ratio_quartiles(r, others, n, q);
    ratio_quartiles(control, others, n, c);
    if (is_distinguishable(q, c))
        printf("%.2f (%.2f .. %.2f)", q[2], q[1], q[3]);
    else
        printf("not distinguishable");
    printf(" (the control has %.2f .. %.2f)", c[1], c[3]);
}
