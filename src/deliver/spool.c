/*
 * spool.c owns the files of lines in one directory (see spool.h).
 * Entered only by the thread that opened it: the monitor of the lease's
 * holder, or the helper that writes what is left when the server ends.
 * The directory survives any crash; all that is in memory is made from it.
 */
#define _GNU_SOURCE /* memrchr() */
#include "deliver/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE (19 + 1 + 8 + 1 + 6 + 1 + 12 + sizeof ".tmp")
#define OFFSET_MAX UINT64_C(999999999999)
#define TIME_MAX ((uint64_t)INT64_MAX)
#define NUMBER_MAX 99999999u
#define SECOND UINT64_C(1000000000)
#define SPANS_AT_ONCE 256     /* of a writev() */
#define TEXT_MAX 5120         /* bytes of a log line: it names paths */
#define USELESS_AT_ONCE 100   /* files without a line, in one call */
#define PIECE_BYTES (1 << 20) /* to count the lines of what was left */
#define PIECE_LINES (1 << 15)

/* What we open is a regular file, or it is not ours: never wait for a FIFO. */
#define OPEN_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

typedef enum {
    READY = 0, /* *.lp */
    DELIVERED, /* *.lp that could not be removed */
    SKIPPED,   /* *.lp that can be neither read nor moved */
    BAD,       /* *.bad */
    UNFINISHED /* *.tmp, only while the directory is being looked at */
} kind_e;

typedef struct {
    uint64_t time, bytes;
    uint64_t offset; /* of what is to be delivered, as the name says, */
    uint64_t at;     /* and really: it could not be renamed */
    uint32_t number;
    uint32_t named; /* lines, as the name says */
    uint32_t lines; /* lines that we count on; 0 when it is not READY */
    unsigned char kind;
    unsigned char unsaved; /* what is no line could not be copied to *.bad */
} entry_t;

/* all[first .. first + count), by age: the oldest goes without a memmove(). */
typedef struct {
    entry_t *all;
    size_t first, count, room;
} list_t;

/* A piece in memory: what is a line, then, in its order, what is none. */
typedef struct {
    char *data;
    size_t size;
    struct iovec *spans;
    size_t lines, bad;
    int is_last; /* nothing is behind it */
} content_t;

struct imx_spool {
    char *dir;
    uint64_t max_bytes;
    imx_log_fn log;
    void *log_context;
    int fd;           /* of the directory; -1: it is gone */
    struct stat seen; /* the directory, as the list knows it */
    int blind;        /* somebody may have changed it together with us */
    list_t list;
    entry_t newest; /* the newest name, here or ever given */
    uint64_t found, lost;
    int trouble; /* errno of what was logged, 0 after a success */

    /* the file that is being read */
    int reading;
    entry_t current; /* its name in the list */
    uint64_t start;  /* of the piece, in the file */
    size_t finished; /* lines of it that are done */
    size_t copied;   /* bad spans of it that are in *.bad */
    content_t content;

    uint64_t told_time; /* of the file whose bad bytes the log tells of */
    uint32_t told_number;
};

/* ---- names ---- */

static const char *const suffixes[] = { ".lp", ".lp", ".lp", ".bad", ".tmp" };

static void entry_name(const entry_t *e, char *name)
{
    char offset[16] = "";

    if (e->offset > 0) {
        snprintf(offset, sizeof offset, "-%012llu",
                 (unsigned long long)e->offset % (OFFSET_MAX + 1));
    }
    snprintf(name, NAME_SIZE, "%019llu-%08u-%06u%s%s",
             (unsigned long long)e->time, e->number % (NUMBER_MAX + 1),
             e->named % (IMX_SPOOL_LINES_MAX + 1), offset, suffixes[e->kind]);
}

/* Exactly n digits at *p, which moves behind them. */
static int digits(const char **p, int n, uint64_t *value)
{
    *value = 0;
    for (; n > 0; n--, (*p)++) {
        if (**p < '0' || **p > '9') {
            return 0;
        }
        *value = *value * 10 + (uint64_t)(**p - '0');
    }
    return 1;
}

static int suffix_parse(const char *suffix, unsigned char *kind)
{
    static const kind_e kinds[] = { READY, BAD, UNFINISHED };
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(suffix, suffixes[kinds[i]]) == 0) {
            *kind = (unsigned char)kinds[i];
            return 1;
        }
    }
    return 0;
}

/* Is it one of ours?  Then *e is what the name says. */
static int entry_parse(entry_t *e, const char *name)
{
    uint64_t number, named;

    memset(e, 0, sizeof *e);
    if (!digits(&name, 19, &e->time) || *name++ != '-'
        || !digits(&name, 8, &number) || *name++ != '-'
        || !digits(&name, 6, &named) || e->time > TIME_MAX) {
        return 0;
    }
    if (*name == '-') {
        name++;
        if (!digits(&name, 12, &e->offset) || e->offset == 0) {
            return 0;
        }
    }
    e->at = e->offset;
    e->number = (uint32_t)number;
    e->named = (uint32_t)named;
    return suffix_parse(name, &e->kind);
}

static int by_age(const void *a, const void *b)
{
    const entry_t *left = a, *right = b;

    if (left->time != right->time) {
        return left->time < right->time ? -1 : 1;
    }
    if (left->number != right->number) {
        return left->number < right->number ? -1 : 1;
    }
    if ((left->kind == BAD) != (right->kind == BAD)) {
        return left->kind == BAD ? 1 : -1;
    }
    if (left->named != right->named) {
        return left->named < right->named ? -1 : 1;
    }
    return (left->offset > right->offset) - (left->offset < right->offset);
}

static void note_newest(imx_spool_t *s, const entry_t *e)
{
    if (e->time > s->newest.time
        || (e->time == s->newest.time && e->number > s->newest.number)) {
        s->newest.time = e->time;
        s->newest.number = e->number;
    }
}

/* A name behind all others, whatever the clock says. */
static int entry_new(imx_spool_t *s, entry_t *e, size_t lines, uint64_t bytes)
{
    struct timespec t;
    uint64_t now;

    clock_gettime(CLOCK_REALTIME, &t);
    now = t.tv_sec > 0 ? (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec : 0;
    memset(e, 0, sizeof *e);
    e->time = s->newest.time;
    e->number = s->newest.number;
    if (now > e->time) {
        e->time = now;
        e->number = 0;
    }
    else if (e->number++ == NUMBER_MAX) {
        e->time++;
        e->number = 0;
    }
    e->named = e->lines = (uint32_t)lines;
    e->bytes = bytes;
    if (e->time > TIME_MAX) {
        return EOVERFLOW;
    }
    note_newest(s, e);
    return 0;
}

/* ---- the list ---- */

static entry_t *list_at(const list_t *l, size_t i)
{
    return l->all + l->first + i;
}

/* Room for one more; returns 0 or ENOMEM. */
static int list_reserve(list_t *l)
{
    size_t room = l->room * 2 + 64;
    entry_t *all;

    if (l->first + l->count < l->room) {
        return 0;
    }
    if (l->first > l->count) {
        memcpy(l->all, list_at(l, 0), l->count * sizeof *all);
        l->first = 0;
        return 0;
    }
    all = realloc(l->all, room * sizeof *all);
    if (all == NULL) {
        return ENOMEM;
    }
    l->all = all;
    l->room = room;
    return 0;
}

static int list_add(list_t *l, const entry_t *e)
{
    int err = list_reserve(l);

    if (err == 0) {
        *list_at(l, l->count++) = *e;
    }
    return err;
}

static void list_remove(list_t *l, size_t i)
{
    memmove(list_at(l, 1), list_at(l, 0), i * sizeof(entry_t));
    l->first++;
    l->count--;
}

static void list_sort(list_t *l)
{
    if (l->count > 1) {
        qsort(list_at(l, 0), l->count, sizeof(entry_t), by_age);
    }
}

/* The index of the entry with e's name, or count. */
static size_t list_find(const list_t *l, const entry_t *e)
{
    const entry_t *at = NULL;

    if (l->count > 0) {
        at = bsearch(e, list_at(l, 0), l->count, sizeof *e, by_age);
    }
    return at ? (size_t)(at - list_at(l, 0)) : l->count;
}

static uint64_t list_lines(const list_t *l)
{
    uint64_t lines = 0;
    size_t i;

    for (i = 0; i < l->count; i++) {
        lines += list_at(l, i)->lines;
    }
    return lines;
}

/* ---- the log ---- */

static void say(const imx_spool_t *s, imx_log_level_e level, int err,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

/* %m in format is err's text, and safe in any thread. */
static void say(const imx_spool_t *s, imx_log_level_e level, int err,
                const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    if (s->log == NULL) {
        return;
    }
    va_start(args, format);
    errno = err;
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->log(s->log_context, level, text);
}

/* A disk that is broken is told of once, until something has worked. */
static int is_new_trouble(imx_spool_t *s, int err)
{
    int first = s->trouble == 0;

    s->trouble = err;
    return first;
}

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
static size_t count_lines(content_t *c, size_t max)
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
static void content_add_bad(content_t *c, char *p, size_t len)
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

static void content_fill(content_t *c)
{
    size_t at, len, lines = 0;

    for (at = 0; at < c->size; at += len) {
        len = span_length(c->data + at, c->size - at);
        if (is_line(c->data + at, len)) {
            c->spans[lines].iov_base = c->data + at;
            c->spans[lines++].iov_len = len;
        }
        else {
            content_add_bad(c, c->data + at, len);
        }
    }
}

static int content_split(content_t *c, size_t max_lines)
{
    c->lines = count_lines(c, max_lines);
    c->spans = malloc((2 * c->lines + 1) * sizeof *c->spans);
    if (c->spans == NULL) {
        return ENOMEM;
    }
    content_fill(c);
    return 0;
}

/* ---- how the directory is known ---- */

/* We have changed it, and the list with it: no reason to look again. */
static void dir_remember(imx_spool_t *s)
{
    s->blind = 1;
    if (s->fd >= 0 && fstat(s->fd, &s->seen) != 0) {
        memset(&s->seen, 0, sizeof s->seen);
    }
}

/* ---- reading a file ---- */

static void content_free(content_t *c)
{
    free(c->data);
    free(c->spans);
    memset(c, 0, sizeof *c);
}

/* How much there is to read, if it is to be read at all. */
static int content_measure(content_t *c, int fd, uint64_t at, size_t max_bytes)
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

static int content_read(content_t *c, int fd, uint64_t at)
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
static void content_cut(content_t *c)
{
    const char *lf = c->is_last ? NULL : memrchr(c->data, '\n', c->size);

    if (lf != NULL) {
        c->size = (size_t)(lf - c->data) + 1;
    }
}

/* The next piece of it. */
static int content_load(content_t *c, const imx_spool_t *s, const entry_t *e,
                        size_t max_bytes, size_t max_lines)
{
    char name[NAME_SIZE];
    int fd, err;

    memset(c, 0, sizeof *c);
    entry_name(e, name);
    fd = openat(s->fd, name, O_RDONLY | OPEN_FLAGS);
    if (fd < 0) {
        return errno;
    }
    err = content_measure(c, fd, e->at, max_bytes);
    err = err ? err : content_read(c, fd, e->at);
    close(fd);
    if (err == 0) {
        content_cut(c);
        err = content_split(c, max_lines);
    }
    if (err != 0) {
        content_free(c);
    }
    return err;
}

/* Not the file's fault: try again later. */
static int is_passing(int err)
{
    return err == ENOMEM || err == EMFILE || err == ENFILE;
}

/* ---- writing a file ---- */

/* EINVAL: a file system that knows no fsync() of this (of directories). */
static int sync_fd(int fd)
{
    while (fsync(fd) != 0) {
        if (errno != EINTR) {
            return errno == EINVAL ? 0 : errno;
        }
    }
    return 0;
}

/* Removes n bytes from the front; returns how many spans are left. */
static int spans_advance(struct iovec **spans, int count, size_t n)
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
    count = spans_advance(&spans, count, 0);
    while (count > 0) {
        ssize_t n = writev(fd, spans, count);

        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            return EIO;
        }
        count = spans_advance(&spans, count, n > 0 ? (size_t)n : 0);
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

static int file_unlink(const imx_spool_t *s, const entry_t *e)
{
    char name[NAME_SIZE];

    entry_name(e, name);
    return unlinkat(s->fd, name, 0) == 0 ? 0 : errno;
}

/* What cannot be removed shall at least not be sent by the next process. */
static void file_empty(const imx_spool_t *s, const entry_t *e)
{
    char name[NAME_SIZE];
    int fd;

    entry_name(e, name);
    fd = openat(s->fd, name, O_WRONLY | O_TRUNC | OPEN_FLAGS);
    if (fd >= 0) {
        sync_fd(fd);
        close(fd);
    }
}

/* Nothing of it shall be found, as the caller keeps the lines. */
static void file_undo(const imx_spool_t *s, const entry_t *e)
{
    if (file_unlink(s, e) != 0) {
        file_empty(s, e);
    }
}

static int file_open(const imx_spool_t *s, const entry_t *e, int flags)
{
    char name[NAME_SIZE];

    entry_name(e, name);
    return openat(s->fd, name, O_WRONLY | O_CREAT | OPEN_FLAGS | flags, 0600);
}

static int file_fill(const imx_spool_t *s, const entry_t *e, int fd,
                     const struct iovec *spans, size_t count)
{
    int err = write_all(fd, spans, count);

    err = err ? err : sync_fd(fd);
    if (err != 0) {
        file_undo(s, e);
    }
    return err;
}

static int file_write(const imx_spool_t *s, const entry_t *e, int flags,
                      const struct iovec *spans, size_t count)
{
    int fd = file_open(s, e, flags), err;

    if (fd < 0) {
        return errno;
    }
    err = file_fill(s, e, fd, spans, count);
    close(fd);
    return err;
}

/* Never over a file that is there. */
static int file_rename(const imx_spool_t *s, const entry_t *from,
                       const entry_t *to)
{
    char old[NAME_SIZE], new[NAME_SIZE];
    struct stat st;

    entry_name(from, old);
    entry_name(to, new);
    if (fstatat(s->fd, new, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        return EEXIST;
    }
    return renameat(s->fd, old, s->fd, new) == 0 ? 0 : errno;
}

static int file_finish(const imx_spool_t *s, const entry_t *tmp,
                       const entry_t *e)
{
    int err = file_rename(s, tmp, e);

    if (err != 0) {
        file_undo(s, tmp);
        return err;
    }
    err = sync_fd(s->fd);
    if (err != 0) {
        file_undo(s, e);
    }
    return err;
}

/*
 * Locked until it has its name: a server that is started while the one before
 * it still writes what is left must not take this for what a dead writer left.
 */
static int file_store(const imx_spool_t *s, const entry_t *e,
                      const struct iovec *lines, size_t count)
{
    entry_t tmp = *e;
    int fd, err;

    tmp.kind = UNFINISHED;
    fd = file_open(s, &tmp, O_EXCL);
    if (fd < 0) {
        return errno;
    }
    flock(fd, LOCK_EX | LOCK_NB); /* where it is not known: without */
    err = file_fill(s, &tmp, fd, lines, count);
    err = err ? err : file_finish(s, &tmp, e);
    close(fd);
    return err;
}

/* ---- quarantine ---- */

static void say_quarantined(imx_spool_t *s, const entry_t *e, int why)
{
    char name[NAME_SIZE];

    entry_name(e, name);
    if (why == 0) {
        say(s, IMX_LOG_ERROR, 0, IMX_LOGNO(41) "spool %s: quarantined %s: it "
            "has no whole line", s->dir, name);
    }
    else {
        say(s, IMX_LOG_ERROR, why, IMX_LOGNO(47) "spool %s: quarantined %s: "
            "it cannot be read: %m", s->dir, name);
    }
}

static void say_stuck(imx_spool_t *s, const entry_t *e, int err)
{
    char name[NAME_SIZE];

    entry_name(e, name);
    if (is_new_trouble(s, err)) {
        say(s, IMX_LOG_ERROR, err, IMX_LOGNO(45) "spool %s: cannot rename %s, "
            "it is left alone: %m", s->dir, name);
    }
}

/* The whole file; its lines are lost.  Returns 0 or errno. */
static int quarantine(imx_spool_t *s, entry_t *e, int why)
{
    entry_t bad = *e;
    int err;

    s->lost += e->lines;
    e->lines = bad.lines = 0;
    bad.kind = BAD;
    err = file_rename(s, e, &bad);
    if (err != 0) {
        e->kind = SKIPPED;
        say_stuck(s, &bad, err);
        return err;
    }
    *e = bad;
    say_quarantined(s, e, why);
    return 0;
}

static void list_note(list_t *l, const entry_t *e)
{
    size_t i = list_find(l, e);

    if (i < l->count) {
        *list_at(l, i) = *e;
    }
    else if (list_add(l, e) == 0) {
        list_sort(l);
    }
}

/* One line a file, also when there is much of it. */
static void say_set_aside(imx_spool_t *s, const entry_t *bad)
{
    char name[NAME_SIZE];

    if (s->told_time == bad->time && s->told_number == bad->number) {
        return;
    }
    s->told_time = bad->time;
    s->told_number = bad->number;
    entry_name(bad, name);
    say(s, IMX_LOG_ERROR, 0, IMX_LOGNO(40) "spool %s: %llu bytes that are no "
        "whole lines were moved to %s", s->dir, (unsigned long long)bad->bytes,
        name);
}

/* The bad spans that stand before end, from the first that was not copied. */
static size_t bad_before(const imx_spool_t *s, const char *end,
                         uint64_t *bytes)
{
    const struct iovec *bad = s->content.spans + s->content.lines + s->copied;
    size_t n = 0;

    *bytes = 0;
    while (s->copied + n < s->content.bad && (char *)bad[n].iov_base < end) {
        *bytes += bad[n++].iov_len;
    }
    return n;
}

/*
 * Copies what is no line, before end, to *.bad.  A process before may have done
 * it and died before the file was renamed: then the same is written again.
 */
static void set_aside(imx_spool_t *s, entry_t *e, const char *end)
{
    const content_t *c = &s->content;
    entry_t bad = *e;
    size_t n = bad_before(s, end, &bad.bytes);
    char name[NAME_SIZE];
    int err;

    if (n == 0) {
        return;
    }
    bad.kind = BAD;
    bad.lines = 0;
    err = file_write(s, &bad, O_TRUNC, c->spans + c->lines + s->copied, n);
    s->copied += n;
    e->unsaved |= err != 0;
    if (err == 0) {
        say_set_aside(s, &bad);
        list_note(&s->list, &bad);
    }
    else if (is_new_trouble(s, err)) {
        entry_name(&bad, name);
        say(s, IMX_LOG_ERROR, err, IMX_LOGNO(46) "spool %s: cannot write %s: "
            "%m", s->dir, name);
    }
}

/* ---- what a dead writer left ---- */

/* Its last system call may have been any: nothing is known to be on disk. */
static int file_sync(const imx_spool_t *s, const entry_t *e)
{
    char name[NAME_SIZE];
    int fd, err;

    entry_name(e, name);
    fd = openat(s->fd, name, O_RDONLY | OPEN_FLAGS);
    if (fd < 0) {
        return errno;
    }
    err = sync_fd(fd);
    close(fd);
    return err;
}

static int salvage_lines(imx_spool_t *s, entry_t *e, size_t lines)
{
    entry_t kept = *e;
    int err;

    kept.kind = READY;
    kept.named = lines < IMX_SPOOL_LINES_MAX ? (uint32_t)lines
                                             : IMX_SPOOL_LINES_MAX;
    kept.lines = kept.named;
    err = file_sync(s, e);
    err = err ? err : file_rename(s, e, &kept);
    if (err != 0) {
        say_stuck(s, e, err);
        return 0;
    }
    say(s, IMX_LOG_NOTICE, 0, IMX_LOGNO(42) "spool %s: kept %zu lines of a "
        "file whose writer died before it was finished", s->dir, lines);
    *e = kept;
    return 1;
}

/* A file larger than we write one is not ours: it is not read to its end. */
static int count_all(const imx_spool_t *s, const entry_t *e, size_t *lines)
{
    entry_t rest = *e;
    content_t c;
    int err, is_last;

    *lines = 0;
    do {
        err = content_load(&c, s, &rest, PIECE_BYTES, PIECE_LINES);
        if (err != 0) {
            return err;
        }
        *lines += c.lines;
        rest.at += c.size;
        is_last = c.is_last;
        content_free(&c);
    } while (!is_last && rest.at < IMX_SPOOL_FILE_MAX
             && *lines < IMX_SPOOL_LINES_MAX);
    return 0;
}

/* *.tmp to *.lp or *.bad; returns 0 when it is not to be listed. */
static int salvage(imx_spool_t *s, entry_t *e)
{
    size_t lines;
    int err = count_all(s, e, &lines);

    if (err == ENOENT) {
        return 0;
    }
    if (err == 0 && e->bytes == 0) {
        file_unlink(s, e);
        return 0;
    }
    if (err == 0 && lines > 0) {
        return salvage_lines(s, e, lines);
    }
    if (is_passing(err)) {
        say_stuck(s, e, err);
        return 0;
    }
    return quarantine(s, e, err) == 0;
}

/* The kernel unlocks what a dead writer had locked. */
static int is_being_written(const imx_spool_t *s, const entry_t *e)
{
    char name[NAME_SIZE];
    int fd, rv;

    entry_name(e, name);
    fd = openat(s->fd, name, O_RDONLY | OPEN_FLAGS);
    if (fd < 0) {
        return 0;
    }
    rv = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return rv;
}

/* Returns how many *.tmp there were. */
static int salvage_all(imx_spool_t *s, list_t *l)
{
    size_t i, kept = 0;
    int found = 0;

    for (i = 0; i < l->count; i++) {
        entry_t *e = list_at(l, i);

        if (e->kind == UNFINISHED) {
            found++;
            if (is_being_written(s, e) || !salvage(s, e)) {
                continue;
            }
        }
        *list_at(l, kept++) = *e;
    }
    l->count = kept;
    return found;
}

/* ---- the directory ---- */

static int dir_read_entry(imx_spool_t *s, list_t *l, const char *name)
{
    entry_t e;
    struct stat st;

    if (!entry_parse(&e, name)
        || fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0
        || !S_ISREG(st.st_mode)) {
        return 0;
    }
    e.bytes = (uint64_t)st.st_size;
    e.lines = e.kind == READY && e.bytes > e.offset ? e.named : 0;
    note_newest(s, &e);
    return list_add(l, &e);
}

static int dir_read(imx_spool_t *s, list_t *l)
{
    int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *item;
    int err;

    if (dir == NULL) {
        err = errno;
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    do {
        errno = 0;
        item = readdir(dir);
        err = item ? dir_read_entry(s, l, item->d_name) : errno;
    } while (item != NULL && err == 0);
    closedir(dir);
    return err;
}

/* What is known of an entry and cannot be seen in the directory.  One that was
 * delivered stays until it is known to be gone: it may come back. */
static int list_carry(const imx_spool_t *s, list_t *fresh, const entry_t *old)
{
    int stays = old->kind == DELIVERED
                || (s->reading && by_age(old, &s->current) == 0);
    size_t i;
    int err;

    if (!stays && old->at == old->offset && !old->unsaved) {
        return 0;
    }
    i = list_find(fresh, old);
    if (i < fresh->count) {
        list_at(fresh, i)->kind = old->kind;
        list_at(fresh, i)->lines = old->lines;
        list_at(fresh, i)->at = old->at;
        list_at(fresh, i)->unsaved = old->unsaved;
        return 0;
    }
    if (!stays) {
        return 0;
    }
    err = list_add(fresh, old);
    list_sort(fresh);
    return err;
}

/* From now on fresh, which is taken over, is the list. */
static int list_adopt(imx_spool_t *s, list_t *fresh)
{
    uint64_t before = list_lines(&s->list), after;
    size_t i;
    int err = 0;

    list_sort(fresh);
    for (i = 0; i < s->list.count && err == 0; i++) {
        err = list_carry(s, fresh, list_at(&s->list, i));
    }
    if (err != 0) {
        return err;
    }
    after = list_lines(fresh);
    s->found += after > before ? after - before : 0;
    s->lost += before > after ? before - after : 0;
    free(s->list.all);
    s->list = *fresh;
    memset(fresh, 0, sizeof *fresh);
    return 0;
}

static int dir_scan(imx_spool_t *s)
{
    list_t fresh = { NULL, 0, 0, 0 };
    struct stat before;
    int err = fstat(s->fd, &before) == 0 ? 0 : errno;

    err = err ? err : dir_read(s, &fresh);
    if (err == 0 && salvage_all(s, &fresh) > 0) {
        sync_fd(s->fd);
    }
    err = err ? err : list_adopt(s, &fresh);
    free(fresh.all);
    if (err == 0) {
        s->seen = before;
        s->blind = 0;
    }
    return err;
}

/* It is gone: what was in it is lost, unless it comes back. */
static void dir_leave(imx_spool_t *s)
{
    list_t nothing = { NULL, 0, 0, 0 };

    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
        list_adopt(s, &nothing);
        free(nothing.all);
    }
}

/* May we put lines there that InfluxDB will get in our name? */
static int dir_check(int fd, const char **fault)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return errno;
    }
    if (st.st_uid != geteuid()) {
        *fault = "it belongs to another user";
        return EPERM;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        *fault = "others may write to it";
        return EPERM;
    }
    return faccessat(fd, ".", R_OK | W_OK | X_OK, 0) == 0 ? 0 : errno;
}

/* fault: a sentence, or left alone when errno says it all. */
static int dir_attach(imx_spool_t *s, const char **fault)
{
    int fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int err;

    if (fd < 0) {
        err = errno;
        if (err == ELOOP || err == ENOTDIR) {
            *fault = "it is no directory (a symbolic link is not followed)";
        }
        return err;
    }
    err = dir_check(fd, fault);
    if (err != 0) {
        close(fd);
        return err;
    }
    s->fd = fd;
    return 0;
}

static int is_same_dir(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec
           && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/*
 * Before anything is done: is it the directory that we know, as we know it?
 * While it is open its inode number cannot be given to another.
 */
static int dir_enter(imx_spool_t *s)
{
    struct stat now;
    const char *fault;
    int err;

    if (fstatat(AT_FDCWD, s->dir, &now, AT_SYMLINK_NOFOLLOW) != 0) {
        err = errno;
        if (err == ENOENT || err == ENOTDIR) {
            dir_leave(s);
        }
        return err;
    }
    if (s->fd >= 0 && !is_same_dir(&now, &s->seen)) {
        dir_leave(s);
    }
    if (s->fd >= 0 && is_unchanged(&now, &s->seen)) {
        return 0;
    }
    err = s->fd >= 0 ? 0 : dir_attach(s, &fault);
    return err ? err : dir_scan(s);
}

/* ---- room ---- */

static uint64_t bytes_used(const imx_spool_t *s)
{
    uint64_t bytes = 0;
    size_t i;

    for (i = 0; i < s->list.count; i++) {
        bytes += list_at(&s->list, i)->bytes;
    }
    return bytes;
}

/* Removes it, if it is of that kind; returns 1 when it is gone. */
static int give_up(imx_spool_t *s, size_t i, int ready, uint64_t *dropped)
{
    entry_t *e = list_at(&s->list, i);
    int err;

    if ((e->kind == READY) != ready
        || (s->reading && by_age(e, &s->current) == 0)) {
        return 0;
    }
    err = file_unlink(s, e);
    if (err != 0 && err != ENOENT) {
        return 0;
    }
    *(err == 0 ? dropped : &s->lost) += e->lines;
    list_remove(&s->list, i);
    return 1;
}

/* What holds no points goes first, then the oldest. */
static int make_room(imx_spool_t *s, uint64_t bytes, uint64_t *dropped)
{
    uint64_t used = bytes_used(s), freed;
    size_t i;
    int ready;

    if (s->max_bytes == 0) {
        return 0;
    }
    if (bytes > s->max_bytes) {
        return EFBIG;
    }
    for (ready = 0; ready <= 1; ready++) {
        for (i = 0; i < s->list.count && used + bytes > s->max_bytes;) {
            freed = list_at(&s->list, i)->bytes;
            if (give_up(s, i, ready, dropped)) {
                used -= freed;
            }
            else {
                i++;
            }
        }
    }
    return used + bytes > s->max_bytes ? EDQUOT : 0;
}

/* ---- what the caller sees ---- */

int imx_spool_open(imx_spool_t **out, const char *dir, uint64_t max_bytes,
                   imx_log_fn log, void *log_context, char *reason)
{
    imx_spool_t *s = calloc(1, sizeof *s);
    const char *fault = NULL;
    int err = ENOMEM;

    *out = NULL;
    if (s != NULL) {
        s->fd = -1;
        s->max_bytes = max_bytes;
        s->log = log;
        s->log_context = log_context;
        s->dir = strdup(dir);
        err = s->dir ? dir_attach(s, &fault) : ENOMEM;
        err = err ? err : dir_scan(s);
    }
    if (err != 0) {
        imx_spool_close(s);
        errno = err;
        snprintf(reason, IMX_SPOOL_REASON_MAX, fault ? "%s" : "%m", fault);
        return err;
    }
    *out = s;
    return 0;
}

static int measure(const struct iovec *lines, size_t count, uint64_t *bytes)
{
    size_t i;

    *bytes = 0;
    for (i = 0; i < count; i++) {
        *bytes += lines[i].iov_len;
    }
    if (*bytes == 0) {
        return EINVAL;
    }
    if (count > IMX_SPOOL_LINES_MAX || *bytes > IMX_SPOOL_FILE_MAX) {
        return EFBIG;
    }
    return 0;
}

int imx_spool_put(imx_spool_t *s, const struct iovec *lines, size_t count,
                  uint64_t *dropped)
{
    entry_t e;
    uint64_t bytes;
    int err = measure(lines, count, &bytes);

    *dropped = 0;
    err = err ? err : dir_enter(s);
    err = err ? err : list_reserve(&s->list);
    err = err ? err : make_room(s, bytes, dropped);
    err = err ? err : entry_new(s, &e, count, bytes);
    err = err ? err : file_store(s, &e, lines, count);
    if (err == 0) {
        list_add(&s->list, &e);
        s->trouble = 0;
    }
    dir_remember(s);
    return err;
}

/* It is gone, with what was to be delivered of it. */
static void forget(imx_spool_t *s, size_t i)
{
    s->lost += list_at(&s->list, i)->lines;
    list_remove(&s->list, i);
}

static void discard_empty(imx_spool_t *s, size_t i)
{
    char name[NAME_SIZE];

    entry_name(list_at(&s->list, i), name);
    if (file_unlink(s, list_at(&s->list, i)) == 0
        && list_at(&s->list, i)->at == 0) {
        say(s, IMX_LOG_NOTICE, 0, IMX_LOGNO(44) "spool %s: removed %s, which "
            "was empty", s->dir, name);
    }
    forget(s, i);
}

/* From now on the account has the lines that are there. */
static void adjust(imx_spool_t *s, entry_t *e, const content_t *c)
{
    uint32_t lines = (uint32_t)c->lines;

    if (lines > e->lines) {
        s->found += lines - e->lines;
        e->lines = lines;
    }
    else if (c->is_last) {
        s->lost += e->lines - lines;
        e->lines = lines;
    }
}

static void give(imx_spool_t *s, entry_t *e, const content_t *c)
{
    adjust(s, e, c);
    s->current = *e;
    s->content = *c;
    s->start = e->at;
    s->finished = s->copied = 0;
    s->reading = 1;
}

/* 1: it is given; 0: look at this place of the list again; -1: errno. */
static int take(imx_spool_t *s, size_t i, size_t max_bytes, size_t max_lines)
{
    entry_t *e = list_at(&s->list, i);
    content_t c;
    int err = content_load(&c, s, e, max_bytes, max_lines);

    if (is_passing(err)) {
        errno = err;
        return -1;
    }
    if (err == ENOENT) {
        forget(s, i);
        return 0;
    }
    if (err == 0 && c.lines > 0) {
        give(s, e, &c);
        return 1;
    }
    if (err == 0 && c.size == 0) {
        discard_empty(s, i);
        content_free(&c);
    }
    else if (err == 0 && c.is_last && e->at > 0) {
        give(s, e, &c); /* what stands behind the last line */
        imx_spool_done(s, 0);
    }
    else {
        quarantine(s, e, err);
        content_free(&c);
    }
    return 0;
}

/* Not removed when it was delivered: perhaps now. */
static int is_swept(imx_spool_t *s, size_t i)
{
    int err = file_unlink(s, list_at(&s->list, i));

    if (err != 0 && err != ENOENT) {
        return 0;
    }
    list_remove(&s->list, i);
    return 1;
}

static int take_oldest(imx_spool_t *s, size_t max_bytes, size_t max_lines)
{
    size_t i = 0;
    int useless = 0;

    while (i < s->list.count && useless < USELESS_AT_ONCE) {
        unsigned kind = list_at(&s->list, i)->kind;
        int taken = 0;

        if (kind == READY) {
            taken = take(s, i, max_bytes, max_lines);
            useless++;
        }
        else if (kind != DELIVERED || !is_swept(s, i)) {
            i++;
        }
        if (taken != 0) {
            return taken;
        }
    }
    return 0;
}

/* Before it is said that there is nothing. */
static int look_again(imx_spool_t *s, size_t max_bytes, size_t max_lines)
{
    int err = dir_scan(s);

    if (err != 0) {
        errno = err;
        return -1;
    }
    return take_oldest(s, max_bytes, max_lines);
}

void imx_spool_look(imx_spool_t *s)
{
    dir_enter(s);
}

int imx_spool_oldest(imx_spool_t *s, size_t max_bytes, size_t max_lines,
                     imx_spool_piece_t *piece)
{
    int err, taken;

    imx_spool_keep(s);
    err = dir_enter(s);
    if (err != 0) {
        errno = err;
        return -1;
    }
    taken = take_oldest(s, max_bytes, max_lines);
    if (taken == 0 && s->blind) {
        taken = look_again(s, max_bytes, max_lines);
    }
    piece->lines = s->content.spans;
    piece->count = s->content.lines;
    return taken;
}

static void finish_stuck(imx_spool_t *s, entry_t *e, int err)
{
    char name[NAME_SIZE];

    entry_name(e, name);
    file_empty(s, e);
    e->kind = DELIVERED;
    e->lines = 0;
    if (is_new_trouble(s, err)) {
        say(s, IMX_LOG_ERROR, err, IMX_LOGNO(43) "spool %s: cannot remove %s, "
            "which was delivered: %m", s->dir, name);
    }
}

/* All of the file is done. */
static void finish(imx_spool_t *s, size_t i)
{
    entry_t *e = list_at(&s->list, i), bad = *e;
    int err;

    bad.kind = BAD;
    bad.lines = 0;
    if (e->unsaved && file_rename(s, e, &bad) == 0) {
        *e = bad;
        return;
    }
    err = file_unlink(s, e);
    if (err != 0 && err != ENOENT) {
        finish_stuck(s, e, err);
        return;
    }
    list_remove(&s->list, i);
    s->trouble = 0;
}

static void say_not_renamed(imx_spool_t *s, const entry_t *e, int err)
{
    char name[NAME_SIZE];

    entry_name(e, name);
    if (is_new_trouble(s, err)) {
        say(s, IMX_LOG_ERROR, err, IMX_LOGNO(48) "spool %s: cannot rename %s, "
            "of which a part was delivered: %m", s->dir, name);
    }
}

/* The next lines of the file are done, and others are behind them. */
static void move_on(imx_spool_t *s, size_t i, size_t count, uint64_t at)
{
    entry_t *e = list_at(&s->list, i), next;
    int err;

    e->at = at;
    e->lines -= count < e->lines ? (uint32_t)count : e->lines;
    next = *e;
    next.offset = at;
    next.named = e->lines;
    err = at <= OFFSET_MAX ? file_rename(s, e, &next) : EFBIG;
    if (err == ENOENT) {
        forget(s, i);
    }
    else if (err != 0) {
        say_not_renamed(s, e, err);
    }
    else {
        *e = s->current = next;
        list_sort(&s->list);
    }
}

/* Where what is not done of the piece begins. */
static const char *undone(const imx_spool_t *s)
{
    const content_t *c = &s->content;

    return s->finished < c->lines ? c->spans[s->finished].iov_base
                                  : c->data + c->size;
}

void imx_spool_done(imx_spool_t *s, size_t count)
{
    const content_t *c = &s->content;
    size_t i;
    int is_all, is_end;

    if (!s->reading) {
        return;
    }
    count = count < c->lines - s->finished ? count : c->lines - s->finished;
    s->finished += count;
    is_all = s->finished == c->lines;
    is_end = is_all && c->is_last;
    dir_enter(s);
    i = list_find(&s->list, &s->current);
    if (i < s->list.count) {
        set_aside(s, list_at(&s->list, i), undone(s));
        i = list_find(&s->list, &s->current); /* *.bad is in the list, too */
        if (is_end) {
            finish(s, i);
        }
        else {
            move_on(s, i, count, s->start + (uint64_t)(undone(s) - c->data));
        }
    }
    if (is_end && s->fd >= 0) {
        sync_fd(s->fd);
    }
    dir_remember(s);
    if (is_all) {
        imx_spool_keep(s);
    }
}

void imx_spool_keep(imx_spool_t *s)
{
    content_free(&s->content);
    s->reading = 0;
}

imx_spool_totals_t imx_spool_totals(const imx_spool_t *s)
{
    imx_spool_totals_t t = { 0, 0, 0, s->found, s->lost };
    size_t i;

    for (i = 0; i < s->list.count; i++) {
        const entry_t *e = list_at(&s->list, i);

        if (e->kind == READY) {
            t.files++;
            t.lines += e->lines;
            t.bytes += e->bytes;
        }
    }
    return t;
}

void imx_spool_close(imx_spool_t *s)
{
    if (s == NULL) {
        return;
    }
    imx_spool_keep(s);
    if (s->fd >= 0) {
        close(s->fd);
    }
    free(s->list.all);
    free(s->dir);
    free(s);
}
