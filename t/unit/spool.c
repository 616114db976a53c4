/*
 * t/unit/spool.c: files of lines in a directory that breaks in every way.
 *
 * The system calls that spool.c makes come here first (a program's own
 * function goes before the C library's), so each of them can fail, be cut
 * short, or be the last thing that a process does, without a line for it in
 * spool.c.  Every line has a number, and what was done with each number is
 * kept in memory that outlives a killed process (lab).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/spool.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINES 200000
#define TEST_LIMIT 60 /* seconds that a process may live */
#define BASE UINT64_C(1700000000000000000)

/* ---- the system calls ---- */

static struct {
    int armed;
    int calls;             /* since it was armed */
    int kill_at, fail_at;  /* the number of a call, from 1 */
    const char *fail_call; /* or all calls that are named here, */
    const char *fail_name; /* about a file whose name has this */
    int err;
    size_t write_most;         /* bytes of one writev(), 0: all */
    int write_nothing;         /* writev() says 0 */
    long disk_free;            /* bytes; -1: no limit */
    int interrupt;             /* every second call is interrupted */
    int no_sync;               /* fsync() takes no time */
    int64_t clock;             /* ns, 0: the real one */
    void (*before_open)(void); /* once, before openat() */
    void (*before_fsync)(void);
    void (*before_flock)(void); /* once, when the file was made */
    char trace[4096];
} world;

static void trace(const char *call)
{
    size_t len = strlen(world.trace);

    snprintf(world.trace + len, sizeof world.trace - len, "%s%s",
             len ? " " : "", call);
}

/* Is it one of the words of list? */
static int is_in(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (; *list != '\0'; list += strcspn(list, " "), list += *list == ' ') {
        if (strcspn(list, " ") == len && strncmp(list, word, len) == 0) {
            return 1;
        }
    }
    return 0;
}

/* 1: the call is to fail, errno is set. */
static int fails(const char *call, const char *name)
{
    if (!world.armed) {
        return 0;
    }
    trace(call);
    if (++world.calls == world.kill_at) {
        kill(getpid(), SIGKILL);
    }
    errno = world.err;
    return world.calls == world.fail_at
           || (world.fail_call && is_in(world.fail_call, call)
               && (!world.fail_name || strstr(name, world.fail_name)));
}

static int is_interrupted(void)
{
    static unsigned n;

    errno = EINTR;
    return world.armed && world.interrupt && n++ % 2 == 0;
}

int open(const char *name, int flags, ...)
{
    return fails("open", name)
               ? -1
               : (int)syscall(SYS_openat, AT_FDCWD, name, flags, 0600);
}

int openat(int dir, const char *name, int flags, ...)
{
    void (*before)(void) = world.before_open;
    va_list args;
    int mode = 0;

    va_start(args, flags);
    if (flags & O_CREAT) {
        mode = va_arg(args, int);
    }
    va_end(args);
    if (world.armed && before) {
        world.before_open = NULL;
        before();
    }
    if (fails("openat", name)) {
        return -1;
    }
    if (world.armed) {
        assert_true(flags & O_CLOEXEC);
        assert_true(flags & (O_NOFOLLOW | O_DIRECTORY));
        assert_true(!(flags & O_CREAT) || mode == 0600);
    }
    return (int)syscall(SYS_openat, dir, name, flags, mode);
}

/* Part of the first span only, when there is a limit. */
static ssize_t write_limited(int fd, const struct iovec *spans, size_t most)
{
    struct iovec one = spans[0];

    if (world.disk_free == 0) {
        errno = ENOSPC;
        return -1;
    }
    if (world.disk_free > 0 && most > (size_t)world.disk_free) {
        most = (size_t)world.disk_free;
    }
    one.iov_len = one.iov_len < most ? one.iov_len : most;
    if (world.disk_free > 0) {
        world.disk_free -= (long)one.iov_len;
    }
    return syscall(SYS_writev, fd, &one, 1);
}

ssize_t writev(int fd, const struct iovec *spans, int count)
{
    if (is_interrupted() || fails("writev", "")) {
        return -1;
    }
    if (world.armed && world.write_nothing) {
        return 0;
    }
    if (world.armed && (world.write_most || world.disk_free >= 0)) {
        return write_limited(fd, spans,
                             world.write_most ? world.write_most : SIZE_MAX);
    }
    return syscall(SYS_writev, fd, spans, count);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t at)
{
    if (is_interrupted() || fails("pread", "")) {
        return -1;
    }
    if (world.armed && world.write_most && size > world.write_most) {
        size = world.write_most;
    }
    return syscall(SYS_pread64, fd, buffer, size, at);
}

int fsync(int fd)
{
    if (world.before_fsync) {
        world.before_fsync();
    }
    if (is_interrupted() || fails("fsync", "")) {
        return -1;
    }
    return world.no_sync ? fcntl(fd, F_GETFD) >> 1
                         : (int)syscall(SYS_fsync, fd);
}

int flock(int fd, int operation)
{
    void (*before)(void) = world.before_flock;

    if (before) {
        world.before_flock = NULL;
        before();
    }
    return (int)syscall(SYS_flock, fd, operation);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return fails("renameat", from)
               ? -1
               : (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
}

int unlinkat(int dir, const char *name, int flags)
{
    return fails("unlinkat", name)
               ? -1
               : (int)syscall(SYS_unlinkat, dir, name, flags);
}

int fstat(int fd, struct stat *st)
{
    return fails("fstat", "") ? -1 : (int)syscall(SYS_fstat, fd, st);
}

int fstatat(int dir, const char *restrict name, struct stat *restrict st,
            int flags)
{
    return fails("fstatat", name)
               ? -1
               : (int)syscall(SYS_newfstatat, dir, name, st, flags);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (id == CLOCK_REALTIME && world.clock != 0) {
        t->tv_sec = world.clock / 1000000000;
        t->tv_nsec = world.clock % 1000000000;
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, id, t);
}

/* ---- the spool of a test ---- */

static const imx_spool_owner_t beside = { .is_shared = 1 };
static char base[64], dir[80];
static imx_spool_t *spool;
static imx_spool_piece_t file;
static size_t piece_bytes, piece_lines; /* of what oldest() asks for */
static uint64_t dropped;                /* of the last put */
static struct {
    uint64_t put, delivered, dropped; /* lines, since the spool was opened */
} sum;

/* What became of a line, beside the spool. */
static struct lab {
    _Atomic unsigned char begun[LINES], stored[LINES], sending[LINES];
    _Atomic unsigned char done[LINES], gone[LINES], seen[LINES];
    _Atomic uint32_t last; /* the line that was seen last */
    _Atomic uint32_t disorder;
} * lab;

static struct {
    int count, count_of[100];
    char text[5200];
} said;

static void note_log(void *context, imx_log_level_e level, const char *text)
{
    unsigned id = 0;

    assert_ptr_equal(context, &said);
    assert_true(level <= IMX_LOG_DEBUG);
    assert_int_equal(sscanf(text, "IMX00%2u: ", &id), 1);
    assert_true(id >= 40 && id <= 51);
    assert_null(strchr(text, '\n'));
    said.count++;
    said.count_of[id % 100]++;
    snprintf(said.text, sizeof said.text, "%s", text);
}

static void check_accounts(void)
{
    imx_spool_totals_t t = imx_spool_totals(spool);

    assert_int_equal(t.found + sum.put,
                     sum.delivered + sum.dropped + t.lost + t.lines);
}

static int open_at(const char *path, uint64_t max_bytes)
{
    char reason[IMX_SPOOL_REASON_MAX] = "";
    int err;

    memset(&sum, 0, sizeof sum);
    world.armed = 1;
    err = imx_spool_open(&spool, path, max_bytes, NULL, note_log, &said,
                         reason);
    world.armed = 0;
    if (err != 0) {
        assert_null(spool);
        assert_true(strlen(reason) > 5);
        snprintf(said.text, sizeof said.text, "%s", reason);
    }
    else {
        check_accounts();
        imx_spool_trust(spool); /* these tests write true names */
        check_accounts();
    }
    return err;
}

static void open_spool(uint64_t max_bytes)
{
    assert_int_equal(open_at(dir, max_bytes), 0);
}

static void close_spool(void)
{
    imx_spool_close(spool);
    spool = NULL;
}

static void reopen(void)
{
    close_spool();
    open_spool(0);
}

/* Line number id; its length follows from id too. */
static size_t line_text(char *text, uint32_t id)
{
    return (size_t)sprintf(text, "m,w=%.*s n=%06ui %llu\n", (int)(id % 23) + 1,
                           "abcdefghijklmnopqrstuvwxyz", id,
                           (unsigned long long)(BASE + id));
}

/* The id of a line that is whole, to the last byte; or it is none of ours. */
static uint32_t line_id(const struct iovec *line)
{
    char copy[128] = "";
    unsigned id;

    assert_in_range(line->iov_len, 1, sizeof copy - 1);
    memcpy(copy, line->iov_base, line->iov_len);
    assert_int_equal(sscanf(copy, "m,w=%*s n=%6ui", &id), 1);
    assert_int_equal(line_text(copy, id), line->iov_len);
    assert_memory_equal(copy, line->iov_base, line->iov_len);
    return id;
}

static struct iovec spans[IMX_SPOOL_LINES_MAX + 2];
static char text[16 * 1024 * 1024];

static size_t make_lines(uint32_t first, size_t count)
{
    size_t i, at = 0;

    for (i = 0; i < count; i++) {
        spans[i].iov_base = text + at;
        spans[i].iov_len = line_text(text + at, first + (uint32_t)i);
        at += spans[i].iov_len;
    }
    return at;
}

static int put(uint32_t first, size_t count)
{
    size_t i;
    int err;

    make_lines(first, count);
    for (i = 0; i < count; i++) {
        lab->begun[first + i] = 1;
    }
    world.armed = 1;
    err = imx_spool_put(spool, spans, count, &dropped);
    world.armed = 0;
    for (i = 0; i < count && err == 0; i++) {
        lab->stored[first + i] = 1;
    }
    sum.put += err == 0 ? count : 0;
    sum.dropped += dropped;
    check_accounts();
    return err;
}

static int oldest(void)
{
    int got, err;

    world.armed = 1;
    got = imx_spool_next(spool, piece_bytes, piece_lines, &file);
    err = errno;
    world.armed = 0;
    check_accounts();
    imx_spool_count(spool, SIZE_MAX); /* of files that came meanwhile */
    check_accounts();
    errno = err;
    return got;
}

/* The next lines of the piece. */
static void finish_some(size_t count)
{
    world.armed = 1;
    imx_spool_done(spool, count);
    world.armed = 0;
    sum.delivered += count;
    check_accounts();
}

static void finish(void)
{
    finish_some(file.count);
}

/* The lines of the piece from `from` on, and no more than count of them. */
static void done_some(size_t from, size_t count)
{
    uint32_t first = line_id(&file.lines[from]);
    size_t i;

    for (i = 0; i < count; i++) {
        lab->sending[first + i] = 1;
    }
    finish_some(count);
    for (i = 0; i < count; i++) {
        lab->done[first + i] = 1;
    }
}

static void done(void)
{
    done_some(0, file.count);
}

/* The oldest file has exactly these lines. */
static void check_oldest(uint32_t first, size_t count)
{
    size_t i;

    assert_int_equal(oldest(), 1);
    assert_int_equal(file.count, count);
    for (i = 0; i < count; i++) {
        assert_int_equal(line_id(&file.lines[i]), first + i);
    }
}

static void deliver(uint32_t first, size_t count)
{
    check_oldest(first, count);
    done();
}

/* Everything, counted in the lab. */
static void drain(void)
{
    size_t i;

    while (oldest() == 1) {
        for (i = 0; i < file.count; i++) {
            uint32_t id = line_id(&file.lines[i]);

            lab->seen[id]++;
            lab->disorder += id < lab->last;
            lab->last = id;
        }
        finish();
    }
}

static void check_totals(uint64_t files, uint64_t lines)
{
    imx_spool_totals_t t = imx_spool_totals(spool);

    assert_int_equal(t.files, files);
    assert_int_equal(t.lines, lines);
    assert_true((t.bytes > 0) == (files > 0));
}

/* ---- the directory of a test ---- */

/* How many names end so; the last in order is in last_name. */
static char last_name[256];

static int count_names(const char *suffix)
{
    DIR *d = opendir(dir);
    struct dirent *item;
    int count = 0;

    assert_non_null(d);
    last_name[0] = '\0';
    while ((item = readdir(d)) != NULL) {
        size_t len = strlen(item->d_name), n = strlen(suffix);

        if (item->d_name[0] != '.' && len >= n
            && strcmp(item->d_name + len - n, suffix) == 0) {
            count++;
            if (strcmp(item->d_name, last_name) > 0) {
                strcpy(last_name, item->d_name);
            }
        }
    }
    closedir(d);
    return count;
}

static char *path_of(const char *name)
{
    static char path[4][400];
    static unsigned n;
    char *p = path[n++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

/* A name as spool.h describes it; the time is small, so that it is old. */
static char *name_of(unsigned long long time, unsigned number, unsigned lines,
                     const char *suffix)
{
    static char name[4][80];
    static unsigned n;
    char *p = name[n++ % 4];

    snprintf(p, sizeof name[0], "%019llu-%08u-%06u%s", time, number, lines,
             suffix);
    return p;
}

static void make_file(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(path_of(name), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void make_lines_file(const char *name, uint32_t first, size_t count)
{
    make_file(name, text, make_lines(first, count));
}

/* The content, in a static buffer. */
static char content[1 << 20];

static size_t read_file(const char *name)
{
    FILE *f = fopen(path_of(name), "r");
    size_t size;

    assert_non_null(f);
    size = fread(content, 1, sizeof content, f);
    fclose(f);
    return size;
}

static int exists(const char *name)
{
    struct stat st;

    return lstat(path_of(name), &st) == 0;
}

/* So that spool.c does not see that somebody was here. */
static void restore_mtime(const struct stat *st)
{
    struct timespec times[2] = { st->st_atim, st->st_mtim };

    assert_int_equal(utimensat(AT_FDCWD, dir, times, 0), 0);
}

static void remove_all(const char *path)
{
    assert_int_equal(remove_tree(path), 0);
}

static int open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

static void forget_world(void)
{
    int no_sync = world.no_sync;

    memset(&world, 0, sizeof world);
    world.disk_free = -1;
    world.no_sync = no_sync;
}

static int fds_before;

static int setup(void **state)
{
    (void)state;
    world.no_sync = 0;
    forget_world();
    memset(&said, 0, sizeof said);
    memset(&file, 0, sizeof file);
    piece_bytes = IMX_SPOOL_FILE_MAX;
    piece_lines = SIZE_MAX;
    if (lab == NULL) {
        lab = mmap(NULL, sizeof *lab, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    memset(lab, 0, sizeof *lab);
    snprintf(base, sizeof base, "/tmp/imx-spool-XXXXXX");
    if (mkdtemp(base) == NULL) {
        return -1;
    }
    chmod(base, 0755);
    snprintf(dir, sizeof dir, "%s/spool", base);
    fds_before = open_fds();
    return mkdir(dir, 0700);
}

static int teardown(void **state)
{
    (void)state;
    forget_world();
    close_spool();
    remove_all(base);
    return open_fds() == fds_before ? 0 : -1;
}

/* ---- processes ---- */

/* Runs what in a process of its own; returns how that ended. */
static int run(void (*what)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(TEST_LIMIT);
        what();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* cmocka's assertions do not work in a forked process. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)

/* ---- the plain way ---- */

static void test_an_empty_directory(void **state)
{
    (void)state;
    open_spool(0);
    check_totals(0, 0);
    assert_int_equal(oldest(), 0);
    imx_spool_put_back(spool);
    world.armed = 1;
    imx_spool_done(spool, 0);
    world.armed = 0;
    check_totals(0, 0);
    assert_int_equal(said.count, 0);
}

static void test_put_and_deliver(void **state)
{
    struct stat st;
    imx_spool_totals_t t;
    size_t bytes = make_lines(100, 3);

    (void)state;
    open_spool(0);
    assert_int_equal(put(100, 3), 0);
    assert_int_equal(dropped, 0);
    t = imx_spool_totals(spool);
    assert_int_equal(t.files, 1);
    assert_int_equal(t.lines, 3);
    assert_int_equal(t.bytes, bytes);
    assert_int_equal(t.found, 0);
    assert_int_equal(count_names(""), 1);
    assert_int_equal(strlen(last_name), 38);
    assert_string_equal(last_name + 19, "-00000000-000003.lp");
    assert_int_equal(stat(path_of(last_name), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(read_file(last_name), bytes);
    make_lines(100, 3);
    assert_memory_equal(content, text, bytes);
    check_oldest(100, 3);
    check_totals(1, 3);
    done();
    check_totals(0, 0);
    assert_int_equal(count_names(""), 0);
    assert_int_equal(oldest(), 0);
    assert_int_equal(said.count, 0);
}

/* The order in which things reach the disk is the promise. */
static void test_the_order_of_calls(void **state)
{
    (void)state;
    open_spool(0);
    world.trace[0] = '\0';
    assert_int_equal(put(1, 2), 0);
    assert_string_equal(world.trace,
                        "fstatat openat fstat writev fsync "
                        "fstatat renameat fsync fstat");
    assert_int_equal(oldest(), 1);
    world.trace[0] = '\0';
    done();
    assert_string_equal(world.trace, "fstatat unlinkat fsync fstat");
    assert_int_equal(oldest(), 0);
    world.trace[0] = '\0';
    assert_int_equal(oldest(), 0); /* nothing has changed since */
    assert_string_equal(world.trace, "fstatat");
}

static void test_oldest_first_and_keep(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(1, 2), 0);
    assert_int_equal(put(3, 1), 0);
    check_oldest(1, 2);
    imx_spool_put_back(spool);
    imx_spool_put_back(spool);
    imx_spool_done(spool, 2); /* too late */
    check_totals(2, 3);
    check_oldest(1, 2);
    check_oldest(1, 2);             /* without keep: the same */
    assert_int_equal(put(4, 1), 0); /* while one is being read */
    done();
    deliver(3, 1);
    deliver(4, 1);
    assert_int_equal(oldest(), 0);
}

static void test_what_put_refuses(void **state)
{
    struct iovec empty = { text, 0 };
    size_t i;

    (void)state;
    open_spool(0);
    assert_int_equal(imx_spool_put(spool, spans, 0, &dropped), EINVAL);
    assert_int_equal(imx_spool_put(spool, &empty, 1, &dropped), EINVAL);
    for (i = 0; i < IMX_SPOOL_LINES_MAX + 1; i++) {
        spans[i].iov_base = "m n=1 1\n";
        spans[i].iov_len = 8;
    }
    assert_int_equal(imx_spool_put(spool, spans, IMX_SPOOL_LINES_MAX + 1,
                                   &dropped),
                     EFBIG);
    assert_int_equal(count_names(""), 0);
    assert_int_equal(imx_spool_put(spool, spans, IMX_SPOOL_LINES_MAX, &dropped),
                     0);
    sum.put += IMX_SPOOL_LINES_MAX;
    assert_int_equal(oldest(), 1);
    assert_int_equal(file.count, IMX_SPOOL_LINES_MAX);
    imx_spool_put_back(spool);
    for (i = 0; i < 5; i++) {
        spans[i].iov_base = text;
        spans[i].iov_len = sizeof text;
    }
    assert_int_equal(imx_spool_put(spool, spans, 5, &dropped), EFBIG);
    assert_int_equal(count_names(".tmp"), 0);
}

/* Nobody listens to the log, and nothing was opened. */
static void test_no_log_no_spool(void **state)
{
    char reason[IMX_SPOOL_REASON_MAX];

    (void)state;
    make_file(name_of(1, 0, 1, ".lp"), "torn", 4);
    assert_int_equal(imx_spool_open(&spool, dir, 0, NULL, NULL, NULL, reason),
                     0);
    assert_int_equal(imx_spool_next(spool, 1000, 1000, &file), 0);
    imx_spool_close(NULL);
}

static void test_short_writes_and_signals(void **state)
{
    (void)state;
    open_spool(0);
    world.write_most = 37;
    world.interrupt = 1;
    assert_int_equal(put(1, 2000), 0);
    deliver(1, 2000);
    world.write_most = 0;
    assert_int_equal(put(5000, 2000), 0); /* several writev() */
    deliver(5000, 2000);
    assert_int_equal(said.count, 0);
}

static void test_a_write_that_fails(void **state)
{
    (void)state;
    open_spool(0);
    world.write_nothing = 1;
    assert_int_equal(put(1, 2), EIO);
    world.write_nothing = 0;
    world.fail_at = world.calls + 4; /* the first of several writev() */
    world.err = ENOSPC;
    assert_int_equal(put(1, 2000), ENOSPC);
    assert_int_equal(count_names(""), 0);
    world.fail_call = "unlinkat";
    world.disk_free = 60; /* a line and a half */
    assert_int_equal(put(1, 2), ENOSPC);
    world.fail_call = NULL;
    world.disk_free = -1;
    assert_int_equal(count_names(".tmp"), 1);
    reopen(); /* what could not be removed is empty */
    check_totals(0, 0);
    assert_int_equal(count_names(""), 0);
    assert_int_equal(said.count, 0);
}

static void test_empty_spans(void **state)
{
    struct iovec some[5] = { { NULL, 0 },
                             { "m n=1 1\n", 8 },
                             { NULL, 0 },
                             { "m n=2 2\n", 8 },
                             { NULL, 0 } };

    (void)state;
    open_spool(0);
    world.armed = 1;
    world.write_most = 3;
    assert_int_equal(imx_spool_put(spool, some, 5, &dropped), 0);
    world.armed = 0;
    count_names(".lp");
    assert_int_equal(read_file(last_name), 16);
    assert_memory_equal(content, "m n=1 1\nm n=2 2\n", 16);
}

/* ---- what users of Telegraf's disk buffer met ---- */

/* #16500: after a restart the whole log is sent again. */
static void put_five_deliver_three(void)
{
    uint32_t i;

    open_spool(0);
    for (i = 0; i < 5; i++) {
        put(10 * i, 10);
    }
    for (i = 0; i < 3; i++) {
        oldest();
        done();
    }
    oldest(); /* is being sent when the end comes */
    kill(getpid(), SIGKILL);
}

static void test_telegraf_16500_whole_log_resent(void **state)
{
    (void)state;
    assert_int_equal(WTERMSIG(run(put_five_deliver_three)), SIGKILL);
    open_spool(0);
    check_totals(2, 20);
    deliver(30, 10);
    deliver(40, 10);
    assert_int_equal(oldest(), 0);
}

/* #15868, #16981: sent twice; the last one once more after each start. */
static void test_telegraf_15868_sent_twice(void **state)
{
    int i;

    (void)state;
    open_spool(0);
    assert_int_equal(put(1, 3), 0);
    assert_int_equal(put(4, 3), 0);
    deliver(1, 3);
    deliver(4, 3);
    for (i = 0; i < 3; i++) {
        reopen();
        check_totals(0, 0);
        assert_int_equal(oldest(), 0);
    }
    assert_int_equal(count_names(""), 0);
}

/* #16314, #16615: after a while nothing is sent, the buffer never empties. */
static void test_telegraf_16314_never_emptied(void **state)
{
    uint32_t round, i, in = 0, out = 0;
    size_t before = mallinfo2().uordblks;

    (void)state;
    world.no_sync = 1;
    open_spool(0);
    for (round = 0; round < 500; round++) {
        for (i = 0; i < 1 + round % 7; i++, in++) {
            assert_int_equal(put(in, 1), 0);
        }
        for (i = 0; i < round % 5 && out < in; i++, out++) {
            deliver(out, 1);
        }
    }
    for (; out < in; out++) {
        deliver(out, 1);
    }
    check_totals(0, 0);
    assert_int_equal(count_names(""), 0);
    assert_int_equal(oldest(), 0);
    close_spool();
    assert_in_range(mallinfo2().uordblks, 0, before + 1000);
}

/* #18528: a file that was cut stops the start.  Here: at every byte. */
static void test_telegraf_18528_torn_file(void **state)
{
    size_t size = make_lines(10, 4), cut, whole = 0, bytes = 0;
    char *name = strdup(name_of(1, 0, 4, ".lp"));
    char *bad = strdup(name_of(1, 0, 4, ".bad"));

    (void)state;
    world.no_sync = 1;
    for (cut = 1; cut <= size; cut++) {
        make_lines(10, 4);
        make_file(name, text, cut);
        if (cut == bytes + spans[whole].iov_len) {
            bytes = cut;
            whole++;
        }
        memset(&said, 0, sizeof said);
        open_spool(0);
        if (whole == 0) {
            assert_int_equal(oldest(), 0);
            assert_int_equal(said.count_of[41], 1);
        }
        else {
            deliver(10, whole);
            assert_int_equal(said.count_of[40], cut > bytes);
        }
        assert_int_equal(said.count, cut > bytes);
        assert_int_equal(imx_spool_totals(spool).lost, 4 - whole);
        assert_int_equal(exists(bad), cut > bytes);
        if (cut > bytes) {
            assert_int_equal(read_file(bad), cut - bytes);
            make_lines(10, 4);
            assert_memory_equal(content, text + bytes, cut - bytes);
            unlink(path_of(bad));
        }
        assert_int_equal(count_names(""), 0);
        close_spool();
    }
    assert_int_equal(whole, 4);
    free(name);
    free(bad);
}

/* #16615: no limit of size. */
static void test_telegraf_16615_no_size_limit(void **state)
{
    uint64_t lost = 0;
    uint32_t i;

    (void)state;
    world.no_sync = 1;
    open_spool(3000);
    for (i = 0; i < 300; i++) {
        assert_int_equal(put(i * 5, 5), 0);
        lost += dropped;
        assert_in_range(imx_spool_totals(spool).bytes, 1, 3000);
    }
    check_totals(imx_spool_totals(spool).files, 1500 - lost);
    deliver((uint32_t)lost, 5); /* it was the oldest that went */
    assert_int_equal(said.count, 0);
}

/* No review of it got an answer: what happens when the disk is full? */
static void test_telegraf_disk_full_undefined(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(1, 10), 0);
    world.disk_free = 100;
    assert_int_equal(put(11, 10), ENOSPC);
    assert_int_equal(world.disk_free, 0);
    assert_int_equal(put(11, 10), ENOSPC);
    assert_int_equal(count_names(".tmp"), 0);
    assert_int_equal(count_names(""), 1);
    check_totals(1, 10);
    deliver(1, 10); /* what frees space must work */
    world.disk_free = -1;
    assert_int_equal(put(11, 10), 0);
    deliver(11, 10);
    assert_int_equal(said.count, 0); /* the caller knows, and says it */
}

/* ---- names ---- */

static const char *const foreign[] = {
    "1700000000000000000-00000000-000001",
    "1700000000000000000-00000000-000001.l",
    "1700000000000000000-00000000-000001.lp~",
    "1700000000000000000-00000000-000001.lp.gz",
    "1700000000000000000-00000000-000001.LP",
    "1700000000000000000-00000000-000001.TMP",
    "1700000000000000000-00000000-000001.bad.lp",
    "1700000000000000000-00000000-000001lp",
    "1700000000000000000-00000000-00001.lp",
    "1700000000000000000-00000000-0000001.lp",
    "1700000000000000000-0000000-000001.lp",
    "1700000000000000000-000000000-000001.lp",
    "170000000000000000-00000000-000001.lp",
    "17000000000000000000-00000000-000001.lp",
    "1700000000000000000_00000000-000001.lp",
    "1700000000000000000-00000000_000001.lp",
    "170000000000000000x-00000000-000001.lp",
    "1700000000000000000-0000000x-000001.lp",
    "1700000000000000000-00000000-00000x.lp",
    "-700000000000000000-00000000-000001.lp",
    "+700000000000000000-00000000-000001.lp",
    " 700000000000000000-00000000-000001.lp",
    "9223372036854775808-00000000-000001.lp", /* more than 63 bits */
    "9999999999999999999-00000000-000001.lp",
    "x1700000000000000000-00000000-000001.lp",
    ".1700000000000000000-00000000-000001.lp",
    "1700000000000000000-00000000-000001-000000000000.lp",
    "1700000000000000000-00000000-000001-00000000001.lp",
    "1700000000000000000-00000000-000001-0000000000001.lp",
    "1700000000000000000-00000000-000001-00000000000x.lp",
    "1700000000000000000-00000000-000001-.lp",
    "README",
    "core",
    "a.lp",
    "b.tmp",
    "c.bad",
    ".lp",
    ".tmp",
};

#define FOREIGN (sizeof foreign / sizeof *foreign)

static void test_foreign_names(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < FOREIGN; i++) {
        make_file(foreign[i], "m n=1 1\n", 8);
    }
    open_spool(300);
    check_totals(0, 0);
    assert_int_equal(put(1, 2), 0);
    assert_int_equal(put(3, 5), 0);
    assert_int_equal(put(8, 2), 0); /* makes room, but not there */
    drain();
    assert_int_equal(oldest(), 0);
    for (i = 0; i < FOREIGN; i++) {
        assert_int_equal(read_file(foreign[i]), 8);
    }
    assert_int_equal(said.count, 0);
}

/* Our name, but no regular file. */
static void test_what_is_no_file(void **state)
{
    char target[100];

    (void)state;
    snprintf(target, sizeof target, "%s/target", base);
    make_lines_file("../target", 1, 2);
    mkdir(path_of(name_of(1, 0, 1, ".lp")), 0700);
    mkfifo(path_of(name_of(2, 0, 1, ".lp")), 0600);
    assert_int_equal(symlink(target, path_of(name_of(3, 0, 2, ".lp"))), 0);
    assert_int_equal(symlink(target, path_of(name_of(4, 0, 2, ".tmp"))), 0);
    assert_int_equal(symlink(target, path_of(name_of(5, 0, 2, ".bad"))), 0);
    open_spool(100);
    check_totals(0, 0);
    assert_int_equal(oldest(), 0);
    assert_int_equal(put(1, 2), 0);
    assert_int_equal(put(3, 2), 0);
    drain();
    assert_int_equal(count_names(""), 5);
    assert_int_equal(said.count, 0);
}

static char *swap_name;

static void swap_for_symlink(void)
{
    assert_int_equal(unlink(path_of(swap_name)), 0);
    assert_int_equal(symlink("../target", path_of(swap_name)), 0);
}

static void swap_for_fifo(void)
{
    assert_int_equal(unlink(path_of(swap_name)), 0);
    assert_int_equal(mkfifo(path_of(swap_name), 0600), 0);
}

/* In the instant between looking and opening. */
static void check_swap(void (*swap)(void))
{
    static char name[80];

    strcpy(name, name_of(1, 0, 2, ".lp"));
    swap_name = name;
    make_lines_file("../target", 1, 2);
    make_lines_file(name, 11, 2);
    open_spool(0);
    assert_int_equal(put(21, 2), 0);
    world.before_open = swap;
    deliver(21, 2);
    assert_null(world.before_open);
    assert_int_equal(imx_spool_totals(spool).lost, 2);
    assert_int_equal(said.count_of[47], 1);
    assert_true(exists(name_of(1, 0, 2, ".bad")));
    assert_true(exists("../target"));
    assert_int_equal(read_file("../target"), make_lines(1, 2));
}

static void test_a_symlink_for_a_file(void **state)
{
    (void)state;
    check_swap(swap_for_symlink);
}

static void test_a_fifo_for_a_file(void **state)
{
    (void)state;
    check_swap(swap_for_fifo);
}

static void test_a_symlink_where_we_write(void **state)
{
    size_t size;

    (void)state;
    make_lines_file("../target", 1, 2);
    open_spool(0);
    world.clock = (int64_t)BASE;
    assert_int_equal(symlink("../target", path_of(name_of(BASE, 0, 2, ".tmp"))),
                     0);
    assert_int_equal(put(21, 2), EEXIST);
    assert_int_equal(symlink("../target", path_of(name_of(BASE, 1, 2, ".lp"))),
                     0);
    assert_int_equal(put(21, 2), EEXIST);
    assert_int_equal(symlink("../none", path_of(name_of(BASE, 2, 2, ".lp"))),
                     0);
    assert_int_equal(put(21, 2), EEXIST);
    assert_int_equal(put(21, 2), 0); /* the next number is free */
    deliver(21, 2);
    assert_int_equal(symlink("../target", path_of(name_of(5, 0, 2, ".bad"))),
                     0);
    size = make_lines(31, 2);
    make_file(name_of(5, 0, 2, ".lp"), text, size - 1);
    deliver(31, 1);
    assert_int_equal(said.count_of[46], 1);
    assert_int_equal(read_file("../target"), make_lines(1, 2));
    assert_int_equal(count_names(".lp"), 2);
}

/* ---- the clock ---- */

static void test_the_clock_is_set_back(void **state)
{
    (void)state;
    open_spool(0);
    world.clock = (int64_t)BASE;
    assert_int_equal(put(1, 1), 0);
    world.clock = (int64_t)BASE - 3600 * INT64_C(1000000000);
    assert_int_equal(put(2, 1), 0);
    assert_int_equal(put(3, 1), 0);
    reopen(); /* also when nothing is remembered */
    assert_int_equal(put(4, 1), 0);
    world.clock = (int64_t)BASE + 1;
    assert_int_equal(put(5, 1), 0);
    count_names(".lp");
    assert_string_equal(last_name, name_of(BASE + 1, 0, 1, ".lp"));
    drain();
    assert_int_equal(lab->disorder, 0);
    assert_int_equal(lab->last, 5);
}

static void test_the_clock_stands_still(void **state)
{
    uint32_t i;

    (void)state;
    world.no_sync = 1;
    world.clock = (int64_t)BASE;
    open_spool(0);
    for (i = 1; i < 300; i++) {
        assert_int_equal(put(i, 1), 0);
    }
    reopen();
    for (i = 1; i < 300; i++) {
        deliver(i, 1);
    }
}

static void test_the_clock_before_1970(void **state)
{
    (void)state;
    world.clock = -5000000000;
    open_spool(0);
    assert_int_equal(put(1, 1), 0);
    assert_int_equal(put(2, 1), 0);
    deliver(1, 1);
    deliver(2, 1);
}

static void test_the_last_number(void **state)
{
    (void)state;
    make_lines_file(name_of(BASE, 99999999, 1, ".lp"), 1, 1);
    world.clock = (int64_t)BASE - 5;
    open_spool(0);
    assert_int_equal(put(2, 1), 0);
    count_names(".lp");
    assert_string_equal(last_name, name_of(BASE + 1, 0, 1, ".lp"));
    deliver(1, 1);
    deliver(2, 1);
}

static void test_the_last_name(void **state)
{
    (void)state;
    make_lines_file(name_of(INT64_MAX, 99999998, 1, ".lp"), 1, 1);
    open_spool(0);
    assert_int_equal(put(2, 1), 0);
    assert_int_equal(put(3, 1), EOVERFLOW);
    assert_int_equal(put(3, 1), EOVERFLOW);
    deliver(1, 1);
    deliver(2, 1);
    reopen();
    assert_int_equal(put(3, 1), 0);
}

/* Names of every kind count, so that none is ever used again. */
static void test_newer_than_quarantine(void **state)
{
    (void)state;
    make_file(name_of(BASE, 7, 1, ".bad"), "x", 1);
    world.clock = (int64_t)BASE;
    open_spool(0);
    assert_int_equal(put(2, 1), 0);
    count_names(".lp");
    assert_string_equal(last_name, name_of(BASE, 8, 1, ".lp"));
}

/* ---- what is a line ---- */

#define S(s) s, sizeof s - 1

static const struct {
    const char *data;
    size_t size;
    const char *good, *bad; /* bad: "" none; NUL is written @ */
    size_t lines;
} contents[] = {
    { S("a n=1 1\nb n=2 2\n"), "a n=1 1\nb n=2 2\n", "", 2 },
    { S("a n=1 1\nb n=2"), "a n=1 1\n", "b n=2", 1 },
    { S("a n=1 1\n\n\nb n=2 2\n"), "a n=1 1\nb n=2 2\n", "\n\n", 2 },
    { S("\na n=1 1\n x n=2 2\nb n=3 3\n\t\n"), "a n=1 1\nb n=3 3\n",
      "\n x n=2 2\n\t\n", 2 },
    { S("# by hand\na n=1 1\n#\n"), "a n=1 1\n", "# by hand\n#\n", 1 },
    { S("\0\0\0\0\na n=1 1\n"), "a n=1 1\n", "@@@@\n", 1 },
    { S("a n=\0\0 1\nb n=2 2\nc\0"), "b n=2 2\n", "a n=@@ 1\nc@", 1 },
    { S("a n=1 1\n\0\0\0 n=2 2\nc n=3 3\n"), "a n=1 1\nc n=3 3\n",
      "@@@ n=2 2\n", 2 },
    { S("\177a n=1 1\nb n=1 1\n"), "b n=1 1\n", "\177a n=1 1\n", 1 },
    { S("\303\251t\303\251 n=1 1\n\n"), "\303\251t\303\251 n=1 1\n", "\n", 1 },
    { S("\n\n\n\n\n\n\na n=1 1\n\n\n\n\n"), "a n=1 1\n",
      "\n\n\n\n\n\n\n\n\n\n\n", 1 },
    { S("a n=1 1\r\n\r\n"), "a n=1 1\r\n", "\r\n", 1 },
    { S("a\n"), "a\n", "", 1 },
    { S("a"), "", "a", 0 },
    { S("\n"), "", "\n", 0 },
    { S("\0"), "", "@", 0 },
    { S("\0\0\0\0\0\0\0\0"), "", "@@@@@@@@", 0 },
};

static void check_given(const char *good, size_t lines)
{
    char *got = calloc(1, 4096);
    size_t i;

    for (i = 0; i < file.count; i++) {
        strncat(got, file.lines[i].iov_base, file.lines[i].iov_len);
    }
    assert_string_equal(got, good);
    assert_int_equal(file.count, lines);
    free(got);
}

static void check_bad(const char *name, const char *bad)
{
    size_t i, size;

    if (*bad == '\0') {
        assert_false(exists(name));
        return;
    }
    size = read_file(name);
    assert_int_equal(size, strlen(bad));
    for (i = 0; i < size; i++) {
        assert_int_equal(content[i], bad[i] == '@' ? '\0' : bad[i]);
    }
    assert_int_equal(unlink(path_of(name)), 0);
}

static void test_what_is_a_line(void **state)
{
    char *name = strdup(name_of(1, 0, 3, ".lp"));
    char *bad = strdup(name_of(1, 0, 3, ".bad"));
    size_t i;

    (void)state;
    for (i = 0; i < sizeof contents / sizeof *contents; i++) {
        memset(&said, 0, sizeof said);
        make_file(name, contents[i].data, contents[i].size);
        open_spool(0);
        assert_int_equal(oldest(), contents[i].lines > 0);
        check_given(contents[i].good, contents[i].lines);
        check_accounts();
        finish();
        check_bad(bad, contents[i].bad);
        assert_int_equal(said.count, contents[i].bad[0] != '\0');
        assert_int_equal(count_names(""), 0);
        close_spool();
    }
    free(name);
    free(bad);
}

static void test_what_the_name_says(void **state)
{
    imx_spool_totals_t t;

    (void)state;
    make_lines_file(name_of(1, 0, 7, ".lp"), 10, 5);
    make_lines_file(name_of(2, 0, 2, ".lp"), 20, 5);
    make_lines_file(name_of(3, 0, 0, ".lp"), 30, 5);
    open_spool(0);
    t = imx_spool_totals(spool);
    assert_int_equal(t.found, 9);
    check_totals(3, 9);
    check_oldest(10, 5);
    assert_int_equal(imx_spool_totals(spool).lost, 2);
    check_totals(3, 7);
    done();
    deliver(20, 5);
    deliver(30, 5);
    t = imx_spool_totals(spool);
    assert_int_equal(t.lost, 2);
    assert_int_equal(t.found, 17);
    assert_int_equal(said.count, 0);
}

static void test_empty_files(void **state)
{
    (void)state;
    make_file(name_of(1, 0, 7, ".lp"), "", 0);
    make_file(name_of(2, 0, 7, ".tmp"), "", 0);
    make_lines_file(name_of(3, 0, 2, ".lp"), 10, 2);
    open_spool(0);
    check_totals(2, 2);
    assert_int_equal(count_names(".tmp"), 0);
    assert_int_equal(imx_spool_totals(spool).found, 2);
    deliver(10, 2);
    assert_int_equal(said.count_of[44], 1);
    assert_int_equal(said.count, 1);
    assert_int_equal(count_names(""), 0);
}

/* ---- pieces ---- */

/* A name of which only what follows the offset is to be known. */
static void check_last_name(const char *start, size_t bytes)
{
    char expected[80];

    snprintf(expected, sizeof expected, "%s-%012zu.lp", start, bytes);
    count_names(".lp");
    assert_string_equal(last_name, expected);
}

/* Nothing of what was delivered is given out again, by whomever. */
static void test_lines_at_once(void **state)
{
    size_t bytes;

    (void)state;
    make_lines_file(name_of(1, 0, 10, ".lp"), 10, 10);
    open_spool(0);
    piece_lines = 4;
    check_oldest(10, 4);
    check_totals(1, 10);
    done();
    check_totals(1, 6);
    bytes = make_lines(10, 4);
    check_last_name("0000000000000000001-00000000-000006", bytes);
    reopen();
    assert_int_equal(imx_spool_totals(spool).found, 6);
    check_oldest(14, 4);
    imx_spool_put_back(spool);
    deliver(14, 4);
    assert_int_equal(put(100, 2), 0); /* is behind it, whatever the clock */
    deliver(18, 2);
    assert_int_equal(count_names(""), 1);
    deliver(100, 2);
    assert_int_equal(said.count, 0);
}

static void test_bytes_at_once(void **state)
{
    uint32_t i;

    (void)state;
    world.no_sync = 1;
    for (piece_bytes = 60; piece_bytes < 200; piece_bytes++) {
        make_lines_file(name_of(1, 0, 10, ".lp"), 10, 10);
        open_spool(0);
        for (i = 10; i < 20; i += (uint32_t)file.count) {
            assert_int_equal(oldest(), 1);
            assert_int_equal(line_id(&file.lines[0]), i);
            assert_true(make_lines(i, file.count) <= piece_bytes);
            done();
        }
        assert_int_equal(i, 20);
        assert_int_equal(count_names(""), 0);
        close_spool();
    }
    assert_int_equal(said.count, 0);
}

/* InfluxDB took the first lines and then no more: what it took is not sent
 * again. */
static void test_telegraf_16500_part_resent(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 10), 0);
    check_oldest(10, 10);
    done_some(0, 3);
    check_totals(1, 7);
    done_some(3, 4);
    check_totals(1, 3);
    imx_spool_put_back(spool);
    check_oldest(17, 3);
    reopen();
    deliver(17, 3);
    assert_int_equal(count_names(""), 0);
    assert_int_equal(said.count, 0);
}

/* It goes on nevertheless; only a later process cannot know. */
static void test_a_part_that_cannot_be_noted(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 10), 0);
    piece_lines = 3;
    world.fail_call = "renameat";
    world.err = EROFS;
    deliver(10, 3);
    deliver(13, 3);
    assert_int_equal(said.count_of[48], 1);
    make_lines_file(name_of(INT64_MAX, 0, 2, ".lp"), 900, 2); /* look again */
    check_oldest(16, 3);
    check_totals(2, 6);
    reopen();
    check_totals(2, 12);
    deliver(10, 3);
    world.fail_call = NULL;
    deliver(13, 3);
    reopen();
    deliver(16, 3);
    deliver(19, 1);
    deliver(900, 2);
    assert_int_equal(said.count, 2);
}

static void test_a_part_of_a_file_that_is_gone(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 10), 0);
    check_oldest(10, 10);
    unlink(path_of((count_names(".lp"), last_name)));
    done_some(0, 4);
    assert_int_equal(imx_spool_totals(spool).lost, 0); /* they were read */
    imx_spool_put_back(spool);
    assert_int_equal(oldest(), 0);
    assert_int_equal(imx_spool_totals(spool).lost, 6);
    check_totals(0, 0);
    assert_int_equal(said.count, 0);
}

/* What was read of it is delivered: no line counts twice. */
static void test_a_part_of_a_file_that_is_gone_is_sent(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 10), 0);
    check_oldest(10, 10);
    unlink(path_of((count_names(".lp"), last_name)));
    done_some(0, 4);
    done_some(4, 3);
    done_some(7, 3);
    assert_int_equal(imx_spool_totals(spool).lost, 0);
    assert_int_equal(oldest(), 0);
    check_totals(0, 0);
}

/* In each piece something that is no line: every byte of it once, one line in
 * the log. */
static void test_no_lines_in_pieces(void **state)
{
    static const char data[] = "a n=1 1\n\nb n=2 2\n#c\nd n=3 3\ne n=4";
    static const char *const good[] = { "a n=1 1\n", "b n=2 2\n",
                                        "d n=3 3\n" };
    size_t i;

    (void)state;
    make_file(name_of(1, 0, 9, ".lp"), data, sizeof data - 1);
    open_spool(0);
    for (i = 0; i < 3; i++) {
        piece_bytes = i < 2 ? 12 : 8;
        assert_int_equal(oldest(), 1);
        check_given(good[i], 1);
        finish();
    }
    assert_int_equal(oldest(), 0);
    assert_int_equal(count_names(".lp"), 0);
    assert_int_equal(said.count_of[40], 1);
    assert_int_equal(said.count, 1);
    check_bad(name_of(1, 0, 9, ".bad"), "\n");
    check_bad("0000000000000000001-00000000-000008-000000000009.bad", "#c\n");
    check_bad("0000000000000000001-00000000-000006-000000000028.bad", "e n=4");
    assert_int_equal(count_names(""), 0);
}

/* Nor is there a loss when the first process died between two steps. */
static void test_no_lines_in_a_part(void **state)
{
    static const char data[] = "a n=1 1\n\nb n=2 2\n\n\n";
    struct stat st;

    (void)state;
    make_file(name_of(1, 0, 2, ".lp"), data, sizeof data - 1);
    open_spool(0);
    assert_int_equal(oldest(), 1);
    finish_some(1);
    assert_int_equal(read_file(name_of(1, 0, 2, ".bad")), 1);
    reopen();
    assert_int_equal(oldest(), 1);
    check_given("b n=2 2\n", 1);
    finish();
    assert_int_equal(count_names(".bad"), 2);
    check_bad("0000000000000000001-00000000-000001-000000000009.bad", "\n\n");
    count_names("");
    assert_int_equal(stat(path_of(last_name), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* Linux: the most memory that this process had, in KB. */
static long peak_memory(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;

    while (fgets(line, sizeof line, f) != NULL) {
        sscanf(line, "VmHWM: %ld", &kb);
    }
    fclose(f);
    return kb;
}

/* AddressSanitizer does not give memory back at once. */
#ifdef __SANITIZE_ADDRESS__
#define MUCH_MEMORY (1024 * 1024)
#else
#define MUCH_MEMORY (40 * 1024)
#endif

#define GB (1024L * 1024 * 1024)

/* A foreign file of 1 GB: two lines and then none for ever. */
static void test_an_endless_line(void **state)
{
    long before = peak_memory();
    char name[80];

    (void)state;
    make_lines_file(name_of(1, 0, 2, ".lp"), 10, 2);
    assert_int_equal(truncate(path_of(name_of(1, 0, 2, ".lp")), GB), 0);
    make_file(name_of(2, 0, 2, ".lp"), "a", 1);
    assert_int_equal(truncate(path_of(name_of(2, 0, 2, ".lp")), GB), 0);
    make_file(name_of(4, 0, 2, ".tmp"), "a", 1);
    assert_int_equal(truncate(path_of(name_of(4, 0, 2, ".tmp")), GB), 0);
    make_lines_file(name_of(3, 0, 2, ".lp"), 20, 2);
    piece_bytes = 4 << 20;
    open_spool(0);
    deliver(10, 2);
    deliver(20, 2);
    assert_int_equal(oldest(), 0);
    assert_int_equal(said.count_of[41], 3);
    assert_int_equal(said.count, 3);
    assert_int_equal(count_names(".bad"), 3);
    snprintf(name, sizeof name,
             "0000000000000000001-00000000-000000-%012zu.bad",
             make_lines(10, 2));
    assert_true(exists(name));
    assert_in_range(peak_memory() - before, 0, MUCH_MEMORY);
}

/* Larger than any that we write, and with more lines than a name can say: every
 * one of them is given. */
static void test_a_huge_file(void **state)
{
    long before = peak_memory();
    size_t n = 9000000, i;
    FILE *f = fopen(path_of(name_of(1, 0, 7, ".lp")), "w");

    (void)state;
    world.no_sync = 1;
    for (i = 0; i < n; i++) {
        fprintf(f, "%07zu\n", i);
    }
    assert_int_equal(fclose(f), 0);
    open_spool(0);
    piece_bytes = 4 << 20;
    piece_lines = 14000;
    for (i = 0; oldest() == 1; i += file.count) {
        assert_int_equal(atol(file.lines[0].iov_base), i);
        assert_true(file.count <= piece_lines);
        finish();
    }
    assert_int_equal(i, n);
    assert_int_equal(count_names(""), 0);
    assert_int_equal(said.count, 0);
    assert_in_range(peak_memory() - before, 0, MUCH_MEMORY);
}

/* Much that is useless must not keep the caller for long. */
static void test_many_useless_files(void **state)
{
    int i, calls;

    (void)state;
    for (i = 1; i <= 1000; i++) {
        make_file(name_of((unsigned)i, 0, 1, ".lp"), "x", 1);
    }
    make_lines_file(name_of(2000, 0, 2, ".lp"), 10, 2);
    open_spool(0);
    for (calls = 1; oldest() == 0; calls++) {
        assert_in_range(calls, 1, 20);
        assert_true(imx_spool_totals(spool).lines > 0);
    }
    assert_in_range(calls, 5, 20);
    assert_int_equal(line_id(&file.lines[0]), 10);
    done();
    assert_int_equal(count_names(".bad"), 1000);
}

/* ---- quarantine ---- */

static void test_quarantine_once(void **state)
{
    size_t size = make_lines(10, 3);
    char *bad = strdup(name_of(1, 0, 3, ".bad"));

    (void)state;
    make_file(name_of(1, 0, 3, ".lp"), text, size - 5);
    open_spool(0);
    check_oldest(10, 2);
    imx_spool_put_back(spool);
    world.trace[0] = '\0';
    check_oldest(10, 2);
    assert_string_equal(world.trace, "fstatat openat fstat pread");
    assert_false(exists(bad)); /* not before the lines are there */
    make_file(bad, "x", 1);    /* it died while it wrote *.bad */
    reopen();
    deliver(10, 2);
    assert_int_equal(said.count_of[40], 1);
    assert_int_equal(said.count, 1);
    assert_non_null(strstr(said.text, bad));
    assert_non_null(strstr(said.text, dir));
    make_lines(10, 3);
    assert_int_equal(read_file(bad), spans[2].iov_len - 5);
    assert_memory_equal(content, spans[2].iov_base, spans[2].iov_len - 5);
    assert_int_equal(count_names(""), 1);
    assert_int_equal(oldest(), 0);
    free(bad);
}

static void test_quarantine_on_a_full_disk(void **state)
{
    size_t size = make_lines(10, 3);

    (void)state;
    make_file(name_of(1, 0, 3, ".lp"), text, size - 5);
    make_file(name_of(2, 0, 3, ".lp"), text, size - 5);
    make_file(name_of(3, 0, 3, ".lp"), text, size);
    open_spool(0);
    world.disk_free = 3;
    deliver(10, 2);
    deliver(10, 2);
    deliver(10, 3); /* nothing is wrong with this one */
    assert_int_equal(said.count_of[46], 1); /* of two */
    assert_int_equal(said.count, 1);
    assert_int_equal(oldest(), 0);
    assert_int_equal(count_names(".bad"), 2); /* whole, as they were */
    assert_int_equal(read_file(last_name), size - 5);
    assert_int_equal(count_names(""), 2);
    world.disk_free = -1;
    reopen();
    assert_int_equal(oldest(), 0);
}

static void test_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    make_lines_file(name_of(1, 0, 2, ".lp"), 10, 2);
    make_lines_file(name_of(2, 0, 2, ".lp"), 20, 2);
    open_spool(0);
    world.fail_call = "openat";
    world.fail_name = name_of(1, 0, 2, ".lp");
    world.err = ELOOP;
    deliver(20, 2);
    assert_int_equal(said.count_of[47], 1);
    assert_non_null(strstr(said.text, "symbolic links"));
    assert_true(exists(name_of(1, 0, 2, ".bad")));
    assert_int_equal(imx_spool_totals(spool).lost, 2);
}

/* Brought by root, and not given to the server's user: the others are
 * delivered, and these are, too, when they are given. */
static void test_files_that_we_may_not_read(void **state)
{
    static const int errors[] = { EACCES, EPERM };
    uint32_t i;

    (void)state;
    for (i = 0; i < 300; i++) {
        make_lines_file(name_of(1 + i, 1, 2, ".lp"), 10 * i, 2);
    }
    make_lines_file(name_of(1000, 0, 2, ".lp"), 4000, 2);
    open_spool(0);
    world.fail_call = "openat";
    world.fail_name = "-00000001-";
    world.err = EACCES;
    deliver(4000, 2);
    for (i = 0; i < 2; i++) {
        world.err = errors[i];
        imx_spool_look(spool);
        assert_int_equal(oldest(), -1);
        assert_int_equal(errno, EAGAIN);
        check_totals(300, 600);
    }
    assert_int_equal(said.count_of[51], 2); /* something worked between */
    assert_int_equal(said.count, 2);
    assert_non_null(strstr(said.text, "Permission denied"));
    world.fail_call = NULL;
    imx_spool_look(spool);
    for (i = 0; i < 300; i++) {
        deliver(10 * i, 2);
    }
    assert_int_equal(imx_spool_totals(spool).lost, 0);
    assert_int_equal(count_names(".bad"), 0);
}

/* They are not taken for files without lines while lines are counted, and hold
 * up no other. */
static void test_files_that_we_may_not_count(void **state)
{
    char reason[IMX_SPOOL_REASON_MAX];

    (void)state;
    make_lines_file(name_of(1, 1, 2, ".lp"), 10, 2);
    make_lines_file(name_of(2, 0, 2, ".lp"), 20, 2);
    assert_int_equal(imx_spool_open(&spool, dir, 0, NULL, note_log, &said,
                                    reason),
                     0);
    memset(&sum, 0, sizeof sum);
    world.armed = 1;
    world.fail_call = "openat";
    world.fail_name = "-00000001-";
    world.err = EACCES;
    assert_int_equal(imx_spool_count(spool, SIZE_MAX), 0);
    assert_int_equal(imx_spool_totals(spool).uncounted, 1);
    assert_int_equal(imx_spool_totals(spool).found, 2);
    world.fail_call = NULL;
    world.armed = 0;
    imx_spool_look(spool);
    deliver(10, 2);
    deliver(20, 2);
}

/* The log has a line for each of the first ones, and one for the others. */
static void test_many_bad_files(void **state)
{
    uint32_t i;

    (void)state;
    for (i = 0; i < 50; i++) {
        make_file(name_of(1 + i, 0, 2, ".lp"), "# no\n", 5);
        make_file(name_of(1 + i, 1, 2, ".lp"), "a n=1 1\n#\n", 10);
    }
    for (i = 0; i < 50; i++) {
        make_file(name_of(100 + i, 0, 2, ".tmp"), "a n=1 1\n", 8);
    }
    open_spool(0);
    while (oldest() == 1) {
        finish();
    }
    assert_int_equal(count_names(".bad"), 100);
    assert_int_equal(said.count, 5);
    close_spool();
    assert_int_equal(said.count_of[49], 1);
    assert_int_equal(said.count, 6);
    assert_non_null(strstr(said.text, "with 145 more files"));
}

/* Nor moved: the others are delivered all the same. */
static void test_a_file_that_is_stuck(void **state)
{
    char *name = strdup(name_of(1, 0, 2, ".lp"));
    int i;

    (void)state;
    make_lines_file(name, 10, 2);
    make_lines_file(name_of(1, 0, 2, ".bad"), 10, 2);
    make_lines_file(name_of(2, 0, 2, ".lp"), 20, 2);
    make_lines_file(name_of(3, 0, 2, ".lp"), 30, 2);
    open_spool(0);
    world.fail_call = "pread";
    world.fail_at = 0;
    world.err = EIO;
    world.before_open = NULL;
    for (i = 0; i < 3 * 4; i++) { /* a disk that cannot read at all */
        assert_int_equal(oldest(), -1);
    }
    assert_int_equal(oldest(), 0);
    assert_int_equal(said.count_of[45], 1);
    assert_int_equal(said.count_of[47], 2);
    assert_int_equal(imx_spool_totals(spool).lost, 6);
    assert_int_equal(count_names(".bad"), 3);
    world.fail_call = NULL;
    assert_int_equal(count_names(".lp"), 1);
    reopen();
    deliver(10, 2);
    free(name);
}

/* A disk that fails for a moment takes no good file away: it is asked again,
 * and a file is given up when it was asked five times in a row. */
static void test_a_disk_that_fails_for_a_moment(void **state)
{
    static const int errors[] = { EIO, ESTALE, ETIMEDOUT };
    int i;

    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 2), 0);
    assert_int_equal(put(20, 2), 0);
    for (i = 0; i < 9; i++) {
        world.fail_call = "pread";
        world.err = errors[i % 3];
        assert_int_equal(oldest(), -1);
        assert_int_equal(errno, errors[i % 3]);
        check_totals(2, 4);
        if (i % 3 == 2) { /* it works between */
            world.fail_call = NULL;
            assert_int_equal(oldest(), 1);
            imx_spool_put_back(spool);
        }
    }
    assert_int_equal(count_names(".bad"), 0);
    assert_int_equal(said.count, 0);
    world.fail_call = "pread";
    for (i = 0; i < 4; i++) {
        imx_spool_look(spool); /* what failed is not forgotten by a look */
        assert_int_equal(oldest(), -1);
        make_file("stranger", "", 0);
        unlink(path_of("stranger"));
    }
    assert_int_equal(oldest(), -1); /* the next file */
    assert_int_equal(count_names(".bad"), 1);
    assert_int_equal(said.count_of[47], 1);
    world.fail_call = NULL;
    deliver(20, 2);
    assert_int_equal(imx_spool_totals(spool).lost, 2);
}

/* Nor are its lines taken for none while they are counted. */
static void test_a_disk_that_fails_while_it_counts(void **state)
{
    char reason[IMX_SPOOL_REASON_MAX];

    (void)state;
    make_lines_file(name_of(1, 0, 2, ".lp"), 10, 2);
    assert_int_equal(imx_spool_open(&spool, dir, 0, NULL, note_log, &said,
                                    reason),
                     0);
    memset(&sum, 0, sizeof sum);
    world.armed = 1;
    world.fail_call = "pread";
    world.err = EIO;
    assert_int_equal(imx_spool_count(spool, SIZE_MAX), 0);
    assert_int_equal(imx_spool_totals(spool).uncounted, 1);
    world.fail_call = NULL;
    assert_int_equal(imx_spool_count(spool, SIZE_MAX), 0);
    assert_int_equal(imx_spool_totals(spool).found, 2);
    world.armed = 0;
    deliver(10, 2);
}

/* Files can be removed and not renamed: between two troubles something works,
 * and the log is not full of them all the same. */
static void test_a_disk_that_fails_now_and_then(void **state)
{
    uint32_t i;

    (void)state;
    open_spool(0);
    for (i = 0; i < 20; i++) {
        assert_int_equal(put(10 * i, 3), 0);
    }
    for (i = 0; i < 20; i++) {
        check_oldest(10 * i, 3);
        world.fail_call = "renameat";
        world.err = EACCES;
        done_some(0, 1);
        world.fail_call = NULL;
        done_some(1, 2);
    }
    assert_int_equal(oldest(), 0);
    assert_int_equal(said.count_of[48], 5);
}

/* What a dead writer left stays where it is, and is seen again. */
static void test_a_disk_that_fails_at_salvage(void **state)
{
    (void)state;
    open_spool(0);
    make_lines_file(name_of(1, 0, 0, ".tmp"), 10, 2);
    world.fail_call = "pread";
    world.err = EIO;
    assert_int_equal(oldest(), 0);
    assert_int_equal(count_names(".tmp"), 1);
    assert_int_equal(count_names(".bad"), 0);
    world.fail_call = NULL;
    deliver(10, 2);
    assert_int_equal(count_names(".tmp"), 0);
}

static void test_out_of_file_descriptors(void **state)
{
    static const int errors[] = { EMFILE, ENFILE, ENOMEM };
    size_t i;

    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 2), 0);
    for (i = 0; i < 3; i++) {
        world.fail_call = "openat";
        world.err = errors[i];
        assert_int_equal(oldest(), -1);
        assert_int_equal(errno, errors[i]);
        check_totals(1, 2);
    }
    world.fail_call = NULL;
    deliver(10, 2);
    assert_int_equal(said.count, 0);
}

/* ---- who works in it, and what is believed ---- */

static void look_at_it(void)
{
    imx_spool_look(spool);
}

/* The holder sees the *.tmp of a helper before the helper has locked it: the
 * helper makes another one. */
static void test_tmp_before_it_is_locked(void **state)
{
    char reason[IMX_SPOOL_REASON_MAX];
    imx_spool_t *helper;
    struct iovec line = { "m n=1 1\n", 8 };

    (void)state;
    open_spool(0);
    assert_int_equal(imx_spool_open(&helper, dir, 0, &beside, NULL, NULL,
                                    reason),
                     0);
    world.before_flock = look_at_it;
    assert_int_equal(imx_spool_put(helper, &line, 1, &dropped), 0);
    assert_null(world.before_flock);
    imx_spool_close(helper);
    imx_spool_look(spool);
    assert_int_equal(imx_spool_totals(spool).files, 1);
    imx_spool_count(spool, SIZE_MAX);
    check_totals(1, 1);
}

static void test_one_at_a_time(void **state)
{
    char reason[IMX_SPOOL_REASON_MAX];
    imx_spool_t *second;

    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 2), 0);
    assert_int_equal(imx_spool_open(&second, dir, 0, NULL, NULL, NULL, reason),
                     EBUSY);
    assert_null(second);
    assert_string_equal(reason, "another process works in it");
    close_spool();
    assert_int_equal(imx_spool_open(&second, dir, 0, NULL, NULL, NULL, reason),
                     0);
    imx_spool_close(second);
    open_spool(0);
    deliver(10, 2);
}

/* Moved away and back while somebody else has taken it. */
static void test_it_is_back_but_in_use(void **state)
{
    char away[sizeof dir + 8], reason[IMX_SPOOL_REASON_MAX];
    imx_spool_t *second;

    (void)state;
    snprintf(away, sizeof away, "%s.away", dir);
    open_spool(0);
    assert_int_equal(rename(dir, away), 0);
    assert_int_equal(put(10, 2), ENOENT);
    assert_int_equal(rename(away, dir), 0);
    assert_int_equal(imx_spool_open(&second, dir, 0, NULL, NULL, NULL, reason),
                     0);
    assert_int_equal(put(10, 2), EBUSY);
    imx_spool_close(second);
    assert_int_equal(put(10, 2), 0);
    deliver(10, 2);
}

static void test_an_abandoned_put_stores_nothing(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(imx_spool_abandon(spool), 0);
    assert_int_equal(put(10, 2), ECANCELED);
    assert_int_equal(count_names(""), 0);
}

static int syncs, was_stored;

/* While the file is on its way to the disk. */
static void abandon_it(void)
{
    if (syncs++ == 0) {
        was_stored = imx_spool_abandon(spool);
    }
}

static void test_a_put_is_abandoned_on_its_way(void **state)
{
    (void)state;
    open_spool(0);
    syncs = 0;
    world.before_fsync = abandon_it;
    assert_int_equal(put(10, 2), ECANCELED);
    assert_int_equal(was_stored, 0);
    assert_int_equal(count_names(""), 0);
}

/* While the directory is, which then fails. */
static void abandon_it_late(void)
{
    if (syncs++ == 1) {
        was_stored = imx_spool_abandon(spool);
        world.fail_call = "fsync";
        world.err = EIO;
    }
}

/* Whoever abandons it then counts the lines as stored: the file stays. */
static void test_a_put_is_abandoned_with_its_name(void **state)
{
    (void)state;
    open_spool(0);
    syncs = 0;
    world.before_fsync = abandon_it_late;
    assert_int_equal(put(10, 2), 0);
    world.before_fsync = NULL;
    world.fail_call = NULL;
    assert_int_equal(syncs, 2);
    assert_int_equal(was_stored, 1);
    assert_int_equal(count_names(".lp"), 1);
    deliver(10, 2);
}

static void open_unbelieving_up_to(uint64_t max_bytes)
{
    char reason[IMX_SPOOL_REASON_MAX];

    memset(&sum, 0, sizeof sum);
    assert_int_equal(imx_spool_open(&spool, dir, max_bytes, NULL, note_log,
                                    &said, reason),
                     0);
}

static void open_unbelieving(void)
{
    open_unbelieving_up_to(0);
}

/* Before it is removed to make room, as nobody can count it afterwards. */
static void test_what_is_given_up_is_counted(void **state)
{
    imx_spool_totals_t t;

    (void)state;
    make_lines_file(name_of(1, 0, 999999, ".lp"), 20, 2);
    open_unbelieving();
    t = imx_spool_totals(spool);
    close_spool();
    open_unbelieving_up_to(t.bytes + 1);
    assert_int_equal(imx_spool_totals(spool).lines, 0);
    assert_int_equal(put(10, 2), 0);
    assert_int_equal(dropped, 2);
    assert_int_equal(imx_spool_totals(spool).found, 2);
    assert_int_equal(imx_spool_totals(spool).lines, 2);
}

/* A name is no proof: such a file was a million points "found" and "lost". */
static void test_a_name_is_not_believed(void **state)
{
    imx_spool_totals_t t;

    (void)state;
    make_file(name_of(1, 0, 999999, ".lp"), "\n\n\n", 3);
    make_lines_file(name_of(2, 0, 999999, ".lp"), 10, 3);
    make_lines_file(name_of(3, 0, 0, ".lp"), 20, 2);
    open_unbelieving();
    t = imx_spool_totals(spool);
    assert_int_equal(t.files, 3);
    assert_int_equal(t.lines, 0);
    assert_int_equal(t.uncounted, 3);
    assert_int_equal(t.named, 2 * 999999);
    assert_int_equal(imx_spool_count(spool, SIZE_MAX), 0);
    t = imx_spool_totals(spool);
    assert_int_equal(t.lines, 5);
    assert_int_equal(t.found, 5);
    assert_int_equal(t.uncounted, 0);
    deliver(10, 3);
    deliver(20, 2);
    assert_int_equal(oldest(), 0);
    t = imx_spool_totals(spool);
    assert_int_equal(t.found, 5);
    assert_int_equal(t.lost, 0);
}

/* Not before it is read; a part of it at a time. */
static void test_lines_are_known_when_they_are_read(void **state)
{
    (void)state;
    make_lines_file(name_of(1, 0, 999999, ".lp"), 10, 5);
    open_unbelieving();
    piece_lines = 2;
    world.armed = 1;
    assert_int_equal(imx_spool_next(spool, piece_bytes, 2, &file), 1);
    world.armed = 0;
    assert_int_equal(file.count, 2);
    check_totals(1, 2);
    finish_some(2);
    check_totals(1, 0);
    assert_int_equal(count_names(".lp"), 1);
    assert_non_null(strstr(last_name, "-000000-"));
    assert_int_equal(imx_spool_count(spool, SIZE_MAX), 0);
    check_totals(1, 3);
    deliver(12, 2);
    deliver(14, 1);
    assert_int_equal(imx_spool_totals(spool).found, 5);
    assert_int_equal(imx_spool_totals(spool).lost, 0);
}

/* Much is not counted at once, so that a job has an end. */
static void test_counting_in_steps(void **state)
{
    uint64_t before, steps = 0, i;

    (void)state;
    make_lines_file(name_of(1, 0, 1, ".lp"), 0, 100000); /* 3 MB */
    for (i = 0; i < 600; i++) {
        make_lines_file(name_of(2 + i, 0, 7, ".lp"), 100, 1);
    }
    open_unbelieving();
    do {
        before = imx_spool_totals(spool).lines;
        steps++;
    } while (imx_spool_count(spool, 1)
             && imx_spool_totals(spool).lines > before);
    assert_in_range(steps, 3, 50);
    check_totals(601, 100600);
    assert_int_equal(imx_spool_totals(spool).uncounted, 0);
}

/* The directory could not be listed: that it was changed is not forgotten. */
static void test_a_scan_that_failed_is_made_again(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 2), 0);
    make_lines_file(name_of(1, 0, 2, ".lp"), 20, 2);
    world.fail_call = "openat";
    world.fail_name = ".";
    world.err = EMFILE;
    assert_int_equal(put(30, 2), EMFILE);
    world.fail_call = world.fail_name = NULL;
    imx_spool_look(spool);
    assert_int_equal(imx_spool_totals(spool).files, 2);
}

/* Also when the directory had been away, and its time stamp is the same. */
static void test_a_scan_that_failed_at_its_return(void **state)
{
    char away[PATH_MAX];

    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 2), 0);
    imx_spool_look(spool);
    snprintf(away, sizeof away, "%s.away", dir);
    assert_int_equal(rename(dir, away), 0);
    imx_spool_look(spool);
    assert_int_equal(imx_spool_totals(spool).files, 0);
    assert_int_equal(rename(away, dir), 0);
    world.armed = 1;
    world.fail_call = "openat";
    world.fail_name = ".";
    world.err = EMFILE;
    imx_spool_look(spool);
    assert_int_equal(imx_spool_totals(spool).files, 0);
    world.fail_call = world.fail_name = NULL;
    world.armed = 0;
    imx_spool_look(spool);
    assert_int_equal(imx_spool_totals(spool).files, 1);
}

/* What is in all *.bad. */
static void gather_bad(char *found)
{
    DIR *d = opendir(dir);
    struct dirent *item;
    ssize_t n;
    int fd;

    assert_non_null(d);
    while ((item = readdir(d)) != NULL) {
        if (strstr(item->d_name, ".bad") != NULL) {
            fd = open(path_of(item->d_name), O_RDONLY);
            n = read(fd, found, 30);
            found += n > 0 ? n : 0;
            close(fd);
        }
    }
    closedir(d);
}

/* The file cannot be renamed after its first part: what is no line in the
 * second part does not take the place of that in the first. */
static void test_no_line_is_set_aside_twice_in_one_place(void **state)
{
    static const char data[] = "a n=1 1\n#first\nb n=2 2\n#second\nc n=3 3\n";
    char found[64] = "";

    (void)state;
    make_file(name_of(1, 0, 3, ".lp"), data, sizeof data - 1);
    open_spool(0);
    piece_lines = 2;
    world.fail_call = "renameat";
    world.err = EROFS;
    assert_int_equal(oldest(), 1);
    finish_some(2);
    assert_int_equal(oldest(), 1);
    finish_some(1);
    world.fail_call = NULL;
    gather_bad(found);
    assert_non_null(strstr(found, "#first\n"));
    assert_non_null(strstr(found, "#second\n"));
}

/* ---- what a dead writer left ---- */

static void test_tmp_of_dead_writers(void **state)
{
    size_t size = make_lines(20, 3);

    (void)state;
    make_file(name_of(2, 0, 3, ".tmp"), text, size);     /* complete */
    make_file(name_of(3, 0, 3, ".tmp"), text, size - 3); /* torn */
    make_file(name_of(4, 0, 3, ".tmp"), "m,w=a n", 7);   /* no line */
    make_lines_file(name_of(1, 0, 1, ".lp"), 10, 1);
    make_lines_file(name_of(5, 0, 1, ".lp"), 30, 1);
    world.trace[0] = '\0';
    open_spool(0);
    assert_int_equal(said.count_of[42], 2);
    assert_int_equal(said.count_of[41], 1);
    assert_int_equal(said.count, 3);
    assert_non_null(strstr(world.trace, "fsync fstatat renameat"));
    assert_non_null(strstr(world.trace, "renameat fsync"));
    check_totals(4, 7);
    assert_int_equal(count_names(".tmp"), 0);
    assert_true(exists(name_of(3, 0, 2, ".lp")));
    assert_true(exists(name_of(4, 0, 3, ".bad")));
    deliver(10, 1);
    deliver(20, 3);
    deliver(20, 2);
    deliver(30, 1);
    assert_int_equal(oldest(), 0);
    assert_int_equal(imx_spool_totals(spool).lost, 0);
    assert_int_equal(count_names(".bad"), 2);
}

/* As the helper of a server that ends, while the next one is at work. */
static void look_from_outside(void)
{
    char reason[IMX_SPOOL_REASON_MAX];

    if (imx_spool_open(&spool, dir, 0, NULL, NULL, NULL, reason) != EBUSY
        || strstr(reason, "another process") == NULL
        || imx_spool_open(&spool, dir, 0, &beside, NULL, NULL, reason) != 0
        || imx_spool_totals(spool).files != 0) {
        _exit(1);
    }
    assert_int_equal(count_names(".tmp"), 1);
    _exit(7);
}

static int status_from_outside;

static void look_while_it_is_written(void)
{
    world.before_fsync = NULL;
    status_from_outside = run(look_from_outside);
}

/* By another server: it is neither taken nor removed, and gets its name. */
static void test_tmp_of_a_living_writer(void **state)
{
    (void)state;
    open_spool(0);
    world.before_fsync = look_while_it_is_written;
    put(10, 3);
    assert_int_equal(WEXITSTATUS(status_from_outside), 7);
    check_totals(1, 3);
    deliver(10, 3);
    assert_int_equal(oldest(), 0);
}

/* Never over a file that is there. */
static void test_tmp_whose_name_is_taken(void **state)
{
    (void)state;
    make_lines_file(name_of(1, 0, 2, ".lp"), 10, 2);
    make_lines_file(name_of(1, 0, 2, ".tmp"), 20, 2);
    open_spool(0);
    assert_int_equal(said.count_of[45], 1);
    deliver(10, 2);
    assert_true(exists(name_of(1, 0, 2, ".tmp")));
    deliver(20, 2); /* seen again, and now it is free */
    assert_int_equal(count_names(""), 0);
}

static void test_tmp_when_memory_is_short(void **state)
{
    (void)state;
    make_lines_file(name_of(1, 0, 2, ".tmp"), 10, 2);
    world.fail_call = "openat";
    world.fail_name = ".tmp";
    world.err = EMFILE;
    open_spool(0);
    assert_int_equal(said.count_of[45], 1);
    assert_int_equal(oldest(), 0);
    close_spool();
    world.fail_call = "openat";
    open_spool(make_lines(10, 2));
    world.fail_call = NULL;
    assert_int_equal(put(33, 2), 0); /* no room is made there */
    assert_true(exists(name_of(1, 0, 2, ".tmp")));
    reopen();
    deliver(10, 2);
    deliver(33, 2);
}

/* ---- room ---- */

static void test_the_oldest_goes(void **state)
{
    size_t bytes = make_lines(10, 4);

    (void)state;
    open_spool(3 * bytes);
    assert_int_equal(put(10, 4), 0);
    make_lines(33, 4);
    assert_int_equal(put(33, 4), 0);
    assert_int_equal(put(56, 4), 0); /* ids 23 apart have equal lengths */
    assert_int_equal(dropped, 0);    /* it just fits */
    check_totals(3, 12);
    assert_int_equal(put(79, 4), 0);
    assert_int_equal(dropped, 4);
    check_oldest(33, 4);
    assert_int_equal(put(102, 4), 0); /* not the one that is being sent */
    assert_int_equal(dropped, 4);
    done();
    deliver(79, 4);
    deliver(102, 4);
    assert_int_equal(oldest(), 0);
}

static void test_more_than_all_room(void **state)
{
    size_t bytes = make_lines(10, 4);

    (void)state;
    open_spool(bytes);
    assert_int_equal(put(10, 4), 0);
    assert_int_equal(put(20, 5), EFBIG);
    assert_int_equal(dropped, 0);
    check_oldest(10, 4);
    assert_int_equal(put(33, 4), EDQUOT); /* it is being sent */
    assert_int_equal(dropped, 0);
    done();
    assert_int_equal(put(33, 4), 0);
    deliver(33, 4);
}

static void test_quarantine_has_a_size_too(void **state)
{
    size_t bytes = make_lines(10, 4);

    (void)state;
    make_lines_file(name_of(1, 0, 4, ".lp"), 10, 4);
    make_lines_file(name_of(2, 0, 4, ".bad"), 10, 4);
    make_lines_file(name_of(3, 0, 4, ".bad"), 10, 4);
    open_spool(4 * bytes);
    assert_int_equal(put(33, 4), 0);
    assert_int_equal(count_names(".bad"), 2);
    assert_int_equal(put(56, 4), 0);
    assert_int_equal(count_names(".bad"), 1); /* before any points */
    assert_string_equal(last_name, name_of(3, 0, 4, ".bad"));
    assert_int_equal(dropped, 0);
    assert_int_equal(put(79, 4), 0);
    assert_int_equal(count_names(".bad"), 0);
    assert_int_equal(dropped, 0);
    assert_int_equal(put(102, 4), 0);
    assert_int_equal(dropped, 4);
    deliver(33, 4);
}

static void test_a_smaller_limit(void **state)
{
    uint32_t i;

    (void)state;
    open_spool(0);
    for (i = 0; i < 10; i++) {
        assert_int_equal(put(i * 23, 4), 0);
    }
    close_spool();
    open_spool(make_lines(0, 4) * 3);
    check_totals(10, 40);
    assert_int_equal(put(10 * 23, 4), 0);
    assert_int_equal(dropped, 32);
    check_totals(3, 12);
    deliver(8 * 23, 4);
}

static void test_room_that_was_made_already(void **state)
{
    struct stat st;

    (void)state;
    open_spool(make_lines(0, 4) * 2);
    assert_int_equal(put(0, 4), 0);
    assert_int_equal(put(23, 4), 0);
    stat(dir, &st);
    unlink(path_of((count_names(".lp"), last_name)));
    unlink(path_of((count_names(".lp"), last_name)));
    restore_mtime(&st);
    assert_int_equal(put(46, 4), 0);
    assert_int_equal(dropped, 0); /* not by us */
    assert_int_equal(imx_spool_totals(spool).lost, 4);
    deliver(46, 4);
}

static void test_room_that_cannot_be_made(void **state)
{
    (void)state;
    open_spool(make_lines(0, 4) * 2);
    assert_int_equal(put(0, 4), 0);
    assert_int_equal(put(23, 4), 0);
    world.fail_call = "unlinkat";
    world.err = EPERM;
    assert_int_equal(put(46, 4), EDQUOT);
    assert_int_equal(dropped, 0);
    check_totals(2, 8);
    world.fail_call = "writev";
    world.err = EIO;
    assert_int_equal(put(46, 4), EIO);
    assert_int_equal(dropped, 4); /* also when the write fails then ... */
    assert_int_equal(put(46, 4), EIO);
    assert_int_equal(dropped, 0); /* ... but not each time */
    assert_int_equal(count_names(""), 1);
    deliver(23, 4);
}

/* ---- an operator at work ---- */

static void test_files_removed_by_somebody(void **state)
{
    struct stat st;
    uint32_t i;

    (void)state;
    open_spool(0);
    for (i = 0; i < 4; i++) {
        assert_int_equal(put(10 * i, 3), 0);
    }
    count_names(".lp");
    unlink(path_of(last_name));
    check_oldest(0, 3); /* seen by the directory's time */
    assert_int_equal(imx_spool_totals(spool).lost, 3);
    check_totals(3, 9);
    unlink(path_of((count_names(".lp"), last_name)));
    stat(dir, &st);
    done();
    deliver(10, 3);
    assert_int_equal(oldest(), 0);
    assert_int_equal(imx_spool_totals(spool).lost, 6);
    assert_int_equal(said.count, 0);
}

/* And the directory looks as before. */
static void test_files_removed_in_secret(void **state)
{
    struct stat st;

    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 3), 0);
    count_names(".lp");
    assert_int_equal(put(20, 3), 0);
    stat(dir, &st);
    unlink(path_of(last_name));
    restore_mtime(&st);
    deliver(20, 3);
    assert_int_equal(imx_spool_totals(spool).lost, 3);
    assert_int_equal(said.count, 0);
}

/* While it is being sent: it counts as delivered, not as lost. */
static void test_a_file_removed_while_it_is_sent(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 3), 0);
    check_oldest(10, 3);
    unlink(path_of((count_names(".lp"), last_name)));
    assert_int_equal(put(20, 3), 0); /* looks at the directory */
    done();
    assert_int_equal(imx_spool_totals(spool).lost, 0);
    check_oldest(20, 3);
    unlink(path_of((count_names(".lp"), last_name)));
    imx_spool_put_back(spool);
    assert_int_equal(oldest(), 0);
    assert_int_equal(imx_spool_totals(spool).lost, 3);
    assert_int_equal(said.count, 0);
}

static void test_files_brought_by_somebody(void **state)
{
    struct stat st;

    (void)state;
    open_spool(0);
    assert_int_equal(put(50, 3), 0);
    make_lines_file(name_of(1, 0, 2, ".lp"), 10, 2);
    deliver(10, 2);
    assert_int_equal(imx_spool_totals(spool).found, 2);
    make_file(name_of(2, 0, 2, ".bad"), "x", 1);
    deliver(50, 3);
    make_lines_file(name_of(2, 0, 2, ".bad"), 20, 2); /* mended */
    rename(path_of(name_of(2, 0, 2, ".bad")),
           path_of(name_of(2, 0, 2, ".lp")));
    deliver(20, 2);
    assert_int_equal(oldest(), 0);
    assert_int_equal(imx_spool_totals(spool).found, 4);
    assert_int_equal(put(50, 3), 0);
    stat(dir, &st);
    make_lines_file(name_of(3, 0, 2, ".lp"), 30, 2);
    st.st_mtim.tv_sec++; /* a time that is alike */
    restore_mtime(&st);
    deliver(30, 2);
}

/* At the same instant as we changed it, so that its time says nothing. */
static void test_files_brought_in_secret(void **state)
{
    struct stat st;

    (void)state;
    open_spool(0);
    assert_int_equal(put(50, 3), 0);
    stat(dir, &st);
    make_lines_file(name_of(1, 0, 2, ".lp"), 10, 2);
    restore_mtime(&st);
    check_oldest(50, 3);
    stat(dir, &st);
    done();
    deliver(10, 2); /* before it says that there is none */
    assert_int_equal(oldest(), 0);
}

static void test_a_file_truncated_by_somebody(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 3), 0);
    count_names(".lp");
    assert_int_equal(put(20, 3), 0);
    assert_int_equal(truncate(path_of(last_name), 0), 0);
    deliver(20, 3);
    assert_int_equal(said.count_of[44], 1);
    assert_int_equal(imx_spool_totals(spool).lost, 3);
}

/* ---- the directory ---- */

static void test_open_errors(void **state)
{
    char link[100];

    (void)state;
    assert_int_equal(open_at(path_of("none"), 0), ENOENT);
    assert_string_equal(said.text, "No such file or directory");
    make_file("a", "x", 1);
    assert_int_equal(open_at(path_of("a"), 0), ENOTDIR);
    snprintf(link, sizeof link, "%s/link", base);
    assert_int_equal(symlink(dir, link), 0);
    assert_true(open_at(link, 0) != 0);
    assert_non_null(strstr(said.text, "symbolic link"));
    chmod(dir, 0720);
    assert_int_equal(open_at(dir, 0), EPERM);
    chmod(dir, 0702);
    assert_int_equal(open_at(dir, 0), EPERM);
    assert_string_equal(said.text, "others may write to it");
    chmod(dir, 0755);
    open_spool(0);
    close_spool();
    if (geteuid() == 0) {
        assert_int_equal(chown(dir, 65534, 65534), 0);
        assert_int_equal(open_at(dir, 0), EPERM);
        assert_string_equal(said.text, "it belongs to another user");
    }
}

static void test_the_directory_is_removed(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 3), 0);
    remove_all(dir);
    assert_int_equal(put(20, 3), ENOENT);
    assert_int_equal(oldest(), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(imx_spool_totals(spool).lost, 3);
    check_totals(0, 0);
    mkdir(dir, 0700);
    assert_int_equal(oldest(), 0);
    assert_int_equal(put(20, 3), 0);
    deliver(20, 3);
    remove_all(dir);
    mkdir(dir, 0700); /* unnoticed */
    assert_int_equal(put(30, 3), 0);
    assert_int_equal(count_names(".lp"), 1);
    check_oldest(30, 3);
    remove_all(dir);
    done();
    check_totals(0, 0);
    assert_int_equal(oldest(), -1);
    assert_int_equal(said.count_of[43], said.count);
    mkdir(dir, 0700);
    assert_int_equal(oldest(), 0);
    world.trace[0] = '\0';
    assert_int_equal(oldest(), 0); /* what is gone is forgotten */
    assert_null(strstr(world.trace, "unlinkat"));
}

static void test_the_directory_is_moved_away_and_back(void **state)
{
    char away[100];

    (void)state;
    snprintf(away, sizeof away, "%s/away", base);
    open_spool(0);
    assert_int_equal(put(10, 3), 0);
    assert_int_equal(put(20, 3), 0);
    check_oldest(10, 3);
    assert_int_equal(rename(dir, away), 0);
    assert_int_equal(put(30, 3), ENOENT);
    done(); /* delivered, though it is not there */
    assert_int_equal(oldest(), -1);
    assert_int_equal(rename(away, dir), 0);
    deliver(20, 3); /* and not 10 again */
    assert_int_equal(oldest(), 0);
    assert_int_equal(count_names(""), 0);
    assert_int_equal(put(30, 3), 0);
    deliver(30, 3);
}

static void test_another_directory_in_its_place(void **state)
{
    char away[100], name[300];

    (void)state;
    snprintf(away, sizeof away, "%s/away", base);
    open_spool(0);
    assert_int_equal(put(10, 3), 0);
    count_names(".lp");
    snprintf(name, sizeof name, "../away/%s", last_name);
    check_oldest(10, 3);
    assert_int_equal(rename(dir, away), 0);
    mkdir(dir, 0700);
    imx_spool_put_back(spool);
    assert_int_equal(put(30, 3), 0);
    assert_int_equal(count_names(".lp"), 1);
    assert_true(exists(name)); /* the old one is left alone */
    deliver(30, 3);
    mkdir(path_of("x"), 0700);
    remove_all(dir);
    assert_int_equal(symlink(away, dir), 0);
    assert_true(put(40, 3) != 0);
    unlink(dir);
    close(creat(dir, 0600));
    assert_true(put(40, 3) != 0);
    unlink(dir);
    mkdir(dir, 0777);
    chmod(dir, 0777);
    assert_int_equal(put(40, 3), EPERM);
    chmod(dir, 0700);
    assert_int_equal(put(40, 3), 0);
    deliver(40, 3);
}

static void test_a_directory_that_cannot_be_looked_at(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 3), 0);
    world.fail_call = "fstatat";
    world.err = EACCES;
    assert_int_equal(put(20, 3), EACCES);
    assert_int_equal(oldest(), -1);
    assert_int_equal(errno, EACCES);
    check_totals(1, 3); /* it is not gone */
    world.fail_call = NULL;
    deliver(10, 3);
}

/* ---- what was delivered and cannot be removed ---- */

static void test_delivered_and_stuck(void **state)
{
    uint32_t i;

    (void)state;
    open_spool(0);
    for (i = 0; i < 20; i++) {
        assert_int_equal(put(10 * i, 3), 0);
    }
    world.fail_call = "unlinkat";
    world.err = EROFS;
    for (i = 0; i < 10; i++) {
        deliver(10 * i, 3);
    }
    assert_int_equal(said.count_of[43], 1);
    assert_int_equal(said.count, 1);
    check_totals(10, 30);
    make_lines_file(name_of(INT64_MAX, 0, 2, ".lp"), 900, 2); /* look again */
    deliver(100, 3);
    assert_int_equal(count_names(".lp"), 21);
    reopen(); /* emptied, so not sent again */
    check_totals(21, 29);
    world.fail_call = NULL;
    deliver(110, 3);
    assert_int_equal(count_names(".lp"), 9);
    drain();
    assert_int_equal(lab->last, 901);
}

/* Neither removed nor emptied: not again by us, and gone when that works. */
static void test_delivered_and_read_only(void **state)
{
    (void)state;
    open_spool(0);
    assert_int_equal(put(10, 3), 0);
    assert_int_equal(put(20, 3), 0);
    check_oldest(10, 3);
    world.fail_call = "unlinkat";
    world.err = EROFS;
    world.fail_at = world.calls + 3; /* openat of what is to be emptied */
    done();
    world.fail_at = 0;
    assert_int_equal(count_names(".lp"), 2);
    check_oldest(20, 3);
    imx_spool_put_back(spool);
    check_totals(1, 3);
    world.fail_call = NULL;
    deliver(20, 3);
    assert_int_equal(count_names(""), 0);
}

/* Trouble is told again after something has worked. */
static void test_trouble_is_told_again(void **state)
{
    uint32_t i;

    (void)state;
    open_spool(0);
    for (i = 0; i < 9; i++) {
        assert_int_equal(put(10 * i, 3), 0);
    }
    for (i = 0; i < 3; i++) {
        world.fail_call = "unlinkat";
        world.err = EROFS;
        oldest();
        done();
        oldest();
        done();
        world.fail_call = NULL;
        deliver(30 * i + 20, 3);
        assert_int_equal(said.count_of[43], i + 1);
    }
    world.fail_call = "unlinkat";
    assert_int_equal(put(100, 3), 0);
    assert_int_equal(put(110, 3), 0);
    deliver(100, 3);
    assert_int_equal(put(120, 3), 0); /* that works too */
    deliver(110, 3);
    assert_int_equal(said.count_of[43], 5);
}

/* ---- rights and a full disk, really ---- */

static void as_nobody(void)
{
    struct iovec line = { "m n=1 1\n", 8 };
    char reason[IMX_SPOOL_REASON_MAX];
    int i;

    EXPECT(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
    EXPECT(imx_spool_open(&spool, dir, 0, NULL, NULL, NULL, reason) == 0);
    EXPECT(imx_spool_put(spool, &line, 1, &dropped) == 0);
    EXPECT(imx_spool_put(spool, &line, 1, &dropped) == 0);
    EXPECT(chmod(dir, 0500) == 0);
    EXPECT(imx_spool_put(spool, &line, 1, &dropped) == EACCES);
    for (i = 0; i < 2; i++) {
        EXPECT(imx_spool_next(spool, 1000, 1000, &file) == 1);
        imx_spool_done(spool, file.count);
    }
    EXPECT(imx_spool_next(spool, 1000, 1000, &file) == 0);
    EXPECT(imx_spool_totals(spool).lines == 0);
    imx_spool_close(spool);
    EXPECT(imx_spool_open(&spool, dir, 0, NULL, NULL, NULL, reason) == EACCES);
    EXPECT(strcmp(reason, "Permission denied") == 0);
    EXPECT(chmod(dir, 0700) == 0);
    EXPECT(imx_spool_open(&spool, dir, 0, NULL, NULL, NULL, reason) == 0);
    EXPECT(imx_spool_next(spool, 1000, 1000, &file) == 0);
    EXPECT(imx_spool_put(spool, &line, 1, &dropped) == 0);
    EXPECT(chmod(dir, 0000) == 0);
    EXPECT(imx_spool_put(spool, &line, 1, &dropped) == EACCES);
    EXPECT(chmod(dir, 0700) == 0);
    EXPECT(imx_spool_next(spool, 1000, 1000, &file) == 1);
    imx_spool_close(spool);
}

static void test_without_rights(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        assert_int_equal(chown(dir, 65534, 65534), 0);
    }
    assert_int_equal(run(as_nobody), 0);
}

#define NOT_POSSIBLE 77

/* Fills it until it is full; then delivers the oldest until it is not. */
static void on_a_small_disk(void)
{
    char reason[IMX_SPOOL_REASON_MAX];
    uint32_t stored = 0, first;
    int err;

    if (unshare(CLONE_NEWNS) != 0
        || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0
        || mount("none", dir, "tmpfs", MS_NOSUID, "size=256k,mode=0700")
               != 0) {
        _exit(NOT_POSSIBLE);
    }
    EXPECT(imx_spool_open(&spool, dir, 0, NULL, NULL, NULL, reason) == 0);
    do {
        make_lines(stored, 500);
        err = imx_spool_put(spool, spans, 500, &dropped);
        stored += err == 0 ? 500 : 0;
    } while (err == 0 && stored < LINES - 500);
    EXPECT(err == ENOSPC);
    EXPECT(stored >= 2500);
    EXPECT(count_names(".tmp") == 0);
    EXPECT(imx_spool_totals(spool).lines == stored);
    for (first = 0; first < stored; first += 500) {
        EXPECT(imx_spool_next(spool, 99999, 1000, &file) == 1);
        EXPECT(file.count == 500 && line_id(&file.lines[0]) == first);
        imx_spool_done(spool, file.count);
        make_lines(stored + first, 500);
        EXPECT(imx_spool_put(spool, spans, 500, &dropped) == 0);
    }
    imx_spool_close(spool);
}

static void test_a_disk_that_is_full(void **state)
{
    int status;

    (void)state;
    status = run(on_a_small_disk);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_POSSIBLE) {
        print_message("# no tmpfs can be mounted here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* ---- every system call ---- */

/* A bit of everything: a torn file, a *.tmp, room to be made, keep. */
static void prepare_scenario(void)
{
    size_t size;

    forget_world();
    memset(&said, 0, sizeof said);
    memset(&file, 0, sizeof file);
    remove_all(dir);
    mkdir(dir, 0700);
    size = make_lines(1000, 3);
    make_file(name_of(1, 0, 3, ".lp"), text, size - 4);
    size = make_lines(1010, 3);
    make_file(name_of(2, 0, 3, ".tmp"), text, size - 4);
    memset(lab, 0, sizeof *lab);
    memset((void *)(lab->stored + 1000), 1, 2);
    memset((void *)(lab->stored + 1010), 1, 2);
}

static void step_put(uint32_t first)
{
    put(first, 3);
}

static void step_deliver(void)
{
    if (oldest() == 1) {
        done();
    }
}

static void step_deliver_part(void)
{
    if (oldest() == 1 && file.count > 1) {
        done_some(0, 1);
        imx_spool_put_back(spool);
    }
}

static void scenario(void)
{
    char reason[IMX_SPOOL_REASON_MAX];
    int err;

    world.write_most = 25;
    world.armed = 1;
    err = imx_spool_open(&spool, dir, 0, NULL, note_log, &said, reason);
    world.armed = 0;
    memset(&sum, 0, sizeof sum);
    if (err != 0) {
        return;
    }
    step_put(2000);
    step_deliver();
    step_put(2010);
    oldest();
    imx_spool_put_back(spool);
    step_deliver();
    step_put(2020);
    step_deliver();
    step_put(2030);
    step_deliver_part();
    piece_lines = 1;
    step_deliver();
    step_put(2040);
    piece_lines = 9;
    close_spool();
}

/* Everything that is stored is found again by the next process, once. */
static void check_recovery(int failed)
{
    uint32_t i;

    forget_world();
    open_spool(0);
    drain();
    assert_int_equal(lab->disorder, 0);
    for (i = 1000; i < 2050; i++) {
        assert_in_range(lab->seen[i], 0, 1);
        if (lab->done[i]) {
            /* Unless it could not be noted, which the log says. */
            assert_true(!lab->seen[i] || (failed && said.count_of[48]));
        }
        else if (lab->stored[i] && !lab->sending[i]) {
            assert_int_equal(lab->seen[i] + lab->gone[i], 1);
        }
        else if (failed && !lab->stored[i]) {
            assert_int_equal(lab->seen[i], 0);
        }
    }
    assert_int_equal(count_names(".lp") + count_names(".tmp"), 0);
    close_spool();
}

static void test_kill_at_every_call(void **state)
{
    int k, status, killed = 0;

    (void)state;
    world.no_sync = 1;
    for (k = 1; k < 1000; k++) {
        prepare_scenario();
        world.kill_at = k;
        status = run(scenario);
        if (!WIFSIGNALED(status)) {
            break;
        }
        assert_int_equal(WTERMSIG(status), SIGKILL);
        killed++;
        check_recovery(0);
    }
    assert_in_range(k, 80, 999);
    print_message("# killed at each of %d calls\n", killed);
}

/* Lines that are in *.bad are accounted for: their file could not be read. */
static void note_quarantined(void)
{
    DIR *d = opendir(dir);
    struct dirent *item;
    char *at, *end;

    while ((item = readdir(d)) != NULL) {
        if (strstr(item->d_name, ".bad") == NULL) {
            continue;
        }
        content[read_file(item->d_name)] = '\0';
        for (at = content; (end = strchr(at, '\n')) != NULL; at = end + 1) {
            struct iovec line = { at, (size_t)(end - at) + 1 };

            lab->gone[line_id(&line)] = 1;
        }
    }
    closedir(d);
}

static void fail_each_call(int err)
{
    int k, calls;

    for (k = 1; k < 1000; k++) {
        prepare_scenario();
        world.fail_at = k;
        world.err = err;
        scenario();
        close_spool();
        calls = world.calls;
        note_quarantined();
        check_recovery(1);
        if (calls < k) {
            break;
        }
    }
    assert_in_range(k, 80, 999);
}

/* Not ENOENT: of a file that is there, that would be a lie. */
static void test_fail_every_call(void **state)
{
    static const int errors[] = { EIO, ENOSPC, EACCES, EMFILE, ENOMEM, EROFS };
    size_t i;

    (void)state;
    world.no_sync = 1;
    for (i = 0; i < sizeof errors / sizeof *errors; i++) {
        fail_each_call(errors[i]);
    }
}

/* Of one name all fail, for a while; nothing that was stored goes. */
static void test_fail_all_calls_of_a_name(void **state)
{
    static const char *const calls[] = { "openat",  "writev", "fsync",
                                         "fstatat", "fstat",  "renameat" };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof calls / sizeof *calls; i++) {
        prepare_scenario();
        open_spool(0);
        deliver(1000, 2);
        assert_int_equal(put(2000, 3), 0);
        world.fail_call = calls[i];
        world.err = EIO;
        assert_int_equal(put(2010, 3) == 0, strcmp(calls[i], "fstat") == 0);
        assert_int_equal(count_names(".tmp"), 0);
        world.fail_call = NULL;
        deliver(1010, 2);
        deliver(2000, 3);
        if (strcmp(calls[i], "fstat") == 0) {
            deliver(2010, 3);
        }
        assert_int_equal(oldest(), 0);
        assert_int_equal(put(2010, 3), 0);
        deliver(2010, 3);
        close_spool();
    }
}

/* A file system that cannot fsync a directory. */
static void test_no_fsync(void **state)
{
    (void)state;
    open_spool(0);
    world.fail_call = "fsync";
    world.err = EINVAL;
    assert_int_equal(put(10, 3), 0);
    deliver(10, 3);
}

/* ---- many ---- */

#define MANY 10000

/* A list that moves along takes no more memory. */
static void test_many_rounds(void **state)
{
    uint32_t i;
    size_t before;

    (void)state;
    world.no_sync = 1;
    open_spool(0);
    assert_int_equal(put(0, 1), 0);
    before = mallinfo2().uordblks;
    for (i = 1; i < 5000; i++) {
        assert_int_equal(put(i, 1), 0);
        deliver(i - 1, 1);
    }
    assert_in_range(mallinfo2().uordblks, 0, before + 10000);
}

static void test_many_files(void **state)
{
    uint32_t i;
    size_t before, after;

    (void)state;
    world.no_sync = 1;
    for (i = 0; i < MANY; i++) {
        make_lines_file(name_of(1 + i * 7919 % MANY, 0, 1, ".lp"),
                        i * 7919 % MANY, 1);
    }
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    open_spool(0);
    after = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_true(after < before + 96 * MANY);
    check_totals(MANY, MANY);
    assert_int_equal(put(MANY, 1), 0);
    for (i = 0; i <= MANY; i++) {
        deliver(i, 1);
    }
    assert_int_equal(oldest(), 0);
    assert_int_equal(said.count, 0);
}

/* ---- anything, in any order ---- */

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* One of the things that happen to a spool, or none. */
static void misfortune(void)
{
    static const int errors[] = { EIO, ENOSPC, EACCES, ENOMEM, EROFS, EMFILE };

    forget_world();
    world.write_most = below(3) ? 0 : 1 + below(80);
    world.interrupt = below(2) != 0;
    if (below(3) == 0) {
        world.fail_at = 1 + (int)below(12);
        world.err = errors[below(6)];
    }
    switch (below(40)) {
    case 0:
        count_names(".lp");
        unlink(path_of(last_name));
        break;
    case 1:
        count_names(".lp");
        if (truncate(path_of(last_name), below(60)) != 0) {
            errno = 0;
        }
        break;
    case 2:
        remove_all(dir);
        mkdir(dir, 0700);
        break;
    }
}

/* Accounts are checked by put(), oldest() and done() each time. */
static void test_anything(void **state)
{
    uint64_t limit = 2000;
    uint32_t i, next = 0;
    int err;

    (void)state;
    world.no_sync = 1;
    open_spool(limit);
    for (i = 0; i < 6000; i++) {
        misfortune();
        switch (below(5)) {
        case 0:
        case 1:
            err = put(next, 1 + below(6));
            assert_true(err || imx_spool_totals(spool).bytes <= limit);
            next += 6;
            break;
        case 2:
            oldest();
            break;
        case 3:
            piece_lines = 1 + below(8);
            piece_bytes = 100 + below(300);
            if (oldest() == 1) {
                done_some(0, 1 + below((uint32_t)file.count));
            }
            break;
        case 4:
            imx_spool_put_back(spool);
            if (below(20) == 0) {
                forget_world();
                close_spool();
                open_spool(limit);
            }
        }
    }
    forget_world();
    drain();
    check_totals(0, 0);
    /* A file that could not be looked at once is found, but later: the order
     * is for other tests. */
    for (i = 0; i < next; i++) {
        assert_in_range(lab->seen[i], 0, 1);
        assert_false(lab->seen[i] && !lab->stored[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_directory),
        TEST(test_put_and_deliver),
        TEST(test_the_order_of_calls),
        TEST(test_oldest_first_and_keep),
        TEST(test_what_put_refuses),
        TEST(test_no_log_no_spool),
        TEST(test_short_writes_and_signals),
        TEST(test_a_write_that_fails),
        TEST(test_empty_spans),
        TEST(test_telegraf_16500_whole_log_resent),
        TEST(test_telegraf_15868_sent_twice),
        TEST(test_telegraf_16314_never_emptied),
        TEST(test_telegraf_18528_torn_file),
        TEST(test_telegraf_16615_no_size_limit),
        TEST(test_telegraf_disk_full_undefined),
        TEST(test_foreign_names),
        TEST(test_what_is_no_file),
        TEST(test_a_symlink_for_a_file),
        TEST(test_a_fifo_for_a_file),
        TEST(test_a_symlink_where_we_write),
        TEST(test_the_clock_is_set_back),
        TEST(test_the_clock_stands_still),
        TEST(test_the_clock_before_1970),
        TEST(test_the_last_number),
        TEST(test_the_last_name),
        TEST(test_newer_than_quarantine),
        TEST(test_what_is_a_line),
        TEST(test_what_the_name_says),
        TEST(test_empty_files),
        TEST(test_lines_at_once),
        TEST(test_bytes_at_once),
        TEST(test_telegraf_16500_part_resent),
        TEST(test_a_part_that_cannot_be_noted),
        TEST(test_a_part_of_a_file_that_is_gone),
        TEST(test_a_part_of_a_file_that_is_gone_is_sent),
        TEST(test_no_lines_in_pieces),
        TEST(test_no_lines_in_a_part),
        TEST(test_an_endless_line),
        TEST(test_a_huge_file),
        TEST(test_many_useless_files),
        TEST(test_quarantine_once),
        TEST(test_quarantine_on_a_full_disk),
        TEST(test_a_file_that_cannot_be_read),
        TEST(test_files_that_we_may_not_read),
        TEST(test_files_that_we_may_not_count),
        TEST(test_many_bad_files),
        TEST(test_a_file_that_is_stuck),
        TEST(test_a_disk_that_fails_for_a_moment),
        TEST(test_a_disk_that_fails_while_it_counts),
        TEST(test_a_disk_that_fails_at_salvage),
        TEST(test_a_disk_that_fails_now_and_then),
        TEST(test_out_of_file_descriptors),
        TEST(test_tmp_before_it_is_locked),
        TEST(test_one_at_a_time),
        TEST(test_it_is_back_but_in_use),
        TEST(test_an_abandoned_put_stores_nothing),
        TEST(test_a_put_is_abandoned_on_its_way),
        TEST(test_a_put_is_abandoned_with_its_name),
        TEST(test_a_name_is_not_believed),
        TEST(test_what_is_given_up_is_counted),
        TEST(test_lines_are_known_when_they_are_read),
        TEST(test_counting_in_steps),
        TEST(test_a_scan_that_failed_is_made_again),
        TEST(test_a_scan_that_failed_at_its_return),
        TEST(test_no_line_is_set_aside_twice_in_one_place),
        TEST(test_tmp_of_dead_writers),
        TEST(test_tmp_of_a_living_writer),
        TEST(test_tmp_whose_name_is_taken),
        TEST(test_tmp_when_memory_is_short),
        TEST(test_the_oldest_goes),
        TEST(test_more_than_all_room),
        TEST(test_quarantine_has_a_size_too),
        TEST(test_a_smaller_limit),
        TEST(test_room_that_was_made_already),
        TEST(test_room_that_cannot_be_made),
        TEST(test_files_removed_by_somebody),
        TEST(test_files_removed_in_secret),
        TEST(test_a_file_removed_while_it_is_sent),
        TEST(test_files_brought_by_somebody),
        TEST(test_files_brought_in_secret),
        TEST(test_a_file_truncated_by_somebody),
        TEST(test_open_errors),
        TEST(test_the_directory_is_removed),
        TEST(test_the_directory_is_moved_away_and_back),
        TEST(test_another_directory_in_its_place),
        TEST(test_a_directory_that_cannot_be_looked_at),
        TEST(test_delivered_and_stuck),
        TEST(test_delivered_and_read_only),
        TEST(test_trouble_is_told_again),
        TEST(test_without_rights),
        TEST(test_a_disk_that_is_full),
        TEST(test_kill_at_every_call),
        TEST(test_fail_every_call),
        TEST(test_fail_all_calls_of_a_name),
        TEST(test_no_fsync),
        TEST(test_many_rounds),
        TEST(test_many_files),
        TEST(test_anything),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
