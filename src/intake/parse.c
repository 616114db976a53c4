/*
 * parse.c owns the question whether a text is line protocol that every engine
 * takes, and what its lines are.
 * Entered by any thread; all that changes is the caller's.
 * Nothing is kept, so nothing has to survive.
 */
#include "intake/parse.h"

#include <string.h>

/* What a byte is. */
#define ENDS_NAME 1    /* of a measurement: comma and space */
#define ENDS_KEY 2     /* and of a tag's value: these and '=' */
#define CONTROL 4      /* 0 to 31 and 127 */
#define BACKSLASH 8    /* */
#define DIGIT 16       /* */
#define ENDS_STRING 32 /* '"' */
#define STOPS_NAME (ENDS_NAME | CONTROL | BACKSLASH)
#define STOPS_KEY (ENDS_KEY | CONTROL | BACKSLASH)
#define STOPS_STRING (ENDS_STRING | BACKSLASH)

static const unsigned char kinds[256] = {
    [0 ... 31] = CONTROL,
    [127] = CONTROL,
    [' '] = ENDS_NAME | ENDS_KEY,
    [','] = ENDS_NAME | ENDS_KEY,
    ['='] = ENDS_KEY,
    ['\\'] = BACKSLASH,
    ['"'] = ENDS_STRING,
    ['0' ... '9'] = DIGIT,
};

static int is(char c, int kind)
{
    return kinds[(unsigned char)c] & kind;
}

static int wrong(imx_parse_t *parse, const char *sentence)
{
    parse->wrong = sentence;
    return 0;
}

/* The byte at hand; NUL, which nothing may begin with, at the end of the
 * line. */
static char at_hand(const imx_parse_t *parse)
{
    return parse->p < parse->line_end ? *parse->p : '\0';
}

static void skip_spaces(imx_parse_t *parse)
{
    while (at_hand(parse) == ' ') {
        parse->p++;
    }
}

/* ---- UTF-8 ---- */

/* Length of the sequence that begins with a byte from 128 on and has n bytes at
 * most; 0 when it is none.  After the table of well-formed sequences in the
 * Unicode standard. */
static size_t sequence(const unsigned char *s, size_t n)
{
    static const struct {
        unsigned char first, last, second_first, second_last, len;
    } forms[] = {
        { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 },
        { 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 },
        { 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
        { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
    };
    size_t i = 0, byte;

    while (i < sizeof forms / sizeof *forms && s[0] > forms[i].last) {
        i++;
    }
    if (i == sizeof forms / sizeof *forms || s[0] < forms[i].first
        || n < forms[i].len || s[1] < forms[i].second_first
        || s[1] > forms[i].second_last) {
        return 0;
    }
    for (byte = 2; byte < forms[i].len; byte++) {
        if ((s[byte] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return forms[i].len;
}

static int is_utf8(const char *text, const char *end)
{
    const unsigned char *s = (const unsigned char *)text;
    const unsigned char *last = (const unsigned char *)end;
    uint64_t eight;
    size_t n;

    while (s < last) {
        if (last - s >= 8) {
            memcpy(&eight, s, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                s += 8;
                continue;
            }
        }
        n = *s < 128 ? 1 : sequence(s, (size_t)(last - s));
        if (n == 0) {
            return 0;
        }
        s += n;
    }
    return 1;
}

/* ---- names and tag values ---- */

/*
 * Goes over a name or tag value up to the byte behind it, one that `stops` has
 * and that is no part of it.  ends: what ends it, and what can be escaped.
 */
static int read_text(imx_parse_t *parse, imx_parse_text_t *text, int stops,
                     int ends, const char *if_empty)
{
    const char *p = parse->p, *end = parse->line_end;

    text->bytes = p;
    for (;;) {
        while (p < end && !is(*p, stops)) {
            p++;
        }
        if (p == end || is(*p, ends)) {
            break;
        }
        if (is(*p, CONTROL)) {
            return wrong(parse, "a control character in a name or tag value");
        }
        if (end - p > 1 && is(p[1], ends)) {
            if (p > text->bytes && p[-1] == '\\') {
                return wrong(parse,
                             "two backslashes before a comma, a space "
                             "or an equals sign, which engines read in "
                             "different ways");
            }
            p++;
        }
        p++;
    }
    text->len = (size_t)(p - text->bytes);
    parse->p = p;
    return text->len > 0 || wrong(parse, if_empty);
}

/* Is a backslash in it before one of these bytes? */
static int has_before(const imx_parse_text_t *text, const char *bytes)
{
    const char *p = text->bytes, *end = p + text->len;

    while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL && ++p < end) {
        if (strchr(bytes, *p) != NULL) {
            return 1;
        }
    }
    return 0;
}

static int read_measurement(imx_parse_t *parse, imx_parse_text_t *name)
{
    if (!read_text(parse, name, STOPS_NAME, ENDS_NAME, "no measurement")) {
        return 0;
    }
    if (has_before(name, "=\"")) {
        return wrong(parse,
                     "a backslash before an equals sign or a quotation mark "
                     "in the measurement, which InfluxDB 1 takes away");
    }
    return name->bytes[0] != '_'
           || wrong(parse, "the measurement begins with '_'");
}

/* A key and the '=' behind it. */
static int read_key(imx_parse_t *parse, imx_parse_text_t *key)
{
    if (!read_text(parse, key, STOPS_KEY, ENDS_KEY, "a key is missing")) {
        return 0;
    }
    if (key->bytes[0] == '_') {
        return wrong(parse, "a key begins with '_'");
    }
    if (key->len == 4 && memcmp(key->bytes, "time", 4) == 0) {
        return wrong(parse,
                     "a key is \"time\", which is the name of a point's "
                     "own time");
    }
    if (at_hand(parse) != '=') {
        return wrong(parse, "no '=' behind a key");
    }
    parse->p++;
    return 1;
}

static int compare(const imx_parse_text_t *a, const imx_parse_text_t *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->bytes, b->bytes, n);

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/*
 * Is the key none of those that are kept?  Most writers sort their keys, and
 * then one look is enough.  Else each is compared with all before it: there are
 * few, as no engine takes many.
 */
static int is_new(imx_parse_t *parse, const imx_parse_text_t *key, unsigned n)
{
    unsigned i;

    if (n == 0
        || (parse->is_ascending && compare(&parse->keys[n - 1], key) < 0)) {
        return 1;
    }
    parse->is_ascending = 0;
    for (i = 0; i < n; i++) {
        if (parse->keys[i].len == key->len
            && memcmp(parse->keys[i].bytes, key->bytes, key->len) == 0) {
            return wrong(parse, "a key stands twice in the line");
        }
    }
    return 1;
}

static int keep_key(imx_parse_t *parse, const imx_parse_text_t *key)
{
    unsigned n = parse->tags + parse->fields;

    if (n == IMX_PARSE_KEYS_MAX) {
        return wrong(parse, "more than 499 tags and fields");
    }
    if (!is_new(parse, key, n)) {
        return 0;
    }
    parse->keys[n] = *key;
    return 1;
}

static int read_tags(imx_parse_t *parse, imx_parse_text_t *tags)
{
    imx_parse_text_t key, value;

    tags->bytes = parse->p;
    while (at_hand(parse) == ',') {
        parse->p++;
        if (!read_key(parse, &key)
            || !read_text(parse, &value, STOPS_KEY, ENDS_KEY,
                          "a tag without a value")
            || !keep_key(parse, &key)) {
            return 0;
        }
        parse->tags++;
    }
    tags->len = (size_t)(parse->p - tags->bytes);
    return 1;
}

/* ---- values ---- */

/* Goes over digits; returns how many. */
static size_t digits(imx_parse_t *parse)
{
    const char *first = parse->p;

    while (parse->p < parse->line_end && is(*parse->p, DIGIT)) {
        parse->p++;
    }
    return (size_t)(parse->p - first);
}

/* What is at `first`, an optional '-' and digits up to `end`, as a number of 64
 * bits; returns 0 when it is none. */
static int to_int(const char *first, const char *end, int64_t *v)
{
    int is_negative = *first == '-';
    uint64_t limit = (uint64_t)INT64_MAX + (uint64_t)is_negative, n = 0;
    const char *p;

    for (p = first + is_negative; p < end; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (n > (limit - digit) / 10) {
            return 0;
        }
        n = n * 10 + digit;
    }
    *v = is_negative ? (int64_t)(0 - n) : (int64_t)n;
    return 1;
}

/* 2^1024 - 2^970, the least number that is rounded to more than a double of 64
 * bits can be; it has 309 digits. */
static const char too_large[] =
    "1797693134862315807937289714053034150799341327100378269361737789804449"
    "6829276475094664901797758720709633028641669288791094655554785194040263"
    "0657488671505820681908902000708383676273854845817711531764475730270069"
    "8555713669596228429148198608344936475292719074168444365510704342711559"
    "69950809304288";
#define LARGEST_POWER 308 /* of its first digit */

/* Is a number whose digits from `first` to `end` may have a point between them,
 * the first one other than 0 of them counting 10^power, too large? */
static int is_too_large(const char *first, const char *end, long power)
{
    const char *p = too_large;

    if (power != LARGEST_POWER) {
        return power > LARGEST_POWER;
    }
    for (; first < end && *p != '\0'; first++) {
        if (*first == '.') {
            continue;
        }
        if (*first != *p) {
            return *first > *p;
        }
        p++;
    }
    return *p == '\0' || p[strspn(p, "0")] == '\0';
}

/* The exponent at hand; one that is larger than any line is long. */
static int read_exponent(imx_parse_t *parse, long *exponent)
{
    int is_negative = at_hand(parse) == '-';
    const char *p;
    long n = 0;

    parse->p += is_negative || at_hand(parse) == '+';
    p = parse->p;
    if (digits(parse) == 0) {
        return wrong(parse, "no digits in the exponent of a number");
    }
    for (; p < parse->p; p++) {
        n = n < 1000000 ? n * 10 + (*p - '0') : n;
    }
    *exponent = is_negative ? -n : n;
    return 1;
}

/* A number with a point or an exponent, or just digits: all from `first` up to
 * the byte at hand is its sign and the digits before the point. */
static int read_float(imx_parse_t *parse, const char *first)
{
    const char *point = parse->p, *end;
    long exponent = 0;

    first += *first == '-';
    if (at_hand(parse) == '.') {
        parse->p++;
        if (digits(parse) == 0) {
            return wrong(parse, "no digits behind the point of a number");
        }
    }
    end = parse->p;
    if (at_hand(parse) == 'e' || at_hand(parse) == 'E') {
        parse->p++;
        if (!read_exponent(parse, &exponent)) {
            return 0;
        }
    }
    while (first < end && (*first == '0' || *first == '.')) {
        first++;
    }
    if (first < end
        && is_too_large(first, end,
                        exponent + (long)(point - first) - (first < point))) {
        return wrong(parse, "a number is too large");
    }
    return 1;
}

static int read_number(imx_parse_t *parse)
{
    const char *first = parse->p;
    int64_t v;

    parse->p += at_hand(parse) == '-';
    if (digits(parse) == 0) {
        return wrong(parse, "a field's value is no number, string or boolean");
    }
    switch (at_hand(parse)) {
    case 'i':
        parse->p++;
        return to_int(first, parse->p - 1, &v)
               || wrong(parse, "a whole number has more than 64 bits");
    case 'u':
        return wrong(parse,
                     "an unsigned number, which InfluxDB 1 has not: "
                     "write it with i");
    default:
        return read_float(parse, first);
    }
}

static int read_string(imx_parse_t *parse)
{
    const char *p = parse->p + 1, *end = parse->line_end;

    while (p < end && *p != '"') {
        if (*p == '\\') {
            p++;
            if (p == end || (*p != '\\' && *p != '"')) {
                return wrong(parse,
                             p == end ? "a string without an end in its line"
                                      : "a backslash in a string that is "
                                        "not before '\"' or another "
                                        "backslash, which engines read in "
                                        "different ways");
            }
        }
        p++;
        while (p < end && !is(*p, STOPS_STRING)) {
            p++;
        }
    }
    if (p >= end) {
        return wrong(parse, "a string without an end in its line");
    }
    parse->p = p + 1;
    return 1;
}

static int read_boolean(imx_parse_t *parse)
{
    static const char *const words[] = { "true",  "t", "True",  "TRUE",  "T",
                                         "false", "f", "False", "FALSE", "F" };
    const char *p = parse->p;
    size_t len, i;

    while (p < parse->line_end && *p != ',' && *p != ' ') {
        p++;
    }
    len = (size_t)(p - parse->p);
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i]) == len && memcmp(words[i], parse->p, len) == 0) {
            parse->p = p;
            return 1;
        }
    }
    return wrong(parse, "a field's value is no number, string or boolean");
}

static int read_value(imx_parse_t *parse)
{
    char c = at_hand(parse);

    if (c == '-' || is(c, DIGIT)) {
        return read_number(parse);
    }
    return c == '"' ? read_string(parse) : read_boolean(parse);
}

static int read_fields(imx_parse_t *parse, imx_parse_text_t *fields)
{
    imx_parse_text_t key;

    fields->bytes = parse->p;
    for (;;) {
        if (!read_key(parse, &key) || !read_value(parse)
            || !keep_key(parse, &key)) {
            return 0;
        }
        if (has_before(&key, "\"")) {
            return wrong(parse,
                         "a backslash before a quotation mark in a field's "
                         "key, which InfluxDB 1 takes away");
        }
        parse->fields++;
        if (at_hand(parse) != ',') {
            break;
        }
        parse->p++;
    }
    fields->len = (size_t)(parse->p - fields->bytes);
    return parse->p == parse->line_end || *parse->p == ' '
           || wrong(parse,
                    "neither a comma nor a space behind a field's "
                    "value");
}

/* ---- times ---- */

#define SECOND INT64_C(1000000000)

static int64_t unit_of(imx_parse_precision_e precision, int64_t number)
{
    static const int64_t units[] = { 1,      1000,        1000000,
                                     SECOND, 60 * SECOND, 3600 * SECOND };
    int64_t n = number < 0 ? number / -SECOND : number / SECOND;

    if (precision != IMX_PARSE_AUTO) {
        return units[precision];
    }
    /* As InfluxDB 3 guesses: for times from 1970 on, up to the year 2128. */
    return n < 5 ? SECOND : n < 5000 ? 1000000 : n < 5000000 ? 1000 : 1;
}

static int read_time(imx_parse_t *parse, int64_t *time)
{
    const char *first = parse->p;
    int64_t v, unit;

    parse->p += at_hand(parse) == '-';
    if (digits(parse) == 0) {
        return wrong(parse, "the time is no whole number");
    }
    if (!to_int(first, parse->p, &v)) {
        return wrong(parse, "the time is out of range");
    }
    unit = unit_of(parse->precision, v);
    /* InfluxDB 1 keeps the first two numbers and the last one to itself. */
    if (v > (INT64_MAX - 1) / unit || v < (INT64_MIN + 2) / unit) {
        return wrong(parse, "the time is out of range");
    }
    *time = v * unit;
    skip_spaces(parse);
    return parse->p == parse->line_end
           || wrong(parse, "something stands behind the time");
}

/* ---- lines ---- */

static int read_line(imx_parse_t *parse, imx_parse_line_t *line)
{
    parse->tags = parse->fields = 0;
    parse->is_ascending = 1;
    if (!read_measurement(parse, &line->measurement)
        || !read_tags(parse, &line->tags)) {
        return 0;
    }
    if (at_hand(parse) != ' ') {
        return wrong(parse, parse->p == parse->line_end
                                ? "there is no field"
                                : "an '=' in a tag's value");
    }
    skip_spaces(parse);
    if (parse->p == parse->line_end) {
        return wrong(parse, "there is no field");
    }
    if (!read_fields(parse, &line->fields)) {
        return 0;
    }
    skip_spaces(parse);
    line->has_time = parse->p < parse->line_end;
    line->time = 0;
    return !line->has_time || read_time(parse, &line->time);
}

static int read_comment(imx_parse_t *parse)
{
    while (parse->p < parse->line_end && !is(*parse->p, CONTROL)) {
        parse->p++;
    }
    return parse->p == parse->line_end
           || wrong(parse, "a control character in a comment");
}

/* Puts the line's bounds into *parse, and goes to the next one. */
static void take_line(imx_parse_t *parse)
{
    size_t left = (size_t)(parse->end - parse->next);
    const char *lf = memchr(parse->next, '\n', left);

    parse->number++;
    parse->p = parse->next;
    parse->line_end = lf != NULL ? lf : parse->end;
    parse->next = lf != NULL ? lf + 1 : parse->end;
    if (parse->line_end > parse->p && parse->line_end[-1] == '\r') {
        parse->line_end--;
    }
}

/* What stands in front of any line; the rest of it is then at hand. */
static int open_line(imx_parse_t *parse)
{
    if (parse->line_end - parse->p > IMX_PARSE_LINE_MAX) {
        return wrong(parse, "a line of more than 65535 bytes");
    }
    if (!is_utf8(parse->p, parse->line_end)
        || memchr(parse->p, '\0', (size_t)(parse->line_end - parse->p))
               != NULL) {
        return wrong(parse, "bytes that are no text in UTF-8");
    }
    skip_spaces(parse);
    return 1;
}

void imx_parse_begin(imx_parse_t *parse, const char *text, size_t len,
                     imx_parse_precision_e precision)
{
    parse->next = text;
    parse->end = text + len;
    parse->precision = precision;
    parse->number = 0;
    parse->wrong = NULL;
    parse->tags = parse->fields = 0;
}

int imx_parse_next(imx_parse_t *parse, imx_parse_line_t *line)
{
    while (parse->next < parse->end) {
        take_line(parse);
        if (!open_line(parse)) {
            return -1;
        }
        if (at_hand(parse) == '#') {
            if (!read_comment(parse)) {
                return -1;
            }
        }
        else if (parse->p < parse->line_end) {
            return read_line(parse, line) ? 1 : -1;
        }
    }
    return 0;
}
