/*
 * judge.c: see judge.h.  Reads from left to right with one look at each byte;
 * the first mistake ends it.
 */
#define _GNU_SOURCE
#include "judge.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *p, *end; /* what is left of the line */
    char *scratch;       /* where the next text goes */
    const char *wrong;   /* the first mistake */
} judge_t;

static int fail(judge_t *j, const char *wrong)
{
    if (j->wrong == NULL) {
        j->wrong = wrong;
    }
    return 0;
}

static int at(const judge_t *j, char c)
{
    return j->p < j->end && *j->p == c;
}

static int eat(judge_t *j, char c, const char *otherwise)
{
    if (!at(j, c)) {
        return fail(j, otherwise);
    }
    j->p++;
    return 1;
}

size_t judge_utf8(const char *s, size_t n)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = (unsigned char)*s;
    size_t len = c < 0x80   ? 1
                 : c < 0xC0 ? 0
                 : c < 0xE0 ? 2
                 : c < 0xF0 ? 3
                 : c < 0xF8 ? 4
                            : 0;
    uint32_t code;
    size_t i;

    if (len < 2 || len > n) {
        return len == 1 ? 1 : 0;
    }
    code = c & (0x7Fu >> len);
    for (i = 1; i < len; i++) {
        if (((unsigned char)s[i] & 0xC0) != 0x80) {
            return 0;
        }
        code = code << 6 | ((unsigned char)s[i] & 0x3F);
    }
    if (code < least[len] || code > 0x10FFFF
        || (code >= 0xD800 && code < 0xE000)) {
        return 0;
    }
    return len;
}

/*
 * A name or tag value up to the first byte of `ends` that is not escaped.
 * Only the bytes of `ends` can be escaped.
 */
static int read_text(judge_t *j, judge_text_t *text, const char *ends,
                     const char *if_empty)
{
    const char *first = j->p;

    text->bytes = j->scratch;
    while (j->p < j->end && (*j->p == '\0' || !strchr(ends, *j->p))) {
        if (*j->p == '\n') {
            return fail(j, "the line ends in a name or tag value");
        }
        if (*j->p == '\\' && j->end - j->p > 1 && j->p[1] != '\0'
            && strchr(ends, j->p[1])) {
            if (j->p > first && j->p[-1] == '\\') {
                return fail(j, "an escape behind a backslash");
            }
            j->p++;
        }
        *j->scratch++ = *j->p++;
    }
    text->len = (size_t)(j->scratch - text->bytes);
    return text->len > 0 || fail(j, if_empty);
}

static int has_control(const judge_text_t *text)
{
    size_t i;

    for (i = 0; i < text->len; i++) {
        if ((unsigned char)text->bytes[i] < 32 || text->bytes[i] == 127) {
            return 1;
        }
    }
    return 0;
}

static int is_name(judge_t *j, const judge_text_t *text)
{
    if (text->bytes[0] == '_') {
        return fail(j, "a name begins with '_'");
    }
    if (has_control(text)) {
        return fail(j, "a control byte in a name");
    }
    return text->len <= 65535 || fail(j, "a name over 64 KB");
}

static int read_key(judge_t *j, judge_text_t *key)
{
    if (!read_text(j, key, ",= ", "an empty key") || !is_name(j, key)) {
        return 0;
    }
    if (key->len == 4 && memcmp(key->bytes, "time", 4) == 0) {
        return fail(j, "a key named time");
    }
    return eat(j, '=', "a key without a value");
}

static int read_tag(judge_t *j, judge_tag_t *tag)
{
    return read_key(j, &tag->key)
           && read_text(j, &tag->value, ",= ", "an empty tag value")
           && (!has_control(&tag->value)
               || fail(j, "a control byte in a tag value"))
           && (tag->value.len <= 65535 || fail(j, "a tag value over 64 KB"));
}

static size_t digits(judge_t *j)
{
    const char *first = j->p;

    while (j->p < j->end && *j->p >= '0' && *j->p <= '9') {
        j->p++;
    }
    return (size_t)(j->p - first);
}

/* A copy with a NUL, for strtod and strtoll. */
static const char *number_text(char *text, size_t size, const char *first,
                               const char *end)
{
    size_t n = (size_t)(end - first);

    if (n >= size) {
        return NULL;
    }
    memcpy(text, first, n);
    text[n] = '\0';
    return text;
}

static int read_int64(judge_t *j, int64_t *v)
{
    const char *first = j->p;
    char text[32];

    j->p += at(j, '-');
    if (digits(j) == 0) {
        return fail(j, "not an integer");
    }
    if (number_text(text, sizeof text, first, j->p) == NULL) {
        return fail(j, "a number that the judge cannot hold");
    }
    errno = 0;
    *v = strtoll(text, NULL, 10);
    return errno == 0 || fail(j, "an integer out of range");
}

static double to_double(const char *text)
{
    static locale_t c_locale;

    if (c_locale == (locale_t)0) {
        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    }
    return strtod_l(text, NULL, c_locale);
}

static int read_number(judge_t *j, judge_field_t *field)
{
    const char *first = j->p;
    char text[512];

    j->p += at(j, '-');
    if (digits(j) == 0) {
        return fail(j, "not a value");
    }
    if (at(j, 'i')) {
        j->p = first;
        field->type = 'i';
        return read_int64(j, &field->i) && eat(j, 'i', "not an integer");
    }
    if (at(j, '.')) {
        j->p++;
        if (digits(j) == 0) {
            return fail(j, "no digit behind the decimal point");
        }
    }
    if (at(j, 'e') || at(j, 'E')) {
        j->p++;
        j->p += at(j, '-') || at(j, '+');
        if (digits(j) == 0) {
            return fail(j, "no digit in the exponent");
        }
    }
    if (number_text(text, sizeof text, first, j->p) == NULL) {
        return fail(j, "a number that the judge cannot hold");
    }
    field->type = 'f';
    field->f = to_double(text);
    return field->f - field->f == 0 || fail(j, "a float out of range");
}

static int read_bool(judge_t *j, judge_field_t *field)
{
    static const char *const words[] = { "true",  "True",  "TRUE",  "t", "T",
                                         "false", "False", "FALSE", "f", "F" };
    size_t i;

    for (i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(j->end - j->p) > n && memcmp(j->p, words[i], n) == 0
            && strchr(", ", j->p[n]) && j->p[n] != '\0') {
            j->p += n;
            field->type = 'b';
            field->b = i < 5;
            return 1;
        }
    }
    return fail(j, "not a value");
}

static int read_string(judge_t *j, judge_field_t *field)
{
    field->type = 's';
    field->s.bytes = j->scratch;
    j->p++;
    while (j->p < j->end && *j->p != '"') {
        if (*j->p == '\n') {
            return fail(j, "LF in a string");
        }
        if (*j->p == '\\') {
            j->p++;
            if (!at(j, '\\') && !at(j, '"')) {
                return fail(j, "a backslash in a string escapes nothing");
            }
        }
        *j->scratch++ = *j->p++;
    }
    field->s.len = (size_t)(j->scratch - field->s.bytes);
    return field->s.len <= 65535 ? eat(j, '"', "a string without an end")
                                 : fail(j, "a string over 64 KB");
}

static int read_field(judge_t *j, judge_field_t *field)
{
    if (!read_key(j, &field->key)) {
        return 0;
    }
    if (at(j, '"')) {
        return read_string(j, field);
    }
    if (j->p < j->end && strchr("-0123456789", *j->p) && *j->p != '\0') {
        return read_number(j, field);
    }
    return read_bool(j, field);
}

static int is_valid_utf8(judge_t *j)
{
    const char *p;
    size_t len;

    for (p = j->p; p < j->end; p += len) {
        len = judge_utf8(p, (size_t)(j->end - p));
        if (len == 0) {
            return fail(j, "not UTF-8");
        }
    }
    return 1;
}

static int read_tags(judge_t *j, judge_line_t *out)
{
    for (out->tags = 0; at(j, ','); out->tags++) {
        j->p++;
        if (out->tags == JUDGE_PARTS_MAX) {
            return fail(j, "more tags than the judge can hold");
        }
        if (!read_tag(j, &out->tag[out->tags])) {
            return 0;
        }
    }
    return 1;
}

static int read_fields(judge_t *j, judge_line_t *out)
{
    out->fields = 0;
    do {
        if (out->fields == JUDGE_PARTS_MAX) {
            return fail(j, "more fields than the judge can hold");
        }
        j->p += out->fields > 0;
        if (!read_field(j, &out->field[out->fields])) {
            return 0;
        }
        out->fields++;
    } while (at(j, ','));
    return 1;
}

static int read_line(judge_t *j, judge_line_t *out)
{
    return is_valid_utf8(j) && (!at(j, '#') || fail(j, "a comment"))
           && read_text(j, &out->measurement, ", ", "no measurement")
           && is_name(j, &out->measurement) && read_tags(j, out)
           && eat(j, ' ', "no space before the fields") && read_fields(j, out)
           && eat(j, ' ', "no space before the time")
           && read_int64(j, &out->time)
           && eat(j, '\n', "no LF behind the time")
           && (j->p == j->end || fail(j, "bytes behind the LF"));
}

const char *judge_line(judge_line_t *out, const char *line, size_t len,
                       char *scratch)
{
    judge_t j = { line, line + len, scratch, NULL };

    return read_line(&j, out) ? NULL : j.wrong;
}
