/*
 * t/unit/health.c: the word and the sentence about delivery, for snapshots of
 * every kind, hostile ones too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/health.h"

#include <stdio.h>
#include <string.h>

#define SECOND 1000000000LL

static imx_snapshot_t s;
static char sentence[IMX_HEALTH_SENTENCE_MAX];

static int fresh(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    s.holder = 4711;
    s.now = 1764165747 * SECOND;
    s.tick = 1000 * SECOND;
    return 0;
}

static void is(imx_health_e health, const char *word, const char *expected)
{
    assert_int_equal(imx_health_of(&s), health);
    assert_string_equal(imx_health_word(health), word);
    imx_health_sentence(sentence, sizeof sentence, &s);
    assert_string_equal(sentence, expected);
}

static void at_first(void **state)
{
    (void)state;
    is(IMX_HEALTH_WAITING, "waiting", "No request has been recorded yet.");
    s.totals.recorded = 1;
    is(IMX_HEALTH_WAITING, "waiting",
       "The first points are on their way to InfluxDB.");
}

static void well(void **state)
{
    (void)state;
    s.told.last_flush = s.now - 2 * SECOND;
    is(IMX_HEALTH_OK, "ok",
       "All is well. InfluxDB took the last points 2 seconds ago.");
}

static void trouble(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    strcpy(s.told.last_error, "field type conflict");
    is(IMX_HEALTH_TROUBLE, "trouble",
       "InfluxDB works, but its last answer was not good: field type "
       "conflict.");
}

static void outage(void **state)
{
    (void)state;
    s.told.down_since = s.tick - 130 * SECOND;
    s.totals.pending = 118402;
    is(IMX_HEALTH_OUTAGE, "outage",
       "InfluxDB has taken no points for 2 minutes 10 seconds: the reason is "
       "not known. Nothing is lost: 118,402 points wait in the buffer and 0 "
       "points in the spool.");
    strcpy(s.told.last_error, "connection refused");
    s.totals.pending = 1;
    s.totals.fate[IMX_BATCH_SPOOLED] = 1;
    s.totals.no_room = 10;
    s.told.down_lost = 10; /* those were lost before */
    is(IMX_HEALTH_OUTAGE, "outage",
       "InfluxDB has taken no points for 2 minutes 10 seconds: connection "
       "refused. Nothing is lost: 1 point waits in the buffer and 1 point in "
       "the spool.");
    s.totals.no_room = 1510;
    is(IMX_HEALTH_OUTAGE, "outage",
       "InfluxDB has taken no points for 2 minutes 10 seconds: connection "
       "refused. 1 point waits in the buffer and 1 point in the spool; 1,500 "
       "points were lost meanwhile.");
}

/* That nobody delivers is worse than that InfluxDB is away. */
static void nobody(void **state)
{
    (void)state;
    s.told.down_since = 1;
    s.holder = 0;
    is(IMX_HEALTH_NOBODY, "nobody",
       "Nobody delivers: no child has the lease. 0 points wait in the buffer "
       "and 0 points in the spool.");
}

/* A holder that is stopped says nothing of the outage that it may have seen. */
static void silent(void **state)
{
    (void)state;
    s.told.last_flush = s.now;
    s.beaten = s.tick - 9 * SECOND;
    assert_int_equal(imx_health_of(&s), IMX_HEALTH_OK);
    s.beaten = s.tick - 12 * SECOND;
    s.told.down_since = 1;
    is(IMX_HEALTH_SILENT, "silent",
       "Nobody delivers: the child that has the lease, process 4711, has done "
       "nothing for 12 seconds. 0 points wait in the buffer and 0 points in "
       "the spool.");
}

static void next_try(void **state)
{
    (void)state;
    s.told.down_since = s.tick - SECOND;
    strcpy(s.told.last_error, "connection refused");
    s.told.pace.not_before = s.tick + 20 * SECOND;
    is(IMX_HEALTH_OUTAGE, "outage",
       "InfluxDB has taken no points for 1 second: connection refused. "
       "Nothing is lost: 0 points wait in the buffer and 0 points in the "
       "spool. The next try is in 20 seconds.");
}

/* Whatever a process wrote into the memory: a sentence that ends. */
static void hostile(void **state)
{
    static const int64_t times[] = { INT64_MIN, INT64_MIN + 1, -1, 1,
                                     INT64_MAX };
    size_t i;

    (void)state;
    memset(&s.totals, 0xFF, sizeof s.totals);
    memset(s.told.last_error, 'x', sizeof s.told.last_error - 1);
    for (i = 0; i < sizeof times / sizeof times[0]; i++) {
        s.told.down_since = times[i];
        imx_health_sentence(sentence, sizeof sentence, &s);
        assert_true(strlen(sentence) < sizeof sentence);
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
        s.told.pace.not_before = times[i];
        s.beaten = times[i];
        imx_health_sentence(sentence, sizeof sentence, &s);
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
        s.beaten = 0;
        s.told.last_flush = times[i];
        s.told.down_since = 0;
        imx_health_sentence(sentence, sizeof sentence, &s);
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
    }
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(at_first), TEST(well),   TEST(trouble),  TEST(outage),
        TEST(nobody),   TEST(silent), TEST(next_try), TEST(hostile),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
