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
#include <zlib.h>

#define CONNECTIONS 64
#define HEAD_MAX 8192

/* What the next byte belongs to. */
typedef enum { HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END } part_e;

typedef struct {
    part_e part;
    char head[HEAD_MAX]; /* the head, or the size of a chunk, so far */
    size_t head_len;
    uint64_t left;       /* bytes of the body or of the chunk */
    int packed, is_last; /* gzip; the chunk was the last one */
    z_stream z;
    int64_t due;    /* ms: its answer; 0: there is none to be given */
    uint64_t lines; /* of the body, so far; one that is cut does not count */
    char *text;     /* ... its text, where that is recorded */
    size_t text_len, text_room;
} connection_t;

static const sink_options_t *o;

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

/* ---- answers ---- */

static int64_t ms_of_day(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int answer(int fd)
{
    char text[80];
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.1 204 No Content\r\n"
                       "X-Lines: %llu\r\n\r\n",
                       (unsigned long long)atomic_load(o->lines));

    return send(fd, text, (size_t)len, MSG_NOSIGNAL) == len;
}

/* A whole body has come.  Returns 0 when the connection is over. */
static int is_whole(connection_t *c, int fd)
{
    c->part = HEAD;
    atomic_fetch_add(o->lines, c->lines);
    if (o->record_fd >= 0
        && write(o->record_fd, c->text, c->text_len) != (ssize_t)c->text_len) {
        perror("record");
        exit(1);
    }
    c->text_len = 0;
    c->lines = 0;
    if (o->bodies != NULL)
        atomic_fetch_add(o->bodies, 1);
    if (o->at_seconds)
        c->due = (ms_of_day() / 1000 + 1) * 1000;
    else
        return answer(fd);
    return 1;
}

/* How long poll() may wait; -1: for ever. */
static int until_due(const connection_t *connections)
{
    int64_t now = ms_of_day(), next = INT64_MAX;
    uint64_t waiting = 0;
    int i;

    for (i = 1; i <= CONNECTIONS; i++) {
        if (connections[i].due != 0) {
            waiting++;
            next = connections[i].due < next ? connections[i].due : next;
        }
    }
    if (o->most != NULL && waiting > atomic_load(o->most))
        atomic_store(o->most, waiting);
    if (waiting == 0)
        return -1;
    return next > now ? (int)(next - now) : 0;
}

static void answer_due(const struct pollfd *fds, connection_t *connections)
{
    int64_t now = ms_of_day();
    int i;

    for (i = 1; i <= CONNECTIONS; i++) {
        if (connections[i].due != 0 && connections[i].due <= now) {
            connections[i].due = 0;
            answer(fds[i].fd); /* who is gone is seen by read() */
        }
    }
}

/* ---- what comes ---- */

static void keep(connection_t *c, const char *p, size_t len)
{
    if (c->text_len + len > c->text_room) {
        c->text_room = 2 * (c->text_len + len);
        c->text = realloc(c->text, c->text_room);
        if (c->text == NULL)
            exit(1);
    }
    memcpy(c->text + c->text_len, p, len);
    c->text_len += len;
}

static void count(connection_t *c, const char *p, size_t len)
{
    const char *end = p + len;

    if (o->record_fd >= 0)
        keep(c, p, len);
    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        c->lines++;
        p++;
    }
}

/* Returns 0 when this is no gzip. */
static int unpack(connection_t *c, const char *p, size_t len)
{
    static char text[1 << 18];
    int rv = Z_OK;

    c->z.next_in = (z_const Bytef *)(uintptr_t)p;
    c->z.avail_in = (uInt)len;
    while (c->z.avail_in > 0 && rv == Z_OK) {
        c->z.next_out = (Bytef *)text;
        c->z.avail_out = sizeof(text);
        rv = inflate(&c->z, Z_NO_FLUSH);
        count(c, text, sizeof(text) - c->z.avail_out);
    }
    return rv == Z_OK || rv == Z_STREAM_END || rv == Z_BUF_ERROR;
}

static int take_bytes(connection_t *c, const char *p, size_t len)
{
    c->left -= len;
    if (c->packed)
        return unpack(c, p, len);
    count(c, p, len);
    return 1;
}

static const char *header(const connection_t *c, const char *name)
{
    return strcasestr(c->head, name);
}

static void begin_gzip(connection_t *c)
{
    memset(&c->z, 0, sizeof(c->z));
    if (inflateInit2(&c->z, 15 + 16) != Z_OK)
        exit(1);
}

/* The head is there. */
static void take_head(connection_t *c)
{
    const char *length = header(c, "\r\nContent-Length:");

    c->left = length ? strtoull(length + 17, NULL, 10) : 0;
    c->part = header(c, "\r\nTransfer-Encoding: chunked") ? CHUNK_SIZE : BODY;
    if (c->packed)
        inflateEnd(&c->z);
    c->packed = header(c, "\r\nContent-Encoding: gzip") != NULL;
    if (c->packed)
        begin_gzip(c);
}

/* One byte of a head or a chunk's size; 1 when it was the last one. */
static int ends(connection_t *c, char byte, const char *end)
{
    size_t len = strlen(end);

    if (c->head_len + 1 < HEAD_MAX)
        c->head[c->head_len++] = byte;
    if (c->head_len < len
        || memcmp(c->head + c->head_len - len, end, len) != 0)
        return 0;
    c->head[c->head_len] = '\0';
    c->head_len = 0;
    return 1;
}

/* One byte beside the lines.  Returns 0 when the connection is over. */
static int take_byte(connection_t *c, int fd, char byte)
{
    switch (c->part) {
    case HEAD:
        if (!ends(c, byte, "\r\n\r\n"))
            return 1;
        take_head(c);
        return c->part != BODY || c->left > 0 || is_whole(c, fd);
    case CHUNK_SIZE:
        if (!ends(c, byte, "\r\n"))
            return 1;
        c->left = strtoull(c->head, NULL, 16);
        c->is_last = c->left == 0;
        c->part = c->is_last ? CHUNK_END : CHUNK;
        return 1;
    default: /* CHUNK_END */
        if (!ends(c, byte, "\r\n"))
            return 1;
        c->part = CHUNK_SIZE;
        return !c->is_last || is_whole(c, fd);
    }
}

/* Takes what came; 0 when the connection is over. */
static int take(connection_t *c, int fd, const char *p, size_t len)
{
    while (len > 0) {
        size_t mine = len < c->left ? len : (size_t)c->left;

        if (c->part != BODY && c->part != CHUNK) {
            if (!take_byte(c, fd, *p))
                return 0;
            p++;
            len--;
            continue;
        }
        if (!take_bytes(c, p, mine))
            return 0;
        p += mine;
        len -= mine;
        if (c->left == 0 && c->part == CHUNK)
            c->part = CHUNK_END;
        else if (c->left == 0 && !is_whole(c, fd))
            return 0;
    }
    return 1;
}

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

static void read_one(struct pollfd *fds, connection_t *c)
{
    static char buf[1 << 18];
    ssize_t n = read(fds->fd, buf, sizeof(buf));

    if (n <= 0 || !take(c, fds->fd, buf, (size_t)n)) {
        close(fds->fd);
        fds->fd = -1;
        if (c->packed)
            inflateEnd(&c->z);
        free(c->text);
        memset(c, 0, sizeof(*c));
    }
}

void sink_serve(int listener, const sink_options_t *options)
{
    static connection_t connections[CONNECTIONS + 1];
    struct pollfd fds[CONNECTIONS + 1];
    int i;

    o = options;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (i = 0; i <= CONNECTIONS; i++)
        fds[i] = (struct pollfd){ i == 0 ? listener : -1, POLLIN, 0 };
    for (;;) {
        poll(fds, CONNECTIONS + 1, until_due(connections));
        answer_due(fds, connections);
        for (i = 1; i <= CONNECTIONS; i++) {
            if (fds[i].fd >= 0 && fds[i].revents != 0)
                read_one(&fds[i], &connections[i]);
        }
        if (fds[0].revents & POLLIN)
            accept_one(fds, connections);
    }
}
