/*
 * t/fuzz/lineproto.c: any calls of the encoder, in any order, with any bytes,
 * into a buffer of any size.  The input is a list of calls (take_call()).  Each
 * call is made three times:
 *   - into a buffer that has room for everything: what ends without an error
 *     is read by the judge, which shares nothing with the encoder, and has to
 *     be what was sent, less the repairs that lineproto.h tells of;
 *   - into one of the size that the input says: the same bytes, or no room, and
 *     then there must be none; nothing around the buffer and no line before it
 *     may change;
 *   - on a model of the call order and of the errors.
 * With IMX_FUZZ_LINES=FILE, lines that a real InfluxDB should take as well are
 * written to that file with what is to be found in it: t/fuzz-replay.t.
 *
 *   make fuzz FUZZERS=lineproto
 */
#include "judge.h"
#include "lineproto.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGE (1 << 20)
#define EDGE 16 /* bytes around the small buffer that are watched */
#define EDGE_BYTE 0x5A
#define PARTS 40 /* tags, and fields, of a line; the judge has room */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* ---- the input ---- */

static const uint8_t *input;
static size_t left;

static unsigned take_byte(void)
{
    if (left == 0) {
        return 0;
    }
    left--;
    return *input++;
}

static uint64_t take_number(unsigned bytes)
{
    uint64_t v = 0;

    while (bytes-- > 0) {
        v = v << 8 | take_byte();
    }
    return v;
}

/* A number of any size: few bits are as usual as many. */
static int64_t take_int(void)
{
    unsigned kind = take_byte();
    uint64_t v = take_number(kind % 9);

    return (int64_t)(kind & 128 ? 0 - v : v);
}

typedef struct {
    char *bytes; /* of exactly len bytes, so that ASan sees */
    size_t len;
} text_t;

static text_t text_of(const void *bytes, size_t len)
{
    text_t t = { malloc(len ? len : 1), len };

    MUST(t.bytes);
    memcpy(t.bytes, bytes, len);
    return t;
}

/* At the limits of names and values; a byte of it is the input's. */
static text_t take_long_text(void)
{
    size_t len = IMX_LINEPROTO_NAME_MAX - 4 + take_byte() % 9;
    text_t t = { malloc(len), len };
    unsigned at = take_byte();

    MUST(t.bytes);
    memset(t.bytes, 'a', len);
    t.bytes[at & 128 ? len - 1 - at % 128 : at] = (char)(take_byte() & 127);
    return t;
}

static int long_texts; /* how many there may be: they take time */

static text_t take_text(void)
{
    size_t len = take_byte();
    text_t t;

    if (len == 255 && long_texts > 0) {
        long_texts--;
        return take_long_text();
    }
    len %= 48;
    len = len < left ? len : left;
    t = text_of(input, len);
    input += len;
    left -= len;
    return t;
}

/* ---- what is to be read: the header's repairs, from its words ---- */

static char expected_bytes[4 * LARGE];
static size_t expected_used;

static judge_text_t expected_text(const char *bytes, size_t len)
{
    judge_text_t t = { expected_bytes + expected_used, len };

    MUST(expected_used + len <= sizeof expected_bytes);
    memcpy(expected_bytes + expected_used, bytes, len);
    expected_used += len;
    return t;
}

typedef enum { MEASUREMENT, KEY, VALUE, STRING } place_e;

/* "a control byte [...] in a key or tag value: a space"; "LF in a string field:
 * a space". */
static int is_made_space(char c, place_e place)
{
    return c == '\n'
           || (((unsigned char)c < 32 || c == 127)
               && (place == KEY || place == VALUE));
}

/* "invalid UTF-8: each bad byte becomes U+FFFD". */
static char *mend_bytes(const text_t *t, size_t *len, place_e place)
{
    char *to = malloc(3 * t->len + 1);
    size_t at = 0;

    *len = 0;
    while (at < t->len) {
        size_t n = judge_utf8(t->bytes + at, t->len - at);

        if (n == 0) {
            memcpy(to + *len, "\xEF\xBF\xBD", 3);
            *len += 3;
            at++;
            continue;
        }
        memcpy(to + *len, t->bytes + at, n);
        *len += n;
        at += n;
    }
    for (at = 0; at < *len; at++) {
        to[at] = is_made_space(to[at], place) ? ' ' : to[at];
    }
    return to;
}

/* "backslashes at the end of a name or tag value, and before a byte in it that
 * gets an escape [...] are left off" */
static size_t leave_off_backslashes(char *s, size_t len, const char *escaped)
{
    size_t from, to = 0, run;

    for (from = 0; from < len; from++) {
        if (s[from] != '\\') {
            s[to++] = s[from];
            continue;
        }
        for (run = from; run < len && s[run] == '\\'; run++) {
        }
        if (run == len || (s[run] != '\0' && strchr(escaped, s[run]))) {
            from = run - 1;
        }
        else {
            s[to++] = '\\';
        }
    }
    return to;
}

static judge_text_t repaired(const text_t *t, place_e place)
{
    size_t len;
    char *s = mend_bytes(t, &len, place);
    judge_text_t result;

    if (place != STRING) {
        len = leave_off_backslashes(s, len,
                                    place == MEASUREMENT ? ", " : ",= ");
    }
    result = expected_text(s, len);
    free(s);
    return result;
}

/* "a measurement or key that is empty, longer than [...], or begins with '_', a
 * key named "time", a measurement that has a control byte or begins with '#'".
 * How long is what was handed in without the backslashes at its end. */
static int is_bad_name(const text_t *t, const judge_text_t *name,
                       place_e place)
{
    size_t i, len = t->len;

    while (len > 0 && t->bytes[len - 1] == '\\') {
        len--;
    }
    for (i = 0; i < len && place == MEASUREMENT; i++) {
        if ((unsigned char)t->bytes[i] < 32 || t->bytes[i] == 127) {
            return 1;
        }
    }
    return name->len == 0 || len > IMX_LINEPROTO_NAME_MAX
           || name->bytes[0] == '_'
           || (place == MEASUREMENT
                   ? t->bytes[0] == '#'
                   : name->len == 4 && memcmp(name->bytes, "time", 4) == 0);
}

/* ---- the model, and the two encoders ---- */

static struct {
    int stage; /* IMX_LINEPROTO_BETWEEN .. FAILED */
    imx_lineproto_error_e error;
    judge_line_t line;
    size_t left_off; /* bytes that the repairs may have saved */
} model;

static char large_bytes[LARGE], small_around[LARGE + 2 * EDGE];
static char lines[LARGE]; /* what the small buffer has to begin with */
static size_t lines_len, small_size;
static imx_lineproto_t large, small;
static const char *const small_bytes = small_around + EDGE;

static void model_fail(imx_lineproto_error_e error)
{
    if (model.stage != IMX_LINEPROTO_FAILED) {
        model.stage = IMX_LINEPROTO_FAILED;
        model.error = error;
    }
}

/* Is this call allowed where the line is? */
static int model_allows(int from, int to)
{
    if (model.stage < from || model.stage > to) {
        model_fail(IMX_LINEPROTO_BAD_ORDER);
        return 0;
    }
    return 1;
}

static void model_begin(const text_t *name)
{
    if (model_allows(IMX_LINEPROTO_BETWEEN, IMX_LINEPROTO_BETWEEN)) {
        model.stage = IMX_LINEPROTO_IN_TAGS;
        model.line.measurement = repaired(name, MEASUREMENT);
        model.left_off += name->len;
        if (is_bad_name(name, &model.line.measurement, MEASUREMENT)) {
            model_fail(IMX_LINEPROTO_BAD_NAME);
        }
    }
}

static void model_tag(const text_t *key, const text_t *value)
{
    judge_tag_t *tag = &model.line.tag[model.line.tags];
    size_t len = value->len;

    if (!model_allows(IMX_LINEPROTO_IN_TAGS, IMX_LINEPROTO_IN_TAGS)) {
        return;
    }
    model.left_off += key->len + value->len;
    tag->value = repaired(value, VALUE);
    if (tag->value.len == 0) {
        return;
    }
    while (value->bytes[len - 1] == '\\') {
        len--;
    }
    tag->key = repaired(key, KEY);
    if (len > IMX_LINEPROTO_VALUE_MAX) {
        model_fail(IMX_LINEPROTO_BAD_VALUE);
    }
    else if (is_bad_name(key, &tag->key, KEY)) {
        model_fail(IMX_LINEPROTO_BAD_NAME);
    }
    model.line.tags++;
}

static judge_field_t *model_key(judge_text_t key)
{
    judge_field_t *field = &model.line.field[model.line.fields];

    if (model_allows(IMX_LINEPROTO_IN_TAGS, IMX_LINEPROTO_IN_FIELDS)) {
        field->key = key;
        model.stage = IMX_LINEPROTO_IN_KEY;
    }
    return field;
}

/* ---- calls ---- */

typedef struct {
    char type; /* i, f, b, s, and t: seconds */
    int64_t i;
    double f;
    text_t s;
} value_t;

static value_t take_value(void)
{
    value_t v = { .type = "ifbst"[take_byte() % 5] };
    uint64_t bits;

    if (v.type == 's') {
        v.s = take_text();
    }
    else if (v.type == 'f' && take_byte() % 2) {
        bits = take_number(8);
        memcpy(&v.f, &bits, sizeof v.f);
    }
    else {
        v.i = take_int();
        v.f = (double)v.i / 1000;
    }
    return v;
}

/* "seconds with six decimals from nanoseconds (cut, not rounded)" */
static double seconds(int64_t ns)
{
    char text[64];
    int64_t us = ns / 1000;

    snprintf(text, sizeof text, "%s%lld.%06lld", ns < 0 ? "-" : "",
             llabs(us) / 1000000LL, llabs(us) % 1000000LL);
    return strtod(text, NULL);
}

static void model_value(const value_t *v)
{
    judge_field_t *field = &model.line.field[model.line.fields];

    if (!model_allows(IMX_LINEPROTO_IN_KEY, IMX_LINEPROTO_IN_KEY)) {
        return;
    }
    model.stage = IMX_LINEPROTO_IN_FIELDS;
    field->type = v->type == 't' ? 'f' : v->type;
    field->i = v->i;
    field->b = v->i & 1;
    field->f = v->type == 't' ? seconds(v->i) : v->f;
    if (v->type == 's') {
        field->s = repaired(&v->s, STRING);
    }
    if ((v->type == 'f' && !isfinite(v->f))
        || (v->type == 's' && v->s.len > IMX_LINEPROTO_VALUE_MAX)) {
        model_fail(IMX_LINEPROTO_BAD_VALUE);
    }
    model.line.fields++;
}

static void put(imx_lineproto_t *lp, const value_t *v)
{
    switch (v->type) {
    case 'i':
        imx_lineproto_put_int(lp, v->i);
        break;
    case 'f':
        imx_lineproto_put_float(lp, v->f);
        break;
    case 'b':
        imx_lineproto_put_bool(lp, v->i & 1);
        break;
    case 't':
        imx_lineproto_put_seconds(lp, v->i);
        break;
    default:
        imx_lineproto_put_string(lp, v->s.bytes, v->s.len);
    }
}

static void field(imx_lineproto_t *lp, const text_t *key, const value_t *v)
{
    switch (v->type) {
    case 'i':
        imx_lineproto_field_int(lp, key->bytes, key->len, v->i);
        break;
    case 'f':
        imx_lineproto_field_float(lp, key->bytes, key->len, v->f);
        break;
    case 'b':
        imx_lineproto_field_bool(lp, key->bytes, key->len, v->i & 1);
        break;
    case 't':
        imx_lineproto_field_seconds(lp, key->bytes, key->len, v->i);
        break;
    default:
        imx_lineproto_field_string(lp, key->bytes, key->len, v->s.bytes,
                                   v->s.len);
    }
}

static void call_begin(void)
{
    text_t name = take_text();

    model_begin(&name);
    imx_lineproto_begin(&large, name.bytes, name.len);
    imx_lineproto_begin(&small, name.bytes, name.len);
    free(name.bytes);
}

static void call_tag(void)
{
    text_t key = take_text(), value = take_text();

    if (model.line.tags < PARTS) {
        model_tag(&key, &value);
        imx_lineproto_tag(&large, key.bytes, key.len, value.bytes, value.len);
        imx_lineproto_tag(&small, key.bytes, key.len, value.bytes, value.len);
    }
    free(key.bytes);
    free(value.bytes);
}

static void call_field(void)
{
    text_t key = take_text();
    value_t v = take_value();
    judge_text_t name = repaired(&key, KEY);

    if (model.line.fields < PARTS) {
        model.left_off += key.len + v.s.len;
        if (model.stage == IMX_LINEPROTO_FAILED) {
        }
        else if (model.stage != IMX_LINEPROTO_IN_TAGS
                 && model.stage != IMX_LINEPROTO_IN_FIELDS) {
            model_fail(IMX_LINEPROTO_BAD_ORDER);
        }
        else if (is_bad_name(&key, &name, KEY)) {
            model_fail(IMX_LINEPROTO_BAD_NAME);
        }
        else {
            model_key(name);
            model_value(&v);
        }
        field(&large, &key, &v);
        field(&small, &key, &v);
    }
    free(key.bytes);
    free(v.s.bytes);
}

/* A key that needs no escape, as imx_lineproto_key() wants it. */
static void call_key(void)
{
    char key[16];
    size_t i, len = 1 + take_byte() % sizeof key;

    for (i = 0; i < len; i++) {
        key[i] = (char)('A' + take_byte() % 26);
    }
    if (model.line.fields < PARTS) {
        model_key(expected_text(key, len));
        imx_lineproto_key(&large, key, len);
        imx_lineproto_key(&small, key, len);
    }
}

static void call_put(void)
{
    value_t v = take_value();

    model.left_off += v.s.len;
    model_value(&v);
    put(&large, &v);
    put(&small, &v);
    free(v.s.bytes);
}

/* Tags, and before them at the start of a line a measurement, that another
 * encoder wrote before. */
static void call_encoded(void)
{
    text_t name = take_text(), key = take_text(), value = take_text(), copy;
    static char bytes[8 * (IMX_LINEPROTO_NAME_MAX + 64)];
    int first = model.stage == IMX_LINEPROTO_BETWEEN;
    imx_lineproto_t prefix;
    size_t from = 0;

    imx_lineproto_init(&prefix, bytes, sizeof bytes);
    if (first) {
        imx_lineproto_begin(&prefix, name.bytes, name.len);
    }
    else {
        imx_lineproto_begin(&prefix, "m", 1);
        from = 1;
    }
    imx_lineproto_tag(&prefix, key.bytes, key.len, value.bytes, value.len);
    /* What is not good is not kept by anybody. */
    if (!imx_lineproto_error(&prefix) && model.line.tags < PARTS) {
        copy = text_of(bytes + from, imx_lineproto_length(&prefix) - from);
        if (first) {
            model_begin(&name);
            model_tag(&key, &value);
        }
        else if (model_allows(IMX_LINEPROTO_IN_TAGS, IMX_LINEPROTO_IN_TAGS)) {
            model_tag(&key, &value);
        }
        imx_lineproto_encoded(&large, copy.bytes, copy.len);
        imx_lineproto_encoded(&small, copy.bytes, copy.len);
        free(copy.bytes);
    }
    free(name.bytes);
    free(key.bytes);
    free(value.bytes);
}

/* ---- the end of a line ---- */

static int is_same(const judge_text_t *a, const judge_text_t *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int is_same_value(const judge_field_t *a, const judge_field_t *b)
{
    switch (a->type) {
    case 'i':
        return a->i == b->i;
    case 'f':
        return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case 'b':
        return a->b == b->b;
    default:
        return is_same(&a->s, &b->s);
    }
}

/* ---- for a real InfluxDB ---- */

static FILE *sample_file(void)
{
    static FILE *file;
    const char *name = file ? NULL : getenv("IMX_FUZZ_LINES");

    if (name != NULL) {
        file = fopen(name, "w");
        MUST(file);
    }
    return file;
}

static void note_text(const char *bytes, size_t len)
{
    size_t i;

    fputc(' ', sample_file());
    for (i = 0; i < len; i++) {
        fprintf(sample_file(), "%02x", (unsigned char)bytes[i]);
    }
}

static void note_field(const judge_field_t *f)
{
    fprintf(sample_file(), "%c", f->type);
    note_text(f->key.bytes, f->key.len);
    if (f->type == 's') {
        note_text(f->s.bytes, f->s.len);
    }
    else if (f->type == 'f') {
        fprintf(sample_file(), " %.17g", f->f);
    }
    else {
        fprintf(sample_file(), " %lld",
                f->type == 'b' ? f->b : (long long)f->i);
    }
    fputc('\n', sample_file());
}

/* InfluxDB keeps one of two parts with one name. */
static int has_name_twice(const judge_line_t *line)
{
    const judge_text_t *names[2 * PARTS];
    size_t i, j, n = 0;

    for (i = 0; i < line->tags; i++) {
        names[n++] = &line->tag[i].key;
    }
    for (i = 0; i < line->fields; i++) {
        names[n++] = &line->field[i].key;
    }
    for (i = 0; i < n; i++) {
        for (j = 0; j < i; j++) {
            if (is_same(names[i], names[j])) {
                return 1;
            }
        }
    }
    return 0;
}

static void note_line(const char *line, size_t len, const judge_line_t *seen)
{
    size_t i;

    if (sample_file() == NULL || len > 60000 || has_name_twice(seen)) {
        return;
    }
    fputc('L', sample_file());
    note_text(line, len);
    fputs("\nM", sample_file());
    note_text(seen->measurement.bytes, seen->measurement.len);
    fputc('\n', sample_file());
    for (i = 0; i < seen->tags; i++) {
        fputc('T', sample_file());
        note_text(seen->tag[i].key.bytes, seen->tag[i].key.len);
        note_text(seen->tag[i].value.bytes, seen->tag[i].value.len);
        fputc('\n', sample_file());
    }
    for (i = 0; i < seen->fields; i++) {
        note_field(&seen->field[i]);
    }
    fflush(sample_file());
}

static void check_line(const char *line, size_t len, int64_t time)
{
    static char scratch[LARGE];
    static judge_line_t seen;
    const char *wrong = judge_line(&seen, line, len, scratch);
    size_t i;

    if (wrong != NULL) {
        fprintf(stderr, "%s: <%.*s>\n", wrong, (int)len, line);
        abort();
    }
    MUST(is_same(&seen.measurement, &model.line.measurement));
    MUST(seen.tags == model.line.tags && seen.fields == model.line.fields);
    for (i = 0; i < seen.tags; i++) {
        MUST(is_same(&seen.tag[i].key, &model.line.tag[i].key));
        MUST(is_same(&seen.tag[i].value, &model.line.tag[i].value));
    }
    for (i = 0; i < seen.fields; i++) {
        MUST(is_same(&seen.field[i].key, &model.line.field[i].key));
        MUST(seen.field[i].type == model.line.field[i].type);
        MUST(is_same_value(&seen.field[i], &model.line.field[i]));
    }
    MUST(seen.time == time);
    note_line(line, len, &seen);
}

/* The bytes around the small buffer, and the lines in it. */
static void check_small(void)
{
    size_t i;

    for (i = 0; i < EDGE; i++) {
        MUST(small_around[i] == EDGE_BYTE);
        MUST(small_bytes[small_size + i] == EDGE_BYTE);
    }
    MUST(memcmp(small_bytes, lines, lines_len) == 0);
    MUST(imx_lineproto_length(&small) >= lines_len);
    MUST(imx_lineproto_length(&small) <= small_size);
}

static void check_small_end(imx_lineproto_error_e error, size_t len)
{
    size_t room = small_size - lines_len;

    if (error == IMX_LINEPROTO_OK) {
        MUST(model.error == IMX_LINEPROTO_OK && len <= room);
        memcpy(lines + lines_len, large_bytes, len);
        lines_len += len;
    }
    else if (error == IMX_LINEPROTO_NO_ROOM) {
        /* A mistake behind it was not seen.  Room is asked for as many bytes
         * as were handed in, also when a repair leaves some off. */
        MUST(model.error != IMX_LINEPROTO_OK || len + model.left_off > room);
    }
    else {
        MUST(error == model.error);
    }
    MUST(imx_lineproto_length(&small) == lines_len);
    check_small();
}

static void call_end(void)
{
    int64_t time = take_int();
    imx_lineproto_error_e error = imx_lineproto_end(&large, time);
    size_t len = imx_lineproto_length(&large);

    if (model.stage == IMX_LINEPROTO_IN_TAGS) {
        model_fail(IMX_LINEPROTO_NO_FIELDS);
    }
    model_allows(IMX_LINEPROTO_IN_FIELDS, IMX_LINEPROTO_IN_FIELDS);
    MUST(error == model.error);
    MUST((len > 0) == (error == IMX_LINEPROTO_OK));
    if (error == IMX_LINEPROTO_OK) {
        check_line(large_bytes, len, time);
    }
    check_small_end(imx_lineproto_end(&small, time), len);
    imx_lineproto_init(&large, large_bytes, sizeof large_bytes);
    memset(&model, 0, offsetof(__typeof__(model), line.tag));
    model.line.fields = 0;
    model.left_off = 0;
    expected_used = 0;
}

static void take_call(void)
{
    /* Most inputs shall have whole lines. */
    static void (*const calls[])(
        void) = { call_end,   call_begin, call_tag, call_field,
                  call_field, call_key,   call_put, call_encoded };

    calls[take_byte() % (sizeof calls / sizeof *calls)]();
    MUST(imx_lineproto_error(&large) == model.error);
    check_small();
}

static void start(void)
{
    small_size = take_number(2) % 1500;
    memset(small_around, EDGE_BYTE, small_size + 2 * EDGE);
    imx_lineproto_init(&small, small_around + EDGE, small_size);
    imx_lineproto_init(&large, large_bytes, sizeof large_bytes);
    memset(&model, 0, sizeof model);
    expected_used = lines_len = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    left = size < 4096 ? size : 4096;
    long_texts = take_byte() == 255 ? 2 : 0;
    start();
    /* The large buffer, and the model's, have room for so much. */
    while (left > 0 && expected_used < LARGE / 4
           && imx_lineproto_length(&large) < LARGE / 4) {
        take_call();
    }
    call_end();
    return 0;
}
