/*
 * spool_dir.c owns what is known of a spool's directory (see spool_dir.h).
 * The thread that works on the spool enters it.
 * The directory survives any crash; the list is made from it.
 */
#include "deliver/spool_dir.h"

#include "base/clock.h"
#include "base/safe_path.h"
#include "deliver/spool_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define TEXT_MAX 5120                /* bytes of a log line: it names paths */
#define TOLD_NS INT64_C(60000000000) /* in so long ... */
#define TOLD_MOST 5           /* ... the log tells of so many troubles */
#define PIECE_BYTES (1 << 20) /* to count the lines of what was left */

/* ---- the log ---- */

void imx_spool_dir_say(const imx_spool_dir_t *d, imx_log_level_e level,
                       int err, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    if (d->log == NULL) {
        return;
    }
    va_start(args, format);
    errno = err;
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    d->log(d->log_context, level, text);
}

static int is_over(const imx_spool_told_t *t, int64_t now)
{
    return now - t->since >= TOLD_NS;
}

static int may_tell(imx_spool_told_t *t)
{
    int64_t now = imx_clock_now();

    if (is_over(t, now)) {
        *t = (imx_spool_told_t){ now, 0 };
    }
    if (t->count == TOLD_MOST) {
        return 0;
    }
    t->count++;
    return 1;
}

int imx_spool_dir_is_new_trouble(imx_spool_dir_t *d, int err)
{
    int is_first = d->trouble == 0;

    d->trouble = err;
    return is_first && may_tell(&d->told_troubles);
}

static void say_untold(imx_spool_dir_t *d)
{
    if (d->untold > 0) {
        imx_spool_dir_say(d, IMX_LOG_ERROR, 0,
                          IMX_LOGNO(49) "spool %s: something was wrong with "
                                        "%llu more files",
                          d->path, (unsigned long long)d->untold);
        d->untold = 0;
    }
}

static void say_untold_in_time(imx_spool_dir_t *d)
{
    if (is_over(&d->told_files, imx_clock_now())) {
        say_untold(d);
    }
}

int imx_spool_dir_tells_of_file(imx_spool_dir_t *d)
{
    int tells;

    say_untold_in_time(d);
    tells = may_tell(&d->told_files);
    d->untold += !tells;
    return tells;
}

static void say_quarantined(imx_spool_dir_t *d, const imx_spool_name_t *n,
                            int why)
{
    char name[IMX_SPOOL_NAME_SIZE];

    if (!imx_spool_dir_tells_of_file(d)) {
        return;
    }
    imx_spool_names_print(n, name);
    if (why == 0) {
        imx_spool_dir_say(d, IMX_LOG_ERROR, 0,
                          IMX_LOGNO(41) "spool %s: quarantined %s: it has no "
                                        "whole line",
                          d->path, name);
    }
    else {
        imx_spool_dir_say(d, IMX_LOG_ERROR, why,
                          IMX_LOGNO(47) "spool %s: quarantined %s: it cannot "
                                        "be read: %m",
                          d->path, name);
    }
}

static void say_stuck(imx_spool_dir_t *d, const imx_spool_name_t *n, int err)
{
    char name[IMX_SPOOL_NAME_SIZE];

    imx_spool_names_print(n, name);
    if (imx_spool_dir_is_new_trouble(d, err)) {
        imx_spool_dir_say(d, IMX_LOG_ERROR, err,
                          IMX_LOGNO(45) "spool %s: cannot rename %s, it is "
                                        "left alone: %m",
                          d->path, name);
    }
}

int imx_spool_dir_quarantine(imx_spool_dir_t *d, imx_spool_name_t *n, int why)
{
    imx_spool_name_t bad = *n;
    int err;

    d->lost += n->lines;
    n->lines = bad.lines = 0;
    n->counted = bad.counted = IMX_SPOOL_COUNTED;
    bad.kind = IMX_SPOOL_BAD;
    err = imx_spool_file_rename(d->fd, n, &bad);
    if (err != 0) {
        n->kind = IMX_SPOOL_SKIPPED;
        d->blind = 1; /* until the next look: then it is tried again */
        say_stuck(d, &bad, err);
        return err;
    }
    *n = bad;
    say_quarantined(d, n, why);
    return 0;
}

/* ---- what a dead writer left ---- */

/* fd: of the file.  It is not known how far its writer came before it died, so
 * the lines may not be on the disk yet. */
static int salvage_lines(imx_spool_dir_t *d, imx_spool_name_t *n, int fd,
                         uint64_t lines)
{
    imx_spool_name_t kept = *n;
    int err;

    kept.kind = IMX_SPOOL_READY;
    kept.named = lines < IMX_SPOOL_LINES_MAX ? (uint32_t)lines
                                             : IMX_SPOOL_LINES_MAX;
    kept.lines = kept.named;
    kept.counted = IMX_SPOOL_COUNTED;
    err = imx_spool_file_sync(fd);
    err = err ? err : imx_spool_file_rename(d->fd, n, &kept);
    if (err != 0) {
        say_stuck(d, n, err);
        return 0;
    }
    if (imx_spool_dir_tells_of_file(d)) {
        imx_spool_dir_say(d, IMX_LOG_NOTICE, 0,
                          IMX_LOGNO(42) "spool %s: kept %llu lines of a file "
                                        "whose writer died before it was "
                                        "finished",
                          d->path, (unsigned long long)lines);
    }
    *n = kept;
    return 1;
}

/* A file larger than we write one is not ours: it is not read to its end. */
static int count_all(const imx_spool_dir_t *d, const imx_spool_name_t *n,
                     uint64_t *lines)
{
    imx_spool_name_t rest = *n;
    int err = 0;

    *lines = 0;
    while (err == 0 && rest.counted < IMX_SPOOL_FILE_MAX
           && *lines < IMX_SPOOL_LINES_MAX) {
        err = imx_spool_file_count(d->fd, &rest, PIECE_BYTES, lines);
    }
    return err;
}

/* *.tmp to *.lp or *.bad; returns 0 when it is not to be listed. */
static int salvage(imx_spool_dir_t *d, imx_spool_name_t *n, int fd)
{
    uint64_t lines;
    int err = count_all(d, n, &lines);

    if (err == ENOENT) {
        return 0;
    }
    if (err == 0 && n->bytes == 0) {
        imx_spool_file_remove(d->fd, n);
        return 0;
    }
    if (err == 0 && lines > 0) {
        return salvage_lines(d, n, fd, lines);
    }
    if (imx_spool_file_may_pass(n, err)) {
        d->blind = 1;
        say_stuck(d, n, err);
        return 0;
    }
    return imx_spool_dir_quarantine(d, n, err) == 0;
}

/* Its writer died, or was left on a disk that hangs, before the file had its
 * name: so its lines are in our batch still, and go from there. */
static int is_in_batch(const imx_spool_dir_t *d, const imx_spool_name_t *n)
{
    return d->owner.writer != 0 && n->number == d->owner.writer;
}

/* What cannot be removed now is tried again with the next look. */
static void remove_unneeded(imx_spool_dir_t *d, const imx_spool_name_t *n)
{
    int err = imx_spool_file_remove(d->fd, n);

    d->blind |= err != 0 && err != ENOENT;
}

/* The file stays locked meanwhile.  A helper that has just made it cannot lock
 * it, then, and makes another one. */
static int salvage_locked(imx_spool_dir_t *d, imx_spool_name_t *n)
{
    int fd, kept = 0, err = imx_spool_file_lock(d->fd, n, &fd);

    if (err == EWOULDBLOCK) {
        /* Its writer may die, and nothing in the directory tell. */
        d->blind = 1;
        return 0;
    }
    if (is_in_batch(d, n)) {
        remove_unneeded(d, n);
    }
    else {
        kept = salvage(d, n, fd);
    }
    if (fd >= 0) {
        close(fd);
    }
    return kept;
}

/* Returns how many *.tmp there were.  Only the process that has the lock on the
 * directory touches them. */
static int salvage_all(imx_spool_dir_t *d, imx_spool_names_t *l)
{
    size_t i, kept = 0;
    int found = 0;

    for (i = 0; i < l->count; i++) {
        imx_spool_name_t *n = imx_spool_names_at(l, i);

        if (n->kind == IMX_SPOOL_UNFINISHED) {
            found++;
            if (!d->is_ours || !salvage_locked(d, n)) {
                continue;
            }
        }
        *imx_spool_names_at(l, kept++) = *n;
    }
    l->count = kept;
    return found;
}

/* ---- the list ---- */

static int read_entry(imx_spool_dir_t *d, imx_spool_names_t *l,
                      const char *name)
{
    imx_spool_name_t n;
    struct stat st;

    if (!imx_spool_names_parse(&n, name)) {
        return 0;
    }
    if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? 0 : errno; /* or the disk, not the file */
    }
    if (!S_ISREG(st.st_mode)) {
        return 0;
    }
    n.bytes = (uint64_t)st.st_size;
    if (n.bytes <= n.offset && n.kind != IMX_SPOOL_UNFINISHED) {
        n.counted = IMX_SPOOL_COUNTED; /* nothing is left of it */
    }
    imx_spool_names_see(&d->newest, &n);
    return imx_spool_names_add(l, &n);
}

static int read_all(imx_spool_dir_t *d, imx_spool_names_t *l)
{
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
        err = item ? read_entry(d, l, item->d_name) : errno;
    } while (item != NULL && err == 0);
    closedir(dir);
    return err;
}

/*
 * What is known of a file and cannot be seen in the directory.  One that was
 * delivered stays until it is known to be gone: it may come back.  One that
 * could not be moved is tried again.
 */
static int carry(const imx_spool_dir_t *d, imx_spool_names_t *fresh,
                 const imx_spool_name_t *old)
{
    int stays = old->kind == IMX_SPOOL_DELIVERED
                || (d->held != NULL
                    && imx_spool_names_order(old, d->held) == 0);
    int is_known = stays || old->kind == IMX_SPOOL_READY
                   || old->at != old->offset || old->unsaved;
    size_t i = imx_spool_names_find(fresh, old);
    imx_spool_name_t *now;
    int err;

    if (i < fresh->count) {
        imx_spool_names_at(fresh, i)->failed = old->failed;
    }
    if (i < fresh->count && is_known) {
        now = imx_spool_names_at(fresh, i);
        now->kind = old->kind;
        now->lines = old->lines;
        now->counted = old->counted;
        now->at = old->at;
        now->unsaved = old->unsaved;
    }
    if (i < fresh->count || !stays) {
        return 0;
    }
    err = imx_spool_names_add(fresh, old);
    imx_spool_names_sort(fresh);
    return err;
}

/* From now on fresh, which is taken over, is the list. */
static int adopt(imx_spool_dir_t *d, imx_spool_names_t *fresh)
{
    uint64_t before = imx_spool_names_lines(&d->names), after;
    size_t i;
    int err = 0;

    imx_spool_names_sort(fresh);
    for (i = 0; i < d->names.count && err == 0; i++) {
        err = carry(d, fresh, imx_spool_names_at(&d->names, i));
    }
    if (err != 0) {
        return err;
    }
    after = imx_spool_names_lines(fresh);
    d->found += after > before ? after - before : 0;
    d->lost += before > after ? before - after : 0;
    imx_spool_names_free(&d->names);
    d->names = *fresh;
    memset(fresh, 0, sizeof *fresh);
    return 0;
}

int imx_spool_dir_scan(imx_spool_dir_t *d)
{
    imx_spool_names_t fresh = { NULL, 0, 0, 0 };
    struct stat before;
    int err = fstat(d->fd, &before) == 0 ? 0 : errno;

    d->blind = 0; /* but for what cannot be salvaged now */
    err = err ? err : read_all(d, &fresh);
    if (err == 0 && salvage_all(d, &fresh) > 0) {
        imx_spool_file_sync(d->fd);
    }
    err = err ? err : adopt(d, &fresh);
    imx_spool_names_free(&fresh);
    if (err == 0) {
        d->seen = before;
    }
    else {
        d->blind = 1;
    }
    return err;
}

/* ---- which directory it is ---- */

/* It is gone: what was in it is lost, unless it comes back. */
static void leave(imx_spool_dir_t *d)
{
    imx_spool_names_t nothing = { NULL, 0, 0, 0 };

    if (d->fd >= 0) {
        close(d->fd);
        d->fd = -1;
        adopt(d, &nothing);
        imx_spool_names_free(&nothing);
    }
}

static int lock(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

/* The lock goes with the descriptor.  The note is looked at before, so that who
 * is refused does not have the lock for a moment, which another child of the
 * server there may want; and after, as it is written with the lock. */
static int claim(imx_spool_dir_t *d, int fd, char *reason)
{
    const char *note = d->owner.note;

    d->is_ours = !imx_spool_owner_is_other(fd, note) && lock(fd)
                 && !imx_spool_owner_is_other(fd, note);
    if (d->is_ours) {
        imx_spool_owner_write(fd, note);
    }
    else if (!d->owner.is_shared) {
        snprintf(reason, IMX_SAFE_PATH_REASON_MAX,
                 "another process works in it");
        return EBUSY;
    }
    return 0;
}

/* May we put lines there that InfluxDB will get in our name? */
static int attach(imx_spool_dir_t *d, char *reason)
{
    int fd = imx_safe_path_open(d->path, geteuid(), reason), err = 0;

    if (fd < 0) {
        return errno;
    }
    if (faccessat(fd, ".", R_OK | W_OK | X_OK, 0) != 0) {
        err = errno;
        snprintf(reason, IMX_SAFE_PATH_REASON_MAX, "%m");
    }
    err = err ? err : claim(d, fd, reason);
    if (err != 0) {
        close(fd);
        return err;
    }
    d->fd = fd;
    memset(&d->seen, 0, sizeof d->seen); /* not known until it was looked at */
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

/* While the directory is open its inode number cannot be given to another. */
int imx_spool_dir_enter(imx_spool_dir_t *d)
{
    char reason[IMX_SAFE_PATH_REASON_MAX];
    struct stat now;
    int err;

    say_untold_in_time(d);
    if (fstatat(AT_FDCWD, d->path, &now, AT_SYMLINK_NOFOLLOW) != 0) {
        err = errno;
        if (err == ENOENT || err == ENOTDIR) {
            leave(d);
        }
        return err;
    }
    if (d->fd >= 0 && !is_same_dir(&now, &d->seen)) {
        leave(d);
    }
    if (d->fd >= 0 && is_unchanged(&now, &d->seen)) {
        return 0;
    }
    err = d->fd >= 0 ? 0 : attach(d, reason);
    return err ? err : imx_spool_dir_scan(d);
}

void imx_spool_dir_remember(imx_spool_dir_t *d)
{
    d->blind = 1;
    if (d->fd >= 0 && fstat(d->fd, &d->seen) != 0) {
        memset(&d->seen, 0, sizeof d->seen);
    }
}

int imx_spool_dir_open(imx_spool_dir_t *d, char *reason)
{
    int err = attach(d, reason);

    if (err == 0 && (err = imx_spool_dir_scan(d)) != 0) {
        errno = err;
        snprintf(reason, IMX_SAFE_PATH_REASON_MAX, "%m");
    }
    return err;
}

void imx_spool_dir_release(imx_spool_dir_t *d)
{
    if (d->fd >= 0 && d->is_ours) {
        imx_spool_owner_remove(d->fd, d->owner.note);
    }
}

void imx_spool_dir_close(imx_spool_dir_t *d)
{
    say_untold(d);
    if (d->fd >= 0) {
        close(d->fd);
        d->fd = -1;
    }
    imx_spool_names_free(&d->names);
    free(d->path);
    d->path = NULL;
}
