/*
 * answer.c: owns what an answer of InfluxDB means (see answer.h).
 * Pure functions, for any thread.
 * Nothing survives a crash: there is nothing to survive.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* explicit_bzero, timegm */
#endif

#include "deliver/answer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MAX 86400 /* seconds; more is a server's mistake */

/* --- What the server said: spans of its answer, nothing is copied --- */

typedef struct {
    const char *p;
    size_t len;
    int json; /* backslash escapes */
} span_t;

static span_t span_from(span_t s, size_t at)
{
    return (span_t){ s.p + at, s.len - at, s.json };
}

static span_t span_trim(span_t s)
{
    while (s.len && isspace((unsigned char)*s.p)) {
        s = span_from(s, 1);
    }
    return s;
}

/* Where phrase is in s, case apart; s.len when it is not there. */
static size_t span_find(span_t s, const char *phrase)
{
    size_t n = strlen(phrase);

    for (size_t i = 0; i + n <= s.len; i++) {
        if (strncasecmp(s.p + i, phrase, n) == 0) {
            return i;
        }
    }
    return s.len;
}

static int span_has(span_t s, const char *phrase)
{
    return span_find(s, phrase) < s.len;
}

static int span_has_any(span_t s, const char *const *phrases)
{
    while (*phrases && !span_has(s, *phrases)) {
        phrases++;
    }
    return *phrases != NULL;
}

/* s up to the first stop that is not escaped, or all of it (a cut answer). */
static span_t span_until(span_t s, char stop)
{
    size_t i = 0;

    while (i < s.len && s.p[i] != stop) {
        i += (s.json && s.p[i] == '\\') ? 2 : 1;
    }
    s.len = i < s.len ? i : s.len;
    return s;
}

/*
 * The first string with this key, at any depth.  key comes with its quotes: a
 * quote inside of a JSON string is escaped, so text cannot pass for a key.
 */
static span_t json_string(span_t s, const char *key)
{
    for (;;) {
        size_t at = span_find(s, key);

        if (at == s.len) {
            return (span_t){ NULL, 0, 1 };
        }
        s = span_trim(span_from(s, at + strlen(key)));
        if (s.len && *s.p == ':') {
            span_t value = span_trim(span_from(s, 1));

            if (value.len && *value.p == '"') {
                value.json = 1;
                return span_until(span_from(value, 1), '"');
            }
        }
    }
}

/* The title of a page, else its first text. */
static span_t html_text(span_t s)
{
    size_t title = span_find(s, "<title");

    s = span_trim(span_from(s, title < s.len ? title : 0));
    while (s.len && *s.p == '<') {
        size_t tag = span_until(s, '>').len;

        s = span_trim(span_from(s, tag < s.len ? tag + 1 : tag));
    }
    return span_until(s, '<');
}

/* The sentence in an answer: v1 and v3 "error", v2 "message", title, text. */
static span_t answer_text(span_t body)
{
    span_t text = { NULL, 0, 0 };

    body = span_trim(body);
    if (body.len && *body.p == '<') {
        return html_text(body);
    }
    if (body.len && *body.p == '{') {
        text = json_string(body, "\"error\"");
        if (text.p == NULL) {
            text = json_string(body, "\"message\"");
        }
    }
    return text.p ? text : body;
}

/* --- A reason: InfluxDB's words on one printable line --- */

static void reason_put(char *reason, char c)
{
    size_t n = strlen(reason);
    int blank = isspace((unsigned char)c);

    if (n + 1 >= IMX_INFLUX_REASON_MAX
        || (blank && (n == 0 || reason[n - 1] == ' '))) {
        return;
    }
    reason[n] = (char)(blank ? ' ' : c >= 0x20 && c < 0x7f ? c : '?');
    reason[n + 1] = '\0';
}

/* One JSON escape behind its backslash; returns its bytes. */
static size_t reason_escape(char *reason, span_t s)
{
    char hex[5] = "";

    if (strchr("nrtbf", *s.p)) {
        reason_put(reason, ' ');
    }
    else if (*s.p != 'u' || s.len < 5) {
        reason_put(reason, *s.p);
    }
    else {
        unsigned long code;

        memcpy(hex, s.p + 1, 4);
        code = strtoul(hex, NULL, 16);
        reason_put(reason, (char)(code >= 0x20 && code < 0x7f ? code : '?'));
        return 5;
    }
    return 1;
}

static void reason_add(char *reason, span_t s)
{
    while (s.len && strlen(reason) + 1 < IMX_INFLUX_REASON_MAX) {
        if (s.json && *s.p == '\\' && s.len > 1) {
            s = span_from(s, 1);
            s = span_from(s, reason_escape(reason, s));
        }
        else {
            reason_put(reason, *s.p);
            s = span_from(s, 1);
        }
    }
}

static void reason_trim(char *reason)
{
    size_t n = strlen(reason);

    if (n && reason[n - 1] == ' ') {
        reason[n - 1] = '\0'; /* never two: reason_put() */
    }
}

static void reason_add_text(char *reason, const char *text)
{
    reason_add(reason, (span_t){ text, strlen(text), 0 });
}

void imx_answer_explain(char *reason, const char *text)
{
    reason[0] = '\0';
    reason_add_text(reason, text);
    reason_trim(reason);
}

/*
 * Some debug pages show the request.  Compared is what a reason makes of the
 * secret, blanks and bytes beyond ASCII being changed there.  The cut must not
 * save half a secret.
 */
void imx_answer_hide(char *reason, const char *secret)
{
    char shown[IMX_INFLUX_REASON_MAX] = "";
    int cut = strlen(reason) + 1 == IMX_INFLUX_REASON_MAX;
    size_t n;

    if (secret) {
        imx_answer_explain(shown, secret);
    }
    n = strlen(shown);
    for (char *p = reason; n && *p; p++) {
        size_t left = strlen(p);
        size_t m = left < n ? left : n;

        if (memcmp(p, shown, m) == 0 && (m == n || cut)) {
            memset(p, '*', m);
        }
    }
    explicit_bzero(shown, sizeof(shown));
}

/* --- Sorting an answer --- */

/*
 * What influxd 1.6.7 was seen to do with a body of good lines and bad ones:
 * the good ones are stored, and it answers 400
 *   {"error":"partial write: unable to parse 'm1 garbage': invalid field
 *    format dropped=0"}
 * with one "unable to parse" for every bad line (joined by \n), not counted in
 * dropped=.  When no line is good the "partial write: " is missing.  Conflicts
 * and old points are counted, and hide the parse errors of the same body:
 *   partial write: field type conflict: input field "v" on measurement "m4" is
 *   type integer, already exists as type float dropped=2
 *   partial write: points beyond retention policy dropped=1
 * Missing: 404 database not found: "t", but 500 retention policy not found: x.
 * influxd 2.7 names every bad line as well, but refuses the whole body for it:
 *   400 {"code":"invalid","message":"unable to parse 'bad': missing fields"}
 * and of conflicts and old points it tells with 422 (500 before 2.0.4):
 *   {"code":"unprocessable entity","message":"failure writing points to
 *   database: partial write: field type conflict: ... dropped=1"}
 */
#define PARSE_ERROR "unable to parse '" /* the line itself follows */

static const char *const partial_phrases[] = {
    "partial write", "field type conflict", "beyond retention policy",
    "outside retention", NULL
};

static const char *const malformed_phrases[] = {
    "unable to parse", "parsing failed",
    "failed to parse", "cannot parse",
    "parse error",     "invalid line protocol",
    "malformed",       NULL
};

/* http:// to a port of https, in the words of Go, nginx and httpd. */
static const char *const scheme_phrases[] = {
    "HTTP request to an HTTPS server", "plain HTTP", NULL
};

static const char *const missing_phrases[] = { "database", "bucket",
                                               "organization", NULL };

/* The text up to the first line it quotes: what clients sent is no answer. */
static span_t text_head(span_t text)
{
    size_t at = span_find(text, PARSE_ERROR);

    if (at < text.len) {
        text.len = at + strlen(PARSE_ERROR) - 1;
    }
    return text;
}

static int is_line_start(span_t text, size_t at)
{
    const char *p = text.p + at;

    if (at < 2 || p[-1] == '\n') {
        return at == 0 || p[-1] == '\n';
    }
    if (text.json && p[-1] == 'n' && p[-2] == '\\') {
        return at < 3 || p[-3] != '\\';
    }
    return at == strlen("partial write: ")
           && strncasecmp(text.p, "partial write: ", at) == 0;
}

/* How many lines the text names as unreadable. */
static int64_t count_parse_errors(span_t text)
{
    int64_t n = 0;
    size_t at = span_find(text, PARSE_ERROR), next;

    while (at < text.len) {
        n += is_line_start(text, at);
        next = at + strlen(PARSE_ERROR);
        at = next + span_find(span_from(text, next), PARSE_ERROR);
    }
    return n;
}

/* N of the dropped=N that ends the text; -1 when it does not end so. */
static int64_t stated_dropped(span_t text)
{
    size_t end = text.len;
    size_t n = strlen("dropped=");
    int64_t dropped = 0;

    while (end && isdigit((unsigned char)text.p[end - 1])) {
        end--;
    }
    if (end == text.len || text.len - end > 9 || end < n
        || memcmp(text.p + end - n, "dropped=", n) != 0) {
        return -1;
    }
    for (; end < text.len; end++) {
        dropped = dropped * 10 + (text.p[end] - '0');
    }
    return dropped;
}

/* v3 tells of each refused line in data[], but never of more than these. */
#define DATA_MAX 100

static int64_t count_data(span_t body)
{
    int64_t n = 0;
    size_t at;

    while ((at = span_find(body, "\"line_number\"")) < body.len) {
        n++;
        body = span_from(body, at + 1);
    }
    return n;
}

/* Of the first line that data[] names; 0: none. */
static int64_t first_line(span_t body)
{
    static const char key[] = "\"line_number\"";
    size_t at = span_find(body, key);
    span_t value;
    int64_t n = 0;

    if (at == body.len) {
        return 0;
    }
    value = span_trim(span_from(body, at + strlen(key)));
    if (value.len && *value.p == ':') {
        value = span_trim(span_from(value, 1));
    }
    while (value.len && isdigit((unsigned char)*value.p) && n < INT32_MAX) {
        n = n * 10 + (*value.p - '0');
        value = span_from(value, 1);
    }
    return n;
}

static void count_refused(imx_influx_result_t *r, imx_influx_api_e api,
                          span_t body, span_t text)
{
    int64_t stated = stated_dropped(text);
    int64_t quoted = count_parse_errors(text);
    int64_t listed = api == IMX_INFLUX_V3 ? count_data(body) : 0;

    r->quotes = quoted > 0;
    r->more = listed >= DATA_MAX;
    r->line = listed > 0 ? first_line(body) : 0;
    r->dropped = quoted + listed + (stated > 0 ? stated : 0);
    if (stated < 0 && r->dropped == 0) {
        r->dropped = -1;
    }
}

/* Statuses that mean the same whatever the text is; IDLE for the others. */
static imx_influx_answer_e sort_status(long status)
{
    if (status >= 200 && status < 300) {
        return IMX_INFLUX_SENT;
    }
    if (status == 401 || status == 403) {
        return IMX_INFLUX_UNAUTHORIZED;
    }
    if (status == 413) {
        return IMX_INFLUX_TOO_LARGE;
    }
    /* 408 is what a proxy says to a connection it found idle for too long.  3xx
     * and 404 are about the address: whoever mends it wants the points. */
    if (status == 408 || status == 404 || status == 429 || status >= 500
        || (status >= 300 && status < 400)) {
        return IMX_INFLUX_RETRY;
    }
    return IMX_INFLUX_IDLE;
}

static imx_influx_answer_e sort_text(imx_influx_api_e api, long status,
                                     span_t head)
{
    if (status >= 400 && span_has_any(head, partial_phrases)) {
        return IMX_INFLUX_PARTIAL;
    }
    if (api == IMX_INFLUX_V1 && status >= 400
        && span_has(head, "retention policy not found")) {
        return IMX_INFLUX_NOT_FOUND;
    }
    if (status == 404 && span_has(head, "not found")
        && span_has_any(head, missing_phrases)) {
        return IMX_INFLUX_NOT_FOUND;
    }
    if ((status == 400 || status == 422)
        && span_has_any(head, malformed_phrases)) {
        return IMX_INFLUX_MALFORMED;
    }
    return IMX_INFLUX_IDLE;
}

/* It is not InfluxDB that speaks, and it quotes none of our lines. */
static int is_scheme_error(long status, span_t body)
{
    body = span_trim(body);
    return status == 400 && body.len && *body.p != '{'
           && !span_has(body, PARSE_ERROR)
           && span_has_any(body, scheme_phrases);
}

static imx_influx_answer_e sort_answer(imx_influx_api_e api, long status,
                                       span_t body, span_t head)
{
    imx_influx_answer_e answer = sort_text(api, status, head);

    if (answer == IMX_INFLUX_IDLE && is_scheme_error(status, body)) {
        answer = IMX_INFLUX_RETRY;
    }
    if (answer == IMX_INFLUX_IDLE) {
        answer = sort_status(status);
    }
    if (answer == IMX_INFLUX_IDLE) {
        answer = status == 400 || status == 422 ? IMX_INFLUX_REFUSED
                                                : IMX_INFLUX_REJECTED;
    }
    return answer;
}

/* Its page has only "Bad Request" in the title. */
#define SCHEME_ERROR "plain HTTP was sent to a port of HTTPS: "

static void sort_reason(imx_influx_result_t *r, span_t body, span_t text)
{
    span_t first = json_string(body, "\"error_message\"");

    r->reason[0] = '\0';
    if (is_scheme_error(r->status, body)) {
        reason_add_text(r->reason, SCHEME_ERROR);
    }
    reason_add(r->reason, text);
    if (first.p) {
        reason_add_text(r->reason, ": ");
        reason_add(r->reason, first);
    }
    reason_trim(r->reason);
    if (r->reason[0] == '\0') {
        snprintf(r->reason, sizeof(r->reason), "HTTP status %ld", r->status);
    }
}

void imx_answer_sort(imx_influx_api_e api, long status, const char *body,
                     size_t len, imx_influx_result_t *r)
{
    span_t whole = { body, len, 0 };
    span_t text = answer_text(whole);

    r->status = status;
    r->answer = sort_answer(api, status, whole, text_head(text));
    r->dropped = -1;
    r->more = r->quotes = 0;
    r->line = 0;
    if (r->answer == IMX_INFLUX_PARTIAL || r->answer == IMX_INFLUX_MALFORMED) {
        count_refused(r, api, whole, text);
    }
    sort_reason(r, whole, text);
}

/*
 * InfluxDB 1 and 2 name every bad line.  So when as many are named as were
 * sent, looking for the bad one in halves would find nothing else.
 */
void imx_answer_count(imx_influx_api_e api, size_t lines,
                      imx_influx_result_t *r)
{
    if (r->dropped >= (int64_t)lines) {
        r->dropped = (int64_t)lines;
        r->more = 0;
    }
    if (r->answer == IMX_INFLUX_MALFORMED && api != IMX_INFLUX_V3 && lines > 1
        && r->dropped == (int64_t)lines) {
        r->answer = IMX_INFLUX_REJECTED;
    }
}

/* 200 {"results":[{"statement_id":0,"error":"..."}]} created nothing. */
void imx_answer_sort_created(long status, const char *body, size_t len,
                             imx_influx_result_t *r)
{
    imx_answer_sort(IMX_INFLUX_V1, status, body, len, r);
    if (r->answer == IMX_INFLUX_REFUSED) {
        r->answer = IMX_INFLUX_REJECTED;
    }
    if (r->answer == IMX_INFLUX_SENT
        && json_string((span_t){ body, len, 0 }, "\"error\"").p) {
        r->answer = IMX_INFLUX_REJECTED;
    }
}

/* --- Retry-After --- */

typedef struct {
    int year, day, hour, minute, second;
    char month[4];
} date_t;

/* RFC 9110, 5.6.7: the form in use, and two that are to be understood. */
static int scan_date(const char *text, date_t *d)
{
    int end = 0;

    if (sscanf(text, "%*[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n", &d->day,
               d->month, &d->year, &d->hour, &d->minute, &d->second, &end)
        == 6) {
        return text[end] == '\0';
    }
    if (sscanf(text, "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n",
               &d->day, d->month, &d->year, &d->hour, &d->minute, &d->second,
               &end)
        == 6) {
        d->year += d->year < 70 ? 2000 : 1900;
        return text[end] == '\0';
    }
    return sscanf(text, "%*[A-Za-z] %3s %2d %2d:%2d:%2d %4d%n", d->month,
                  &d->day, &d->hour, &d->minute, &d->second, &d->year, &end)
               == 6
           && text[end] == '\0';
}

static int month_number(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *at = strlen(name) == 3 ? strstr(names, name) : NULL;

    return at && (at - names) % 3 == 0 ? (int)(at - names) / 3 : -1;
}

/* -1: this is not a date. */
static time_t parse_date(const char *text)
{
    date_t d = { 0 };
    struct tm tm = { 0 };

    if (!scan_date(text, &d) || month_number(d.month) < 0 || d.day < 1
        || d.day > 31 || d.hour < 0 || d.hour > 23 || d.minute < 0
        || d.minute > 59 || d.second < 0 || d.second > 60) {
        return -1;
    }
    tm.tm_year = d.year - 1900;
    tm.tm_mon = month_number(d.month);
    tm.tm_mday = d.day;
    tm.tm_hour = d.hour;
    tm.tm_min = d.minute;
    tm.tm_sec = d.second;
    return timegm(&tm);
}

/* Digits only, however many; -1: this is not a number. */
static int64_t parse_seconds(const char *text)
{
    int64_t seconds = 0;

    for (; isdigit((unsigned char)*text); text++) {
        if (seconds <= RETRY_AFTER_MAX) {
            seconds = seconds * 10 + (*text - '0');
        }
    }
    return *text ? -1 : seconds;
}

int64_t imx_answer_retry_after(const char *value, size_t len, time_t now)
{
    span_t s = span_trim((span_t){ value, len, 0 });
    char text[64]; /* a date has at most 33 bytes */
    int64_t seconds;

    while (s.len && isspace((unsigned char)s.p[s.len - 1])) {
        s.len--;
    }
    if (s.len >= sizeof(text)) {
        return -1;
    }
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    seconds = parse_seconds(text);
    if (seconds < 0) {
        seconds = (int64_t)parse_date(text) - (int64_t)now;
    }
    if (seconds <= 0) {
        return -1;
    }
    return (seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX) * 1000;
}
