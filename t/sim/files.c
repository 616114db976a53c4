/*
 * files.c owns the system calls on files, as the module's code gets them: the
 * simulated disk, and what /proc says of simulated processes.
 * Entered by the tasks of simulated processes.
 * Nothing survives a seed.
 */
#define _GNU_SOURCE
#include "calls.h"

#include "chance.h"
#include "disk.h"
#include "ledger.h"
#include "process.h"
#include "sched.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

static int fail(int err)
{
    errno = err;
    return -1;
}

/* The directory behind fd, NULL: there is none. */
static disk_node_t *dir_of(int fd)
{
    process_fd_t *d;

    if (fd == AT_FDCWD) {
        return disk_root();
    }
    d = process_fd(fd, SIM_FD_FILE);
    return d != NULL ? d->node : NULL;
}

static int find_or_not(int fd, const char *path, disk_place_t *place)
{
    disk_node_t *dir = *path == '/' ? disk_root() : dir_of(fd);

    return dir == NULL ? EBADF : disk_find(dir, path, place);
}

static int find(int fd, const char *path, disk_place_t *place)
{
    int err = find_or_not(fd, path, place);

    return err ? err : place->node == NULL ? ENOENT : 0;
}

/* ---- open and close ---- */

static int open_proc(const char *path)
{
    process_fd_t *d;
    int fd;

    process_point("open /proc");
    if (path[6] < '0' || path[6] > '9') {
        return fail(ENOENT);
    }
    d = process_open(SIM_FD_TEXT, &fd);
    if (d == NULL) {
        return -1;
    }
    if (!calls_stat_text((pid_t)strtol(path + 6, NULL, 10), d->text,
                         sizeof d->text)) {
        process_close(d);
        return fail(ENOENT);
    }
    return fd;
}

static int open_node(disk_node_t *node, int flags)
{
    process_fd_t *d;
    int fd;

    if ((flags & O_DIRECTORY) && !node->is_dir) {
        return fail(ENOTDIR);
    }
    if (node->is_dir && (flags & (O_WRONLY | O_RDWR))) {
        return fail(EISDIR);
    }
    d = process_open(SIM_FD_FILE, &fd);
    if (d == NULL) {
        return -1;
    }
    d->node = node;
    d->flags = flags;
    node->opens++;
    if (flags & O_TRUNC) {
        disk_truncate(node, 0);
    }
    return fd;
}

static int open_at(int dir, const char *path, int flags)
{
    disk_place_t place = { 0 };
    int err = disk_call("open", flags & O_CREAT), fd;

    err = err ? err : find_or_not(dir, path, &place);
    if (err == 0 && place.node == NULL && !(flags & O_CREAT)) {
        err = ENOENT;
    }
    if (err == 0 && place.node != NULL && (flags & O_EXCL)) {
        err = EEXIST;
    }
    if (err == 0 && place.node == NULL) {
        err = disk_create(&place, &place.node);
        if (err == 0) {
            ledger_file_made(process_self(), place.node);
        }
    }
    fd = err ? fail(err) : open_node(place.node, flags);
    process_point("opened");
    return fd;
}

int sim_openat(int dir, const char *path, int flags, ...)
{
    if (strncmp(path, "/proc/", 6) == 0) {
        return open_proc(path);
    }
    return open_at(dir, path, flags);
}

int sim_open(const char *path, int flags, ...)
{
    return sim_openat(AT_FDCWD, path, flags);
}

int sim_close(int fd)
{
    process_fd_t *d = NULL;

    process_point("close");
    if (fd >= 0 && fd < PROCESS_FDS) {
        d = &process_self()->fds[fd];
    }
    if (d == NULL || d->kind == SIM_FD_FREE) {
        trace_wrong("descriptor %d is closed, which is not open", fd);
        return fail(EBADF);
    }
    process_close(d);
    return 0;
}

int sim_fcntl(int fd, int command, ...)
{
    (void)fd;
    (void)command;
    return 0;
}

/* ---- reading and writing ---- */

static process_fd_t *any_fd(int fd)
{
    process_fd_t *d = NULL;

    if (fd >= 0 && fd < PROCESS_FDS) {
        d = &process_self()->fds[fd];
    }
    if (d == NULL || d->kind == SIM_FD_FREE) {
        trace_wrong("descriptor %d is used, which is not open", fd);
        errno = EBADF;
        return NULL;
    }
    return d;
}

/* A read or write may do less than it was asked for. */
static size_t shortened(size_t size)
{
    return size > 1 && chance_percent(4) ? 1 + chance_below(size - 1) : size;
}

static ssize_t read_node(const process_fd_t *d, void *to, size_t size,
                         size_t at)
{
    const disk_node_t *n = d->node;
    int err = disk_call("read", 0);

    if (err != 0) {
        return fail(err);
    }
    if (chance_one_in(200)) {
        return fail(EINTR);
    }
    if (at >= n->size || size == 0) {
        return 0;
    }
    size = size < n->size - at ? size : n->size - at;
    size = shortened(size);
    memcpy(to, n->data + at, size);
    return (ssize_t)size;
}

ssize_t sim_pread(int fd, void *to, size_t size, off_t at)
{
    process_fd_t *d = process_fd(fd, SIM_FD_FILE);

    return d == NULL ? -1 : read_node(d, to, size, (size_t)at);
}

ssize_t sim_read(int fd, void *to, size_t size)
{
    process_fd_t *d = any_fd(fd);
    ssize_t n = -1;

    if (d == NULL) {
        return -1;
    }
    if (d->kind == SIM_FD_EVENT) {
        process_point("read event");
        return calls_read_event(d, to, size);
    }
    if (d->kind == SIM_FD_TEXT) {
        size_t left = strlen(d->text) - (size_t)d->at;

        n = (ssize_t)(left < size ? left : size);
        memcpy(to, d->text + d->at, (size_t)n);
    }
    else {
        n = read_node(d, to, size, (size_t)d->at);
    }
    d->at += n > 0 ? n : 0;
    return n;
}

static ssize_t write_node(process_fd_t *d, const void *from, size_t size)
{
    int err = disk_call("write", 1);

    if (err == 0 && chance_one_in(200)) {
        err = EINTR;
    }
    size = shortened(size);
    err = err ? err : disk_write(d->node, (size_t)d->at, from, size);
    if (err == ENOSPC && size > 1) { /* the part that has room */
        size = 1 + chance_below(size - 1);
        err = disk_write(d->node, (size_t)d->at, from, size);
    }
    if (err != 0) {
        return fail(err);
    }
    d->at += (int64_t)size;
    process_point("written");
    return (ssize_t)size;
}

ssize_t sim_write(int fd, const void *from, size_t size)
{
    process_fd_t *d = any_fd(fd);

    if (d == NULL) {
        return -1;
    }
    if (d->kind == SIM_FD_EVENT) {
        process_point("write event");
        return calls_write_event(d, from, size);
    }
    return write_node(d, from, size);
}

ssize_t sim_writev(int fd, const struct iovec *spans, int count)
{
    process_fd_t *d = process_fd(fd, SIM_FD_FILE);
    size_t size = 0, at = 0;
    ssize_t n;
    char *all;
    int i;

    if (d == NULL) {
        return -1;
    }
    for (i = 0; i < count; i++) {
        size += spans[i].iov_len;
    }
    all = sim_malloc(size + 1); /* freed when the process is killed in here */
    if (all == NULL) {
        return -1;
    }
    for (i = 0; i < count; i++) {
        memcpy(all + at, spans[i].iov_base, spans[i].iov_len);
        at += spans[i].iov_len;
    }
    n = write_node(d, all, size);
    sim_free(all);
    return n;
}

int sim_ftruncate(int fd, off_t size)
{
    process_fd_t *d = process_fd(fd, SIM_FD_FILE);
    int err = disk_call("ftruncate", 1);

    if (d == NULL || err != 0) {
        return fail(d == NULL ? EBADF : err);
    }
    disk_truncate(d->node, (size_t)size);
    return 0;
}

int sim_fsync(int fd)
{
    process_fd_t *d = process_fd(fd, SIM_FD_FILE);
    int err = disk_call("fsync", 1);

    if (d == NULL || err != 0) {
        return fail(d == NULL ? EBADF : err);
    }
    disk_sync(d->node);
    process_point("synced");
    return 0;
}

int sim_fdatasync(int fd)
{
    return sim_fsync(fd);
}

/* ---- names ---- */

static int stat_node(const disk_node_t *n, struct stat *st)
{
    memset(st, 0, sizeof *st);
    st->st_dev = 1;
    st->st_ino = n->inode;
    st->st_uid = n == disk_root() ? 0 : sim_geteuid();
    st->st_nlink = (nlink_t)n->links;
    st->st_mode = n->is_dir
                      ? (n == disk_root() ? S_IFDIR | 0755 : S_IFDIR | 0700)
                      : S_IFREG | 0600;
    st->st_size = (off_t)n->size;
    st->st_mtim.tv_sec = n->changed / SIM_SECOND;
    st->st_mtim.tv_nsec = n->changed % SIM_SECOND;
    st->st_ctim = st->st_mtim;
    return 0;
}

int sim_fstat(int fd, struct stat *st)
{
    process_fd_t *d = process_fd(fd, SIM_FD_FILE);
    int err = disk_call("stat", 0);

    return d == NULL || err ? fail(err ? err : EBADF) : stat_node(d->node, st);
}

int sim_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    disk_place_t place = { 0 };
    int err = disk_call("stat", 0);

    (void)flags;
    err = err ? err : find(dir, path, &place);
    return err ? fail(err) : stat_node(place.node, st);
}

int sim_stat(const char *path, struct stat *st)
{
    return sim_fstatat(AT_FDCWD, path, st, 0);
}

int sim_lstat(const char *path, struct stat *st)
{
    return sim_fstatat(AT_FDCWD, path, st, 0);
}

int sim_faccessat(int dir, const char *path, int how, int flags)
{
    disk_place_t place = { 0 };
    int err = disk_call("access", 0);

    (void)how;
    (void)flags;
    err = err ? err : find(dir, path, &place);
    return err ? fail(err) : 0;
}

int sim_renameat(int from, const char *old, int to, const char *new)
{
    disk_place_t a = { 0 }, b = { 0 };
    int err = disk_call("rename", 1), missing = find(from, old, &a);

    if (missing) {
        return fail(missing);
    }
    if (err != 0) {
        ledger_file_stuck(a.node);
        return fail(err);
    }
    err = find_or_not(to, new, &b);
    err = err ? err : disk_rename(&a, &b);
    if (err != 0) {
        return fail(err);
    }
    ledger_file_named(process_self(), b.dir, a.node, new);
    process_point("renamed");
    return 0;
}

int sim_unlinkat(int dir, const char *name, int flags)
{
    disk_place_t place = { 0 };
    int err = disk_call("unlink", 1), missing = find(dir, name, &place);

    (void)flags;
    if (missing) {
        return fail(missing);
    }
    if (err != 0) {
        ledger_file_stuck(place.node);
        return fail(err);
    }
    disk_unlink(&place);
    ledger_file_removed(process_self(), place.node);
    process_point("unlinked");
    return 0;
}

int sim_flock(int fd, int how)
{
    process_fd_t *d = process_fd(fd, SIM_FD_FILE);

    process_point("flock");
    if (d == NULL) {
        return -1;
    }
    if (how & LOCK_UN) {
        if (d->node->locked_by == d) {
            d->node->locked_by = NULL;
        }
        return 0;
    }
    while (d->node->locked_by != NULL && d->node->locked_by != d) {
        if (how & LOCK_NB) {
            return fail(EWOULDBLOCK);
        }
        sched_wait(&d->node->locked_by, SIM_NEVER - 1);
    }
    d->node->locked_by = d;
    return 0;
}

/* The world makes the directories; children do not. */
int sim_mkdirat(int dir, const char *path, mode_t mode)
{
    (void)mode;
    trace_wrong("a child makes a directory, %d %s", dir, path);
    return fail(EACCES);
}

int sim_fchown(int fd, uid_t user, gid_t group)
{
    (void)user;
    (void)group;
    return process_fd(fd, SIM_FD_FILE) != NULL ? fail(EPERM) : -1;
}

/* ---- what is in a directory ---- */

typedef struct {
    int fd;
    size_t at, count;
    struct dirent item;
    char names[][DISK_NAME];
} listing_t;

DIR *sim_fdopendir(int fd)
{
    process_fd_t *d = process_fd(fd, SIM_FD_FILE);
    int err = disk_call("fdopendir", 0);
    listing_t *l;
    size_t i;

    if (d == NULL || err != 0) {
        fail(err ? err : EBADF);
        return NULL;
    }
    l = sim_malloc(sizeof *l + d->node->count * DISK_NAME);
    if (l == NULL) {
        return NULL;
    }
    l->fd = fd;
    l->at = 0;
    l->count = d->node->count;
    for (i = 0; i < l->count; i++) {
        memcpy(l->names[i], d->node->entries[i].name, DISK_NAME);
    }
    return (DIR *)l;
}

/* Of /proc there is no more than what open_proc() knows. */
DIR *sim_opendir(const char *path)
{
    int fd = sim_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);

    return fd >= 0 ? sim_fdopendir(fd) : NULL;
}

struct dirent *sim_readdir(DIR *dir)
{
    listing_t *l = (listing_t *)dir;
    int err = disk_call("readdir", 0);

    if (err != 0) {
        errno = err;
        return NULL;
    }
    if (l->at == l->count) {
        return NULL;
    }
    snprintf(l->item.d_name, sizeof l->item.d_name, "%s", l->names[l->at++]);
    return &l->item;
}

int sim_closedir(DIR *dir)
{
    listing_t *l = (listing_t *)dir;
    int fd = l->fd;

    sim_free(l);
    return sim_close(fd);
}
