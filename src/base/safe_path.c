/*
 * safe_path.c owns the way to a directory that nobody else can redirect (see
 * safe_path.h).
 * Any thread and process enters it; it keeps nothing in memory.
 * A directory that it made survives everything.
 */
#define _GNU_SOURCE /* O_PATH */
#include "base/safe_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP (O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

typedef struct {
    const char *path;
    size_t done; /* bytes of it that have been walked */
    uid_t user;
    int fd; /* of the directory that has been reached */
    char name[NAME_MAX + 1];
    char *reason;
} walk_t;

__attribute__((format(printf, 3, 4))) static int refuse(
    walk_t *w, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    errno = err; /* for %m */
    vsnprintf(w->reason, IMX_SAFE_PATH_REASON_MAX, format, args);
    va_end(args);
    return err;
}

/* The next component goes to w->name; *is_last says whether it is the last.
 * Returns 0 or an errno value. */
static int next_name(walk_t *w, int *is_last)
{
    const char *p = w->path + w->done;
    size_t len;

    p += strspn(p, "/");
    len = strcspn(p, "/");
    if (len > NAME_MAX) {
        return refuse(w, ENAMETOOLONG, "%m");
    }
    memcpy(w->name, p, len);
    w->name[len] = '\0';
    p += len;
    w->done = (size_t)(p - w->path);
    *is_last = p[strspn(p, "/")] == '\0';
    return 0;
}

/* A directory above: who can rename what is in it? */
static int check_above(walk_t *w)
{
    int length = w->done > 0 ? (int)w->done : 1;
    const char *path = w->done > 0 || w->path[0] == '/' ? w->path : ".";
    struct stat st;

    if (fstat(w->fd, &st) != 0) {
        return refuse(w, errno, "%.*s: %m", length, path);
    }
    if (st.st_uid != 0 && st.st_uid != w->user) {
        return refuse(w, EPERM, "%.*s belongs to another user", length, path);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX)) {
        return refuse(w, EPERM, "others may write to %.*s", length, path);
    }
    return 0;
}

/* One step down; flags: how to open what is there. */
static int step(walk_t *w, int is_last, int flags)
{
    int fd = openat(w->fd, w->name, STEP | flags), err = errno;
    int length = (int)w->done;

    if (fd >= 0) {
        close(w->fd);
        w->fd = fd;
        return 0;
    }
    if (err == ELOOP || err == ENOTDIR) {
        return is_last ? refuse(w, ENOTDIR,
                                "it is no directory (a symbolic link "
                                "is not followed)")
                       : refuse(w, ENOTDIR,
                                "%.*s is no directory (a symbolic "
                                "link is not followed)",
                                length, w->path);
    }
    return is_last ? refuse(w, err, "%m")
                   : refuse(w, err, "%.*s: %m", length, w->path);
}

/* Walks to the directory above the last component, whose name is then in
 * w->name. */
static int walk(walk_t *w)
{
    int is_last = 0, err = 0;

    w->fd = open(w->path[0] == '/' ? "/" : ".", STEP | O_PATH);
    if (w->fd < 0) {
        return refuse(w, errno, "%m");
    }
    while (err == 0 && !is_last) {
        err = check_above(w);
        err = err ? err : next_name(w, &is_last);
        if (err == 0 && !is_last) {
            err = step(w, 0, O_PATH);
        }
    }
    if (err == 0 && w->name[0] == '\0') {
        strcpy(w->name, "."); /* "/" */
    }
    return err;
}

static int check_itself(walk_t *w)
{
    struct stat st;

    if (fstat(w->fd, &st) != 0) {
        return refuse(w, errno, "%m");
    }
    if (st.st_uid != w->user) {
        return refuse(w, EPERM, "it belongs to another user");
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        return refuse(w, EPERM, "others may write to it");
    }
    return 0;
}

/* Returns the descriptor, or -1 with errno. */
static int end_walk(walk_t *w, int err)
{
    if (err == 0) {
        return w->fd;
    }
    if (w->fd >= 0) {
        close(w->fd);
    }
    errno = err;
    return -1;
}

int imx_safe_path_open(const char *path, uid_t user, char *reason)
{
    walk_t w = { .path = path, .user = user, .fd = -1, .reason = reason };
    int err = walk(&w);

    err = err ? err : step(&w, 1, O_RDONLY);
    err = err ? err : check_itself(&w);
    return end_walk(&w, err);
}

/* Root gives it away, but only what it has just made. */
static int give(walk_t *w, gid_t group)
{
    struct stat st;

    if (geteuid() != 0 || w->user == 0) {
        return 0;
    }
    if (fstat(w->fd, &st) != 0) {
        return refuse(w, errno, "%m");
    }
    if (st.st_uid != 0) { /* as on NFS, where root is nobody */
        return refuse(w, EPERM, "what root makes there is another user's");
    }
    return fchown(w->fd, w->user, group) == 0 ? 0 : refuse(w, errno, "%m");
}

/* Is it root who makes it, in a directory of the user? */
static int is_in_users(const walk_t *w)
{
    struct stat st;

    return geteuid() == 0 && w->user != 0 && fstat(w->fd, &st) == 0
           && st.st_uid == w->user;
}

/* The user makes it, and nobody has to give it away. */
static int make_as_user(const walk_t *w, gid_t group)
{
    gid_t before = getegid();
    int err = 0;

    if (setegid(group) != 0 || seteuid(w->user) != 0
        || mkdirat(w->fd, w->name, 0700) != 0) {
        err = errno;
    }
    if (seteuid(0) != 0 || setegid(before) != 0) {
        err = errno;
    }
    return err;
}

/*
 * Makes the last component.  In a directory of the user, the user could put
 * another one of root's in the place of what root has just made, and would be
 * given that.  Returns 0 or an errno value; *is_to_give: root has made it.
 */
static int make(walk_t *w, gid_t group, int *is_to_give)
{
    int err;

    if (is_in_users(w)) {
        err = make_as_user(w, group);
    }
    else {
        err = mkdirat(w->fd, w->name, 0700) == 0 ? 0 : errno;
        *is_to_give = err == 0;
    }
    return err == 0 || err == EEXIST ? 0 : refuse(w, err, "%m");
}

int imx_safe_path_make(const char *path, uid_t user, gid_t group, char *reason)
{
    walk_t w = { .path = path, .user = user, .fd = -1, .reason = reason };
    int is_to_give = 0, err = walk(&w);

    err = err ? err : make(&w, group, &is_to_give);
    err = err ? err : step(&w, 1, O_RDONLY);
    err = err || !is_to_give ? err : give(&w, group);
    err = err ? err : check_itself(&w);
    return end_walk(&w, err);
}
