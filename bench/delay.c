/*
 * delay.c owns the bytes that are on a long way to the sink (see delay.h).
 * One thread; nothing survives it.
 *
 * Bytes are taken from the sender only as the way has room for them, so no more
 * of them are here than are under way: bandwidth times delay.
 */
#define _GNU_SOURCE

#include "delay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

#define LINKS 16
#define CHUNK 65536       /* bytes that are read at once */
#define QUEUE (16u << 20) /* bytes of one link one way, at most */
#define SECOND INT64_C(1000000000)
#define AHEAD (SECOND / 500) /* the way stays full though poll() wakes late */

/* What was read at once; without a byte: the end. */
typedef struct chunk {
    struct chunk *next;
    int64_t due;
    size_t len, off;
    char data[];
} chunk_t;

/* One way of a link. */
typedef struct {
    int from, to;
    chunk_t *first, *last;
    size_t bytes;
    int has_end, is_over; /* the end was read, and passed on */
} lane_t;

/* A connection of a client, and its own to the sink.  There is none when the
 * client's socket is -1. */
typedef struct {
    lane_t lanes[2]; /* UP, DOWN */
    int64_t open_at; /* the handshake is over */
    int is_asking;   /* something went up, and nothing came back yet */
} link_t;

enum { UP, DOWN };

static const delay_options_t *o;
static link_t links[LINKS];
static int64_t free_at[2]; /* the last byte that was taken is on its way */

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

static int64_t one_way(void)
{
    return o->delay_ms * (SECOND / 1000) / 2;
}

static int is_open(const link_t *l)
{
    return l->lanes[UP].from >= 0;
}

/* ---- links ---- */

static int connect_to(unsigned port)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)port);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A last piece of a body must not wait for an acknowledgement. */
static void send_at_once(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void open_link(link_t *l, int client)
{
    int sink = connect_to(o->port);

    if (sink < 0)
        die("the sink");
    send_at_once(client);
    send_at_once(sink);
    memset(l, 0, sizeof(*l));
    l->lanes[UP].from = l->lanes[DOWN].to = client;
    l->lanes[UP].to = l->lanes[DOWN].from = sink;
    l->open_at = now_ns() + 2 * one_way();
}

static void accept_one(int listener)
{
    int fd = accept(listener, NULL, NULL), i;

    for (i = 0; i < LINKS && fd >= 0; i++) {
        if (!is_open(&links[i])) {
            open_link(&links[i], fd);
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void drop_first(lane_t *lane)
{
    chunk_t *c = lane->first;

    lane->first = c->next;
    lane->bytes -= c->len;
    free(c);
}

static void close_link(link_t *l)
{
    int way;

    for (way = UP; way <= DOWN; way++) {
        while (l->lanes[way].first != NULL)
            drop_first(&l->lanes[way]);
        close(l->lanes[way].from);
    }
    memset(l, 0, sizeof(*l));
    l->lanes[UP].from = -1;
}

static void count_asking(void)
{
    uint64_t asking = 0;
    int i;

    for (i = 0; i < LINKS; i++)
        asking += is_open(&links[i]) && links[i].is_asking;
    if (o->most != NULL && asking > atomic_load(o->most))
        atomic_store(o->most, asking);
}

/* ---- bytes ---- */

/* When bytes of this way may be read; INT64_MAX: not before others went. */
static int64_t readable_at(const link_t *l, int way)
{
    int64_t at = free_at[way] - AHEAD;

    if (l->lanes[way].has_end || l->lanes[way].bytes >= QUEUE)
        return INT64_MAX;
    return way == UP && l->open_at > at ? l->open_at : at;
}

static void queue(lane_t *lane, chunk_t *c)
{
    if (lane->first == NULL)
        lane->first = c;
    else
        lane->last->next = c;
    lane->last = c;
    lane->bytes += c->len;
}

/* Returns 0 when the link is broken. */
static int take(link_t *l, int way)
{
    static char data[CHUNK];
    lane_t *lane = &l->lanes[way];
    ssize_t n = recv(lane->from, data, sizeof(data), MSG_DONTWAIT);
    int64_t now = now_ns();
    chunk_t *c;

    if (n < 0)
        return errno == EAGAIN;
    c = malloc(sizeof(*c) + (size_t)n);
    if (c == NULL)
        die("malloc");
    memcpy(c->data, data, (size_t)n);
    if (free_at[way] < now)
        free_at[way] = now;
    if (o->bandwidth > 0)
        free_at[way] += n * SECOND / o->bandwidth;
    c->next = NULL;
    c->due = free_at[way] + one_way();
    c->len = (size_t)n;
    c->off = 0;
    lane->has_end = n == 0;
    queue(lane, c);
    if (way == UP && n > 0) {
        l->is_asking = 1;
        count_asking();
    }
    return 1;
}

/* Passes on what is due.  Returns 0 when the link is broken. */
static int give(link_t *l, int way)
{
    lane_t *lane = &l->lanes[way];

    while (lane->first != NULL && lane->first->due <= now_ns()) {
        chunk_t *c = lane->first;
        ssize_t n = c->len == 0
                        ? 0
                        : send(lane->to, c->data + c->off, c->len - c->off,
                               MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN;
        if (way == DOWN)
            l->is_asking = 0;
        c->off += (size_t)n;
        if (c->len == 0) {
            shutdown(lane->to, SHUT_WR);
            lane->is_over = 1;
        }
        if (c->off == c->len)
            drop_first(lane);
    }
    return 1;
}

/* ---- the loop ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What poll() is to wait for on a link's sockets: of the client, of the sink.
 * Returns when there is something to do without them. */
static int64_t watch_link(const link_t *l, struct pollfd *fds, int64_t now)
{
    int64_t next = INT64_MAX;
    int way;

    fds[0] = (struct pollfd){ -1, 0, 0 };
    fds[1] = fds[0];
    if (!is_open(l))
        return next;
    for (way = UP; way <= DOWN; way++) {
        const lane_t *lane = &l->lanes[way];
        int64_t at = readable_at(l, way);

        if (at <= now)
            fds[way].events |= POLLIN;
        else
            next = earlier(next, at);
        if (lane->first != NULL && lane->first->due <= now)
            fds[!way].events |= POLLOUT;
        else if (lane->first != NULL)
            next = earlier(next, lane->first->due);
    }
    /* without an event a socket whose other end is gone would wake poll() */
    for (way = UP; way <= DOWN; way++)
        fds[way].fd = fds[way].events != 0 ? l->lanes[way].from : -1;
    return next;
}

static void wait_for(struct pollfd *fds, int64_t next)
{
    int64_t ns = next - now_ns();
    struct timespec ts = { 0, 0 };

    if (ns > 0)
        ts = (struct timespec){ ns / SECOND, ns % SECOND };
    if (ppoll(fds, 2 * LINKS + 1, next == INT64_MAX ? NULL : &ts, NULL) < 0
        && errno != EINTR)
        die("ppoll");
}

static void move(link_t *l, const struct pollfd *fds)
{
    int way, is_good = 1;

    for (way = UP; way <= DOWN && is_good; way++) {
        if ((fds[way].events & POLLIN) && fds[way].revents != 0)
            is_good = take(l, way);
    }
    for (way = UP; way <= DOWN && is_good; way++)
        is_good = give(l, way);
    if (!is_good || (l->lanes[UP].is_over && l->lanes[DOWN].is_over))
        close_link(l);
}

void delay_serve(int listener, const delay_options_t *options)
{
    struct pollfd fds[2 * LINKS + 1];
    int i;

    o = options;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1UL); /* 50 us are 6 kB of a fast network */
    for (i = 0; i < LINKS; i++)
        links[i].lanes[UP].from = -1;
    for (;;) {
        int64_t next = INT64_MAX, now = now_ns();

        for (i = 0; i < LINKS; i++)
            next = earlier(next, watch_link(&links[i], &fds[2 * i], now));
        fds[2 * LINKS] = (struct pollfd){ listener, POLLIN, 0 };
        wait_for(fds, next);
        for (i = 0; i < LINKS; i++) {
            if (is_open(&links[i]))
                move(&links[i], &fds[2 * i]);
        }
        if (fds[2 * LINKS].revents & POLLIN)
            accept_one(listener);
    }
}

/* ---- the way alone ---- */

double delay_of_body(unsigned port, size_t bytes)
{
    static char data[CHUNK];
    int64_t start = now_ns();
    int fd = connect_to(port);
    int len = snprintf(data, sizeof(data),
                       "POST / HTTP/1.1\r\nContent-Length: %zu\r\n\r\n",
                       bytes);

    if (fd < 0 || send(fd, data, (size_t)len, MSG_NOSIGNAL) != len)
        die("a body");
    memset(data, 'x', sizeof(data));
    while (bytes > 0) {
        ssize_t n = send(fd, data, bytes < CHUNK ? bytes : CHUNK,
                         MSG_NOSIGNAL);

        if (n <= 0)
            die("a body");
        bytes -= (size_t)n;
    }
    if (recv(fd, data, sizeof(data), 0) <= 0)
        die("an answer");
    close(fd);
    return (double)(now_ns() - start) / (double)SECOND;
}
