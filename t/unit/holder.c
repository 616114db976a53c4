/*
 * t/unit/holder.c: the holder's duties: tick, order, room, spool, two
 * bodies; step by step with a clock of our own, against the stand-in server
 * (delivery.h).
 */
#define _GNU_SOURCE
#include "delivery.h"

#include "shared/fault.h"
#include "shared/segment.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_tick(void **state)
{
    fixture_t *f = *state;
    int i, other = second_child(f);

    f->o.interval_ms = 200;
    begin(f);
    append_to(f, &f->child[other], 3);
    assert_in_range(ms_to_seal(f, 0, 1000), 1, 200);
    for (i = 0; i < 5; i++) {
        uint64_t before = current(f, other);

        UNTIL(pending(f) == 1); /* the one that showed the seal */
        append_to(f, &f->child[other], 1);
        assert_true(current(f, other) != before); /* sealed as well */
        assert_int_equal(ms_to_seal(f, 0, 1000), 200);
    }
    /* A tick that was missed moves the next one to its phase. */
    UNTIL(pending(f) == 1);
    later(f, 660);
    UNTIL(pending(f) == 0);
    assert_int_equal(ms_to_seal(f, 0, 1000), 140);
    assert_int_equal(logged(f, "IMX0029"), 1);
}

static void test_phase(void **state)
{
    fixture_t *f = *state;
    int64_t ms, least = INT64_MAX, most = 0;
    int i;

    f->o.interval_ms = 200;
    for (i = 0; i < 40; i++) {
        later(f, i * i * 37);
        begin(f);
        ms = ms_to_seal(f, 0, 1000);
        assert_in_range(ms, 1, 200);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
        deliver(f);
        end_monitor(f);
    }
    assert_true(least < 50 && most > 150);
}

static void test_order(void **state)
{
    fixture_t *f = *state;

    f->o.max_lines = 100;
    append(f, 1024); /* whole segments */
    append_to(f, &f->child[second_child(f)], 1024);
    append(f, 512);
    begin(f);
    tick(f);
    UNTIL(fate(f, IMX_BATCH_SENT) >= 256);
    append(f, 300);
    deliver(f);
    assert_int_equal(stored(f), 2860);
    assert_int_equal(stored_again(f), 0);
    assert_false(f->store.unordered);
}

static void deliver_in_pieces(fixture_t *f, int lines)
{
    int64_t since;

    append(f, lines);
    since = real_ms();
    deliver(f);
    assert_in_range(real_ms() - since, f->o.interval_ms * 3 / 4, LIMIT_MS);
    assert_int_equal(writes(f), 2);
}

/* A tick's lines go out in one body, over most of the interval. */
static void test_pieces(void **state)
{
    fixture_t *f = *state;
    const int lines = 4000;

    begin(f);
    append(f, lines);
    deliver(f); /* so large a body is taken */
    deliver_in_pieces(f, lines);
    assert_int_equal(stored(f), 2 * lines);
}

/* The next holder knows what is taken: its first body goes in pieces. */
static void test_pieces_next_holder(void **state)
{
    fixture_t *f = *state;
    const int lines = 4000;

    begin(f);
    append(f, lines);
    deliver(f);
    end_monitor(f);
    begin(f);
    deliver_in_pieces(f, lines);
}

/* What waits at a tick is out in an interval, in however many bodies that is:
 * not slower and slower, as what is left becomes less.  That would take two
 * intervals.  This machine may be busy: one attempt shows it. */
static void test_pieces_many(void **state)
{
    fixture_t *f = *state;
    const int lines = 8000;
    int64_t since, took = LIMIT_MS;
    int i;

    f->o.max_lines = 400;
    f->o.interval_ms = 2000;
    begin(f);
    append(f, lines);
    deliver(f);
    for (i = 1; i < 5 && took > f->o.interval_ms * 3 / 2; i++) {
        append(f, lines);
        since = real_ms();
        deliver(f);
        took = real_ms() - since;
    }
    assert_in_range(took, f->o.interval_ms / 2, f->o.interval_ms * 3 / 2);
    assert_int_equal(stored(f), i * lines);
}

/* Returns for how many ms the body was on its way. */
static int64_t send_body(fixture_t *f, int lines)
{
    uint64_t sent = fate(f, IMX_BATCH_SENT) + (uint64_t)lines;
    int64_t began = 0, limit = real_ms() + LIMIT_MS;

    append(f, lines);
    while (fate(f, IMX_BATCH_SENT) < sent) {
        int ms = imx_monitor_step(f->m);

        assert_true(real_ms() < limit);
        if (began == 0 && is_sending(f)) {
            began = real_ms();
        }
        imx_monitor_wait(f->m, ms); /* as the thread does */
    }
    return began != 0 ? real_ms() - began : 0;
}

/* How long InfluxDB takes for its answer is told without the time in which the
 * pieces go out.  It tells of a longer one for some bodies more, and this
 * machine may be busy: one body shows it. */
static void test_pieces_answer(void **state)
{
    fixture_t *f = *state;
    const int lines = 2000;
    int64_t took = 0, answer_ms = 0;
    int i;

    f->o.now = NULL; /* not a clock that stands still */
    f->o.interval_ms = 1000;
    begin(f);
    send_body(f, lines); /* as fast as it can */
    for (i = 1; i < LINES / lines && answer_ms * 2 >= took; i++) {
        took = send_body(f, lines);
        answer_ms = (int64_t)imx_board_told(&f->arena.board).pace.answer_ms;
    }
    assert_true(answer_ms * 2 < took);
    assert_true(took >= f->o.interval_ms / 3);
}

static void test_limits(void **state)
{
    fixture_t *f = *state;
    int i;

    f->o.max_lines = 300;
    f->o.max_bytes = 250 * LINE_BYTES + 7;
    append(f, 1000);
    begin(f);
    deliver(f);
    assert_int_equal(stored(f), 1000);
    for (i = 0; i < writes(f); i++) {
        assert_in_range(body(f, i).lines, 1, 250);
    }
    assert_int_equal(body(f, 0).lines, 250);
    end_monitor(f);

    f->o.max_lines = 77;
    append(f, 1000);
    begin(f);
    deliver(f);
    for (; i < writes(f); i++) {
        assert_in_range(body(f, i).lines, 1, 77);
    }
    end_monitor(f);

    f->o.max_bytes = LINE_BYTES - 1; /* a line goes alone then */
    append(f, 3);
    begin(f);
    deliver(f);
    assert_int_equal(stored(f), 2003);
    assert_int_equal(writes(f), i + 3);
    assert_int_equal(body(f, i).lines, 1);
}

/* No tick is needed when a body is full or half of the buffer is. */
static void test_early(void **state)
{
    fixture_t *f = *state;

    f->o.interval_ms = 3600000;
    f->o.max_lines = 1024;
    begin(f);
    append(f, 1024); /* the last segment is not sealed */
    imx_monitor_step(f->m);
    assert_int_equal(sealed(f), 768);
    append(f, 1);
    UNTIL(fate(f, IMX_BATCH_SENT) == 1024);
    assert_int_equal(body(f, 0).lines, 1024);
    end_monitor(f);

    f->o.max_lines = 100000;
    f->o.max_bytes = 1024 * LINE_BYTES;
    begin(f);
    append(f, 1024);
    UNTIL(fate(f, IMX_BATCH_SENT) == 2048);
    assert_int_equal(writes(f), 2);
    end_monitor(f);

    f->o.max_bytes = 1 << 30;
    begin(f);
    append(f, 256 * 62); /* the 63rd is begun already */
    imx_monitor_step(f->m);
    assert_int_equal(sealed(f), 256 * 62);
    append(f, 512);
    UNTIL(fate(f, IMX_BATCH_SENT) == 2048 + 256 * 64);
    assert_int_equal(pending(f), 1);
}

/* A busy child whose segments are full all the time must not keep the tick
 * from coming to the lines of a quiet one. */
static void test_no_starving(void **state)
{
    fixture_t *f = *state;
    int i, stored_at = 0, quiet = second_child(f);

    f->o.max_lines = 1000000;
    begin(f);
    append(f, 300);
    tick(f);
    UNTIL(writes(f) == 1);
    append_to(f, &f->child[quiet], 1); /* number 300 */
    append(f, 1);
    for (i = 1; i <= 145; i++) {
        append(f, 256); /* there is always a full segment */
        later(f, 20);
        imx_monitor_step(f->m);
        imx_monitor_wait(f->m, 5);
        if (stored_at == 0 && stored_times(f, 300)) {
            stored_at = i;
        }
    }
    assert_in_range(stored_at, 1, 120);
    assert_true(writes(f) <= 10); /* some a tick, not one a segment */
    deliver(f);
    assert_int_equal(stored_again(f), 0);
}

/* Sealing eats segments, so it waits for a tick that can send. */
static void test_no_seal_in_backoff(void **state)
{
    fixture_t *f = *state;
    int n;
    uint64_t filling;

    refuse(f, 503, "", "busy");
    begin(f);
    append(f, 10);
    tick(f);
    until_refused(f, 1, 10);
    append(f, 1);
    filling = current(f, 0);
    for (n = 1; n <= 6; n++) {
        ms_to_retry(f, 100, 31000);
        until_refused(f, n + 1, 10);
        append(f, 1);
        assert_true(current(f, 0) == filling);
    }
    heal(f);
    later(f, 31000);
    UNTIL(stored(f) >= 10);
    deliver(f);
    assert_int_equal(stored(f), 17);
}

static const char *fault_point;
static int fault_visits;

static void die_at(const char *point)
{
    if (strcmp(point, fault_point) == 0 && --fault_visits == 0) {
        raise(SIGKILL);
    }
}

static uint64_t spooled(fixture_t *f)
{
    imx_board_t d = imx_board_told(&f->arena.board);

    return fate(f, IMX_BATCH_SPOOLED) + d.spool_found - d.spool_delivered
           - d.spool_rejected - d.spool_dropped;
}

static void deliver_all(fixture_t *f, imx_monitor_t *m)
{
    int64_t limit = real_ms() + LIMIT_MS;

    while ((pending(f) > 0 || imx_board_told(&f->arena.board).spool_lines > 0)
           && real_ms() < limit) {
        imx_monitor_wait(m, imx_monitor_step(m));
    }
}

/* A process with a monitor works until it is killed, or has done it all. */
static void work_until_killed(fixture_t *f,
                              void (*work)(fixture_t *f, imx_monitor_t *m),
                              const char *point, int visits)
{
    imx_monitor_t *m;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(TEST_LIMIT);
        f->o.child = &f->child[1];
        f->o.now = NULL;
        join_here(f->o.child, &f->arena);
        m = imx_monitor_create(&f->o);
        fault_point = point;
        fault_visits = visits;
        imx_fault = die_at;
        work(f, m);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void spool_all(fixture_t *f, imx_monitor_t *m)
{
    (void)f;
    imx_monitor_end_server(m);
}

/* Whoever is killed, where and when: each line is stored, and counted once. */
static void test_kill_while_spooling(void **state)
{
    static const char *const points[] = { "counted", "told", "turned" };
    fixture_t *f = *state;
    char dir[64];
    int i, lines = 0;

    snprintf(dir, sizeof dir, "%s/spool", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    f->o.spool_dir = dir;
    f->o.interval_ms = 50;
    f->o.max_lines = 300; /* three files a round */
    for (i = 0; i < 27; i++, lines += 1300) {
        imx_board_t d;

        append(f, 1300);
        refuse(f, 503, "Retry-After: 0\r\n", "full");
        work_until_killed(f, spool_all, points[i % 3], 1 + i / 3);
        heal(f);
        work_until_killed(f, deliver_all, points[i / 3 % 3], 1 + i / 2);
        f->o.now = NULL;
        f->m = make_monitor(f);
        deliver_all(f, f->m);
        end_monitor(f);
        assert_int_equal(pending(f) + spooled(f), 0);
        assert_int_equal(stored(f), lines + 1300);
        d = imx_board_told(&f->arena.board);
        assert_int_equal(fate(f, IMX_BATCH_SENT) + d.spool_delivered,
                         lines + 1300);
        assert_int_equal(d.spool_dropped + d.spool_found + d.spool_twice, 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* The spool is another one after a restart: what is in the one before arrives,
 * and nothing is added there. */
static void test_spools_before(void **state)
{
    fixture_t *f = *state;
    char dirs[3][64];
    int i;

    f->o.now = NULL;
    f->o.interval_ms = 50;
    refuse(f, 503, "Retry-After: 0\r\n", "full");
    for (i = 0; i < 3; i++) {
        snprintf(dirs[i], sizeof dirs[i], "%s/spool%d", f->dir, i);
        assert_int_equal(mkdir(dirs[i], 0700), 0);
        append(f, 700);
        f->o.spool_dir = i < 2 ? dirs[i] : NULL;
        f->o.spool_before[0] = i > 0 ? dirs[i - 1] : NULL;
        f->o.spool_before[1] = i > 1 ? dirs[0] : NULL;
        f->m = make_monitor(f);
        imx_monitor_end_server(f->m);
        end_monitor(f);
    }
    assert_int_equal(spooled(f), 1400);
    assert_int_equal(pending(f), 700);
    assert_int_equal(imx_board_told(&f->arena.board).spool_lines, 1400);
    heal(f);
    f->m = make_monitor(f);
    deliver_all(f, f->m);
    end_monitor(f);
    assert_int_equal(stored(f), 2100);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(imx_board_told(&f->arena.board).spool_delivered, 1400);
    for (i = 0; i < 3; i++) {
        assert_int_equal(rmdir(dirs[i]), 0);
    }
}

/* A spool that is smaller than a body gets files that fit into it.  What has no
 * room there is counted, and the log tells of all of it. */
static void test_small_spool(void **state)
{
    fixture_t *f = *state;
    uint64_t dropped, sum;
    char dir[64];

    snprintf(dir, sizeof dir, "%s/spool", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    f->o.spool_dir = dir;
    f->o.spool_max = 1 << 20;
    refuse(f, 503, "Retry-After: 0\r\n", "full");
    append(f, 25000);
    f->m = make_monitor(f);
    imx_monitor_end_server(f->m);
    end_monitor(f);
    assert_int_equal(pending(f), 0);
    assert_in_range(spooled(f), 5000, (1 << 20) / LINE_BYTES);
    dropped = imx_board_told(&f->arena.board).spool_dropped;
    assert_int_equal(dropped, 25000 - spooled(f));
    assert_int_equal(logged(f, "IMX0050"), 0);
    assert_int_equal(logged(f, "IMX0055"), 1);
    heal(f);
    begin(f);
    UNTIL((later(f, 10), spooled(f) == 0));
    later(f, 61000);
    imx_monitor_step(f->m);
    end_monitor(f);
    assert_int_equal(logged_sum(f, "IMX0055", &sum), 2);
    assert_int_equal(sum, dropped);
    assert_int_equal(stored(f), 25000 - dropped);
    assert_int_equal(rmdir(dir), 0);
}

/* A former spool is removed when it is empty: nobody complains.  A file that
 * somebody brings to the one in use is delivered, though nothing else is. */
static void test_spools_by_hand(void **state)
{
    fixture_t *f = *state;
    char old[64], new[64], path[128], line[LINE_BYTES + 1];
    FILE *file;

    snprintf(old, sizeof old, "%s/old", f->dir);
    snprintf(new, sizeof new, "%s/new", f->dir);
    assert_int_equal(mkdir(old, 0700), 0);
    assert_int_equal(mkdir(new, 0700), 0);
    f->o.spool_dir = new;
    f->o.spool_before[0] = old;
    begin(f);
    append(f, 1);
    deliver(f);
    assert_int_equal(rmdir(old), 0);
    snprintf(path, sizeof path, "%s/0000000000000000001-00000000-000001.lp",
             new);
    file = fopen(path, "w");
    assert_non_null(file);
    make_line(line, LINES - 1, 0);
    assert_int_equal(fputs(line, file) < 0 || fclose(file) != 0, 0);
    UNTIL((later(f, 10), stored(f) == 2));
    UNTIL(access(path, F_OK) != 0);
    end_monitor(f);
    begin(f);
    append(f, 1);
    deliver(f);
    end_monitor(f);
    assert_int_equal(logged(f, "IMX0050"), 0);
    assert_int_equal(imx_board_told(&f->arena.board).spool_found, 1);
    assert_int_equal(rmdir(new), 0);
}

static int has_room(fixture_t *f)
{
    imx_batch_level_t level = imx_batch_level(&f->arena.batch);

    return level.free_segments > level.segments / 16;
}

/* A graceful restart while InfluxDB does not answer: the old holder keeps the
 * lease until its body is over, and the lines go to the spool meanwhile, a file
 * after the other.  The clock stands still, so nothing is given up for that the
 * disk is slow. */
static void test_superseded_spools(void **state)
{
    fixture_t *f = *state;
    char dir[64];
    int i;

    snprintf(dir, sizeof dir, "%s/spool", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    f->o.spool_dir = dir;
    f->o.waits_for_disk = 0;
    f->o.max_lines = 1000;
    hang(f);
    append(f, 10);
    begin(f);
    /* The tick moves the clock by a second, which is too long for opening. */
    UNTIL(imx_board_told(&f->arena.board).spools[0].is_known);
    tick(f);
    UNTIL(writes(f) == 1);
    imx_children_new_epoch(&f->arena.children);
    second_child(f);
    for (i = 0; i < 150; i++) { /* almost twice what there is room for */
        append(f, 100);
        UNTIL(has_room(f));
    }
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    assert_int_equal(fate(f, IMX_BATCH_DROPPED), 0);
    assert_int_equal(atomic_load(&f->shared->refused), 0);
    assert_true(fate(f, IMX_BATCH_SPOOLED) >= 5000);
    end_monitor(f);
    heal(f);
    f->o.child = &f->child[1];
    begin(f);
    UNTIL((later(f, 10), pending(f) == 0 && spooled(f) == 0));
    end_monitor(f);
    assert_int_equal(stored(f), 15010);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- bodies where answers are slow ---- */

/* A body is under way, and lines come meanwhile. */
static void answer_slowly(fixture_t *f, int lines, int ms)
{
    int before = writes(f);

    SET(f, holds, 1);
    later(f, 1000);
    UNTIL(writes(f) > before);
    append(f, lines);
    later(f, ms);
    imx_monitor_step(f->m);
    SET(f, holds, 0);
    UNTIL(held(f) == 0 && writes(f) > before);
}

/* An answer can take a second, so what is left of a load goes together with
 * what came since, never alone. */
static void test_no_rest_alone(void **state)
{
    fixture_t *f = *state;
    int i;

    f->o.max_lines = 1000;    /* segments have 256 */
    f->o.interval_ms = 10000; /* no answer takes as long */
    begin(f);
    append(f, 1100);
    for (i = 0; i < 5; i++) {
        answer_slowly(f, 1100, 500);
    }
    deliver(f);
    assert_int_equal(stored(f), 6600);
    assert_int_equal(stored_again(f), 0);
    for (i = 0; i + 1 < writes(f); i++) {
        assert_int_equal(body(f, i).lines, 1000);
    }
    assert_int_equal(writes(f), 7);
}

/* Where answers take as long as an interval, a second body is on its way
 * meanwhile, if there is a whole one; each has its own account. */
static void test_two_bodies(void **state)
{
    fixture_t *f = *state;
    standin_t *second = standin_beside(f->server);
    int i;

    f->o.max_lines = 1000;
    begin(f);
    append(f, 900);
    for (i = 0; i < 4; i++) { /* learns that they do */
        answer_slowly(f, 900, 3000);
    }
    UNTIL(!is_sending(f));
    assert_int_equal(held_most(f), 1);
    SET(f, holds, 1);
    append(f, 4000);
    later(f, 1000);
    UNTIL(held(f) == 2);
    assert_true(imx_board_told(&f->arena.board).under_way == 2000);
    SET(f, holds, 0);
    UNTIL(pending(f) < 1000);
    deliver(f);
    assert_int_equal(held_most(f), 2);
    assert_int_equal(stored(f), 900 * 5 + 4000);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 900 * 5 + 4000);

    /* One of the two fails: nothing goes twice, nothing is lost. */
    for (i = 0; i < 4; i++) {
        append(f, 500);
        answer_slowly(f, 100, 3000);
    }
    SET(f, holds, 1);
    then(f, 1, STANDIN_ANSWER, http(f, 503, "", "busy"));
    append(f, 3000);
    later(f, 1000);
    UNTIL(held(f) == 2);
    SET(f, holds, 0);
    UNTIL(held(f) == 0 && logged(f, "IMX0020") == 1);
    later(f, 31000);
    UNTIL(pending(f) == 0 || (later(f, 1000), 0));
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(stored(f), atomic_load(&f->shared->next));
    end_monitor(f);
    standin_stop(second);
}

static int reports, has_news;

static void report(void *context)
{
    reports++;
    if (has_news) {
        has_news = 0;
        append(context, 1);
    }
}

static void report_end(void *context)
{
    append(context, 1);
}

/* The holder is asked in each step, between ticks too and while InfluxDB takes
 * nothing; what is reported goes with the tick of the same step.  The last
 * words go with the last delivery. */
static void test_report(void **state)
{
    fixture_t *f = *state;

    f->o.report = report;
    f->o.report_end = report_end;
    f->o.report_context = f;
    reports = 0;
    begin(f);
    imx_monitor_step(f->m);
    assert_int_equal(reports, 2);
    has_news = 1;
    tick(f);
    UNTIL(stored(f) == 1);
    reports = 0;
    then(f, 1, STANDIN_ANSWER, http(f, 503, "", "busy"));
    has_news = 1;
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    imx_monitor_step(f->m);
    assert_true(reports >= 2);
    imx_monitor_finish(f->m);
    assert_int_equal(stored(f), 3);
}

/* ---- a process that undoes what the holder does ---- */

static fixture_t *undone;

/* A segment that becomes free is sealed again, with a line that is none. */
static void seal_again(const char *point)
{
    const imx_batch_t *b = &undone->arena.batch;
    uint32_t i, n = strcmp(point, "settled") == 0 ? b->geometry.segments : 0;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&b->segments[i].word);

        if (state_of(word) == FREE) {
            word += (UINT64_C(1) << LINES_SHIFT) + 10;
            atomic_store(&b->segments[i].word, with_state(word, SEALED));
            atomic_store(&b->marks[i / (64 * 64)], UINT64_MAX);
        }
    }
}

/* The step ends all the same, and what is undone no more is put right. */
static void step_undone(fixture_t *f)
{
    undone = f;
    alarm(TEST_LIMIT);
    imx_fault = seal_again;
    tick(f);
    UNTIL(fate(f, IMX_BATCH_TORN) > f->arena.batch.geometry.segments);
    imx_fault = NULL;
    alarm(0);
    heal(f);
    later(f, 3600000);
    deliver(f);
    atomic_store(&f->shared->next,
                 (uint32_t)imx_batch_totals(&f->arena.batch).recorded);
}

static void test_undone_sends(void **state)
{
    fixture_t *f = *state;

    begin(f);
    append(f, 1);
    step_undone(f);
    assert_int_equal(stored(f), 1);
}

static void test_undone_room(void **state)
{
    fixture_t *f = *state;

    refuse(f, 503, "Retry-After: 3600\r\n", "full");
    begin(f);
    append(f, 10);
    tick(f);
    until_refused(f, 1, 10);
    append(f, 64 * 128 - 10);
    step_undone(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_rest_alone),
        TEST(test_two_bodies),
        TEST(test_report),
        TEST(test_tick),
        TEST(test_phase),
        TEST(test_order),
        TEST_LARGE(test_pieces),
        TEST_LARGE(test_pieces_next_holder),
        TEST_LARGE(test_pieces_many),
        TEST_LARGE(test_pieces_answer),
        TEST(test_limits),
        TEST(test_early),
        TEST(test_no_starving),
        TEST(test_no_seal_in_backoff),
        TEST(test_spools_before),
        TEST(test_small_spool),
        TEST_SMALL(test_superseded_spools),
        TEST(test_spools_by_hand),
        TEST(test_undone_sends),
        TEST_SMALL(test_undone_room),
        TEST(test_kill_while_spooling),
    };

    return run_delivery_tests("holder", tests, sizeof tests / sizeof tests[0],
                              1);
}
