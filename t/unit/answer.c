/*
 * answer.c (unit): owns the tests of answer.c, which has no state.
 * One thread.
 * Nothing survives a crash, and nothing needs to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ctype.h>
#include <time.h>

#include "deliver/answer.h"
#include "answers.h"

/* --- Sorting --- */

static void test_sort(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWER_ROWS; i++) {
        const answer_row_t *w = &answer_rows[i];
        imx_influx_result_t r;

        imx_answer_sort(w->api, w->status, w->body, strlen(w->body), &r);
        if (r.answer != w->answer || r.dropped != w->dropped
            || r.status != w->status || strcmp(r.reason, w->reason) != 0) {
            fail_msg("row %zu, %ld %s\ngot answer %d, dropped %ld, '%s'", i,
                     w->status, w->body, (int)r.answer, (long)r.dropped,
                     r.reason);
        }
    }
}

/* Cut anywhere, it is sorted, and not a byte behind the cut is read. */
static void test_sort_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWER_ROWS; i++) {
        for (size_t n = 0; n <= strlen(answer_rows[i].body); n++) {
            imx_influx_result_t r;
            char *copy = malloc(n ? n : 1);

            memcpy(copy, answer_rows[i].body, n);
            imx_answer_sort(answer_rows[i].api, answer_rows[i].status, copy, n, &r);
            free(copy);
            assert_true(r.answer >= IMX_INFLUX_SENT
                        && r.answer <= IMX_INFLUX_RETRY);
            assert_true(r.reason[0] != '\0');
            for (const char *p = r.reason; *p; p++) {
                assert_true(isprint((unsigned char)*p));
            }
        }
    }
}

static void test_sort_long(void **state)
{
    char body[2000];
    imx_influx_result_t r;

    (void)state;
    memset(body, 'e', sizeof(body));
    memcpy(body, "{\"error\":\"", 10);
    imx_answer_sort(V1, 500, body, sizeof(body), &r);
    assert_int_equal(strlen(r.reason), IMX_INFLUX_REASON_MAX - 1);
}

/* --- What it means for a post --- */

typedef struct {
    imx_influx_api_e api;
    imx_influx_answer_e answer;
    int64_t dropped;
    size_t lines;
    imx_influx_answer_e is;
    int64_t is_dropped;
} count_row_t;

static void test_count(void **state)
{
    static const count_row_t counts[] = {
        { V1, IMX_INFLUX_PARTIAL, 2, 3, IMX_INFLUX_PARTIAL, 2 },
        { V1, IMX_INFLUX_PARTIAL, 99, 3, IMX_INFLUX_PARTIAL, 3 },
        { V1, IMX_INFLUX_PARTIAL, -1, 3, IMX_INFLUX_PARTIAL, -1 },
        { V1, IMX_INFLUX_MALFORMED, 2, 3, IMX_INFLUX_MALFORMED, 2 },
        { V1, IMX_INFLUX_MALFORMED, 3, 3, IMX_INFLUX_REJECTED, 3 },
        { V1, IMX_INFLUX_MALFORMED, 9, 3, IMX_INFLUX_REJECTED, 3 },
        { V1, IMX_INFLUX_MALFORMED, 1, 1, IMX_INFLUX_MALFORMED, 1 },
        { V2, IMX_INFLUX_MALFORMED, 3, 3, IMX_INFLUX_REJECTED, 3 },
        { V2, IMX_INFLUX_MALFORMED, 2, 3, IMX_INFLUX_MALFORMED, 2 },
        { V3, IMX_INFLUX_MALFORMED, 2, 2, IMX_INFLUX_MALFORMED, 2 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        imx_influx_result_t r = { .answer = counts[i].answer,
                                  .dropped = counts[i].dropped };

        imx_answer_count(counts[i].api, counts[i].lines, &r);
        if (r.answer != counts[i].is || r.dropped != counts[i].is_dropped) {
            fail_msg("row %zu: %d, %ld", i, (int)r.answer, (long)r.dropped);
        }
    }
}

static imx_influx_answer_e created(long status, const char *body)
{
    imx_influx_result_t r;

    imx_answer_sort_created(status, body, strlen(body), &r);
    assert_int_equal(r.status, status);
    return r.answer;
}

static void test_created(void **state)
{
    (void)state;
    assert_int_equal(created(200, "{\"results\":[{\"statement_id\":0}]}"),
                     IMX_INFLUX_SENT);
    assert_int_equal(created(204, ""), IMX_INFLUX_SENT);
    assert_int_equal(created(200, "{\"results\":[{\"error\":\"no\"}]}"),
                     IMX_INFLUX_REJECTED);
    assert_int_equal(created(403, "{\"error\":\"no\"}"),
                     IMX_INFLUX_UNAUTHORIZED);
    assert_int_equal(created(503, ""), IMX_INFLUX_RETRY);
}

/* InfluxDB 3 tells of each refused line, but of no more than 100. */
static void test_v3_partial(void **state)
{
    static const char begin[] = "{\"error\":\"partial write of line protocol "
                                "occurred\",\"data\":[";
    char body[100 * 200], *to = body;
    imx_influx_result_t r;

    (void)state;
    to = stpcpy(to, begin);
    for (int i = 1; i <= 100; i++) {
        to += sprintf(to, "%s{\"original_line\":\"m,t=\\\"line_number\\\":%d "
                      "bad\",\"line_number\":%d,\"error_message\":\"bad %d\"}",
                      i > 1 ? "," : "", i, 2 * i, i);
    }
    to = stpcpy(to, "]}");
    imx_answer_sort(V3, 400, body, (size_t)(to - body), &r);
    assert_int_equal(r.answer, IMX_INFLUX_PARTIAL);
    assert_int_equal(r.dropped, 100);
    assert_int_equal(r.line, 2);
    assert_int_equal(r.more, 1);
    imx_answer_count(V3, 100, &r);          /* there were no more */
    assert_int_equal(r.more, 0);
    assert_string_equal(r.reason,
                        "partial write of line protocol occurred: bad 1");
}

typedef struct {
    imx_influx_api_e api;
    const char *body;
    int quotes;
    int64_t line;
} named_row_t;

/* What tells which line it was: its text, or in InfluxDB 3 its number. */
static void test_named(void **state)
{
    static const named_row_t rows[] = {
        { V1, "{\"error\":\"partial write: unable to parse 'm1 garbage': x "
          "dropped=0\"}", 1, 0 },
        { V2, "{\"message\":\"unable to parse 'bad': x\"}", 1, 0 },
        { V1, "partial write: points beyond retention policy dropped=1", 0, 0 },
        { V1, "partial write: field type conflict: input field \"unable to "
          "parse 'x'\" dropped=1", 0, 0 },
        { V3, "{\"error\":\"partial write\",\"data\":[{\"original_line\":"
          "\"\\\"line_number\\\":9\",\"line_number\" : 70,\"error_message\":"
          "\"x\"},{\"line_number\":71}]}", 0, 70 },
        { V3, "{\"error\":\"partial write\",\"data\":[{\"line_number\":"
          "99999999999999999999}]}", 0, 9999999999 },
        { V3, "{\"error\":\"partial write\",\"data\":[{\"line_number\":-1}]}",
          0, 0 },
        { V3, "{\"error\":\"partial write\",\"data\":[{\"line_number\"", 0, 0 },
        { V1, "{\"error\":\"partial write\",\"data\":[{\"line_number\":3}]}",
          0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        imx_influx_result_t r;

        imx_answer_sort(rows[i].api, 400, rows[i].body, strlen(rows[i].body),
                        &r);
        if (r.quotes != rows[i].quotes || r.line != rows[i].line || r.more) {
            fail_msg("row %zu: quotes %d, line %ld", i, r.quotes, (long)r.line);
        }
    }
}

/* --- Retry-After --- */

#define NOW 784111777               /* Sun, 06 Nov 1994 08:49:37 GMT */

typedef struct {
    const char *value;
    int64_t ms;
} retry_row_t;

static const retry_row_t retries[] = {
    { "7", 7000 }, { " 120\r\n", 120000 }, { "1", 1000 }, { "\t1 \n", 1000 },
    { "86399", 86399000 }, { "86400", 86400000 }, { "86401", 86400000 },
    { "999999999999999999999999999999999999999999", 86400000 },

    /* RFC 9110's three forms of one second */
    { "Sun, 06 Nov 1994 08:49:47 GMT", 10000 },
    { "Sunday, 06-Nov-94 08:49:47 GMT", 10000 },
    { "Sun Nov  6 08:49:47 1994", 10000 },
    { "Sun, 06 Nov 1994 09:49:37 GMT\r\n", 3600000 },
    { "Sun, 06 Nov 1994 08:49:38 GMT", 1000 },
    { "Sat, 31 Dec 1994 23:59:60 GMT", 86400000 },
    { "Tue, 01 Jan 2069 00:00:00 GMT", 86400000 },
    { "Tuesday, 01-Jan-69 00:00:00 GMT", 86400000 },    /* not 1969 */

    /* over, or just now */
    { "0", -1 }, { "000", -1 }, { "Sun, 06 Nov 1994 08:49:37 GMT", -1 },
    { "Sunday, 06-Nov-70 08:49:37 GMT", -1 },
    { "Thu, 01 Jan 1970 00:00:00 GMT", -1 },

    /* not to be read */
    { "", -1 }, { "  ", -1 }, { "soon", -1 }, { "-5", -1 }, { "+5", -1 },
    { "7.5", -1 }, { "7s", -1 }, { "0x10", -1 }, { "7, 8", -1 },
    { "Sun, 06 Nov 1994 08:49:47", -1 }, { "Sun, 06 Nov 1994 08:49:47 CET", -1 },
    { "Sun, 06 Nov 1994 08:49:47 GMT+1", -1 },
    { "Sun, 06 Foo 1994 08:49:47 GMT", -1 },
    { "Sun, 06 ovD 1994 08:49:47 GMT", -1 },
    { "Sun, 06 No 1994 08:49:47 GMT", -1 },
    { "Sun, 00 Dec 1994 08:49:47 GMT", -1 },
    { "Sun, 32 Dec 1994 08:49:47 GMT", -1 },
    { "Sun, 06 Nov 1994 24:49:47 GMT", -1 },
    { "Mon, 07 Nov 1994 -8:49:47 GMT", -1 },
    { "Sun, 06 Nov 1994 08:60:47 GMT", -1 },
    { "Sun, 06 Nov 1994 08:49:61 GMT", -1 },
    { "Sun, 06 Nov 1994 09:-1:47 GMT", -1 },
    { "Sun, 06 Nov 1994 08:50:-1 GMT", -1 },
    { "Sun, 06 Nov 1969 08:49:47 GMT", -1 },
    { "06 Nov 1994 08:49:47 GMT", -1 }, { "Sun Nov  6 08:49:47 1994 x", -1 },
    { "Sun Nov  6 08:49:47", -1 },
    { "7777777777777777777777777777777777777777777777777777777777777777777777",
      -1 },
};

#define RETRIES (sizeof(retries) / sizeof(retries[0]))

static void test_retry_after(void **state)
{
    (void)state;
    for (size_t i = 0; i < RETRIES; i++) {
        int64_t ms = imx_answer_retry_after(retries[i].value,
                                            strlen(retries[i].value), NOW);

        if (ms != retries[i].ms) {
            fail_msg("'%s': %ld", retries[i].value, (long)ms);
        }
    }
}

/* Cut anywhere; and the zone of this host makes no difference. */
static void test_retry_after_cut(void **state)
{
    (void)state;
    setenv("TZ", "America/Lima", 1);
    tzset();
    test_retry_after(state);
    for (size_t i = 0; i < RETRIES; i++) {
        for (size_t n = 0; n <= strlen(retries[i].value); n++) {
            char *copy = malloc(n ? n : 1);
            int64_t ms;

            memcpy(copy, retries[i].value, n);
            ms = imx_answer_retry_after(copy, n, NOW);
            free(copy);
            assert_true(ms == -1 || (ms >= 1000 && ms <= 86400000));
        }
    }
}

/* --- Reasons --- */

static void assert_hidden(const char *text, const char *secret,
                          const char *expected)
{
    char reason[IMX_INFLUX_REASON_MAX];

    imx_answer_explain(reason, text);
    imx_answer_hide(reason, secret);
    assert_string_equal(reason, expected);
}

static void test_hide(void **state)
{
    char text[600];

    (void)state;
    assert_hidden("no word", NULL, "no word");
    assert_hidden("no word", "", "no word");
    assert_hidden("no word", " ", "no word");
    assert_hidden("a word, words", "word", "a ****, ****s");
    assert_hidden("half of it: wor", "word", "half of it: wor");
    /* as a reason shows them: blanks are one, what is not ASCII is ? */
    assert_hidden("is 'two  words' right?", "two  words",
                  "is '*********' right?");
    assert_hidden("p\xc3\xa4sswort!", "p\xc3\xa4sswort", "*********!");
    assert_hidden("\n tab\there \n", "tab\there", "********");
    /* the cut leaves the beginning of a secret */
    memset(text, 'x', sizeof(text));
    memcpy(text + IMX_INFLUX_REASON_MAX - 4, "word", 5);
    text[IMX_INFLUX_REASON_MAX - 5] = ' ';
    imx_answer_explain(text + 300, text);
    imx_answer_hide(text + 300, "word");
    assert_string_equal(text + 300 + IMX_INFLUX_REASON_MAX - 5, " ***");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_sort_cut),
        cmocka_unit_test(test_sort_long),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_created),
        cmocka_unit_test(test_v3_partial),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry_after_cut),
        cmocka_unit_test(test_hide),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
