/*
 * influx.c (unit): owns the tests of influx.c against the stand-in server.
 * One thread, besides the stand-in's; each test opens its own handle.
 * Nothing survives a crash; files live in a directory under /tmp.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* RTLD_NEXT, asprintf, strcasestr */
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

#include "../../influx.h"
#include "standin.h"

#define OK_204 "HTTP/1.1 204 No Content\r\n\r\n"
#define SOON_MS 100     /* what "within milliseconds" may cost under valgrind */

/* --- A name server that hangs, and one that knows no name --- */

static int name_gate[2] = { -1, -1 };   /* closing [1] lets the name go */

/* libcurl calls this one instead of libc's, so it must be visible. */
__attribute__((visibility("default")))
int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **res)
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

/* --- What every test has --- */

typedef struct {
    standin_t *server;
    imx_influx_t *in;
    imx_influx_options_t o;
    imx_influx_result_t r;
    int64_t took_ms;                /* post to answer, of post_many() */
    char url[64], dir[32], path[64];
} fixture_t;

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));

    f->server = standin_start(NULL);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d",
             standin_port(f->server));
    strcpy(f->dir, "/tmp/imx-influx-XXXXXX");
    if (!mkdtemp(f->dir)) {
        return -1;
    }
    snprintf(f->path, sizeof(f->path), "%s/file", f->dir);
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

static void write_file(fixture_t *f, const char *text)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
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

static const imx_influx_line_t two_lines[] = {
    { "m v=1 1\n", 8 }, { "m v=22 2\n", 9 }
};

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

    assert_true(asprintf(&text, "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n"
                         "\r\n%s", status, extra, strlen(body), body) > 0);
    return text;
}

static void assert_head(fixture_t *f, const char *part)
{
    if (!strstr(standin_head(f->server), part)) {
        fail_msg("no '%s' in:\n%s", part, standin_head(f->server));
    }
}

/* --- The table of answers --- */

typedef struct {
    imx_influx_api_e api;
    long status;
    const char *body;
    imx_influx_answer_e answer;
    int64_t dropped;
    const char *reason;
} row_t;

#define V1 IMX_INFLUX_V1
#define V2 IMX_INFLUX_V2
#define V3 IMX_INFLUX_V3

static const row_t rows[] = {
    { V1, 204, "", IMX_INFLUX_SENT, -1, "HTTP status 204" },
    { V1, 200, "{}", IMX_INFLUX_SENT, -1, "{}" },
    { V3, 202, "", IMX_INFLUX_SENT, -1, "HTTP status 202" },

    /* seen from influxd 1.6.7 */
    { V1, 404, "{\"error\":\"database not found: \\\"t\\\"\"}\n",
      IMX_INFLUX_NOT_FOUND, -1, "database not found: \"t\"" },
    { V1, 500, "{\"error\":\"retention policy not found: nope\"}\n",
      IMX_INFLUX_NOT_FOUND, -1, "retention policy not found: nope" },
    { V1, 400, "{\"error\":\"partial write: unable to parse 'm1 garbage': "
      "invalid field format dropped=0\"}\n", IMX_INFLUX_PARTIAL, 1,
      "partial write: unable to parse 'm1 garbage': invalid field format "
      "dropped=0" },
    { V1, 400, "{\"error\":\"partial write: unable to parse 'bad': missing "
      "fields\\nunable to parse 'worse': missing fields dropped=0\"}\n",
      IMX_INFLUX_PARTIAL, 2, "partial write: unable to parse 'bad': missing "
      "fields unable to parse 'worse': missing fields dropped=0" },
    { V1, 400, "{\"error\":\"unable to parse 'bad': missing fields\\n"
      "unable to parse 'worse': missing fields\"}\n", IMX_INFLUX_MALFORMED, 2,
      "unable to parse 'bad': missing fields unable to parse 'worse': missing "
      "fields" },
    { V1, 400, "{\"error\":\"partial write: field type conflict: input field "
      "\\\"v\\\" on measurement \\\"m4\\\" is type integer, already exists as "
      "type float dropped=2\"}\n", IMX_INFLUX_PARTIAL, 2,
      "partial write: field type conflict: input field \"v\" on measurement "
      "\"m4\" is type integer, already exists as type float dropped=2" },
    { V1, 400, "{\"error\":\"partial write: points beyond retention policy "
      "dropped=1\"}\n", IMX_INFLUX_PARTIAL, 1,
      "partial write: points beyond retention policy dropped=1" },
    { V1, 400, "{\"error\":\"database is required\"}\n",
      IMX_INFLUX_REJECTED, -1, "database is required" },
    { V1, 401, "{\"error\":\"unable to parse authentication credentials\"}\n",
      IMX_INFLUX_UNAUTHORIZED, -1,
      "unable to parse authentication credentials" },
    { V1, 403, "{\"error\":\"\\\"bob\\\" user is not authorized to write to "
      "database \\\"t\\\"\"}\n", IMX_INFLUX_UNAUTHORIZED, -1,
      "\"bob\" user is not authorized to write to database \"t\"" },
    { V1, 413, "{\"error\":\"Request Entity Too Large\"}\n",
      IMX_INFLUX_TOO_LARGE, -1, "Request Entity Too Large" },
    { V2, 404, "404 page not found\n", IMX_INFLUX_REJECTED, -1,
      "404 page not found" },

    /* as documented for 2.x, 3.x and the hosted ones */
    { V2, 400, "{\"code\":\"invalid\",\"message\":\"unable to parse 'bad': "
      "missing fields\"}", IMX_INFLUX_MALFORMED, 1,
      "unable to parse 'bad': missing fields" },
    { V2, 422, "{\"code\":\"unprocessable entity\",\"message\":\"failure "
      "writing points to database: partial write: points beyond retention "
      "policy dropped=7\"}", IMX_INFLUX_PARTIAL, 7,
      "failure writing points to database: partial write: points beyond "
      "retention policy dropped=7" },
    { V2, 500, "{\"code\":\"internal error\",\"message\":\"unexpected error "
      "writing points to database: partial write: field type conflict: input "
      "field \\\"v\\\" dropped=3\"}", IMX_INFLUX_PARTIAL, 3,
      "unexpected error writing points to database: partial write: field type "
      "conflict: input field \"v\" dropped=3" },
    { V2, 422, "{\"message\":\"data is outside retention\"}",
      IMX_INFLUX_PARTIAL, -1, "data is outside retention" },
    { V2, 404, "{\"code\":\"not found\",\"message\":\"bucket \\\"b\\\" not "
      "found\"}", IMX_INFLUX_NOT_FOUND, -1, "bucket \"b\" not found" },
    { V2, 404, "{\"code\":\"not found\",\"message\":\"organization name "
      "\\\"o\\\" not found\"}", IMX_INFLUX_NOT_FOUND, -1,
      "organization name \"o\" not found" },
    { V2, 400, "{\"code\":\"invalid\",\"message\":\"invalid precision\"}",
      IMX_INFLUX_REJECTED, -1, "invalid precision" },
    { V3, 400, "{\"error\":\"partial write of line protocol occurred\","
      "\"data\":[{\"original_line\":\"x\",\"line_number\":2,\"error_message\":"
      "\"no fields\"},{\"line_number\":5,\"error_message\":\"no time\"}]}",
      IMX_INFLUX_PARTIAL, 2,
      "partial write of line protocol occurred: no fields" },
    { V3, 400, "{\"error\":\"parsing failed for write_lp endpoint\",\"data\":"
      "{\"line_number\":1,\"error_message\":\"no fields\"}}",
      IMX_INFLUX_MALFORMED, 1,
      "parsing failed for write_lp endpoint: no fields" },
    { V3, 400, "{\"error\":\"invalid line protocol\"}", IMX_INFLUX_MALFORMED,
      -1, "invalid line protocol" },
    { V2, 503, "{\"error\":\"busy\"}", IMX_INFLUX_RETRY, -1, "busy" },
    { V2, 429, "", IMX_INFLUX_RETRY, -1, "HTTP status 429" },
    { V2, 408, "", IMX_INFLUX_RETRY, -1, "HTTP status 408" },
    { V1, 500, "{\"error\":\"timeout\"}", IMX_INFLUX_RETRY, -1, "timeout" },
    { V1, 599, "", IMX_INFLUX_RETRY, -1, "HTTP status 599" },
    { V2, 500, "{\"error\":\"retention policy not found\"}",
      IMX_INFLUX_RETRY, -1, "retention policy not found" },
    { V1, 405, "Method Not Allowed\n", IMX_INFLUX_REJECTED, -1,
      "Method Not Allowed" },
    { V1, 301, "", IMX_INFLUX_REJECTED, -1, "HTTP status 301" },
    { V1, 100, "", IMX_INFLUX_REJECTED, -1, "HTTP status 100" },

    /* what stands between */
    { V1, 413, "<html>\r\n<head><title>413 Request Entity Too Large</title>"
      "</head>\r\n<body>nginx</body></html>", IMX_INFLUX_TOO_LARGE, -1,
      "413 Request Entity Too Large" },
    { V1, 502, "<!DOCTYPE html><body><h1>Bad  \n Gateway</h1><p>x",
      IMX_INFLUX_RETRY, -1, "Bad Gateway" },
    { V1, 404, "<TITLE lang=\"en\"> Not Found</TITLE>", IMX_INFLUX_REJECTED,
      -1, "Not Found" },
    { V1, 502, "<", IMX_INFLUX_RETRY, -1, "HTTP status 502" },

    /* what a client sent is quoted, and is not InfluxDB's word */
    { V2, 400, "{\"message\":\"unable to parse 'm,uri=x f=\\\"partial write "
      "dropped=9\\\" \\nunable to parse 'x': bad\"}", IMX_INFLUX_MALFORMED, 2,
      "unable to parse 'm,uri=x f=\"partial write dropped=9\" unable to parse "
      "'x': bad" },
    { V2, 400, "{\"message\":\"unable to parse 'm unable to parse 'x': bad\"}",
      IMX_INFLUX_MALFORMED, 1, "unable to parse 'm unable to parse 'x': bad" },
    { V2, 400, "{\"note\":\"\\\"error\\\":\\\"partial write\\\"\","
      "\"message\":\"no\"}", IMX_INFLUX_REJECTED, -1, "no" },

    /* escapes, and what is not printable */
    { V1, 400, "{\"error\" : \"a\\u0041\\u00e9\\t\\\\\\/\\u00\"}",
      IMX_INFLUX_REJECTED, -1, "aA? \\/u00" },
    { V1, 400, "\x1b[31mred\x7f\xc3\xa9\r\n", IMX_INFLUX_REJECTED, -1,
      "?[31mred???" },
    { V1, 400, "{\"error\":7}", IMX_INFLUX_REJECTED, -1, "{\"error\":7}" },
    { V1, 400, "{\"error\":\"cut", IMX_INFLUX_REJECTED, -1, "cut" },
    { V1, 400, "partial write: x dropped=12345678901", IMX_INFLUX_PARTIAL, -1,
      "partial write: x dropped=12345678901" },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void test_sort(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const row_t *w = &rows[i];
        imx_influx_result_t r;

        imx_influx_sort(w->api, w->status, w->body, strlen(w->body), &r);
        if (r.answer != w->answer || r.dropped != w->dropped
            || r.status != w->status || strcmp(r.reason, w->reason) != 0) {
            fail_msg("row %zu, %ld %s\ngot answer %d, dropped %ld, '%s'", i,
                     w->status, w->body, (int)r.answer, (long)r.dropped,
                     r.reason);
        }
    }
}

/* Cut anywhere, it is sorted, and not a byte behind the cut is read. */
static void test_sort_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t n = 0; n <= strlen(rows[i].body); n++) {
            imx_influx_result_t r;
            char *copy = malloc(n ? n : 1);

            memcpy(copy, rows[i].body, n);
            imx_influx_sort(rows[i].api, rows[i].status, copy, n, &r);
            free(copy);
            assert_true(r.answer >= IMX_INFLUX_SENT
                        && r.answer <= IMX_INFLUX_RETRY);
            assert_true(r.reason[0] != '\0');
            for (const char *p = r.reason; *p; p++) {
                assert_true(isprint((unsigned char)*p));
            }
        }
    }
}

static void test_sort_long(void **state)
{
    char body[2000];
    imx_influx_result_t r;

    (void)state;
    memset(body, 'e', sizeof(body));
    memcpy(body, "{\"error\":\"", 10);
    imx_influx_sort(V1, 500, body, sizeof(body), &r);
    assert_int_equal(strlen(r.reason), IMX_INFLUX_REASON_MAX - 1);
}

/* Each row again, through curl, on one handle. */
static void test_answers(void **state)
{
    fixture_t *f = *state;

    for (size_t i = 0; i < ROWS; i++) {
        char *text = http((int)rows[i].status, "", rows[i].body);

        if (rows[i].api != V1 || rows[i].status == 100
            || rows[i].status == 204) {
            free(text);
            continue;
        }
        if (answer_to(f, STANDIN_ANSWER, text) != rows[i].answer
            && rows[i].dropped != 2) {      /* all bad: see test_all_bad */
            fail_msg("row %zu: %d", i, (int)f->r.answer);
        }
        assert_int_equal(f->r.status, rows[i].status);
        assert_string_equal(f->r.reason, rows[i].reason);
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
    assert_head(f, "\r\nUser-Agent: mod_influx_metrics");
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
    assert_request_line(f, "POST /write?db=a%20b%26c%3Dd%25%2F%C3%A9&rp=r%2Bp"
                        "&precision=n HTTP/1.1\r\n");
    f->o.api = V2;
    f->o.org = "my org";
    f->o.bucket = "b/c";
    assert_request_line(f, "POST /api/v2/write?org=my%20org&bucket=b%2Fc"
                        "&precision=ns HTTP/1.1\r\n");
    f->o.api = V3;
    assert_request_line(f, "POST /api/v3/write_lp?db=a%20b%26c%3Dd%25%2F%C3%A9"
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
    assert_credential(f, "\r\nAuthorization: Basic dTo=\r\n");      /* u: */
    f->o.password_file = f->path;
    write_file(f, "p\n");
    assert_credential(f, "\r\nAuthorization: Basic dTpw\r\n");      /* u:p */
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

static void assert_bad_file(fixture_t *f, int rv, const char *why)
{
    char reason[IMX_INFLUX_REASON_MAX] = "";
    imx_influx_t *in = (imx_influx_t *)f;

    assert_int_equal(imx_influx_open(&in, &f->o, reason), rv);
    assert_null(in);
    assert_non_null(strstr(reason, f->path));
    assert_non_null(strstr(reason, why));
}

static void test_bad_files(void **state)
{
    fixture_t *f = *state;
    char big[6000];

    f->o.token_file = f->path;
    assert_bad_file(f, ENOENT, "No such file");
    write_file(f, "");
    assert_bad_file(f, EINVAL, "empty");
    write_file(f, "\ntoken\n");
    assert_bad_file(f, EINVAL, "empty");
    write_file(f, "a\tb\n");
    assert_bad_file(f, EINVAL, "control character");
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    write_file(f, big);
    assert_bad_file(f, EINVAL, "too long");
    big[4000] = '\n';
    write_file(f, big);
    open_handle(f);
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
    assert_int_equal(post_two(f), IMX_INFLUX_SENT);     /* with the old one */
    assert_head(f, "Token two\r\n");
    f->o.token_file = NULL;
    open_handle(f);
    assert_int_equal(imx_influx_reload_secret(f->in, reason), 0);
}

/* While a transfer runs, too: it keeps what it began with. */
static void test_reload_busy(void **state)
{
    fixture_t *f = *state;
    char reason[IMX_INFLUX_REASON_MAX] = "";

    f->o.token_file = f->path;
    write_file(f, "one\n");
    open_handle(f);
    imx_influx_post(f->in, two_lines, 2);
    assert_int_equal(imx_influx_step(f->in, &f->r), IMX_INFLUX_BUSY);
    write_file(f, "two\n");
    assert_int_equal(imx_influx_reload_secret(f->in, reason), 1);
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
    assert_string_equal(f->r.reason, "*******, Basic ************, *******");
    free(text);
    snprintf(body, sizeof(body), "%0*d%s", IMX_INFLUX_REASON_MAX - 5, 0,
             "hunter2");
    text = http(401, "", body);
    answer_to(f, STANDIN_ANSWER, text);
    assert_string_equal(f->r.reason + IMX_INFLUX_REASON_MAX - 5, "****");
    free(text);
}

/* --- The connection --- */

/* Counts our connections to the server, checking each; its own are others. */
static int our_sockets(fixture_t *f, const char *path)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++) {
        union { struct sockaddr s; struct sockaddr_in in; struct sockaddr_un un;
        } a = { .un = { 0 } };
        socklen_t len = sizeof(a);

        if (getpeername(fd, &a.s, &len) != 0
            || (path ? a.s.sa_family != AF_UNIX || strcmp(a.un.sun_path, path)
                     : a.s.sa_family != AF_INET || ntohs(a.in.sin_port)
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
    assert_string_equal(standin_body(f->server, &len),
                        "m v=1 1\nm v=22 2\n");
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
    answer_to(f, STANDIN_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert_lost(f, IMX_INFLUX_UNKNOWN, CURLE_PARTIAL_FILE);
    answer_to(f, STANDIN_CLOSE, "\x16\x03\x01 garbage\n\n");
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    assert_int_equal(f->r.status, 0);
}

/* A refusal whose text was cut is one, where the text makes no difference. */
static void test_refusal_cut(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(answer_to(f, STANDIN_CLOSE, "HTTP/1.1 413 x\r\n"
                               "Content-Length: 99\r\n\r\n<html>"),
                     IMX_INFLUX_TOO_LARGE);
    assert_int_equal(f->r.curl_code, CURLE_PARTIAL_FILE);
    assert_int_equal(answer_to(f, STANDIN_CLOSE, "HTTP/1.1 400 x\r\n"
                               "Content-Length: 99\r\n\r\n{\"error\":\"par"),
                     IMX_INFLUX_UNKNOWN);
    assert_int_equal(answer_to(f, STANDIN_CLOSE, "HTTP/1.1 400 x\r\n"
                               "Content-Length: 99\r\n\r\n"
                               "{\"error\":\"partial write: a"),
                     IMX_INFLUX_PARTIAL);
    assert_string_equal(f->r.reason, "partial write: a");
}

/* --- What a server may ask for, and what it may not do to us --- */

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
    char date[64];
    int64_t ms;

    assert_int_equal(retry_after(f, "7"), 7000);
    assert_int_equal(retry_after(f, "0"), -1);
    assert_int_equal(retry_after(f, "soon"), -1);
    assert_int_equal(retry_after(f, "-5"), -1);
    assert_int_equal(retry_after(f, "999999999999"), 86400000);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&then));
    ms = retry_after(f, date);
    assert_true(ms > 80000 && ms <= 100000);
    assert_int_equal(retry_after(f, "Sun, 06 Nov 1994 08:49:37 GMT"), -1);
}

static void test_redirect(void **state)
{
    fixture_t *f = *state;
    char extra[128], *text;

    snprintf(extra, sizeof(extra), "Location: %s/elsewhere\r\n", f->url);
    text = http(307, extra, "");
    assert_int_equal(answer_to(f, STANDIN_ANSWER, text), IMX_INFLUX_REJECTED);
    assert_int_equal(f->r.status, 307);
    assert_int_equal(standin_requests(f->server), 1);
    free(text);
}

static void test_endless(void **state)
{
    fixture_t *f = *state;

    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 200 OK\r\n\r\n");
    assert_lost(f, IMX_INFLUX_UNKNOWN, CURLE_WRITE_ERROR);
    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 200 OK\r\n");   /* its head */
    assert_int_equal(f->r.answer, IMX_INFLUX_UNKNOWN);
    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 404 x\r\n\r\nno ");
    assert_lost(f, IMX_INFLUX_REJECTED, CURLE_WRITE_ERROR);
    assert_memory_equal(f->r.reason, "no X: xxx X: xxx", 16);
    answer_to(f, STANDIN_ENDLESS, "HTTP/1.1 503 x\r\n\r\n");
    assert_lost(f, IMX_INFLUX_RETRY, CURLE_WRITE_ERROR);
    assert_int_equal(answer_to(f, STANDIN_ANSWER, OK_204), IMX_INFLUX_SENT);
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
    assert_quick_abort(f);                  /* of nothing */
    imx_influx_post(f->in, two_lines, 2);
    assert_quick_abort(f);                  /* before the first step */
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
    close(name_gate[1]);        /* curl's thread ends, and frees what it has */
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
static imx_influx_answer_e post_many(fixture_t *f, size_t count, uint32_t len)
{
    imx_influx_line_t *lines = calloc(count, sizeof(*lines));
    imx_influx_answer_e a;

    for (size_t i = 0; i < count; i++) {
        char *data = malloc(len + 1);

        snprintf(data, len + 1, "%0*zu\n", (int)len - 1, i);
        lines[i] = (imx_influx_line_t) { data, len };
    }
    if (!f->in) {
        open_handle(f);
    }
    f->took_ms = -now_ms();
    imx_influx_post(f->in, lines, count);
    a = finish(f);
    f->took_ms += now_ms();
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)lines[i].data);
    }
    free(lines);
    imx_influx_wait(f->in, -1, 10);     /* a late reader would be seen */
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

    assert_int_equal(refuse(f, "{\"error\":\"unable to parse 'a': x\\n"
                            "unable to parse 'b': x\"}"), IMX_INFLUX_REJECTED);
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
    assert_string_equal(f->r.reason, "no");
    assert_int_equal(create(f, 403, "{\"error\":\"requires admin\"}"),
                     IMX_INFLUX_UNAUTHORIZED);
    assert_int_equal(answer_to(f, STANDIN_ANSWER, OK_204), IMX_INFLUX_SENT);
    assert_head(f, "POST /write?db=a%22b%5Cc&");
    assert_int_equal(standin_accepts(f->server), 1);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_sort_cut),
        cmocka_unit_test(test_sort_long),
        TEST(test_answers),
        TEST(test_request),
        TEST(test_urls),
        TEST(test_credentials),
        TEST(test_bad_files),
        TEST(test_reload),
        TEST(test_reload_busy),
        TEST(test_secret_hidden),
        TEST(test_one_connection),
        TEST(test_unix_socket),
        TEST(test_rewind),
        TEST(test_refused),
        TEST(test_refused_after_answer),
        TEST(test_connect_timeout),
        TEST(test_lost),
        TEST(test_refusal_cut),
        TEST(test_retry_after),
        TEST(test_redirect),
        TEST(test_endless),
        TEST(test_slow),
        TEST(test_timeout),
        TEST(test_abort),
        TEST(test_abort_upload),
        TEST(test_abort_resolver),
        TEST(test_wake),
        TEST(test_large_body),
        TEST(test_early_answer),
        TEST(test_rewind_large),
        TEST(test_all_bad),
        TEST(test_one_bad),
        TEST(test_dropped_limit),
        TEST(test_create),
    };
    int failed;

    setenv("http_proxy", "http://127.0.0.1:1", 1);     /* must not be used */
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
        return 1;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = cmocka_run_group_tests_name("influx", tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
