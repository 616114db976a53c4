/*
 * decimal.c owns the text of a double (see decimal.h).
 * Entered by any thread; works only on what its caller hands it.
 * Nothing survives a crash.
 */
#include "base/decimal.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The usual value is a decimal with at most 15 digits, and that text
 * is what must be written: for the least k such that v is the double nearest
 * to m / 10^k.  m below 2^53 and 10^k, k <= 22, are exact doubles and division
 * rounds correctly, so the test is exact (Clinger 1990, the fast path of every
 * strtod, run backwards).
 */
#define EXACT_POWERS 23
static const double power_of_ten[EXACT_POWERS] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/* Finds m and k as above for v >= 0; returns 0 when there are none. */
static int short_decimal(double v, uint64_t *m, unsigned *k)
{
    for (*k = 0; *k < EXACT_POWERS; ++*k) {
        double scaled = v * power_of_ten[*k];

        if (scaled >= 9007199254740992.0) { /* 2^53 */
            return 0;
        }
        *m = (uint64_t)(scaled + 0.5);
        if ((double)*m / power_of_ten[*k] == v) {
            return 1;
        }
    }
    return 0;
}

static char *write_unsigned(char *p, uint64_t v)
{
    char text[20];
    size_t n = sizeof text;

    do {
        text[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    memcpy(p, text + n, sizeof text - n);
    return p + sizeof text - n;
}

static char *write_short_decimal(char *p, uint64_t m, unsigned k)
{
    uint64_t one = (uint64_t)power_of_ten[k <= 19 ? k : 19];
    unsigned i;

    p = write_unsigned(p, k <= 19 ? m / one : 0);
    if (k == 0) {
        return p;
    }
    *p++ = '.';
    for (i = k; i > 0; i--, m /= 10) {
        p[i - 1] = (char)('0' + m % 10);
    }
    return p + k;
}

/*
 * Everything else: m * 2^e written as the integer m * 2^e, or m * 5^-e with
 * the decimal point moved, in words of nine digits, lowest first.  The 17
 * leading digits name the double (IEEE 754-2008, 5.12.2).
 */
#define BIG_WORDS 88 /* 2^53 * 5^1074 has 767 digits */
#define BIG_BASE 1000000000u
#define NAMING_DIGITS 17

typedef struct {
    uint32_t word[BIG_WORDS];
    int count;
} big_t;

static void big_multiply(big_t *b, uint32_t by)
{
    uint64_t carry = 0;
    int i;

    for (i = 0; i < b->count; i++) {
        carry += (uint64_t)b->word[i] * by;
        b->word[i] = (uint32_t)(carry % BIG_BASE);
        carry /= BIG_BASE;
    }
    for (; carry > 0; carry /= BIG_BASE) {
        b->word[b->count++] = (uint32_t)(carry % BIG_BASE);
    }
}

static void big_multiply_power(big_t *b, uint32_t base, int exponent)
{
    for (; exponent >= 8; exponent -= 8) {
        uint32_t square = base * base;

        big_multiply(b, square * square);
        big_multiply(b, square * square);
    }
    for (; exponent > 0; exponent--) {
        big_multiply(b, base);
    }
}

static void big_text(const big_t *b, char *text)
{
    int i, digit;

    for (i = b->count - 1; i >= 0; i--) {
        uint32_t v = b->word[i];

        for (digit = 8; digit >= 0; digit--) {
            text[digit] = (char)('0' + v % 10);
            v /= 10;
        }
        text += 9;
    }
}

/* Splits v > 0 into m * 2^e, exactly. */
static uint64_t split_double(double v, int *e)
{
    uint64_t bits, fraction;
    int biased;

    memcpy(&bits, &v, sizeof bits);
    fraction = bits & ((UINT64_C(1) << 52) - 1);
    biased = (int)(bits >> 52) & 0x7FF;
    *e = (biased ? biased : 1) - 1075;
    return biased ? fraction | UINT64_C(1) << 52 : fraction;
}

/* Rounds text, n digits, to its first NAMING_DIGITS.  Returns 1 when that made
 * it 10.00..., one power of ten more. */
static int round_digits(char *text, int n)
{
    int i = NAMING_DIGITS;

    if (n <= NAMING_DIGITS || text[NAMING_DIGITS] < '5') {
        return 0;
    }
    while (i > 0 && text[i - 1] == '9') {
        text[--i] = '0';
    }
    if (i == 0) {
        text[0] = '1';
        return 1;
    }
    text[i - 1]++;
    return 0;
}

/* The digits of v > 0 at text, which has room for all of them and for
 * NAMING_DIGITS more; returns how many, and tells where the first is that is
 * not 0. */
static int exact_digits(double v, char *text, char **first, int *e)
{
    big_t b = { .count = 0 };
    uint64_t m = split_double(v, e);
    int n;

    for (; m > 0; m /= BIG_BASE) {
        b.word[b.count++] = (uint32_t)(m % BIG_BASE);
    }
    big_multiply_power(&b, *e < 0 ? 5 : 2, *e < 0 ? -*e : *e);
    big_text(&b, text);
    n = 9 * b.count;
    for (*first = text; **first == '0'; n--) {
        ++*first;
    }
    return n;
}

static char *write_exponent(char *p, int exponent)
{
    *p++ = 'e';
    if (exponent < 0) {
        *p++ = '-';
        exponent = -exponent;
    }
    return write_unsigned(p, (uint64_t)exponent);
}

static char *write_exact(char *p, double v)
{
    char text[9 * BIG_WORDS + NAMING_DIGITS];
    char *first;
    int e, n, exponent;

    memset(text, '0', sizeof text);
    n = exact_digits(v, text, &first, &e);
    exponent = n - 1 + (e < 0 ? e : 0) + round_digits(first, n);
    for (n = NAMING_DIGITS; n > 1 && first[n - 1] == '0'; n--) {
    }
    *p++ = first[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, first + 1, (size_t)n - 1);
        p += n - 1;
    }
    return write_exponent(p, exponent);
}

char *imx_decimal_write(char *p, double v)
{
    uint64_t m, bits;
    unsigned k;

    memcpy(&bits, &v, sizeof bits);
    if (bits >> 63) {
        *p++ = '-';
        v = -v;
    }
    return short_decimal(v, &m, &k) ? write_short_decimal(p, m, k)
                                    : write_exact(p, v);
}
