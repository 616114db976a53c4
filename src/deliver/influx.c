/*
 * influx.c: owns one curl handle, one POST, one answer (see influx.h).
 * Entered only by the thread that opened the handle: the monitor's.
 * Nothing here survives a crash; the lines are the caller's until answered.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf, the strerror_r that returns text */
#endif

#include "deliver/influx.h"

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
#include <sys/stat.h>
#include <time.h>

#include <curl/curl.h>
#include <zlib.h>

#define SECRET_MAX 4096 /* bytes of a password or token */
#define KEEP_MAX \
    (64 * 1024)                    /* bytes kept of an answer: InfluxDB 3 tells
                                       of 100 lines, each with its own text */
#define ANSWER_MAX (1024 * 1024)   /* bytes of an answer, before it is cut */
#define UPLOAD_BYTES (256 * 1024L) /* what one read callback may fill */
#define LIFETIME 600L              /* seconds of a connection */

/*
 * Access lines of 198 bytes with 4 servers and 16 processes, zlib 1.2.13:
 *   level       1      2      3      4      5      6
 *   bytes      26.1   24.7   23.5   22.3   21.0   19.8   a line
 *   time       1000   1020   1200   1560   1790   2490   ns a line
 * The processor is the web server's: what 2 leaves over is not worth it.
 */
#define GZIP_LEVEL 2
#define GZIP_WINDOW (15 + 16) /* 32 KB, and gzip's head and tail */
#define GZIP_MEMORY 8         /* zlib's default: 256 KB in all */

/* What tells that a file is another one than before. */
typedef struct {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
} stamp_t;

struct imx_influx {
    const imx_influx_options_t *o;
    CURLM *multi;
    CURL *easy;
    char *write_url, *create_url;
    char *secret;                  /* "" when there is none */
    struct curl_slist *headers[2]; /* [1]: of a compressed body */
    const char *credential;        /* in headers, what follows Basic, Token */
    stamp_t files[3];              /* CA, certificate, key of the connection */
    int stale;                     /* the next post makes a new connection */
    int plain;                     /* somebody on the way refused gzip */
    z_stream z;                    /* only with gzip */

    /* of the transfer that is under way */
    int busy, creating, failed, flooded;
    int packed, ended;              /* gzip, and its last byte is out */
    const imx_influx_line_t *lines; /* borrowed; at and off are the position */
    size_t count, at, off;
    size_t received, kept;
    int64_t retry_after_ms;
    char location[128]; /* where a redirect points */
    char body[KEEP_MAX];
    char error[CURL_ERROR_SIZE];
};

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
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
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
    const char *scheme = !o->token_file            ? "Basic"
                         : o->api == IMX_INFLUX_V3 ? "Bearer"
                                                   : "Token";
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

/* The headers of a post, the one with the secret first; NULL: no memory. */
static struct curl_slist *make_headers(imx_influx_t *in, const char *secret,
                                       int packed)
{
    struct curl_slist *list = NULL;

    if (add_authorization(in, &list, secret)
        || add_header(&list, "Content-Type: text/plain; charset=utf-8")
        || add_header(&list, "Expect:") /* would cost a round trip */
        || (packed
            && (add_header(&list, "Content-Encoding: gzip")
                || add_header(&list, "Transfer-Encoding: chunked")))) {
        wipe_headers(list);
        return NULL;
    }
    return list;
}

/* What follows Basic, Token or Bearer; NULL when there is no secret. */
static const char *find_credential(const struct curl_slist *list)
{
    const char *space = strchr(list->data, ' ');

    return strncmp(list->data, "Authorization: ", 15) == 0
               ? strchr(space + 1, ' ') + 1
               : NULL;
}

/* Takes secret over when it succeeds. */
static int use_secret(imx_influx_t *in, char *secret)
{
    struct curl_slist *whole = make_headers(in, secret, 0);
    struct curl_slist *packed = make_headers(in, secret, 1);

    if (!whole || !packed) {
        wipe_headers(whole);
        wipe_headers(packed);
        return ENOMEM;
    }
    curl_easy_setopt(in->easy, CURLOPT_HTTPHEADER,
                     in->packed ? packed : whole);
    wipe_headers(in->headers[0]);
    wipe_headers(in->headers[1]);
    wipe_string(in->secret);
    in->headers[0] = whole;
    in->headers[1] = packed;
    in->credential = find_credential(whole);
    in->secret = secret;
    return 0;
}

static int open_secret(imx_influx_t *in, char *reason)
{
    char *secret = NULL;
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

    in->stale = 1; /* a refusal can hang on the connection */
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

/* The same, compressed: zlib reads the lines where they lie. */
static size_t read_gzip(char *to, size_t size, size_t n, void *arg)
{
    imx_influx_t *in = arg;
    z_stream *z = &in->z;
    size_t room = size * n;
    int rv = Z_OK;

    z->next_out = (Bytef *)to;
    z->avail_out = (uInt)room;
    while (z->avail_out > 0 && !in->ended && rv == Z_OK) {
        if (z->avail_in == 0 && in->at < in->count) {
            z->next_in = (z_const Bytef *)(uintptr_t)in->lines[in->at].data;
            z->avail_in = in->lines[in->at++].len;
        }
        rv = deflate(z, in->at < in->count ? Z_NO_FLUSH : Z_FINISH);
        in->ended = rv == Z_STREAM_END;
    }
    return rv == Z_OK || in->ended ? room - z->avail_out : CURL_READFUNC_ABORT;
}

static void rewind_lines(imx_influx_t *in)
{
    in->at = in->off = 0;
    in->ended = 0;
    if (in->packed) {
        deflateReset(&in->z);
        in->z.avail_in = 0;
    }
}

/*
 * curl goes back to the start when a kept connection turns out to be dead
 * under the request and it sends everything again on a new one.
 */
static int seek_lines(void *arg, curl_off_t offset, int origin)
{
    if (origin != SEEK_SET || offset != 0) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    rewind_lines(arg);
    return CURL_SEEKFUNC_OK;
}

/* The value of the header line, if it has this name; its bytes in *len. */
static const char *header_value(const char *line, size_t bytes,
                                const char *name, size_t *len)
{
    size_t n = strlen(name);

    if (bytes <= n || strncasecmp(line, name, n) != 0) {
        return NULL;
    }
    *len = bytes - n;
    return line + n;
}

/* An answer without end: curl ends the transfer when less is taken. */
static size_t take_answer(imx_influx_t *in, size_t bytes)
{
    in->received += bytes;
    in->flooded = in->received > ANSWER_MAX;
    return in->flooded ? 0 : bytes;
}

/* A status line begins an answer; the one before was 100 or 103. */
static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    imx_influx_t *in = arg;
    size_t bytes = size * n, len;
    const char *value;

    if (header_value(data, bytes, "HTTP/", &len)) {
        in->retry_after_ms = -1;
        in->location[0] = '\0';
    }
    value = header_value(data, bytes, "Retry-After:", &len);
    if (value) {
        in->retry_after_ms = imx_answer_retry_after(value, len, time(NULL));
    }
    value = header_value(data, bytes, "Location:", &len);
    if (value) {
        snprintf(in->location, sizeof(in->location), "%.*s", (int)len, value);
    }
    return take_answer(in, bytes);
}

/* Keeps the start; curl ends the transfer when less is taken than it gave. */
static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    imx_influx_t *in = arg;
    size_t bytes = size * n, room = KEEP_MAX - in->kept;
    size_t len = bytes < room ? bytes : room;

    memcpy(in->body + in->kept, data, len);
    in->kept += len;
    return take_answer(in, bytes);
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
    curl_easy_setopt(e, CURLOPT_READDATA, in);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, seek_lines);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, in);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, in);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, in);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, in->error);
}

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

/*
 * curl verifies TLS unless told otherwise; nothing here tells it otherwise.
 * What it verified, or showed as ours, must not outlive the connection: so no
 * session is resumed, and no CA is remembered (curl would, for a day).
 */
static int set_tls(imx_influx_t *in)
{
    CURL *e = in->easy;
    const imx_influx_options_t *o = in->o;
    int failed = 0;

    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_SSL_SESSIONID_CACHE, 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
    if (o->ca_file) { /* these, and not the system's as well */
        failed |= curl_easy_setopt(e, CURLOPT_CAINFO, o->ca_file) != CURLE_OK;
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    if (o->certificate_file) {
        failed |= curl_easy_setopt(e, CURLOPT_SSLCERT, o->certificate_file)
                  || curl_easy_setopt(e, CURLOPT_SSLKEY, o->key_file)
                  /* OpenSSL would ask for one on the terminal */
                  || curl_easy_setopt(e, CURLOPT_KEYPASSWD, "");
    }
    return failed;
}

/*
 * A connection is kept, but not for ever: what was true when it was made, of
 * certificates as of addresses behind the name, is looked at again.
 */
static void set_connection(imx_influx_t *in)
{
    CURL *e = in->easy;
    const imx_influx_options_t *o = in->o;

#if LIBCURL_VERSION_NUM >= 0x075000
    curl_easy_setopt(e, CURLOPT_MAXLIFETIME_CONN, LIFETIME);
#endif
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    if (o->unix_socket) {
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, o->unix_socket);
    }
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)o->connect_timeout_ms);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)o->total_timeout_ms);
    /* signals belong to httpd, which ignores SIGPIPE */
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* an abort must not wait for a name server */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static CURLM *open_multi(void)
{
    CURLM *multi = curl_multi_init();

    if (multi) {
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 1L);
    }
    return multi;
}

static int open_curl(imx_influx_t *in)
{
    in->multi = open_multi();
    in->easy = curl_easy_init();
    if (!in->multi || !in->easy) {
        return ENOMEM;
    }
    set_callbacks(in);
    set_http(in);
    set_connection(in);
    return set_tls(in)
           || (in->o->gzip
               && deflateInit2(&in->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW,
                               GZIP_MEMORY, Z_DEFAULT_STRATEGY)
                      != Z_OK);
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
    deflateEnd(&in->z); /* heeds that it was not begun */
    wipe_headers(in->headers[0]);
    wipe_headers(in->headers[1]);
    wipe_string(in->secret);
    free(in->write_url);
    free(in->create_url);
    free(in);
}

/* --- One transfer --- */

/* Is the file another one than the stamp says?  Brings the stamp up to date. */
static int has_changed(const char *path, stamp_t *stamp)
{
    struct stat file;
    stamp_t now;

    memset(&now, 0, sizeof(now)); /* its gaps, too */
    if (path && stat(path, &file) == 0) {
        now.device = file.st_dev;
        now.inode = file.st_ino;
        now.size = file.st_size;
        now.changed = file.st_ctim;
    }
    if (memcmp(&now, stamp, sizeof(now)) == 0) {
        return 0;
    }
    *stamp = now;
    return 1;
}

/*
 * curl reads the files for each connection that it makes.  The old one is
 * closed, with the multi handle that keeps it: left alone, it would be used
 * again when the new one cannot be made.
 */
static int renew_connection(imx_influx_t *in)
{
    int needed = in->stale;
    CURLM *multi;

    needed |= has_changed(in->o->ca_file, &in->files[0]);
    needed |= has_changed(in->o->certificate_file, &in->files[1]);
    needed |= has_changed(in->o->key_file, &in->files[2]);
    if (needed) {
        multi = open_multi();
        in->stale = multi == NULL;
        if (in->stale) {
            return ENOMEM;
        }
        curl_multi_cleanup(in->multi);
        in->multi = multi;
    }
    return 0;
}

/* Bytes of the body, -1 when that is known only at its end. */
static curl_off_t body_bytes(const imx_influx_t *in)
{
    curl_off_t bytes = 0;

    for (size_t i = 0; i < in->count; i++) {
        bytes += in->lines[i].len;
    }
    return in->packed ? -1 : bytes;
}

static int set_request(imx_influx_t *in, const char *url)
{
    CURL *e = in->easy;

    return curl_easy_setopt(e, CURLOPT_URL, url)
           || curl_easy_setopt(e, CURLOPT_HTTPHEADER, in->headers[in->packed])
           || curl_easy_setopt(e, CURLOPT_READFUNCTION,
                               in->packed ? read_gzip : read_lines)
           || curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, body_bytes(in));
}

static void begin(imx_influx_t *in, const char *url,
                  const imx_influx_line_t *lines, size_t count)
{
    assert(!in->busy && url);
    in->lines = lines;
    in->count = count;
    in->packed = in->o->gzip && !in->plain && count > 0;
    rewind_lines(in);
    in->received = in->kept = 0;
    in->retry_after_ms = -1;
    in->location[0] = '\0';
    in->flooded = 0;
    in->error[0] = '\0';
    in->busy = 1;
    in->failed = renew_connection(in) || set_request(in, url)
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

static void sort(imx_influx_t *in, long status, imx_influx_result_t *r)
{
    if (in->creating) {
        imx_answer_sort_created(status, in->body, in->kept, r);
    }
    else {
        imx_answer_sort(in->o->api, status, in->body, in->kept, r);
        r->more |= in->kept == KEEP_MAX && r->answer == IMX_INFLUX_PARTIAL;
        imx_answer_count(in->o->api, in->count, r);
    }
}

/*
 * A transfer that did not end well.  A refusal counts though its text is cut:
 * 413 is often followed by a reset.  But only the end of the text could tell
 * REFUSED from MALFORMED, so that becomes UNKNOWN, unless the server would
 * talk for ever.
 */
static void judge_failure(imx_influx_t *in, CURLcode code, long status,
                          imx_influx_result_t *r)
{
    long request = 0;

    if (status >= 300) {
        sort(in, status, r);
        r->more |= r->answer == IMX_INFLUX_PARTIAL;
        if (in->flooded
            || (r->answer != IMX_INFLUX_REJECTED
                && r->answer != IMX_INFLUX_REFUSED)) {
            return;
        }
    }
    if (!in->failed) { /* else it tells of the one before */
        curl_easy_getinfo(in->easy, CURLINFO_REQUEST_SIZE, &request);
    }
    r->answer = request > 0 ? IMX_INFLUX_UNKNOWN : IMX_INFLUX_RETRY;
    r->too_slow = request > 0 && code == CURLE_OPERATION_TIMEDOUT;
    r->dropped = -1;
    imx_answer_explain(r->reason, in->flooded    ? "the answer has no end"
                                  : in->error[0] ? in->error
                                                 : curl_easy_strerror(code));
}

/*
 * InfluxDB takes gzip in chunks, but what stands before it may want to know
 * the length (411), not know chunks (501, HTTP/1.0) or gzip (415).  Nothing of
 * that is said of the lines: they go out again as they are.
 */
static void judge_gzip(imx_influx_t *in, imx_influx_result_t *r)
{
    char why[64 + IMX_INFLUX_REASON_MAX];
    long version = 0;

    if (!in->packed || r->status < 400) {
        return;
    }
    curl_easy_getinfo(in->easy, CURLINFO_HTTP_VERSION, &version);
    if (r->status == 411 || r->status == 415 || r->status == 501
        || version == CURL_HTTP_VERSION_1_0) {
        in->plain = 1;
        snprintf(why, sizeof(why),
                 "it is sent without gzip from now on, "
                 "which was refused: %s",
                 r->reason);
        imx_answer_explain(r->reason, why);
        r->answer = IMX_INFLUX_RETRY;
        r->retry_after_ms = 0;
        r->dropped = -1;
    }
}

/* The lines stay here, and so does the secret; but whoever has to mend the
 * address wants to know where to. */
static void judge_redirect(imx_influx_t *in, imx_influx_result_t *r)
{
    char why[128 + IMX_INFLUX_REASON_MAX];

    if (r->status >= 300 && r->status < 400 && in->location[0]) {
        snprintf(why, sizeof(why),
                 "HTTP status %ld, a redirect, which is not followed, to %s",
                 r->status, in->location);
        imx_answer_explain(r->reason, why);
    }
}

static void judge(imx_influx_t *in, CURLcode code, imx_influx_result_t *r)
{
    long status = 0;

    if (!in->failed) {
        curl_easy_getinfo(in->easy, CURLINFO_RESPONSE_CODE, &status);
    }
    r->status = status;
    r->too_slow = 0;
    r->curl_code = (int)code;
    r->retry_after_ms = in->retry_after_ms;
    if (code == CURLE_OK) {
        sort(in, status, r);
    }
    else {
        judge_failure(in, code, status, r);
    }
    judge_gzip(in, r);
    judge_redirect(in, r);
    imx_answer_hide(r->reason, in->secret);
    imx_answer_hide(r->reason, in->credential);
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
    imx_influx_abort(in); /* lets go of the lines; keeps the connection */
    return result->answer;
}
