/*
 * secret_hide.c owns the stars over a secret in what a server said.
 * Any thread; it works on the caller's bytes only.
 * Nothing survives a crash.  Its copy of the secret is wiped.
 */
#include "deliver/secret.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

/* %XX.  Returns its bytes, and the byte it stands for in *value. */
static size_t percent_unit(const char *p, int *value)
{
    if (hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0) {
        return 0;
    }
    *value = hex_digit(p[1]) * 16 + hex_digit(p[2]);
    return 3;
}

/* %25XX: coded twice. */
static size_t twice_unit(const char *p, int *value)
{
    return strncmp(p, "%25", 3) == 0 && percent_unit(p + 2, value) ? 5 : 0;
}

/* &amp; and the like, &#38; and &#x26;, as short as anybody writes them. */
static size_t entity_unit(const char *p, int *value)
{
    static const char *const names[] = { "&amp;", "&lt;", "&gt;", "&quot;",
                                         "&apos;" };
    int bytes = 0, hex;

    for (size_t i = 0; i < 5; i++) {
        if (strncasecmp(p, names[i], strlen(names[i])) == 0) {
            *value = "&<>\"'"[i];
            return strlen(names[i]);
        }
    }
    if (p[1] != '#') {
        return 0;
    }
    hex = tolower((unsigned char)p[2]) == 'x';
    if (sscanf(p, hex ? "&#%*1[xX]%3x%n" : "&#%3u%n", (unsigned *)value,
               &bytes)
            != 1
        || p[bytes] != ';' || *value < 0 || *value > 255) {
        return 0;
    }
    return (size_t)bytes + 1;
}

/* The places behind c in a reason, when it begins at p; 0: it does not. */
typedef struct {
    size_t raw, coded, twice;
} steps_t;

static size_t if_same(size_t bytes, int value, char c)
{
    return bytes
                   && (value == (unsigned char)c
                       || (isspace(value) && isspace((unsigned char)c)))
               ? bytes
               : 0;
}

static steps_t shows(const char *p, char c)
{
    steps_t s = { 0, 0, 0 };
    int value = -1;

    s.raw = *p && (*p == imx_reason_byte(c) || (*p == '+' && c == ' '));
    if (*p == '%') {
        s.coded = percent_unit(p, &value);
        s.coded = if_same(s.coded, value, c);
        s.twice = twice_unit(p, &value);
        s.twice = if_same(s.twice, value, c);
    }
    else if (*p == '&') {
        s.coded = entity_unit(p, &value);
        s.coded = if_same(s.coded, value, c);
    }
    return s;
}

/* The bytes of a reason, each with whether a match can have come that far. */
typedef struct {
    const char *p;
    size_t len;
    int cut; /* the reason ends where there was no more room */
    unsigned char now[IMX_INFLUX_REASON_MAX], next[IMX_INFLUX_REASON_MAX];
} match_t;

static void step_to(match_t *m, size_t i, size_t bytes)
{
    if (bytes && i + bytes <= m->len) {
        m->next[i + bytes] = 1;
    }
}

/* Moves on over c, and over further blanks when c is one: a reason shows them
 * as one.  Returns 1 when the match runs into the cut. */
static int match_byte(match_t *m, char c)
{
    memset(m->next, 0, sizeof(m->next));
    for (size_t i = 0; i <= m->len; i++) {
        int open = m->now[i] || (c == ' ' && m->next[i]);
        steps_t s;

        if (!open) {
            continue;
        }
        if (m->now[i] && m->cut && i > 0
            && (i == m->len || (strchr("%&", m->p[i]) && m->len - i < 6))) {
            return 1;
        }
        s = shows(m->p + i, c);
        step_to(m, i, s.raw);
        step_to(m, i, s.coded);
        step_to(m, i, s.twice);
    }
    memcpy(m->now, m->next, sizeof(m->now));
    return 0;
}

/* How many bytes at p show the secret; 0: they do not.  At the cut its
 * beginning counts. */
static size_t shown_bytes(const char *p, const char *secret, int cut)
{
    match_t m = { .p = p, .len = strlen(p), .cut = cut };
    size_t end;

    m.now[0] = 1;
    while (*secret && memchr(m.now, 1, m.len + 1)) {
        int blank = isspace((unsigned char)*secret);

        if (match_byte(&m, blank ? ' ' : *secret)) {
            return m.len;
        }
        while (blank && isspace((unsigned char)secret[1])) {
            secret++;
        }
        secret++;
    }
    end = m.len;
    while (end > 0 && !m.now[end]) {
        end--;
    }
    return *secret == '\0' || (cut && end == m.len) ? end : 0;
}

static char *trimmed_copy(const char *secret)
{
    char *copy;
    size_t n;

    while (isspace((unsigned char)*secret)) {
        secret++;
    }
    copy = strdup(secret);
    for (n = copy ? strlen(copy) : 0; n && isspace((unsigned char)copy[n - 1]);
         n--) {
        copy[n - 1] = '\0';
    }
    return copy;
}

void imx_secret_hide_in(char *reason, const char *secret)
{
    int cut = strlen(reason) + 1 == IMX_INFLUX_REASON_MAX;
    char *copy = secret ? trimmed_copy(secret) : NULL;

    if (secret && !copy) { /* rather no reason than one with a secret */
        reason[0] = '\0';
    }
    for (char *p = reason; copy && *copy && *p; p++) {
        size_t n = shown_bytes(p, copy, cut);

        if (n > 0) {
            memset(p, '*', n);
            p += n - 1;
        }
    }
    imx_secret_wipe(copy);
}
