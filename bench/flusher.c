/*
 * flusher.c: does the monitor keep up?  Children with several threads append
 * lines through batch.c at a given rate; one child's monitor brings them to the
 * sink.  Nothing may be dropped, and the sink has to have every line.
 * Process per child, as in httpd; all of them end with this program.
 *
 *     flusher [--rate LINES] [--seconds S]     (66000 lines a second, 5 s)
 *     flusher --v3 [--lines MOST] ...          (answers come once a second, as
 *                                               InfluxDB 3's; MOST in a body)
 *     flusher --sink-only                      (prints its port, and serves)
 */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/arena.h"
#include "deliver/monitor.h"
#include "sink.h"

#define CHILDREN 2
#define THREADS 4          /* in each child */
#define LINE 200           /* bytes, LF included */
#define BUFFER (32u << 20) /* InfluxMetricsBufferSize's default */
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
    _Atomic uint64_t bodies;    /* most that waited for an answer */
    _Atomic int64_t monitor_ns; /* CPU time of the monitors */
} shared_t;

static shared_t *shared;
static int is_v3;
static uint64_t most_lines; /* of a body; 0: the module's default */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *share(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

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

static imx_monitor_t *start_monitor(const imx_arena_t *a, work_t *w,
                                    const char *url)
{
    imx_monitor_options_t o = { 0 };
    imx_monitor_t *m;

    o.arena = a;
    o.child = &w->child;
    o.influx.api = is_v3 ? IMX_INFLUX_V3 : IMX_INFLUX_V1;
    o.influx.url = url;
    o.influx.database = "httpd";
    o.influx.connect_timeout_ms = 2000;
    o.influx.total_timeout_ms = 10000;
    o.interval_ms = 1000;
    o.shutdown_ms = is_v3 ? 5000 : 2000; /* answers take a second */
    o.max_bytes = is_v3 ? 8u << 20 : 4u << 20;
    o.max_lines = most_lines ? most_lines : is_v3 ? 50000 : 10000;
    o.log = log_to_stderr;
    m = imx_monitor_create(&o);
    if (m == NULL || imx_monitor_start(m) != 0)
        die("monitor");
    return m;
}

static void run_child(const imx_arena_t *a, const char *url, int64_t rate,
                      int64_t seconds)
{
    static work_t w;
    pthread_t threads[THREADS];
    imx_children_self_t self;
    imx_monitor_t *m;
    int i;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (imx_children_join(&a->children, &self, getpid()) != 0)
        die("join");
    imx_batch_open(&w.child, &a->batch, &self);
    w.rate = rate / (CHILDREN * THREADS);
    w.seconds = seconds;
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

static const imx_arena_t *make_arena(void)
{
    static imx_arena_t arena;
    imx_arena_spec_t spec = { 0 };
    int raised;

    imx_batch_plan(BUFFER, CHILDREN, 0, &spec.batch, &raised);
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
    if (pid == 0)
        sink_serve(listener, &shared->arrived, is_v3 ? &shared->bodies : NULL);
    close(listener);
    return pid;
}

/* Until all children have ended: the most bytes the buffer ever held. */
static uint64_t watch(const imx_arena_t *a, pid_t sink)
{
    const struct timespec pause = { 0, 20 * MILLISECOND };
    uint64_t highest = 0;
    int running = CHILDREN;

    while (running > 0) {
        imx_batch_totals_t t = imx_batch_totals(&a->batch);
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (t.bytes_used > highest)
            highest = t.bytes_used;
        if (pid == sink) {
            fprintf(stderr, "the sink ended\n");
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

/* Prints the figures; 1 if every line arrived. */
static int report(const imx_batch_t *b, int64_t ns, uint64_t highest)
{
    imx_batch_totals_t t = imx_batch_totals(b);
    uint64_t arrived = atomic_load(&shared->arrived);
    uint64_t dropped = t.fate[IMX_BATCH_DROPPED] + t.no_room;
    double seconds = (double)ns / 1e9;

    printf(
        "| recorded | sent | in the sink | dropped | lines/s | most in the "
        "buffer | monitor, CPU ns a line |\n|---|---|---|---|---|---|---|\n"
        "| %llu | %llu | %llu | %llu | %.0f | %.1f of %u MB | %.0f |\n",
        (unsigned long long)t.recorded,
        (unsigned long long)t.fate[IMX_BATCH_SENT],
        (unsigned long long)arrived, (unsigned long long)dropped,
        (double)t.recorded / seconds, (double)highest / (1 << 20),
        BUFFER >> 20,
        (double)atomic_load(&shared->monitor_ns) / (double)t.recorded);
    printf(
        "\n%d processes of %d threads append lines of %d bytes through "
        "batch.c for %.0f s;\na monitor sends them to a sink on this "
        "machine.\n",
        CHILDREN, THREADS, LINE, seconds);
    if (is_v3)
        printf("It answers at whole seconds. Bodies under way at once: %llu.\n",
               (unsigned long long)atomic_load(&shared->bodies));
    return t.recorded > 0 && t.fate[IMX_BATCH_SENT] == t.recorded
           && arrived == t.recorded;
}

static int stress(int64_t rate, int64_t seconds)
{
    const imx_arena_t *a = make_arena();
    char url[64];
    unsigned port;
    pid_t sink = fork_sink(&port);
    int64_t start;
    uint64_t highest;
    int i, good;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    fflush(NULL);
    start = now_ns(CLOCK_MONOTONIC);
    for (i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();

        if (pid < 0)
            die("fork");
        if (pid == 0)
            run_child(a, url, rate, seconds);
    }
    highest = watch(a, sink);
    good = report(&a->batch, now_ns(CLOCK_MONOTONIC) - start, highest);
    kill(sink, SIGKILL);
    waitpid(sink, NULL, 0);
    if (!good)
        fprintf(stderr, "not every line arrived\n");
    return good ? 0 : 1;
}

static int sink_only(void)
{
    unsigned port;
    int listener = sink_listen(&port);

    if (listener < 0)
        die("sink");
    printf("%u\n", port);
    fflush(stdout);
    sink_serve(listener, &shared->arrived, NULL);
    return 1;
}

int main(int argc, char **argv)
{
    /* The figure includes the way to the first and after the last line. */
    int64_t rate = 66000, seconds = 5;
    int i;

    shared = share(sizeof(*shared));
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--sink-only") == 0)
            return sink_only();
        if (strcmp(argv[i], "--rate") == 0 && i + 1 < argc)
            rate = atoll(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = atoll(argv[++i]);
        else if (strcmp(argv[i], "--lines") == 0 && i + 1 < argc)
            most_lines = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--v3") == 0)
            is_v3 = 1;
        else {
            fprintf(stderr,
                    "usage: %s [--rate LINES] [--seconds S] [--v3] "
                    "[--lines MOST] | --sink-only\n",
                    argv[0]);
            return 2;
        }
    }
    return stress(rate, seconds);
}
