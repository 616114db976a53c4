/*
 * flushed.h: what runs of delivery came to (flusher.c), and the table of them.
 * One thread.
 */
#ifndef IMX_BENCH_FLUSHED_H
#define IMX_BENCH_FLUSHED_H

#include <stddef.h>
#include <stdint.h>

#define FLUSHED_ROUNDS_MAX 100

/* What is measured. */
typedef struct {
    const char *name;
    int64_t rate, seconds; /* lines a second, for so long; or */
    int64_t burst;         /* so many lines at once */
    int is_v3, gzip;
    uint64_t most_lines; /* of a body; 0: the module's default */
    int is_far;          /* 1: the sink is behind a proxy (delay.h) */
    int delay_ms;        /* ... there and back */
    int64_t bandwidth;   /* ... bytes a second; 0: no limit */
} case_t;

/* What a run of a case came to. */
typedef struct {
    uint64_t recorded, sent, arrived, dropped;
    uint64_t under_way; /* bodies without an answer at once; 0: not seen */
    double rate;        /* lines a second */
    double ns;          /* of processor time, a line */
    double copied, calls, body;
    double body_bytes; /* on the network */
    double highest;    /* MB in the buffer */
} result_t;

/* 1 if every line arrived. */
int flushed_is_good(const result_t *r);

void flushed_print_head(void);

/* All n runs of a case: medians, of some figures the quartiles; how many lines
 * were recorded and so on is said of all runs together.  Returns 1 if every
 * line of each arrived. */
int flushed_print_row(const case_t *c, const result_t *r, int n);

/* How many lines a second can be there with so many bodies at once, where each
 * waits for the way there and back, or for a whole second.  0: no limit. */
double flushed_limit(const case_t *c, const result_t *r, int n, int bodies);

/* A case beside what its network allows, and most bodies under way at once. */
void flushed_print_limits_head(void);
void flushed_print_limits(const case_t *c, const result_t *r, int n);

/* The rates of these runs against those of others, one by one: median and
 * quartiles, if the control does not reach that by itself; the control's. */
void flushed_print_ratio(const result_t *r, const result_t *control,
                         const result_t *others, int n);

/* A quarter's bound of the figure at this offset of a result: quartile(). */
double flushed_quartile(const result_t *r, int n, size_t figure, int which);

#define FLUSHED_MEDIAN(r, n, figure) \
    flushed_quartile(r, n, offsetof(result_t, figure), 2)

#endif
