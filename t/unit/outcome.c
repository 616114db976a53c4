/*
 * outcome.c (unit) owns the tests of outcome.c: what is said of a transfer that
 * came to nothing.  Those that had an answer are in influx.c, with a server.
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

#include "deliver/outcome.h"

static const imx_influx_options_t options = {
    .api = IMX_INFLUX_V2,
    .url = "https://db:8086",
    .token_file = "/t",
    .ca_file = "/ca.pem",
    .certificate_file = "/certificate.pem"
};
static struct imx_influx in;
static imx_influx_result_t result;

/* It never got to libcurl, so libcurl knows nothing of it. */
static int setup(void **state)
{
    (void)state;
    memset(&in, 0, sizeof(in));
    memset(&result, 'x', sizeof(result));
    in.o = &options;
    in.stage = FAILED;
    imx_reply_clear(&in.reply);
    return 0;
}

typedef struct {
    CURLcode code;
    const char *error;  /* libcurl's own words; NULL: none */
    const char *reason; /* what the log has */
    const char *advice; /* and where to look; NULL: nowhere */
} row_t;

static const row_t rows[] = {
    { CURLE_RECV_ERROR, "it went away", "it went away", NULL },
    { CURLE_OUT_OF_MEMORY, NULL, "Out of memory", NULL },
    /* Which file? */
    { CURLE_SSL_CACERT_BADFILE, "no such file", "/ca.pem: no such file",
      "InfluxMetricsTLSCAFile" },
    { CURLE_SSL_CERTPROBLEM, "bad key", "/certificate.pem: bad key",
      "InfluxMetricsTLSCertificateFile and "
      "InfluxMetricsTLSCertificateKeyFile" },
    /* Which directive? */
    { CURLE_PEER_FAILED_VERIFICATION, "self-signed", "self-signed",
      "InfluxMetricsTLSCAFile and InfluxMetricsServer" },
    { CURLE_COULDNT_RESOLVE_HOST, "no such host", "no such host",
      "InfluxMetricsServer" },
    { CURLE_UNSUPPORTED_PROTOCOL, "HTTP/0.9", "HTTP/0.9",
      "InfluxMetricsServer: is http spoken at that port, or https?" },
};

static void assert_says(const char *reason, const row_t *row)
{
    assert_int_equal(strncmp(reason, row->reason, strlen(row->reason)), 0);
    if (row->advice != NULL) {
        assert_non_null(strstr(reason, row->advice));
    }
}

/* Nothing went out: it is safe to send it again. */
static void test_nothing_went_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        setup(NULL);
        snprintf(in.error, sizeof(in.error), "%s",
                 rows[i].error != NULL ? rows[i].error : "");
        imx_outcome_judge(&in, rows[i].code, &result);
        assert_int_equal(result.answer, IMX_INFLUX_RETRY);
        assert_int_equal(result.status, 0);
        assert_int_equal(result.curl_code, rows[i].code);
        assert_int_equal(result.try_smaller, 0);
        assert_int_equal(result.dropped, -1);
        assert_int_equal(result.retry_after_ms, -1);
        assert_says(result.reason, &rows[i]);
        assert_says(result.public_reason, &rows[i]);
        if (rows[i].advice == NULL) {
            assert_null(result.advice);
        }
        else {
            assert_string_equal(result.advice, rows[i].advice);
        }
    }
}

/* What a file or a name server said is cut, not written beyond. */
static void test_long_words(void **state)
{
    (void)state;
    memset(in.error, 'e', sizeof(in.error) - 1);
    imx_outcome_judge(&in, CURLE_SSL_CACERT_BADFILE, &result);
    assert_true(strlen(result.reason) < IMX_INFLUX_REASON_MAX);
    assert_int_equal(strncmp(result.reason, "/ca.pem: eee", 12), 0);
}

static void test_no_end(void **state)
{
    (void)state;
    in.reply.flooded = 1;
    snprintf(in.error, sizeof(in.error), "Failure writing output");
    imx_outcome_judge(&in, CURLE_WRITE_ERROR, &result);
    assert_string_equal(result.reason, "the answer has no end");
}

/* A secret is in no sentence, whoever put it there. */
static void test_secret(void **state)
{
    char word[] = "f1rst-secret";
    imx_secret_t files = { .word = word };

    (void)state;
    in.files = &files;
    in.credential = "c2Vjb25kLXNlY3JldA==";
    snprintf(in.error, sizeof(in.error), "bad header: %s, %s!", word,
             in.credential);
    imx_outcome_judge(&in, CURLE_SEND_ERROR, &result);
    assert_null(strstr(result.reason, word));
    assert_null(strstr(result.reason, in.credential));
    assert_null(strstr(result.public_reason, word));
    assert_null(strstr(result.public_reason, in.credential));
    assert_int_equal(strncmp(result.reason, "bad header: ", 12), 0);
}

/* Lines that a connection took with it when it died. */
static void test_repeated(void **state)
{
    (void)state;
    in.repeated = 17;
    in.reply.clock_ahead_s = 3600; /* of an answer that nobody has */
    imx_outcome_judge(&in, CURLE_RECV_ERROR, &result);
    assert_int_equal(result.repeated, 17);
    assert_int_equal(result.clock_ahead_s, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_went_out), TEST(test_long_words), TEST(test_no_end),
        TEST(test_secret),           TEST(test_repeated),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
