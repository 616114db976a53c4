/*
 * flusher.c: what delivery costs, and how much of it a core can do.
 *
 * A steady load: children with several threads append lines through batch.c at
 * a given rate, and one child's monitor brings them to the sink.  A burst: a
 * million lines lie in the buffer when the monitor begins.  Nothing may be
 * dropped, and the sink has to have every line.
 * Process per child, as in httpd; all of them end with this program.  The cases
 * run in turn, round by round, the sink on a processor of its own.
 *
 *     flusher [--rounds N]                     (the table of all cases)
 *     flusher --rate LINES --seconds S         (one steady load)
 *     flusher --burst LINES                    (one burst)
 *         --v3 [--lines MOST]  answers come once a second, as InfluxDB 3's;
 *                              MOST lines in a body
 *         --gzip
 *         --delay MS --bandwidth BYTES  the sink is far away: so long there
 *                              and back, so many bytes a second
 *     flusher --sink-only [--record FILE]      (prints its port, and serves)
 *     flusher --proxy-only PORT [--delay MS] [--bandwidth BYTES]  (the same,
 *                              the way to the server at that port)
 */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cases.h"
#include "common.h"
#include "counting.h"
#include "delay.h"
#include "flushed.h"
#include "shared/arena.h"
#include "deliver/monitor.h"
#include "sink.h"

#define CHILDREN CASES_CHILDREN
#define THREADS CASES_THREADS
#define LINE CASES_LINE
#define OF_SINK 1          /* its core; all that it is sent by: 0 */
#define BUFFER (32u << 20) /* InfluxMetricsBufferSize's default */
#define LARGE (512u << 20) /* of a burst: less than half is taken */
#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)

/* What a child's threads share. */
typedef struct {
    imx_batch_child_t child;
    int64_t rate; /* lines a second of one thread */
    int64_t seconds;
    _Atomic int64_t append_ns; /* CPU time of these threads */
} work_t;

/* What all processes share, beside the batch. */
typedef struct {
    _Atomic uint64_t arrived;   /* lines in the sink */
    _Atomic uint64_t bodies;    /* in the sink */
    _Atomic uint64_t most;      /* bodies that had no answer at once */
    _Atomic int64_t monitor_ns; /* CPU time of the monitors */
    _Atomic int64_t took_ns;    /* to send a burst */
    counting_t counting;        /* of the monitors */
} shared_t;

static shared_t *shared;
static const case_t *now_run;

static int64_t now_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

/* A line of LINE bytes that ends in a time and LF. */
static void make_line(char *line, int64_t time)
{
    static const char head[] =
        "raw-requests,hostname=web1,method=GET,process=web1:3,"
        "server=www.example.org,status=200 request_time=0.000312,"
        "application_time=0.000251,bytes_sent=12i,padding=\"";
    size_t head_len = sizeof(head) - 1;
    size_t tail = LINE - 22; /* quote, space, 19 digits, LF */
    int i;

    memcpy(line, head, head_len);
    memset(line + head_len, 'x', tail - head_len);
    memcpy(line + tail, "\" ", 2);
    for (i = LINE - 2; i > LINE - 21; i--) {
        line[i] = (char)('0' + time % 10);
        time /= 10;
    }
    line[LINE - 1] = '\n';
}

/* Appends in steps of a millisecond, by an absolute timetable: a thread that
 * was kept waiting catches up. */
static void *append_lines(void *data)
{
    work_t *w = data;
    const imx_batch_t *b = w->child.batch;
    int64_t start = now_ns(CLOCK_MONOTONIC), ms, done = 0;
    char line[LINE];

    counting_is_off = 1;
    for (ms = 1; ms <= w->seconds * 1000; ms++) {
        int64_t at = start + ms * MILLISECOND;
        struct timespec ts = { at / SECOND, at % SECOND };

        for (; done < w->rate * ms / 1000; done++) {
            make_line(line, imx_batch_unique_time(b, now_ns(CLOCK_REALTIME)));
            imx_batch_append(&w->child, line, sizeof(line));
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    }
    atomic_fetch_add(&w->append_ns, now_ns(CLOCK_THREAD_CPUTIME_ID));
    return NULL;
}

static void log_to_stderr(void *context, imx_log_level_e level,
                          const char *text)
{
    (void)context;
    if (level <= IMX_LOG_WARNING)
        fprintf(stderr, "%s\n", text);
}

static uint64_t lines_of_body(void)
{
    return now_run->most_lines ? now_run->most_lines
           : now_run->is_v3    ? 50000
                               : 10000;
}

static imx_monitor_t *start_monitor(const imx_arena_t *a, work_t *w,
                                    const char *url)
{
    imx_monitor_options_t o = { 0 };
    imx_monitor_t *m;

    o.arena = a;
    o.child = &w->child;
    o.influx.api = now_run->is_v3 ? IMX_INFLUX_V3 : IMX_INFLUX_V1;
    o.influx.url = url;
    o.influx.database = "httpd";
    o.influx.connect_timeout_ms = 2000;
    o.influx.total_timeout_ms = 10000;
    o.interval_ms = 1000;
    o.shutdown_ms = now_run->is_v3 ? 5000 : 2000; /* answers take a second */
    o.max_bytes = now_run->is_v3        ? 8u << 20
                  : now_run->most_lines ? 16u << 20
                                        : 4u << 20;
    o.max_lines = lines_of_body();
    o.influx.gzip = now_run->gzip;
    o.log = log_to_stderr;
    m = imx_monitor_create(&o);
    if (m == NULL || imx_monitor_start(m) != 0)
        die("monitor");
    return m;
}

static void join_children(const imx_arena_t *a, work_t *w)
{
    imx_children_self_t self;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (imx_children_join(&a->children, &self, getpid()) != 0)
        die("join");
    imx_batch_open(&w->child, &a->batch, &self);
}

static void run_child(const imx_arena_t *a, const char *url)
{
    static work_t w;
    pthread_t threads[THREADS];
    imx_monitor_t *m;
    int i;

    join_children(a, &w);
    w.rate = now_run->rate / (CHILDREN * THREADS);
    w.seconds = now_run->seconds;
    m = start_monitor(a, &w, url);
    for (i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, append_lines, &w) != 0)
            die("thread");
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    if (!imx_monitor_stop(m))
        fprintf(stderr, "a monitor did not end in time\n");
    atomic_fetch_add(&shared->monitor_ns,
                     now_ns(CLOCK_PROCESS_CPUTIME_ID) - w.append_ns);
    _exit(0);
}

/* CPU time of all threads but this one. */
static int64_t others_cpu(void)
{
    return now_ns(CLOCK_PROCESS_CPUTIME_ID) - now_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* A child whose monitor finds so many lines when it begins. */
static void run_burst(const imx_arena_t *a, const char *url)
{
    static work_t w;
    const struct timespec pause = { 0, MILLISECOND };
    int64_t start, cpu, i;
    char line[LINE];
    imx_monitor_t *m;

    counting_is_off = 1;
    join_children(a, &w);
    for (i = 0; i < now_run->burst; i++) {
        make_line(line,
                  imx_batch_unique_time(&a->batch, now_ns(CLOCK_REALTIME)));
        imx_batch_append(&w.child, line, sizeof(line));
    }
    start = now_ns(CLOCK_MONOTONIC);
    cpu = others_cpu();
    m = start_monitor(a, &w, url);
    while (imx_batch_totals(&a->batch).pending > 0)
        nanosleep(&pause, NULL);
    atomic_store(&shared->took_ns, now_ns(CLOCK_MONOTONIC) - start);
    atomic_store(&shared->monitor_ns, others_cpu() - cpu);
    if (!imx_monitor_stop(m))
        fprintf(stderr, "a monitor did not end in time\n");
    _exit(0);
}

static const imx_arena_t *make_arena(void)
{
    static imx_arena_t arena;
    imx_arena_spec_t spec = { 0 };
    int raised;

    imx_batch_plan(now_run->burst ? LARGE : BUFFER, CHILDREN, 0, &spec.batch,
                   &raised);
    if (imx_arena_map(&arena, &spec, 0) != 0)
        die("arena");
    return &arena;
}

static pid_t fork_sink(unsigned *port)
{
    int listener = sink_listen(port);
    pid_t pid = listener < 0 ? -1 : fork();

    if (pid < 0)
        die("sink");
    if (pid == 0) {
        sink_options_t o = { .lines = &shared->arrived,
                             .bodies = &shared->bodies,
                             .most = now_run->is_far ? NULL : &shared->most,
                             .at_seconds = now_run->is_v3,
                             .record_fd = -1 };

        counting_is_off = 1;
        pin_to(OF_SINK);
        sink_serve(listener, &o);
    }
    close(listener);
    return pid;
}

/* The way to the sink, on the sink's processor; from here on *port is its. */
static pid_t fork_proxy(const case_t *c, unsigned *port)
{
    delay_options_t o = { .port = *port,
                          .delay_ms = c->delay_ms,
                          .bandwidth = c->bandwidth,
                          .most = &shared->most };
    int listener = sink_listen(port);
    pid_t pid = listener < 0 ? -1 : fork();

    if (pid < 0)
        die("proxy");
    if (pid == 0) {
        counting_is_off = 1;
        pin_to(OF_SINK);
        delay_serve(listener, &o);
    }
    close(listener);
    return pid;
}

static void end(pid_t pid)
{
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* Until all children have ended: the most bytes the buffer ever held. */
static uint64_t watch(const imx_arena_t *a, int running, pid_t sink,
                      pid_t proxy)
{
    const struct timespec pause = { 0, 20 * MILLISECOND };
    uint64_t highest = 0;

    while (running > 0) {
        imx_batch_totals_t t = imx_batch_totals(&a->batch);
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (t.bytes_used > highest)
            highest = t.bytes_used;
        if (pid > 0 && (pid == sink || pid == proxy)) {
            fprintf(stderr, "the sink ended, or the way to it\n");
            exit(1);
        }
        if (pid > 0) {
            imx_arena_died(a, pid);
            running--;
        }
        nanosleep(&pause, NULL);
    }
    return highest;
}

static result_t result(const imx_batch_t *b, int64_t ns, uint64_t highest)
{
    imx_batch_totals_t t = imx_batch_totals(b);
    double lines = (double)t.recorded;
    const counting_t *n = &shared->counting;

    return (result_t){
        .recorded = t.recorded,
        .sent = t.fate[IMX_BATCH_SENT],
        .arrived = shared->arrived,
        .dropped = t.fate[IMX_BATCH_DROPPED] + t.no_room,
        .under_way = shared->most,
        .rate = lines * 1e9 / (double)ns,
        .ns = (double)shared->monitor_ns / lines,
        .copied = (double)(n->copied + n->sent) / lines,
        .calls = (double)n->calls / lines,
        .body = lines / (double)shared->bodies,
        .body_bytes = (double)n->sent / (double)shared->bodies,
        .highest = (double)highest / (1 << 20),
    };
}

static void fork_children(const imx_arena_t *a, unsigned port, int n)
{
    char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    for (; n > 0; n--) {
        pid_t pid = fork();

        if (pid < 0)
            die("fork");
        if (pid == 0 && now_run->burst)
            run_burst(a, url);
        if (pid == 0)
            run_child(a, url);
    }
}

static result_t run_here(const case_t *c)
{
    const imx_arena_t *a;
    int children = c->burst ? 1 : CHILDREN;
    uint64_t highest;
    unsigned port;
    int64_t start;
    result_t r;
    pid_t sink, proxy;

    now_run = c;
    shared = share(sizeof(*shared));
    counting_into(&shared->counting);
    a = make_arena();
    sink = fork_sink(&port);
    proxy = c->is_far ? fork_proxy(c, &port) : 0;
    pin_to(0);
    fflush(NULL);
    start = now_ns(CLOCK_MONOTONIC);
    fork_children(a, port, children);
    highest = watch(a, children, sink, proxy);
    r = result(&a->batch,
               c->burst ? shared->took_ns : now_ns(CLOCK_MONOTONIC) - start,
               highest);
    end(proxy);
    end(sink);
    if (!flushed_is_good(&r))
        fprintf(stderr, "not every line arrived\n");
    return r;
}

/* In a process of its own: its memory goes with it. */
static result_t run_case(const case_t *c)
{
    result_t *r = share(sizeof(*r)), got;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        *r = run_here(c);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    got = *r;
    munmap(r, sizeof(*r));
    return got;
}

static int run_one(const case_t *c)
{
    result_t r = run_case(c);
    int good;

    flushed_print_head();
    good = flushed_print_row(c, &r, 1);
    if (c->is_v3 || c->is_far) {
        printf("\n");
        flushed_print_limits_head();
        flushed_print_limits(c, &r, 1);
        printf("\nBodies under way at once: %llu.\n",
               (unsigned long long)r.under_way);
    }
    return !good;
}

/* ---- the proxy alone ---- */

#define PROBE ((size_t)100000000) /* bytes */

/*
 * What the proxy of this case lets pass of bytes that nothing else holds up.
 * Its delay is waited for twice: for the connection, and for the last byte and
 * the answer.
 */
static double probe(const case_t *c)
{
    unsigned port;
    pid_t sink, proxy;
    double seconds;

    now_run = c;
    if (shared == NULL)
        shared = share(sizeof(*shared));
    sink = fork_sink(&port);
    proxy = fork_proxy(c, &port);
    seconds = delay_of_body(port, PROBE) - 2 * c->delay_ms / 1000.0;
    end(proxy);
    end(sink);
    return (double)PROBE / seconds;
}

static int sink_only(const char *record)
{
    sink_options_t o = { .record_fd = -1 };
    unsigned port;
    int listener = sink_listen(&port);

    if (listener < 0)
        die("sink");
    shared = share(sizeof(*shared));
    o.lines = &shared->arrived;
    if (record != NULL)
        o.record_fd = open(record, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (record != NULL && o.record_fd < 0)
        die(record);
    printf("%u\n", port);
    fflush(stdout);
    sink_serve(listener, &o);
    return 1;
}

static int proxy_only(const case_t *c, unsigned server)
{
    delay_options_t o = {
        .port = server, .delay_ms = c->delay_ms, .bandwidth = c->bandwidth
    };
    unsigned port;
    int listener = sink_listen(&port);

    if (listener < 0)
        die("proxy");
    printf("%u\n", port);
    fflush(stdout);
    delay_serve(listener, &o);
    return 1;
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--rounds N | --rate LINES --seconds S | --burst LINES] "
            "[--v3] [--lines MOST] [--gzip] [--delay MS] [--bandwidth BYTES] | "
            "--sink-only [--record FILE] | --proxy-only PORT [--delay MS] "
            "[--bandwidth BYTES]\n",
            name);
    return 2;
}

int main(int argc, char **argv)
{
    case_t c = { .name = "as asked for", .rate = 66000, .seconds = 5 };
    const char *record = NULL;
    int i, is_sink = 0, is_one = 0;
    unsigned server = 0; /* a port */
    int rounds = rounds_wanted(FLUSHED_ROUNDS_MAX);

    for (i = 1; i < argc; i++) {
        int has_value = i + 1 < argc;

        is_one |= strcmp(argv[i], "--rounds") != 0;
        if (strcmp(argv[i], "--sink-only") == 0)
            is_sink = 1;
        else if (strcmp(argv[i], "--v3") == 0)
            c.is_v3 = 1;
        else if (strcmp(argv[i], "--gzip") == 0)
            c.gzip = 1;
        else if (strcmp(argv[i], "--rounds") == 0 && has_value)
            rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "--rate") == 0 && has_value)
            c.rate = atoll(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0 && has_value)
            c.seconds = atoll(argv[++i]);
        else if (strcmp(argv[i], "--burst") == 0 && has_value)
            c.burst = atoll(argv[++i]);
        else if (strcmp(argv[i], "--lines") == 0 && has_value)
            c.most_lines = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--delay") == 0 && has_value)
            c.is_far = 1, c.delay_ms = atoi(argv[++i]);
        else if (strcmp(argv[i], "--bandwidth") == 0 && has_value)
            c.is_far = 1, c.bandwidth = atoll(argv[++i]);
        else if (strcmp(argv[i], "--proxy-only") == 0 && has_value)
            server = (unsigned)atoi(argv[++i]);
        else if (strcmp(argv[i], "--record") == 0 && has_value)
            record = argv[++i];
        else
            return usage(argv[0]);
    }
    if (is_sink)
        return sink_only(record);
    if (server != 0)
        return proxy_only(&c, server);
    if (is_one)
        return run_one(&c);
    if (rounds < 1 || rounds > FLUSHED_ROUNDS_MAX)
        return usage(argv[0]);
    return cases_run(rounds, run_case, probe);
}
