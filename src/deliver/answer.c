/*
 * answer.c owns what an answer of InfluxDB means (see answer.h).
 * Pure functions for any thread.
 * Nothing survives a crash: there is nothing to survive.
 */
#include "deliver/answer.h"

#include <stdio.h>

/* --- What the server said: spans of its answer, nothing is copied --- */

/* The title of a page, else its first text. */
static imx_span_t html_text(imx_span_t s)
{
    size_t title = imx_span_find(s, "<title");

    s = imx_span_trim(imx_span_from(s, title < s.len ? title : 0));
    while (s.len && *s.p == '<') {
        size_t tag = imx_span_until(s, '>').len;

        s = imx_span_trim(imx_span_from(s, tag < s.len ? tag + 1 : tag));
    }
    return imx_span_until(s, '<');
}

/* The sentence in an answer: v1 and v3 "error", v2 "message", title, text. */
static imx_span_t answer_text(imx_span_t body)
{
    imx_span_t text = { NULL, 0, 0 };

    body = imx_span_trim(body);
    if (body.len && *body.p == '<') {
        return html_text(body);
    }
    if (body.len && *body.p == '{') {
        text = imx_span_json(body, "\"error\"");
        if (text.p == NULL) {
            text = imx_span_json(body, "\"message\"");
        }
    }
    return text.p ? text : body;
}

/* --- Counting --- */

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

static int is_line_start(imx_span_t text, size_t at)
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
static int64_t count_parse_errors(imx_span_t text)
{
    int64_t n = 0;
    size_t at = imx_span_find(text, PARSE_ERROR), next;

    while (at < text.len) {
        n += is_line_start(text, at);
        next = at + strlen(PARSE_ERROR);
        at = next + imx_span_find(imx_span_from(text, next), PARSE_ERROR);
    }
    return n;
}

/* N of the dropped=N that ends the text; -1 when it does not end so. */
static int64_t stated_dropped(imx_span_t text)
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

static int64_t count_data(imx_span_t body)
{
    int64_t n = 0;
    size_t at;

    while ((at = imx_span_find(body, "\"line_number\"")) < body.len) {
        n++;
        body = imx_span_from(body, at + 1);
    }
    return n;
}

/* Of the first line that data[] names; 0: none. */
static int64_t first_line(imx_span_t body)
{
    static const char key[] = "\"line_number\"";
    size_t at = imx_span_find(body, key);
    imx_span_t value;
    int64_t n = 0;

    if (at == body.len) {
        return 0;
    }
    value = imx_span_trim(imx_span_from(body, at + strlen(key)));
    if (value.len && *value.p == ':') {
        value = imx_span_trim(imx_span_from(value, 1));
    }
    while (value.len && isdigit((unsigned char)*value.p) && n < INT32_MAX) {
        n = n * 10 + (*value.p - '0');
        value = imx_span_from(value, 1);
    }
    return n;
}

static void count_refused(imx_influx_result_t *r, imx_influx_api_e api,
                          imx_span_t body, imx_span_t text)
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

/* --- Sorting an answer --- */

typedef enum {
    ANY_ERROR, /* 400 and more */
    BAD,       /* 400, 422 */
    BROKEN     /* 500 and more */
} when_e;

/* What an engine says, and what it means.  The address is everything that
 * stands in a URL: host, path, and the names in its parameters. */
typedef struct {
    const char *phrase;
    when_e when;
    imx_influx_answer_e answer;
    const char *advice;
} phrase_t;

#define AT_SERVER "InfluxMetricsServer and InfluxMetricsAPI"
#define AT_DATABASE "InfluxMetricsDatabase"
#define AT_BUCKET "InfluxMetricsBucket"
#define AT_FULL \
    "that limit of InfluxDB, InfluxMetricsTags and " \
    "InfluxMetricsProcessTag"
#define AT_OLD "how long InfluxDB keeps points, and this host's clock"

/*
 * The phrase that comes first in an answer counts, and of two at one place the
 * first one here: what clients sent comes behind what the engine says of it.
 */
static const phrase_t phrases[] = {
    /* the good lines are in; InfluxDB 1's limits, and too old points */
    { "partial write: max-series-per-database", ANY_ERROR, IMX_INFLUX_PARTIAL,
      AT_FULL },
    { "partial write: max-values-per-tag", ANY_ERROR, IMX_INFLUX_PARTIAL,
      AT_FULL },
    { "partial write: points beyond retention policy", ANY_ERROR,
      IMX_INFLUX_PARTIAL, AT_OLD },
    { "partial write: dropped", ANY_ERROR, IMX_INFLUX_PARTIAL, AT_OLD },
    { "beyond retention policy", ANY_ERROR, IMX_INFLUX_PARTIAL, AT_OLD },
    { "outside retention", ANY_ERROR, IMX_INFLUX_PARTIAL, AT_OLD },
    { "partial write", ANY_ERROR, IMX_INFLUX_PARTIAL, NULL },
    { "field type conflict", ANY_ERROR, IMX_INFLUX_PARTIAL, NULL },
    /* InfluxDB Enterprise: another node has them, and passes them on later */
    { "hinted handoff queue not empty", BROKEN, IMX_INFLUX_SENT, NULL },
    { "no space left on device", BROKEN, IMX_INFLUX_RETRY,
      "the disk of InfluxDB; version 1 must be restarted when it has room" },
    /* InfluxDB 3 up to 3.9, Telegraf with gzip, VictoriaMetrics */
    { "max request size (", ANY_ERROR, IMX_INFLUX_TOO_LARGE, NULL },
    { "request body too large", ANY_ERROR, IMX_INFLUX_TOO_LARGE, NULL },
    { "too big data size exceeding", ANY_ERROR, IMX_INFLUX_TOO_LARGE, NULL },
    /* VictoriaMetrics and its cluster */
    { "unsupported path", BAD, IMX_INFLUX_RETRY, AT_SERVER },
    { "cannot parse path", BAD, IMX_INFLUX_RETRY, AT_SERVER },
    { "cannot parse accountID", BAD, IMX_INFLUX_RETRY, AT_SERVER },
    /* InfluxDB 3 */
    { "adding a new database would exceed", BAD, IMX_INFLUX_RETRY,
      AT_DATABASE ": another name, or an existing one" },
    { "invalid character in database", BAD, IMX_INFLUX_RETRY,
      AT_DATABASE ": letters, digits, - and _ are allowed" },
    { "invalid db name", BAD, IMX_INFLUX_RETRY, AT_DATABASE },
    { "db name did not start with", BAD, IMX_INFLUX_RETRY, AT_DATABASE },
    { "missing query parameter", BAD, IMX_INFLUX_RETRY, AT_SERVER },
    /* InfluxDB 1 and 2 */
    { "database is required", BAD, IMX_INFLUX_RETRY, AT_DATABASE },
    { "bucket is required", BAD, IMX_INFLUX_RETRY, AT_BUCKET },
    { "url missing org", BAD, IMX_INFLUX_RETRY, AT_BUCKET },
    { "url missing bucket", BAD, IMX_INFLUX_RETRY, AT_BUCKET },
    { "invalid precision", BAD, IMX_INFLUX_RETRY, AT_SERVER },
    { "no dbrp mapping found", ANY_ERROR, IMX_INFLUX_RETRY,
      AT_BUCKET ", which InfluxDB 2 wants in place of " AT_DATABASE },
    /* the whole body is refused for a line in it */
    { "unable to parse", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "parsing failed", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "parsing for line protocol failed", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "line protocol parse failed", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "line protocol parsing error", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "failed to parse", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "cannot parse", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "cannot unmarshal", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "incorrect influx line", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "parse error", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "invalid line protocol", BAD, IMX_INFLUX_MALFORMED, NULL },
    { "malformed", BAD, IMX_INFLUX_MALFORMED, NULL },
};

/* http:// to a port of https, in the words of Go, nginx and httpd. */
static const char *const scheme_phrases[] = {
    "HTTP request to an HTTPS server", "plain HTTP", NULL
};

static const char *const missing_phrases[] = { "database", "bucket",
                                               "organization", NULL };

/* What an answer is sorted by. */
typedef struct {
    imx_influx_api_e api;
    long status;
    imx_span_t body;
    int page;                     /* 1: the body is HTML */
    char words[IMX_REASON_WORDS]; /* its sentence, without what it quotes */
} heard_t;

static imx_span_t words_of(const heard_t *h)
{
    return (imx_span_t){ h->words, strlen(h->words), 0 };
}

static int has_any(imx_span_t s, const char *const *list)
{
    while (*list && !imx_span_has(s, *list)) {
        list++;
    }
    return *list != NULL;
}

static int applies(when_e when, long status)
{
    return when == BAD      ? status == 400 || status == 422
           : when == BROKEN ? status >= 500
                            : status >= 400;
}

static const phrase_t *first_phrase(const heard_t *h)
{
    imx_span_t words = words_of(h);
    const phrase_t *found = NULL;
    size_t first = words.len;

    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        size_t at = applies(phrases[i].when, h->status)
                        ? imx_span_find(words, phrases[i].phrase)
                        : words.len;

        if (at < first) {
            first = at;
            found = &phrases[i];
        }
    }
    return found;
}

/* Somebody else than InfluxDB has answered. */
static int is_scheme_error(const heard_t *h)
{
    return h->status == 400 && (!h->body.len || *h->body.p != '{')
           && has_any(h->page ? h->body : words_of(h), scheme_phrases);
}

/* nginx, about the certificate that it wants to see: of the account, and not of
 * the lines. */
static int is_certificate_error(const heard_t *h)
{
    return h->status == 400 && h->page
           && imx_span_has(words_of(h), "SSL certificate");
}

static int is_missing(const heard_t *h)
{
    imx_span_t words = words_of(h);

    return (h->api == IMX_INFLUX_V1 && h->status >= 400
            && imx_span_has(words, "retention policy not found"))
           || (h->status == 404 && imx_span_has(words, "not found")
               && has_any(words, missing_phrases)
               && !imx_span_has(words, "no dbrp mapping"));
}

/*
 * Only 400 and 422 are about the lines.  All else is about the address, the
 * account or the moment: whoever mends that wants the points.  408 is what a
 * proxy says to a connection that it found idle for too long.
 */
static imx_influx_answer_e sort_status(const heard_t *h)
{
    if (h->status >= 200
        && h->status < 300) { /* a sign-in page, a wrong port */
        return h->page ? IMX_INFLUX_RETRY : IMX_INFLUX_SENT;
    }
    switch (h->status) {
    case 401:
    case 403:
        return IMX_INFLUX_UNAUTHORIZED;
    case 413:
        return IMX_INFLUX_TOO_LARGE;
    case 400:
    case 422:
        return IMX_INFLUX_REFUSED;
    default:
        return IMX_INFLUX_RETRY;
    }
}

static const char *missing_advice(const heard_t *h)
{
    if (imx_span_has(words_of(h), "retention policy not found")) {
        return "the retention policy of " AT_DATABASE
               ", which InfluxDB does not have: create it, or leave it out";
    }
    return h->api == IMX_INFLUX_V1 ? AT_DATABASE
               " and InfluxMetricsCreateDatabase"
           : h->api == IMX_INFLUX_V2 ? AT_BUCKET
                                     : AT_DATABASE;
}

/* Which directives has somebody to look at who gets this status? */
static const char *status_advice(const heard_t *h)
{
    long status = h->status;

    if (status == 404 && h->api == IMX_INFLUX_V2) {
        return AT_SERVER ": InfluxDB 1 has no " AT_BUCKET;
    }
    if (h->page && status < 300) {
        return "InfluxMetricsServer: this is no InfluxDB";
    }
    return status >= 500 || status == 408 || status == 429
                   || (status >= 200 && status < 300)
               ? NULL
               : AT_SERVER;
}

static void sort(const heard_t *h, imx_influx_result_t *r)
{
    const phrase_t *phrase = first_phrase(h);

    r->advice = NULL;
    if (phrase) {
        r->answer = phrase->answer;
        r->advice = phrase->advice;
        r->remark = phrase->answer == IMX_INFLUX_SENT;
    }
    else if (is_missing(h)) {
        r->answer = IMX_INFLUX_NOT_FOUND;
        r->advice = missing_advice(h);
    }
    else if (is_scheme_error(h)) {
        r->answer = IMX_INFLUX_RETRY;
        r->advice = "InfluxMetricsServer: it wants https://";
    }
    else if (is_certificate_error(h)) {
        r->answer = IMX_INFLUX_RETRY;
        r->advice = "InfluxMetricsTLSCertificateFile";
    }
    else {
        r->answer = sort_status(h);
        if (r->answer == IMX_INFLUX_RETRY) {
            r->advice = status_advice(h);
        }
    }
}

/* The title of such a page has only "Bad Request" in it. */
#define SCHEME_ERROR "plain HTTP was sent to a port of HTTPS: "

/* All that the answer says, as far as there is room in words. */
static void say(const heard_t *h, imx_span_t text, char *words)
{
    imx_span_t first = imx_span_json(h->body, "\"error_message\"");

    words[0] = '\0';
    if (is_scheme_error(h)) {
        imx_reason_add_text(words, IMX_REASON_WORDS, SCHEME_ERROR);
    }
    else if (h->page && h->status < 300) {
        imx_reason_add_text(words, IMX_REASON_WORDS,
                            "a page, and not InfluxDB's answer: ");
    }
    imx_reason_add(words, IMX_REASON_WORDS, text);
    if (first.p) {
        imx_reason_add_text(words, IMX_REASON_WORDS, ": ");
        imx_reason_add(words, IMX_REASON_WORDS, first);
    }
    imx_reason_trim(words);
    if (words[0] == '\0') {
        snprintf(words, IMX_REASON_WORDS, "HTTP status %ld", h->status);
    }
}

void imx_answer_sort(imx_influx_api_e api, long status, const char *body,
                     size_t len, imx_influx_result_t *r)
{
    heard_t h = { .api = api, .status = status };
    char words[IMX_REASON_WORDS];
    imx_span_t text;

    h.body = imx_span_trim((imx_span_t){ body, len, 0 });
    h.page = h.body.len && *h.body.p == '<';
    text = answer_text(h.body);
    h.words[0] = '\0';
    imx_reason_add(h.words, sizeof(h.words), text);
    imx_reason_cut_quotes(h.words);
    r->status = status;
    r->dropped = -1;
    r->more = r->quotes = r->remark = 0;
    r->line = 0;
    sort(&h, r);
    if (r->answer == IMX_INFLUX_PARTIAL || r->answer == IMX_INFLUX_MALFORMED) {
        count_refused(r, api, h.body, text);
    }
    say(&h, text, words);
    imx_reason_explain(r->reason, words);
    imx_reason_cut_values(words);
    imx_reason_explain(r->public_reason, words);
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
        && imx_span_json((imx_span_t){ body, len, 0 }, "\"error\"").p) {
        r->answer = IMX_INFLUX_REJECTED;
    }
    if (r->answer == IMX_INFLUX_REJECTED && !r->advice) {
        r->advice = AT_DATABASE;
    }
    if (status == 403) {
        r->advice = AT_DATABASE
            ", which this user may not create: do it as an "
            "administrator of InfluxDB";
    }
}
