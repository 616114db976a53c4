/*
 * sink.c owns the connections of the stand-in for InfluxDB.
 * One thread; nothing survives it.
 */
#define _GNU_SOURCE

#include "sink.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64
#define HEAD_MAX 8192

typedef struct {
    char head[HEAD_MAX]; /* of the request that is being read */
    size_t head_len;
    uint64_t body_left; /* bytes */
    int waits;          /* for its answer */
} connection_t;

static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

int sink_listen(unsigned *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) != 0
        || listen(fd, CONNECTIONS) != 0
        || getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return -1;
    *port = ntohs(a.sin_port);
    return fd;
}

static int send_all(int fd, const char *text, size_t len)
{
    return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static const char *header(const connection_t *c, const char *name)
{
    return strcasestr(c->head, name);
}

static int answer(int fd, uint64_t lines)
{
    char text[80];
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.1 204 No Content\r\n"
                       "X-Lines: %llu\r\n\r\n",
                       (unsigned long long)lines);

    return send_all(fd, text, (size_t)len);
}

/* Body bytes at p.  Returns how many of len belong to this request. */
static size_t take_body(connection_t *c, const char *p, size_t len,
                        _Atomic uint64_t *lines)
{
    size_t mine = len < c->body_left ? len : (size_t)c->body_left;
    const char *end = p + mine;
    uint64_t found = 0;

    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        found++;
        p++;
    }
    atomic_fetch_add(lines, found);
    c->body_left -= mine;
    return mine;
}

/* One byte of the head; 1 when it was the last one. */
static int take_head(connection_t *c, char byte)
{
    const char *length;

    if (c->head_len + 1 < HEAD_MAX)
        c->head[c->head_len++] = byte;
    if (c->head_len < 4
        || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4) != 0)
        return 0;
    c->head[c->head_len] = '\0';
    c->head_len = 0;
    length = header(c, "\r\nContent-Length:");
    c->body_left = length ? strtoull(length + 17, NULL, 10) : 0;
    return 1;
}

/* Takes what came; 0 when the connection is over.  later: the answer is. */
static int take(connection_t *c, int fd, const char *p, size_t len,
                _Atomic uint64_t *lines, int later)
{
    while (len > 0) {
        size_t mine = 1;

        if (c->body_left > 0) {
            mine = take_body(c, p, len, lines);
        }
        else if (!take_head(c, *p)) {
            p++;
            len--;
            continue;
        }
        else if (c->body_left > 0 && header(c, "\r\nExpect:")
                 && !send_all(fd, go_on, sizeof(go_on) - 1)) {
            return 0;
        }
        p += mine;
        len -= mine;
        c->waits = c->body_left == 0 && later;
        if (c->body_left == 0 && !later && !answer(fd, atomic_load(lines)))
            return 0;
    }
    return 1;
}

/* ---- answers at a whole second ---- */

static int64_t ms_of_day(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How long poll() may wait; -1: for ever.  *second: the next whole one. */
static int until_second(const connection_t *connections, int64_t *second,
                        _Atomic uint64_t *most)
{
    int64_t now = ms_of_day();
    uint64_t waiting = 0;
    int i;

    for (i = 1; i <= CONNECTIONS; i++)
        waiting += connections[i].waits != 0;
    if (waiting == 0) {
        *second = now / 1000 + 1;
        return -1;
    }
    if (most != NULL && waiting > atomic_load(most))
        atomic_store(most, waiting);
    return *second * 1000 > now ? (int)(*second * 1000 - now) : 0;
}

static void answer_waiting(struct pollfd *fds, connection_t *connections,
                           int64_t second, uint64_t lines)
{
    int i;

    if (ms_of_day() < second * 1000)
        return;
    for (i = 1; i <= CONNECTIONS; i++) {
        if (connections[i].waits && fds[i].fd >= 0)
            answer(fds[i].fd, lines); /* who is gone is seen by read() */
        connections[i].waits = 0;
    }
}

/* ---- */

static void accept_one(struct pollfd *fds, connection_t *connections)
{
    int fd = accept(fds[0].fd, NULL, NULL), i;

    for (i = 1; i <= CONNECTIONS && fd >= 0; i++) {
        if (fds[i].fd < 0) {
            memset(&connections[i], 0, sizeof(connections[i]));
            fds[i].fd = fd;
            return;
        }
    }
    close(fd);
}

void sink_serve(int listener, _Atomic uint64_t *lines, _Atomic uint64_t *most)
{
    static connection_t connections[CONNECTIONS + 1];
    static char buf[1 << 18];
    struct pollfd fds[CONNECTIONS + 1];
    int64_t second = 0;
    int i;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (i = 0; i <= CONNECTIONS; i++)
        fds[i] = (struct pollfd){ i == 0 ? listener : -1, POLLIN, 0 };
    for (;;) {
        poll(fds, CONNECTIONS + 1, until_second(connections, &second, most));
        answer_waiting(fds, connections, second, atomic_load(lines));
        for (i = 1; i <= CONNECTIONS; i++) {
            ssize_t n;

            if (fds[i].fd < 0 || fds[i].revents == 0)
                continue;
            n = read(fds[i].fd, buf, sizeof(buf));
            if (n <= 0
                || !take(&connections[i], fds[i].fd, buf, (size_t)n, lines,
                         most != NULL)) {
                close(fds[i].fd);
                fds[i].fd = -1;
                connections[i].waits = 0;
            }
        }
        if (fds[0].revents & POLLIN)
            accept_one(fds, connections);
    }
}
