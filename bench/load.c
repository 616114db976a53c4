/*
 * load.c: keep-alive GET requests from one thread, and what they took.
 * One thread; nothing is kept.
 *
 *     load [-c CONNECTIONS] [-w MS] [-d MS | -n REQUESTS] [-r RATE] PORT PATH
 *
 * to 127.0.0.1, for answers of less than 64 KB.  Requests of the first -w MS
 * are counted and not timed.  Without -r each connection asks again as soon as
 * it has an answer.  With -r a request is due at its time, whether or not a
 * connection is free, and its time counts from then: a server that stalls is
 * not asked less.  When the time is over the answers under way are waited for,
 * so that the counts are the server's.  Prints one JSON object, times in ms.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 65536
#define PATIENCE_MS 20000

typedef struct {
    int64_t due; /* of the request under way, ns; 0: idle */
    size_t got;
    int status;
    char answer[ANSWER_MAX];
} connection_t;

typedef struct {
    int connections, port;
    int64_t warm, length, wanted; /* ns, ns, requests (0: by time) */
    double gap;                   /* ns between two requests; 0: as fast */
    char request[1024];
    size_t request_len;
} plan_t;

static plan_t plan = { 5, 0, 0, INT64_C(1000000000), 0, 0, "", 0 };
static connection_t *connections;
static struct pollfd *polled;
static uint32_t *samples; /* 10 ns */
static size_t sample_count, sample_room;
static int64_t begun, sent, answered, failed, last_answer;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void open_connection(int i)
{
    struct sockaddr_in to;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(&to, 0, sizeof(to));
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)plan.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (polled[i].fd > 0)
        close(polled[i].fd);
    polled[i].fd = fd;
    polled[i].events = POLLIN;
    connections[i].got = 0;
}

/* A server may close a connection that has been used often enough. */
static void ask(int i, int64_t due)
{
    ssize_t n = send(polled[i].fd, plan.request, plan.request_len,
                     MSG_NOSIGNAL);

    if (n < 0) {
        open_connection(i);
        n = send(polled[i].fd, plan.request, plan.request_len, MSG_NOSIGNAL);
    }
    if (n != (ssize_t)plan.request_len)
        die("send");
    connections[i].due = due;
    connections[i].got = 0;
    sent++;
}

static void take_sample(int64_t ns)
{
    if (sample_count == sample_room) {
        sample_room = sample_room ? 2 * sample_room : 1 << 16;
        samples = realloc(samples, sample_room * sizeof(samples[0]));
        if (samples == NULL)
            die("memory");
    }
    samples[sample_count++] = (uint32_t)(ns / 10);
}

/* The length of the answer with its head; 0 while it is not known. */
static size_t whole_length(connection_t *c)
{
    char *end, *field;

    c->answer[c->got] = '\0';
    end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL)
        return 0;
    field = strcasestr(c->answer, "\r\nContent-Length:");
    if (field == NULL || field > end) {
        fprintf(stderr, "load: an answer without a length:\n%s", c->answer);
        exit(1);
    }
    c->status = atoi(c->answer + strlen("HTTP/1.1 "));
    return (size_t)(end + 4 - c->answer)
           + (size_t)atol(field + strlen("\r\nContent-Length:"));
}

static int says_close(connection_t *c)
{
    return strcasestr(c->answer, "\r\nConnection: close") != NULL;
}

/* 1 when the answer is whole. */
static int read_answer(int i)
{
    connection_t *c = &connections[i];
    ssize_t n = recv(polled[i].fd, c->answer + c->got, ANSWER_MAX - 1 - c->got,
                     0);
    size_t whole;

    if (n <= 0) {
        if (c->due != 0)
            failed++;
        c->due = 0;
        open_connection(i);
        return 0;
    }
    c->got += (size_t)n;
    whole = whole_length(c);
    if (whole == 0 || c->got < whole)
        return 0;
    last_answer = now_ns();
    answered++;
    failed += c->status != 200;
    if (last_answer - begun > plan.warm)
        take_sample(last_answer - c->due);
    c->due = 0;
    if (says_close(c))
        open_connection(i);
    return 1;
}

static int may_send(int64_t now)
{
    return plan.wanted ? sent < plan.wanted
                       : now - begun < plan.warm + plan.length;
}

/* Of a rate: what is due goes to connections that are idle. */
static int64_t send_due(int64_t now)
{
    int64_t due = begun + (int64_t)((double)sent * plan.gap);
    int i;

    for (i = 0; i < plan.connections && due <= now; i++) {
        if (connections[i].due == 0 && may_send(due)) {
            ask(i, due);
            due = begun + (int64_t)((double)sent * plan.gap);
        }
    }
    /* No connection is free: an answer comes first. */
    return due > now ? due - now : INT64_C(1000000) * PATIENCE_MS;
}

static int under_way(void)
{
    int i, n = 0;

    for (i = 0; i < plan.connections; i++)
        n += connections[i].due != 0;
    return n;
}

static void run(void)
{
    int i;

    begun = now_ns();
    for (i = 0; i < plan.connections && plan.gap <= 0 && may_send(begun); i++)
        ask(i, begun);
    while (may_send(now_ns()) || under_way() > 0) {
        int64_t wait = INT64_C(1000000) * PATIENCE_MS;
        struct timespec ts;

        if (plan.gap > 0 && may_send(now_ns()))
            wait = send_due(now_ns());
        ts.tv_sec = wait / 1000000000;
        ts.tv_nsec = wait % 1000000000;
        if (ppoll(polled, (nfds_t)plan.connections, &ts, NULL) == 0
            && wait >= INT64_C(1000000) * PATIENCE_MS) {
            fprintf(stderr, "load: no answer within 20 seconds\n");
            exit(1);
        }
        for (i = 0; i < plan.connections; i++) {
            if (polled[i].revents == 0)
                continue;
            if (read_answer(i) || connections[i].due == 0) {
                int64_t now = now_ns();

                if (plan.gap <= 0 && may_send(now))
                    ask(i, now);
            }
        }
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double percentile(double part)
{
    return samples[(size_t)((double)(sample_count - 1) * part)] / 1e5;
}

static void report(void)
{
    double seconds = (double)(last_answer - begun - plan.warm) / 1e9;
    double sum = 0;
    size_t i;

    if (sample_count == 0) {
        fprintf(stderr, "load: no request was timed\n");
        exit(1);
    }
    qsort(samples, sample_count, sizeof(samples[0]), by_value);
    for (i = 0; i < sample_count; i++)
        sum += samples[i] / 1e5;
    printf(
        "{\"requests\":%lld,\"timed\":%zu,\"errors\":%lld,\"seconds\":%.6f,"
        "\"mean\":%.5f,\"p50\":%.5f,\"p95\":%.5f,\"p99\":%.5f,"
        "\"p999\":%.5f,\"max\":%.5f}\n",
        (long long)answered, sample_count, (long long)failed, seconds,
        sum / (double)sample_count, percentile(0.5), percentile(0.95),
        percentile(0.99), percentile(0.999), percentile(1));
}

static void usage(void)
{
    fprintf(stderr,
            "usage: load [-c CONNECTIONS] [-w MS] [-d MS | -n REQUESTS]"
            " [-r RATE] PORT PATH\n");
    exit(2);
}

int main(int argc, char **argv)
{
    int c, i;

    while ((c = getopt(argc, argv, "c:w:d:n:r:")) != -1) {
        switch (c) {
        case 'c':
            plan.connections = atoi(optarg);
            break;
        case 'w':
            plan.warm = atoll(optarg) * 1000000;
            break;
        case 'd':
            plan.length = atoll(optarg) * 1000000;
            break;
        case 'n':
            plan.wanted = atoll(optarg);
            break;
        case 'r':
            plan.gap = 1e9 / atof(optarg);
            break;
        default:
            usage();
        }
    }
    if (argc - optind != 2 || plan.connections < 1)
        usage();
    plan.port = atoi(argv[optind]);
    plan.request_len = (size_t)
        snprintf(plan.request, sizeof(plan.request),
                 "GET %s HTTP/1.1\r\nHost: imx.test\r\n\r\n",
                 argv[optind + 1]);
    connections = calloc((size_t)plan.connections, sizeof(connections[0]));
    polled = calloc((size_t)plan.connections, sizeof(polled[0]));
    if (connections == NULL || polled == NULL
        || plan.request_len >= sizeof(plan.request))
        die("memory");
    for (i = 0; i < plan.connections; i++)
        open_connection(i);
    run();
    report();
    return 0;
}
