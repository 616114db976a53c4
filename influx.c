/*
 * influx.c: owns one curl handle, one POST, one answer (see influx.h).
 * Entered only by the thread that opened the handle: the monitor's.
 * Nothing here survives a crash; the lines are the caller's until answered.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* asprintf, the strerror_r that returns text */
#endif

#include "influx.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <sys/socket.h>

#include <curl/curl.h>

#define SECRET_MAX   4096           /* bytes of a password or token */
#define KEEP_MAX     (64 * 1024)    /* bytes kept of an answer: InfluxDB 3 tells
                                       of 100 lines, each with its own text */
#define ANSWER_MAX   (1024 * 1024)  /* bytes of an answer, before it is cut */
#define UPLOAD_BYTES (256 * 1024L)  /* what one read callback may fill */
#define RETRY_AFTER_MAX 86400       /* seconds; more is a server's mistake */

struct imx_influx {
    const imx_influx_options_t *o;
    CURLM *multi;
    CURL *easy;
    char *write_url, *create_url;
    char *secret;                   /* "" when there is none */
    struct curl_slist *headers;
    const char *credential;         /* in headers, what follows Basic, Token */

    /* of the transfer that is under way */
    int busy, creating, failed, flooded;
    const imx_influx_line_t *lines; /* borrowed; at and off are the position */
    size_t count, at, off;
    size_t received, kept;
    char body[KEEP_MAX];
    char error[CURL_ERROR_SIZE];
};

/* --- What the server said: spans of its answer, nothing is copied --- */

typedef struct {
    const char *p;
    size_t len;
    int json;                       /* backslash escapes */
} span_t;

static span_t span_from(span_t s, size_t at)
{
    return (span_t) { s.p + at, s.len - at, s.json };
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
            return (span_t) { NULL, 0, 1 };
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
        reason[n - 1] = '\0';      /* never two: reason_put() */
    }
}

static void reason_add_text(char *reason, const char *text)
{
    reason_add(reason, (span_t) { text, strlen(text), 0 });
}

/* Some debug pages show the request.  The cut must not save half a secret. */
static void reason_hide(char *reason, const char *secret)
{
    size_t n = secret ? strlen(secret) : 0;
    int cut = strlen(reason) + 1 == IMX_INFLUX_REASON_MAX;

    for (char *p = reason; n && *p; p++) {
        size_t left = strlen(p);
        size_t m = left < n ? left : n;

        if (memcmp(p, secret, m) == 0 && (m == n || cut)) {
            memset(p, '*', m);
        }
    }
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
 * influxd 2 refuses the whole body: 400 {"code":"invalid","message":"unable to
 * parse 'bad': missing fields"}, and tells of partial writes with 422 or 500.
 */
#define PARSE_ERROR "unable to parse '"     /* the line itself follows */

static const char *const partial_phrases[] = {
    "partial write", "field type conflict", "beyond retention policy",
    "outside retention", NULL
};

static const char *const malformed_phrases[] = {
    "unable to parse", "parsing failed", "failed to parse", "cannot parse",
    "parse error", "invalid line protocol", "malformed", NULL
};

static const char *const missing_phrases[] = {
    "database", "bucket", "organization", NULL
};

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

/* v3 tells of each refused line in data[], but never of more than 100. */
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

static int64_t count_dropped(span_t body, span_t text)
{
    int64_t stated = stated_dropped(text);
    int64_t named = count_parse_errors(text) + count_data(body);

    if (stated < 0) {
        return named > 0 ? named : -1;
    }
    return stated + named;
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
    /* 408 is what a proxy says to a connection it found idle for too long. */
    if (status == 408 || status == 429 || status >= 500) {
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

static imx_influx_answer_e sort_answer(imx_influx_api_e api, long status,
                                       span_t head)
{
    imx_influx_answer_e answer = sort_text(api, status, head);

    if (answer == IMX_INFLUX_IDLE) {
        answer = sort_status(status);
    }
    return answer == IMX_INFLUX_IDLE ? IMX_INFLUX_REJECTED : answer;
}

static void sort_reason(imx_influx_result_t *r, span_t body, span_t text)
{
    span_t first = json_string(body, "\"error_message\"");

    r->reason[0] = '\0';
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

void imx_influx_sort(imx_influx_api_e api, long status, const char *body,
                     size_t len, imx_influx_result_t *result)
{
    span_t whole = { body, len, 0 };
    span_t text = answer_text(whole);

    result->status = status;
    result->answer = sort_answer(api, status, text_head(text));
    result->dropped = -1;
    if (result->answer == IMX_INFLUX_PARTIAL
        || result->answer == IMX_INFLUX_MALFORMED) {
        result->dropped = count_dropped(whole, text);
    }
    sort_reason(result, whole, text);
}

/* --- The secret and the headers that carry it --- */

static void wipe_string(char *s)
{
    if (s) {
        explicit_bzero(s, strlen(s));
        free(s);
    }
}

static void wipe_headers(struct curl_slist *list)
{
    for (struct curl_slist *h = list; h; h = h->next) {
        explicit_bzero(h->data, strlen(h->data));
    }
    curl_slist_free_all(list);
}

/* One read: it is a regular file.  Returns the bytes, or -1 and errno. */
static ssize_t read_start(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error;
    ssize_t n;

    if (fd < 0) {
        return -1;
    }
    do {
        n = read(fd, to, size);
    } while (n < 0 && errno == EINTR);
    error = errno;
    close(fd);
    errno = error;
    return n;
}

/* Cuts line behind its first line.  Says what is wrong with that, or NULL. */
static const char *trim_first_line(char *line, size_t n)
{
    char *lf = memchr(line, '\n', n);
    size_t len = lf ? (size_t)(lf - line) : n;

    if (!lf && n == SECRET_MAX) {
        return "the first line is too long";
    }
    if (len && line[len - 1] == '\r') {
        len--;
    }
    line[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (iscntrl((unsigned char)line[i])) {
            return "the first line has a control character";
        }
    }
    return len ? NULL : "the first line is empty";
}

/* The secret in this file, newly allocated; else an errno value and reason. */
static int read_secret(const char *path, char **secret, char *reason)
{
    char line[SECRET_MAX + 1], text[128];
    ssize_t n = read_start(path, line, SECRET_MAX);
    int rv = n < 0 ? errno : 0;
    const char *wrong = NULL;

    if (n >= 0 && (wrong = trim_first_line(line, (size_t)n))) {
        rv = EINVAL;
    }
    else if (n >= 0 && !(*secret = strdup(line))) {
        rv = ENOMEM;
    }
    if (rv) {
        snprintf(reason, IMX_INFLUX_REASON_MAX, "%s: %s", path,
                 wrong ? wrong : strerror_r(rv, text, sizeof(text)));
    }
    explicit_bzero(line, sizeof(line));
    return rv;
}

static int out_of_memory(char *reason)
{
    snprintf(reason, IMX_INFLUX_REASON_MAX, "out of memory");
    return ENOMEM;
}

static int load_secret(const imx_influx_options_t *o, char **secret,
                       char *reason)
{
    const char *path = o->token_file ? o->token_file : o->password_file;

    if (path) {
        return read_secret(path, secret, reason);
    }
    *secret = strdup("");
    return *secret ? 0 : out_of_memory(reason);
}

static char *base64(const char *s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(s), w = 0;
    char *out = malloc((n + 2) / 3 * 4 + 1);

    for (size_t i = 0; out && i < n; i += 3) {
        unsigned b1 = i + 1 < n ? (unsigned char)s[i + 1] : 0;
        unsigned b2 = i + 2 < n ? (unsigned char)s[i + 2] : 0;
        unsigned v = (unsigned)(unsigned char)s[i] << 16 | b1 << 8 | b2;

        out[w++] = digits[v >> 18];
        out[w++] = digits[v >> 12 & 63];
        out[w++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        out[w++] = i + 2 < n ? digits[v & 63] : '=';
    }
    if (out) {
        out[w] = '\0';
    }
    return out;
}

static char *basic_credential(const char *user, const char *password)
{
    char *plain, *coded;

    if (asprintf(&plain, "%s:%s", user, password) < 0) {
        return NULL;
    }
    coded = base64(plain);
    wipe_string(plain);
    return coded;
}

/*
 * "Authorization: ...", newly allocated, or NULL.  We make it, not curl: curl
 * would keep its own copy of the password and never wipe it.
 */
static char *authorization(const imx_influx_options_t *o, const char *secret)
{
    const char *scheme = !o->token_file ? "Basic"
                         : o->api == IMX_INFLUX_V3 ? "Bearer" : "Token";
    char *credential = o->token_file ? strdup(secret)
                                     : basic_credential(o->user, secret);
    char *header = NULL;

    if (credential
        && asprintf(&header, "Authorization: %s %s", scheme, credential) < 0) {
        header = NULL;
    }
    wipe_string(credential);
    return header;
}

static int add_header(struct curl_slist **list, const char *header)
{
    struct curl_slist *longer = header ? curl_slist_append(*list, header)
                                       : NULL;

    if (!longer) {
        return ENOMEM;
    }
    *list = longer;
    return 0;
}

static int add_authorization(imx_influx_t *in, struct curl_slist **list,
                             const char *secret)
{
    char *header;
    int rv;

    if (!in->o->token_file && !in->o->user) {
        return 0;
    }
    header = authorization(in->o, secret);
    rv = add_header(list, header);
    wipe_string(header);
    return rv;
}

/* Authorization is the first one: credential points into it. */
static const char *find_credential(const struct curl_slist *list)
{
    const char *space = strchr(list->data, ' ');

    return strncmp(list->data, "Authorization: ", 15) == 0
           ? strchr(space + 1, ' ') + 1 : NULL;
}

/* Takes secret over when it succeeds. */
static int use_secret(imx_influx_t *in, char *secret)
{
    struct curl_slist *list = NULL;

    if (add_authorization(in, &list, secret)
        || add_header(&list, "Content-Type: text/plain; charset=utf-8")
        || add_header(&list, "Expect:")) {  /* would cost a round trip */
        wipe_headers(list);
        return ENOMEM;
    }
    curl_easy_setopt(in->easy, CURLOPT_HTTPHEADER, list);
    wipe_headers(in->headers);
    wipe_string(in->secret);
    in->headers = list;
    in->credential = find_credential(list);
    in->secret = secret;
    return 0;
}

static int open_secret(imx_influx_t *in, char *reason)
{
    char *secret;
    int rv = load_secret(in->o, &secret, reason);

    if (rv == 0 && use_secret(in, secret)) {
        wipe_string(secret);
        rv = out_of_memory(reason);
    }
    return rv;
}

int imx_influx_reload_secret(imx_influx_t *in, char *reason)
{
    char *secret;

    if (load_secret(in->o, &secret, reason)) {
        return -1;
    }
    if (strcmp(secret, in->secret) == 0) {
        wipe_string(secret);
        return 0;
    }
    if (use_secret(in, secret)) {
        wipe_string(secret);
        out_of_memory(reason);
        return -1;
    }
    return 1;
}

/* --- URLs --- */

/* Adds NAME=VALUE, percent-encoded; a NULL value adds nothing. */
static int add_parameter(char **url, const char *name, const char *value)
{
    char *coded, *longer;
    int n;

    if (!value) {
        return 0;
    }
    coded = curl_easy_escape(NULL, value, (int)strlen(value));
    if (!coded) {
        return ENOMEM;
    }
    n = asprintf(&longer, "%s%c%s=%s", *url, strchr(*url, '?') ? '&' : '?',
                 name, coded);
    curl_free(coded);
    if (n < 0) {
        return ENOMEM;
    }
    free(*url);
    *url = longer;
    return 0;
}

static int begin_url(char **url, const char *base, const char *path)
{
    if (asprintf(url, "%s%s", base, path) < 0) {
        *url = NULL;
        return ENOMEM;
    }
    return 0;
}

/* The precision is always said: InfluxDB 3 guesses it otherwise. */
static int make_write_url(char **url, const imx_influx_options_t *o)
{
    switch (o->api) {
    case IMX_INFLUX_V1:
        return begin_url(url, o->url, "/write")
               || add_parameter(url, "db", o->database)
               || add_parameter(url, "rp", o->retention_policy)
               || add_parameter(url, "precision", "n");
    case IMX_INFLUX_V2:
        return begin_url(url, o->url, "/api/v2/write")
               || add_parameter(url, "org", o->org)
               || add_parameter(url, "bucket", o->bucket)
               || add_parameter(url, "precision", "ns");
    default:
        return begin_url(url, o->url, "/api/v3/write_lp")
               || add_parameter(url, "db", o->database)
               || add_parameter(url, "precision", "nanosecond")
               || add_parameter(url, "accept_partial", "true")
               || add_parameter(url, "no_sync", "false");
    }
}

/* InfluxQL: the name between double quotes, " and \ behind a backslash. */
static char *create_statement(const char *database)
{
    static const char begin[] = "CREATE DATABASE \"";
    char *out = malloc(sizeof(begin) + 2 * strlen(database) + 1);
    char *to = out;

    if (!out) {
        return NULL;
    }
    to = stpcpy(to, begin);
    for (; *database; database++) {
        if (*database == '"' || *database == '\\') {
            *to++ = '\\';
        }
        *to++ = *database;
    }
    strcpy(to, "\"");
    return out;
}

static int make_create_url(char **url, const imx_influx_options_t *o)
{
    char *statement;
    int rv;

    if (o->api != IMX_INFLUX_V1 || !o->database) {
        return 0;
    }
    statement = create_statement(o->database);
    rv = !statement || begin_url(url, o->url, "/query")
         || add_parameter(url, "q", statement);
    free(statement);
    return rv;
}

/* --- curl's callbacks --- */

/* Fills curl's buffer with as many lines as fit, cut wherever it ends. */
static size_t read_lines(char *to, size_t size, size_t n, void *arg)
{
    imx_influx_t *in = arg;
    size_t room = size * n, done = 0;

    while (done < room && in->at < in->count) {
        const imx_influx_line_t *line = &in->lines[in->at];
        size_t len = line->len - in->off;

        len = len < room - done ? len : room - done;
        memcpy(to + done, line->data + in->off, len);
        done += len;
        in->off += len;
        if (in->off == line->len) {
            in->at++;
            in->off = 0;
        }
    }
    return done;
}

/*
 * curl goes back to the start when a kept connection turns out to be dead
 * under the request and it sends everything again on a new one.
 */
static int seek_lines(void *arg, curl_off_t offset, int origin)
{
    imx_influx_t *in = arg;

    if (origin != SEEK_SET || offset != 0) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    in->at = in->off = 0;
    return CURL_SEEKFUNC_OK;
}

/* Keeps the start; curl ends the transfer when less is taken than it gave. */
static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    imx_influx_t *in = arg;
    size_t bytes = size * n, room = KEEP_MAX - in->kept;
    size_t len = bytes < room ? bytes : room;

    memcpy(in->body + in->kept, data, len);
    in->kept += len;
    in->received += bytes;
    in->flooded = in->received > ANSWER_MAX;
    return in->flooded ? 0 : bytes;
}

/* Programs that mod_cgi starts must not inherit our connection. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
                                 struct curl_sockaddr *a)
{
    (void)arg;
    (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* --- open and close --- */

static void set_callbacks(imx_influx_t *in)
{
    CURL *e = in->easy;

    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, read_lines);
    curl_easy_setopt(e, CURLOPT_READDATA, in);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, seek_lines);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, in);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, in);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, in->error);
}

/* curl verifies TLS unless told otherwise; nothing here tells it otherwise. */
static void set_http(imx_influx_t *in)
{
    CURL *e = in->easy;

#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(e, CURLOPT_PROTOCOLS,
                     (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "mod_influx_metrics");
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
    /* http_proxy in httpd's environment is not our configuration */
    curl_easy_setopt(e, CURLOPT_PROXY, "");
}

static void set_connection(imx_influx_t *in)
{
    CURL *e = in->easy;
    const imx_influx_options_t *o = in->o;

    curl_multi_setopt(in->multi, CURLMOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    if (o->unix_socket) {
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, o->unix_socket);
    }
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)o->total_timeout_ms);
    /* signals belong to httpd, which ignores SIGPIPE */
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* an abort must not wait for a name server */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static int open_curl(imx_influx_t *in)
{
    in->multi = curl_multi_init();
    in->easy = curl_easy_init();
    if (!in->multi || !in->easy) {
        return ENOMEM;
    }
    set_callbacks(in);
    set_http(in);
    set_connection(in);
    return 0;
}

int imx_influx_open(imx_influx_t **out, const imx_influx_options_t *o,
                    char *reason)
{
    imx_influx_t *in = calloc(1, sizeof(*in));
    int rv;

    *out = NULL;
    if (!in) {
        return out_of_memory(reason);
    }
    in->o = o;
    if (open_curl(in) || make_write_url(&in->write_url, o)
        || make_create_url(&in->create_url, o)) {
        rv = out_of_memory(reason);
    }
    else {
        rv = open_secret(in, reason);
    }
    if (rv) {
        imx_influx_close(in);
        return rv;
    }
    *out = in;
    return 0;
}

void imx_influx_close(imx_influx_t *in)
{
    if (!in) {
        return;
    }
    imx_influx_abort(in);
    curl_easy_cleanup(in->easy);
    curl_multi_cleanup(in->multi);
    wipe_headers(in->headers);
    wipe_string(in->secret);
    free(in->write_url);
    free(in->create_url);
    free(in);
}

/* --- One transfer --- */

static void begin(imx_influx_t *in, const char *url,
                  const imx_influx_line_t *lines, size_t count)
{
    curl_off_t bytes = 0;

    assert(!in->busy && url);
    for (size_t i = 0; i < count; i++) {
        bytes += lines[i].len;
    }
    in->lines = lines;
    in->count = count;
    in->at = in->off = in->received = in->kept = 0;
    in->flooded = 0;
    in->error[0] = '\0';
    in->busy = 1;
    in->failed = curl_easy_setopt(in->easy, CURLOPT_URL, url)
                 || curl_easy_setopt(in->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                     bytes)
                 || curl_multi_add_handle(in->multi, in->easy);
}

void imx_influx_post(imx_influx_t *in, const imx_influx_line_t *lines,
                     size_t count)
{
    assert(count > 0);
    in->creating = 0;
    begin(in, in->write_url, lines, count);
}

void imx_influx_create_database(imx_influx_t *in)
{
    in->creating = 1;
    begin(in, in->create_url, NULL, 0);
}

void imx_influx_abort(imx_influx_t *in)
{
    if (in->busy) {
        curl_multi_remove_handle(in->multi, in->easy);
    }
    in->busy = 0;
    in->lines = NULL;
    in->count = in->at = 0;
}

void imx_influx_wait(imx_influx_t *in, int wake_fd, int ms)
{
    struct curl_waitfd wake = { wake_fd, CURL_WAIT_POLLIN, 0 };

    curl_multi_poll(in->multi, &wake, wake_fd >= 0 ? 1 : 0, ms, NULL);
}

/* Moves the transfer.  Returns 1 when it is over, with its code. */
static int move(imx_influx_t *in, CURLcode *code)
{
    CURLMsg *message;
    int unused;

    *code = CURLE_OUT_OF_MEMORY;
    if (in->failed || curl_multi_perform(in->multi, &unused) != CURLM_OK) {
        return 1;
    }
    while ((message = curl_multi_info_read(in->multi, &unused))) {
        if (message->msg == CURLMSG_DONE) {
            *code = message->data.result;
            return 1;
        }
    }
    return 0;
}

static int64_t retry_after_ms(CURL *easy)
{
    curl_off_t seconds = 0;     /* curl reads both numbers and dates */

    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds <= 0) {
        return -1;
    }
    return (seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX) * 1000;
}

/*
 * A transfer that did not end well.  A refusal counts though its text is cut:
 * 413 is often followed by a reset.  But only the end of the text could tell
 * REJECTED from MALFORMED, so that becomes UNKNOWN, unless the server would
 * talk for ever.
 */
static void judge_failure(imx_influx_t *in, CURLcode code, long status,
                          imx_influx_result_t *r)
{
    long request = 0;

    if (status >= 300) {
        imx_influx_sort(in->o->api, status, in->body, in->kept, r);
        if (in->flooded || r->answer != IMX_INFLUX_REJECTED) {
            return;
        }
    }
    if (!in->failed) {          /* else it tells of the one before */
        curl_easy_getinfo(in->easy, CURLINFO_REQUEST_SIZE, &request);
    }
    r->answer = request > 0 ? IMX_INFLUX_UNKNOWN : IMX_INFLUX_RETRY;
    r->dropped = -1;
    r->reason[0] = '\0';
    reason_add_text(r->reason, in->flooded ? "the answer has no end"
                               : in->error[0] ? in->error
                               : curl_easy_strerror(code));
}

/*
 * InfluxDB 1 names every bad line, and stores the others.  So when it named as
 * many as were sent, looking for the bad one in halves would find nothing.
 */
static void judge_counts(imx_influx_t *in, imx_influx_result_t *r)
{
    if (r->dropped > (int64_t)in->count) {
        r->dropped = (int64_t)in->count;
    }
    if (r->answer == IMX_INFLUX_MALFORMED && in->o->api == IMX_INFLUX_V1
        && in->count > 1 && r->dropped == (int64_t)in->count) {
        r->answer = IMX_INFLUX_REJECTED;
    }
}

/* 200 {"results":[{"statement_id":0,"error":"..."}]} created nothing. */
static void judge_create(imx_influx_t *in, imx_influx_result_t *r)
{
    span_t body = { in->body, in->kept, 0 };

    if (r->answer == IMX_INFLUX_SENT && json_string(body, "\"error\"").p) {
        r->answer = IMX_INFLUX_REJECTED;
    }
}

static void judge(imx_influx_t *in, CURLcode code, imx_influx_result_t *r)
{
    long status = 0;

    if (!in->failed) {
        curl_easy_getinfo(in->easy, CURLINFO_RESPONSE_CODE, &status);
    }
    r->status = status;
    r->curl_code = (int)code;
    r->retry_after_ms = status ? retry_after_ms(in->easy) : -1;
    if (code == CURLE_OK) {
        imx_influx_sort(in->o->api, status, in->body, in->kept, r);
    }
    else {
        judge_failure(in, code, status, r);
    }
    judge_counts(in, r);
    if (in->creating) {
        judge_create(in, r);
    }
    reason_hide(r->reason, in->secret);
    reason_hide(r->reason, in->credential);
}

imx_influx_answer_e imx_influx_step(imx_influx_t *in,
                                    imx_influx_result_t *result)
{
    CURLcode code;

    if (!in->busy) {
        return IMX_INFLUX_IDLE;
    }
    if (!move(in, &code)) {
        return IMX_INFLUX_BUSY;
    }
    judge(in, code, result);
    imx_influx_abort(in);       /* lets go of the lines; keeps the connection */
    return result->answer;
}
