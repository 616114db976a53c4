/*
 * lineproto.c owns the bytes of one line: escapes, whole numbers, order of
 * parts.  Entered by any thread; works only on what its caller hands it.
 * Nothing survives a crash; a line counts once imx_lineproto_end() is done.
 */
#include "lineproto.h"

#include "base/decimal.h"

/*
 * What a byte needs, a bit for each position in which it needs it.  Bytes with
 * no bit of the position's mask are copied as they are.
 */
enum {
    MEASUREMENT = 1, /* escaped in measurements: comma, space */
    KEY = 2,         /* escaped in keys and tag values: , = space */
    STRING = 4,      /* escaped in string fields: " \ */
    FEED = 8,        /* LF: a space in string fields */
    CONTROL = 16, /* a space in keys and tag values, refused in measurements */
    HIGH = 32,    /* not ASCII: must be valid UTF-8 */
    SLASH = 64    /* left off before an escape */
};

#define IN_MEASUREMENT (MEASUREMENT | CONTROL | HIGH | SLASH)
#define IN_TAG (KEY | CONTROL | HIGH | SLASH) /* keys of fields, too */
#define IN_STRING (STRING | FEED | HIGH)

/* clang-format off */
#define C CONTROL
#define H HIGH
#define ROW_OF_16(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
static const unsigned char class_of[256] = {
    C, C, C, C, C, C, C, C, C, C, FEED | C, C, C, C, C, C,
    ROW_OF_16(C),
    [' '] = MEASUREMENT | KEY, [','] = MEASUREMENT | KEY, ['='] = KEY,
    ['"'] = STRING, ['\\'] = STRING | SLASH, [127] = C,
    [128] = ROW_OF_16(H), ROW_OF_16(H), ROW_OF_16(H), ROW_OF_16(H),
    ROW_OF_16(H), ROW_OF_16(H), ROW_OF_16(H), ROW_OF_16(H)
};
#undef C
#undef H
#undef ROW_OF_16
/* clang-format on */

static void put_bytes(imx_lineproto_t *lp, const char *s, size_t n)
{
    if (imx_lineproto_room(lp, n)) {
        memcpy(lp->pos, s, n);
        lp->pos += n;
    }
}

static void put_char(imx_lineproto_t *lp, char c)
{
    if (imx_lineproto_room(lp, 1)) {
        *lp->pos++ = c;
    }
}

static int is_continuation(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/*
 * Bytes of the UTF-8 sequence at s (n > 0 bytes left), 0 when it is not valid:
 * no overlong forms, no surrogates, nothing past U+10FFFF (RFC 3629, 4).
 */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] >= 0xC2 && s[0] <= 0xDF) {
        return n > 1 && is_continuation(s[1]) ? 2 : 0;
    }
    if ((s[0] & 0xF0) == 0xE0 && n > 2 && is_continuation(s[1])
        && is_continuation(s[2])) {
        int overlong = s[0] == 0xE0 && s[1] < 0xA0;
        int surrogate = s[0] == 0xED && s[1] > 0x9F;

        return overlong || surrogate ? 0 : 3;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4 && n > 3 && is_continuation(s[1])
        && is_continuation(s[2]) && is_continuation(s[3])) {
        int overlong = s[0] == 0xF0 && s[1] < 0x90;
        int past_the_end = s[0] == 0xF4 && s[1] > 0x8F;

        return overlong || past_the_end ? 0 : 4;
    }
    return 0;
}

/*
 * A run of backslashes in a name or tag value.  There is no escape for them,
 * and before an escaped byte InfluxDB 1.x reads the pair as something else and
 * takes the next lines for a part of this one: they are left off there.
 * Returns bytes eaten.
 */
static size_t put_slashes(imx_lineproto_t *lp, const unsigned char *s,
                          size_t n, unsigned mask)
{
    size_t run = 1;

    while (run < n && s[run] == '\\') {
        run++;
    }
    if (run == n
        || !(class_of[s[run]] & mask & (MEASUREMENT | KEY | CONTROL))) {
        put_bytes(lp, (const char *)s, run);
    }
    return run;
}

/* InfluxDB 1 and 2 take control bytes; InfluxDB 3 and InfluxData's decoder,
 * which Telegraf has, refuse the line.  So in a tag a space stands for one. */
static void put_control(imx_lineproto_t *lp, unsigned mask)
{
    if (mask == IN_MEASUREMENT) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_NAME);
        return;
    }
    put_bytes(lp, "\\ ", 2);
}

/* One byte or sequence that is not copied as it is.  Returns bytes eaten. */
static size_t put_special(imx_lineproto_t *lp, const unsigned char *s,
                          size_t n, unsigned mask)
{
    unsigned class = class_of[*s] & mask;

    if (class & HIGH) {
        size_t len = utf8_length(s, n);

        if (len > 0) {
            put_bytes(lp, (const char *)s, len);
            return len;
        }
        put_bytes(lp, "\xEF\xBF\xBD", 3);
    }
    else if (class & FEED) {
        put_char(lp, ' ');
    }
    else if (class & CONTROL) {
        put_control(lp, mask);
    }
    else if (class & SLASH) {
        return put_slashes(lp, s, n, mask);
    }
    else {
        put_char(lp, '\\');
        put_char(lp, (char)*s);
    }
    return 1;
}

static void put_rest(imx_lineproto_t *lp, const unsigned char *s, size_t n,
                     unsigned mask)
{
    while (n > 0 && lp->stage != IMX_LINEPROTO_FAILED) {
        size_t eaten = 1;

        if (class_of[*s] & mask) {
            eaten = put_special(lp, s, n, mask);
        }
        else {
            put_char(lp, (char)*s);
        }
        s += eaten;
        n -= eaten;
    }
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))
#define HIGH_BITS EACH_BYTE(0x80)

/* Not 0 when a byte of w is below n, for n up to 128; a byte from 128 on may
 * count too (Anderson, "Bit Twiddling Hacks": hasless). */
static inline uint64_t has_below(uint64_t w, unsigned n)
{
    return (w - EACH_BYTE(n)) & HIGH_BITS;
}

static inline uint64_t has_byte(uint64_t w, unsigned byte)
{
    return has_below(w ^ EACH_BYTE(byte), 1);
}

/*
 * 0 when none of eight bytes is special at a position.  It may be wrong the
 * other way round: then the slow way looks at each byte.
 */
static inline uint64_t may_be_special(uint64_t w, unsigned mask)
{
    if (mask == IN_STRING) {
        return (w & HIGH_BITS) | has_below(w, ' ') | has_byte(w, '"')
               | has_byte(w, '\\');
    }
    /* A backslash may be the last one; adding 1 finds 127. */
    return ((w | (w + EACH_BYTE(1))) & HIGH_BITS) | has_below(w, ' ' + 1)
           | has_byte(w, ',') | has_byte(w, '=') | has_byte(w, '\\');
}

/* Copies eight bytes; returns what may_be_special() says of them. */
static inline uint64_t copy_eight(char *p, const char *s, unsigned mask)
{
    uint64_t w;

    memcpy(&w, s, 8);
    memcpy(p, &w, 8);
    return may_be_special(w, mask);
}

/* The same for n < 8 bytes: two halves that overlap, or single bytes. */
static inline uint64_t copy_few(char *p, const char *s, size_t n,
                                unsigned mask)
{
    uint64_t w = EACH_BYTE('a');
    uint32_t front, back;
    size_t i;

    if (n >= 4) {
        memcpy(&front, s, 4);
        memcpy(&back, s + n - 4, 4);
        memcpy(p, &front, 4);
        memcpy(p + n - 4, &back, 4);
        return may_be_special((uint64_t)front << 32 | back, mask);
    }
    for (i = 0; i < n; i++) {
        p[i] = s[i];
        w = w << 8 | (unsigned char)s[i];
    }
    return may_be_special(w, mask);
}

/*
 * The usual text has nothing to escape: copies it to p, where n bytes have
 * room, eight at a time.  Returns 0, or not 0 when a byte may be special.
 */
static inline uint64_t copy_plain(char *p, const char *s, size_t n,
                                  unsigned mask)
{
    uint64_t special = 0;
    size_t i;

    if (n < 8) {
        return copy_few(p, s, n, mask);
    }
    for (i = 0; i + 8 < n; i += 8) {
        special |= copy_eight(p + i, s + i, mask);
    }
    return special | copy_eight(p + n - 8, s + n - 8, mask);
}

static void put_escaped(imx_lineproto_t *lp, const char *s, size_t n,
                        unsigned mask)
{
    if (imx_lineproto_room(lp, n)) {
        if (copy_plain(lp->pos, s, n, mask) == 0) {
            lp->pos += n;
        }
        else {
            put_rest(lp, (const unsigned char *)s, n, mask);
        }
    }
}

static size_t without_trailing_backslashes(const char *s, size_t n)
{
    while (n > 0 && s[n - 1] == '\\') {
        n--;
    }
    return n;
}

/* n: bytes without trailing backslashes. */
static void put_name(imx_lineproto_t *lp, const char *s, size_t n,
                     unsigned mask)
{
    if (n == 0 || n > IMX_LINEPROTO_NAME_MAX || s[0] == '_') {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_NAME);
        return;
    }
    put_escaped(lp, s, n, mask);
}

static void put_key(imx_lineproto_t *lp, const char *s, size_t n)
{
    n = without_trailing_backslashes(s, n);
    if (n == 4 && memcmp(s, "time", 4) == 0) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_NAME);
        return;
    }
    put_name(lp, s, n, IN_TAG);
}

static const unsigned char two_digits[] =
    "00010203040506070809101112131415161718192021222324"
    "25262728293031323334353637383940414243444546474849"
    "50515253545556575859606162636465666768697071727374"
    "75767778798081828384858687888990919293949596979899";

/* clang-format off */
#define TEN(first) \
    first "0," first "1," first "2," first "3," first "4," \
    first "5," first "6," first "7," first "8," first "9,"
#define HUNDRED(first) \
    TEN(first "0") TEN(first "1") TEN(first "2") TEN(first "3") \
    TEN(first "4") TEN(first "5") TEN(first "6") TEN(first "7") \
    TEN(first "8") TEN(first "9")

/* Each with the comma that comes behind a field. */
static const char three_digits[] =
    HUNDRED("0") HUNDRED("1") HUNDRED("2") HUNDRED("3") HUNDRED("4")
    HUNDRED("5") HUNDRED("6") HUNDRED("7") HUNDRED("8") HUNDRED("9");
/* clang-format on */

/*
 * Digits in steps of three, for numbers below 10^9.  v is scaled so that the
 * upper half of a 64-bit word holds its first three digits and the lower half
 * the rest as a fraction, whose next three digits are what 1000 times it
 * carries over (Jeon 2022, "Jeaiii algorithm").  The factor is 2^53 / 10^6
 * rounded up, and all that is too large by it and by the 1 stays below what one
 * more nanosecond would be.
 */
static inline uint64_t in_millions(uint64_t v)
{
    return (v * UINT64_C(9007199255) >> 21) + 1;
}

/* Three digits, and a comma behind them. */
static inline char *write_three(char *p, uint64_t v)
{
    memcpy(p, three_digits + 4 * v, 4);
    return p + 3;
}

static inline uint64_t next_three(uint64_t t)
{
    return (t & 0xFFFFFFFFU) * 1000;
}

/*
 * The digits of v, zeros in front, one in each byte; the first in the lowest.
 * All places of a word are divided at once: in two of four digits, four of two,
 * eight of one.  3518437209 / 2^45, 10486 / 2^20 and 103 / 2^10 are 1 / 10000,
 * 1 / 100 and 1 / 10, rounded up, which is exact for numbers of so few digits.
 */
static inline uint64_t eight_digits(uint32_t v)
{
    uint64_t upper = v * UINT64_C(3518437209) >> 45;
    uint64_t t = upper | (v - upper * 10000) << 32;

    upper = t * 10486 >> 20 & UINT64_C(0x7F0000007F);
    t = upper | (t - upper * 100) << 16;
    upper = t * 103 >> 10 & UINT64_C(0xF000F000F000F);
    return upper | (t - upper * 10) << 8;
}

/* Bytes of a word, the lowest first in memory. */
static inline uint64_t in_memory(uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(v);
#else
    return v;
#endif
}

#define ASCII UINT64_C(0x3030303030303030)

uint64_t imx_lineproto_short(uint32_t v, size_t *len)
{
    uint64_t digits;
    unsigned zeros;

    if (v < 10) {
        *len = 1;
        return in_memory('0' + v);
    }
    if (v < 100) {
        const unsigned char *two = two_digits + 2 * v;

        *len = 2;
        return in_memory(two[0] | (uint64_t)two[1] << 8);
    }
    digits = eight_digits(v);
    zeros = (unsigned)__builtin_ctzll(digits) / 8;
    *len = 8 - zeros;
    return in_memory((digits | ASCII) >> 8 * zeros);
}

static inline char *write_eight(char *p, uint32_t v)
{
    uint64_t text = in_memory(eight_digits(v) | ASCII);

    memcpy(p, &text, sizeof text);
    return p + sizeof text;
}

/* Eight bytes are written to, of which some may be too many. */
static inline char *write_short(char *p, uint32_t v)
{
    size_t len;
    uint64_t text = imx_lineproto_short(v, &len);

    memcpy(p, &text, sizeof text);
    return p + len;
}

static char *write_unsigned(char *p, uint64_t v)
{
    if (v < IMX_LINEPROTO_SHORT) {
        return write_short(p, (uint32_t)v);
    }
    return write_eight(write_unsigned(p, v / IMX_LINEPROTO_SHORT),
                       (uint32_t)(v % IMX_LINEPROTO_SHORT));
}

/* The sign, if any; v becomes its magnitude. */
static char *write_sign(char *p, int64_t v, uint64_t *magnitude)
{
    *magnitude = (uint64_t)v;
    if (v < 0) {
        *magnitude = 0 - *magnitude;
        *p++ = '-';
    }
    return p;
}

char *imx_lineproto_write_int(char *p, int64_t v)
{
    uint64_t magnitude;

    if ((uint64_t)v < IMX_LINEPROTO_SHORT) { /* one look for the sign, too */
        p = write_short(p, (uint32_t)v);
    }
    else {
        p = write_sign(p, v, &magnitude);
        p = write_unsigned(p, magnitude);
    }
    *p = 'i';
    return p + 1;
}

/* Any number of seconds. */
__attribute__((noinline)) static char *write_more_seconds(char *p, int64_t ns)
{
    char digits[8];
    uint64_t us;

    p = write_sign(p, ns, &us);
    us /= 1000;
    p = write_unsigned(p, us / 1000000);
    *p = '.';
    write_eight(digits, (uint32_t)(us % 1000000));
    memcpy(p + 1, digits + 2, 6);
    return p + 7;
}

/* The usual request takes less than a second. */
char *imx_lineproto_write_seconds(char *p, int64_t ns)
{
    if ((uint64_t)ns >= 1000000000) {
        return write_more_seconds(p, ns);
    }
    memcpy(p, "0.", 2);
    return imx_lineproto_write_six_of_nine(p + 2, (uint32_t)ns);
}

char *imx_lineproto_write_six_of_nine(char *p, uint32_t ns)
{
    uint64_t t = in_millions(ns);

    p = write_three(p, t >> 32);
    return write_three(p, next_three(t) >> 32);
}

char *imx_lineproto_write_nine(char *p, uint32_t v)
{
    uint64_t t = in_millions(v);

    p = write_three(p, t >> 32);
    t = next_three(t);
    p = write_three(p, t >> 32);
    return write_three(p, next_three(t) >> 32);
}

/* Times after 2001 have 19 digits: three, eight and eight. */
char *imx_lineproto_write_time(char *p, int64_t ns)
{
    uint64_t magnitude, upper;

    *p = ' ';
    p = write_sign(p + 1, ns, &magnitude);
    upper = magnitude / IMX_LINEPROTO_SHORT;
    if (magnitude >= UINT64_C(1000000000000000000)) {
        p = write_three(p, upper / IMX_LINEPROTO_SHORT);
        p = write_eight(p, (uint32_t)(upper % IMX_LINEPROTO_SHORT));
        p = write_eight(p, (uint32_t)(magnitude % IMX_LINEPROTO_SHORT));
    }
    else {
        p = write_unsigned(p, magnitude);
    }
    *p = '\n';
    return p + 1;
}

void imx_lineproto_begin(imx_lineproto_t *lp, const char *measurement,
                         size_t len)
{
    if (lp->stage != IMX_LINEPROTO_BETWEEN) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_ORDER);
    }
    else if (len > 0 && measurement[0] == '#') {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_NAME);
    }
    else {
        lp->stage = IMX_LINEPROTO_IN_TAGS;
        put_name(lp, measurement,
                 without_trailing_backslashes(measurement, len),
                 IN_MEASUREMENT);
    }
}

/* A key that is usual but for what copy_plain() looks at. */
static inline int may_be_plain_key(const char *key, size_t n)
{
    return n - 1 < IMX_LINEPROTO_NAME_MAX && key[0] != '_'
           && !(n == 4 && memcmp(key, "time", 4) == 0);
}

/* The tag in one go if nothing in it is special; else 0, and nothing done. */
static int put_plain_tag(imx_lineproto_t *lp, const char *key, size_t key_len,
                         const char *value, size_t value_len)
{
    char *p = lp->pos;

    if (!may_be_plain_key(key, key_len)
        || value_len - 1 >= IMX_LINEPROTO_VALUE_MAX
        || (size_t)(lp->limit - p) < key_len + value_len + 2) {
        return 0;
    }
    if ((copy_plain(p + 1, key, key_len, IN_TAG)
         | copy_plain(p + key_len + 2, value, value_len, IN_TAG))
        != 0) {
        return 0;
    }
    *p = ',';
    p[key_len + 1] = '=';
    lp->pos += key_len + value_len + 2;
    return 1;
}

void imx_lineproto_tag(imx_lineproto_t *lp, const char *key, size_t key_len,
                       const char *value, size_t value_len)
{
    if (lp->stage != IMX_LINEPROTO_IN_TAGS) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_ORDER);
        return;
    }
    if (put_plain_tag(lp, key, key_len, value, value_len)) {
        return;
    }
    value_len = without_trailing_backslashes(value, value_len);
    if (value_len > IMX_LINEPROTO_VALUE_MAX) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_VALUE);
    }
    else if (value_len > 0) {
        put_char(lp, ',');
        put_key(lp, key, key_len);
        put_char(lp, '=');
        put_escaped(lp, value, value_len, IN_TAG);
    }
}

void imx_lineproto_tag_value(imx_lineproto_t *lp, const char *value,
                             size_t value_len)
{
    if (lp->stage != IMX_LINEPROTO_IN_TAGS) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_ORDER);
        return;
    }
    value_len = without_trailing_backslashes(value, value_len);
    if (value_len > IMX_LINEPROTO_VALUE_MAX) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_VALUE);
    }
    else {
        put_escaped(lp, value, value_len, IN_TAG);
    }
}

void imx_lineproto_put_bool(imx_lineproto_t *lp, int v)
{
    if (imx_lineproto_begin_value(lp)) {
        put_bytes(lp, v ? "true" : "false", v ? 4 : 5);
    }
}

void imx_lineproto_put_string(imx_lineproto_t *lp, const char *s, size_t len)
{
    if (!imx_lineproto_begin_value(lp)) {
        return;
    }
    if (len > IMX_LINEPROTO_VALUE_MAX) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_VALUE);
        return;
    }
    put_char(lp, '"');
    put_escaped(lp, s, len, IN_STRING);
    put_char(lp, '"');
}

/* The text is made aside: how long it gets is known when it is there. */
void imx_lineproto_put_float(imx_lineproto_t *lp, double v)
{
    char text[IMX_DECIMAL_MAX];

    if (!imx_lineproto_begin_value(lp)) {
        return;
    }
    if (!(v - v == 0)) { /* NaN, infinities */
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_VALUE);
        return;
    }
    put_bytes(lp, text, (size_t)(imx_decimal_write(text, v) - text));
}

static int field_key(imx_lineproto_t *lp, const char *key, size_t len)
{
    char *p = lp->pos;

    if (lp->stage != IMX_LINEPROTO_IN_TAGS
        && lp->stage != IMX_LINEPROTO_IN_FIELDS) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_ORDER);
        return 0;
    }
    if (may_be_plain_key(key, len) && (size_t)(lp->limit - p) >= len + 2
        && copy_plain(p + 1, key, len, IN_TAG) == 0) {
        *p = lp->stage == IMX_LINEPROTO_IN_TAGS ? ' ' : ',';
        p[len + 1] = '=';
        lp->pos += len + 2;
    }
    else {
        put_char(lp, lp->stage == IMX_LINEPROTO_IN_TAGS ? ' ' : ',');
        put_key(lp, key, len);
        put_char(lp, '=');
    }
    if (lp->stage == IMX_LINEPROTO_FAILED) {
        return 0;
    }
    lp->stage = IMX_LINEPROTO_IN_KEY;
    return 1;
}

void imx_lineproto_field_int(imx_lineproto_t *lp, const char *key,
                             size_t key_len, int64_t v)
{
    if (field_key(lp, key, key_len)) {
        imx_lineproto_put_int(lp, v);
    }
}

void imx_lineproto_field_float(imx_lineproto_t *lp, const char *key,
                               size_t key_len, double v)
{
    if (field_key(lp, key, key_len)) {
        imx_lineproto_put_float(lp, v);
    }
}

void imx_lineproto_field_bool(imx_lineproto_t *lp, const char *key,
                              size_t key_len, int v)
{
    if (field_key(lp, key, key_len)) {
        imx_lineproto_put_bool(lp, v);
    }
}

void imx_lineproto_field_string(imx_lineproto_t *lp, const char *key,
                                size_t key_len, const char *s, size_t len)
{
    if (field_key(lp, key, key_len)) {
        imx_lineproto_put_string(lp, s, len);
    }
}

void imx_lineproto_field_seconds(imx_lineproto_t *lp, const char *key,
                                 size_t key_len, int64_t ns)
{
    if (field_key(lp, key, key_len)) {
        imx_lineproto_put_seconds(lp, ns);
    }
}
