/*
 * span.h owns spans of text that came from the network: nothing is copied, and
 * no byte behind the end is read.
 * Pure functions for any thread.  Nothing survives, as nothing is kept.
 */
#ifndef IMX_SPAN_H
#define IMX_SPAN_H

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

typedef struct {
    const char *p;
    size_t len;
    int json; /* 1: a JSON string, with backslash escapes */
} imx_span_t;

static inline imx_span_t imx_span_from(imx_span_t s, size_t at)
{
    return (imx_span_t){ s.p + at, s.len - at, s.json };
}

static inline imx_span_t imx_span_trim(imx_span_t s)
{
    while (s.len && isspace((unsigned char)*s.p)) {
        s = imx_span_from(s, 1);
    }
    return s;
}

/* What s says without the space around it, copied to text and ended by a NUL;
 * 0 when it needs more than size bytes. */
static inline int imx_span_copy(imx_span_t s, char *text, size_t size)
{
    s = imx_span_trim(s);
    while (s.len && isspace((unsigned char)s.p[s.len - 1])) {
        s.len--;
    }
    if (s.len >= size) {
        return 0;
    }
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    return 1;
}

/* Where phrase is in s, case apart; s.len when it is not there. */
static inline size_t imx_span_find(imx_span_t s, const char *phrase)
{
    size_t n = strlen(phrase);

    for (size_t i = 0; i + n <= s.len; i++) {
        if (strncasecmp(s.p + i, phrase, n) == 0) {
            return i;
        }
    }
    return s.len;
}

static inline int imx_span_has(imx_span_t s, const char *phrase)
{
    return imx_span_find(s, phrase) < s.len;
}

/* s up to the first stop that is not escaped, or all of it (a cut answer). */
static inline imx_span_t imx_span_until(imx_span_t s, char stop)
{
    size_t i = 0;

    while (i < s.len && s.p[i] != stop) {
        i += (s.json && s.p[i] == '\\') ? 2 : 1;
    }
    s.len = i < s.len ? i : s.len;
    return s;
}

/*
 * The first string with this key, at any depth; p is NULL when there is none.
 * key comes with its quotes: a quote inside of a JSON string is escaped, so
 * text cannot pass for a key.
 */
static inline imx_span_t imx_span_json(imx_span_t s, const char *key)
{
    for (;;) {
        size_t at = imx_span_find(s, key);

        if (at == s.len) {
            return (imx_span_t){ NULL, 0, 1 };
        }
        s = imx_span_trim(imx_span_from(s, at + strlen(key)));
        if (s.len && *s.p == ':') {
            imx_span_t value = imx_span_trim(imx_span_from(s, 1));

            if (value.len && *value.p == '"') {
                value.json = 1;
                return imx_span_until(imx_span_from(value, 1), '"');
            }
        }
    }
}

#endif
