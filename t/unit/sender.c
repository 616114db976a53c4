/*
 * t/unit/sender.c: one load on its way: each answer, and what becomes
 * of each line; step by step with a clock of our own, against the stand-in
 * server (delivery.h).
 */
#define _GNU_SOURCE
#include "delivery.h"

#include "shared/fault.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_sent(void **state)
{
    fixture_t *f = *state;

    begin(f);
    append(f, 10);
    deliver(f);
    append(f, 10);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 20);
    assert_int_equal(stored(f), 20);
    assert_int_equal(writes(f), 2);
    assert_int_equal(f->log_count, 1); /* who delivers */
}

static void test_partial(void **state)
{
    fixture_t *f = *state;

    refuse(f, 400, "",
           "{\"error\":\"partial write: unable to parse 'x': y "
           "dropped=6\"}");
    begin(f);
    append(f, 600); /* more than two segments */
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 7);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 593);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 7 points for good");
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "unable to parse 'x': y");

    refuse(f, 500, "", "field type conflict dropped=9999");
    append(f, 5);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 12);
    assert_int_equal(writes(f), 2);
}

/* Not said how many: every half says it of itself. */
static void test_partial_uncounted(void **state)
{
    fixture_t *f = *state;

    then(f, 1, STANDIN_ANSWER, http(f, 422, "", "partial write"));
    then(f, 1, STANDIN_ANSWER, OK_204);
    then(f, 2, STANDIN_ANSWER, http(f, 422, "", "partial write"));
    begin(f);
    append(f, 4);
    deliver(f);
    assert_int_equal(writes(f), 5); /* 4: no, 2: yes, 2: no, 1: no, 1 */
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 1);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 3);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "n=0000000002i");
}

static void poison_some(fixture_t *f, uint32_t first, uint32_t bad, int lines)
{
    f->poison = atomic_load(&f->shared->next) + first;
    f->poison_count = bad;
    append(f, lines);
}

/* How many were refused is told, which ones is not: one is looked for, by
 * sending halves again, but not more than once a minute. */
static void test_search(void **state)
{
    static const uint32_t places[] = { 0, 9999, 7500, 4999, 5000 };
    fixture_t *f = *state;
    char name[32];

    SET(f, partial, 1);
    begin(f);
    for (size_t i = 0; i < 5; i++) {
        int before = writes(f);

        poison_some(f, places[i] / (i ? 10 : 1), 1, i ? 1000 : 10000);
        snprintf(name, sizeof name, "n=%010" PRIu32 "i", f->poison);
        deliver(f);
        assert_in_range(writes(f) - before, 2, 1 + 15);
        assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 1 points");
        assert_says(f, "IMX0022", IMX_LOG_ERROR, name);
        assert_says(f, "IMX0022", IMX_LOG_ERROR, "field type conflict");
        assert_int_equal(logged(f, "IMX0022"), i + 1);
        assert_int_equal(fate(f, IMX_BATCH_REJECTED), i + 1);
        later(f, 61000);
        before = writes(f);
    }
    deliver(f);
    poison_some(f, 3, 2, 100);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 7);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 2 points");
    for (int i = 0; i < 50; i++) { /* within the minute: counted only */
        int before = writes(f);

        poison_some(f, 3, 2, 100);
        deliver(f);
        assert_int_equal(writes(f) - before, 1);
    }
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 107);
    assert_int_equal(stored(f), atomic_load(&f->shared->next) - 107);
    assert_int_equal(logged(f, "IMX0022"), 6);
    later(f, 61000);
    imx_monitor_step(f->m);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 100 points");
}

/* InfluxDB's own words name the field: no line that is stored goes again. */
static void test_no_search_for_a_field(void **state)
{
    fixture_t *f = *state;
    char name[32];

    refuse(f, 400, "",
           "{\"error\":\"partial write: field type conflict: input field "
           "\\\"n\\\" on measurement \\\"raw-requests\\\" is type integer, "
           "already exists as type float dropped=1\"}\n");
    begin(f);
    snprintf(name, sizeof name, "n=%010" PRIu32 "i",
             atomic_load(&f->shared->next));
    append(f, 1000);
    deliver(f);
    assert_int_equal(writes(f), 1);
    assert_int_equal(imx_board_told(&f->arena.board).repeated, 0);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 1);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, name);
}

/* Something else happens while it looks: the figures stay right. */
static void test_search_disturbed(void **state)
{
    fixture_t *f = *state;
    int i;

    begin(f);
    for (i = 0; i < 5; i++) {
        say(f, STANDIN_ANSWER, NULL);
        SET(f, partial, 1);
        poison_some(f, 900, 1, 1000);
        tick(f);
        UNTIL(writes(f) >= 1 && f->store.lines % 1000 != 0);
        switch (i) {
        case 0:
            say(f, STANDIN_CLOSE, "");
            break;
        case 1:
            refuse(f, 503, "", "busy");
            break;
        case 2:
            refuse(f, 405, "", "not here");
            break;
        case 3:
            refuse(f, 413, "", "long");
            break;
        case 4:
            end_monitor(f);
            begin(f);
            tick(f);
            break;
        }
        later(f, 1);
        UNTIL(pending(f) == 0 || i == 4);
        heal(f);
        later(f, 61000);
        UNTIL(pending(f) == 0);
        assert_int_equal(fate(f, IMX_BATCH_REJECTED), i + 1);
        assert_int_equal(fate(f, IMX_BATCH_SENT), 999 * (i + 1));
        assert_int_equal(stored(f), 999 * (i + 1));
        later(f, 61000);
        SET(f, writes, 0);
        SET(f, lines, f->store.lines - f->store.again);
        SET(f, again, 0);
    }
}

/* What InfluxDB asks for meanwhile holds for the next body, too. */
static void test_search_asked_to_wait(void **state)
{
    fixture_t *f = *state;

    then(f, 1, STANDIN_ANSWER,
         http(f, 422, "", "field type conflict dropped=1"));
    then(f, 1, STANDIN_ANSWER, http(f, 503, "Retry-After: 100\r\n", "busy"));
    begin(f);
    append(f, 4);
    tick(f);
    UNTIL(fate(f, IMX_BATCH_REJECTED) == 1);
    assert_int_equal(writes(f), 2);
    assert_in_range(imx_board_told(&f->arena.board).pace.not_before,
                    f->now + 90000 * MS, f->now + 100000 * MS);
    append(f, 10);
    later(f, 101000);
    UNTIL(pending(f) == 0);
    assert_int_equal(writes(f), 3);
}

/* The lease is given up while it looks: InfluxDB has said what became of the
 * lines, so none of them goes again. */
static void test_search_cut_off(void **state)
{
    fixture_t *f = *state;
    int n;

    SET(f, partial, 1);
    begin(f);
    poison_some(f, 900, 1, 1000);
    tick(f);
    UNTIL(writes(f) >= 2); /* all of them, and a half */
    end_monitor(f);
    assert_int_equal(pending(f), 0);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 1);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 999);
    n = writes(f);
    begin(f);
    tick(f);
    assert_int_equal(writes(f), n);
}

/* InfluxDB 3 names lines by number, and no more than 100 of them. */
static void test_v3_partial(void **state)
{
    fixture_t *f = *state;
    char name[32];

    f->o.influx.api = IMX_INFLUX_V3;
    SET(f, partial, 3);
    begin(f);
    poison_some(f, 7777, 1, 10000);
    snprintf(name, sizeof name, "n=%010" PRIu32 "i", f->poison);
    deliver(f);
    assert_int_equal(writes(f), 1); /* no search */
    assert_says(f, "IMX0022", IMX_LOG_ERROR, name);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 1);
    poison_some(f, 500, 250, 1000);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 251);
    poison_some(f, 0, 100, 100); /* all of them, and no more than that */
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 351);
    assert_int_equal(stored(f), 11100 - 351);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 11100 - 351);
}

static void test_rejected(void **state)
{
    fixture_t *f = *state;

    char all[600 * 24] = "", *to = all;

    for (int i = 0; i < 600; i++) { /* each line is named */
        to = stpcpy(to,
                    i ? "\nunable to parse 'x': y" : "unable to parse 'x': y");
    }
    refuse(f, 400, "", all);
    begin(f);
    append(f, 600);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 600);
    assert_int_equal(writes(f), 1);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "600 points for good");
    heal(f);
    append(f, 5);
    deliver(f);
    assert_int_equal(stored(f), 5);
}

static int bisect(fixture_t *f, uint32_t first, uint32_t bad, int lines)
{
    int before = writes(f);
    uint64_t sent = fate(f, IMX_BATCH_SENT);
    uint64_t rejected = fate(f, IMX_BATCH_REJECTED);

    f->poison = atomic_load(&f->shared->next) + first;
    f->poison_count = bad;
    append(f, lines);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED) - rejected, bad);
    assert_int_equal(fate(f, IMX_BATCH_SENT) - sent, (uint32_t)lines - bad);
    assert_int_equal(stored(f), fate(f, IMX_BATCH_SENT));
    assert_int_equal(stored_again(f), 0);
    return writes(f) - before;
}

static void test_malformed(void **state)
{
    static const uint32_t places[] = { 0, 9999, 7500 };
    fixture_t *f = *state;
    int n;

    SET(f, picky, 1);
    begin(f);
    for (size_t i = 0; i < 3; i++) {
        n = bisect(f, places[i], 1, 10000);
        print_message("# line %" PRIu32 " of 10000 is bad: %d requests\n",
                      places[i], n);
        assert_in_range(n, 2, 50);
        if (i == 0) {
            assert_says(f, "IMX0022", IMX_LOG_ERROR, "process=poison");
            assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 1 points");
            assert_says(f, "IMX0022", IMX_LOG_ERROR, "unable to parse");
        }
    }
    assert_int_equal(bisect(f, 0, 1, 1), 1);
    n = bisect(f, 40, 100, 300);
    print_message("# 100 of 300 lines are bad: %d requests\n", n);
    assert_in_range(n, 100, 300);
    assert_int_equal(bisect(f, 0, 0, 300), 1); /* all is well again */
}

/* Refused, and nobody says that it was for a line: all the same the others
 * must not go with it.  When it is the request, that is soon enough seen. */
static void test_refused_somehow(void **state)
{
    fixture_t *f = *state;
    int n;

    SET(f, picky, 2);
    begin(f);
    assert_in_range(bisect(f, 7500, 1, 10000), 2, 50);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "I do not fancy");
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "process=poison");
    refuse(f, 400, "", "this is no place for you");
    n = writes(f);
    append(f, 10000);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 10001);
    assert_in_range(writes(f) - n, 900, 1200);
    heal(f);
    append(f, 10);
    deliver(f);
    assert_int_equal(stored(f), 9999 + 10);
}

/* InfluxDB 3 behind an older API refuses a whole body for one line, in words
 * that change.  Each part that is taken says that it was not the request. */
static void test_refused_here_and_there(void **state)
{
    fixture_t *f = *state;
    int i;

    SET(f, picky, 2);
    begin(f);
    for (i = 0; i < 200; i++) {
        poison_some(f, 7, 1, 15);
    }
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 200);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 2800);
    assert_int_equal(stored(f), 2800);
    assert_int_equal(stored_again(f), 0);
    assert_in_range(writes(f), 600, 2400);
}

/* The way is so slow that a whole body cannot pass within the time limit. */
static void test_slow_way(void **state)
{
    fixture_t *f = *state;
    int i, n;

    f->o.influx.total_timeout_ms = 1000;
    standin_slow(f->server, 600); /* bytes a ms, at most */
    run_clock(f);
    begin(f);
    append(f, 6000); /* 720 KB */
    tick(f);
    UNTIL((later(f, 50), pending(f) == 0));
    assert_int_equal(stored(f), 6000);
    assert_in_range(logged(f, "IMX0020"), 1, 5);
    assert_int_equal(logged(f, "IMX0021"), logged(f, "IMX0020"));
    assert_int_equal(logged(f, "IMX0024"), 0);
    standin_slow(f->server, 0);
    for (i = n = 0; i < 30 && n != 1; i++) { /* the machine may be busy */
        n = writes(f);
        append(f, 1000);
        deliver(f);
        n = writes(f) - n;
    }
    assert_int_equal(n, 1);
    for (i = n = 0; i < 5 && n != 1; i++) {
        n = writes(f);
        append(f, 5000);
        deliver(f);
        n = writes(f) - n;
    }
    assert_int_equal(n, 1);
}

static void test_too_large(void **state)
{
    fixture_t *f = *state;
    char line[600];
    int n, i;

    SET(f, limit, 50000);
    begin(f);
    append(f, 2000); /* 240,000 bytes */
    deliver(f);
    assert_int_equal(stored(f), 2000);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(logged(f, "IMX0024"), 1);
    assert_says(f, "IMX0024", IMX_LOG_NOTICE, "a body of 240000 bytes");
    assert_says(f, "IMX0024", IMX_LOG_NOTICE, "at most 30000");
    n = writes(f);
    append(f, 2000); /* it remembers */
    deliver(f);
    assert_int_equal(logged(f, "IMX0024"), 1);
    for (i = n; i < writes(f); i++) {
        assert_in_range(body(f, i).bytes, 1, 30000);
    }
    assert_in_range(i - n, 8, 10);

    SET(f, limit, sizeof line - 1); /* not even one of this length */
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    assert_true(imx_batch_append(&f->child[0], line, sizeof line));
    f->shared->next++;
    append(f, 20);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 1);
    assert_int_equal(stored(f), 4020);
}

/* Who takes not even a usual line takes nothing: the points are kept, and the
 * log is not told of a limit. */
static void test_all_too_large(void **state)
{
    fixture_t *f = *state;
    int n;

    SET(f, limit, LINE_BYTES - 1);
    begin(f);
    append(f, 2000);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    assert_says(f, "IMX0020", IMX_LOG_WARNING, "they are kept");
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 0);
    n = writes(f);
    SET(f, limit, 0);
    later(f, 31000);
    deliver(f);
    assert_int_equal(stored(f), 2000);
    assert_int_equal(writes(f) - n, 1);
    assert_int_equal(logged(f, "IMX0024"), 0);
}

/* The same with lines that could be too large: a few are lost, each with its
 * backoff. */
static void test_all_long_too_large(void **state)
{
    fixture_t *f = *state;
    char line[600];
    int i;

    SET(f, limit, LINE_BYTES - 1);
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (i = 0; i < 100; i++) {
        assert_true(imx_batch_append(&f->child[0], line, sizeof line));
        f->shared->next++;
    }
    begin(f);
    tick(f);
    for (i = 1; i < 5; i++) {
        UNTIL(fate(f, IMX_BATCH_REJECTED) == (uint64_t)i && !is_sending(f));
        later(f, 31000);
    }
    assert_int_equal(logged(f, "IMX0020"), 1);
}

/* A limit that goes away is found out, one that stays is seldom asked for. */
static void test_too_large_for_a_while(void **state)
{
    fixture_t *f = *state;
    int n, i, asked = 0;

    SET(f, limit, 2 * LINE_BYTES);
    begin(f);
    append(f, 64);
    deliver(f);
    assert_says(f, "IMX0024", IMX_LOG_NOTICE, "at most 240");
    SET(f, limit, 0);
    for (i = 0; i < 2; i++) { /* minutes */
        later(f, 60000);
        append(f, 1000);
        deliver(f);
    }
    n = writes(f);
    append(f, 1000);
    deliver(f);
    assert_int_equal(writes(f) - n, 1);
    assert_int_equal(logged(f, "IMX0024"), 1);
    assert_int_equal(stored(f), 3064);

    SET(f, limit, 20 * LINE_BYTES);
    for (i = 0; i < 600; i++) { /* ten hours */
        later(f, 60000);
        append(f, 10);
        n = writes(f);
        append(f, 4);
        deliver(f);
        asked += writes(f) - n > 1;
    }
    assert_int_equal(stored(f), 3064 + 8400);
    assert_in_range(asked, 0, 30);
    assert_in_range(logged(f, "IMX0024"), 1, 3);
}

static void write_token(fixture_t *f, const char *token)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    assert_true(fprintf(file, "%s\n", token) > 0);
    assert_int_equal(fclose(file), 0);
}

static void test_unauthorized(void **state)
{
    fixture_t *f = *state;
    int i;

    SET(f, token, "Token new\r\n");
    f->o.influx.token_file = f->path;
    write_token(f, "old");
    begin(f);
    append(f, 10);
    tick(f);
    for (i = 1; i <= 3; i++) {
        until_refused(f, i, 10);
        assert_in_range(ms_to_retry(f, 10, 31000), 1000, 30010);
    }
    until_refused(f, 4, 10);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_says(f, "IMX0020", IMX_LOG_WARNING, f->url);
    unlink(f->path); /* the old one stays */
    ms_to_retry(f, 10, 31000);
    until_refused(f, 5, 10);
    assert_int_equal(logged(f, "IMX0026"), 1);
    assert_says(f, "IMX0026", IMX_LOG_ERROR, f->path);
    assert_says(f, "IMX0026", IMX_LOG_ERROR, "No such file");
    write_token(f, "new");
    ms_to_retry(f, 10, 31000);
    UNTIL(pending(f) == 0); /* at once after the sixth refusal */
    assert_int_equal(writes(f), 7);
    assert_int_equal(stored(f), 10);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_int_equal(logged(f, "IMX0021"), 1);
}

/* No file at the start is a failure like another. */
static void test_no_token_file(void **state)
{
    fixture_t *f = *state;

    f->o.influx.token_file = f->path;
    begin(f);
    append(f, 10);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1); /* a thread of its own reads it */
    assert_says(f, "IMX0020", IMX_LOG_WARNING, f->path);
    write_token(f, "new");
    later(f, 2000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 10);
}

static void test_create(void **state)
{
    fixture_t *f = *state;
    const char *missing = http(f, 404, "", NO_DATABASE);

    SET(f, no_database, 1);
    begin(f);
    append(f, 300);
    deliver(f); /* at once: the clock stands still */
    assert_int_equal(creates(f), 1);
    assert_int_equal(writes(f), 2);
    assert_true(body(f, 0).hash == body(f, 1).hash);
    assert_int_equal(logged(f, "IMX0025"), 1);
    assert_int_equal(logged(f, "IMX0020"), 0);
    SET(f, no_database, 1); /* somebody dropped it */
    append(f, 300);
    deliver(f);
    assert_int_equal(creates(f), 2);
    assert_int_equal(stored(f), 600);
    assert_int_equal(stored_again(f), 0);
    then(f, 1, STANDIN_ANSWER, missing);
    then(f, 1, STANDIN_ANSWER,
         http(f, 400, "",
              "partial write: unable to "
              "parse 'x': y dropped=0"));
    then(f, 1, STANDIN_ANSWER, missing);
    append(f, 3);
    deliver(f);
    append(f, 300);
    deliver(f);                      /* a partial write tells as well that */
    assert_int_equal(creates(f), 4); /* it had been there */
    assert_int_equal(logged(f, "IMX0025"), 1); /* it is told once a minute */
}

/* What is missing is not what a CREATE DATABASE makes. */
static void test_create_in_vain(void **state)
{
    fixture_t *f = *state;
    int i;

    refuse(f, 500, "", "{\"error\":\"retention policy not found: x\"}");
    begin(f);
    append(f, 10);
    tick(f);
    for (i = 2; i <= 12; i++) {
        until_refused(f, i, 10);
        assert_in_range(ms_to_retry(f, 10, 31000), 1000, 30010);
    }
    assert_int_equal(creates(f), 1);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_int_equal(logged(f, "IMX0025"), 1);
    until_refused(f, i, 10);
    heal(f);
    ms_to_retry(f, 10, 31000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 10);
}

static void test_create_refused(void **state)
{
    fixture_t *f = *state;

    SET(f, no_database, 1);
    SET(f, may_create, 0);
    begin(f);
    append(f, 10);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    assert_says(f, "IMX0020", IMX_LOG_WARNING, "admin?");
    assert_int_equal(writes(f), 1);
    assert_int_equal(creates(f), 1);
    assert_in_range(ms_to_retry(f, 10, 31000), 1000, 2010);
    UNTIL(creates(f) == 2);
    assert_int_equal(logged(f, "IMX0025"), 0);
    SET(f, may_create, 1);
    UNTIL((later(f, 100), pending(f) == 0));
    assert_int_equal(stored(f), 10);
}

static void test_no_create(void **state)
{
    fixture_t *f = *state;
    int i;

    for (i = 1; i <= 2; i++) {
        SET(f, no_database, 1);
        f->o.create_database = i == 2;
        f->o.influx.api = i == 2 ? IMX_INFLUX_V2 : IMX_INFLUX_V1;
        begin(f);
        append(f, 10);
        tick(f);
        until_refused(f, 2 * i - 1, 10);
        SET(f, no_database, 0);
        assert_in_range(ms_to_retry(f, 10, 31000), 1000, 2010);
        UNTIL(pending(f) == 0);
        end_monitor(f);
    }
    assert_int_equal(creates(f), 0);
    assert_int_equal(stored(f), 20);
}

static void test_retry_after(void **state)
{
    fixture_t *f = *state;
    int n;

    refuse(f, 503, "Retry-After: 7\r\n", "busy");
    begin(f);
    append(f, 10);
    tick(f);
    for (n = 1; n <= 3; n++) {
        until_refused(f, n, 10);
        assert_in_range(ms_to_retry(f, 5, 8000), 7000, 7005);
    }
    until_refused(f, n, 10);
    refuse(f, 429, "Retry-After: 40000\r\n", "much later");
    ms_to_retry(f, 5, 8000);
    until_refused(f, ++n, 10);
    heal(f);
    assert_in_range(ms_to_retry(f, 1000, 4000000), 3600000, 3601000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 10);
}

static void test_backoff(void **state)
{
    static const int64_t most[] = { 2000, 4000, 8000, 16000, 30000 };
    fixture_t *f = *state;
    int64_t ms, least_seen = INT64_MAX, most_seen = 0;
    int n;

    refuse(f, 503, "", "busy");
    begin(f);
    append(f, 10);
    tick(f);
    for (n = 1; n <= 30; n++) {
        until_refused(f, n, 10);
        ms = ms_to_retry(f, 5, 40000);
        assert_in_range(ms, 1000, most[n < 5 ? n - 1 : 4] + 5);
        if (n >= 5) {
            least_seen = ms < least_seen ? ms : least_seen;
            most_seen = ms > most_seen ? ms : most_seen;
        }
    }
    assert_true(most_seen - least_seen > 8000);
    until_refused(f, n, 10);
    heal(f);
    ms_to_retry(f, 5, 40000);
    UNTIL(pending(f) == 0);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_int_equal(logged(f, "IMX0021"), 1);
    refuse(f, 502, "", "busy"); /* starts small again */
    append(f, 10);
    tick(f);
    until_refused(f, n + 2, 10);
    assert_in_range(ms_to_retry(f, 5, 40000), 1000, 2005);
}

/* A proxy may say 502 for a body that is too large, and for ever. */
static void test_gateway(void **state)
{
    fixture_t *f = *state;
    int n;

    refuse(f, 502, "", "no answer");
    begin(f);
    append(f, 2000); /* 240,000 bytes */
    tick(f);
    for (n = 0; n < 2; n++) {
        until_refused(f, n + 1, 2000);
        assert_in_range(body(f, n).bytes, 240000 / (n + 1) - 2 * LINE_BYTES,
                        240000 / (n + 1));
        ms_to_retry(f, 10, 5000);
    }
    heal(f);
    ms_to_retry(f, 10, 9000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 2000);
}

/* Stored or not, nobody knows: the same bytes are sent again. */
static void test_unknown(void **state)
{
    fixture_t *f = *state;

    then(f, 2, STANDIN_CLOSE, "");
    begin(f);
    append(f, 600);
    tick(f);
    until_refused(f, 1, 600);
    assert_in_range(ms_to_retry(f, 5, 3000), 1000, 2005);
    until_refused(f, 2, 600);
    assert_in_range(ms_to_retry(f, 5, 5000), 1000, 4005);
    UNTIL(pending(f) == 0);
    assert_int_equal(writes(f), 3);
    assert_true(body(f, 0).hash == body(f, 1).hash);
    assert_true(body(f, 1).hash == body(f, 2).hash);
    assert_int_equal(body(f, 2).lines, 600);
    assert_int_equal(stored(f), 600);
}

/* A failure in the middle of a segment repeats nothing that InfluxDB has. */
static void test_fail_in_the_middle(void **state)
{
    fixture_t *f = *state;

    f->o.max_lines = 100;
    then(f, 4, STANDIN_ANSWER, OK_204);
    then(f, 1, STANDIN_ANSWER, http(f, 500, "", "oops"));
    begin(f);
    append(f, 1000);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    assert_int_equal(stored(f), 400);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 400);
    later(f, 2000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 1000);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 1000);
    assert_int_equal(stored_again(f), 0);
}

/* ---- what a holder has learned ---- */

static imx_board_t board(fixture_t *f)
{
    return imx_board_told(&f->arena.board);
}

/* Asked to come back in an hour, the server does, whoever delivers. */
static void test_retry_after_for_all(void **state)
{
    fixture_t *f = *state;
    int i;

    refuse(f, 503, "Retry-After: 3600\r\n", "later");
    append(f, 10);
    for (i = 0; i < 5; i++) {
        begin(f);
        later(f, 60000);
        imx_monitor_step(f->m);
        UNTIL(!is_sending(f));
        end_monitor(f);
    }
    assert_int_equal(writes(f), 1);
    later(f, 3600000);
    heal(f);
    begin(f);
    deliver(f);
    assert_int_equal(writes(f), 2);
}

/* The same for the wait that doubles, and for the size of a body. */
static void test_learned_for_all(void **state)
{
    fixture_t *f = *state;
    int i, n;

    refuse(f, 503, "", "later");
    append(f, 10);
    for (i = 0; i < 6; i++) {
        begin(f);
        later(f, 1000);
        UNTIL(writes(f) == i + 1 && sealed(f) == 10);
        assert_int_equal(board(f).pace.backoff_ms, i < 4 ? 2000 << i : 30000);
        end_monitor(f);
        later(f, 30000);
    }
    heal(f);
    SET(f, limit, 50000);
    append(f, 2000);
    begin(f);
    deliver(f);
    end_monitor(f);
    append(f, 2000);
    n = writes(f);
    begin(f);
    deliver(f);
    for (i = n; i < writes(f); i++) {
        assert_in_range(body(f, i).bytes, 1, 50000);
    }
    assert_int_equal(logged(f, "IMX0024"), 1);
}

/* Answers of every kind at random, four of ten of them bad: no line that was
 * acknowledged goes again, and each refused line is counted once. */
static void test_no_line_twice(void **state)
{
    static const char *const bad[] = {
        "HTTP/1.1 413 x\r\nContent-Length: 4\r\n\r\nlong",
        "HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 503 x\r\nRetry-After: 9\r\nContent-Length: 4\r\n\r\noops",
        "HTTP/1.1 401 x\r\nContent-Length: 2\r\n\r\nno",
    };
    fixture_t *f = *state;
    standin_t *second = standin_beside(f->server);
    uint64_t seed = 88172645463325252u;
    int i, holders = 1, waits;

    f->o.max_lines = 100;
    f->poison = 1000;
    f->poison_count = 30;
    SET(f, picky, 1);
    append(f, 4000);
    begin(f);
    tick(f);
    for (i = 0; i < 2000 && pending(f) > 0; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        waits = 0;
        if ((seed >> 33) % 10 < 4) {
            waits = (seed >> 40) % 5 > 0;
            say(f, STANDIN_ANSWER, bad[(seed >> 40) % 5]);
        }
        else {
            heal(f);
        }
        later(f, 31000);
        for (int n = writes(f); writes(f) == n && pending(f) > 0;) {
            later(f, 500);
            imx_monitor_wait(f->m, imx_monitor_step(f->m) > 0 ? 1 : 0);
        }
        if (waits && i % 3 == 0) { /* and whoever delivers */
            UNTIL(board(f).under_way == 0);
            holders++;
            end_monitor(f);
            begin(f);
        }
    }
    heal(f);
    later(f, 31000);
    UNTIL(pending(f) == 0 || (later(f, 100), 0));
    assert_true(holders > 5);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(fate(f, IMX_BATCH_SENT), stored(f));
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 30);
    assert_int_equal(stored(f), 4000 - 30);
    assert_int_equal(board(f).repeated, 0);
    end_monitor(f);
    standin_stop(second);
}

/* Nobody knows whether InfluxDB has them: whoever stores lines twice has at
 * most so many. */
static void test_repeated(void **state)
{
    fixture_t *f = *state;

    say(f, STANDIN_CLOSE, "");
    begin(f);
    append(f, 120);
    tick(f);
    UNTIL(sealed(f) == 120 && writes(f) > 0);
    heal(f);
    later(f, 31000);
    UNTIL(pending(f) == 0);
    assert_in_range(board(f).repeated, 120, 120 * (uint64_t)writes(f));
    assert_int_equal(board(f).repeated % 120, 0);
    assert_int_equal(board(f).under_way, 0);
}

/* A database that is created is no delivery, and one that is not created in
 * time says nothing of the size of bodies. */
static void test_create_hanging(void **state)
{
    fixture_t *f = *state;
    imx_board_t b;

    f->o.influx.total_timeout_ms = 300;
    SET(f, no_database, 1);
    SET(f, holds_creation, 1);
    begin(f);
    append(f, 2000);
    tick(f);
    UNTIL(creates(f) == 1 && logged(f, "IMX0020") == 1);
    b = board(f);
    assert_int_equal(b.last_flush, 0);
    assert_int_equal(b.pace.passes, 0);
    SET(f, holds_creation, 0);
    then(f, 1, STANDIN_ANSWER, http(f, 404, "", NO_DATABASE));
    then(f, 1, STANDIN_ANSWER, http(f, 503, "", "not yet"));
    later(f, 31000);
    UNTIL(creates(f) == 2 && strstr(board(f).last_error, "not yet"));
    assert_int_equal(logged(f, "IMX0025"), 1);
    assert_int_equal(board(f).last_flush, 0);
    later(f, 31000);
    UNTIL(pending(f) == 0);
    assert_true(board(f).last_flush > 0);
}

/* Two servers behind one address, one without the database. */
static void test_create_all_the_time(void **state)
{
    fixture_t *f = *state;
    int i;

    begin(f);
    for (i = 0; i < 40; i++) {
        SET(f, no_database, 1);
        append(f, 10);
        later(f, 1500);
        UNTIL(pending(f) == 0);
    }
    assert_int_equal(creates(f), 40);
    assert_in_range(logged(f, "IMX0025"), 1, 2);
}

/* Why nothing is delivered is on the page, also when InfluxDB was not asked. */
static void test_why_not(void **state)
{
    fixture_t *f = *state;

    f->o.influx.api = IMX_INFLUX_V2;
    f->o.influx.org = "o";
    f->o.influx.bucket = "b";
    f->o.influx.token_file = f->path; /* there is none */
    begin(f);
    append(f, 10);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    assert_non_null(strstr(board(f).last_error, "token"));
    assert_int_equal(board(f).last_flush, 0);
    assert_int_equal(writes(f), 0);
}

/* InfluxDB has the points, and something to say. */
static void test_remark(void **state)
{
    fixture_t *f = *state;
    int i;

    refuse(f, 500, "", "{\"error\":\"hinted handoff queue not empty\"}");
    begin(f);
    for (i = 0; i < 10; i++) {
        append(f, 10);
        deliver(f);
    }
    assert_int_equal(writes(f), 10);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 100);
    assert_int_equal(logged(f, "IMX0082"), 1);
    assert_says(f, "IMX0082", IMX_LOG_WARNING, "hinted handoff");
    assert_int_equal(logged(f, "IMX0020"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_retry_after_for_all),
        TEST(test_learned_for_all),
        TEST(test_no_line_twice),
        TEST(test_repeated),
        TEST(test_create_hanging),
        TEST(test_create_all_the_time),
        TEST(test_why_not),
        TEST(test_remark),
        TEST(test_sent),
        TEST(test_partial),
        TEST(test_partial_uncounted),
        TEST_LARGE(test_search),
        TEST(test_no_search_for_a_field),
        TEST(test_search_disturbed),
        TEST(test_search_asked_to_wait),
        TEST(test_search_cut_off),
        TEST_LARGE(test_v3_partial),
        TEST(test_rejected),
        TEST_LARGE(test_malformed),
        TEST_LARGE(test_refused_somehow),
        TEST(test_refused_here_and_there),
        TEST_LARGE(test_slow_way),
        TEST(test_too_large),
        TEST(test_all_too_large),
        TEST(test_all_long_too_large),
        TEST(test_too_large_for_a_while),
        TEST(test_unauthorized),
        TEST(test_no_token_file),
        TEST(test_create),
        TEST(test_create_in_vain),
        TEST(test_create_refused),
        TEST(test_no_create),
        TEST(test_retry_after),
        TEST(test_backoff),
        TEST(test_gateway),
        TEST(test_unknown),
        TEST(test_fail_in_the_middle),
    };

    return run_delivery_tests("sender", tests, sizeof tests / sizeof tests[0],
                              0);
}
