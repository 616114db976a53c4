/*
 * t/unit/lineproto.c: the bytes of a line, position by position, number by
 * number, buffer size by buffer size; then random lines against judge.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "judge.h"
#include "lineproto.h"

#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define T(s) IMX_LINEPROTO_TEXT(s)
#define REPLACEMENT "\xEF\xBF\xBD"
#define TIME INT64_C(1763961600123456789)

static char buf[1 << 20];
static imx_lineproto_t lp;

/* ---- random numbers that are the same in every run ---- */

static uint64_t seed = 88172645463325252u;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545F4914F6CDD1Du;
}

static size_t below(size_t n)
{
    return (size_t)((random64() >> 11) % n);
}

/* ---- small helpers ---- */

static void start(void)
{
    imx_lineproto_init(&lp, buf, sizeof buf);
}

static void finish(imx_lineproto_error_e expected)
{
    assert_int_equal(imx_lineproto_end(&lp, 1), expected);
}

/* What the buffer holds, byte by byte. */
static void holds_bytes(const char *expected, size_t len)
{
    if (imx_lineproto_length(&lp) != len || memcmp(buf, expected, len) != 0) {
        fail_msg("expected <%.*s>, got <%.*s>", (int)len, expected,
                 (int)imx_lineproto_length(&lp), buf);
    }
}

static void holds(const char *expected)
{
    holds_bytes(expected, strlen(expected));
}

static void good_line(void)
{
    imx_lineproto_begin(&lp, T("good"));
    imx_lineproto_field_int(&lp, T("n"), 7);
    finish(IMX_LINEPROTO_OK);
}

#define GOOD "good n=7i 1\n"

/* ---- the line of the design ---- */

#define PREFIX \
    "raw-requests,hostname=web1,method=GET,process=web1:3," \
    "server=www.example.org,status=200"
#define FULL_LINE \
    PREFIX \
    " request_time=0.000312,application_time=0.000251," \
    "bytes_sent=12i 1763961600123456789\n"

static void put_prefix(imx_lineproto_t *l)
{
    imx_lineproto_begin(l, T("raw-requests"));
    imx_lineproto_tag(l, T("hostname"), T("web1"));
    imx_lineproto_tag(l, T("method"), T("GET"));
    imx_lineproto_tag(l, T("process"), T("web1:3"));
    imx_lineproto_tag(l, T("server"), T("www.example.org"));
    imx_lineproto_tag(l, T("status"), T("200"));
}

static imx_lineproto_error_e put_full_fields(imx_lineproto_t *l)
{
    imx_lineproto_field_seconds(l, T("request_time"), 312000);
    imx_lineproto_field_seconds(l, T("application_time"), 251999);
    imx_lineproto_field_int(l, T("bytes_sent"), 12);
    return imx_lineproto_end(l, TIME);
}

static void test_full_line(void **state)
{
    (void)state;
    start();
    put_prefix(&lp);
    assert_int_equal(put_full_fields(&lp), IMX_LINEPROTO_OK);
    holds(FULL_LINE);
}

static void test_full_line_from_a_prefix(void **state)
{
    char prefix[256];
    size_t len, first;

    (void)state;
    imx_lineproto_init(&lp, prefix, sizeof prefix);
    imx_lineproto_begin(&lp, T("raw-requests"));
    imx_lineproto_tag(&lp, T("hostname"), T("web1"));
    first = imx_lineproto_length(&lp);
    imx_lineproto_tag(&lp, T("method"), T("GET"));
    imx_lineproto_tag(&lp, T("process"), T("web1:3"));
    imx_lineproto_tag(&lp, T("server"), T("www.example.org"));
    imx_lineproto_tag(&lp, T("status"), T("200"));
    len = imx_lineproto_length(&lp);
    assert_int_equal(imx_lineproto_error(&lp), IMX_LINEPROTO_OK);
    assert_int_equal(len, strlen(PREFIX));

    start();
    imx_lineproto_encoded(&lp, prefix, len);
    assert_int_equal(put_full_fields(&lp), IMX_LINEPROTO_OK);
    imx_lineproto_encoded(&lp, prefix, first);
    imx_lineproto_encoded(&lp, prefix + first, len - first);
    imx_lineproto_key(&lp, T("request_time"));
    imx_lineproto_put_seconds(&lp, 312000);
    imx_lineproto_key(&lp, T("application_time"));
    imx_lineproto_put_seconds(&lp, 251999);
    imx_lineproto_key(&lp, T("bytes_sent"));
    imx_lineproto_put_int(&lp, 12);
    assert_int_equal(imx_lineproto_end(&lp, TIME), IMX_LINEPROTO_OK);
    holds(FULL_LINE FULL_LINE);
}

/* ---- escapes by position ---- */

typedef enum { MEASUREMENT, TAG_KEY, TAG_VALUE, FIELD_KEY, STRING } place_e;

static const char *const before[] = { "", "m,", "m,k=", "m ", "m f=\"" };
static const char *const behind[] = { " f=1i 1\n", "=v f=1i 1\n", " f=1i 1\n",
                                      "=1i 1\n", "\" 1\n" };

/* A line whose part at the place is the text; all other parts are plain. */
static void line_with(place_e place, const char *text, size_t len)
{
    int measurement = place == MEASUREMENT;

    imx_lineproto_begin(&lp, measurement ? text : "m", measurement ? len : 1);
    if (place == TAG_KEY) {
        imx_lineproto_tag(&lp, text, len, T("v"));
    }
    if (place == TAG_VALUE) {
        imx_lineproto_tag(&lp, T("k"), text, len);
    }
    if (place == STRING) {
        imx_lineproto_field_string(&lp, T("f"), text, len);
    }
    else if (place == FIELD_KEY) {
        imx_lineproto_field_int(&lp, text, len, 1);
    }
    else {
        imx_lineproto_field_int(&lp, T("f"), 1);
    }
}

static void check_place(place_e place, const char *text, size_t len,
                        const char *escaped)
{
    char expected[1024];

    snprintf(expected, sizeof expected, "%s%s%s", before[place], escaped,
             behind[place]);
    start();
    line_with(place, text, len);
    finish(IMX_LINEPROTO_OK);
    holds(expected);
}

static void test_escapes(void **state)
{
    static const struct {
        const char *text;
        const char *measurement, *key, *value, *string;
    } cases[] = {
        { "plain-._:/", "plain-._:/", "plain-._:/", "plain-._:/",
          "plain-._:/" },
        { "a,b", "a\\,b", "a\\,b", "a\\,b", "a,b" },
        { "a b", "a\\ b", "a\\ b", "a\\ b", "a b" },
        { "a=b", "a=b", "a\\=b", "a\\=b", "a=b" },
        { "a\"b", "a\"b", "a\"b", "a\"b", "a\\\"b" },
        { "a\\b", "a\\b", "a\\b", "a\\b", "a\\\\b" },
        { "a\\\"b", "a\\\"b", "a\\\"b", "a\\\"b", "a\\\\\\\"b" },
        { "a\\nb", "a\\nb", "a\\nb", "a\\nb", "a\\\\nb" },
        { ",", "\\,", "\\,", "\\,", "," },
        { "  ", "\\ \\ ", "\\ \\ ", "\\ \\ ", "  " },
        { "==", "==", "\\=\\=", "\\=\\=", "==" },
        { "a#b", "a#b", "a#b", "a#b", "a#b" },
        { "a'`$%{}", "a'`$%{}", "a'`$%{}", "a'`$%{}", "a'`$%{}" },
        { "times", "times", "times", "times", "times" },
        { "Time", "Time", "Time", "Time", "Time" },
        { "k\xC3\xA4se,\xF0\x9F\xA7\x80", "k\xC3\xA4se\\,\xF0\x9F\xA7\x80",
          "k\xC3\xA4se\\,\xF0\x9F\xA7\x80", "k\xC3\xA4se\\,\xF0\x9F\xA7\x80",
          "k\xC3\xA4se,\xF0\x9F\xA7\x80" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len = strlen(cases[i].text);

        check_place(MEASUREMENT, cases[i].text, len, cases[i].measurement);
        check_place(TAG_KEY, cases[i].text, len, cases[i].key);
        check_place(TAG_VALUE, cases[i].text, len, cases[i].value);
        check_place(FIELD_KEY, cases[i].text, len, cases[i].key);
        check_place(STRING, cases[i].text, len, cases[i].string);
    }
}

/* ---- bad parts ---- */

static void check_error(place_e place, const char *text, size_t len,
                        imx_lineproto_error_e expected)
{
    start();
    good_line();
    line_with(place, text, len);
    assert_int_equal(imx_lineproto_error(&lp), expected);
    finish(expected);
    assert_int_equal(imx_lineproto_error(&lp), IMX_LINEPROTO_OK);
    good_line();
    holds(GOOD GOOD);
}

static void check_bad_name(place_e place, const char *text, size_t len)
{
    check_error(place, text, len, IMX_LINEPROTO_BAD_NAME);
}

static const place_e names[] = { MEASUREMENT, TAG_KEY, FIELD_KEY };

static void test_bad_names(void **state)
{
    char text[4] = "ab";
    int c;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        check_bad_name(names[i], T(""));
        check_bad_name(names[i], T("_a"));
        check_bad_name(names[i], T("_"));
        for (c = 0; c < 128; c++) {
            text[1] = (char)c;
            if (names[i] == MEASUREMENT && (c < 32 || c == 127)) {
                check_bad_name(names[i], text, 2);
                check_bad_name(names[i], text + 1, 1);
            }
        }
    }
    check_bad_name(MEASUREMENT, T("#comment"));
    check_bad_name(TAG_KEY, T("time"));
    check_bad_name(FIELD_KEY, T("time"));
    check_place(MEASUREMENT, T("time"), "time");
    check_place(TAG_KEY, T("#k"), "#k");
}

/* A bad name is found by what reaches the wire, not by what was handed in. */
static void test_names_that_a_repair_makes_bad(void **state)
{
    (void)state;
    check_bad_name(MEASUREMENT, T("\\"));
    check_bad_name(TAG_KEY, T("\\\\\\"));
    check_bad_name(FIELD_KEY, T("\\"));
    check_bad_name(TAG_KEY, T("time\\"));
    check_bad_name(FIELD_KEY, T("time\\\\"));
}

static void test_trailing_backslashes_are_left_off(void **state)
{
    (void)state;
    check_place(MEASUREMENT, T("a\\"), "a");
    check_place(TAG_KEY, T("a\\\\"), "a");
    check_place(TAG_VALUE, T("C:\\\\"), "C:");
    check_place(FIELD_KEY, T("a\\"), "a");
    check_place(STRING, T("C:\\"), "C:\\\\");
    check_place(STRING, T("\\"), "\\\\");
}

/*
 * Backslashes that an escape follows cannot be written either.  InfluxDB 1.x
 * refuses such field keys; behind such a tag value it can take the lines that
 * follow for a part of this one ("a\ b\="c" in a tag value does).
 */
static void test_backslashes_before_an_escape_are_left_off(void **state)
{
    (void)state;
    check_place(MEASUREMENT, T("a\\,b\\=c"), "a\\,b\\=c");
    check_place(MEASUREMENT, T("a\\\\ b"), "a\\ b");
    check_place(TAG_KEY, T("a\\=b"), "a\\=b");
    check_place(TAG_VALUE, T("a\\ b\\=\"c"), "a\\ b\\=\"c");
    check_place(TAG_VALUE, T("a\\\\\\,b"), "a\\,b");
    check_place(TAG_VALUE, T("a\\\nb"), "a\\ b");
    check_place(FIELD_KEY, T("a\\,b"), "a\\,b");
    check_place(STRING, T("a\\ b\\=\\"), "a\\\\ b\\\\=\\\\");
}

/* InfluxDB 3 and InfluxData's decoder refuse a line with one in a tag. */
static void test_control_bytes_in_tags_are_spaces(void **state)
{
    static const place_e places[] = { TAG_KEY, TAG_VALUE, FIELD_KEY };
    char text[] = "a-b=c", alone[] = "-", slash[] = "a\\-b";
    int c;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        for (c = 0; c < 128; c++) {
            if (c < 32 || c == 127) {
                text[1] = alone[0] = slash[2] = (char)c;
                check_place(places[i], text, 5, "a\\ b\\=c");
                check_place(places[i], alone, 1, "\\ ");
                check_place(places[i], slash, 4, "a\\ b");
            }
        }
    }
    for (c = 0; c < 32; c++) { /* where a whole word has nothing else */
        char word[] = "abcdefgh-ijklmnop";

        word[8] = (char)c;
        check_place(TAG_VALUE, word, 17, "abcdefgh\\ ijklmnop");
    }
}

static void test_control_bytes_in_strings_stay(void **state)
{
    char text[] = "a-b";
    int c;

    (void)state;
    for (c = 1; c < 128; c++) {
        if ((c < 32 && c != '\n') || c == 127) {
            text[1] = (char)c;
            check_place(STRING, text, 3, text);
        }
    }
}

static void test_lf_in_a_value_is_a_space(void **state)
{
    (void)state;
    check_place(TAG_VALUE, T("a\nb"), "a\\ b");
    check_place(TAG_VALUE, T("\n"), "\\ ");
    check_place(STRING, T("a\nb"), "a b");
    check_place(STRING, T("\n\n"), "  ");
    check_place(TAG_VALUE, T("a\r\tb"), "a\\ \\ b");
    check_place(STRING, T("a\r\tb\x7F"), "a\r\tb\x7F");
}

static void test_tags_without_a_value_are_left_out(void **state)
{
    static const char *const empty[] = { "", "\\", "\\\\\\" };
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        start();
        line_with(TAG_VALUE, empty[i], strlen(empty[i]));
        finish(IMX_LINEPROTO_OK);
        holds("m f=1i 1\n");
    }
    start();
    line_with(STRING, T(""));
    finish(IMX_LINEPROTO_OK);
    holds("m f=\"\" 1\n");
}

static void test_nul_is_a_control_byte_like_another(void **state)
{
    (void)state;
    start();
    imx_lineproto_begin(&lp, T("m"));
    imx_lineproto_tag(&lp, T("k"), T("a\0b"));
    imx_lineproto_field_string(&lp, T("f"), T("\0\0"));
    finish(IMX_LINEPROTO_OK);
    holds_bytes(T("m,k=a\\ b f=\"\0\0\" 1\n"));
}

static void test_longest_parts(void **state)
{
    static char text[IMX_LINEPROTO_NAME_MAX + 2];
    judge_line_t line;
    char *scratch = malloc(sizeof buf);
    place_e place;

    (void)state;
    memset(text, 'x', sizeof text);
    for (place = MEASUREMENT; place <= STRING; place++) {
        int is_value = place == TAG_VALUE || place == STRING;

        check_error(place, text, 65536,
                    is_value ? IMX_LINEPROTO_BAD_VALUE
                             : IMX_LINEPROTO_BAD_NAME);
        start();
        line_with(place, text, 65535);
        finish(IMX_LINEPROTO_OK);
        assert_null(
            judge_line(&line, buf, imx_lineproto_length(&lp), scratch));
    }
    free(scratch);
}

static void test_values_that_are_no_numbers(void **state)
{
    const double bad[] = { NAN, -NAN, INFINITY, -INFINITY };
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++) {
        start();
        good_line();
        imx_lineproto_begin(&lp, T("m"));
        imx_lineproto_field_int(&lp, T("n"), 1);
        imx_lineproto_field_float(&lp, T("f"), bad[i]);
        imx_lineproto_field_int(&lp, T("o"), 1);
        finish(IMX_LINEPROTO_BAD_VALUE);
        good_line();
        holds(GOOD GOOD);
    }
}

/* The first error counts, whatever comes after it. */
static void test_the_first_error_is_told(void **state)
{
    (void)state;
    start();
    imx_lineproto_begin(&lp, T("m"));
    imx_lineproto_tag(&lp, T("_bad"), T("v"));
    imx_lineproto_put_float(&lp, NAN);
    imx_lineproto_begin(&lp, T("m"));
    imx_lineproto_field_float(&lp, T("f"), NAN);
    imx_lineproto_encoded(&lp, T("bytes"));
    imx_lineproto_field_string(&lp, T(""), T(""));
    imx_lineproto_key(&lp, T("k"));
    imx_lineproto_put_bool(&lp, 1);
    assert_int_equal(imx_lineproto_length(&lp), 0);
    finish(IMX_LINEPROTO_BAD_NAME);
    good_line();
    holds(GOOD);
}

/* ---- order ---- */

enum { BETWEEN, IN_TAGS, IN_KEY, IN_FIELDS, REFUSED };
#define CALLS "betkvf"

/* The grammar: from each stage, where a call leads. */
static const int leads_to[4][6] = {
    /*               b        e        t        k       v          f */
    /* between */ { IN_TAGS, IN_TAGS, REFUSED, REFUSED, REFUSED, REFUSED },
    /* tags */ { REFUSED, IN_TAGS, IN_TAGS, IN_KEY, REFUSED, IN_FIELDS },
    /* key */ { REFUSED, REFUSED, REFUSED, REFUSED, IN_FIELDS, REFUSED },
    /* fields */ { REFUSED, REFUSED, REFUSED, IN_KEY, REFUSED, IN_FIELDS },
};

static void call(char c, int stage, char *expected)
{
    const char *text = "";

    switch (c) {
    case 'b':
        imx_lineproto_begin(&lp, T("m"));
        text = "m";
        break;
    case 'e':
        text = stage == BETWEEN ? "x,y=z" : ",e=1";
        imx_lineproto_encoded(&lp, text, strlen(text));
        break;
    case 't':
        imx_lineproto_tag(&lp, T("t"), T("v"));
        text = ",t=v";
        break;
    case 'k':
        imx_lineproto_key(&lp, T("k"));
        text = stage == IN_TAGS ? " k=" : ",k=";
        break;
    case 'v':
        imx_lineproto_put_bool(&lp, 1);
        text = "true";
        break;
    case 'f':
        imx_lineproto_field_int(&lp, T("f"), -3);
        text = stage == IN_TAGS ? " f=-3i" : ",f=-3i";
        break;
    }
    strcat(expected, text);
}

static void check_order(const char *calls, size_t n)
{
    char expected[256] = GOOD;
    imx_lineproto_error_e error;
    int stage = BETWEEN;
    size_t i;

    start();
    good_line();
    for (i = 0; i < n; i++) {
        call(calls[i], stage, expected);
        if (stage != REFUSED) {
            stage = leads_to[stage][strchr(CALLS, calls[i]) - CALLS];
        }
    }
    error = stage == IN_FIELDS ? IMX_LINEPROTO_OK
            : stage == IN_TAGS ? IMX_LINEPROTO_NO_FIELDS
                               : IMX_LINEPROTO_BAD_ORDER;
    if (imx_lineproto_end(&lp, 1) != error) {
        fail_msg("wrong answer to the calls %.*s", (int)n, calls);
    }
    strcpy(stage == IN_FIELDS ? expected + strlen(expected)
                              : expected + strlen(GOOD),
           stage == IN_FIELDS ? " 1\n" : "");
    good_line();
    strcat(expected, GOOD);
    holds(expected);
}

/* All sequences of up to six calls against the table above. */
static void test_every_order_of_calls(void **state)
{
    char calls[6];
    size_t n, i;
    unsigned number, sequences = 1;

    (void)state;
    for (n = 0; n <= sizeof calls; n++) {
        for (number = 0; number < sequences; number++) {
            unsigned rest = number;

            for (i = 0; i < n; i++) {
                calls[i] = CALLS[rest % 6];
                rest /= 6;
            }
            check_order(calls, n);
        }
        sequences *= 6;
    }
}

/* ---- room ---- */

/* One of everything, with all that needs more bytes than it has. */
static imx_lineproto_error_e one_of_everything(imx_lineproto_t *l)
{
    imx_lineproto_begin(l, T("m, \xFF"));
    imx_lineproto_encoded(l, T(",aa=bb"));
    imx_lineproto_tag(l, T("k=\xC3\xA4"), T("v\n \xE2\x82\xAC\xE2"));
    imx_lineproto_field_int(l, T("i=,"), INT64_MIN);
    imx_lineproto_field_float(l, T("f"), 0.1);
    imx_lineproto_field_float(l, T("g"), -DBL_MIN / 3);
    imx_lineproto_field_bool(l, T("b"), 0);
    imx_lineproto_field_string(l, T("s"), T("\"\\\n\xF0\x9F\xA7\x80\x80"));
    imx_lineproto_field_seconds(l, T("t"), -1234567890);
    imx_lineproto_key(l, T("k"));
    imx_lineproto_put_bool(l, 1);
    return imx_lineproto_end(l, INT64_MIN);
}

#define CANARY 64

static void check_size(imx_lineproto_error_e (*line)(imx_lineproto_t *),
                       const char *expected, size_t len, size_t size)
{
    unsigned char *area = malloc(size + 2 * CANARY);
    char *exact = malloc(size); /* for the address sanitizer */
    imx_lineproto_error_e error;
    size_t i;

    memset(area, 0xA5, size + 2 * CANARY);
    imx_lineproto_init(&lp, (char *)area + CANARY, size);
    error = line(&lp);
    assert_int_equal(error,
                     size < len ? IMX_LINEPROTO_NO_ROOM : IMX_LINEPROTO_OK);
    assert_int_equal(imx_lineproto_length(&lp), size < len ? 0 : len);
    if (size >= len) {
        assert_memory_equal(area + CANARY, expected, len);
    }
    for (i = 0; i < CANARY; i++) {
        if (area[i] != 0xA5 || area[CANARY + size + i] != 0xA5) {
            fail_msg("a byte outside a buffer of %zu bytes", size);
        }
    }
    imx_lineproto_init(&lp, exact, size);
    assert_int_equal(line(&lp), error);
    free(exact);
    free(area);
}

static imx_lineproto_error_e the_full_line(imx_lineproto_t *l)
{
    put_prefix(l);
    return put_full_fields(l);
}

static imx_lineproto_error_e a_prefixed_line(imx_lineproto_t *l)
{
    imx_lineproto_encoded(l, T(PREFIX));
    return put_full_fields(l);
}

static void test_every_buffer_size(void **state)
{
    /* cppcheck-suppress uninitvar ; it does not see this initializer */
    imx_lineproto_error_e (*const lines[])(imx_lineproto_t *) = {
        the_full_line, a_prefixed_line, one_of_everything
    };
    static char expected[1024];
    size_t which, size, len;

    (void)state;
    for (which = 0; which < 3; which++) {
        imx_lineproto_init(&lp, expected, sizeof expected);
        assert_int_equal(lines[which](&lp), IMX_LINEPROTO_OK);
        len = imx_lineproto_length(&lp);
        assert_true(len > 100);
        for (size = 0; size <= len + 1; size++) {
            check_size(lines[which], expected, len, size);
        }
    }
}

/* A full buffer keeps its lines, and a shorter line may still fit. */
static void test_no_room_behind_other_lines(void **state)
{
    const size_t good = strlen(GOOD), full = strlen(FULL_LINE);
    size_t size;

    (void)state;
    for (size = 2 * good; size < good + full; size++) {
        imx_lineproto_init(&lp, buf, size);
        good_line();
        assert_int_equal(the_full_line(&lp), IMX_LINEPROTO_NO_ROOM);
        good_line();
        holds(GOOD GOOD);
    }
}

/* ---- whole numbers ---- */

static void check_number(void (*put)(imx_lineproto_t *, int64_t), int64_t v,
                         const char *expected)
{
    char line[128];

    start();
    imx_lineproto_begin(&lp, T("m"));
    imx_lineproto_key(&lp, T("f"));
    put(&lp, v);
    assert_int_equal(imx_lineproto_end(&lp, v), IMX_LINEPROTO_OK);
    snprintf(line, sizeof line, "m f=%s %" PRId64 "\n", expected, v);
    holds(line);
}

static void check_int(int64_t v)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64 "i", v);
    check_number(imx_lineproto_put_int, v, text);
}

static void test_integers(void **state)
{
    int64_t power;
    int i;

    (void)state;
    for (power = 1;; power *= 10) {
        for (i = -2; i <= 2; i++) {
            check_int(power + i);
            check_int(-power + i);
        }
        if (power == INT64_C(1000000000000000000)) {
            break;
        }
    }
    for (i = 0; i < 3; i++) {
        check_int(INT64_MAX - i);
        check_int(INT64_MIN + i);
    }
    for (i = 0; i < 100000; i++) {
        check_int((int64_t)(random64() >> below(64)));
        check_int((int64_t)(0 - (random64() >> below(64))));
    }
    for (i = -10000; i <= 10000; i++) {
        check_int(i);
    }
}

/* Microseconds are cut off, not rounded. */
static const char *seconds_text(int64_t ns)
{
    static char text[40];
    uint64_t us = (ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns) / 1000;

    snprintf(text, sizeof text, "%s%" PRIu64 ".%06" PRIu64, ns < 0 ? "-" : "",
             us / 1000000, us % 1000000);
    return text;
}

static void check_seconds(int64_t ns)
{
    check_number(imx_lineproto_put_seconds, ns, seconds_text(ns));
}

static void test_seconds(void **state)
{
    const int64_t s = 1000000000;
    int64_t power;
    int i;

    (void)state;
    check_number(imx_lineproto_put_seconds, 0, "0.000000");
    check_number(imx_lineproto_put_seconds, 999, "0.000000");
    check_number(imx_lineproto_put_seconds, 1000, "0.000001");
    check_number(imx_lineproto_put_seconds, 1999, "0.000001");
    check_number(imx_lineproto_put_seconds, s - 1, "0.999999");
    check_number(imx_lineproto_put_seconds, s, "1.000000");
    check_number(imx_lineproto_put_seconds, 90 * s + 5000, "90.000005");
    check_number(imx_lineproto_put_seconds, -1500 * (s / 1000), "-1.500000");
    check_number(imx_lineproto_put_seconds, -1000, "-0.000001");
    check_number(imx_lineproto_put_seconds, INT64_MAX, "9223372036.854775");
    check_number(imx_lineproto_put_seconds, INT64_MIN, "-9223372036.854775");
    for (power = 1; power < INT64_MAX / 10; power *= 10) {
        for (i = -1; i <= 1; i++) {
            check_seconds(power + i);
            check_seconds(-power + i);
        }
    }
    for (i = 0; i < 100000; i++) {
        check_seconds((int64_t)(random64() >> below(64)));
    }
}

/* Nine digits, and the first six; a comma behind them, and nothing more. */
static void check_digits(uint32_t v)
{
    char wanted[12], got[12];

    snprintf(wanted, sizeof wanted, "%09" PRIu32, v);
    memset(got, 'x', sizeof got);
    assert_ptr_equal(imx_lineproto_write_nine(got, v), got + 9);
    assert_memory_equal(got, wanted, 9);
    assert_memory_equal(got + 9, ",x", 2);
    memset(got, 'x', sizeof got);
    assert_ptr_equal(imx_lineproto_write_six_of_nine(got, v), got + 6);
    assert_memory_equal(got, wanted, 6);
    assert_memory_equal(got + 6, ",x", 2);
}

/* Where a factor that is not exact would be wrong first: at a number with zeros
 * behind, and at the one before it. */
static void test_digits(void **state)
{
    uint32_t v;
    int i;

    (void)state;
    for (v = 1000; v <= 1000000000; v += v < 1000000 ? 1000 : 11000) {
        check_digits(v - 1);
        check_digits(v < 1000000000 ? v : 0);
    }
    for (v = 1000000; v <= 1000000000; v += 1000000) {
        check_digits(v - 1);
    }
    for (i = 0; i < 100000; i++) {
        check_digits((uint32_t)(random64() % 1000000000));
    }
}

static void check_short(uint32_t v)
{
    char wanted[12];
    size_t len;
    uint64_t got = imx_lineproto_short(v, &len);

    assert_int_equal(len, snprintf(wanted, sizeof wanted, "%" PRIu32, v));
    assert_memory_equal(&got, wanted, len);
}

/* All that the upper four digits can be, and the lower ones: they are made
 * apart from each other.  A factor that divides them wrongly is first found
 * where the lower ones are zeros, or the largest number is made. */
static void test_short(void **state)
{
    uint32_t v;

    (void)state;
    for (v = 0; v < 10000; v++) {
        check_short(v);
        check_short(v * 10000);
        check_short((9999 - v) * 10000 + v);
    }
    for (v = 1; v < IMX_LINEPROTO_SHORT; v *= 10) {
        check_short(v);
        check_short(v * 10 - 1);
    }
}

static void test_bools(void **state)
{
    (void)state;
    start();
    imx_lineproto_begin(&lp, T("m"));
    imx_lineproto_field_bool(&lp, T("a"), 0);
    imx_lineproto_field_bool(&lp, T("b"), 1);
    imx_lineproto_field_bool(&lp, T("c"), INT_MIN);
    finish(IMX_LINEPROTO_OK);
    holds("m a=false,b=true,c=true 1\n");
}

/* ---- floats: t/unit/decimal.c has the rest ---- */

static double from_bits(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static void test_floats(void **state)
{
    (void)state;
    start();
    imx_lineproto_begin(&lp, T("m"));
    imx_lineproto_field_float(&lp, T("a"), -0.05);
    imx_lineproto_field_float(&lp, T("b"), 5e-324);
    finish(IMX_LINEPROTO_OK);
    holds("m a=-0.05,b=4.9406564584124654e-324 1\n");
}

/* ---- locale ---- */

static int has_decimal_comma(void)
{
    return *localeconv()->decimal_point == ',';
}

static int use_installed_comma_locale(void)
{
    static const char *const names_[] = {
        "de_DE.UTF-8", "fr_FR.UTF-8", "cs_CZ.UTF-8", "de_DE", "ru_RU.UTF-8"
    };
    size_t i;

    for (i = 0; i < sizeof names_ / sizeof *names_; i++) {
        if (setlocale(LC_ALL, names_[i]) != NULL && has_decimal_comma()) {
            return 1;
        }
    }
    return 0;
}

/* Makes one where the machine has none but can (Debian's locales). */
static int use_made_comma_locale(char *dir)
{
    char command[256];

    snprintf(command, sizeof command,
             "localedef -c -i de_DE -f UTF-8"
             " %s/de_DE.UTF-8 >/dev/null 2>&1",
             dir);
    if (system(command) == -1) {
        return 0;
    }
    setenv("LOCPATH", dir, 1);
    return setlocale(LC_ALL, "de_DE.UTF-8") != NULL && has_decimal_comma();
}

static void test_locale_changes_nothing(void **state)
{
    char dir[] = "/tmp/imx-locale-XXXXXX", command[64], text[16];
    int found;

    (void)state;
    assert_non_null(mkdtemp(dir));
    found = use_installed_comma_locale() || use_made_comma_locale(dir);
    if (found) {
        snprintf(text, sizeof text, "%.1f", 0.5);
        assert_string_equal(text, "0,5");
        start();
        imx_lineproto_begin(&lp, T("m"));
        imx_lineproto_field_float(&lp, T("f"), 1234567.5);
        imx_lineproto_field_float(&lp, T("g"), 5e-324);
        imx_lineproto_field_seconds(&lp, T("s"), 1234567);
        imx_lineproto_field_int(&lp, T("i"), 1234567);
        finish(IMX_LINEPROTO_OK);
    }
    setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    if (!found) {
        puts("# no locale with a decimal comma: not tested");
        return;
    }
    holds("m f=1234567.5,g=4.9406564584124654e-324,s=0.001234,i=1234567i 1\n");
}

/* ---- UTF-8 ---- */

/* Every bad byte becomes U+FFFD, everything else stays. */
static size_t repaired_utf8(char *to, const char *s, size_t n)
{
    char *p = to;
    size_t i, len;

    for (i = 0; i < n; i += len) {
        len = judge_utf8(s + i, n - i);
        memcpy(p, len > 0 ? s + i : REPLACEMENT, len > 0 ? len : 3);
        p += len > 0 ? len : 3;
        len += len == 0;
    }
    return (size_t)(p - to);
}

static void check_utf8(const char *s, size_t n)
{
    char expected[128] = "m f=\"";
    size_t len = strlen(expected);

    len += repaired_utf8(expected + len, s, n);
    memcpy(expected + len, "\" 1\n", 4);
    start();
    line_with(STRING, s, n);
    finish(IMX_LINEPROTO_OK);
    holds_bytes(expected, len + 4);
}

static void test_utf8_table(void **state)
{
#define R REPLACEMENT
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "\xC2\x80", "\xC2\x80" },
        { "\xDF\xBF", "\xDF\xBF" },
        { "\xE0\xA0\x80", "\xE0\xA0\x80" },
        { "\xEF\xBF\xBF", "\xEF\xBF\xBF" },
        { "\xF0\x90\x80\x80", "\xF0\x90\x80\x80" },
        { "\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF" },
        { "\xC0\x80", R R },
        { "\xC1\xBF", R R }, /* overlong */
        { "\xE0\x9F\xBF", R R R },
        { "\xF0\x8F\xBF\xBF", R R R R },
        { "\xED\x9F\xBF", "\xED\x9F\xBF" },
        { "\xED\xA0\x80", R R R },
        { "\xED\xBF\xBF", R R R },       /* surrogates */
        { "\xF4\x90\x80\x80", R R R R }, /* past U+10FFFF */
        { "\xF5\x80\x80\x80", R R R R },
        { "\xFE", R },
        { "\xFF", R },
        { "\xC2", R },
        { "\xE2\x82", R R },
        { "\xF0\x9F\xA7", R R R },
        { "\xC2z", R "z" },
        { "\xE2\x82z", R R "z" }, /* truncated */
        { "\x80", R },
        { "a\xBFz", "a" R "z" },
        { "\xE2\x82\xE2\x82\xAC", R R "\xE2\x82\xAC" },
    };
#undef R
    size_t i;
    place_e place;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (place = MEASUREMENT; place <= STRING; place++) {
            check_place(place, cases[i].text, strlen(cases[i].text),
                        cases[i].expected);
        }
    }
}

/* All pairs of bytes; all edges of longer sequences.  A quote and a backslash
 * of a string, and LF, are not part of this. */
static void test_utf8_sequences(void **state)
{
    static const char edges[] = "\x41\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xE2\xF0";
    const size_t n = sizeof edges - 1;
    char s[5];
    int lead, second;
    size_t i;

    (void)state;
    for (lead = 128; lead < 256; lead++) {
        s[0] = (char)lead;
        for (second = 128; second < 256; second++) {
            s[1] = (char)second;
            check_utf8(s, 2);
            check_utf8(s, 1); /* what is behind it does not count */
        }
        for (i = 0; i < n * n * n; i++) {
            s[1] = edges[i % n];
            s[2] = edges[i / n % n];
            s[3] = edges[i / n / n];
            s[4] = 'z';
            check_utf8(s, 2);
            check_utf8(s, 3);
            check_utf8(s, 4);
            check_utf8(s, 5);
        }
    }
}

/* ---- random lines against the judge ---- */

#define TAGS_MAX 6
#define FIELDS_MAX 6

typedef struct {
    char bytes[128];
    size_t len;
} text_t;

typedef struct {
    text_t key, string;
    char type; /* as the judge's, and t: seconds */
    int64_t i;
    double f;
} field_t;

typedef struct {
    text_t measurement;
    size_t tags, fields;
    text_t tag[TAGS_MAX][2];
    field_t field[FIELDS_MAX];
    int64_t time;
} line_t;

/* Mostly what hurts. */
static void random_text(text_t *t, int control)
{
    static const char hurts[] = ",= \"\\\\\\_#";
    static const char *const pieces[] = {
        "\xC3\xA4",     "\xE2\x82\xAC", "\xF0\x9F\xA7\x80",
        "\xED\xA0\x80", "time",         "\xC0\x80",
        "\xE2\x82",     "1i",           "\xFF"
    };

    t->len = 0;
    do {
        size_t kind = below(control ? 5 : 4);

        if (kind == 0) {
            t->bytes[t->len++] = hurts[below(sizeof hurts - 1)];
        }
        else if (kind == 1) {
            const char *piece = pieces[below(sizeof pieces / sizeof *pieces)];

            memcpy(t->bytes + t->len, piece, strlen(piece));
            t->len += strlen(piece);
        }
        else if (kind == 4) {
            t->bytes[t->len++] = (char)below(33);
        }
        else {
            t->bytes[t->len++] = (char)('a' + below(26));
        }
    } while (below(8) > 0 && t->len < 24);
}

static void random_line(line_t *line)
{
    size_t i;

    random_text(&line->measurement, 0);
    line->tags = below(TAGS_MAX + 1);
    for (i = 0; i < line->tags; i++) {
        random_text(&line->tag[i][0], 0);
        random_text(&line->tag[i][1], 1);
    }
    line->fields = 1 + below(FIELDS_MAX);
    for (i = 0; i < line->fields; i++) {
        field_t *f = &line->field[i];

        random_text(&f->key, 0);
        random_text(&f->string, 1);
        f->type = "ifbst"[below(5)];
        f->i = (int64_t)(random64() >> below(64));
        do {
            f->f = below(2) ? from_bits(random64()) : (double)f->i / 1000;
        } while (!isfinite(f->f));
    }
    line->time = (int64_t)(random64() >> below(64));
}

static imx_lineproto_error_e encode(imx_lineproto_t *l, const line_t *line)
{
    size_t i;

    imx_lineproto_begin(l, line->measurement.bytes, line->measurement.len);
    for (i = 0; i < line->tags; i++) {
        imx_lineproto_tag(l, line->tag[i][0].bytes, line->tag[i][0].len,
                          line->tag[i][1].bytes, line->tag[i][1].len);
    }
    for (i = 0; i < line->fields; i++) {
        const field_t *f = &line->field[i];
        const char *key = f->key.bytes;
        size_t n = f->key.len;

        switch (f->type) {
        case 'i':
            imx_lineproto_field_int(l, key, n, f->i);
            break;
        case 'f':
            imx_lineproto_field_float(l, key, n, f->f);
            break;
        case 'b':
            imx_lineproto_field_bool(l, key, n, f->i & 1);
            break;
        case 't':
            imx_lineproto_field_seconds(l, key, n, f->i);
            break;
        default:
            imx_lineproto_field_string(l, key, n, f->string.bytes,
                                       f->string.len);
        }
    }
    return imx_lineproto_end(l, line->time);
}

/* What is to be read for a text at a place: the header's repairs, done the
 * long way.  Returns 0 when it is refused there. */
static int repaired(text_t *to, const text_t *from, place_e place)
{
    const char *escaped = place == MEASUREMENT ? ", " : ",= ";
    size_t i, kept = 0;

    to->len = repaired_utf8(to->bytes, from->bytes, from->len);
    for (i = 0; i < to->len; i++) {
        unsigned char c = (unsigned char)to->bytes[i];

        if (c == '\n'
            || ((c < 32 || c == 127) && place != STRING
                && place != MEASUREMENT)) {
            to->bytes[i] = ' ';
        }
    }
    if (place == STRING) {
        return 1;
    }
    for (i = to->len; i > 0; i--) { /* from the end: runs of backslashes */
        char c = to->bytes[i - 1];
        char follows = kept > 0 ? to->bytes[to->len - kept] : '\0';

        if (c == '\\'
            && (kept == 0 || (follows != '\0' && strchr(escaped, follows)))) {
            continue;
        }
        kept++;
        to->bytes[to->len - kept] = c;
    }
    memmove(to->bytes, to->bytes + to->len - kept, kept);
    to->len = kept;
    if (place == TAG_VALUE) {
        return 1;
    }
    return kept > 0 && to->bytes[0] != '_'
           && !(place == MEASUREMENT && to->bytes[0] == '#')
           && !(place != MEASUREMENT && kept == 4
                && memcmp(to->bytes, "time", 4) == 0);
}

static int same(const judge_text_t *seen, const text_t *expected)
{
    return seen->len == expected->len
           && memcmp(seen->bytes, expected->bytes, seen->len) == 0;
}

static int same_field(const judge_field_t *seen, const field_t *f)
{
    text_t expected;

    switch (f->type) {
    case 'i':
        return seen->type == 'i' && seen->i == f->i;
    case 'f':
        return seen->type == 'f' && memcmp(&seen->f, &f->f, sizeof f->f) == 0;
    case 'b':
        return seen->type == 'b' && seen->b == (int)(f->i & 1);
    case 't':
        return seen->type == 'f'
               && seen->f == strtod(seconds_text(f->i), NULL);
    default:
        repaired(&expected, &f->string, STRING);
        return seen->type == 's' && same(&seen->s, &expected);
    }
}

/* NULL, or what differs.  *refused: the line is to be refused. */
static const char *compare(const judge_line_t *seen, const line_t *line,
                           int *refused)
{
    text_t key, value;
    size_t i, tags = 0;

    *refused = !repaired(&key, &line->measurement, MEASUREMENT);
    if (!*refused && seen && !same(&seen->measurement, &key)) {
        return "measurement";
    }
    for (i = 0; i < line->tags; i++) {
        repaired(&value, &line->tag[i][1], TAG_VALUE);
        if (value.len == 0) {
            continue;
        }
        *refused |= !repaired(&key, &line->tag[i][0], TAG_KEY);
        if (seen
            && (tags >= seen->tags || !same(&seen->tag[tags].key, &key)
                || !same(&seen->tag[tags].value, &value))) {
            return "tag";
        }
        tags++;
    }
    for (i = 0; i < line->fields; i++) {
        *refused |= !repaired(&key, &line->field[i].key, FIELD_KEY);
        if (seen
            && (!same(&seen->field[i].key, &key)
                || !same_field(&seen->field[i], &line->field[i]))) {
            return "field";
        }
    }
    return seen
                   && (seen->tags != tags || seen->fields != line->fields
                       || seen->time != line->time)
               ? "count or time"
               : NULL;
}

static void check_line(const line_t *line)
{
    static char scratch[sizeof buf];
    judge_line_t seen;
    int refused;
    const char *wrong;
    size_t len;

    start();
    (void)compare(NULL, line, &refused);
    assert_int_equal(encode(&lp, line),
                     refused ? IMX_LINEPROTO_BAD_NAME : IMX_LINEPROTO_OK);
    len = imx_lineproto_length(&lp);
    if (refused) {
        assert_int_equal(len, 0);
        return;
    }
    wrong = judge_line(&seen, buf, len, scratch);
    if (wrong == NULL) {
        wrong = compare(&seen, line, &refused);
    }
    if (wrong != NULL) {
        fail_msg("%s: <%.*s>", wrong, (int)len, buf);
    }
    imx_lineproto_init(&lp, buf, below(len));
    assert_int_equal(encode(&lp, line), IMX_LINEPROTO_NO_ROOM);
}

static void test_random_lines(void **state)
{
    line_t line;
    int i;

    (void)state;
    for (i = 0; i < 200000; i++) {
        random_line(&line);
        check_line(&line);
    }
}

/* The judge must be able to say no. */
static void test_the_judge(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "m\n",
        "m f=1i 1",
        "m f=1i\n",
        "m f=1i 1\n\n",
        "m f= 1\n",
        "m =1i 1\n",
        "m,=v f=1i 1\n",
        "m,k= f=1i 1\n",
        "m,k f=1i 1\n",
        "m,k=v=w f=1i 1\n",
        "m  f=1i 1\n",
        "m f=1i  1\n",
        "m f=1i,,g=1i 1\n",
        "#m f=1i 1\n",
        "_m f=1i 1\n",
        "m _f=1i 1\n",
        "m,time=1 f=1i 1\n",
        "m time=1i 1\n",
        "m f=1u 1\n",
        "m f=1.5i 1\n",
        "m f=1e 1\n",
        "m f=.5 1\n",
        "m f=1. 1\n",
        "m f=- 1\n",
        "m f=NaN 1\n",
        "m f=+1 1\n",
        "m f=inf 1\n",
        "m f=1e999 1\n",
        "m f=0x1p3 1\n",
        "m f=1,5 1\n",
        "m f=9223372036854775808i 1\n",
        "m f=1i 9223372036854775808\n",
        "m f=truely 1\n",
        "m f=\"a 1\n",
        "m f=\"a\\b\" 1\n",
        "m f=\"a\"b 1\n",
        "m,k=a\\ f=1i 1\n",
        "m,k=a\\\\ b f=1i 1\n",
        "m a\\\\,b=1i 1\n",
        "m,k=a\nb f=1i 1\n",
        "m,k=\xFF f=1i 1\n",
        "m\x01 f=1i 1\n",
        "m f=\"\xED\xA0\x80\" 1\n",
        "m f=1i 1.5\n",
        "m f=1i -\n",
    };
    judge_line_t line;
    char scratch[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (judge_line(&line, bad[i], strlen(bad[i]), scratch) == NULL) {
            fail_msg("the judge takes <%s>", bad[i]);
        }
    }
    assert_null(judge_line(&line,
                           T("m\\,=\\x,k\\=\\ =\\v f\\,=\"\\\"\\\\=, \","
                             "g=-1.5e+3,h=T -7\n"),
                           scratch));
    assert_int_equal(line.tags, 1);
    assert_int_equal(line.fields, 3);
    assert_memory_equal(line.measurement.bytes, "m,=\\x", 5);
    assert_memory_equal(line.tag[0].key.bytes, "k= ", 3);
    assert_memory_equal(line.tag[0].value.bytes, "\\v", 2);
    assert_memory_equal(line.field[0].key.bytes, "f,", 2);
    assert_memory_equal(line.field[0].s.bytes, "\"\\=, ", 5);
    assert_true(line.field[1].f == -1500);
    assert_int_equal(line.field[2].b, 1);
    assert_true(line.time == -7);
}

/* ---- a line in pieces: keys that were encoded before ---- */

/* As line.c does it: each piece has an encoder of its own, and what fails in it
 * leaves the pieces before as they are. */
static size_t put_tag_piece(char *p, size_t size, const char *key,
                            size_t key_len, const char *value, size_t len)
{
    imx_lineproto_t piece;

    imx_lineproto_init(&piece, p, size);
    imx_lineproto_encoded(&piece, key, key_len);
    imx_lineproto_tag_value(&piece, value, len);
    return imx_lineproto_error(&piece) == IMX_LINEPROTO_OK
                   && imx_lineproto_length(&piece) > key_len
               ? imx_lineproto_length(&piece)
               : 0;
}

static void test_pieces_are_as_the_whole(void **state)
{
    static const char *const values[] = {
        "plain",      "",         "\\\\",
        "a b,c=d",    "x\\",      "\\ x",
        "line\nfeed", "\xFF\xC3", "long enough for eight"
    };
    char piece[512];
    size_t i, len;

    (void)state;
    for (i = 0; i < sizeof values / sizeof values[0]; i++) {
        start();
        imx_lineproto_encoded(&lp, "", 0);
        imx_lineproto_tag(&lp, T("key"), values[i], strlen(values[i]));
        len = put_tag_piece(piece, sizeof piece, T(",key="), values[i],
                            strlen(values[i]));
        holds_bytes(piece, len);
    }
    start();
    imx_lineproto_encoded_key(&lp, T(",a\\ b="));
    imx_lineproto_put_string(&lp, T("x\"y"));
    imx_lineproto_encoded_key(&lp, T(",n="));
    imx_lineproto_put_int(&lp, -5);
    holds(",a\\ b=\"x\\\"y\",n=-5i");
}

static void test_pieces_in_every_size(void **state)
{
    char piece[64];
    size_t size;

    (void)state;
    for (size = 0; size < 40; size++) {
        memset(piece, '#', sizeof piece);
        size_t len = put_tag_piece(piece, size, T(",key="),
                                   T("a value, escaped"));

        assert_true(len == 0 || len == strlen(",key=a\\ value\\,\\ escaped"));
        assert_true(len <= size);
        assert_int_equal(piece[size], '#');
        imx_lineproto_init(&lp, piece, size);
        imx_lineproto_encoded_key(&lp, T(",key="));
        imx_lineproto_put_seconds(&lp, 1500000000);
        assert_true((imx_lineproto_error(&lp) == IMX_LINEPROTO_OK)
                    == (size >= strlen(",key=1.500000")));
        assert_int_equal(piece[size], '#');
    }
}

static void test_pieces_out_of_order(void **state)
{
    (void)state;
    start();
    imx_lineproto_tag_value(&lp, T("x")); /* no key before it */
    assert_int_equal(imx_lineproto_error(&lp), IMX_LINEPROTO_BAD_ORDER);
    start();
    imx_lineproto_encoded_key(&lp, T(",a="));
    imx_lineproto_encoded_key(&lp, T(",b="));
    assert_int_equal(imx_lineproto_error(&lp), IMX_LINEPROTO_BAD_ORDER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_judge),
        cmocka_unit_test(test_full_line),
        cmocka_unit_test(test_full_line_from_a_prefix),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_names_that_a_repair_makes_bad),
        cmocka_unit_test(test_trailing_backslashes_are_left_off),
        cmocka_unit_test(test_backslashes_before_an_escape_are_left_off),
        cmocka_unit_test(test_control_bytes_in_tags_are_spaces),
        cmocka_unit_test(test_control_bytes_in_strings_stay),
        cmocka_unit_test(test_lf_in_a_value_is_a_space),
        cmocka_unit_test(test_tags_without_a_value_are_left_out),
        cmocka_unit_test(test_nul_is_a_control_byte_like_another),
        cmocka_unit_test(test_longest_parts),
        cmocka_unit_test(test_values_that_are_no_numbers),
        cmocka_unit_test(test_the_first_error_is_told),
        cmocka_unit_test(test_every_order_of_calls),
        cmocka_unit_test(test_every_buffer_size),
        cmocka_unit_test(test_no_room_behind_other_lines),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_short),
        cmocka_unit_test(test_bools),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_locale_changes_nothing),
        cmocka_unit_test(test_utf8_table),
        cmocka_unit_test(test_utf8_sequences),
        cmocka_unit_test(test_pieces_are_as_the_whole),
        cmocka_unit_test(test_pieces_in_every_size),
        cmocka_unit_test(test_pieces_out_of_order),
        cmocka_unit_test(test_random_lines),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
