/*
 * flushed.c owns the table of what runs of delivery came to: see flushed.h.
 * One thread; nothing is kept.
 */
#define _GNU_SOURCE

#include "flushed.h"

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
        "| recorded | sent | in the sink | dropped | what | lines/s | answers "
        "allow | lines/s a core | CPU ns a line | bytes copied a line | system "
        "calls a line | lines a body | most in the buffer, MB |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
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

/* What the answers allow: a body for each of them, two where they come once a
 * second. */
static void print_bound(const case_t *c, double lines_of_body)
{
    if (c->is_v3)
        printf("| %.0f ", 2 * lines_of_body);
    else if (c->delay_ms > 0)
        printf("| %.0f ", lines_of_body * 1000 / c->delay_ms);
    else
        printf("| - ");
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
    print_bound(c, FLUSHED_MEDIAN(r, n, body));
    printf("| %.0f ", 1e9 / FLUSHED_MEDIAN(r, n, ns));
    print_spread(r, n, offsetof(result_t, ns));
    printf("| %.0f | %.4f | %.1f | %.1f |\n", FLUSHED_MEDIAN(r, n, copied),
           FLUSHED_MEDIAN(r, n, calls), FLUSHED_MEDIAN(r, n, body),
           FLUSHED_MEDIAN(r, n, highest));
    fflush(stdout);
    return good;
}
