/*
 * t/unit/backlog.c: the spools and their one account, inline and with a thread
 * on a disk that hangs.
 *
 * Some system calls come here first (a program's own function goes before the C
 * library's), so that a disk can hang, fail for one name, and be seen to be
 * left alone.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "deliver/backlog.h"
#include "deliver/spool.h"
#include "small_arena.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS IMX_CLOCK_MS
#define LIMIT_MS 20000 /* for what must happen soon, on a busy machine */
#define ROOM 5000      /* lines of a piece */

/* ---- the system calls ---- */

static _Atomic int is_hanging, hung; /* fsync() waits; so many do */
static _Atomic int passing;          /* but so many first ones */
static _Atomic int calls;            /* that touched a disk */
static const char *fail_name;        /* openat() of it fails: EMFILE */

int fsync(int fd)
{
    (void)fd;
    atomic_fetch_add(&calls, 1);
    if (atomic_fetch_sub(&passing, 1) > 0) {
        return 0;
    }
    atomic_fetch_add(&hung, 1);
    while (atomic_load(&is_hanging)) {
        imx_clock_pause(1);
    }
    atomic_fetch_sub(&hung, 1);
    return 0;
}

int openat(int dir, const char *name, int flags, ...)
{
    atomic_fetch_add(&calls, 1);
    if (fail_name != NULL && strcmp(name, fail_name) == 0) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_openat, dir, name, flags, 0600);
}

int fstatat(int dir, const char *restrict name, struct stat *restrict st,
            int flags)
{
    atomic_fetch_add(&calls, 1);
    return (int)syscall(SYS_newfstatat, dir, name, st, flags);
}

/* ---- the fixture ---- */

static struct {
    char top[64], dir[96], former[96];
    small_arena_t shared;
    imx_news_t news;
    imx_backlog_options_t o;
    imx_backlog_t *b;
    int64_t now;
    _Atomic int woken;
    int said[100];
    uint32_t next;      /* line */
    uint64_t delivered; /* lines that left through the source */
} f;

static int64_t clock_ns(void *context)
{
    (void)context;
    return f.now;
}

static void note_log(void *context, imx_log_level_e level, const char *text)
{
    unsigned id = 0;

    (void)context;
    (void)level;
    if (sscanf(text, "IMX00%2u", &id) == 1) {
        f.said[id % 100]++;
    }
}

static void wake(void *context)
{
    (void)context;
    atomic_fetch_add(&f.woken, 1);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    atomic_store(&is_hanging, 0);
    atomic_store(&passing, 0);
    fail_name = NULL;
    strcpy(f.top, "/tmp/imx-backlog-XXXXXX");
    assert_non_null(mkdtemp(f.top));
    snprintf(f.dir, sizeof f.dir, "%s/spool", f.top);
    snprintf(f.former, sizeof f.former, "%s/former", f.top);
    assert_int_equal(small_arena_make(&f.shared), 0);
    assert_int_equal(mkdir(f.dir, 0700), 0);
    f.now = 1000000 * MS;
    f.news.arena = &f.shared.arena;
    f.news.where = "nowhere";
    f.news.log = note_log;
    f.news.now = clock_ns;
    f.o = (imx_backlog_options_t){
        .batch = &f.shared.arena.batch,
        .news = &f.news,
        .dir = f.dir,
        .file_bytes = 16000,
        .file_lines = 10000,
        .is_inline = 1,
        .wake = wake
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fail_name = NULL;
    atomic_store(&is_hanging, 0);
    if (f.b != NULL) {
        imx_backlog_end(f.b, LIMIT_MS);
        assert_int_equal(imx_backlog_destroy(f.b), 1);
    }
    small_arena_free(&f.shared);
    return remove_tree(f.top);
}

/* A new holder: what is known of the last one is on the board. */
static void begin(void)
{
    if (f.b == NULL) {
        f.b = imx_backlog_create(&f.o);
        assert_non_null(f.b);
    }
    imx_news_take_over(&f.news);
    imx_batch_recover(&f.shared.arena.batch);
    imx_backlog_begin(f.b);
}

static void end(void)
{
    assert_int_equal(imx_backlog_end(f.b, LIMIT_MS), 1);
    assert_int_equal(imx_backlog_destroy(f.b), 1);
    f.b = NULL;
}

/* The next holder. */
static void begin_again(void)
{
    end();
    begin();
}

static size_t line_text(char *text)
{
    uint32_t n = f.next++;

    return (size_t)sprintf(text, "m,host=h%04u n=1i %u\n", n % 1000,
                           n + 1000000000u);
}

static void append(int count)
{
    char line[100];

    for (; count > 0; count--) {
        size_t len = line_text(line);

        assert_int_equal(imx_batch_append(&f.shared.child, line, len), 1);
    }
    imx_batch_seal_all(&f.shared.arena.batch);
}

/* A file that somebody brought; `named` lines in its name, count in it. */
static void bring(const char *dir, unsigned number, unsigned named, int count)
{
    char path[200], line[100];
    FILE *file;

    snprintf(path, sizeof path, "%s/%019u-00000000-%06u.lp", dir, number,
             named);
    file = fopen(path, "w");
    assert_non_null(file);
    for (; count > 0; count--) {
        size_t len = line_text(line);

        fwrite(line, 1, len, file);
    }
    fclose(file);
}

static int count_files(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *item;
    int n = 0;

    assert_non_null(d);
    while ((item = readdir(d)) != NULL) {
        n += item->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

/* Until nothing is under way; with a thread, at most for a while. */
static void settle(void)
{
    int i;

    for (i = 0; i < 20; i++) {
        imx_backlog_step(f.b);
        assert_int_equal(imx_backlog_wait(f.b, LIMIT_MS), 1);
    }
}

static void put_all(void)
{
    int i;

    for (i = 0; i < 1000; i++) {
        imx_backlog_step(f.b);
        imx_backlog_wait(f.b, LIMIT_MS);
        if (imx_backlog_put_oldest(f.b) == 0) {
            break;
        }
    }
    settle();
}

/* Every line that is there goes through the source; windows of `window`. */
static void deliver_all(size_t window)
{
    static imx_influx_line_t lines[ROOM];
    imx_source_t *source = imx_backlog_source(f.b);
    size_t count, at, n;
    int idle;

    for (idle = 0; idle < 10; idle++) {
        imx_backlog_step(f.b);
        imx_backlog_wait(f.b, LIMIT_MS);
        count = source->next(source, lines, ROOM, ROOM, 1 << 20);
        for (at = 0; at < count; at += n) {
            n = window < count - at ? window : count - at;
            source->done(source, n, 0);
            f.delivered += n;
            idle = 0;
        }
    }
    settle();
}

/* What the accounts say is in files. */
static uint64_t spooled(void)
{
    const imx_board_t *d = &f.news.board;

    return imx_batch_totals(&f.shared.arena.batch).fate[IMX_BATCH_SPOOLED]
           + d->spool_found - d->spool_delivered - d->spool_rejected
           - d->spool_dropped;
}

static void check_board(uint64_t found, uint64_t delivered, uint64_t dropped,
                        uint64_t left)
{
    assert_int_equal(f.news.board.spool_found, found);
    assert_int_equal(f.news.board.spool_delivered, delivered);
    assert_int_equal(f.news.board.spool_dropped, dropped);
    assert_int_equal(spooled(), left);
}

/* ---- in and out ---- */

static void lines_go_in_and_out(void **state)
{
    (void)state;
    append(1000);
    begin();
    put_all();
    check_board(0, 0, 0, 1000);
    assert_int_equal(f.news.board.spool_lines, 1000);
    assert_true(count_files(f.dir) > 1);
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch).pending, 0);
    deliver_all(7);
    check_board(0, 1000, 0, 0);
    assert_int_equal(f.delivered, 1000);
    assert_int_equal(count_files(f.dir), 0);
    assert_null(imx_batch_validate(&f.shared.arena.batch));
}

static void the_same_with_a_thread(void **state)
{
    f.o.is_inline = 0;
    lines_go_in_and_out(state);
    assert_true(atomic_load(&f.woken) > 2);
}

/* However much there is: transfers would time out meanwhile. */
static void one_file_a_step(void **state)
{
    (void)state;
    append(3000);
    begin();
    assert_true(imx_backlog_put_oldest(f.b) > 0);
    assert_int_equal(count_files(f.dir), 1);
    assert_true(spooled() < 1500);
}

static void refused_lines_are_counted(void **state)
{
    static imx_influx_line_t lines[ROOM];
    imx_source_t *source;

    (void)state;
    append(10);
    begin();
    put_all();
    source = imx_backlog_source(f.b);
    assert_int_equal(source->next(source, lines, ROOM, 4, 1 << 20), 4);
    source->done(source, 4, 3);
    assert_int_equal(f.news.board.spool_rejected, 3);
    check_board(0, 1, 0, 6);
    assert_int_equal(source->next(source, lines, ROOM, ROOM, 1), 1);
    assert_int_equal(source->next(source, lines, ROOM, ROOM, 1 << 20), 5);
    source->put_back(source);
    assert_int_equal(source->next(source, lines, ROOM, ROOM, 1 << 20), 6);
    source->done(source, 6, 0);
    check_board(0, 7, 0, 0);
}

/* Nothing is in files, and InfluxDB takes points. */
static void an_empty_spool_is_left_alone(void **state)
{
    static imx_influx_line_t lines[ROOM];
    imx_source_t *source;
    int i, looks = 0;

    (void)state;
    begin();
    settle();
    source = imx_backlog_source(f.b);
    for (i = 0; i < 200; i++) { /* 20 s */
        f.now += 100 * MS;
        atomic_store(&calls, 0);
        imx_backlog_step(f.b);
        source->next(source, lines, ROOM, ROOM, 1 << 20);
        looks += atomic_load(&calls) > 0;
        assert_in_range(atomic_load(&calls), 0, 1);
    }
    assert_in_range(looks, 2, 5);
    bring(f.dir, 1, 2, 2);
    f.now += 10000 * MS;
    settle();
    check_board(2, 0, 0, 2);
}

/* ---- what is believed ---- */

static void a_name_is_not_believed(void **state)
{
    (void)state;
    bring(f.dir, 1, 999999, 0);
    bring(f.dir, 2, 999999, 5);
    begin();
    settle();
    check_board(5, 0, 0, 5);
    deliver_all(100);
    check_board(5, 5, 0, 0);
}

static void what_was_counted_is_not_counted_again(void **state)
{
    (void)state;
    bring(f.dir, 1, 3, 3);
    append(100);
    begin();
    put_all();
    check_board(3, 0, 0, 103);
    begin_again();
    settle();
    check_board(3, 0, 0, 103);
    atomic_store(&calls, 0);
    imx_backlog_step(f.b);
    assert_int_equal(atomic_load(&calls), 0);
    deliver_all(100);
    check_board(3, 103, 0, 0);
}

/* A holder that was killed leaves a file whose segments it has not settled. */
static void what_is_counted_elsewhere_counts_once(void **state)
{
    (void)state;
    append(100);
    begin();
    put_all();
    end();
    bring(f.dir, 5, 20, 20);
    begin();
    settle();
    assert_int_equal(f.news.board.spool_twice, 20);
    check_board(0, 0, 0, 100);
    deliver_all(33);
    assert_int_equal(f.delivered, 120);
    check_board(0, 100, 0, 0);
}

static void what_somebody_removed_is_dropped(void **state)
{
    (void)state;
    append(100);
    begin();
    put_all();
    end();
    assert_int_equal(remove_tree(f.dir), 0);
    assert_int_equal(mkdir(f.dir, 0700), 0);
    begin();
    settle();
    check_board(0, 0, 100, 0);
}

/* ---- former directories ---- */

static void make_former(int lines)
{
    f.o.dir = f.former;
    assert_int_equal(mkdir(f.former, 0700), 0);
    append(lines);
    begin();
    put_all();
    end();
    f.o.dir = f.dir;
    f.o.before[0] = f.former;
}

static void a_former_directory_is_delivered_first(void **state)
{
    static imx_influx_line_t lines[ROOM];
    imx_source_t *source;

    (void)state;
    make_former(10);
    bring(f.dir, 1, 4, 4); /* these are no lines that count elsewhere */
    begin();
    settle();
    check_board(4, 0, 0, 14);
    assert_int_equal(f.news.board.spool_twice, 0);
    source = imx_backlog_source(f.b);
    assert_int_equal(source->next(source, lines, ROOM, ROOM, 1 << 20), 10);
    source->put_back(source);
    deliver_all(3);
    check_board(4, 14, 0, 0);
}

/* It was EMFILE for a moment: its lines were booked as lost. */
static void a_former_one_that_fails_loses_nothing(void **state)
{
    (void)state;
    make_former(10);
    append(20);
    fail_name = "former";
    begin();
    put_all();
    check_board(0, 0, 0, 30);
    assert_int_equal(f.said[50], 1);
    deliver_all(100);
    check_board(0, 20, 0, 10);
    begin_again(); /* nor for the next holder */
    settle();
    check_board(0, 20, 0, 10);
    fail_name = NULL;
    f.now += 2000 * MS;
    settle();
    deliver_all(100);
    check_board(0, 30, 0, 0);
    assert_int_equal(count_files(f.former), 0);
}

static void the_one_in_use_fails_and_former_ones_do_not(void **state)
{
    (void)state;
    make_former(10);
    fail_name = "spool";
    append(20);
    begin();
    settle();
    assert_int_equal(imx_backlog_put_oldest(f.b), 0);
    assert_int_equal(imx_backlog_takes(f.b), 0);
    deliver_all(100);
    check_board(0, 10, 0, 0);
    fail_name = NULL;
    f.now += 2000 * MS;
    settle();
    put_all();
    check_board(0, 10, 0, 20);
}

static void a_former_one_that_is_gone_is_no_error(void **state)
{
    (void)state;
    make_former(10);
    assert_int_equal(remove_tree(f.former), 0);
    begin();
    settle();
    check_board(0, 0, 10, 0);
    assert_int_equal(f.said[50], 0);
}

/* Moved away while a holder began, and back again: the same holder sees it. */
static void a_former_one_that_comes_back_is_found(void **state)
{
    char away[128];

    (void)state;
    snprintf(away, sizeof away, "%s.away", f.former);
    make_former(10);
    assert_int_equal(rename(f.former, away), 0);
    begin();
    settle();
    check_board(0, 0, 10, 0);
    f.now += 6000 * MS;
    settle();
    check_board(0, 0, 10, 0); /* once */
    assert_int_equal(rename(away, f.former), 0);
    f.now += 6000 * MS;
    settle();
    check_board(10, 0, 10, 10); /* found: 10 more than there were */
    begin_again();              /* and the next holder knows that */
    settle();
    check_board(10, 0, 10, 10);
    deliver_all(100);
    check_board(10, 10, 10, 0);
    begin_again();
    settle();
    check_board(10, 10, 10, 0);
    assert_int_equal(f.said[50], 0);
}

static void accounts_follow_the_directories(void **state)
{
    (void)state;
    make_former(10);
    append(7);
    begin();
    put_all();
    end();
    f.o.dir = f.former; /* and back again */
    f.o.before[0] = f.dir;
    begin();
    settle();
    check_board(0, 0, 0, 17);
    assert_int_equal(f.news.board.spool_twice, 0);
    end();
    f.o.before[0] = NULL; /* nobody looks after it any more */
    begin();
    settle();
    check_board(0, 0, 7, 10);
    deliver_all(100);
    check_board(0, 10, 7, 0);
}

/* ---- who works in it ---- */

static imx_spool_t *somebody(void)
{
    char reason[IMX_SPOOL_REASON_MAX];
    imx_spool_t *s;

    assert_int_equal(imx_spool_open(&s, f.dir, 0, NULL, NULL, NULL, reason),
                     0);
    return s;
}

static void a_directory_in_use_is_left_alone(void **state)
{
    imx_spool_t *other = somebody();
    int i;

    (void)state;
    append(10);
    begin();
    settle();
    assert_int_equal(f.said[56], 0); /* the last holder may be leaving */
    for (i = 0; i < 60; i++) {
        f.now += 1100 * MS;
        imx_backlog_step(f.b);
        assert_int_equal(imx_backlog_put_oldest(f.b), 0);
    }
    assert_int_equal(f.said[56], 1);
    begin_again();
    for (i = 0; i < 10; i++) {
        f.now += 1100 * MS;
        imx_backlog_step(f.b);
    }
    assert_int_equal(f.said[56], 1); /* once, whoever is the holder */
    assert_int_equal(f.said[50], 0);
    assert_int_equal(count_files(f.dir), 0);
    imx_spool_close(other);
    f.now += 1100 * MS;
    settle();
    assert_int_equal(f.said[57], 1);
    put_all();
    check_board(0, 0, 0, 10);
}

/* The next server may be at work already; another one's spool is not ours. */
static void the_last_step_puts_beside_the_next_server(void **state)
{
    imx_spool_t *other;

    (void)state;
    append(10);
    begin();
    put_all();
    end();
    append(5);
    f.o.ends_server = 1;
    other = somebody();
    begin();
    put_all();
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch).pending, 0);
    check_board(0, 0, 0, 15);
    assert_int_equal(imx_backlog_has_files(f.b), 0);
    imx_spool_look(other);
    assert_int_equal(imx_spool_totals(other).files, 2);
    imx_spool_close(other);
}

static void the_last_step_does_not_put_into_a_strangers_spool(void **state)
{
    imx_spool_t *other = somebody();

    (void)state;
    append(5);
    f.o.ends_server = 1;
    begin();
    put_all();
    assert_int_equal(count_files(f.dir), 0);
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch).pending, 5);
    imx_spool_close(other);
}

/* An upgrade: the new version has memory of its own, and had the directory
 * first. */
static void put_beside_another_version(int waits)
{
    imx_spool_t *other;

    f.o.is_inline = 0;
    append(10);
    begin();
    put_all();
    end();
    other = somebody();
    append(5);
    begin();
    if (waits) {
        settle();
        assert_int_equal(imx_backlog_put_oldest(f.b), 0);
    }
    imx_backlog_share(f.b);
    settle();
    put_all();
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch).pending, 0);
    imx_spool_look(other);
    assert_int_equal(imx_spool_totals(other).files, 2);
    imx_spool_close(other);
}

static void the_last_child_puts_beside_another_version(void **state)
{
    (void)state;
    put_beside_another_version(1);
}

/* It has just begun to open the directory. */
static void the_last_child_can_come_late(void **state)
{
    (void)state;
    put_beside_another_version(0);
}

static void the_last_child_does_not_put_into_a_strangers_spool(void **state)
{
    imx_spool_t *other = somebody();

    (void)state;
    append(5);
    begin();
    settle();
    imx_backlog_share(f.b);
    put_all();
    assert_int_equal(count_files(f.dir), 0);
    imx_spool_close(other);
}

/* ---- a disk that hangs ---- */

static int until_hung(void)
{
    int64_t deadline = imx_clock_now() + LIMIT_MS * MS;

    while (atomic_load(&hung) == 0 && imx_clock_now() < deadline) {
        imx_backlog_step(f.b);
        imx_clock_pause(1);
    }
    return atomic_load(&hung) > 0;
}

static void hang_in_a_put(void)
{
    f.o.is_inline = 0;
    append(100);
    begin();
    settle();
    atomic_store(&is_hanging, 1);
    assert_true(imx_backlog_put_oldest(f.b) > 0);
    assert_true(until_hung());
}

/* Live lines go on, and nobody waits. */
static void a_put_that_hangs_stops_nobody(void **state)
{
    imx_batch_claim_t claim;
    uint64_t sent[IMX_BATCH_FATES] = { 1 };
    int64_t began;
    int i;

    (void)state;
    hang_in_a_put();
    assert_int_equal(imx_backlog_busy_since(f.b), f.now);
    assert_string_equal(imx_backlog_busy_dir(f.b), f.dir);
    assert_int_equal(imx_backlog_takes(f.b), 1);
    f.now += 1500 * MS;
    assert_int_equal(imx_backlog_takes(f.b), 0);
    began = imx_clock_now();
    for (i = 0; i < 50; i++) {
        append(1);
        imx_backlog_step(f.b);
        assert_int_equal(imx_backlog_put_oldest(f.b), 0);
        assert_int_equal(imx_batch_claim(&f.shared.arena.batch, &claim, 1,
                                         1000, 100000),
                         1);
        imx_batch_settle(&f.shared.arena.batch, &claim, sent);
    }
    assert_true(imx_clock_now() - began < LIMIT_MS * MS);
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch)
                         .fate[IMX_BATCH_SENT],
                     50);
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch).pending, 100);
    atomic_store(&is_hanging, 0);
    settle();
    assert_int_equal(imx_backlog_busy_since(f.b), 0);
    assert_int_equal(imx_backlog_takes(f.b), 1);
    check_board(0, 0, 0, 100);
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch).pending, 0);
}

/*
 * The holder leaves and does not wait.  The next one has the lines again; the
 * file of the job that hung does not appear when the disk answers.
 */
static void a_holder_leaves_while_a_put_hangs(void **state)
{
    imx_backlog_t *old;
    int64_t began = imx_clock_now(), deadline;

    (void)state;
    hang_in_a_put();
    assert_int_equal(imx_backlog_end(f.b, 50), 0);
    assert_int_equal(imx_backlog_destroy(f.b), 0);
    assert_true(imx_clock_now() - began < LIMIT_MS * MS);
    old = f.b;
    f.b = NULL;
    begin();
    imx_backlog_step(f.b);
    imx_backlog_wait(f.b, LIMIT_MS);
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch).pending, 100);
    assert_int_equal(imx_backlog_put_oldest(f.b), 0); /* it is locked */
    atomic_store(&is_hanging, 0);
    deadline = imx_clock_now() + LIMIT_MS * MS;
    while (!imx_backlog_destroy(old) && imx_clock_now() < deadline) {
        imx_clock_pause(1);
    }
    assert_int_equal(count_files(f.dir), 0);
    f.now += 1100 * MS;
    settle();
    put_all();
    check_board(0, 0, 0, 100);
    assert_int_equal(count_files(f.dir), 1);
    assert_int_equal(f.said[56], 0);
    deliver_all(10);
    assert_int_equal(f.delivered, 100);
}

/* The file has its name, and only the directory is still on its way to the
 * disk: then the lines are in the file, and nowhere else. */
static void a_holder_leaves_while_a_name_hangs(void **state)
{
    imx_backlog_t *old;
    int64_t deadline = imx_clock_now() + LIMIT_MS * MS;

    (void)state;
    f.o.is_inline = 0;
    append(100);
    begin();
    settle();
    atomic_store(&passing, 1);
    atomic_store(&is_hanging, 1);
    assert_true(imx_backlog_put_oldest(f.b) > 0);
    assert_true(until_hung());
    assert_int_equal(imx_backlog_end(f.b, 50), 0);
    assert_int_equal(imx_backlog_destroy(f.b), 0);
    old = f.b;
    f.b = NULL;
    atomic_store(&is_hanging, 0);
    while (!imx_backlog_destroy(old) && imx_clock_now() < deadline) {
        imx_clock_pause(1);
    }
    begin();
    settle();
    assert_int_equal(imx_batch_totals(&f.shared.arena.batch).pending, 0);
    check_board(0, 0, 0, 100);
    deliver_all(10);
    assert_int_equal(f.delivered, 100);
}

/* A file that is whole and has no name yet. */
static int has_whole_tmp(void)
{
    char path[400];
    DIR *d = opendir(f.dir);
    struct dirent *item;
    struct stat st;
    int found = 0;

    assert_non_null(d);
    while ((item = readdir(d)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", f.dir, item->d_name);
        found |= strstr(item->d_name, ".tmp") != NULL && stat(path, &st) == 0
                 && st.st_size > 0;
    }
    closedir(d);
    return found;
}

/* A process that is killed in a put, or ends while its put hangs, leaves a file
 * without a name; the lines are in the batch, and go from there alone. */
static void a_put_that_was_killed_leaves_no_line_twice(void **state)
{
    int64_t deadline = imx_clock_now() + LIMIT_MS * MS;
    pid_t pid;

    (void)state;
    append(100);
    begin();
    settle();
    end();
    atomic_store(&is_hanging, 1);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(LIMIT_MS / 1000);
        f.b = imx_backlog_create(&f.o);
        imx_backlog_begin(f.b);
        imx_backlog_put_oldest(f.b);
        _exit(0);
    }
    while (!has_whole_tmp() && imx_clock_now() < deadline) {
        imx_clock_pause(1);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    atomic_store(&is_hanging, 0);
    assert_true(has_whole_tmp());
    begin();
    settle();
    assert_int_equal(count_files(f.dir), 0);
    assert_int_equal(f.said[42], 0);
    put_all();
    check_board(0, 0, 0, 100);
    deliver_all(10);
    assert_int_equal(f.delivered, 100);
}

/* What another batch's writer left is nowhere else. */
static void what_a_stranger_left_is_delivered(void **state)
{
    char from[200], to[200];

    (void)state;
    bring(f.dir, 1, 7, 7);
    snprintf(from, sizeof from, "%s/%019u-00000000-%06u.lp", f.dir, 1u, 7u);
    snprintf(to, sizeof to, "%s/%019u-00000000-%06u.tmp", f.dir, 1u, 7u);
    assert_int_equal(rename(from, to), 0);
    begin();
    settle();
    assert_int_equal(f.said[42], 1);
    deliver_all(10);
    assert_int_equal(f.delivered, 7);
}

/* Acknowledged lines are counted at once, and noted when the disk answers. */
static void done_does_not_wait_for_the_disk(void **state)
{
    static imx_influx_line_t lines[ROOM];
    imx_source_t *source;
    int64_t deadline = imx_clock_now() + LIMIT_MS * MS;
    size_t n = 0, i;

    (void)state;
    f.o.is_inline = 0;
    append(100);
    begin();
    put_all();
    source = imx_backlog_source(f.b);
    while (n == 0 && imx_clock_now() < deadline) {
        n = source->next(source, lines, ROOM, ROOM, 1 << 20);
        imx_backlog_step(f.b);
        imx_clock_pause(1);
    }
    assert_int_equal(n, 100);
    atomic_store(&is_hanging, 1);
    for (i = 0; i < 10; i++) {
        source->done(source, 10, 0);
        imx_backlog_step(f.b);
    }
    check_board(0, 100, 0, 0);
    assert_true(until_hung());
    atomic_store(&is_hanging, 0);
    settle();
    assert_int_equal(count_files(f.dir), 0);
    check_board(0, 100, 0, 0);
}

/* Nobody has taken the first result when the thread is told to stop. */
static void an_end_right_after_the_begin(void **state)
{
    int i;

    (void)state;
    f.o.is_inline = 0;
    append(10);
    for (i = 0; i < 50; i++) {
        begin();
        if (i % 2) {
            imx_backlog_step(f.b);
            imx_backlog_put_oldest(f.b);
        }
        end();
    }
    begin();
    settle();
    put_all();
    check_board(0, 0, 0, 10);
    assert_null(imx_batch_validate(&f.shared.arena.batch));
}

static void without_a_spool_nothing_happens(void **state)
{
    static imx_influx_line_t lines[ROOM];
    imx_source_t *source;

    (void)state;
    f.o.dir = NULL;
    f.o.is_inline = 0;
    append(10);
    atomic_store(&calls, 0);
    begin();
    settle();
    source = imx_backlog_source(f.b);
    assert_int_equal(source->next(source, lines, ROOM, ROOM, 1 << 20), 0);
    assert_int_equal(imx_backlog_put_oldest(f.b), 0);
    assert_int_equal(imx_backlog_takes(f.b), 0);
    assert_int_equal(atomic_load(&calls), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_go_in_and_out),
        TEST(the_same_with_a_thread),
        TEST(one_file_a_step),
        TEST(refused_lines_are_counted),
        TEST(an_empty_spool_is_left_alone),
        TEST(a_name_is_not_believed),
        TEST(what_was_counted_is_not_counted_again),
        TEST(what_is_counted_elsewhere_counts_once),
        TEST(what_somebody_removed_is_dropped),
        TEST(a_former_directory_is_delivered_first),
        TEST(a_former_one_that_fails_loses_nothing),
        TEST(the_one_in_use_fails_and_former_ones_do_not),
        TEST(a_former_one_that_is_gone_is_no_error),
        TEST(a_former_one_that_comes_back_is_found),
        TEST(accounts_follow_the_directories),
        TEST(a_directory_in_use_is_left_alone),
        TEST(the_last_step_puts_beside_the_next_server),
        TEST(the_last_step_does_not_put_into_a_strangers_spool),
        TEST(the_last_child_puts_beside_another_version),
        TEST(the_last_child_can_come_late),
        TEST(the_last_child_does_not_put_into_a_strangers_spool),
        TEST(a_put_that_hangs_stops_nobody),
        TEST(a_holder_leaves_while_a_put_hangs),
        TEST(a_holder_leaves_while_a_name_hangs),
        TEST(a_put_that_was_killed_leaves_no_line_twice),
        TEST(what_a_stranger_left_is_delivered),
        TEST(done_does_not_wait_for_the_disk),
        TEST(an_end_right_after_the_begin),
        TEST(without_a_spool_nothing_happens),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
