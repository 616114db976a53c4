/*
 * spool.c owns what goes into a spool and out of it: put, next piece, done, and
 * the limit of its size (see spool.h).
 * Entered by one thread at a time: the one that works on the disk for the
 * holder of the lease, or the helper that writes what is left when the server
 * ends; imx_spool_abandon() by any thread.
 * The directory survives any crash; all that is in memory is made from it.
 */
#include "deliver/spool.h"

#include "base/clock.h"
#include "deliver/spool_count.h"
#include "deliver/spool_dir.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USELESS_AT_ONCE 100 /* files without a line, in one call */

struct imx_spool {
    imx_spool_dir_t dir;
    uint64_t max_bytes;
    _Atomic int stage; /* of the put */

    /* the file that is being read; dir.held is &held then */
    imx_spool_name_t held;
    uint64_t start;  /* of the piece, in the file */
    size_t finished; /* lines of it that are done */
    size_t copied;   /* bad spans of it that are in *.bad */
    imx_spool_content_t content;

    int told_empty;     /* that there were empty files */
    uint64_t told_time; /* of the file whose bad bytes the log tells of */
    uint32_t told_number;
};

static imx_spool_name_t *at(const imx_spool_t *s, size_t i)
{
    return imx_spool_names_at(&s->dir.names, i);
}

static int is_held(const imx_spool_t *s, const imx_spool_name_t *n)
{
    return s->dir.held != NULL && imx_spool_names_order(n, s->dir.held) == 0;
}

/* ---- how many lines there are ---- */

void imx_spool_trust(imx_spool_t *s)
{
    imx_spool_count_trust(&s->dir);
}

int imx_spool_count(imx_spool_t *s, size_t max_bytes)
{
    return imx_spool_count_some(&s->dir, max_bytes);
}

/* ---- room ---- */

/* Removes it, if it is of that kind; returns 1 when it is gone.  Its lines are
 * counted before, as nobody can do that afterwards. */
static int give_up(imx_spool_t *s, size_t i, int ready, uint64_t *dropped)
{
    imx_spool_name_t *n = at(s, i);
    int err;

    if ((n->kind == IMX_SPOOL_READY) != ready || is_held(s, n)) {
        return 0;
    }
    if (ready) {
        imx_spool_count_all(&s->dir, n);
    }
    err = imx_spool_file_remove(s->dir.fd, n);
    if (err != 0 && err != ENOENT) {
        return 0;
    }
    *(err == 0 ? dropped : &s->dir.lost) += n->lines;
    imx_spool_names_remove(&s->dir.names, i);
    return 1;
}

/* What holds no points goes first, then the oldest. */
static int free_room(imx_spool_t *s, uint64_t bytes, uint64_t *dropped)
{
    uint64_t used = imx_spool_names_bytes(&s->dir.names), freed;
    size_t i;
    int ready;

    if (s->max_bytes == 0) {
        return 0;
    }
    if (bytes > s->max_bytes) {
        return EFBIG;
    }
    for (ready = 0; ready <= 1; ready++) {
        for (i = 0; i < s->dir.names.count && used + bytes > s->max_bytes;) {
            freed = at(s, i)->bytes;
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

/* ---- put ---- */

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

static int new_name(imx_spool_t *s, imx_spool_name_t *n, size_t lines,
                    uint64_t bytes)
{
    int64_t now = imx_clock_wall();
    int err = imx_spool_names_new(n, &s->dir.newest,
                                  now > 0 ? (uint64_t)now : 0);

    n->named = n->lines = (uint32_t)lines;
    n->bytes = bytes;
    n->counted = IMX_SPOOL_COUNTED;
    return err;
}

/* The directory is as we know it. */
static int put(imx_spool_t *s, const struct iovec *lines, size_t count,
               uint64_t bytes, uint64_t *dropped)
{
    imx_spool_name_t n;
    int err = imx_spool_names_reserve(&s->dir.names);

    err = err ? err : free_room(s, bytes, dropped);
    err = err ? err : new_name(s, &n, count, bytes);
    err = err ? err
              : imx_spool_file_store(s->dir.fd, &n, s->dir.owner.writer, lines,
                                     count, &s->stage);
    if (err == 0) {
        imx_spool_names_add(&s->dir.names, &n);
        s->dir.trouble = 0;
    }
    return err;
}

int imx_spool_put(imx_spool_t *s, const struct iovec *lines, size_t count,
                  uint64_t *dropped)
{
    uint64_t bytes;
    int err = measure(lines, count, &bytes);

    *dropped = 0;
    err = err ? err : imx_spool_dir_enter(&s->dir);
    if (err == 0) {
        err = put(s, lines, count, bytes, dropped);
        imx_spool_dir_remember(&s->dir);
    }
    return err;
}

int imx_spool_abandon(imx_spool_t *s)
{
    return atomic_exchange(&s->stage, IMX_SPOOL_FILE_ABANDONED)
           == IMX_SPOOL_FILE_NAMED;
}

/* ---- next ---- */

/* The file is gone, and the lines that were not yet delivered with it. */
static void forget(imx_spool_t *s, size_t i)
{
    s->dir.lost += at(s, i)->lines;
    imx_spool_names_remove(&s->dir.names, i);
}

/* A disk that let us empty files, but not remove them, leaves many: one of them
 * is enough for the log. */
static void discard_empty(imx_spool_t *s, size_t i)
{
    char name[IMX_SPOOL_NAME_SIZE];

    imx_spool_names_print(at(s, i), name);
    if (imx_spool_file_remove(s->dir.fd, at(s, i)) == 0 && at(s, i)->at == 0
        && !s->told_empty) {
        s->told_empty = 1;
        imx_spool_dir_say(&s->dir, IMX_LOG_NOTICE, 0,
                          IMX_LOGNO(44) "spool %s: removed %s, which was empty",
                          s->dir.path, name);
    }
    forget(s, i);
}

static void give(imx_spool_t *s, imx_spool_name_t *n,
                 const imx_spool_content_t *c)
{
    imx_spool_count_learn(&s->dir, n, c);
    s->held = *n;
    s->dir.held = &s->held;
    s->content = *c;
    s->start = n->at;
    s->finished = s->copied = 0;
}

static void say_denied(imx_spool_t *s, const imx_spool_name_t *n, int err)
{
    char name[IMX_SPOOL_NAME_SIZE];

    imx_spool_names_print(n, name);
    if (imx_spool_dir_is_new_trouble(&s->dir, err)) {
        imx_spool_dir_say(&s->dir, IMX_LOG_ERROR, err,
                          IMX_LOGNO(51) "spool %s: may not read %s, it stays "
                                        "and is tried again: %m",
                          s->dir.path, name);
    }
}

#define DENIED 2

/* 1: it is given; 0: look at this place of the list again; -1: errno; DENIED:
 * the others are delivered meanwhile. */
static int take(imx_spool_t *s, size_t i, size_t max_bytes, size_t max_lines)
{
    imx_spool_name_t *n = at(s, i);
    imx_spool_content_t c;
    int err = imx_spool_file_read(&c, s->dir.fd, n, max_bytes, max_lines);

    if (imx_spool_file_may_pass(n, err)) {
        if (n->denied) {
            say_denied(s, n, err);
            return DENIED;
        }
        errno = err;
        return -1;
    }
    if (err == ENOENT) {
        forget(s, i);
        return 0;
    }
    if (err == 0 && c.lines > 0) {
        give(s, n, &c);
        return 1;
    }
    if (err == 0 && c.size == 0) {
        discard_empty(s, i);
        imx_spool_file_free(&c);
    }
    else if (err == 0 && c.is_last && n->at > 0) {
        give(s, n, &c); /* what stands behind the last line */
        imx_spool_done(s, 0);
    }
    else {
        imx_spool_dir_quarantine(&s->dir, n, err);
        imx_spool_file_free(&c);
    }
    return 0;
}

/* A delivered file that could not be removed at first: perhaps now. */
static int is_swept(imx_spool_t *s, size_t i)
{
    int err = imx_spool_file_remove(s->dir.fd, at(s, i));

    if (err != 0 && err != ENOENT) {
        return 0;
    }
    imx_spool_names_remove(&s->dir.names, i);
    return 1;
}

static int take_oldest(imx_spool_t *s, size_t max_bytes, size_t max_lines)
{
    size_t i = 0;
    int useless = 0;

    while (i < s->dir.names.count && useless < USELESS_AT_ONCE) {
        const imx_spool_name_t *n = at(s, i);
        int taken = 0;

        if (n->kind == IMX_SPOOL_READY && !n->denied) {
            taken = take(s, i, max_bytes, max_lines);
            useless += taken != DENIED;
        }
        else if (n->kind != IMX_SPOOL_DELIVERED || !is_swept(s, i)) {
            i++;
        }
        if (taken == 1 || taken == -1) {
            return taken;
        }
    }
    return 0;
}

/* Looks into the directory before the answer is that there is nothing. */
static int look_again(imx_spool_t *s, size_t max_bytes, size_t max_lines)
{
    int err = imx_spool_dir_scan(&s->dir);

    if (err != 0) {
        errno = err;
        return -1;
    }
    return take_oldest(s, max_bytes, max_lines);
}

/* -1: what is left is denied. */
static int nothing_but_denied(const imx_spool_t *s)
{
    size_t i;

    for (i = 0; i < s->dir.names.count; i++) {
        if (at(s, i)->kind == IMX_SPOOL_READY && at(s, i)->denied) {
            errno = EAGAIN;
            return -1;
        }
    }
    return 0;
}

void imx_spool_look(imx_spool_t *s)
{
    size_t i = 0;

    /* Somebody may have brought a file in the instant of our last change. */
    if (imx_spool_dir_enter(&s->dir) != 0
        || (s->dir.blind && imx_spool_dir_scan(&s->dir) != 0)) {
        return;
    }
    while (i < s->dir.names.count) {
        at(s, i)->denied = 0; /* nothing in the directory tells of a right */
        if (at(s, i)->kind != IMX_SPOOL_DELIVERED || !is_swept(s, i)) {
            i++;
        }
    }
}

int imx_spool_next(imx_spool_t *s, size_t max_bytes, size_t max_lines,
                   imx_spool_piece_t *piece)
{
    int err, taken;

    imx_spool_put_back(s);
    err = imx_spool_dir_enter(&s->dir);
    if (err != 0) {
        errno = err;
        return -1;
    }
    taken = take_oldest(s, max_bytes, max_lines);
    if (taken == 0 && s->dir.blind) {
        taken = look_again(s, max_bytes, max_lines);
    }
    taken = taken == 0 ? nothing_but_denied(s) : taken;
    piece->lines = s->content.spans;
    piece->count = s->content.lines;
    return taken;
}

/* ---- what is no line ---- */

/* One line a file, also when there is much of it. */
static void say_set_aside(imx_spool_t *s, const imx_spool_name_t *bad)
{
    char name[IMX_SPOOL_NAME_SIZE];

    if (s->told_time == bad->time && s->told_number == bad->number) {
        return;
    }
    s->told_time = bad->time;
    s->told_number = bad->number;
    if (!imx_spool_dir_tells_of_file(&s->dir)) {
        return;
    }
    imx_spool_names_print(bad, name);
    imx_spool_dir_say(&s->dir, IMX_LOG_ERROR, 0,
                      IMX_LOGNO(40) "spool %s: %llu bytes that are no whole "
                                    "lines were moved to %s",
                      s->dir.path, (unsigned long long)bad->bytes, name);
}

static void say_not_set_aside(imx_spool_t *s, const imx_spool_name_t *bad,
                              int err)
{
    char name[IMX_SPOOL_NAME_SIZE];

    imx_spool_names_print(bad, name);
    if (imx_spool_dir_is_new_trouble(&s->dir, err)) {
        imx_spool_dir_say(&s->dir, IMX_LOG_ERROR, err,
                          IMX_LOGNO(46) "spool %s: cannot write %s: %m",
                          s->dir.path, name);
    }
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
 * Copies what is no line, before end, to *.bad.  Its name has the place in the
 * file where it is really read, so that the next part does not overwrite this
 * one, also when the file itself could not be renamed.  A process before may
 * have done it and died before the file was renamed: then the same is written
 * again.
 */
static void set_aside(imx_spool_t *s, imx_spool_name_t *n, const char *end)
{
    const imx_spool_content_t *c = &s->content;
    imx_spool_name_t bad = *n;
    size_t count = bad_before(s, end, &bad.bytes);
    int err;

    if (count == 0) {
        return;
    }
    bad.kind = IMX_SPOOL_BAD;
    bad.lines = 0;
    bad.offset = n->at;
    err = imx_spool_file_write(s->dir.fd, &bad,
                               c->spans + c->lines + s->copied, count);
    s->copied += count;
    if (err == 0) {
        say_set_aside(s, &bad);
        imx_spool_names_set(&s->dir.names, &bad);
    }
    else {
        n->unsaved = 1;
        say_not_set_aside(s, &bad, err);
    }
}

/* ---- done ---- */

static void say_not_removed(imx_spool_t *s, const imx_spool_name_t *n, int err)
{
    char name[IMX_SPOOL_NAME_SIZE];

    imx_spool_names_print(n, name);
    if (imx_spool_dir_is_new_trouble(&s->dir, err)) {
        imx_spool_dir_say(&s->dir, IMX_LOG_ERROR, err,
                          IMX_LOGNO(43) "spool %s: cannot remove %s, which was "
                                        "delivered: %m",
                          s->dir.path, name);
    }
}

static void say_not_renamed(imx_spool_t *s, const imx_spool_name_t *n, int err)
{
    char name[IMX_SPOOL_NAME_SIZE];

    imx_spool_names_print(n, name);
    if (imx_spool_dir_is_new_trouble(&s->dir, err)) {
        imx_spool_dir_say(&s->dir, IMX_LOG_ERROR, err,
                          IMX_LOGNO(48) "spool %s: cannot rename %s, of which "
                                        "a part was delivered: %m",
                          s->dir.path, name);
    }
}

/* All of the file is done. */
static void finish(imx_spool_t *s, size_t i)
{
    imx_spool_name_t *n = at(s, i), bad = *n;
    int err;

    bad.kind = IMX_SPOOL_BAD;
    bad.lines = 0;
    if (n->unsaved && imx_spool_file_rename(s->dir.fd, n, &bad) == 0) {
        *n = bad;
        return;
    }
    err = imx_spool_file_remove(s->dir.fd, n);
    if (err != 0 && err != ENOENT) {
        imx_spool_file_empty(s->dir.fd, n);
        n->kind = IMX_SPOOL_DELIVERED;
        n->lines = 0;
        say_not_removed(s, n, err);
        return;
    }
    imx_spool_names_remove(&s->dir.names, i);
    s->dir.trouble = 0;
}

/* Somebody removed the file: what was read of it is delivered all the same, and
 * the rest is lost. */
static void keep_what_was_read(imx_spool_t *s, imx_spool_name_t *n)
{
    size_t read = s->content.lines - s->finished;

    if (n->lines > read) {
        s->dir.lost += n->lines - read;
        n->lines = (uint32_t)read;
    }
}

/* The next lines of the file are done, and others are behind them. */
static void move_on(imx_spool_t *s, size_t i, size_t count, uint64_t to)
{
    imx_spool_name_t *n = at(s, i), next;
    int err;

    n->at = to;
    n->lines -= count < n->lines ? (uint32_t)count : n->lines;
    next = *n;
    next.offset = to;
    next.named = n->lines < IMX_SPOOL_LINES_MAX ? n->lines
                                                : IMX_SPOOL_LINES_MAX;
    err = to <= IMX_SPOOL_OFFSET_MAX
              ? imx_spool_file_rename(s->dir.fd, n, &next)
              : EFBIG;
    if (err == ENOENT) {
        keep_what_was_read(s, n);
    }
    else if (err != 0) {
        say_not_renamed(s, n, err);
    }
    else {
        *n = s->held = next;
        imx_spool_names_sort(&s->dir.names);
    }
}

/* Where what is not done of the piece begins. */
static const char *undone(const imx_spool_t *s)
{
    const imx_spool_content_t *c = &s->content;

    return s->finished < c->lines ? c->spans[s->finished].iov_base
                                  : c->data + c->size;
}

static void note_done(imx_spool_t *s, size_t count, int is_end)
{
    const char *end = undone(s);
    size_t i = imx_spool_names_find(&s->dir.names, &s->held);

    if (i == s->dir.names.count) {
        return;
    }
    set_aside(s, at(s, i), end);
    i = imx_spool_names_find(&s->dir.names,
                             &s->held); /* *.bad is there, too */
    if (is_end) {
        finish(s, i);
    }
    else {
        move_on(s, i, count, s->start + (uint64_t)(end - s->content.data));
    }
}

void imx_spool_done(imx_spool_t *s, size_t count)
{
    const imx_spool_content_t *c = &s->content;
    int is_all, is_end, err;

    if (s->dir.held == NULL) {
        return;
    }
    count = count < c->lines - s->finished ? count : c->lines - s->finished;
    s->finished += count;
    is_all = s->finished == c->lines;
    is_end = is_all && c->is_last;
    err = imx_spool_dir_enter(&s->dir);
    note_done(s, count, is_end);
    if (is_end && s->dir.fd >= 0) {
        imx_spool_file_sync(s->dir.fd);
    }
    if (err == 0) {
        imx_spool_dir_remember(&s->dir);
    }
    if (is_all) {
        imx_spool_put_back(s);
    }
}

void imx_spool_put_back(imx_spool_t *s)
{
    imx_spool_file_free(&s->content);
    s->dir.held = NULL;
}

/* ---- open, totals, close ---- */

int imx_spool_open(imx_spool_t **out, const char *dir, uint64_t max_bytes,
                   const imx_spool_owner_t *owner, imx_log_fn log,
                   void *log_context, char *reason)
{
    imx_spool_t *s = calloc(1, sizeof *s);
    int err = ENOMEM;

    *out = NULL;
    snprintf(reason, IMX_SPOOL_REASON_MAX, "%s", strerror(ENOMEM));
    if (s != NULL) {
        s->dir.fd = -1;
        s->dir.log = log;
        s->dir.log_context = log_context;
        s->dir.owner = owner != NULL ? *owner : (imx_spool_owner_t){ 0 };
        s->max_bytes = max_bytes;
        s->dir.path = strdup(dir);
        err = s->dir.path ? imx_spool_dir_open(&s->dir, reason) : ENOMEM;
    }
    if (err != 0) {
        imx_spool_close(s);
        return err;
    }
    *out = s;
    return 0;
}

imx_spool_totals_t imx_spool_totals(const imx_spool_t *s)
{
    imx_spool_totals_t t = {
        .is_ours = s->dir.is_ours, .found = s->dir.found, .lost = s->dir.lost
    };
    size_t i;

    for (i = 0; i < s->dir.names.count; i++) {
        const imx_spool_name_t *n = at(s, i);

        if (n->kind == IMX_SPOOL_READY) {
            t.files++;
            t.lines += n->lines;
            t.bytes += n->bytes;
            t.uncounted += !imx_spool_count_is_known(n);
            t.named += imx_spool_count_is_known(n) ? n->lines : n->named;
        }
    }
    return t;
}

void imx_spool_release(imx_spool_t *s)
{
    imx_spool_dir_release(&s->dir);
}

void imx_spool_close(imx_spool_t *s)
{
    if (s != NULL) {
        imx_spool_put_back(s);
        imx_spool_dir_close(&s->dir);
        free(s);
    }
}
