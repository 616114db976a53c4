/*
 * t/fuzz/parse.c: any text as line protocol.  The first byte of the input is
 * the precision, the rest the text.
 *   - What the parser takes, the judge takes, written out again with its time,
 *     and it reads the same numbers of tags and fields, the same measurement
 *     and, in nanoseconds, the same time.
 *   - What the judge takes, the parser takes, but for a key that stands twice,
 *     a NUL, backslashes that only InfluxDB 1 takes away, and times at the
 *     edge, which the judge does not look at.
 *   - A line's number is how many line feeds are before it, and one.
 *
 * With IMX_FUZZ_LINES=FILE, lines that are taken are written to that file, a
 * line of hexadecimal digits each: t/judge-write.t.
 *
 *   make fuzz FUZZERS=parse
 */
#include "intake/parse.h"
#include "judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM (IMX_PARSE_LINE_MAX + 64)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

static judge_line_t judged;
static char again[ROOM], scratch[ROOM];

static size_t put(size_t at, imx_parse_text_t text)
{
    memcpy(again + at, text.bytes, text.len);
    return at + text.len;
}

static FILE *sample_file(void)
{
    static FILE *f;
    const char *name = getenv("IMX_FUZZ_LINES");

    if (f == NULL && name != NULL) {
        f = fopen(name, "ab");
        MUST(f != NULL);
    }
    return f;
}

/* As it stands in the text. */
static void note_line(const imx_parse_t *parse, const imx_parse_line_t *line)
{
    const char *p;

    if (sample_file() == NULL) {
        return;
    }
    for (p = line->measurement.bytes; p < parse->line_end; p++) {
        fprintf(sample_file(), "%02x", (unsigned char)*p);
    }
    fputc('\n', sample_file());
    fflush(sample_file());
}

static void check_taken(const imx_parse_t *parse, const imx_parse_line_t *line)
{
    size_t len = put(put(0, line->measurement), line->tags);
    int64_t time = line->has_time ? line->time : 17;
    const char *wrong;

    again[len++] = ' ';
    len = put(len, line->fields);
    len += (size_t)snprintf(again + len, sizeof again - len, " %lld\n",
                            (long long)time);
    if (parse->tags > JUDGE_PARTS_MAX || parse->fields > JUDGE_PARTS_MAX) {
        return;
    }
    wrong = judge_line(&judged, again, len, scratch);
    if (wrong != NULL
        && strcmp(wrong, "a number that the judge cannot hold")) {
        fprintf(stderr, "%s: %.*s", wrong, (int)len, again);
        abort();
    }
    MUST(wrong != NULL
         || (judged.tags == parse->tags && judged.fields == parse->fields
             && judged.time == time));
    MUST(parse->tags + parse->fields <= IMX_PARSE_KEYS_MAX);
}

/* A line that the judge takes, in nanoseconds. */
static int may_be_refused(const char *line, size_t len, const char *wrong)
{
    return strcmp(wrong, "a key stands twice in the line") == 0
           || strstr(wrong, "which InfluxDB 1 takes away") != NULL
           || memchr(line, '\0', len) != NULL || judged.time < INT64_MIN + 2
           || judged.time == INT64_MAX;
}

/* One line by itself: text from `from` to the LF. */
static void check_refused(const char *line, size_t len, const char *wrong)
{
    if (len < sizeof scratch && judge_line(&judged, line, len, scratch) == NULL
        && !may_be_refused(line, len, wrong)) {
        fprintf(stderr, "refused: %s: %.*s", wrong, (int)len, line);
        abort();
    }
}

static unsigned line_feeds(const char *from, const char *to)
{
    unsigned n = 0;

    for (; from < to; from++) {
        n += *from == '\n';
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static imx_parse_t parse;
    const char *text = (const char *)data + 1;
    imx_parse_precision_e precision;
    imx_parse_line_t line;
    int rv;

    if (size == 0) {
        return 0;
    }
    precision = (imx_parse_precision_e)(data[0] % (IMX_PARSE_AUTO + 1));
    imx_parse_begin(&parse, text, size - 1, precision);
    while ((rv = imx_parse_next(&parse, &line)) == 1) {
        check_taken(&parse, &line);
        note_line(&parse, &line);
        MUST(parse.number == 1 + line_feeds(text, line.measurement.bytes));
    }
    if (rv < 0) {
        const char *end = parse.next, *from = end;

        while (from > text && (from == end || from[-1] != '\n')) {
            from--;
        }
        MUST(parse.number == 1 + line_feeds(text, from));
        if (precision == IMX_PARSE_NANOSECONDS && end > text
            && end[-1] == '\n') {
            check_refused(from, (size_t)(end - from), parse.wrong);
        }
    }
    return 0;
}
