/*
 * bench/append.c owns how many lines a second threads and processes append to
 * one batch: what each request does to shared memory, and nothing else of it.
 * A round ends before the batch is full, and nobody delivers meanwhile.
 * Nothing survives it.
 *
 * bench-append: a table for docs/performance.md.  "apart" is the same with a
 * batch and counters for each process: what is lost against it is what sharing
 * costs.
 * Each thread has a core, the cores in turn: two threads are always on two
 * cores, which the kernel would not always do.  BENCH_ROUNDS: 20.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "shared/batch.h"
#include "shared/stats.h"

#define SIZE (64 << 20)
#define APART_SIZE (16 << 20) /* of each, if there are 8 or more */
#define PROCESSES_MAX 64
#define LINES 200000 /* of all in a round */
#define ROUNDS_MAX 100
#define SECOND INT64_C(1000000000)

typedef struct {
    int processes, threads; /* threads of each process */
} shape_t;

static const shape_t shapes[] = { { 1, 1 },  { 1, 2 },   { 1, 8 }, { 1, 64 },
                                  { 2, 1 },  { 4, 1 },   { 8, 1 }, { 16, 1 },
                                  { 64, 1 }, { 16, 25 }, { 1, 1 } };
#define SHAPES ((int)(sizeof shapes / sizeof *shapes))

/* Shared by all processes. */
typedef struct {
    _Atomic int ready;
    _Atomic uint64_t refused;
    _Atomic int64_t end; /* of the last one */
} signals_t;

typedef struct {
    imx_batch_t batch;
    imx_children_t children;
    imx_stats_t stats;
} area_t;

typedef struct {
    imx_batch_child_t *child;
    imx_stats_cell_t *cell;
    int lines;
    int number; /* among the threads of all processes */
} worker_t;

static signals_t *signals;
static int gate[2]; /* a pipe; all begin when it is closed */
static area_t areas[PROCESSES_MAX];

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void make_area(area_t *a, size_t size)
{
    imx_batch_geometry_t g;
    int raised;

    imx_batch_plan(size, PROCESSES_MAX, 0, &g, &raised);
    imx_children_format(&a->children, share(imx_children_size(g.children)),
                        g.children);
    imx_batch_format(&a->batch, share(imx_batch_size(&g)),
                     share(imx_batch_data_size(&g)), &g, &a->children);
    imx_stats_format(&a->stats, share(imx_stats_size(1)), 1);
}

/* ---- who appends ---- */

/* What a usual request does: it is counted, gets a time that is unique, and its
 * line is written where it lies. */
static const char line[] =
    "raw-requests,hostname=web1,method=GET,process=web1:3,"
    "server=www.example.org,status=200 request_time=0.000312,"
    "application_time=0.000251,bytes_sent=12i 1763961600123456789\n";
#define LINE_LEN ((int)sizeof line - 1)

static void *append(void *data)
{
    const worker_t *w = data;
    const imx_stats_request_t request = { 312000, 251000, 12, 200 };
    uint64_t refused = 0;
    int64_t end, last;
    int i;

    pin_to(w->number);
    signals->ready++;
    if (read(gate[0], &i, 1) != 0)
        die("read");
    for (i = 0; i < w->lines; i++) {
        imx_batch_place_t place;

        imx_stats_count(w->cell, &request);
        imx_batch_unique_time(w->child->batch, i);
        place = imx_batch_reserve_line(w->child, LINE_LEN);
        if (place.bytes != NULL) {
            memcpy(place.bytes, line, LINE_LEN);
            imx_batch_publish(&place);
        }
        refused += place.bytes == NULL;
    }
    end = now();
    last = signals->end;
    while (last < end
           && !atomic_compare_exchange_weak(&signals->end, &last, end)) {
    }
    signals->refused += refused;
    return NULL;
}

/* The pages are this process's before the round. */
static void touch(const area_t *a)
{
    size_t size = imx_batch_data_size(&a->batch.geometry), i;
    volatile const char *data = a->batch.data;

    for (i = 0; i < size; i += 4096) {
        (void)data[i];
    }
}

static void run_process(area_t *a, unsigned stripe, int threads, int lines)
{
    pthread_t ids[64];
    imx_batch_child_t child;
    imx_children_self_t self;
    imx_stats_cell_t *cell = imx_stats_cell(&a->stats, stripe, 0);
    worker_t w[64];
    int i;

    close(gate[1]);
    if (imx_children_join(&a->children, &self, getpid()) != 0)
        die("no row for a process");
    imx_batch_open(&child, &a->batch, &self);
    touch(a);
    for (i = 0; i < threads; i++) {
        w[i] = (worker_t){ &child, cell, lines, (int)stripe * threads + i };
        if (pthread_create(&ids[i], NULL, append, &w[i]) != 0)
            die("pthread_create");
    }
    for (i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    imx_children_leave(&a->children, &self);
    _exit(0);
}

/* ---- one round ---- */

/* As if all of it had been delivered. */
static void empty(const area_t *a)
{
    static imx_batch_claim_t claims[256];
    static const uint64_t sent[IMX_BATCH_FATES] = { 0 };
    size_t n, i;

    imx_batch_reap(&a->batch, 1);
    imx_batch_seal_all(&a->batch);
    while (
        (n = imx_batch_claim(&a->batch, claims, 256, UINT64_MAX, UINT64_MAX))
        > 0) {
        for (i = 0; i < n; i++) {
            imx_batch_settle(&a->batch, &claims[i], sent);
        }
    }
}

/* Lines a second. */
static double measure(const shape_t *s, int apart)
{
    const struct timespec pause = { 0, 1000000 };
    int workers = s->processes * s->threads, i;
    int64_t begin;

    memset(signals, 0, sizeof *signals);
    if (pipe(gate) != 0)
        die("pipe");
    for (i = 0; i < s->processes; i++) {
        pid_t pid = fork();

        if (pid < 0)
            die("fork");
        if (pid == 0)
            run_process(&areas[apart ? i : 0], (unsigned)i, s->threads,
                        LINES / workers);
    }
    while (signals->ready < workers) {
        nanosleep(&pause, NULL);
    }
    begin = now();
    close(gate[1]);
    while (wait(NULL) > 0) {
    }
    close(gate[0]);
    for (i = 0; i < (apart ? s->processes : 1); i++) {
        empty(&areas[i]);
    }
    return LINES / workers * workers * 1e9 / (double)(signals->end - begin);
}

static double rate[SHAPES][2][ROUNDS_MAX + 1];
static int rounds;
static uint64_t refused;

/* The first round is none: pages are touched for the first time. */
static void run_rounds(void)
{
    int round, i, apart;

    for (round = rounds; round >= 0; round--) {
        for (i = 0; i < SHAPES; i++) {
            for (apart = 0; apart < 2; apart++) {
                rate[i][apart][round] = measure(&shapes[i], apart);
                refused += signals->refused;
            }
        }
    }
}

/* Median and quartiles, and the fastest. */
static void print_rates(double *of_rounds)
{
    printf(" %.2f (%.2f .. %.2f) |", quartile(of_rounds, rounds, 2) / 1e6,
           quartile(of_rounds, rounds, 1) / 1e6,
           quartile(of_rounds, rounds, 3) / 1e6);
    printf(" %.2f |", of_rounds[rounds - 1] / 1e6);
}

static void print_shape(int i)
{
    printf("| %d | %d |", shapes[i].processes, shapes[i].threads);
    print_rates(rate[i][0]);
    if (shapes[i].processes > 1)
        print_rates(rate[i][1]);
    else
        printf(" - | - |");
    printf("\n");
}

int main(void)
{
    int i;

    rounds = rounds_wanted(ROUNDS_MAX);
    signals = share(sizeof *signals);
    for (i = 0; i < PROCESSES_MAX; i++) {
        make_area(&areas[i], i == 0  ? SIZE
                             : i < 8 ? 4 * APART_SIZE
                                     : APART_SIZE);
    }
    run_rounds();
    printf(
        "What a usual request does to shared memory, over and over: it is "
        "counted, gets a\ntime that is unique, and its line of %d bytes is "
        "written where it lies in the\nbatch. Apart: each process has a "
        "batch and counters of its own. Each thread has a core, the\ncores "
        "in turn. Of %d interleaved rounds of %d lines the median\n"
        "(quartiles) and the fastest, which other work on the machine "
        "disturbed least.\n\n"
        "| processes | threads of each | million lines a second | fastest "
        "| apart | fastest |\n|---|---|---|---|---|---|\n",
        LINE_LEN, rounds, LINES);
    for (i = 0; i < SHAPES; i++) {
        print_shape(i);
    }
    printf(
        "\nThe last line is the first once more: the control. With more "
        "threads than cores the\nkernel's switching between them is in it, "
        "too. With several at work the fastest may\nbe a round in which they "
        "took turns.\n");
    if (refused > 0)
        printf("%" PRIu64 " lines found no room.\n", refused);
    return refused > 0;
}
