/*
 * words.c owns how numbers and strings are written for people and programs.
 * Entered by any thread; libc only.
 * Nothing is kept, so nothing has to survive.
 */
#include "base/words.h"

#include "base/c_locale.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Where a text is written, and how long it would be without a limit. */
typedef struct {
    char *to;
    size_t size, length;
} writer_t;

static writer_t start(char *to, size_t size)
{
    writer_t w = { to, size, 0 };

    if (size > 0) {
        to[0] = '\0';
    }
    return w;
}

/* All of the bytes or, when there is no room for them, none: a character or an
 * escape is never cut in the middle. */
static void put(writer_t *w, const void *bytes, size_t length)
{
    if (w->size > length && w->length < w->size - length) {
        memcpy(w->to + w->length, bytes, length);
        w->to[w->length + length] = '\0';
    }
    else {
        w->size = 0; /* nothing that comes later may close the gap */
    }
    w->length += length;
}

/* The last byte that may follow the first one of a character at once; *first is
 * the first such byte.  UTF-8 has no overlong forms, no surrogates, and nothing
 * beyond U+10FFFF. */
static unsigned char second_byte(unsigned char lead, unsigned char *first)
{
    *first = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    return lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
}

/* Bytes of the UTF-8 character that begins here, 0 when none does. */
static size_t utf8_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t length = s[0] < 0x80                    ? 1
                    : s[0] >= 0xC2 && s[0] <= 0xDF ? 2
                    : s[0] >= 0xE0 && s[0] <= 0xEF ? 3
                    : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                                   : 0;
    unsigned char first, last;
    size_t i;

    if (length < 2) {
        return length;
    }
    last = second_byte(s[0], &first);
    if (s[1] < first || s[1] > last) {
        return 0;
    }
    for (i = 2; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) { /* NUL is none, so nothing is passed */
            return 0;
        }
    }
    return length;
}

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

size_t imx_words_json(char *to, size_t size, const char *text)
{
    writer_t w = start(to, size);
    char escape[8];

    put(&w, "\"", 1);
    while (*text != '\0') {
        unsigned char c = (unsigned char)*text;
        size_t length = utf8_length(text);

        if (c < ' ' || c == '"' || c == '\\' || c == 0x7F) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            put(&w, escape, 6);
        }
        else if (length > 0) {
            put(&w, text, length);
        }
        else {
            put(&w, REPLACEMENT, 3);
        }
        text += length > 0 ? length : 1;
    }
    put(&w, "\"", 1);
    return w.length;
}

static int is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7F;
}

size_t imx_words_label(char *to, size_t size, const char *text)
{
    writer_t w = start(to, size);

    while (*text != '\0') {
        size_t length = utf8_length(text);

        if (*text == '\n') {
            put(&w, "\\n", 2);
        }
        else if (*text == '"' || *text == '\\') {
            char escape[2] = { '\\', *text };

            put(&w, escape, 2);
        }
        else if (length == 0 || is_control(*text)) {
            put(&w, REPLACEMENT, 3);
        }
        else {
            put(&w, text, length);
        }
        text += length > 0 ? length : 1;
    }
    return w.length;
}

int imx_words_has_control(const char *text)
{
    while (*text != '\0' && !is_control(*text)) {
        text++;
    }
    return *text != '\0';
}

size_t imx_words_line(char *to, size_t size, const char *text)
{
    writer_t w = start(to, size);

    while (*text != '\0') {
        size_t length = utf8_length(text);

        if (length == 0) {
            put(&w, REPLACEMENT, 3);
        }
        else {
            put(&w, is_control(*text) ? " " : text, length);
        }
        text += length > 0 ? length : 1;
    }
    return w.length;
}

size_t imx_words_number(char *to, size_t size, int64_t number)
{
    writer_t w = start(to, size);
    uint64_t n = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char digits[24];
    size_t length, i;

    snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    length = strlen(digits);
    if (number < 0) {
        put(&w, "-", 1);
    }
    for (i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            put(&w, ",", 1);
        }
        put(&w, &digits[i], 1);
    }
    return w.length;
}

static const struct {
    int64_t seconds;
    const char *name;
} units[] = {
    { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" }
};
#define UNITS (sizeof units / sizeof units[0])

size_t imx_words_duration(char *to, size_t size, int64_t seconds)
{
    writer_t w = start(to, size);
    int64_t left = seconds > 0 ? seconds : 0;
    char part[48];
    size_t i = 0, parts;

    while (i < UNITS - 1 && left < units[i].seconds) {
        i++;
    }
    for (parts = 0; parts < 2 && i < UNITS; parts++, i++) {
        long long n = left / units[i].seconds;

        if (parts > 0 && n == 0) {
            break;
        }
        left %= units[i].seconds;
        put(&w, part,
            (size_t)snprintf(part, sizeof part, "%s%lld %s%s",
                             parts > 0 ? " " : "", n, units[i].name,
                             n == 1 ? "" : "s"));
    }
    return w.length;
}

/* Three digits: 1.90, 59.8, 467. */
static size_t three_digits(char *to, size_t size, double n, const char *unit)
{
    return (size_t)imx_c_locale_print(to, size, "%.*f %s",
                                      n < 9.995   ? 2
                                      : n < 99.95 ? 1
                                                  : 0,
                                      n, unit);
}

static size_t two_units(char *to, size_t size, int64_t seconds)
{
    static const char *const names[UNITS] = { "d", "h", "min", "s" };
    size_t i = 0;
    int64_t rest;

    while (seconds < units[i].seconds) { /* there are 59 or more */
        i++;
    }
    rest = i + 1 < UNITS ? seconds % units[i].seconds / units[i + 1].seconds
                         : 0;
    if (rest == 0) {
        return (size_t)snprintf(to, size, "%lld %s",
                                (long long)(seconds / units[i].seconds),
                                names[i]);
    }
    return (size_t)snprintf(to, size, "%lld %s %lld %s",
                            (long long)(seconds / units[i].seconds), names[i],
                            (long long)rest, names[i + 1]);
}

size_t imx_words_taken(char *to, size_t size, double seconds)
{
    if (!(seconds > 0)) {
        return (size_t)snprintf(to, size, "0 s");
    }
    if (seconds < 0.9995e-3) {
        return (size_t)snprintf(to, size, "%.0f µs", seconds * 1e6);
    }
    if (seconds < 0.9995) {
        return three_digits(to, size, seconds * 1e3, "ms");
    }
    if (seconds < 59.95) {
        return three_digits(to, size, seconds, "s");
    }
    return two_units(to, size,
                     seconds < 9e18 ? (int64_t)(seconds + 0.5) : INT64_MAX);
}

size_t imx_words_bytes(char *to, size_t size, uint64_t bytes)
{
    static const char letters[] = "KMGTPE";
    double n = (double)bytes;
    size_t i = 0;

    if (bytes < 1024) {
        return (size_t)snprintf(to, size, "%llu byte%s",
                                (unsigned long long)bytes,
                                bytes == 1 ? "" : "s");
    }
    /* 1,023.95 would be written as 1024.0. */
    for (n /= 1024; n >= 1023.95 && letters[i + 1] != '\0'; i++) {
        n /= 1024;
    }
    /* One digit after the point, but none when it is 0. */
    return (size_t)imx_c_locale_print(to, size,
                                      (uint64_t)(n * 10 + 0.5) % 10 != 0
                                          ? "%.1f %cB"
                                          : "%.0f %cB",
                                      n, letters[i]);
}

size_t imx_words_time(char *to, size_t size, int64_t seconds)
{
    time_t at = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&at, &tm) == NULL) {
        return (size_t)snprintf(to, size, "%lld seconds since 1970",
                                (long long)seconds);
    }
    return (size_t)snprintf(to, size, "%lld-%02d-%02d %02d:%02d:%02d UTC",
                            tm.tm_year + 1900LL, tm.tm_mon + 1, tm.tm_mday,
                            tm.tm_hour, tm.tm_min, tm.tm_sec);
}
