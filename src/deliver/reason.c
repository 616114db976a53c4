/*
 * reason.c owns the sentence that says why points were not taken: reason.h.
 * Pure functions for any thread.
 * Nothing survives a crash: there is nothing to survive.
 */
#include "deliver/reason.h"

#include <stdio.h>
#include <stdlib.h>

#define CUT "..."

char imx_reason_byte(char c)
{
    return (char)(isspace((unsigned char)c) ? ' '
                  : c >= 0x20 && c < 0x7f   ? c
                                            : '?');
}

/* n: the bytes that reason has; returns how many it has then. */
static size_t put(char *reason, size_t size, size_t n, char c)
{
    char shown = imx_reason_byte(c);

    if (n + 1 >= size || (shown == ' ' && (n == 0 || reason[n - 1] == ' '))) {
        return n;
    }
    reason[n] = shown;
    reason[n + 1] = '\0';
    return n + 1;
}

/* One JSON escape, s being behind its backslash: its byte, and in *bytes how
 * many bytes it is made of. */
static char unescape(imx_span_t s, size_t *bytes)
{
    char hex[5] = "";
    unsigned long code;

    *bytes = 1;
    if (strchr("nrtbf", *s.p)) {
        return ' ';
    }
    if (*s.p != 'u' || s.len < 5) {
        return *s.p;
    }
    memcpy(hex, s.p + 1, 4);
    code = strtoul(hex, NULL, 16);
    *bytes = 5;
    return (char)(code >= 0x20 && code < 0x7f ? code : '?');
}

void imx_reason_add(char *reason, size_t size, imx_span_t s)
{
    size_t n = strlen(reason), bytes;

    while (s.len && n + 1 < size) {
        char c = *s.p;

        bytes = 1;
        if (s.json && c == '\\' && s.len > 1) {
            s = imx_span_from(s, 1);
            c = unescape(s, &bytes);
        }
        n = put(reason, size, n, c);
        s = imx_span_from(s, bytes);
    }
}

void imx_reason_add_text(char *reason, size_t size, const char *text)
{
    imx_reason_add(reason, size, (imx_span_t){ text, strlen(text), 0 });
}

void imx_reason_trim(char *reason)
{
    size_t n = strlen(reason);

    if (n && reason[n - 1] == ' ') {
        reason[n - 1] = '\0'; /* never two: put() */
    }
}

void imx_reason_explain(char *reason, const char *text)
{
    reason[0] = '\0';
    imx_reason_add_text(reason, IMX_INFLUX_REASON_MAX, text);
    imx_reason_trim(reason);
}

/* --- What is quoted --- */

/* Does the text before p end with this word? */
static int follows(const char *start, const char *p, const char *word)
{
    size_t n = strlen(word);

    while (p > start && strchr(" :=", p[-1])) {
        p--;
    }
    return (size_t)(p - start) >= n && strncasecmp(p - n, word, n) == 0;
}

/*
 * Names that the administrator chose, and paths: they stand behind these words,
 * and at the begin of "..." user is not authorized.
 */
static int is_own_name(const char *start, const char *p, const char *end)
{
    static const char *const words[] = {
        "database",     "database not found",
        "policy",       "bucket",
        "name",         "org",
        "organization", "table",
        "measurement",  "field",
        "column",       "tag",
        "path",         "requested",
        "user"
    };

    if (end - p > 64) {
        return 0;
    }
    if (p == start && strncasecmp(end, "\" user ", 7) == 0) {
        return 1;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (follows(start, p, words[i])) {
            return 1;
        }
    }
    return 0;
}

/* An apostrophe, as in "can't", opens nothing. */
static int opens(const char *start, const char *p)
{
    return *p == '"' || *p == '`'
           || (*p == '\'' && (p == start || !isalnum((unsigned char)p[-1])));
}

/*
 * The end of what p opens.  Go and Rust put a backslash before a quote inside;
 * InfluxDB 1 and 2 do not ('LINE': ...), nor may others that quote a line: so
 * that goes up to the last quote.
 */
static char *closing(const char *start, char *p)
{
    int line = *p == '\'' || follows(start, p, "line")
               || follows(start, p, "parse");
    char *end = p + 1;

    if (line && !follows(start, p, "path") && !is_own_name(start, p, p)) {
        end = strrchr(end, *p);
        return end && end > p ? end : NULL;
    }
    for (; *end && *end != *p; end++) {
        end += *end == '\\' && end[1] && *p != '\'';
    }
    return *end ? end : NULL;
}

/* Makes what is between from and to "..."; returns where that ends. */
static char *cut(char *from, char *to)
{
    size_t n = (size_t)(to - from);
    size_t dots = n < strlen(CUT) ? n : strlen(CUT);

    memcpy(from, CUT, dots);
    memmove(from + dots, to, strlen(to) + 1);
    return from + dots;
}

void imx_reason_cut_quotes(char *words)
{
    for (char *p = words; *p; p++) {
        char *end = opens(words, p) ? closing(words, p) : NULL;

        if (end && is_own_name(words, p, end)) {
            p = end;
        }
        else if (end) {
            p = cut(p + 1, end); /* at the closing quote */
        }
        else if (opens(words, p)) { /* the end is missing: cut by somebody */
            p = cut(p + 1, p + strlen(p)) - 1;
        }
    }
}

/* Is it a number, as in dropped=3, or a quoted piece?  Then *end is behind. */
static int is_harmless(char *value, char **end)
{
    size_t n = strspn(value, "0123456789");

    if (*value == '"' || *value == '\'') {
        *end = value;
        return 1;
    }
    *end = value + n;
    return n > 0 && (*(*end) == '\0' || strchr(" ,;)", **end));
}

/* In a URL a value ends with it; in a line it can have blanks, so that all goes
 * up to the end, but for a dropped=N there. */
static char *end_of_value(const char *words, char *value)
{
    const char *name = value - 1;
    char *end = value + strcspn(value, " ;");
    char *dropped;

    while (name > words && !strchr(" ?&,", name[-1])) {
        name--;
    }
    if (name > words && strchr("?&", name[-1])) {
        return end;
    }
    dropped = strstr(value, " dropped=");
    while (dropped && strstr(dropped + 1, " dropped=")) {
        dropped = strstr(dropped + 1, " dropped=");
    }
    return dropped && dropped[9]
                   && dropped[9 + strspn(dropped + 9, "0123456789")] == '\0'
               ? dropped
               : value + strlen(value);
}

void imx_reason_cut_values(char *words)
{
    char *p = words, *end;

    imx_reason_cut_quotes(words);
    while ((p = strchr(p, '=')) != NULL) {
        p++;
        if (!is_harmless(p, &end)) {
            p = cut(p, end_of_value(words, p));
        }
    }
}

void imx_reason_advise(char *reason, const char *advice)
{
    static const char before[] = "; see ";
    size_t room = IMX_INFLUX_REASON_MAX - 1 - strlen(before) - strlen(advice);
    size_t n = strlen(reason);

    n = n < room ? n : room;
    snprintf(reason + n, IMX_INFLUX_REASON_MAX - n, "%s%s", before, advice);
}
