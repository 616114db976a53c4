/*
 * secret.c (unit) owns the tests of secret.c.
 * One thread, besides those of the readings.
 * Nothing survives a crash; files live in a directory under /tmp.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include "deliver/secret.h"

/* --- What is in the first line --- */

typedef struct {
    const char *text;
    int is_token;
    const char *word, *wrong; /* one of them is NULL */
} trim_row_t;

static const trim_row_t trims[] = {
    { "abc", 1, "abc", NULL },
    { "abc\r\nsecond\n", 1, "abc", NULL },
    { "\xef\xbb\xbf"
      "abc\n",
      1, "abc", NULL },
    { "\xef\xbb\xbf"
      "abc\n",
      0, "abc", NULL },
    { "  abc \t\n", 1, "abc", NULL },
    { "Token abc\n", 1, "abc", NULL },
    { "bearer   abc\n", 1, "abc", NULL },
    { " Bearer abc== ", 1, "abc==", NULL },
    { "user:pass word\n", 1, "user:pass word", NULL },
    { "Tokenabc", 1, "Tokenabc", NULL },
    /* blanks, and these words, may belong to a password */
    { " pass word ", 0, " pass word ", NULL },
    { "Token abc", 0, "Token abc", NULL },
    { "p\xc3\xa4ss", 0, "p\xc3\xa4ss", NULL },
    { "", 1, NULL, "empty" },
    { "\nabc", 1, NULL, "empty" },
    { "   ", 1, NULL, "empty" },
    { "Token ", 1, "Token", NULL }, /* only a scheme has a blank behind it */
    { "a\tb", 1, NULL, "control character" },
    { "a\x7f", 0, NULL, "control character" },
    { "\xff\xfe"
      "a",
      1, NULL, "UTF-16" },
    { "\xfe\xff"
      "a",
      0, NULL, "UTF-16" },
};

static void test_trim(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(trims) / sizeof(trims[0]); i++) {
        const trim_row_t *row = &trims[i];
        size_t n = strlen(row->text);
        char *text = malloc(n + 1);
        const char *wrong;

        memcpy(text, row->text, n);
        wrong = imx_secret_trim(text, n, row->is_token);
        if (row->word ? wrong || strcmp(text, row->word) != 0
                      : !wrong || !strstr(wrong, row->wrong)) {
            fail_msg("row %zu: '%s', %s", i, text, wrong ? wrong : "right");
        }
        free(text);
    }
}

/* UTF-16 without a mark has a NUL in each of its first letters. */
static void test_utf16(void **state)
{
    char little[] = { 'a', 0, 'b', 0, 0 }, big[] = { 0, 'a', 0, 'b', 0 };

    (void)state;
    assert_non_null(strstr(imx_secret_trim(little, 4, 1), "UTF-16"));
    assert_non_null(strstr(imx_secret_trim(big, 4, 1), "UTF-16"));
}

/* --- Reading --- */

typedef struct {
    char dir[32], path[64], reason[IMX_INFLUX_REASON_MAX];
} files_t;

static files_t files;

static void write_path(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_check(void **state)
{
    (void)state;
    assert_int_equal(imx_secret_check(files.path, 1, files.reason), ENOENT);
    assert_non_null(strstr(files.reason, files.path));
    write_path(files.path, "Token x\n");
    assert_int_equal(imx_secret_check(files.path, 1, files.reason), 0);
    write_path(files.path, "\xff\xfe");
    assert_int_equal(imx_secret_check(files.path, 1, files.reason), EINVAL);
    assert_non_null(strstr(files.reason, "UTF-16"));
    unlink(files.path);
    assert_int_equal(mkfifo(files.path, 0600), 0);
    assert_true(imx_secret_check(files.path, 1, files.reason) != 0);
    assert_non_null(strstr(files.reason, "no regular file"));
    unlink(files.path);
}

static imx_secret_answer_e read_now(imx_secret_reader_t *r, int all,
                                    imx_secret_t **out)
{
    imx_secret_ask(r, all);
    return imx_secret_poll(r, 5000, out, files.reason);
}

static void test_reader(void **state)
{
    imx_influx_options_t o = { .token_file = files.path };
    imx_secret_t *s = NULL;
    imx_secret_reader_t *r;
    char *big = malloc((1 << 20) + 2);

    (void)state;
    write_path(files.path, "one\n");
    r = imx_secret_open(&o, NULL);
    assert_int_equal(imx_secret_poll(r, 0, &s, files.reason), IMX_SECRET_IDLE);
    assert_int_equal(read_now(r, 0, &s), IMX_SECRET_READ);
    assert_string_equal(s->word, "one");
    assert_null(s->ca.data);
    imx_secret_free(s);
    assert_int_equal(read_now(r, 0, &s), IMX_SECRET_SAME);
    assert_int_equal(read_now(r, 1, &s), IMX_SECRET_READ);
    assert_int_equal(s->new_tls, 0);
    imx_secret_free(s);
    unlink(files.path);
    assert_int_equal(read_now(r, 0, &s), IMX_SECRET_FAILED);
    assert_non_null(strstr(files.reason, files.path));
    imx_secret_close(r);

    /* a secret that is in no file */
    o = (imx_influx_options_t){ .token = "from outside" };
    r = imx_secret_open(&o, NULL);
    assert_int_equal(read_now(r, 1, &s), IMX_SECRET_READ);
    assert_string_equal(s->word, "from outside");
    imx_secret_free(s);
    imx_secret_close(r);

    o = (imx_influx_options_t){ .ca_file = files.path };
    r = imx_secret_open(&o, "/etc/hostname");
    write_path(files.path, "PEM");
    assert_int_equal(read_now(r, 0, &s), IMX_SECRET_READ);
    assert_int_equal(s->new_tls, 1);
    assert_int_equal(s->ca.len, 3);
    assert_string_equal(s->word, "");
    imx_secret_free(s);
    memset(big, 'x', 1 << 20);
    big[1 << 20] = '\0';
    write_path(files.path, big);
    assert_int_equal(read_now(r, 0, &s), IMX_SECRET_FAILED);
    assert_non_null(strstr(files.reason, "too large"));
    imx_secret_close(r);
    free(big);

    /* the system's authorities may be missing */
    o.ca_file = NULL;
    r = imx_secret_open(&o, "/no/such/file");
    assert_int_equal(read_now(r, 1, &s), IMX_SECRET_READ);
    assert_null(s->ca.data);
    imx_secret_free(s);
    imx_secret_close(r);
    unlink(files.path);
}

static void test_header(void **state)
{
    imx_influx_options_t o = { .api = IMX_INFLUX_V1, .user = "u" };
    char *h;

    (void)state;
    h = imx_secret_header(&o, "p");
    assert_string_equal(h, "Authorization: Basic dTpw");
    imx_secret_wipe(h);
    o = (imx_influx_options_t){ .api = IMX_INFLUX_V3, .token_file = "x" };
    h = imx_secret_header(&o, "t");
    assert_string_equal(h, "Authorization: Bearer t");
    imx_secret_wipe(h);
    o.token_file = NULL;
    o.token = "t";
    h = imx_secret_header(&o, "t");
    assert_string_equal(h, "Authorization: Bearer t");
    imx_secret_wipe(h);
    o.token = NULL;
    assert_null(imx_secret_header(&o, ""));
    imx_secret_wipe(NULL);
}

/* --- Hiding --- */

static void assert_hidden(const char *text, const char *secret,
                          const char *expected)
{
    char reason[IMX_INFLUX_REASON_MAX];

    imx_reason_explain(reason, text);
    imx_secret_hide_in(reason, secret);
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
    imx_reason_explain(text + 300, text);
    imx_secret_hide_in(text + 300, "word");
    assert_string_equal(text + 300 + IMX_INFLUX_REASON_MAX - 5, " ***");
}

/* Coded, in whole or in part, in whatever case, and twice. */
static void test_hide_coded(void **state)
{
    (void)state;
    assert_hidden("p=pa%2Fss%3d!", "pa/ss=", "p=**********!");
    assert_hidden("p=%70%61/ss=!", "pa/ss=", "p=**********!");
    assert_hidden("p=pa%252Fss=!", "pa/ss=", "p=**********!");
    assert_hidden("p=p+w&q=p%20w", "p w", "p=***&q=*****");
    assert_hidden("p=a%26b, a&amp;b, a&#38;b, a&#x26;b", "a&b",
                  "p=*****, *******, *******, ********");
    assert_hidden("dTpodW50ZXI%3D.", "dTpodW50ZXI=", "**************.");
    assert_hidden("%c3%a4x", "\xc3\xa4x", "*******");
    assert_hidden("100% sure, %zz & &#; &#x; %", "secret",
                  "100% sure, %zz & &#; &#x; %");
}

static void test_hide_coded_cut(void **state)
{
    char text[600], reason[IMX_INFLUX_REASON_MAX];

    (void)state;
    memset(text, 'x', sizeof(text));
    strcpy(text + IMX_INFLUX_REASON_MAX - 8, "%77%6Frd and so on");
    imx_reason_explain(reason, text);
    imx_secret_hide_in(reason, "word");
    assert_string_equal(reason + IMX_INFLUX_REASON_MAX - 9, "x*******");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_utf16),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_reader),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_hide),
        cmocka_unit_test(test_hide_coded),
        cmocka_unit_test(test_hide_coded_cut),
    };
    int failed;

    strcpy(files.dir, "/tmp/imx-secret-XXXXXX");
    if (!mkdtemp(files.dir)) {
        return 1;
    }
    snprintf(files.path, sizeof(files.path), "%s/file", files.dir);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = cmocka_run_group_tests_name("secret", tests, NULL, NULL);
    rmdir(files.dir);
    return failed;
}
