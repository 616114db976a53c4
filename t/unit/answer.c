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
            imx_answer_sort(answer_rows[i].api, answer_rows[i].status, copy, n,
                            &r);
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

static const char *create_advice;

static imx_influx_answer_e created(long status, const char *body)
{
    imx_influx_result_t r;

    imx_answer_sort_created(status, body, strlen(body), &r);
    assert_int_equal(r.status, status);
    create_advice = r.advice;
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
    assert_non_null(create_advice);
    assert_string_equal(create_advice, "InfluxMetricsDatabase");
    assert_int_equal(created(403, "{\"error\":\"no\"}"),
                     IMX_INFLUX_UNAUTHORIZED);
    assert_non_null(strstr(create_advice,
                           "InfluxMetricsDatabase, which this "
                           "user may not create"));
    assert_int_equal(created(503, ""), IMX_INFLUX_RETRY);
}

/* InfluxDB 3 tells of each refused line, but of no more than 100. */
static void test_v3_partial(void **state)
{
    static const char begin[] =
        "{\"error\":\"partial write of line protocol "
        "occurred\",\"data\":[";
    char body[100 * 200], *to = body;
    imx_influx_result_t r;

    (void)state;
    to = stpcpy(to, begin);
    for (int i = 1; i <= 100; i++) {
        to += sprintf(to,
                      "%s{\"original_line\":\"m,t=\\\"line_number\\\":%d "
                      "bad\",\"line_number\":%d,\"error_message\":\"bad %d\"}",
                      i > 1 ? "," : "", i, 2 * i, i);
    }
    to = stpcpy(to, "]}");
    imx_answer_sort(V3, 400, body, (size_t)(to - body), &r);
    assert_int_equal(r.answer, IMX_INFLUX_PARTIAL);
    assert_int_equal(r.dropped, 100);
    assert_int_equal(r.line, 2);
    assert_int_equal(r.more, 1);
    imx_answer_count(V3, 100, &r); /* there were no more */
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
        { V1,
          "{\"error\":\"partial write: unable to parse 'm1 garbage': x "
          "dropped=0\"}",
          1, 0 },
        { V2, "{\"message\":\"unable to parse 'bad': x\"}", 1, 0 },
        { V1, "partial write: points beyond retention policy dropped=1", 0,
          0 },
        { V1,
          "partial write: field type conflict: input field \"unable to "
          "parse 'x'\" dropped=1",
          0, 0 },
        { V3,
          "{\"error\":\"partial write\",\"data\":[{\"original_line\":"
          "\"\\\"line_number\\\":9\",\"line_number\" : 70,\"error_message\":"
          "\"x\"},{\"line_number\":71}]}",
          0, 70 },
        { V3,
          "{\"error\":\"partial write\",\"data\":[{\"line_number\":"
          "99999999999999999999}]}",
          0, 9999999999 },
        { V3, "{\"error\":\"partial write\",\"data\":[{\"line_number\":-1}]}",
          0, 0 },
        { V3, "{\"error\":\"partial write\",\"data\":[{\"line_number\"", 0,
          0 },
        { V1, "{\"error\":\"partial write\",\"data\":[{\"line_number\":3}]}",
          0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        imx_influx_result_t r;

        imx_answer_sort(rows[i].api, 400, rows[i].body, strlen(rows[i].body),
                        &r);
        if (r.quotes != rows[i].quotes || r.line != rows[i].line || r.more) {
            fail_msg("row %zu: quotes %d, line %ld", i, r.quotes,
                     (long)r.line);
        }
    }
}

/* --- What the page may show --- */

static const char *const shown[][2] = {
    { "partial write: unable to parse 'm,uri=/reset?t=s3cret v=1': invalid "
      "field format dropped=0",
      "partial write: unable to parse '...': invalid field format dropped=0" },
    { "unable to parse 'm,u=it's a s3cret': bad\nunable to parse 'm,u=s3cret': "
      "bad",
      "unable to parse '...': bad" },
    { "partial write: max-values-per-tag limit exceeded (100/100): "
      "measurement=\"raw-requests\" tag=\"uri\" value=\"/reset?t=s3cret\" "
      "dropped=3",
      "partial write: max-values-per-tag limit exceeded (100/100): "
      "measurement=\"raw-requests\" tag=\"uri\" value=\"...\" dropped=3" },
    { "partial write: dropped 2 points outside retention policy of duration 1h "
      "- oldest point m,uri=/s3cret\\ a\\,b at 2020 dropped=2",
      "partial write: dropped 2 points outside retention policy of duration 1h "
      "- oldest point m,uri=... dropped=2" },
    { "incorrect influx line \"m,u=s3cret v=x\": cannot parse",
      "incorrect influx line \"...\": cannot parse" },
    { "metric parse error: expected field at 1:9: \"m,u=a \\\"s3cret\\\" v\"",
      "metric parse error: expected field at 1:9: \"...\"" },
    { "unable to parse 'm,u=s3cret", "unable to parse '..." },
    { "odd: m,uri=plain s3cret", "odd: m,uri=..." },
    { "can't: it's over", "can't: it's over" },
    { "database not found: \"httpd\"", "database not found: \"httpd\"" },
    { "database 'metrics' not found", "database 'metrics' not found" },
    { "bucket \"nope\" not found", "bucket \"nope\" not found" },
    { "\"bob\" user is not authorized to write to database \"t\"",
      "\"bob\" user is not authorized to write to database \"t\"" },
    { "partial write: field type conflict: input field \"v\" on measurement "
      "\"m4\" is type integer, already exists as type float dropped=2",
      "partial write: field type conflict: input field \"v\" on measurement "
      "\"m4\" is type integer, already exists as type float dropped=2" },
    { "remoteAddr: \"127.0.0.1:1\"; requestURI: /write?db=h&u=x; unsupported "
      "path requested: \"/x\"",
      "remoteAddr: \"...\"; requestURI: /write?db=...; unsupported path "
      "requested: \"/x\"" },
};

static void test_public(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        imx_influx_result_t r;

        imx_answer_sort(V1, 400, shown[i][0], strlen(shown[i][0]), &r);
        if (strcmp(r.public_reason, shown[i][1]) != 0) {
            fail_msg("row %zu: %s", i, r.public_reason);
        }
        assert_null(strstr(r.public_reason, "s3cret"));
    }
}

/* Behind the cut of what is kept of the words nothing shows either. */
static void test_public_long(void **state)
{
    char body[9000] = "unable to parse 'm,u=", *at = body + strlen(body);
    imx_influx_result_t r;

    (void)state;
    while (at < body + 8000) {
        at = stpcpy(at, "s3cret ");
    }
    strcpy(at, "': bad");
    imx_answer_sort(V1, 400, body, strlen(body), &r);
    assert_string_equal(r.public_reason, "unable to parse '...");
    assert_int_equal(r.answer, IMX_INFLUX_MALFORMED);
}

/* Also for an error_message, which is no word of the sorting. */
static void test_public_v3(void **state)
{
    static const char body[] =
        "{\"error\":\"partial write of line protocol occurred\",\"data\":"
        "[{\"original_line\":\"x\",\"line_number\":1,\"error_message\":"
        "\"unexpected 's3cret' in m,u=s3cret\"}]}";
    imx_influx_result_t r;

    (void)state;
    imx_answer_sort(V3, 400, body, strlen(body), &r);
    assert_string_equal(r.public_reason,
                        "partial write of line protocol "
                        "occurred: unexpected '...' in m,u=...");
}

/* --- Which directive --- */

typedef struct {
    imx_influx_api_e api;
    long status;
    const char *body, *advice; /* NULL: none */
} advice_row_t;

static void test_advice(void **state)
{
    static const advice_row_t rows[] = {
        { V2, 404, "404 page not found",
          "InfluxDB 1 has no InfluxMetricsBucket" },
        { V1, 404, "404 page not found", "InfluxMetricsServer" },
        { V1, 404, "{\"message\":\"no dbrp mapping found\"}",
          "InfluxMetricsBucket, which InfluxDB 2" },
        { V1, 401, "unauthorized access", NULL }, /* influx.c knows which */
        { V1, 500, "write /wal/1.wal: no space left on device",
          "the disk of InfluxDB" },
        { V1, 400,
          "{\"error\":\"partial write: max-series-per-database limit "
          "exceeded: (10) dropped=1\"}",
          "InfluxMetricsTags" },
        { V1, 400,
          "{\"error\":\"partial write: points beyond retention policy "
          "dropped=1\"}",
          "clock" },
        { V2, 422,
          "{\"message\":\"partial write: dropped 2 points outside retention "
          "policy of duration 1h\"}",
          "clock" },
        { V1, 404, "database not found: \"x\"",
          "InfluxMetricsCreateDatabase" },
        { V2, 404, "bucket \"x\" not found", "InfluxMetricsBucket" },
        { V3, 404, "database not found", "InfluxMetricsDatabase" },
        { V1, 500, "retention policy not found: x",
          "the retention policy of" },
        { V1, 405, "", "InfluxMetricsServer" },
        { V1, 301, "", "InfluxMetricsServer" },
        { V1, 200, "<html>", "InfluxMetricsServer" },
        { V1, 400, "unsupported path requested", "InfluxMetricsServer" },
        { V3, 422, "Adding a new database would exceed limit of 5 databases",
          "InfluxMetricsDatabase" },
        { V3, 400, "invalid character in database or rp name",
          "InfluxMetricsDatabase" },
        { V2, 400, "Client sent an HTTP request to an HTTPS server.",
          "https://" },
        { V1, 503, "busy", NULL },
        { V1, 429, "", NULL },
        { V1, 204, "", NULL },
        { V1, 400, "unable to parse 'x': bad", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        imx_influx_result_t r;

        imx_answer_sort(rows[i].api, rows[i].status, rows[i].body,
                        strlen(rows[i].body), &r);
        if (!rows[i].advice != !r.advice
            || (r.advice && !strstr(r.advice, rows[i].advice))) {
            fail_msg("row %zu: %s", i, r.advice ? r.advice : "(none)");
        }
        assert_true(!r.advice || strlen(r.advice) < IMX_INFLUX_REASON_MAX / 2);
    }
}

/* Sent, and yet worth a line in the log. */
static void test_remark(void **state)
{
    imx_influx_result_t r;

    (void)state;
    imx_answer_sort(V1, 500, "hinted handoff queue not empty", 30, &r);
    assert_int_equal(r.remark, 1);
    imx_answer_sort(V1, 204, "", 0, &r);
    assert_int_equal(r.remark, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),        cmocka_unit_test(test_sort_cut),
        cmocka_unit_test(test_sort_long),   cmocka_unit_test(test_count),
        cmocka_unit_test(test_created),     cmocka_unit_test(test_v3_partial),
        cmocka_unit_test(test_named),       cmocka_unit_test(test_public),
        cmocka_unit_test(test_public_long), cmocka_unit_test(test_public_v3),
        cmocka_unit_test(test_advice),      cmocka_unit_test(test_remark),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
