/*
 * t/unit/verdict.c: what is said of delivery and of the server, in which order,
 * and when it is gone; for snapshots of every kind, hostile ones too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/health.h"
#include "shared/verdict.h"

#include <stdio.h>
#include <string.h>

#define SECOND 1000000000LL

static imx_snapshot_t s;
static imx_verdict_facts_t f;
static imx_verdict_t v;

static int fresh(void **state)
{
    static const imx_verdict_facts_t nothing = {
        .utilization = -1,
        .queue = -1,
        .queue_limit = -1,
        .queued_for = -1,
        .cpu_some = -1,
        .busiest = ""
    };

    (void)state;
    f = nothing;
    memset(&s, 0, sizeof s);
    s.holder = 4711;
    s.now = 1764165747 * SECOND;
    s.made = s.now - 3600 * SECOND;
    s.tick = 1000 * SECOND;
    s.beaten = s.tick;
    s.buffer_size = 32 << 20;
    return 0;
}

static void judge(void)
{
    imx_verdict_of(&v, &s, &f);
    assert_in_range(v.count, 1, IMX_VERDICT_WORDS_MAX - 1);
}

static void says(unsigned i, imx_verdict_level_e level, const char *id,
                 const char *what)
{
    assert_true(i < v.count);
    assert_string_equal(v.words[i].what, what);
    assert_string_equal(v.words[i].id, id);
    assert_int_equal(v.words[i].level, level);
}

/* One sentence, and this word for programs. */
static void is(imx_health_e health, const char *word,
               imx_verdict_level_e level, const char *id, const char *what)
{
    assert_int_equal(imx_health_of(&s), health);
    assert_string_equal(imx_health_word(health), word);
    judge();
    assert_int_equal(v.count, 1);
    says(0, level, id, what);
}

static void todo_has(unsigned i, const char *text)
{
    assert_non_null(strstr(v.words[i].todo, text));
}

#define WELL IMX_VERDICT_WELL
#define WARNING IMX_VERDICT_WARNING
#define CRITICAL IMX_VERDICT_CRITICAL

static void levels(void **state)
{
    (void)state;
    assert_string_equal(imx_verdict_level(WELL), "well");
    assert_string_equal(imx_verdict_level(WARNING), "warning");
    assert_string_equal(imx_verdict_level(CRITICAL), "critical");
}

/* ---- delivery ---- */

static void at_first(void **state)
{
    (void)state;
    is(IMX_HEALTH_WAITING, "waiting", WELL, "",
       "No request has been recorded yet.");
    s.totals.recorded = 1;
    is(IMX_HEALTH_WAITING, "waiting", WELL, "",
       "The first points are on their way to InfluxDB.");
}

static void well(void **state)
{
    (void)state;
    s.told.last_flush = s.now - 2 * SECOND;
    is(IMX_HEALTH_OK, "ok", WELL, "",
       "All is well. InfluxDB took the last points 2 seconds ago.");
}

static void trouble(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    strcpy(s.told.last_error, "field type conflict");
    is(IMX_HEALTH_TROUBLE, "trouble", WARNING, "",
       "InfluxDB works, but its last answer was not good: field type "
       "conflict.");
}

static void outage(void **state)
{
    (void)state;
    s.told.down_since = s.tick - 130 * SECOND;
    s.totals.pending = 118402;
    is(IMX_HEALTH_OUTAGE, "outage", CRITICAL, "IMX0020",
       "InfluxDB has taken no points for 2 minutes 10 seconds: the reason is "
       "not known. Nothing is lost: 118,402 points wait in the buffer.");
    todo_has(0, "Is InfluxDB running");
    strcpy(s.told.last_error, "connection refused");
    s.totals.pending = 1;
    s.totals.fate[IMX_BATCH_SPOOLED] = 1;
    s.totals.no_room = 10;
    s.told.down_lost = 10; /* those were lost before */
    is(IMX_HEALTH_OUTAGE, "outage", CRITICAL, "IMX0020",
       "InfluxDB has taken no points for 2 minutes 10 seconds: connection "
       "refused. Nothing is lost: 1 point waits in the buffer and 1 point in "
       "the spool.");
    s.totals.no_room = 1510;
    is(IMX_HEALTH_OUTAGE, "outage", CRITICAL, "IMX0020",
       "InfluxDB has taken no points for 2 minutes 10 seconds: connection "
       "refused. 1 point waits in the buffer and 1 point in the spool; 1,500 "
       "points were lost meanwhile.");
}

/* 10 MB in 130 s, and 20 MB of 30 left. */
static void when_full(void **state)
{
    (void)state;
    s.told.down_since = s.tick - 130 * SECOND;
    strcpy(s.told.last_error, "connection refused");
    s.totals.pending = 118402;
    s.totals.bytes_used = s.buffer_used = 10 << 20;
    is(IMX_HEALTH_OUTAGE, "outage", CRITICAL, "IMX0020",
       "InfluxDB has taken no points for 2 minutes 10 seconds: connection "
       "refused. Nothing is lost: 118,402 points wait in the buffer, which is "
       "full in about 4 minutes 20 seconds.");
    s.buffer_used = s.buffer_size;
    judge();
    assert_null(strstr(v.words[0].what, "is full"));
    s.buffer_used = 10 << 20;
    f.has_spool = 1; /* that makes room */
    is(IMX_HEALTH_OUTAGE, "outage", CRITICAL, "IMX0020",
       "InfluxDB has taken no points for 2 minutes 10 seconds: connection "
       "refused. Nothing is lost: 118,402 points wait in the buffer and 0 "
       "points in the spool.");
}

static void advice(void **state)
{
    static const struct {
        int64_t status;
        const char *error, *todo;
    } cases[] = {
        { 0, "timeout", "Is InfluxDB running" },
        { 401, "unauthorized", "InfluxMetricsTokenFile" },
        { 403, "forbidden", "InfluxMetricsTokenFile" },
        { 404, "not found", "the directives" },
        { 429, "limit", "look into its log" },
        { 503, "disk is full", "look into its log" },
        { 404, "not found; see InfluxMetricsBucket", "" },
    };
    size_t i;

    (void)state;
    s.told.down_since = s.tick - SECOND;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        s.told.last_status = cases[i].status;
        strcpy(s.told.last_error, cases[i].error);
        judge();
        todo_has(0, cases[i].todo);
        assert_true((v.words[0].todo[0] != '\0')
                    == (cases[i].todo[0] != '\0'));
    }
}

static void next_try(void **state)
{
    (void)state;
    s.told.down_since = s.tick - SECOND;
    strcpy(s.told.last_error, "connection refused");
    s.told.pace.not_before = s.tick + 20 * SECOND;
    is(IMX_HEALTH_OUTAGE, "outage", CRITICAL, "IMX0020",
       "InfluxDB has taken no points for 1 second: connection refused. "
       "Nothing is lost: 0 points wait in the buffer. The next try is in 20 "
       "seconds.");
}

/* That nobody delivers is worse than that InfluxDB is away.  From one holder to
 * the next, and at the start, a moment without one is none. */
static void nobody(void **state)
{
    (void)state;
    s.holder = 0;
    s.beaten = s.tick - 4 * SECOND;
    assert_int_equal(imx_health_of(&s), IMX_HEALTH_WAITING);
    s.told.down_since = s.tick - SECOND;
    s.beaten = s.tick - 5 * SECOND;
    is(IMX_HEALTH_NOBODY, "nobody", CRITICAL, "",
       "Nobody delivers: no child has the lease. 0 points wait in the "
       "buffer.");
    s.beaten = 0;
    assert_int_equal(imx_health_of(&s), IMX_HEALTH_NOBODY);
    s.made = s.now - 4 * SECOND;
    assert_int_equal(imx_health_of(&s), IMX_HEALTH_OUTAGE);
}

/* A holder that is stopped says nothing of the outage that it may have seen. */
static void silent(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    s.beaten = s.tick - 4 * SECOND;
    assert_int_equal(imx_health_of(&s), IMX_HEALTH_OK);
    s.beaten = s.tick - 12 * SECOND;
    s.told.down_since = 1;
    is(IMX_HEALTH_SILENT, "silent", CRITICAL, "IMX0080",
       "Nobody delivers: the child that has the lease, process 4711, has done "
       "nothing for 12 seconds. 0 points wait in the buffer.");
    todo_has(0, "process 4711");
}

/* ---- losses ---- */

static void lose(imx_board_spell_e kind, int64_t since, int64_t last,
                 uint64_t count)
{
    s.told.spells[kind].since = s.tick - since * SECOND;
    s.told.spells[kind].last = s.tick - last * SECOND;
    s.told.spells[kind].count = count;
}

static void refused(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    strcpy(s.told.refusal_shown, "field type conflict on \"items\"");
    lose(IMX_BOARD_SPELL_REFUSED, 185, 0, 312);
    judge();
    assert_int_equal(v.count, 2);
    says(0, CRITICAL, "IMX0022",
         "InfluxDB refuses points: field type conflict on \"items\". 312 "
         "points were refused in the last 3 minutes 5 seconds, the others are "
         "stored.");
    says(1, WELL, "", "InfluxDB took the last points 0 seconds ago.");
    /* Of the answer about them nothing else is said. */
    strcpy(s.told.last_error, "field type conflict");
    is(IMX_HEALTH_TROUBLE, "trouble", CRITICAL, "IMX0022",
       "InfluxDB refuses points: field type conflict on \"items\". 312 "
       "points were refused in the last 3 minutes 5 seconds, the others are "
       "stored.");
    lose(IMX_BOARD_SPELL_REFUSED, 185, 70, 312);
    s.told.last_error[0] = '\0';
    is(IMX_HEALTH_OK, "ok", WELL, "",
       "All is well. InfluxDB took the last points 0 seconds ago.");
}

static void lost(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    lose(IMX_BOARD_SPELL_BUFFER, 1, 1, 1);
    lose(IMX_BOARD_SPELL_SPOOL, 60, 69, 1000);
    judge();
    assert_int_equal(v.count, 3);
    says(0, CRITICAL, "IMX0027",
         "Points are being lost: the buffer is full. 1 point was lost in the "
         "last 1 second.");
    todo_has(0, "or InfluxMetricsSpool");
    says(1, CRITICAL, "IMX0055",
         "Points are being lost: the spool is full, or has files that cannot "
         "be read. 1,000 points were lost in the last 1 minute.");
    f.has_spool = 1;
    judge();
    todo_has(0, "what keeps the spool");
}

/* A spell ends when nothing was lost for a while; then another one begins. */
static void spells(void **state)
{
    imx_board_spell_t spell = { 0, 0, 0 };
    int64_t now = 5 * SECOND;

    (void)state;
    imx_board_spell_add(&spell, 0, now);
    assert_false(imx_board_spell_lasts(&spell, now));
    imx_board_spell_add(&spell, 3, now);
    assert_true(imx_board_spell_lasts(&spell, now));
    now += 69 * SECOND;
    imx_board_spell_add(&spell, 4, now);
    assert_int_equal(spell.count, 7);
    assert_int_equal(spell.since, 5 * SECOND);
    now += 70 * SECOND;
    assert_false(imx_board_spell_lasts(&spell, now));
    imx_board_spell_add(&spell, 1, now);
    assert_int_equal(spell.count, 1);
    assert_int_equal(spell.since, now);
}

static void spool_hangs(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    s.told.spool_hangs = s.tick - 60 * SECOND;
    judge();
    says(0, WARNING, "IMX0081",
         "The disk of the spool has not answered for 1 minute: points go on "
         "to InfluxDB, and are not moved to the spool.");
}

static void clock_off(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    s.told.clock_ahead = 3600;
    judge();
    says(0, WARNING, "IMX0083",
         "This host's clock is 1 hour ahead of InfluxDB's: points have its "
         "time, so a query of the last minutes finds none or others.");
    todo_has(0, "timedatectl");
    s.told.clock_ahead = INT64_MIN; /* another child wrote it */
    judge();
    assert_non_null(strstr(v.words[0].what, "behind InfluxDB's"));
}

/* ---- the server ---- */

static void workers(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    f.workers = 150;
    f.utilization = 0.95;
    f.queue = 37;
    f.queue_limit = 511;
    judge();
    says(0, CRITICAL, "", "All 150 workers are busy and 37 connections wait.");
    todo_has(0, "MaxRequestWorkers");
    f.busiest = "shop.example.org";
    f.busiest_ns = 820;
    f.request_ns = 1000;
    f.queue = 1;
    judge();
    says(0, CRITICAL, "",
         "All 150 workers are busy and 1 connection waits. 82 % of the busy "
         "time is shop.example.org's application.");
    f.workers = 1;
    f.busiest = "";
    judge();
    says(0, CRITICAL, "", "The only worker is busy and 1 connection waits.");
    f.queue = 0;
    judge();
    assert_int_equal(v.count, 1);
    f.queue = 37;
    f.utilization = 0.94;
    judge();
    assert_int_equal(v.count, 1);
}

static void objective(void **state)
{
    imx_verdict_burning_t b = {
        "shop.example.org", 99.9, 500000000, { 32.04, 14.5 }, { 300, 3570 }
    };

    (void)state;
    s.told.last_flush = s.now;
    f.burning = &b;
    judge();
    says(0, CRITICAL, "",
         "shop.example.org misses its objective, 99.9 % good requests within "
         "500 ms: the burn rate is 32.0 in the last 5 minutes and 14.5 in the "
         "last hour. At 14.4, the error budget of 30 days is used up in two.");
    todo_has(0, "slow requests");
    b.ns = -1;
    b.seconds[0] = b.seconds[1] = 70;
    judge();
    says(0, CRITICAL, "",
         "shop.example.org misses its objective, 99.9 % good requests: the "
         "burn rate is 32.0 in the last 1 minute 10 seconds and 14.5 in the "
         "last 1 minute 10 seconds. At 14.4, the error budget of 30 days is "
         "used up in two.");
    b.burn[1] = 14.4;
    judge();
    assert_int_equal(v.count, 1);
    b.burn[0] = -1;
    b.burn[1] = 15;
    judge();
    assert_int_equal(v.count, 1);
}

static void stuck(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    f.workers = 150;
    f.utilization = 0.49;
    f.queue = 37;
    f.queue_limit = 511;
    f.queued_for = 2;
    judge();
    assert_int_equal(v.count, 1); /* in a moment there may be none */
    f.queued_for = 3;
    judge();
    says(0, WARNING, "",
         "Connections wait although workers are free: a child may be stuck, "
         "or the backlog (ListenBackLog 511) was full.");
    f.utilization = 0.5;
    judge();
    assert_int_equal(v.count, 1);
}

static void machine(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    f.cpu_some = 43.21;
    judge();
    says(0, WARNING, "",
         "Processors are the limit: something waited for one 43 % of the last "
         "10 s.");
    says(1, WELL, "", "InfluxDB took the last points 0 seconds ago.");
    f.cpu_some = 39.9;
    judge();
    assert_int_equal(v.count, 1);
}

static void clients(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    f.request_ns = 100;
    f.output_ns = 51;
    judge();
    says(0, WARNING, "",
         "Most of the time goes into sending to slow clients, not into the "
         "application.");
    f.output_ns = 50;
    judge();
    assert_int_equal(v.count, 1);
}

/* The worst first, whatever comes together. */
static void everything(void **state)
{
    const imx_verdict_burning_t burning = {
        "x", 99.9, 1, { 1e300, 1e300 }, { 1, UINT32_MAX }
    };
    unsigned i;

    (void)state;
    s.told.down_since = s.tick - SECOND;
    lose(IMX_BOARD_SPELL_REFUSED, 1, 0, 1);
    lose(IMX_BOARD_SPELL_BUFFER, 1, 0, 1);
    lose(IMX_BOARD_SPELL_SPOOL, 1, 0, 1);
    s.told.spool_hangs = 1;
    f.workers = 10;
    f.utilization = 1;
    f.queue = 1;
    f.cpu_some = 100;
    f.request_ns = f.output_ns = 1;
    f.burning = &burning;
    judge();
    assert_int_equal(v.count, 9);
    for (i = 1; i < v.count; i++) {
        assert_true(v.words[i].level <= v.words[i - 1].level);
        assert_true(v.words[i].what[0] != '\0');
    }
    assert_int_equal(v.words[0].level, CRITICAL);
}

/* Whatever a process wrote into the memory: sentences that end. */
static void hostile(void **state)
{
    static const int64_t times[] = { INT64_MIN, INT64_MIN + 1, -1, 0,
                                     1,         INT64_MAX };
    size_t i;
    unsigned k;

    (void)state;
    memset(&s.totals, 0xFF, sizeof s.totals);
    memset(s.told.last_error, 'x', sizeof s.told.last_error - 1);
    memset(s.told.refusal_shown, 'x', sizeof s.told.refusal_shown - 1);
    f.workers = f.queue = f.queue_limit = f.queued_for = INT64_MAX;
    f.utilization = 1e300;
    f.cpu_some = 1e300;
    f.request_ns = 1;
    f.output_ns = f.busiest_ns = UINT64_MAX;
    f.busiest = "x";
    for (i = 0; i < 6 * sizeof times / sizeof times[0]; i++) {
        int64_t time = times[i / 6];

        s.told.down_since = i % 6 == 0 ? time : 0;
        s.told.pace.not_before = time;
        s.beaten = i % 6 == 1 ? time : s.tick;
        s.told.last_flush = time;
        s.told.spool_hangs = time;
        s.told.spells[i % 3].last = s.told.spells[i % 3].since = time;
        s.told.spells[i % 3].count = UINT64_MAX;
        s.made = time;
        judge();
        for (k = 0; k < v.count; k++) {
            assert_true(strlen(v.words[k].what) < sizeof v.words[k].what - 1);
            assert_int_equal(v.words[k].what[strlen(v.words[k].what) - 1],
                             '.');
        }
    }
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(levels),     TEST(at_first),    TEST(well),      TEST(trouble),
        TEST(outage),     TEST(when_full),   TEST(advice),    TEST(next_try),
        TEST(nobody),     TEST(silent),      TEST(refused),   TEST(lost),
        TEST(spells),     TEST(spool_hangs), TEST(clock_off), TEST(workers),
        TEST(objective),  TEST(stuck),       TEST(machine),   TEST(clients),
        TEST(everything), TEST(hostile),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
