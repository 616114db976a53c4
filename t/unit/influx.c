/*
 * influx.c (unit): owns the tests of influx.c against the stand-in server.
 * One thread, besides the stand-in's; each test opens its own handle.
 * Nothing survives a crash; files live in a directory under /tmp.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT, asprintf, strcasestr */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <netdb.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <curl/curl.h>
#include <zlib.h>

#include "base/version.h"
#include "deliver/flow.h"
#include "deliver/influx.h"
#include "answers.h"
#include "standin.h"

#define OK_204 "HTTP/1.1 204 No Content\r\n\r\n"
#define SOON_MS 100 /* what "within milliseconds" may cost under valgrind */

/* --- A name server that hangs, and one that knows no name --- */

static int name_gate[2] = { -1, -1 }; /* closing [1] lets the name go */

/* libcurl calls this one instead of libc's, so it must be visible. */
__attribute__((visibility("default"))) int getaddrinfo(
    const char *node, const char *service, const struct addrinfo *hints,
    struct addrinfo **res)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);
    char c;

    if (node && strcmp(node, "hangs.invalid") == 0) {
        return read(name_gate[0], &c, 1) > 0 ? EAI_AGAIN : EAI_NONAME;
    }
    if (node && strcmp(node, "unknown.invalid") == 0) {
        return EAI_NONAME;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, res);
}

/* --- A clock that can be put forward --- */

static time_t clock_ahead; /* seconds */

/* libcurl calls this one, too. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock,
                                                         struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *);
    int rv;

    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    rv = real(clock, t);
    if (clock == CLOCK_MONOTONIC) {
        t->tv_sec += clock_ahead;
    }
    return rv;
}

/* --- What every test has --- */

typedef struct {
    standin_t *server;
    imx_influx_t *in;
    imx_influx_options_t o;
    imx_influx_result_t r;
    int64_t took_ms; /* post to answer, of post_many() */
    uint64_t piece;  /* bytes, of post_many(); 0: no pieces */
    int hurries;     /* ... and all that is left, after the first one */
    char url[64], dir[32], path[64], pem[64];
} fixture_t;

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));

    f->server = standin_start(NULL);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d",
             standin_port(f->server));
    strcpy(f->dir, "/tmp/imx-influx-XXXXXX");
    if (!mkdtemp(f->dir)) {
        free(f);
        return -1;
    }
    snprintf(f->path, sizeof(f->path), "%s/file", f->dir);
    snprintf(f->pem, sizeof(f->pem), "%s/pem", f->dir);
    f->o.api = IMX_INFLUX_V1;
    f->o.url = f->url;
    f->o.database = "httpd";
    f->o.connect_timeout_ms = 2000;
    f->o.total_timeout_ms = 10000;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;

    imx_influx_close(f->in);
    standin_stop(f->server);
    unlink(f->path);
    unlink(f->pem);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void open_handle(fixture_t *f)
{
    char reason[IMX_INFLUX_REASON_MAX] = "";

    imx_influx_close(f->in);
    assert_int_equal(imx_influx_open(&f->in, &f->o, reason), 0);
    assert_string_equal(reason, "");
}

/* At once: a reader that looks meanwhile finds the old text or the new one. */
static void write_path(const char *path, const char *text)
{
    char made[PATH_MAX];
    FILE *file;

    snprintf(made, sizeof(made), "%s.new", path);
    file = fopen(made, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(made, path), 0);
}

static void write_file(fixture_t *f, const char *text)
{
    write_path(f->path, text);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static imx_influx_answer_e finish(fixture_t *f)
{
    int64_t limit = now_ms() + 20000;
    imx_influx_answer_e a;

    while ((a = imx_influx_step(f->in, &f->r)) == IMX_INFLUX_BUSY) {
        assert_true(now_ms() < limit);
        imx_influx_wait(f->in, -1, 100);
    }
    return a;
}

static const imx_influx_line_t two_lines[] = { { "m v=1 1\n", 8 },
                                               { "m v=22 2\n", 9 } };

static imx_influx_answer_e post_two(fixture_t *f)
{
    if (!f->in) {
        open_handle(f);
    }
    imx_influx_post(f->in, two_lines, 2);
    return finish(f);
}

static imx_influx_answer_e answer_to(fixture_t *f, standin_how_e how,
                                     const char *text)
{
    standin_say(f->server, how, text);
    return post_two(f);
}

/* "HTTP/1.1 STATUS x" with this body; the caller frees it. */
static char *http(int status, const char *extra, const char *body)
{
    char *text;

    assert_true(asprintf(&text,
                         "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n"
                         "\r\n%s",
                         status, extra, strlen(body), body)
                > 0);
    return text;
}

static void assert_head(fixture_t *f, const char *part)
{
    if (!strstr(standin_head(f->server), part)) {
        fail_msg("no '%s' in:\n%s", part, standin_head(f->server));
    }
}

/* The reason is this, and then the directives to look at, if any. */
static void assert_said(fixture_t *f, const char *words)
{
    char expected[2 * IMX_INFLUX_REASON_MAX];

    snprintf(expected, sizeof(expected), "%s%s%s", words,
             f->r.advice ? "; see " : "", f->r.advice ? f->r.advice : "");
    assert_string_equal(f->r.reason, expected);
}

/* --- The table of answers (answers.h) --- */

/* Each row again, through curl, on one handle. */
static void test_answers(void **state)
{
    fixture_t *f = *state;

    for (size_t i = 0; i < ANSWER_ROWS; i++) {
        char *text = http((int)answer_rows[i].status, "", answer_rows[i].body);

        if (answer_rows[i].api != V1 || answer_rows[i].status == 100
            || answer_rows[i].status == 204) {
            free(text);
            continue;
        }
        if (answer_to(f, STANDIN_ANSWER, text) != answer_rows[i].answer
            && answer_rows[i].dropped != 2) { /* all bad: see test_all_bad */
            fail_msg("row %zu: %d", i, (int)f->r.answer);
        }
        assert_int_equal(f->r.status, answer_rows[i].status);
        assert_said(f, answer_rows[i].reason);
        assert_int_equal(f->r.curl_code, CURLE_OK);
        free(text);
    }
    assert_int_equal(standin_accepts(f->server), 1);
}

/* --- The request --- */

static void assert_request_line(fixture_t *f, const char *expected)
{
    open_handle(f);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(f->r.status, 204);
    assert_int_equal(f->r.retry_after_ms, -1);
    assert_int_equal(f->r.dropped, -1);
    assert_memory_equal(standin_head(f->server), expected, strlen(expected));
}

static void test_request(void **state)
{
    fixture_t *f = *state;
    size_t len;
    const char *body;

    assert_request_line(f, "POST /write?db=httpd&precision=n HTTP/1.1\r\n");
    assert_head(f, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
    assert_head(f, "\r\nContent-Length: 17\r\n");
    assert_head(f, "\r\nUser-Agent: mod_influx_metrics/" IMX_VERSION "\r\n");
    assert_null(strcasestr(standin_head(f->server), "\r\nExpect:"));
    assert_null(strcasestr(standin_head(f->server), "\r\nAuthorization:"));
    assert_null(strcasestr(standin_head(f->server), "Transfer-Encoding:"));
    body = standin_body(f->server, &len);
    assert_int_equal(len, 17);
    assert_string_equal(body, "m v=1 1\nm v=22 2\n");
}

static void test_urls(void **state)
{
    fixture_t *f = *state;

    f->o.database = "a b&c=d%/\xc3\xa9";
    f->o.retention_policy = "r+p";
    assert_request_line(f,
                        "POST /write?db=a%20b%26c%3Dd%25%2F%C3%A9&rp=r%2Bp"
                        "&precision=n HTTP/1.1\r\n");
    f->o.api = V2;
    f->o.org = "my org";
    f->o.bucket = "b/c";
    assert_request_line(f,
                        "POST /api/v2/write?org=my%20org&bucket=b%2Fc"
                        "&precision=ns HTTP/1.1\r\n");
    f->o.api = V3;
    assert_request_line(f,
                        "POST /api/v3/write_lp?db=a%20b%26c%3Dd%25%2F%C3%A9"
                        "&precision=nanosecond&accept_partial=true"
                        "&no_sync=false HTTP/1.1\r\n");
}

static void assert_credential(fixture_t *f, const char *header)
{
    open_handle(f);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_head(f, header);
}

static void test_credentials(void **state)
{
    fixture_t *f = *state;

    f->o.user = "u";
    assert_credential(f, "\r\nAuthorization: Basic dTo=\r\n"); /* u: */
    f->o.password_file = f->path;
    write_file(f, "p\n");
    assert_credential(f, "\r\nAuthorization: Basic dTpw\r\n"); /* u:p */
    write_file(f, "pp\r\nnot this\n");
    assert_credential(f, "\r\nAuthorization: Basic dTpwcA==\r\n");
    write_file(f, "p\xc3\xbf?>");
    assert_credential(f, "\r\nAuthorization: Basic dTpww78/Pg==\r\n");
    f->o.token_file = f->path;
    write_file(f, "s3cret-token");
    assert_credential(f, "\r\nAuthorization: Token s3cret-token\r\n");
    f->o.api = V2;
    assert_credential(f, "\r\nAuthorization: Token s3cret-token\r\n");
    f->o.api = V3;
    assert_credential(f, "\r\nAuthorization: Bearer s3cret-token\r\n");
}

/* The answer of a post, as the page and the log get it. */
static void assert_bad_file(fixture_t *f, const char *why)
{
    open_handle(f);
    assert_int_equal(post_two(f), IMX_INFLUX_RETRY);
    assert_int_equal(f->r.status, 0);
    assert_int_equal(f->r.dropped, -1);
    assert_int_equal(f->r.in_doubt, 0);
    if (!strstr(f->r.reason, f->path) || !strstr(f->r.reason, why)) {
        fail_msg("no '%s' in: %s", why, f->r.reason);
    }
    assert_string_equal(f->r.public_reason, f->r.reason);
    assert_int_equal(standin_accepts(f->server), 0);
}

static void test_bad_files(void **state)
{
    fixture_t *f = *state;
    char big[6000];

    f->o.token_file = f->path;
    assert_bad_file(f, "No such file");
    write_file(f, "");
    assert_bad_file(f, "empty");
    write_file(f, "\ntoken\n");
    assert_bad_file(f, "empty");
    write_file(f, "a\tb\n");
    assert_bad_file(f, "control character");
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    write_file(f, big);
    assert_bad_file(f, "too long");
    big[4000] = '\n';
    write_file(f, big);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT); /* the same handle */
}

/* What is no file, and what nobody writes to, is told of and does not hang. */
static void test_odd_files(void **state)
{
    fixture_t *f = *state;
    int64_t start = now_ms();

    f->o.token_file = f->path;
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_bad_file(f, "no regular file");
    unlink(f->path);
    assert_int_equal(symlink("/dev/zero", f->path), 0);
    assert_bad_file(f, "no regular file");
    unlink(f->path);
    assert_int_equal(symlink("/etc", f->path), 0);
    assert_bad_file(f, "no regular file");
    unlink(f->path);
    write_file(f, "token");
    f->o.ca_file = "/dev/zero";
    open_handle(f);
    assert_int_equal(post_two(f), IMX_INFLUX_RETRY);
    assert_non_null(strstr(f->r.reason, "/dev/zero: it is no regular file"));
    assert_true(now_ms() - start < 2000);
    /* one that comes later is read without a new handle */
    f->o.ca_file = NULL;
    unlink(f->path);
    assert_bad_file(f, "No such file");
    write_file(f, "late");
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_head(f, "Token late\r\n");
}

static void test_reload(void **state)
{
    fixture_t *f = *state;
    char reason[IMX_INFLUX_REASON_MAX] = "";

    f->o.token_file = f->path;
    write_file(f, "one\n");
    assert_credential(f, "Token one\r\n");
    assert_int_equal(imx_influx_reload_secret(f->in, reason), 0);
    write_file(f, "two\n");
    assert_int_equal(imx_influx_reload_secret(f->in, reason), 1);
    assert_int_equal(imx_influx_reload_secret(f->in, reason), 0);
    assert_string_equal(reason, "");
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_head(f, "Token two\r\n");
    unlink(f->path);
    assert_int_equal(imx_influx_reload_secret(f->in, reason), -1);
    assert_non_null(strstr(reason, "No such file"));
    assert_int_equal(post_two(f), IMX_INFLUX_SENT); /* with the old one */
    assert_head(f, "Token two\r\n");
    f->o.token_file = NULL;
    open_handle(f);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(imx_influx_reload_secret(f->in, reason), 0);
}

/* A look at the files that is under way may not have seen the new one. */
static int reload_at_last(fixture_t *f, char *reason)
{
    int is_new = 0;

    for (int i = 0; i < 20 && is_new == 0; i++) {
        is_new = imx_influx_reload_secret(f->in, reason);
    }
    return is_new;
}

/* While a transfer runs, too: it keeps what it began with. */
static void test_reload_busy(void **state)
{
    fixture_t *f = *state;
    char reason[IMX_INFLUX_REASON_MAX] = "";

    f->o.token_file = f->path;
    write_file(f, "one\n");
    open_handle(f);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT); /* it has been read */
    imx_influx_post(f->in, two_lines, 2);
    assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_BUSY);
    write_file(f, "two\n");
    assert_int_equal(reload_at_last(f, reason), 1);
    assert_int_equal(finish(f), IMX_INFLUX_SENT);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_head(f, "Token two\r\n");
}

/* A server that shows the request does not bring the secret into the log. */
static void test_secret_hidden(void **state)
{
    fixture_t *f = *state;
    char body[600], *text;

    f->o.user = "u";
    f->o.password_file = f->path;
    write_file(f, "hunter2\n");
    open_handle(f);
    text = http(401, "", "hunter2, Basic dTpodW50ZXIy, hunter2");
    assert_int_equal(answer_to(f, STANDIN_ANSWER, text),
                     IMX_INFLUX_UNAUTHORIZED);
    assert_said(f, "*******, Basic ************, *******");
    free(text);
    snprintf(body, sizeof(body), "%0*d%s", IMX_INFLUX_REASON_MAX - 5, 0,
             "hunter2");
    text = http(401, "", body);
    answer_to(f, STANDIN_ANSWER, text);
    assert_null(strstr(f->r.reason, "hunt"));
    assert_non_null(strstr(f->r.reason, "00; see InfluxMetricsUser"));
    free(text);
}

/* --- The connection --- */

/* Counts our connections to the server, checking each; its own are others. */
static int our_sockets(fixture_t *f, const char *path)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++) {
        union {
            struct sockaddr s;
            struct sockaddr_in in;
            struct sockaddr_un un;
        } a = { .un = { 0 } };
        socklen_t len = sizeof(a);

        if (getpeername(fd, &a.s, &len) != 0
            || (path ? a.s.sa_family != AF_UNIX || strcmp(a.un.sun_path, path)
                     : a.s.sa_family != AF_INET
                           || ntohs(a.in.sin_port)
                                  != standin_port(f->server))) {
            continue;
        }
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        n++;
    }
    return n;
}

static void test_one_connection(void **state)
{
    fixture_t *f = *state;

    for (int i = 0; i < 100; i++) {
        assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    }
    assert_int_equal(standin_requests(f->server), 100);
    assert_int_equal(standin_accepts(f->server), 1);
    assert_int_equal(our_sockets(f, NULL), 1);
}

static void test_unix_socket(void **state)
{
    fixture_t *f = *state;

    standin_stop(f->server);
    f->server = standin_start(f->path);
    f->o.url = "http://localhost";
    f->o.unix_socket = f->path;
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_head(f, "\r\nHost: localhost\r\n");
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(standin_accepts(f->server), 1);
    assert_int_equal(our_sockets(f, f->path), 1);
}

/* The log names the socket and what the system says of it. */
static void test_unix_socket_fails(void **state)
{
    fixture_t *f = *state;
    uid_t user = geteuid();
    char expected[IMX_INFLUX_REASON_MAX];

    f->o.url = "http://localhost";
    f->o.unix_socket = f->path;
    unlink(f->path);
    assert_int_equal(post_two(f), IMX_INFLUX_RETRY);
    snprintf(expected, sizeof(expected),
             "%s: No such file or directory; see InfluxMetricsServer: does "
             "InfluxDB run there?",
             f->path);
    assert_string_equal(f->r.reason, expected);
    if (user != 0) {
        skip(); /* only root can become somebody who may not write to it */
    }
    standin_stop(f->server);
    f->server = standin_start(f->path);
    assert_int_equal(chmod(f->path, 0600), 0);
    assert_int_equal(seteuid(33), 0);
    post_two(f);
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(f->r.answer, IMX_INFLUX_RETRY);
    snprintf(expected, sizeof(expected),
             "%s: Permission denied; see InfluxMetricsServer: may the "
             "server's user write to it?",
             f->path);
    assert_string_equal(f->r.reason, expected);
    assert_string_equal(f->r.public_reason, expected);
}

#if LIBCURL_VERSION_NUM >= 0x075000
#define LIVES 11 /* posts, a minute apart */
#else
#define LIVES 12 /* an older libcurl has no option for it */
#endif

/* In use all the time, and yet made anew after ten minutes. */
static void test_lifetime(void **state)
{
    fixture_t *f = *state;

    open_handle(f);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(post_two(f), IMX_INFLUX_SENT);
        assert_int_equal(standin_accepts(f->server), i < LIVES ? 1 : 2);
        clock_ahead += 60;
    }
    assert_int_equal(standin_requests(f->server), 12);
}

/* --- Files of TLS, and what curl says of TLS that cannot be --- */

/* A connection is made with what is in the files, as long as that is so. */
static void test_changed_files(void **state)
{
    fixture_t *f = *state;
    const char **files[] = { &f->o.ca_file, &f->o.certificate_file,
                             &f->o.key_file };
    char reason[IMX_INFLUX_REASON_MAX] = "", text[] = "0";
    int accepts = 0;

    write_path(f->pem, "PEM");
    f->o.certificate_file = f->o.key_file = f->pem;
    for (size_t i = 0; i < 3; i++) {
        *files[i] = f->path;
        write_file(f, "0");
        open_handle(f);
        for (int change = 0; change < 4; change++) {
            text[0] = (char)('0' + change); /* the size stays */
            if (change == 3) {
                unlink(f->path);
            }
            else if (change > 0) {
                write_file(f, text);
            }
            accepts += change < 3; /* what is gone is no other one */
            for (int n = 0; n < 3; n++) {
                assert_int_equal(post_two(f), IMX_INFLUX_SENT);
                assert_int_equal(standin_accepts(f->server), accepts);
            }
        }
        *files[i] = i > 0 ? f->pem : NULL;
    }
    open_handle(f);
    for (int n = 0; n < 6; n++) {
        if (n == 3) {
            imx_influx_reload_secret(f->in, reason); /* after a refusal */
        }
        assert_int_equal(post_two(f), IMX_INFLUX_SENT);
        assert_int_equal(standin_accepts(f->server), accepts + 1 + n / 3);
    }
    assert_int_equal(our_sockets(f, NULL), 1);
}

/* When the new connection cannot be made, the old one must not serve. */
static void test_changed_then_down(void **state)
{
    fixture_t *f = *state;

    write_file(f, "1");
    f->o.ca_file = f->path;
    f->o.connect_timeout_ms = 200;
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    write_file(f, "2");
    standin_refuse(f->server);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(post_two(f), IMX_INFLUX_RETRY);
        assert_int_equal(our_sockets(f, NULL), 0);
    }
    assert_int_equal(standin_requests(f->server), 1);
}

static void assert_tls_fails(fixture_t *f, int code, const char *why)
{
    open_handle(f);
    assert_int_equal(post_two(f), IMX_INFLUX_RETRY);
    assert_int_equal(f->r.curl_code, code);
    if (!strstr(f->r.reason, why)) {
        fail_msg("no '%s' in '%s'", why, f->r.reason);
    }
    assert_int_equal(standin_requests(f->server), 0);
}

static void test_tls_fails(void **state)
{
    fixture_t *f = *state;

    snprintf(f->url, sizeof(f->url), "https://127.0.0.1:%d",
             standin_port(f->server));
    standin_say(f->server, STANDIN_EARLY, "HTTP/1.1 400 plain\r\n\r\n");
    f->o.ca_file = f->path;
    assert_tls_fails(f, CURLE_READ_ERROR, f->path);
    write_file(f, "no certificate");
    assert_tls_fails(f, CURLE_SSL_CACERT_BADFILE, f->path);
    f->o.ca_file = NULL;
    f->o.certificate_file = f->path;
    f->o.key_file = f->path;
    assert_tls_fails(f, CURLE_SSL_CERTPROBLEM, f->path);
}

static void wait_for_requests(fixture_t *f, int n);

/* The kept connection dies under a request: everything goes out again. */
static void test_rewind(void **state)
{
    fixture_t *f = *state;
    size_t len;

    standin_say(f->server, STANDIN_ANSWER, OK_204);
    standin_then(f->server, STANDIN_CLOSE, "");
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(standin_requests(f->server), 3);
    assert_int_equal(standin_accepts(f->server), 2);
    assert_string_equal(standin_body(f->server, &len), "m v=1 1\nm v=22 2\n");
    assert_int_equal(f->r.repeated, 2);
    assert_int_equal(f->r.in_doubt, 0);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(f->r.repeated, 0);
}

/* Once, not five times: what dies under the second attempt is the caller's. */
static void test_rewind_once(void **state)
{
    fixture_t *f = *state;

    standin_say(f->server, STANDIN_ANSWER, OK_204);
    standin_then(f->server, STANDIN_CLOSE, "");
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(post_two(f), IMX_INFLUX_UNKNOWN);
    assert_int_equal(standin_requests(f->server), 3);
    assert_int_equal(f->r.repeated, 2);
    assert_int_equal(f->r.in_doubt, 2);
}

/* However often that happens: libcurl does not add it up over the bodies, nor
 * do the figures. */
static void test_rewind_again(void **state)
{
    fixture_t *f = *state;
    int i;

    for (i = 0; i < 8; i++) {
        standin_say(f->server, STANDIN_ANSWER, OK_204);
        standin_then(f->server, STANDIN_CLOSE, "");
        standin_then(f->server, STANDIN_ANSWER, OK_204);
        assert_int_equal(post_two(f), IMX_INFLUX_SENT);
        assert_int_equal(f->r.repeated, 0);
        assert_int_equal(post_two(f), IMX_INFLUX_SENT);
        assert_int_equal(f->r.repeated, 2);
    }
    assert_int_equal(standin_requests(f->server), 24);
}

/* Which lines may be there though nobody says so. */
static void test_in_doubt(void **state)
{
    fixture_t *f = *state;
    char *text = http(500, "", "timeout");

    answer_to(f, STANDIN_CLOSE, "");
    assert_int_equal(f->r.in_doubt, 2);
    answer_to(f, STANDIN_ANSWER, text);
    assert_int_equal(f->r.in_doubt, 2);
    free(text);
    text = http(503, "", "busy");
    answer_to(f, STANDIN_ANSWER, text);
    assert_int_equal(f->r.in_doubt, 0);
    free(text);
    standin_say(f->server, STANDIN_HANG, "");
    imx_influx_post(f->in, two_lines, 2);
    assert_int_equal(imx_influx_in_doubt(f->in), 0);
    assert_int_equal(imx_influx_is_out(f->in), 0);
    wait_for_requests(f, standin_requests(f->server) + 1);
    while (!imx_influx_is_out(f->in)) {
        assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_BUSY);
        imx_influx_wait(f->in, -1, 10);
    }
    assert_int_equal(imx_influx_in_doubt(f->in), 2);
    imx_influx_abort(f->in);
}

/* A proxy that could not pass the body on may not have heard a 413; one that
 * reached nobody, or an InfluxDB that is busy, says nothing of its size. */
static void test_try_smaller(void **state)
{
    static const struct {
        int status, try_smaller;
    } said[] = { { 502, 1 }, { 504, 1 }, { 503, 0 }, { 500, 0 }, { 429, 0 } };
    fixture_t *f = *state;

    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        char *text = http(said[i].status, "", "no");

        assert_int_equal(answer_to(f, STANDIN_ANSWER, text), IMX_INFLUX_RETRY);
        assert_int_equal(f->r.try_smaller, said[i].try_smaller);
        free(text);
    }
}

static void assert_lost(fixture_t *f, imx_influx_answer_e answer, int code)
{
    assert_int_equal(f->r.answer, answer);
    assert_int_equal(f->r.curl_code, code);
    assert_int_equal(f->r.dropped, -1);
    assert_int_equal(f->r.retry_after_ms, -1);
    assert_true(f->r.reason[0] != '\0');
}

/* A port that nobody listens on: one of a server that is gone. */
static void test_refused(void **state)
{
    fixture_t *f = *state;

    standin_stop(f->server);
    post_two(f);
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_COULDNT_CONNECT);
    assert_int_equal(f->r.status, 0);
    f->server = standin_start(NULL);
    f->o.unix_socket = f->path;
    open_handle(f);
    post_two(f);
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_COULDNT_CONNECT);
    f->o.unix_socket = NULL;
    f->o.url = "http://unknown.invalid:8086";
    open_handle(f);
    post_two(f);
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_COULDNT_RESOLVE_HOST);
    f->o.url = "ftp://127.0.0.1";
    open_handle(f);
    post_two(f);
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_UNSUPPORTED_PROTOCOL);
}

/* Answers of the one before must not show through. */
static void test_refused_after_answer(void **state)
{
    fixture_t *f = *state;
    char *text = http(503, "Retry-After: 7\r\nConnection: close\r\n", "");

    assert_int_equal(answer_to(f, STANDIN_ANSWER, text), IMX_INFLUX_RETRY);
    standin_stop(f->server);
    post_two(f);
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_COULDNT_CONNECT);
    assert_int_equal(f->r.status, 0);
    f->server = standin_start(NULL);
    free(text);
}

/* The server's clock, by its header Date. */
static void test_clock(void **state)
{
    static const int ahead[] = { 0, 3600, -7200 };
    fixture_t *f = *state;

    for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
        time_t theirs = time(NULL) - ahead[i];
        char header[128], date[64], *text;
        struct tm tm;

        strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT",
                 gmtime_r(&theirs, &tm));
        snprintf(header, sizeof(header), "Date: %s\r\n", date);
        text = http(204, header, "");
        assert_int_equal(answer_to(f, STANDIN_ANSWER, text), IMX_INFLUX_SENT);
        assert_in_range(f->r.clock_ahead_s + 86400, 86400 + ahead[i],
                        86400 + ahead[i] + 30);
        free(text);
    }
    assert_int_equal(answer_to(f, STANDIN_ANSWER, OK_204), IMX_INFLUX_SENT);
    assert_int_equal(f->r.clock_ahead_s, 0);
}

/* What is to be looked at depends on where the secret comes from. */
static void test_advice_on_secret(void **state)
{
    static const struct {
        imx_influx_api_e api;
        const char *token, *user, *password, *advice;
    } rows[] = {
        { IMX_INFLUX_V2, "secret", NULL, NULL,
          "InfluxMetricsTokenEnv: a new" },
        { IMX_INFLUX_V1, NULL, "u", "secret", "InfluxMetricsPasswordEnv: a" },
        { IMX_INFLUX_V1, NULL, NULL, NULL, "InfluxMetricsBucket and" },
        { IMX_INFLUX_V2, NULL, NULL, NULL, "of which there is none" },
    };
    fixture_t *f = *state;
    char *text;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f->o.api = rows[i].api;
        f->o.org = f->o.bucket = "b";
        f->o.token = rows[i].token;
        f->o.user = rows[i].user;
        f->o.password = rows[i].password;
        open_handle(f);
        text = http(401, "", "no");
        assert_int_equal(answer_to(f, STANDIN_ANSWER, text),
                         IMX_INFLUX_UNAUTHORIZED);
        free(text);
        assert_non_null(strstr(f->r.reason, rows[i].advice));
        assert_non_null(strstr(f->r.public_reason, rows[i].advice));
    }
}

/* A listener with a full queue: the kernel leaves the connection half open. */
static void test_connect_timeout(void **state)
{
    fixture_t *f = *state;
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof(a);
    int full = socket(AF_INET, SOCK_STREAM, 0), first;
    int64_t start = now_ms();
    char url[64];

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(full, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(full, 0), 0);
    assert_int_equal(getsockname(full, (struct sockaddr *)&a, &len), 0);
    first = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(first, (struct sockaddr *)&a, len), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(a.sin_port));
    f->o.url = url;
    f->o.connect_timeout_ms = 150;
    post_two(f);
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_OPERATION_TIMEDOUT);
    assert_int_equal(f->r.try_smaller, 0);
    assert_true(now_ms() - start < 2000);
    close(first);
    close(full);
}

static void test_lost(void **state)
{
    fixture_t *f = *state;

    answer_to(f, STANDIN_CLOSE, "");
    assert_lost(f, IMX_INFLUX_UNKNOWN, CURLE_GOT_NOTHING);
    answer_to(f, STANDIN_RESET, "");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    answer_to(f, STANDIN_CLOSE, "HTTP/1.1 20");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    answer_to(f, STANDIN_CLOSE,
              "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert_lost(f, IMX_INFLUX_UNKNOWN, CURLE_PARTIAL_FILE);
    answer_to(f, STANDIN_CLOSE, "\x16\x03\x01 garbage\n\n");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    assert_int_equal(f->r.status, 0);
}

/* A refusal whose text was cut is one, where the text makes no difference. */
static void test_refusal_cut(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(answer_to(f, STANDIN_CLOSE,
                               "HTTP/1.1 413 x\r\n"
                               "Content-Length: 99\r\n\r\n<html>"),
                     IMX_INFLUX_TOO_LARGE);
    assert_int_equal(f->r.curl_code, CURLE_PARTIAL_FILE);
    assert_int_equal(answer_to(f, STANDIN_CLOSE,
                               "HTTP/1.1 400 x\r\n"
                               "Content-Length: 99\r\n\r\n{\"error\":\"par"),
                     IMX_INFLUX_UNKNOWN);
    assert_int_equal(answer_to(f, STANDIN_CLOSE,
                               "HTTP/1.1 400 x\r\n"
                               "Content-Length: 99\r\n\r\n"
                               "{\"error\":\"partial write: a"),
                     IMX_INFLUX_PARTIAL);
    assert_string_equal(f->r.reason, "partial write: a");
}

/* --- What a server may ask for, and what it may not do to us --- */

static imx_influx_answer_e post_many(fixture_t *f, size_t count, uint32_t len);

static int64_t retry_after(fixture_t *f, const char *value)
{
    char header[128], *text;

    snprintf(header, sizeof(header), "Retry-After: %s\r\n", value);
    text = http(429, header, "slow down");
    assert_int_equal(answer_to(f, STANDIN_ANSWER, text), IMX_INFLUX_RETRY);
    assert_string_equal(f->r.reason, "slow down");
    free(text);
    return f->r.retry_after_ms;
}

static void test_retry_after(void **state)
{
    fixture_t *f = *state;
    time_t then = time(NULL) + 100;
    struct tm tm;
    char date[64];
    int64_t ms;

    assert_int_equal(retry_after(f, "7"), 7000);
    assert_int_equal(retry_after(f, "0"), -1);
    assert_int_equal(retry_after(f, "soon"), -1);
    assert_int_equal(retry_after(f, "-5"), -1);
    assert_int_equal(retry_after(f, "999999999999"), 86400000);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT",
             gmtime_r(&then, &tm));
    ms = retry_after(f, date);
    assert_true(ms > 80000 && ms <= 100000);
    assert_int_equal(retry_after(f, "Sun, 06 Nov 1994 08:49:37 GMT"), -1);
}

static void test_redirect(void **state)
{
    fixture_t *f = *state;
    char extra[128], *text;

    f->o.token_file = f->path;
    write_file(f, "hunter2\n");
    snprintf(extra, sizeof(extra), "Location: %s/elsewhere?t=hunter2\r\n",
             f->url);
    text = http(307, extra, "");
    assert_int_equal(answer_to(f, STANDIN_ANSWER, text), IMX_INFLUX_RETRY);
    assert_int_equal(f->r.status, 307);
    assert_int_equal(standin_requests(f->server), 1);
    assert_non_null(strstr(f->r.reason, "307"));
    assert_non_null(strstr(f->r.reason, "/elsewhere?t=*******"));
    free(text);
    answer_to(f, STANDIN_CLOSE, "HTTP/1.1 302 x\r\n\r\n");
    assert_said(f, "HTTP status 302");
}

static void test_endless(void **state)
{
    fixture_t *f = *state;

    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 200 OK\r\n\r\n");
    assert_lost(f, IMX_INFLUX_UNKNOWN, CURLE_WRITE_ERROR);
    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 200 OK\r\n"); /* its head */
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 405 x\r\n\r\nno ");
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_WRITE_ERROR);
    assert_memory_equal(f->r.reason, "no X: xxx X: xxx", 16);
    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 503 x\r\n\r\n");
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_WRITE_ERROR);
    assert_int_equal(answer_to(f, STANDIN_ANSWER, OK_204), IMX_INFLUX_SENT);
}

/* What may come before an answer, and what must not come with it. */
static void test_odd_answers(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(answer_to(f, STANDIN_ANSWER,
                               "HTTP/1.1 100 Continue\r\n\r\n"
                               "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n"
                               "Location: /x\r\n\r\n" OK_204),
                     IMX_INFLUX_SENT);
    assert_int_equal(f->r.status, 204);
    assert_int_equal(f->r.retry_after_ms, -1);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    /* a 204 has no body: what follows it is no answer to the next request */
    assert_int_equal(answer_to(f, STANDIN_ANSWER,
                               "HTTP/1.1 204 x\r\n"
                               "Content-Length: 24\r\n\r\n"
                               "HTTP/1.1 400 bad\r\n\r\nbad"),
                     IMX_INFLUX_SENT);
    standin_say(f->server, STANDIN_ANSWER, OK_204);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(f->r.status, 204);
    /* only 1xx, then the end */
    answer_to(f, STANDIN_CLOSE, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    /* HTTP/0.9, another protocol, chunks that are none */
    answer_to(f, STANDIN_CLOSE, "stored, all of it");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    assert_non_null(strstr(f->r.reason, "is http spoken at that port"));
    answer_to(f, STANDIN_CLOSE, "SSH-2.0-OpenSSH_9\r\n");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    answer_to(f, STANDIN_CLOSE,
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
              "chunked\r\n\r\nzz\r\n");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
}

/* A header without an end, and 1xx for ever: given up before the time limit,
 * and not kept in memory. */
static void test_endless_head(void **state)
{
    fixture_t *f = *state;
    int64_t start = now_ms();

    f->o.total_timeout_ms = 20000;
    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 204 x\r\nA: b\r\n");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    assert_true(f->r.curl_code != CURLE_OPERATION_TIMEDOUT);
    assert_true(now_ms() - start < 10000);
    assert_int_equal(answer_to(f, STANDIN_ANSWER, OK_204), IMX_INFLUX_SENT);
}

/* More refused lines than the answer has room for. */
static void test_more_than_kept(void **state)
{
    static const char part[] =
        "unable to parse 'xxxxxxxxxxxx': missing fields\n";
    fixture_t *f = *state;
    char *body = malloc(100000), *to = body, *text;

    to = stpcpy(to, "partial write: ");
    while (to - body < 90000) {
        to = stpcpy(to, part);
    }
    text = http(400, "", body);
    standin_say(f->server, STANDIN_ANSWER, text);
    assert_int_equal(post_many(f, 10000, 20), IMX_INFLUX_PARTIAL);
    assert_int_equal(f->r.more, 1);
    assert_int_equal(post_many(f, 100, 20), IMX_INFLUX_PARTIAL);
    assert_int_equal(f->r.dropped, 100);
    assert_int_equal(f->r.more, 0);
    free(text);
    free(body);
    answer_to(f, STANDIN_CLOSE,
              "HTTP/1.1 400 x\r\nContent-Length: 999\r\n\r\n"
              "partial write: unable to parse 'x'");
    assert_int_equal(f->r.answer, IMX_INFLUX_PARTIAL);
    assert_int_equal(f->r.more, 1); /* cut by the connection */
}

static void test_slow(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(answer_to(f, STANDIN_SLOW, OK_204), IMX_INFLUX_SENT);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(standin_accepts(f->server), 1);
}

static void test_timeout(void **state)
{
    fixture_t *f = *state;
    char late[2000];
    int64_t start;

    memset(late, 'x', sizeof(late));
    memcpy(late, "HTTP/1.1 200 OK\r\nX: ", 20);
    late[sizeof(late) - 1] = '\0';
    f->o.total_timeout_ms = 200;
    start = now_ms();
    answer_to(f, STANDIN_HANG, "");
    assert_lost(f, IMX_INFLUX_UNKNOWN, CURLE_OPERATION_TIMEDOUT);
    answer_to(f, STANDIN_SLOW, late);
    assert_lost(f, IMX_INFLUX_UNKNOWN, CURLE_OPERATION_TIMEDOUT);
    assert_true(now_ms() - start >= 400 && now_ms() - start < 2000);
}

/* --- Waiting and giving up --- */

static void wait_for_requests(fixture_t *f, int n)
{
    int64_t limit = now_ms() + 5000;

    while (standin_requests(f->server) < n) {
        assert_true(now_ms() < limit);
        assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_BUSY);
        imx_influx_wait(f->in, -1, 10);
    }
}

static void assert_quick_abort(fixture_t *f)
{
    int64_t start = now_ms();

    imx_influx_abort(f->in);
    assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_IDLE);
    assert_true(now_ms() - start < SOON_MS);
}

static void test_abort(void **state)
{
    fixture_t *f = *state;

    open_handle(f);
    assert_quick_abort(f); /* of nothing */
    imx_influx_post(f->in, two_lines, 2);
    assert_quick_abort(f); /* before the first step */
    assert_int_equal(standin_accepts(f->server), 0);
    standin_say(f->server, STANDIN_HANG, "");
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    imx_influx_post(f->in, two_lines, 2);
    wait_for_requests(f, 1);
    assert_quick_abort(f);
    assert_int_equal(our_sockets(f, NULL), 0);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(standin_requests(f->server), 2);
}

/* The body is larger than the kernel takes, and nobody reads it. */
static void test_abort_upload(void **state)
{
    fixture_t *f = *state;
    size_t len = 16 << 20;
    char *data = malloc(len);
    imx_influx_line_t line = { data, (uint32_t)len };

    memset(data, 'x', len);
    standin_say(f->server, STANDIN_DEAF, "");
    open_handle(f);
    imx_influx_post(f->in, &line, 1);
    wait_for_requests(f, 1);
    assert_quick_abort(f);
    f->o.total_timeout_ms = 300;
    open_handle(f);
    imx_influx_post(f->in, &line, 1);
    assert_int_equal(finish(f), IMX_INFLUX_UNKNOWN);
    assert_int_equal(f->r.try_smaller, 1);
    free(data);
    imx_influx_wait(f->in, -1, 10);
    assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_IDLE);
}

static void test_abort_resolver(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(pipe(name_gate), 0);
    f->o.url = "http://hangs.invalid:8086";
    open_handle(f);
    imx_influx_post(f->in, two_lines, 2);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_BUSY);
        imx_influx_wait(f->in, -1, 10);
    }
    assert_quick_abort(f);
    close(name_gate[1]); /* curl's thread ends, and frees what it has */
}

static void test_wake(void **state)
{
    fixture_t *f = *state;
    int wake[2];
    int64_t start = now_ms();

    assert_int_equal(pipe(wake), 0);
    open_handle(f);
    imx_influx_wait(f->in, wake[0], 50);
    assert_true(now_ms() - start >= 49);
    imx_influx_wait(f->in, -1, 50);
    assert_true(now_ms() - start >= 98);
    assert_int_equal(write(wake[1], "x", 1), 1);
    start = now_ms();
    imx_influx_wait(f->in, wake[0], 5000);
    standin_say(f->server, STANDIN_HANG, "");
    imx_influx_post(f->in, two_lines, 2);
    wait_for_requests(f, 1);
    imx_influx_wait(f->in, wake[0], 5000);
    assert_true(now_ms() - start < 1000);
    assert_int_equal(close(wake[0]) + close(wake[1]), 0);
}

/* --- Bodies --- */

/* Lines that lie apart, each in its own block, freed with the answer. */
/* The first piece is out; from here on the rest goes at once, whatever is said
 * of pieces after that. */
static void hurry(fixture_t *f)
{
    imx_influx_result_t r;

    while (imx_influx_in_doubt(f->in) == 0) {
        assert_int_equal(imx_influx_step(f->in, &r), IMX_INFLUX_BUSY);
    }
    imx_influx_flow(f->in, IMX_FLOW_ANY);
    imx_influx_flow(f->in, 1);
}

static imx_influx_answer_e post_many(fixture_t *f, size_t count, uint32_t len)
{
    imx_influx_line_t *lines = calloc(count, sizeof(*lines));
    imx_influx_answer_e a;

    for (size_t i = 0; i < count; i++) {
        char *data = malloc(len + 1);

        snprintf(data, len + 1, "%0*zu\n", (int)len - 1, i);
        lines[i] = (imx_influx_line_t){ data, len };
    }
    if (!f->in) {
        open_handle(f);
    }
    f->took_ms = -now_ms();
    imx_influx_post(f->in, lines, count);
    if (f->piece > 0) {
        imx_influx_flow(f->in, f->piece);
    }
    if (f->hurries) {
        hurry(f);
    }
    a = finish(f);
    f->took_ms += now_ms();
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)lines[i].data);
    }
    free(lines);
    imx_influx_wait(f->in, -1, 10); /* a late reader would be seen */
    assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_IDLE);
    return a;
}

/* 60,000 lines a second is the rate that the module must be able to write. */
static void test_large_body(void **state)
{
    fixture_t *f = *state;
    const char *body;
    size_t len;

    assert_int_equal(post_many(f, 60000, 200), IMX_INFLUX_SENT);
    assert_true(f->took_ms < 1000);
    body = standin_body(f->server, &len);
    assert_int_equal(len, 60000 * 200);
    for (size_t i = 0; i < 60000; i++) {
        assert_int_equal(strtoul(body + i * 200, NULL, 10), i);
        assert_int_equal(body[i * 200 + 199], '\n');
    }
}

/* An answer that comes while the body is on its way. */
static void test_early_answer(void **state)
{
    fixture_t *f = *state;
    char *text = http(413, "", "<html><title>Too large</title></html>");

    standin_say(f->server, STANDIN_EARLY, text);
    assert_int_equal(post_many(f, 60000, 200), IMX_INFLUX_TOO_LARGE);
    assert_string_equal(f->r.reason, "Too large");
    standin_say(f->server, STANDIN_EARLY, text);
    assert_int_equal(post_many(f, 1, 200), IMX_INFLUX_TOO_LARGE);
    free(text);
}

static void test_rewind_large(void **state)
{
    fixture_t *f = *state;
    size_t len;

    standin_say(f->server, STANDIN_ANSWER, OK_204);
    standin_then(f->server, STANDIN_CLOSE, "");
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(post_many(f, 20000, 200), IMX_INFLUX_SENT);
    assert_int_equal(standin_accepts(f->server), 2);
    assert_int_equal(strtoul(standin_body(f->server, &len), NULL, 10), 0);
    assert_int_equal(len, 20000 * 200);
}

/* --- Pieces --- */

#define PIECES 16
#define PIECES_MS ((PIECES - 2) * (int)(IMX_FLOW_STEP / 1000000))

/* A million bytes in 16 pieces. */
static void post_pieces(fixture_t *f, imx_influx_answer_e wanted)
{
    size_t len;

    f->piece = 1000000 / PIECES + 1;
    assert_int_equal(post_many(f, 5000, 200), wanted);
    assert_int_equal(strtoul(standin_body(f->server, &len), NULL, 10), 0);
    assert_true(f->o.gzip || len == 1000000);
}

static void test_pieces(void **state)
{
    fixture_t *f = *state;
    int i = 0;

    /* Most of the time is no time that the server needs.  A busy machine makes
     * up for pauses: one attempt shows it. */
    do {
        post_pieces(f, IMX_INFLUX_SENT);
        assert_true(f->took_ms >= PIECES_MS);
    } while (f->r.held_ns < f->took_ms * 500000 && ++i < 5);
    assert_in_range(f->r.held_ns, f->took_ms * 500000,
                    (f->took_ms + 1) * 1000000);
    f->piece = 0; /* the next one is free again */
    assert_int_equal(post_many(f, 5000, 200), IMX_INFLUX_SENT);
}

/* A line each 20 ms: that would take a hundred seconds. */
static void test_pieces_no_more(void **state)
{
    fixture_t *f = *state;

    f->piece = 200;
    f->hurries = 1;
    assert_int_equal(post_many(f, 5000, 200), IMX_INFLUX_SENT);
    assert_true(f->took_ms < 5000);
}

static void test_pieces_early_answer(void **state)
{
    fixture_t *f = *state;
    char *text = http(413, "", "<html><title>Too large</title></html>");

    standin_say(f->server, STANDIN_EARLY, text);
    f->piece = 20000;
    assert_int_equal(post_many(f, 5000, 200), IMX_INFLUX_TOO_LARGE);
    free(text);
}

/* Who closes the connection with 204 before it has all lines does not have
 * them. */
static void test_pieces_early_thanks(void **state)
{
    static const struct {
        int status;
        const char *body;
    } early[] = { { 204, "" },
                  { 400, "{\"error\":\"partial write: dropped=1\"}" } };
    fixture_t *f = *state;

    f->piece = 20000;
    for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
        char *text = http(early[i].status, "Connection: close\r\n",
                          early[i].body);

        standin_say(f->server, STANDIN_EARLY, text);
        assert_int_equal(post_many(f, 5000, 200), IMX_INFLUX_UNKNOWN);
        assert_true(f->r.in_doubt < 5000);
        assert_int_equal(f->r.dropped, -1);
        free(text);
    }
}

/* The kept connection is dead: what was sent of it goes again. */
static void test_pieces_rewind(void **state)
{
    fixture_t *f = *state;

    standin_say(f->server, STANDIN_ANSWER, OK_204);
    standin_then(f->server, STANDIN_CLOSE, "");
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    post_pieces(f, IMX_INFLUX_SENT);
    assert_int_equal(standin_accepts(f->server), 2);
    assert_true(f->r.repeated > 0);
}

/* Nothing of it is left in what comes next. */
static void test_pieces_abort(void **state)
{
    fixture_t *f = *state;
    static char text[200];
    const imx_influx_line_t line = { text, sizeof(text) };

    memset(text, 'x', sizeof(text));
    open_handle(f);
    imx_influx_post(f->in, &line, 1);
    imx_influx_flow(f->in, 1);
    while (standin_requests(f->server) == 0) {
        assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_BUSY);
        imx_influx_wait(f->in, -1, 1);
    }
    assert_false(imx_influx_is_out(f->in));
    imx_influx_abort(f->in);
    assert_int_equal(post_many(f, 3, 200), IMX_INFLUX_SENT);
}

/* --- gzip --- */

/* What the last body was before it was packed; the caller frees it. */
static char *unpacked(fixture_t *f, size_t *len)
{
    size_t room = 16 << 20, packed_len;
    const char *packed = standin_body(f->server, &packed_len);
    char *body = malloc(room);
    z_stream z = { 0 };

    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)packed;
    z.avail_in = (uInt)packed_len;
    z.next_out = (Bytef *)body;
    z.avail_out = (uInt)room;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0); /* nothing behind its end */
    *len = z.total_out;
    inflateEnd(&z);
    return body;
}

static void assert_unpacked_two(fixture_t *f)
{
    size_t len;
    char *body = unpacked(f, &len);

    assert_int_equal(len, 17);
    assert_memory_equal(body, "m v=1 1\nm v=22 2\n", 17);
    free(body);
}

static void test_gzip(void **state)
{
    fixture_t *f = *state;
    char *first;
    size_t len, again;

    f->o.gzip = 1;
    f->o.token_file = f->path;
    write_file(f, "t");
    assert_request_line(f, "POST /write?db=httpd&precision=n HTTP/1.1\r\n");
    assert_head(f, "\r\nAuthorization: Token t\r\n");
    assert_head(f, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
    assert_head(f, "\r\nContent-Encoding: gzip\r\n");
    assert_head(f, "\r\nTransfer-Encoding: chunked\r\n");
    assert_null(strcasestr(standin_head(f->server), "\r\nContent-Length:"));
    assert_null(strcasestr(standin_head(f->server), "\r\nExpect:"));
    assert_unpacked_two(f);
    first = strdup("");
    for (int i = 0; i < 3; i++) { /* and the same bytes each time */
        const char *body = standin_body(f->server, &len);

        first = i == 0 ? realloc(first, len) : first;
        if (i == 0) {
            memcpy(first, body, len);
            again = len;
        }
        assert_int_equal(len, again);
        assert_memory_equal(first, body, len);
        assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    }
    free(first);
    assert_int_equal(standin_accepts(f->server), 1);
}

/* Without a body there is nothing to pack. */
static void test_gzip_create(void **state)
{
    fixture_t *f = *state;

    f->o.gzip = 1;
    open_handle(f);
    imx_influx_create_database(f->in);
    assert_int_equal(finish(f), IMX_INFLUX_SENT);
    assert_head(f, "\r\nContent-Length: 0\r\n");
    assert_null(strcasestr(standin_head(f->server), "-Encoding:"));
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_unpacked_two(f);
}

/* A new secret does not lose the headers of gzip, and the other way round. */
static void test_gzip_reload(void **state)
{
    fixture_t *f = *state;
    char reason[IMX_INFLUX_REASON_MAX] = "";

    f->o.gzip = 1;
    f->o.token_file = f->path;
    write_file(f, "one\n");
    open_handle(f);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT); /* it has been read */
    imx_influx_post(f->in, two_lines, 2);
    assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_BUSY);
    write_file(f, "two\n");
    assert_int_equal(reload_at_last(f, reason), 1);
    assert_int_equal(finish(f), IMX_INFLUX_SENT);
    assert_unpacked_two(f);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_head(f, "Token two\r\n");
    /* the request goes out a second time, with the new one */
    standin_say(f->server, STANDIN_CLOSE, "");
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    imx_influx_post(f->in, two_lines, 2);
    assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_BUSY);
    write_file(f, "three\n");
    assert_int_equal(reload_at_last(f, reason), 1);
    assert_int_equal(finish(f), IMX_INFLUX_SENT);
    assert_head(f, "Token three\r\n");
    assert_head(f, "\r\nContent-Encoding: gzip\r\n");
    assert_unpacked_two(f);
}

static void assert_numbers(fixture_t *f, size_t count, size_t width)
{
    size_t len;
    char *body = unpacked(f, &len);

    assert_int_equal(len, count * width);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strtoul(body + i * width, NULL, 10), i);
        assert_int_equal(body[i * width + width - 1], '\n');
    }
    free(body);
}

static void test_gzip_large(void **state)
{
    fixture_t *f = *state;
    size_t len;

    f->o.gzip = 1;
    assert_int_equal(post_many(f, 60000, 200), IMX_INFLUX_SENT);
    assert_numbers(f, 60000, 200);
    standin_body(f->server, &len);
    assert_true(len < 60000 * 200 / 50); /* nearly all of it is zeros */
    assert_int_equal(post_many(f, 1, 4 << 20), IMX_INFLUX_SENT);
    assert_numbers(f, 1, 4 << 20);
}

static void test_gzip_pieces(void **state)
{
    fixture_t *f = *state;

    f->o.gzip = 1;
    post_pieces(f, IMX_INFLUX_SENT);
    assert_numbers(f, 5000, 200);
    assert_true(f->took_ms >= PIECES_MS);
    f->piece = 1;
    f->hurries = 1;
    assert_int_equal(post_many(f, 5000, 200), IMX_INFLUX_SENT);
    assert_numbers(f, 5000, 200);
}

/* What does not get smaller: its bytes come in many pieces. */
static void test_gzip_random(void **state)
{
    fixture_t *f = *state;
    size_t len = 3 << 20, got;
    char *data = malloc(len), *body;
    imx_influx_line_t lines[3];
    uint32_t random = 1;

    for (size_t i = 0; i < len; i++) {
        random = random * 1664525 + 1013904223;
        data[i] = (char)(random >> 24);
    }
    for (int i = 0; i < 3; i++) {
        lines[i] = (imx_influx_line_t){ data + i * (1 << 20), 1 << 20 };
    }
    f->o.gzip = 1;
    open_handle(f);
    imx_influx_post(f->in, lines, 3);
    assert_int_equal(finish(f), IMX_INFLUX_SENT);
    body = unpacked(f, &got);
    assert_int_equal(got, len);
    assert_memory_equal(body, data, len);
    free(body);
    free(data);
}

static void test_gzip_rewind(void **state)
{
    fixture_t *f = *state;

    f->o.gzip = 1;
    standin_say(f->server, STANDIN_ANSWER, OK_204);
    standin_then(f->server, STANDIN_CLOSE, "");
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    standin_then(f->server, STANDIN_CLOSE, "");
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_unpacked_two(f);
    assert_int_equal(post_many(f, 20000, 200), IMX_INFLUX_SENT);
    assert_int_equal(standin_accepts(f->server), 3);
    assert_numbers(f, 20000, 200);
}

/* What was begun and given up must not be found in what comes next. */
static void test_gzip_abort(void **state)
{
    fixture_t *f = *state;
    size_t len = 16 << 20;
    char *data = malloc(len);
    imx_influx_line_t line = { data, (uint32_t)len };
    uint32_t random = 1;

    for (size_t i = 0; i < len; i++) {
        random = random * 1664525 + 1013904223;
        data[i] = (char)(random >> 24);
    }
    f->o.gzip = 1;
    standin_say(f->server, STANDIN_HANG, "");
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    open_handle(f);
    imx_influx_post(f->in, &line, 1);
    wait_for_requests(f, 1);
    assert_quick_abort(f);
    free(data);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_unpacked_two(f);
}

static void test_gzip_early_answer(void **state)
{
    fixture_t *f = *state;
    char *text = http(413, "", "<html><title>Too large</title></html>");

    f->o.gzip = 1;
    standin_say(f->server, STANDIN_EARLY, text);
    standin_then(f->server, STANDIN_ANSWER, OK_204);
    assert_int_equal(post_many(f, 60000, 200), IMX_INFLUX_TOO_LARGE);
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);
    assert_unpacked_two(f);
    free(text);
}

/* Somebody on the way who takes no gzip gets the lines as they are. */
static void assert_not_taken(fixture_t *f, const char *answer,
                             const char *word)
{
    const char *body;
    size_t len;

    open_handle(f);
    assert_int_equal(answer_to(f, STANDIN_ANSWER, answer), IMX_INFLUX_RETRY);
    assert_head(f, "\r\nContent-Encoding: gzip\r\n");
    assert_int_equal(f->r.retry_after_ms, 0);
    assert_int_equal(f->r.dropped, -1);
    assert_non_null(strstr(f->r.reason, "gzip"));
    assert_non_null(strstr(f->r.reason, word));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(answer_to(f, STANDIN_ANSWER, OK_204),
                         IMX_INFLUX_SENT);
        assert_head(f, "\r\nContent-Length: 17\r\n");
        assert_null(strcasestr(standin_head(f->server), "-Encoding:"));
        body = standin_body(f->server, &len);
        assert_int_equal(len, 17);
        assert_memory_equal(body, "m v=1 1\nm v=22 2\n", 17);
    }
    /* the answer to lines that were sent plain is what it says */
    answer_to(f, STANDIN_CLOSE, answer);
    assert_int_equal(f->r.answer, f->r.status == 400 ? IMX_INFLUX_REFUSED
                                                     : IMX_INFLUX_RETRY);
    assert_null(strstr(f->r.reason, "gzip"));
}

static void test_gzip_not_taken(void **state)
{
    fixture_t *f = *state;
    char *text;

    f->o.gzip = 1;
    for (int i = 0; i < 3; i++) {
        text = http((int[]){ 411, 415, 501 }[i], "", "not this");
        assert_not_taken(f, text, "not this");
        free(text);
    }
    assert_not_taken(f,
                     "HTTP/1.0 400 x\r\nContent-Length: 3\r\n"
                     "Connection: keep-alive\r\n\r\nbad",
                     "bad");
    open_handle(f);
    text = http(415, "", "{\"error\":\"partial write: x dropped=2\"}");
    assert_int_equal(answer_to(f, STANDIN_ANSWER, text), IMX_INFLUX_RETRY);
    assert_int_equal(f->r.dropped, -1);
    free(text);
}

static void test_gzip_taken(void **state)
{
    fixture_t *f = *state;
    char *text = http(400, "", "bad");

    f->o.gzip = 1;
    assert_int_equal(answer_to(f, STANDIN_ANSWER, text), IMX_INFLUX_REFUSED);
    assert_string_equal(f->r.reason, "bad");
    assert_int_equal(answer_to(f, STANDIN_ANSWER,
                               "HTTP/1.0 204 No Content\r\n"
                               "Connection: keep-alive\r\n\r\n"),
                     IMX_INFLUX_SENT);
    assert_int_equal(answer_to(f, STANDIN_ANSWER, OK_204), IMX_INFLUX_SENT);
    assert_unpacked_two(f);
    free(text);
}

/* --- What the counts say --- */

static imx_influx_answer_e refuse(fixture_t *f, const char *body)
{
    char *text = http(400, "", body);
    imx_influx_answer_e a = answer_to(f, STANDIN_ANSWER, text);

    free(text);
    return a;
}

static void test_all_bad(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(refuse(f,
                            "{\"error\":\"unable to parse 'a': x\\n"
                            "unable to parse 'b': x\"}"),
                     IMX_INFLUX_REJECTED);
    assert_int_equal(refuse(f, "{\"error\":\"unable to parse 'a': x\"}"),
                     IMX_INFLUX_MALFORMED);
    assert_int_equal(f->r.dropped, 1);
}

/* One line: there is nothing to halve, and nothing to know better. */
static void test_one_bad(void **state)
{
    fixture_t *f = *state;
    char *text = http(400, "", "{\"error\":\"unable to parse 'a': x\"}");

    standin_say(f->server, STANDIN_ANSWER, text);
    assert_int_equal(post_many(f, 1, 8), IMX_INFLUX_MALFORMED);
    assert_int_equal(f->r.dropped, 1);
    free(text);
}

static void test_dropped_limit(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(refuse(f, "{\"error\":\"partial write: x dropped=99\"}"),
                     IMX_INFLUX_PARTIAL);
    assert_int_equal(f->r.dropped, 2);
}

/* --- InfluxDB 3, by its three APIs --- */

static void test_influxdb3(void **state)
{
    static const imx_influx_line_t lines[] = { { "m,t=a v=1 1\n", 12 },
                                               { "m,t=a\tb v=1 2\n", 14 } };
    fixture_t *f = *state;
    standin_influxdb3_t *s = calloc(1, sizeof(*s));
    int64_t start = now_ms();

    standin_ask(f->server, standin_influxdb3, s);
    f->o.org = "o";
    f->o.bucket = "b";
    for (int api = V1; api <= V3; api++) {
        f->o.api = (imx_influx_api_e)api;
        open_handle(f);
        imx_influx_post(f->in, lines, 2);
        assert_int_equal(finish(f), api == V3 ? IMX_INFLUX_PARTIAL
                                              : IMX_INFLUX_MALFORMED);
        assert_int_equal(f->r.line, api == V3 ? 2 : 0);
        assert_int_equal(s->stored, api == V3 ? 3 : api - V1);
        imx_influx_post(f->in, lines, 1);
        assert_int_equal(finish(f), IMX_INFLUX_SENT);
    }
    assert_true(now_ms() - start > 4000); /* each at a whole second */
    s->now = 1;
    s->max = 10;
    assert_int_equal(post_two(f), IMX_INFLUX_TOO_LARGE);
    assert_int_equal(f->r.status, 500);
    standin_ask(f->server, NULL, NULL);
    imx_influx_close(f->in);
    f->in = NULL;
    standin_stop(f->server);
    f->server = standin_start(NULL);
    free(s);
}

/* --- CREATE DATABASE --- */

static imx_influx_answer_e create(fixture_t *f, int status, const char *body)
{
    char *text = http(status, "", body);
    imx_influx_answer_e a;

    standin_say(f->server, STANDIN_ANSWER, text);
    imx_influx_create_database(f->in);
    a = finish(f);
    free(text);
    return a;
}

static void test_create(void **state)
{
    fixture_t *f = *state;

    f->o.database = "a\"b\\c";
    open_handle(f);
    assert_int_equal(create(f, 200, "{\"results\":[{\"statement_id\":0}]}"),
                     IMX_INFLUX_SENT);
    assert_head(f, "POST /query?q=CREATE%20DATABASE%20%22a%5C%22b%5C%5Cc%22 ");
    assert_head(f, "\r\nContent-Length: 0\r\n");
    assert_int_equal(create(f, 200, "{\"results\":[{\"error\":\"no\"}]}"),
                     IMX_INFLUX_REJECTED);
    assert_string_equal(f->r.reason, "no; see InfluxMetricsDatabase");
    assert_int_equal(create(f, 403, "{\"error\":\"requires admin\"}"),
                     IMX_INFLUX_UNAUTHORIZED);
    assert_string_equal(f->r.public_reason,
                        "requires admin; see InfluxMetricsDatabase, which this "
                        "user may not create: do it as an administrator of "
                        "InfluxDB");
    assert_int_equal(answer_to(f, STANDIN_ANSWER, OK_204), IMX_INFLUX_SENT);
    assert_head(f, "POST /write?db=a%22b%5Cc&");
    assert_int_equal(standin_accepts(f->server), 1);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers),
        TEST(test_request),
        TEST(test_urls),
        TEST(test_credentials),
        TEST(test_bad_files),
        TEST(test_odd_files),
        TEST(test_reload),
        TEST(test_reload_busy),
        TEST(test_secret_hidden),
        TEST(test_one_connection),
        TEST(test_unix_socket),
        TEST(test_unix_socket_fails),
        TEST(test_lifetime),
        TEST(test_changed_files),
        TEST(test_changed_then_down),
        TEST(test_tls_fails),
        TEST(test_rewind),
        TEST(test_rewind_once),
        TEST(test_rewind_again),
        TEST(test_in_doubt),
        TEST(test_try_smaller),
        TEST(test_refused),
        TEST(test_refused_after_answer),
        TEST(test_clock),
        TEST(test_advice_on_secret),
        TEST(test_connect_timeout),
        TEST(test_lost),
        TEST(test_refusal_cut),
        TEST(test_retry_after),
        TEST(test_redirect),
        TEST(test_endless),
        TEST(test_odd_answers),
        TEST(test_endless_head),
        TEST(test_more_than_kept),
        TEST(test_slow),
        TEST(test_timeout),
        TEST(test_abort),
        TEST(test_abort_upload),
        TEST(test_abort_resolver),
        TEST(test_wake),
        TEST(test_large_body),
        TEST(test_early_answer),
        TEST(test_rewind_large),
        TEST(test_pieces),
        TEST(test_pieces_no_more),
        TEST(test_pieces_early_answer),
        TEST(test_pieces_early_thanks),
        TEST(test_pieces_rewind),
        TEST(test_pieces_abort),
        TEST(test_gzip),
        TEST(test_gzip_create),
        TEST(test_gzip_reload),
        TEST(test_gzip_large),
        TEST(test_gzip_pieces),
        TEST(test_gzip_random),
        TEST(test_gzip_rewind),
        TEST(test_gzip_abort),
        TEST(test_gzip_early_answer),
        TEST(test_gzip_not_taken),
        TEST(test_gzip_taken),
        TEST(test_all_bad),
        TEST(test_one_bad),
        TEST(test_dropped_limit),
        TEST(test_influxdb3),
        TEST(test_create),
    };
    int failed;

    setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not be used */
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
        return 1;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = cmocka_run_group_tests_name("influx", tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
