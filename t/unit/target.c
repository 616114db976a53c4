/*
 * target.c (unit) owns the tests of target.c, which has no state.
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

#include "deliver/target.h"

typedef struct {
    imx_influx_options_t o;
    const char *write, *create; /* NULL: there is none */
} target_row_t;

static const target_row_t targets[] = {
    { { .api = IMX_INFLUX_V1, .url = "http://db:8086", .database = "httpd" },
      "http://db:8086/write?db=httpd&precision=n",
      "http://db:8086/query?q=CREATE%20DATABASE%20%22httpd%22" },
    /* A path before it; names with what has a meaning in a URL. */
    { { .api = IMX_INFLUX_V1,
        .url = "https://proxy/influx",
        .database = "a b&c=d/\xc3\xbc%",
        .retention_policy = "two weeks" },
      "https://proxy/influx/write?db=a%20b%26c%3Dd%2F%C3%BC%25"
      "&rp=two%20weeks&precision=n",
      "https://proxy/influx/query?q=CREATE%20DATABASE%20%22"
      "a%20b%26c%3Dd%2F%C3%BC%25%22" },
    /* Nothing in a name ends the statement. */
    { { .api = IMX_INFLUX_V1,
        .url = "http://db:8086",
        .database = "x\"; DROP\\" },
      "http://db:8086/write?db=x%22%3B%20DROP%5C&precision=n",
      "http://db:8086/query?q=CREATE%20DATABASE%20%22"
      "x%5C%22%3B%20DROP%5C%5C%22" },
    { { .api = IMX_INFLUX_V2,
        .url = "http://db:8086",
        .org = "my org",
        .bucket = "httpd/a",
        .database = "of no use" },
      "http://db:8086/api/v2/write?org=my%20org&bucket=httpd%2Fa&precision=ns",
      NULL },
    { { .api = IMX_INFLUX_V2, .url = "http://db:8086", .bucket = "httpd" },
      "http://db:8086/api/v2/write?bucket=httpd&precision=ns",
      NULL },
    { { .api = IMX_INFLUX_V3,
        .url = "http://db:8181",
        .database = "httpd",
        .retention_policy = "of no use" },
      "http://db:8181/api/v3/write_lp?db=httpd&precision=nanosecond"
      "&accept_partial=true&no_sync=false",
      NULL },
    /* Without a database there is none to create. */
    { { .api = IMX_INFLUX_V1, .url = "http://db:8086" },
      "http://db:8086/write?precision=n",
      NULL },
};

static void test_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        const target_row_t *t = &targets[i];
        char *write = NULL, *create = NULL;

        assert_int_equal(imx_target_write(&write, &t->o), 0);
        assert_string_equal(write, t->write);
        assert_int_equal(imx_target_create(&create, &t->o), 0);
        if (t->create == NULL) {
            assert_null(create);
        }
        else {
            assert_string_equal(create, t->create);
        }
        free(write);
        free(create);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
