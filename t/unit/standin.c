/*
 * standin.c: owns the stand-in server of standin.h: a listener and a thread.
 * Entered by the test's thread; serve() and below run on the server's own.
 * Nothing survives a crash, and nothing needs to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, strcasestr */
#endif

#include "standin.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#define HEAD_MAX 8192
#define STEPS_MAX 8

typedef struct {
    standin_how_e how;
    char *text;
} step_t;

struct standin {
    int listener, stop[2], port;
    char *path; /* of the unix socket, or NULL */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what is below */
    step_t steps[STEPS_MAX];
    int count, at;
    int accepts, requests;
    _Atomic int rate; /* bytes a ms, 0: no limit */
    standin_judge_fn judge;
    void *context;
    char head[HEAD_MAX];
    char *body;
    size_t len;
};

/* Waits for fd; 0 when the test wants the server to end. */
static int ready(standin_t *s, int fd, short events, int ms)
{
    struct pollfd p[2] = { { s->stop[0], POLLIN, 0 }, { fd, events, 0 } };

    while (poll(p, 2, ms) < 0 && errno == EINTR) {
    }
    return p[0].revents == 0;
}

static int send_all(standin_t *s, int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n;

        if (!ready(s, fd, POLLOUT, -1)) {
            return 0;
        }
        n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            return 0;
        }
        data += n;
        len -= (size_t)n;
    }
    return 1;
}

static ssize_t take(standin_t *s, int fd, char *to, size_t len)
{
    return ready(s, fd, POLLIN, -1) ? recv(fd, to, len, 0) : 0;
}

/* Byte by byte, so that nothing behind end is taken; returns the bytes. */
static size_t read_until(standin_t *s, int fd, const char *end, char *to,
                         size_t size)
{
    size_t n = 0, len = strlen(end);

    do {
        if (n + 1 == size || take(s, fd, to + n, 1) != 1) {
            return 0;
        }
        to[++n] = '\0';
    } while (n < len || strcmp(to + n - len, end) != 0);
    return n;
}

static int read_head(standin_t *s, int fd)
{
    char head[HEAD_MAX];
    size_t n = read_until(s, fd, "\r\n\r\n", head, sizeof(head));

    if (n == 0) {
        return 0;
    }
    pthread_mutex_lock(&s->lock);
    memcpy(s->head, head, n + 1);
    s->requests++;
    pthread_mutex_unlock(&s->lock);
    return 1;
}

static size_t content_length(const char *head)
{
    const char *p = strcasestr(head, "\r\nContent-Length:");

    return p ? strtoul(p + 17, NULL, 10) : 0;
}

/* How many of len bytes may be read now, after a pause if they are rationed. */
static size_t at_once(standin_t *s, size_t len)
{
    size_t ration = (size_t)s->rate * 5;

    if (ration == 0) {
        return len;
    }
    ready(s, -1, 0, 5);
    return len < ration ? len : ration;
}

/* Adds len bytes to the body; returns 1 when they all came. */
static int read_more(standin_t *s, int fd, char **body, size_t *n, size_t len)
{
    size_t end = *n + len;
    ssize_t more;

    *body = realloc(*body, end + 1);
    while (*n < end
           && (more = take(s, fd, *body + *n, at_once(s, end - *n))) > 0) {
        *n += (size_t)more;
    }
    (*body)[*n] = '\0';
    return *n == end;
}

/* RFC 9112, 7.1, without extensions and trailers. */
static int read_chunks(standin_t *s, int fd, char **body, size_t *n)
{
    char line[64];
    size_t len;

    do {
        if (!read_until(s, fd, "\r\n", line, sizeof(line))) {
            return 0;
        }
        len = strtoul(line, NULL, 16);
        if (!read_more(s, fd, body, n, len)
            || read_until(s, fd, "\r\n", line, sizeof(line)) != 2) {
            return 0;
        }
    } while (len > 0);
    return 1;
}

static int read_body(standin_t *s, int fd)
{
    char *body = NULL;
    size_t n = 0;
    int whole;

    if (strcasestr(s->head, "\r\nTransfer-Encoding: chunked\r\n")) {
        whole = read_chunks(s, fd, &body, &n);
    }
    else {
        whole = read_more(s, fd, &body, &n, content_length(s->head));
    }
    pthread_mutex_lock(&s->lock);
    free(s->body);
    s->body = body;
    s->len = body ? n : 0;
    pthread_mutex_unlock(&s->lock);
    return whole;
}

static int send_slowly(standin_t *s, int fd, const char *text)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (; *text; text++) {
        if (!ready(s, -1, 0, 1) || !send_all(s, fd, text, 1)) {
            return 0;
        }
    }
    return 1;
}

/* It does for a body, and for a head without an end. */
static void send_filler(standin_t *s, int fd)
{
    char filler[4096];

    for (size_t i = 0; i < sizeof(filler); i += 8) {
        memcpy(filler + i, "X: xxx\r\n", 8);
    }
    while (send_all(s, fd, filler, sizeof(filler))) {
    }
}

/* Until the client has closed, so that it sees an answer and no reset. */
static void drain(standin_t *s, int fd)
{
    char buffer[65536];

    shutdown(fd, SHUT_WR);
    while (take(s, fd, buffer, sizeof(buffer)) > 0) {
    }
}

/* With a text of its own: the test may be saying the next one already. */
static step_t next_step(standin_t *s)
{
    step_t step;

    pthread_mutex_lock(&s->lock);
    step.how = s->steps[s->at].how;
    step.text = strdup(s->steps[s->at].text);
    s->at += s->at + 1 < s->count;
    pthread_mutex_unlock(&s->lock);
    return step;
}

/* What is said before the body was read; returns 0, as nothing may follow. */
static int answer_early(standin_t *s, int fd, const step_t *step)
{
    if (step->how == STANDIN_DEAF) {
        return ready(s, -1, 0, -1); /* until the test ends */
    }
    send_all(s, fd, step->text, strlen(step->text));
    if (step->how == STANDIN_EARLY) {
        drain(s, fd);
    }
    return 0;
}

static void ask_judge(standin_t *s, step_t *step)
{
    standin_judge_fn judge;

    pthread_mutex_lock(&s->lock);
    judge = s->judge;
    pthread_mutex_unlock(&s->lock);
    if (judge) {
        free(step->text);
        step->text = strdup(
            judge(s->context, s->head, s->body, s->len, &step->how));
    }
}

/* Returns 1 when the connection is to be kept. */
static int answer_whole(standin_t *s, int fd, step_t *step)
{
    if (!read_body(s, fd)) {
        return 0;
    }
    ask_judge(s, step);
    if (step->how == STANDIN_SLOW) {
        return send_slowly(s, fd, step->text);
    }
    if (step->how == STANDIN_HANG) {
        ready(s, fd, POLLIN, -1); /* until the client has closed */
        return 0;
    }
    if (!send_all(s, fd, step->text, strlen(step->text))) {
        return 0;
    }
    if (step->how == STANDIN_ENDLESS) {
        send_filler(s, fd);
    }
    return step->how == STANDIN_ANSWER
           && !strstr(step->text, "Connection: close");
}

static int answer_request(standin_t *s, int fd)
{
    step_t step = next_step(s);
    int early = step.how == STANDIN_EARLY || step.how == STANDIN_RESET
                || step.how == STANDIN_DEAF;
    int keep = early ? answer_early(s, fd, &step) : answer_whole(s, fd, &step);

    free(step.text);
    return keep;
}

static void *serve(void *arg)
{
    standin_t *s = arg;

    while (ready(s, s->listener, POLLIN, -1)) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EINVAL) {
                break; /* standin_refuse() */
            }
            continue;
        }
        pthread_mutex_lock(&s->lock);
        s->accepts++;
        pthread_mutex_unlock(&s->lock);
        while (read_head(s, fd) && answer_request(s, fd)) {
        }
        close(fd);
    }
    return NULL;
}

static void add_step(standin_t *s, standin_how_e how, const char *text)
{
    assert(s->count < STEPS_MAX);
    s->steps[s->count++] = (step_t){ how, strdup(text) };
}

static void forget_steps(standin_t *s)
{
    while (s->count) {
        free(s->steps[--s->count].text);
    }
    s->at = 0;
}

static int listen_tcp(int *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16)
        || getsockname(fd, (struct sockaddr *)&a, &len)) {
        abort();
    }
    *port = ntohs(a.sin_port);
    return fd;
}

static int listen_unix(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert(strlen(path) < sizeof(a.sun_path));
    strcpy(a.sun_path, path);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16)) {
        abort();
    }
    return fd;
}

standin_t *standin_start(const char *socket_path)
{
    standin_t *s = calloc(1, sizeof(*s));

    s->path = socket_path ? strdup(socket_path) : NULL;
    s->listener = s->path ? listen_unix(s->path) : listen_tcp(&s->port);
    pthread_mutex_init(&s->lock, NULL);
    standin_say(s, STANDIN_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n");
    if (pipe(s->stop) || pthread_create(&s->thread, NULL, serve, s)) {
        abort();
    }
    return s;
}

standin_t *standin_beside(const standin_t *first)
{
    standin_t *s = calloc(1, sizeof(*s));

    s->port = first->port;
    s->listener = fcntl(first->listener, F_DUPFD_CLOEXEC, 0);
    fcntl(s->listener, F_SETFL, O_NONBLOCK); /* whoever comes first */
    pthread_mutex_init(&s->lock, NULL);
    s->judge = first->judge;
    s->context = first->context;
    standin_say(s, STANDIN_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n");
    if (pipe(s->stop) || pthread_create(&s->thread, NULL, serve, s)) {
        abort();
    }
    return s;
}

void standin_stop(standin_t *s)
{
    close(s->stop[1]);
    pthread_join(s->thread, NULL);
    close(s->stop[0]);
    close(s->listener);
    if (s->path) {
        unlink(s->path);
    }
    forget_steps(s);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s->body);
    free(s);
}

/* What the kernel would take for us would not be slow. */
void standin_slow(standin_t *s, int rate)
{
    int bytes = 16384;

    setsockopt(s->listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    s->rate = rate;
}

void standin_refuse(standin_t *s)
{
    shutdown(s->listener, SHUT_RD);
}

int standin_port(const standin_t *s)
{
    return s->port;
}

void standin_say(standin_t *s, standin_how_e how, const char *text)
{
    pthread_mutex_lock(&s->lock);
    forget_steps(s);
    add_step(s, how, text);
    pthread_mutex_unlock(&s->lock);
}

void standin_then(standin_t *s, standin_how_e how, const char *text)
{
    pthread_mutex_lock(&s->lock);
    add_step(s, how, text);
    pthread_mutex_unlock(&s->lock);
}

void standin_ask(standin_t *s, standin_judge_fn judge, void *context)
{
    pthread_mutex_lock(&s->lock);
    s->judge = judge;
    s->context = context;
    pthread_mutex_unlock(&s->lock);
}

/* A tab ends a tag's value there, and has no escape. */
static int has_tab(const char *line, const char *end)
{
    while (line < end && *line != ' ' && *line != '\t') {
        line += *line == '\\' ? 2 : 1;
    }
    return line < end && *line == '\t';
}

static long count_lines(const char *body, size_t len, long *bad, long *first)
{
    const char *end = body + len;
    long n = 0;

    *bad = *first = 0;
    while (body < end) {
        const char *lf = memchr(body, '\n', (size_t)(end - body));
        const char *stop = lf ? lf : end;

        n++;
        if (has_tab(body, stop)) {
            *first = *bad ? *first : n;
            ++*bad;
        }
        body = stop + 1;
    }
    return n;
}

static void wait_for_second(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec = 0;
    t.tv_nsec = 1000000000 - t.tv_nsec;
    t.tv_sec = t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    nanosleep(&t, NULL);
}

static const char *say3(standin_influxdb3_t *s, int status, const char *body)
{
    snprintf(s->text, sizeof(s->text),
             "HTTP/1.1 %d x\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             status, strlen(body), body);
    return s->text;
}

const char *standin_influxdb3(void *influxdb3, const char *head,
                              const char *body, size_t len, standin_how_e *how)
{
    standin_influxdb3_t *s = influxdb3;
    long bad, first, all = count_lines(body, len, &bad, &first);
    int v3 = strstr(head, " /api/v3/") != NULL;
    char text[256];

    *how = STANDIN_ANSWER;
    if (!s->now) {
        wait_for_second();
    }
    if (len > (s->max ? s->max : 10 << 20)) {
        snprintf(text, sizeof(text), "max request size (%zu bytes) exceeded",
                 s->max ? s->max : 10 << 20);
        return say3(s, 500, text);
    }
    if (bad == 0 || v3) {
        s->stored += all - bad;
        s->refused += bad;
    }
    if (bad == 0) {
        strcpy(s->text, "HTTP/1.1 204 x\r\n\r\n");
        return s->text;
    }
    if (!v3) {
        return say3(s, 400,
                    "{\"error\":\"write buffer error: parsing for "
                    "line protocol failed\"}");
    }
    snprintf(text, sizeof(text),
             "{\"error\":\"partial write of line protocol "
             "occurred\",\"data\":[{\"line_number\":%ld,\"error_message\":"
             "\"tab\"}]}",
             first);
    return say3(s, 400, text);
}

static int locked_int(standin_t *s, const int *value)
{
    int copy;

    pthread_mutex_lock(&s->lock);
    copy = *value;
    pthread_mutex_unlock(&s->lock);
    return copy;
}

int standin_accepts(standin_t *s)
{
    return locked_int(s, &s->accepts);
}

int standin_requests(standin_t *s)
{
    return locked_int(s, &s->requests);
}

const char *standin_head(standin_t *s)
{
    pthread_mutex_lock(&s->lock);
    pthread_mutex_unlock(&s->lock);
    return s->head;
}

const char *standin_body(standin_t *s, size_t *len)
{
    pthread_mutex_lock(&s->lock);
    *len = s->len;
    pthread_mutex_unlock(&s->lock);
    return s->body ? s->body : "";
}
