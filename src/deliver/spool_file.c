/*
 * spool_file.c owns one file of a spool (see spool_file.h).
 * The thread that works on the spool enters it; it keeps nothing.
 * A file survives any crash from the moment it has its name.
 */
#define _GNU_SOURCE /* memrchr() */
#include "deliver/spool_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPANS_AT_ONCE 256 /* of a writev() */
#define COUNT_LINES (1 << 15)
#define READS_MOST 5 /* that the disk fails, until it is the file's fault */

/* What we open is a regular file, or it is not ours: never wait for a FIFO. */
#define OPEN_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

/* ---- what is a line ---- */

/* After a power cut, blocks of a file that were never written read as NULs. */
static int is_line(const char *p, size_t len)
{
    unsigned char first = (unsigned char)p[0];

    return p[len - 1] == '\n' && first > ' ' && first != 0x7F && first != '#'
           && memchr(p, '\0', len) == NULL;
}

/* The length of what the next LF ends, or of all that is left. */
static size_t span_length(const char *p, size_t left)
{
    const char *end = memchr(p, '\n', left);

    return end ? (size_t)(end - p) + 1 : left;
}

/* Not more than max; what is behind those is not for this piece. */
static size_t count_lines(imx_spool_content_t *c, size_t max)
{
    size_t at, len, lines = 0;

    for (at = 0; at < c->size && lines < max; at += len) {
        len = span_length(c->data + at, c->size - at);
        lines += (size_t)is_line(c->data + at, len);
    }
    if (at < c->size) {
        c->size = at;
        c->is_last = 0;
    }
    return lines;
}

/* Neighbours are one span: there is at most one more than lines. */
static void add_bad(imx_spool_content_t *c, char *p, size_t len)
{
    struct iovec *end = c->spans + c->lines + c->bad;

    if (c->bad > 0 && (char *)end[-1].iov_base + end[-1].iov_len == p) {
        end[-1].iov_len += len;
    }
    else {
        end->iov_base = p;
        end->iov_len = len;
        c->bad++;
    }
}

static void fill(imx_spool_content_t *c)
{
    size_t at, len, lines = 0;

    for (at = 0; at < c->size; at += len) {
        len = span_length(c->data + at, c->size - at);
        if (is_line(c->data + at, len)) {
            c->spans[lines].iov_base = c->data + at;
            c->spans[lines++].iov_len = len;
        }
        else {
            add_bad(c, c->data + at, len);
        }
    }
}

static int split(imx_spool_content_t *c, size_t max_lines)
{
    c->lines = count_lines(c, max_lines);
    c->spans = malloc((2 * c->lines + 1) * sizeof *c->spans);
    if (c->spans == NULL) {
        return ENOMEM;
    }
    fill(c);
    return 0;
}

/* ---- reading ---- */

void imx_spool_file_free(imx_spool_content_t *c)
{
    free(c->data);
    free(c->spans);
    memset(c, 0, sizeof *c);
}

/* How much there is to read; an error when the file is not to be read. */
static int measure(imx_spool_content_t *c, int fd, uint64_t at,
                   size_t max_bytes)
{
    struct stat st;
    uint64_t size;

    if (fstat(fd, &st) != 0) {
        return errno;
    }
    if (!S_ISREG(st.st_mode)) {
        return EINVAL;
    }
    size = (uint64_t)st.st_size > at ? (uint64_t)st.st_size - at : 0;
    c->is_last = size <= max_bytes;
    c->size = c->is_last ? (size_t)size : max_bytes;
    c->data = malloc(c->size + 1);
    return c->data ? 0 : ENOMEM;
}

static int read_bytes(imx_spool_content_t *c, int fd, uint64_t at)
{
    size_t done = 0;
    ssize_t n;

    do {
        n = pread(fd, c->data + done, c->size - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        done += n > 0 ? (size_t)n : 0;
    } while (done < c->size && n != 0);
    c->is_last |= done < c->size;
    c->size = done;
    return 0;
}

/* What begins in this piece and ends behind it is for the next one. */
static void cut(imx_spool_content_t *c)
{
    const char *lf = c->is_last ? NULL : memrchr(c->data, '\n', c->size);

    if (lf != NULL) {
        c->size = (size_t)(lf - c->data) + 1;
    }
}

static int open_file(int dir, const imx_spool_name_t *n, int flags)
{
    char name[IMX_SPOOL_NAME_SIZE];

    imx_spool_names_print(n, name);
    return openat(dir, name, OPEN_FLAGS | flags, 0600);
}

int imx_spool_file_read(imx_spool_content_t *c, int dir,
                        const imx_spool_name_t *n, size_t max_bytes,
                        size_t max_lines)
{
    int fd = open_file(dir, n, O_RDONLY), err;

    memset(c, 0, sizeof *c);
    if (fd < 0) {
        return errno;
    }
    err = measure(c, fd, n->at, max_bytes);
    err = err ? err : read_bytes(c, fd, n->at);
    close(fd);
    if (err == 0) {
        cut(c);
        err = split(c, max_lines);
    }
    if (err != 0) {
        imx_spool_file_free(c);
    }
    return err;
}

int imx_spool_file_count(int dir, imx_spool_name_t *n, size_t max_bytes,
                         uint64_t *lines)
{
    imx_spool_name_t rest = *n;
    imx_spool_content_t c;
    int err;

    rest.at = n->counted;
    err = imx_spool_file_read(&c, dir, &rest, max_bytes, COUNT_LINES);
    if (err == 0) {
        *lines += c.lines;
        n->counted = c.is_last ? IMX_SPOOL_COUNTED : n->counted + c.size;
        imx_spool_file_free(&c);
    }
    return err;
}

int imx_spool_file_may_pass(imx_spool_name_t *n, int err)
{
    n->denied = err == EACCES || err == EPERM;
    switch (err) {
    case 0:
        n->failed = 0;
        return 0;
    case EACCES:
    case EPERM:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return 1;
    case EIO:
    case ESTALE:
    case ETIMEDOUT:
        if (n->failed < READS_MOST) {
            n->failed++;
        }
        return n->failed < READS_MOST;
    default:
        return 0;
    }
}

/* ---- writing ---- */

/* EINVAL: a file system that knows no fsync() of this (of directories). */
int imx_spool_file_sync(int fd)
{
    while (fsync(fd) != 0) {
        if (errno != EINTR) {
            return errno == EINVAL ? 0 : errno;
        }
    }
    return 0;
}

/* Removes n bytes from the front; returns how many spans are left. */
static int advance(struct iovec **spans, int count, size_t n)
{
    while (count > 0 && n >= (*spans)->iov_len) {
        n -= (*spans)->iov_len;
        (*spans)++;
        count--;
    }
    if (count > 0) {
        (*spans)->iov_base = (char *)(*spans)->iov_base + n;
        (*spans)->iov_len -= n;
    }
    return count;
}

/* Changes spans. */
static int write_some(int fd, struct iovec *spans, int count)
{
    count = advance(&spans, count, 0);
    while (count > 0) {
        ssize_t n = writev(fd, spans, count);

        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            return EIO;
        }
        count = advance(&spans, count, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

static int write_all(int fd, const struct iovec *spans, size_t count)
{
    struct iovec some[SPANS_AT_ONCE];
    size_t n;
    int err = 0;

    for (; count > 0 && err == 0; spans += n, count -= n) {
        n = count < SPANS_AT_ONCE ? count : SPANS_AT_ONCE;
        memcpy(some, spans, n * sizeof *some);
        err = write_some(fd, some, (int)n);
    }
    return err;
}

int imx_spool_file_remove(int dir, const imx_spool_name_t *n)
{
    char name[IMX_SPOOL_NAME_SIZE];

    imx_spool_names_print(n, name);
    return unlinkat(dir, name, 0) == 0 ? 0 : errno;
}

void imx_spool_file_empty(int dir, const imx_spool_name_t *n)
{
    int fd = open_file(dir, n, O_WRONLY | O_TRUNC);

    if (fd >= 0) {
        imx_spool_file_sync(fd);
        close(fd);
    }
}

/* Nobody must find a rest of the file, as the caller keeps the lines. */
static void undo(int dir, const imx_spool_name_t *n)
{
    if (imx_spool_file_remove(dir, n) != 0) {
        imx_spool_file_empty(dir, n);
    }
}

static int write_file(int dir, const imx_spool_name_t *n, int fd,
                      const struct iovec *spans, size_t count)
{
    int err = write_all(fd, spans, count);

    err = err ? err : imx_spool_file_sync(fd);
    if (err != 0) {
        undo(dir, n);
    }
    return err;
}

int imx_spool_file_write(int dir, const imx_spool_name_t *n,
                         const struct iovec *spans, size_t count)
{
    int fd = open_file(dir, n, O_WRONLY | O_CREAT | O_TRUNC), err;

    if (fd < 0) {
        return errno;
    }
    err = write_file(dir, n, fd, spans, count);
    close(fd);
    return err;
}

int imx_spool_file_rename(int dir, const imx_spool_name_t *from,
                          const imx_spool_name_t *to)
{
    char old[IMX_SPOOL_NAME_SIZE], new[IMX_SPOOL_NAME_SIZE];
    struct stat st;

    imx_spool_names_print(from, old);
    imx_spool_names_print(to, new);
    if (fstatat(dir, new, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        return EEXIST;
    }
    return renameat(dir, old, dir, new) == 0 ? 0 : errno;
}

static int moves(_Atomic int *stage, int from, int to)
{
    return atomic_compare_exchange_strong(stage, &from, to);
}

/* The file has its name: is that on the disk?  Who abandoned it since then
 * counts it as stored, and so it stays. */
static int settle_name(int dir, const imx_spool_name_t *n, _Atomic int *stage)
{
    int err = imx_spool_file_sync(dir);
    int is_ours = moves(stage, IMX_SPOOL_FILE_NAMED, IMX_SPOOL_FILE_UNNAMED);

    if (err != 0 && is_ours) {
        undo(dir, n);
    }
    return is_ours ? err : 0;
}

static int finish(int dir, const imx_spool_name_t *tmp,
                  const imx_spool_name_t *n, _Atomic int *stage)
{
    int err = imx_spool_file_rename(dir, tmp, n);

    if (err != 0) {
        undo(dir, tmp);
        return err;
    }
    if (!moves(stage, IMX_SPOOL_FILE_UNNAMED, IMX_SPOOL_FILE_NAMED)) {
        undo(dir, n); /* abandoned just now */
        return ECANCELED;
    }
    return settle_name(dir, n, stage);
}

/*
 * The file is locked until it has its name: a server that starts while the one
 * before it still writes must not take it for the file of a dead writer.
 * Between making and locking it can: then it removes the empty file, and we
 * make another one.
 */
static int make_locked(int dir, const imx_spool_name_t *tmp, int *fd)
{
    int tries, is_taken;
    struct stat st;

    for (tries = 0; tries < 3; tries++) {
        *fd = open_file(dir, tmp, O_WRONLY | O_CREAT | O_EXCL);
        if (*fd < 0) {
            return errno;
        }
        /* A file system without locks has to do without. */
        is_taken = flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!is_taken && (fstat(*fd, &st) != 0 || st.st_nlink > 0)) {
            return 0;
        }
        undo(dir, tmp);
        close(*fd);
    }
    return EAGAIN;
}

int imx_spool_file_store(int dir, const imx_spool_name_t *n, uint32_t writer,
                         const struct iovec *lines, size_t count,
                         _Atomic int *stage)
{
    imx_spool_name_t tmp = *n;
    int fd, err;

    tmp.kind = IMX_SPOOL_UNFINISHED;
    tmp.number = writer != 0 ? writer : n->number;
    err = make_locked(dir, &tmp, &fd);
    if (err != 0) {
        return err;
    }
    err = write_file(dir, &tmp, fd, lines, count);
    if (err == 0 && atomic_load(stage) == IMX_SPOOL_FILE_ABANDONED) {
        undo(dir, &tmp);
        err = ECANCELED;
    }
    err = err ? err : finish(dir, &tmp, n, stage);
    close(fd);
    return err;
}

int imx_spool_file_lock(int dir, const imx_spool_name_t *n, int *fd)
{
    *fd = open_file(dir, n, O_RDWR);
    if (*fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS)) {
        *fd = open_file(dir, n, O_RDONLY);
    }
    if (*fd < 0) {
        return errno;
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(*fd);
        *fd = -1;
        return EWOULDBLOCK;
    }
    return 0;
}
