/*
 * headers.c (unit) owns the tests of headers.c, which has no state.
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

#include "deliver/headers.h"

#define TYPE "Content-Type: text/plain; charset=utf-8"

typedef struct {
    imx_influx_options_t o;
    const char *word, *authorization, *credential; /* NULL: there is none */
} headers_row_t;

static const headers_row_t rows[] = {
    { { .api = IMX_INFLUX_V1 }, "", NULL, NULL },
    { { .api = IMX_INFLUX_V2 }, "", NULL, NULL },
    { { .api = IMX_INFLUX_V1, .user = "u", .password_file = "/p" },
      "p",
      "Authorization: Basic dTpw",
      "dTpw" },
    { { .api = IMX_INFLUX_V1, .user = "u", .password = "p" },
      "p",
      "Authorization: Basic dTpw",
      "dTpw" },
    { { .api = IMX_INFLUX_V1, .token_file = "/t" },
      "abc==",
      "Authorization: Token abc==",
      "abc==" },
    { { .api = IMX_INFLUX_V2, .token = "abc" },
      "abc",
      "Authorization: Token abc",
      "abc" },
    { { .api = IMX_INFLUX_V3, .token_file = "/t" },
      "abc",
      "Authorization: Bearer abc",
      "abc" },
    /* Who has a token needs no user. */
    { { .api = IMX_INFLUX_V1, .user = "u", .token_file = "/t" },
      "two words",
      "Authorization: Token two words",
      "two words" },
};

static void assert_list(struct curl_slist *list, const headers_row_t *row,
                        int packed)
{
    const char *wanted[] = { row->authorization, TYPE, "Expect:",
                             packed ? "Content-Encoding: gzip" : NULL,
                             packed ? "Transfer-Encoding: chunked" : NULL };
    const struct curl_slist *h = list;

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (wanted[i] != NULL) {
            assert_non_null(h);
            assert_string_equal(h->data, wanted[i]);
            h = h->next;
        }
    }
    assert_null(h);
}

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int packed = 0; packed < 2; packed++) {
            struct curl_slist *list = imx_headers_make(&rows[i].o,
                                                       rows[i].word, packed);
            const char *credential = imx_headers_credential(list);

            assert_list(list, &rows[i], packed);
            if (rows[i].credential == NULL) {
                assert_null(credential);
            }
            else {
                assert_string_equal(credential, rows[i].credential);
            }
            imx_headers_wipe(list);
        }
    }
    imx_headers_wipe(NULL);
}

typedef struct {
    imx_influx_options_t o;
    const char *first, *not ; /* what it begins with, and does not name */
} advice_row_t;

/* Where to look is where the secret comes from. */
static const advice_row_t advice[] = {
    { { .api = IMX_INFLUX_V2, .token = "t" },
      "InfluxMetricsTokenEnv:",
      "TokenFile" },
    { { .api = IMX_INFLUX_V3, .token_file = "/t" },
      "InfluxMetricsTokenFile",
      "none" },
    { { .api = IMX_INFLUX_V1, .token_file = "/t" },
      "InfluxMetricsTokenFile; an InfluxDB 1 wants InfluxMetricsUser and "
      "InfluxMetricsPasswordFile in place of a token",
      "Env" },
    { { .api = IMX_INFLUX_V1, .token = "t" },
      "InfluxMetricsTokenEnv: a new token takes a stop and a start; an "
      "InfluxDB 1 wants InfluxMetricsUser and InfluxMetricsPasswordEnv in "
      "place of a token",
      "File" },
    { { .api = IMX_INFLUX_V1, .user = "u", .password = "p" },
      "InfluxMetricsUser and InfluxMetricsPasswordEnv",
      "PasswordFile" },
    { { .api = IMX_INFLUX_V1, .user = "u", .password_file = "/p" },
      "InfluxMetricsUser and InfluxMetricsPasswordFile",
      "Env" },
    { { .api = IMX_INFLUX_V1 },
      "InfluxMetricsUser and InfluxMetricsPasswordFile, or for InfluxDB 2",
      "Env" },
    { { .api = IMX_INFLUX_V2 },
      "InfluxMetricsTokenFile, of which there is none",
      "User" },
};

static void test_advice(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
        const char *said = imx_headers_advice(&advice[i].o);

        assert_int_equal(strncmp(said, advice[i].first,
                                 strlen(advice[i].first)),
                         0);
        assert_null(strstr(said, advice[i].not ));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_advice),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("headers", tests, NULL, NULL);
}
