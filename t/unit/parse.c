/*
 * t/unit/parse.c: what is line protocol that every engine takes, case by case,
 * and what is said of what is not.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "intake/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static imx_parse_t parse;
static imx_parse_line_t line;

/* Reads a text from memory of exactly its size; returns how many lines it has,
 * or minus the number of the wrong one.  The last line stays in `line`. */
static int read_bytes(const char *text, size_t len, imx_parse_precision_e unit)
{
    static char *exact;
    int lines = 0, rv;

    free(exact);
    exact = malloc(len + 1);
    memcpy(exact, text, len);
    imx_parse_begin(&parse, exact, len, unit);
    while ((rv = imx_parse_next(&parse, &line)) == 1) {
        lines++;
    }
    return rv == 0 ? lines : -(int)parse.number;
}

static int read_text(const char *text)
{
    return read_bytes(text, strlen(text), IMX_PARSE_NANOSECONDS);
}

static void assert_text(imx_parse_text_t got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.bytes, want, got.len);
}

static void assert_taken(const char *const *texts, size_t n)
{
    for (; n > 0; n--, texts++) {
        if (read_text(*texts) != 1) {
            fail_msg("refused: <%s>: %s", *texts, parse.wrong);
        }
    }
}

/* Each with words of the reason. */
typedef struct {
    const char *text, *reason;
} refused_t;

static void assert_refused(const refused_t *r, size_t n)
{
    for (; n > 0; n--, r++) {
        if (read_text(r->text) != -1) {
            fail_msg("taken: <%s>", r->text);
        }
        if (strstr(parse.wrong, r->reason) == NULL) {
            fail_msg("<%s>: %s", r->text, parse.wrong);
        }
    }
}

#define TAKEN(texts) assert_taken(texts, sizeof(texts) / sizeof *(texts))
#define REFUSED(texts) assert_refused(texts, sizeof(texts) / sizeof *(texts))

static void parts(void **state)
{
    (void)state;
    assert_int_equal(read_text("  a\\ b,k\\=1=v\\,2,l=x \tf=1\n"), -1);
    assert_int_equal(
        read_text(" a\\ b,k\\=1=v\\,2,l=x   f=1i,g=\"a \\\" b, c\"   -17  \n"),
        1);
    assert_text(line.measurement, "a\\ b");
    assert_text(line.tags, ",k\\=1=v\\,2,l=x");
    assert_text(line.fields, "f=1i,g=\"a \\\" b, c\"");
    assert_true(line.has_time && line.time == -17);
    assert_int_equal(parse.tags, 2);
    assert_int_equal(parse.fields, 2);
    assert_text(parse.keys[1], "l");
    assert_text(parse.keys[3], "g");
    assert_int_equal(read_text("m f=t"), 1);
    assert_text(line.tags, "");
    assert_text(line.fields, "f=t");
    assert_false(line.has_time);
}

static void lines(void **state)
{
    (void)state;
    assert_int_equal(read_text(""), 0);
    assert_int_equal(read_text("\n\r\n  \n"), 0);
    assert_int_equal(read_text("# m f=\n#\n  #x\r\n"), 0);
    assert_int_equal(read_text("m f=1\nm f=2\n"), 2);
    assert_int_equal(read_text("m f=1\r\nm f=2 3 \r\nm f=3\r"), 3);
    assert_int_equal(read_text("m f=1\n\n# c\nm f\n"), -4);
    assert_int_equal(read_text("m f=1\nm f=\"\nm f=1\n"), -2);
    assert_int_equal(read_text("m f=1\nm f=1 1\rm f=1\n"), -2);
    assert_int_equal(read_text("m f=1\r\n\r\n\r\nm\r\n"), -4);
}

static void names(void **state)
{
    static const char *const taken[] = {
        "m=\"#,k\"=#\"',k#=\"v\" f\"=1",
        "m\\x\\'=,k\\a\\\\b\\\"=\\v\\\" f\\\\g\"=1",
        "\\#m f=1",
        "a_b,k_=_v f_=1",
        "m\\,\\ \\,,k=\\ ,l=\\, f\\==1",
        "\xC3\xA4,\xE2\x82\xAC=\xF0\x9F\x98\x80 \xEF\xBF\xBD=1",
        "Time,Time=time time2=1"
    };
    static const refused_t refused[] = {
        { ",k=v f=1", "no measurement" },
        { "_m f=1", "begins with '_'" },
        { "m,_k=v f=1", "begins with '_'" },
        { "m _f=1", "begins with '_'" },
        { "m,time=v f=1", "is \"time\"" },
        { "m time=1", "is \"time\"" },
        { "m\t,k=v f=1", "control" },
        { "m,k=a\tb f=1", "control" },
        { "m,k\x7F=v f=1", "control" },
        { "m f\x01=1", "control" },
        { "m, f=1", "key is missing" },
        { "m,k f=1", "no '='" },
        { "m,k=v, f=1", "key is missing" },
        { "m,=v f=1", "key is missing" },
        { "m,k= f=1", "without a value" },
        { "m,k=,l=v f=1", "without a value" },
        { "m,k=v=w f=1", "'=' in a tag" },
        { "m,k=v\\ f=1", "'=' in a tag" },
        { "m,k=v\\ f", "no field" },
        { "m,k=v\\\\ f=1", "two backslashes" },
        { "m\\\\,k=v f=1", "two backslashes" },
        { "m f\\\\==1", "two backslashes" },
        { "m\\=x f=1", "in the measurement, which InfluxDB 1" },
        { "m\\\\\\=x,k=v f=1", "in the measurement, which InfluxDB 1" },
        { "m\\\"x f=1", "in the measurement, which InfluxDB 1" },
        { "m g=1,f\\\"=1", "in a field's key, which InfluxDB 1" },
        { "m f\\\\\\\"g=1", "in a field's key, which InfluxDB 1" },
        { "m =1", "key is missing" },
        { "m f", "no '='" },
        { "m ", "no field" },
        { "m", "no field" },
        { "m,k=v", "no field" },
        { "m,k=1,k=2 f=1", "twice" },
        { "m,b=1,a=2,b=3 f=1", "twice" },
        { "m f=1,f=1", "twice" },
        { "m g=1,f=1,g=2", "twice" },
        { "m,f=1 f=1", "twice" },
        { "m f=1,", "key is missing" },
    };

    (void)state;
    TAKEN(taken);
    REFUSED(refused);
}

static void values(void **state)
{
    static const char *const taken[] = {
        "m f=0i",
        "m f=-0i",
        "m f=007i",
        "m f=9223372036854775807i",
        "m f=-9223372036854775808i",
        "m f=1",
        "m f=-1.50",
        "m f=1e5",
        "m f=1E+5",
        "m f=1.5e-300",
        "m f=1e-999999999999999999999",
        "m f=0e999999999999999999999",
        "m f=0.000e999",
        "m f=1.7976931348623157e308",
        "m f=17976931348623157.0e+292",
        "m f=1.797693134862315807e308",
        "m f=0.0000000017976931348623158e317",
        "m f=t,g=T,h=true,i=True,j=TRUE,k=f,l=F,m=false,n=False,o=FALSE",
        "m f=\"\"",
        "m f=\"a, b=c \\\" \\\\\",g=\"\xC3\xA4\"",
        "m f=\"\x01\x7F\t\r\"",
    };
    static const refused_t refused[] = {
        { "m f=", "no number, string or boolean" },
        { "m f= 1", "no number, string or boolean" },
        { "m f=x", "no number, string or boolean" },
        { "m f=tru", "no number, string or boolean" },
        { "m f=trueish", "no number, string or boolean" },
        { "m f=NaN", "no number, string or boolean" },
        { "m f=inf", "no number, string or boolean" },
        { "m f=+1", "no number, string or boolean" },
        { "m f=.5", "no number, string or boolean" },
        { "m f=-", "no number, string or boolean" },
        { "m f='a'", "no number, string or boolean" },
        { "m f=5.", "behind the point" },
        { "m f=5.e1", "behind the point" },
        { "m f=1e", "exponent" },
        { "m f=1e+", "exponent" },
        { "m f=0x10", "neither a comma nor a space" },
        { "m f=1_000", "neither a comma nor a space" },
        { "m f=1.5i", "neither a comma nor a space" },
        { "m f=\"a\"b", "neither a comma nor a space" },
        { "m f=1ii", "neither a comma nor a space" },
        { "m f=12u", "unsigned" },
        { "m f=9223372036854775808i", "64 bits" },
        { "m f=-9223372036854775809i", "64 bits" },
        { "m f=99999999999999999999i", "64 bits" },
        { "m f=1e309", "too large" },
        { "m f=-1.7976931348623159e308", "too large" },
        { "m f=1.79769313486231581e308", "too large" },
        { "m f=1.7976931348623158079372898e308", "too large" },
        { "m f=10e99999999999999999999999", "too large" },
        { "m f=\"a", "string without an end" },
        { "m f=\"a\\", "string without an end" },
        { "m f=\"a\\\"", "string without an end" },
        { "m f=\"C:\\temp\"", "backslash in a string" },
        { "m f=\"\xFF\"", "UTF-8" },
        { "m f=\"\xC0\x80\"", "UTF-8" },
        { "m f=\"\xED\xA0\x80\"", "UTF-8" },
        { "m f=\"\xF4\x90\x80\x80\"", "UTF-8" },
        { "m f=\"\xE2\x82", "UTF-8" },
        { "# \xFF", "UTF-8" },
        { "#\ta", "control" },
    };

    (void)state;
    TAKEN(taken);
    REFUSED(refused);
    assert_int_equal(read_bytes("m f=\"\0\"", 7, IMX_PARSE_NANOSECONDS), -1);
    assert_non_null(strstr(parse.wrong, "UTF-8"));
}

static void assert_time(const char *text, imx_parse_precision_e unit,
                        int64_t want)
{
    char all[64];
    int n = snprintf(all, sizeof all, "m f=1 %s", text);

    if (read_bytes(all, (size_t)n, unit) != 1) {
        fail_msg("refused: %s in %d: %s", text, unit, parse.wrong);
    }
    assert_true(line.has_time);
    assert_int_equal(line.time, want);
}

static void assert_no_time(const char *text, imx_parse_precision_e unit)
{
    char all[64];
    int n = snprintf(all, sizeof all, "m f=1 %s", text);

    assert_int_equal(read_bytes(all, (size_t)n, unit), -1);
    assert_non_null(strstr(parse.wrong, "time"));
}

static void times(void **state)
{
    const int64_t s = INT64_C(1763961600);

    (void)state;
    assert_time("1", IMX_PARSE_NANOSECONDS, 1);
    assert_time("0017", IMX_PARSE_MICROSECONDS, 17000);
    assert_time("-17", IMX_PARSE_MILLISECONDS, -17000000);
    assert_time("1763961600", IMX_PARSE_SECONDS, s * 1000000000);
    assert_time("29399360", IMX_PARSE_MINUTES, s * 1000000000);
    assert_time("489989", IMX_PARSE_HOURS,
                INT64_C(489989) * 3600 * 1000000000);
    assert_time("1763961600", IMX_PARSE_AUTO, s * 1000000000);
    assert_time("1763961600123", IMX_PARSE_AUTO, s * 1000000000 + 123000000);
    assert_time("1763961600123456", IMX_PARSE_AUTO,
                s * 1000000000 + 123456000);
    assert_time("1763961600123456789", IMX_PARSE_AUTO,
                s * 1000000000 + 123456789);
    assert_time("-4999999999", IMX_PARSE_AUTO, -4999999999 * 1000000000);
    assert_time("9223372036854775806", IMX_PARSE_NANOSECONDS, INT64_MAX - 1);
    assert_time("-9223372036854775806", IMX_PARSE_NANOSECONDS, INT64_MIN + 2);
    assert_time("9223372036", IMX_PARSE_SECONDS, 9223372036000000000);
    assert_no_time("9223372036854775807", IMX_PARSE_NANOSECONDS);
    assert_no_time("-9223372036854775807", IMX_PARSE_NANOSECONDS);
    assert_no_time("9223372036854775808", IMX_PARSE_NANOSECONDS);
    assert_no_time("99999999999999999999999", IMX_PARSE_SECONDS);
    assert_no_time("9223372037", IMX_PARSE_SECONDS);
    assert_no_time("-9223372037", IMX_PARSE_SECONDS);
    assert_no_time("2562048", IMX_PARSE_HOURS);
    assert_no_time("1.5", IMX_PARSE_SECONDS);
    assert_no_time("1i", IMX_PARSE_NANOSECONDS);
    assert_no_time("-", IMX_PARSE_NANOSECONDS);
    assert_no_time("+1", IMX_PARSE_NANOSECONDS);
    assert_no_time("1 2", IMX_PARSE_NANOSECONDS);
    assert_no_time("now", IMX_PARSE_NANOSECONDS);
}

static void limits(void **state)
{
    static char text[70000];
    size_t i, n = (size_t)sprintf(text, "m ");

    (void)state;
    for (i = 0; i < IMX_PARSE_KEYS_MAX; i++) {
        n += (size_t)sprintf(text + n, "%sk%zu=1", i ? "," : "",
                             IMX_PARSE_KEYS_MAX - i);
    }
    assert_int_equal(read_bytes(text, n, IMX_PARSE_NANOSECONDS), 1);
    assert_int_equal(parse.fields, IMX_PARSE_KEYS_MAX);
    n += (size_t)sprintf(text + n, ",l=1");
    assert_int_equal(read_bytes(text, n, IMX_PARSE_NANOSECONDS), -1);
    assert_non_null(strstr(parse.wrong, "more than 499"));
    memset(text, 'a', sizeof text);
    memcpy(text + IMX_PARSE_LINE_MAX - 4, " f=1", 4);
    assert_int_equal(read_bytes(text, IMX_PARSE_LINE_MAX,
                                IMX_PARSE_NANOSECONDS),
                     1);
    memcpy(text + IMX_PARSE_LINE_MAX - 4, "a f=1", 5);
    assert_int_equal(read_bytes(text, IMX_PARSE_LINE_MAX + 1,
                                IMX_PARSE_NANOSECONDS),
                     -1);
    assert_non_null(strstr(parse.wrong, "65535"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts), cmocka_unit_test(lines),
        cmocka_unit_test(names), cmocka_unit_test(values),
        cmocka_unit_test(times), cmocka_unit_test(limits),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
