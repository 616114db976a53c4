/*
 * buffer.c: what a holder costs that has nothing to do, by the size of the
 * buffer, and by what is in it.  A monitor runs through its duties for a
 * second, in a process of its own; nothing is appended.  The memory is only
 * touched where it is used.  All sizes in turn, round by round, on one core.
 *
 *     buffer                        (BENCH_ROUNDS: 20)
 */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "shared/arena.h"
#include "shared/segment.h"
#include "deliver/monitor.h"

#define CHILDREN 2
#define SECONDS 1 /* of a round */
#define ROUNDS_MAX 100
#define MILLISECOND INT64_C(1000000)
#define MB (UINT64_C(1) << 20)

static int64_t now_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000 * MILLISECOND + ts.tv_nsec;
}

/* Every segment was taken once, as in a long outage. */
static void fill_and_empty(const imx_arena_t *a, imx_batch_child_t *child)
{
    static const uint64_t none[IMX_BATCH_FATES];
    imx_batch_claim_t claims[64];
    static char line[IMX_BATCH_LINE_MAX];
    size_t n;

    memset(line, 'x', sizeof(line));
    while (imx_batch_append(child, line, sizeof(line))) {
    }
    imx_batch_seal_all(&a->batch);
    while ((n = imx_batch_claim(&a->batch, claims, 64, UINT64_MAX, UINT64_MAX))
           > 0) {
        while (n > 0)
            imx_batch_settle(&a->batch, &claims[--n], none);
    }
}

/* As after a long outage: every segment is sealed.  It has one line, so that
 * little memory is needed. */
static void fill(const imx_arena_t *a, imx_batch_child_t *child)
{
    uint64_t mask = (1u << INDEX_BITS) - 1;

    while (imx_batch_append(child, "full x=1i 1\n", 12)) {
        _Atomic uint64_t *word =
            &a->batch.segments[atomic_load(&child->current) & mask].word;

        atomic_store(word, with_state(atomic_load(word), SEALED));
    }
}

static void say_nothing(void *context, imx_log_level_e level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
}

static imx_monitor_t *make_monitor(const imx_arena_t *a,
                                   imx_batch_child_t *child)
{
    imx_monitor_options_t o = {
        .arena = a,
        .child = child,
        .interval_ms = 1000,
        .shutdown_ms = 1000,
        .max_bytes = 4 * MB,
        .max_lines = 10000,
        .log = say_nothing
    };
    imx_monitor_t *m;

    o.influx.api = IMX_INFLUX_V1;
    o.influx.url = "http://127.0.0.1:9";
    o.influx.database = "httpd";
    o.influx.connect_timeout_ms = o.influx.total_timeout_ms = 1000;
    m = imx_monitor_create(&o);
    if (m == NULL)
        die("monitor");
    return m;
}

/* As the thread of the monitor does; its counts are read once a second, as
 * httpd's holder does.  Returns ns of processor time, without that of the looks
 * that are measured beside it. */
static int64_t run(const imx_arena_t *a, imx_monitor_t *m, int64_t seconds,
                   int64_t *look_ns)
{
    int64_t end = now_ns(CLOCK_MONOTONIC) + seconds * 1000 * MILLISECOND;
    int64_t begun = now_ns(CLOCK_THREAD_CPUTIME_ID), before;
    int64_t next = now_ns(CLOCK_MONOTONIC);
    int64_t looks = 0, spent;

    for (*look_ns = 0; now_ns(CLOCK_MONOTONIC) < end;) {
        int ms = imx_monitor_step(m);

        if (now_ns(CLOCK_MONOTONIC) >= next) {
            next += 1000 * MILLISECOND;
            imx_batch_totals(&a->batch);
        }
        before = now_ns(CLOCK_THREAD_CPUTIME_ID);
        imx_batch_level(&a->batch);
        *look_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - before;
        looks++;
        imx_monitor_wait(m, ms);
    }
    spent = now_ns(CLOCK_THREAD_CPUTIME_ID) - begun - *look_ns;
    *look_ns /= looks > 0 ? looks : 1;
    return spent;
}

/* What is measured, and what it came to, round by round. */
typedef struct {
    uint64_t mb;
    enum { EMPTY, WAS_FULL, IS_FULL } state;
    const char *more;
    unsigned segments;
    double idle[ROUNDS_MAX]; /* ms of processor time a second */
    double look[ROUNDS_MAX]; /* us */
} case_t;

static void measure(case_t *c, int round)
{
    static imx_arena_t arena;
    static imx_batch_child_t child;
    imx_arena_spec_t spec = { 0 };
    imx_children_self_t self;
    int64_t ns, look_ns;
    imx_monitor_t *m;
    int raised;

    imx_batch_plan(c->mb * MB, CHILDREN, 0, &spec.batch, &raised);
    if (imx_arena_map(&arena, &spec, 0) != 0)
        die("the buffer");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (imx_children_join(&arena.children, &self, getpid()) != 0)
        die("join");
    imx_batch_open(&child, &arena.batch, &self);
    if (c->state == WAS_FULL)
        fill_and_empty(&arena, &child);
    else if (c->state == IS_FULL)
        fill(&arena, &child);
    m = make_monitor(&arena, &child);
    imx_monitor_step(m); /* it has the lease, and has seen all once */
    ns = run(&arena, m, SECONDS, &look_ns);
    c->segments = spec.batch.segments;
    c->idle[round] = (double)ns / MILLISECOND / SECONDS;
    c->look[round] = (double)look_ns / 1000;
    _exit(0);
}

/* In a process of its own, with memory of its own. */
static int measure_apart(case_t *c, int round)
{
    int status = 1;
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        pin_to(0);
        measure(c, round);
    }
    waitpid(pid, &status, 0);
    return status != 0;
}

static void print_spread(double *values, int n)
{
    printf("| %.2f (%.2f .. %.2f) ", quartile(values, n, 2),
           quartile(values, n, 1), quartile(values, n, 3));
}

int main(void)
{
    static const case_t cases[] = {
        { .mb = 64, .more = "" },
        { .mb = 64, .more = ", once more: the control" },
        { .mb = 1024, .more = "" },
        { .mb = 16384, .more = "" },
        { .mb = 1024, .state = WAS_FULL, .more = ", was full once" },
        { .mb = 1024, .state = IS_FULL, .more = ", full, in an outage" },
        { .mb = 4096, .state = IS_FULL, .more = ", full, in an outage" },
    };
    const int n = sizeof(cases) / sizeof(*cases);
    int rounds = rounds_wanted(ROUNDS_MAX), bad = 0, round, i;
    case_t *c = share(sizeof(cases));

    memcpy(c, cases, sizeof(cases));
    for (round = 0; round < rounds; round++) {
        for (i = 0; i < n; i++)
            bad |= measure_apart(&c[round % 2 ? n - 1 - i : i], round);
    }
    printf(
        "| buffer | segments | holder that has nothing to do, ms of CPU a "
        "second | a look at the batch, us |\n|---|---|---|---|\n");
    for (i = 0; i < n; i++) {
        printf("| %llu MB%s | %u ", (unsigned long long)c[i].mb, c[i].more,
               c[i].segments);
        print_spread(c[i].idle, rounds);
        print_spread(c[i].look, rounds);
        printf("|\n");
    }
    printf(
        "\nMedians (quartiles) of %d interleaved rounds of a second, on one "
        "core. Of these, the\ncounts once a second are summed over all "
        "segments that were ever taken. A look counts\nthe segments of each "
        "group of 64 that has one in use. Where the buffer is full in an\n"
        "outage, the holder looks once a second, and at what is taken in 100 "
        "short steps.\n",
        rounds);
    return bad;
}
