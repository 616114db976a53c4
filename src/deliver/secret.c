/*
 * secret.c owns what stands in the files that a connection needs: see secret.h.
 * Entered by the thread that has the reader; run_reading() and what it calls
 * also run on the thread of a reading.
 * Nothing survives a crash.  What was secret is wiped before it is freed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf, explicit_bzero */
#endif

#include "deliver/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/aside.h"

#define WORD_MAX 4096         /* bytes of a token or password */
#define PEM_MAX (1024 * 1024) /* bytes of a file of TLS */

enum { WORD, CA, CERTIFICATE, KEY, FILES };

/* By this is seen that a file has changed. */
typedef struct {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
} stamp_t;

/* One reading: it owns all that it touches. */
typedef struct {
    char *paths[FILES];
    char *word; /* the secret itself, when no file has it; else NULL */
    stamp_t stamps[FILES];
    int is_token, hides_path, all;
    int system_ca;  /* 1: the file of the system, which may be missing */
    _Atomic int at; /* the file that is being read */
    imx_secret_t *out;
    int error;
    char reason[IMX_INFLUX_REASON_MAX];
} reading_t;

struct imx_secret_reader {
    reading_t *idle;    /* NULL while a reading is under way */
    imx_aside_t *aside; /* the reading that is under way, */
    reading_t *busy;    /* only to see how far it has come */
};

/* --- One file --- */

/* Opens it if it is a regular file: what is not might wait for a writer. */
static int open_regular(const char *path, struct stat *file)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, file) != 0 || !S_ISREG(file->st_mode)) {
        close(fd);
        errno = EBADF; /* see why() */
        return -1;
    }
    return fd;
}

/* Up to most bytes and a NUL, newly allocated; more are EFBIG. */
static int read_file(const char *path, size_t most, char **data, size_t *len)
{
    struct stat file;
    int fd = open_regular(path, &file), rv = 0;
    char *to;
    ssize_t n;

    if (fd < 0) {
        return errno ? errno : EIO;
    }
    *len = 0;
    *data = to = malloc(most + 1);
    if (!to) {
        close(fd);
        return ENOMEM;
    }
    while (*len < most) {
        n = read(fd, to + *len, most - *len);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            rv = n < 0 ? errno : 0;
            break;
        }
        *len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    to[*len] = '\0';
    return rv;
}

/* %m and not strerror_r(), which is another function in musl. */
static void why(char *reason, const char *path, int error, const char *wrong)
{
    if (!path) {
        path = "a file";
    }
    if (!wrong && error == EBADF) {
        wrong = "it is no regular file";
    }
    if (wrong) {
        snprintf(reason, IMX_INFLUX_REASON_MAX, "%s: %s", path, wrong);
    }
    else {
        errno = error;
        snprintf(reason, IMX_INFLUX_REASON_MAX, "%s: %m", path);
    }
}

void imx_secret_wipe(char *s)
{
    if (s) {
        explicit_bzero(s, strlen(s));
        free(s);
    }
}

static void wipe_bytes(char *data, size_t len)
{
    if (data) {
        explicit_bzero(data, len);
        free(data);
    }
}

/* --- A token or password --- */

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* People paste the whole header. */
static char *skip_scheme(char *word)
{
    static const char *const schemes[] = { "Token ", "Bearer " };

    for (size_t i = 0; i < 2; i++) {
        if (strncasecmp(word, schemes[i], strlen(schemes[i])) == 0) {
            word += strlen(schemes[i]);
        }
    }
    while (is_blank(*word)) {
        word++;
    }
    return word;
}

static void trim_token(char *line)
{
    size_t len = strlen(line);
    char *start = line;

    while (len && is_blank(line[len - 1])) {
        line[--len] = '\0';
    }
    while (is_blank(*start)) {
        start++;
    }
    start = skip_scheme(start);
    memmove(line, start, strlen(start) + 1);
}

/* Windows' editors write UTF-16, whose every second byte is often a NUL. */
static int is_utf16(const char *text, size_t n)
{
    const unsigned char *b = (const unsigned char *)text;

    return n >= 2
           && ((b[0] == 0xff && b[1] == 0xfe) || (b[0] == 0xfe && b[1] == 0xff)
               || b[0] == 0 || b[1] == 0);
}

const char *imx_secret_trim(char *text, size_t n, int is_token)
{
    char *lf;

    if (is_utf16(text, n)) {
        return "it is in UTF-16; save it as plain text (ASCII or UTF-8)";
    }
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        n -= 3;
        memmove(text, text + 3, n);
    }
    lf = memchr(text, '\n', n);
    if (!lf && n >= WORD_MAX) {
        return "the first line is too long";
    }
    n = lf ? (size_t)(lf - text) : n;
    if (n && text[n - 1] == '\r') {
        n--;
    }
    text[n] = '\0';
    if (is_token && strlen(text) == n) {
        trim_token(text);
        n = strlen(text);
    }
    for (size_t i = 0; i < n; i++) {
        if (iscntrl((unsigned char)text[i])) {
            return "the first line has a control character";
        }
    }
    return n ? NULL : "the first line is empty";
}

/* The word in this file, newly allocated; else an errno value and reason.
 * shown: its path in reason. */
static int read_word(const char *path, const char *shown, int is_token,
                     char **word, char *reason)
{
    const char *wrong = NULL;
    char *text = NULL;
    size_t n = 0;
    int rv = read_file(path, WORD_MAX, &text, &n);

    if (rv == 0 && (wrong = imx_secret_trim(text, n, is_token))) {
        rv = EINVAL;
    }
    if (rv == 0 && !(*word = strdup(text))) {
        rv = ENOMEM;
    }
    if (rv) {
        why(reason, shown, rv, wrong);
    }
    wipe_bytes(text, n);
    return rv;
}

int imx_secret_check(const char *path, int is_token, char *reason)
{
    char *word = NULL;
    int rv = read_word(path, path, is_token, &word, reason);

    imx_secret_wipe(word);
    return rv;
}

/* --- A reading --- */

void imx_secret_free(imx_secret_t *s)
{
    if (!s) {
        return;
    }
    imx_secret_wipe(s->word);
    wipe_bytes(s->ca.data, s->ca.len);
    wipe_bytes(s->certificate.data, s->certificate.len);
    wipe_bytes(s->key.data, s->key.len);
    free(s);
}

static void free_reading(void *data)
{
    reading_t *r = data;

    imx_secret_free(r->out);
    imx_secret_wipe(r->word);
    for (int i = 0; i < FILES; i++) {
        free(r->paths[i]);
    }
    free(r);
}

/* Brings the stamps up to date; returns 1 when one of TLS has changed. */
static int look(reading_t *r, int *any)
{
    int tls = 0;

    *any = r->all;
    for (int i = 0; i < FILES; i++) {
        struct stat file;
        stamp_t now;

        memset(&now, 0, sizeof(now)); /* its gaps, too */
        r->at = r->paths[i] ? i : r->at;
        if (r->paths[i] && stat(r->paths[i], &file) == 0) {
            now.device = file.st_dev;
            now.inode = file.st_ino;
            now.size = file.st_size;
            now.changed = file.st_ctim;
        }
        if (memcmp(&now, &r->stamps[i], sizeof(now)) != 0) {
            r->stamps[i] = now;
            *any = 1;
            tls |= i != WORD;
        }
    }
    return tls;
}

static const char *shown(const reading_t *r, int file)
{
    return file == WORD && r->hides_path ? "the secret's file"
                                         : r->paths[file];
}

static int read_pem(reading_t *r, int file, imx_secret_pem_t *pem)
{
    const char *path = r->paths[file], *wrong = NULL;
    int rv;

    if (!path) {
        return 0;
    }
    r->at = file;
    rv = read_file(path, PEM_MAX, &pem->data, &pem->len);
    if (rv == 0 && pem->len == PEM_MAX) {
        rv = EFBIG;
        wrong = "it is too large";
    }
    if (rv == 0 && pem->len == 0) {
        rv = EINVAL;
        wrong = "it is empty";
    }
    if (rv && file == CA && r->system_ca) { /* curl has its own ways then */
        wipe_bytes(pem->data, pem->len);
        *pem = (imx_secret_pem_t){ NULL, 0 };
        return 0;
    }
    if (rv) {
        why(r->reason, path, rv, wrong);
    }
    return rv;
}

static int read_all(reading_t *r, imx_secret_t *s)
{
    int rv;

    if (r->paths[WORD]) {
        r->at = WORD;
        rv = read_word(r->paths[WORD], shown(r, WORD), r->is_token, &s->word,
                       r->reason);
        if (rv) {
            return rv;
        }
    }
    else if (!(s->word = strdup(r->word ? r->word : ""))) {
        return ENOMEM;
    }
    rv = read_pem(r, CA, &s->ca);
    rv = rv ? rv : read_pem(r, CERTIFICATE, &s->certificate);
    return rv ? rv : read_pem(r, KEY, &s->key);
}

static void run_reading(void *data)
{
    reading_t *r = data;
    int any, tls = look(r, &any);

    r->error = 0;
    r->out = NULL;
    snprintf(r->reason, sizeof(r->reason), "out of memory");
    if (!any) {
        return;
    }
    r->out = calloc(1, sizeof(*r->out));
    r->error = r->out ? read_all(r, r->out) : ENOMEM;
    if (r->error) {
        imx_secret_free(r->out);
        r->out = NULL;
        memset(r->stamps, 0, sizeof(r->stamps)); /* read again next time */
    }
    else {
        r->out->new_tls = tls;
    }
}

/* --- The reader --- */

static int copy(char **to, const char *text)
{
    *to = text ? strdup(text) : NULL;
    return text && !*to;
}

imx_secret_reader_t *imx_secret_open(const imx_influx_options_t *o,
                                     const char *system_ca)
{
    imx_secret_reader_t *r = calloc(1, sizeof(*r));
    reading_t *reading = calloc(1, sizeof(*reading));
    const char *ca = o->ca_file ? o->ca_file : system_ca;

    if (!r || !reading
        || copy(&reading->word, o->token ? o->token : o->password)
        || copy(&reading->paths[WORD],
                o->token_file ? o->token_file : o->password_file)
        || copy(&reading->paths[CA], ca)
        || copy(&reading->paths[CERTIFICATE], o->certificate_file)
        || copy(&reading->paths[KEY], o->key_file)) {
        if (reading) {
            free_reading(reading);
        }
        free(r);
        return NULL;
    }
    reading->is_token = o->token_file != NULL;
    reading->hides_path = o->hides_path;
    reading->system_ca = o->ca_file == NULL;
    r->idle = reading;
    return r;
}

void imx_secret_close(imx_secret_reader_t *r)
{
    if (r) {
        imx_aside_abandon(r->aside);
        if (r->idle) {
            free_reading(r->idle);
        }
        free(r);
    }
}

void imx_secret_ask(imx_secret_reader_t *r, int all)
{
    if (r->aside) {
        return;
    }
    r->idle->all = all;
    r->busy = r->idle;
    r->aside = imx_aside_start(run_reading, free_reading, r->idle);
    if (r->aside) {
        r->idle = NULL;
    }
}

int imx_secret_fd(const imx_secret_reader_t *r)
{
    return r->aside ? imx_aside_fd(r->aside) : -1;
}

imx_secret_answer_e imx_secret_poll(imx_secret_reader_t *r, int ms,
                                    imx_secret_t **out, char *reason)
{
    if (!r->aside) {
        return IMX_SECRET_IDLE;
    }
    if (!imx_aside_wait(r->aside, ms)) {
        int at = atomic_load(&r->busy->at);

        why(reason, shown(r->busy, at), 0,
            "it cannot be read yet, as its disk does not answer");
        return IMX_SECRET_BUSY;
    }
    r->idle = imx_aside_take(r->aside);
    r->aside = NULL;
    if (r->idle->error) {
        snprintf(reason, IMX_INFLUX_REASON_MAX, "%s", r->idle->reason);
        return IMX_SECRET_FAILED;
    }
    *out = r->idle->out;
    r->idle->out = NULL;
    return *out ? IMX_SECRET_READ : IMX_SECRET_SAME;
}

/* --- The header that carries it --- */

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
    imx_secret_wipe(plain);
    return coded;
}

char *imx_secret_header(const imx_influx_options_t *o, const char *word)
{
    int is_token = o->token_file || o->token;
    const char *scheme = !is_token                 ? "Basic"
                         : o->api == IMX_INFLUX_V3 ? "Bearer"
                                                   : "Token";
    char *credential = NULL, *header = NULL;

    if (is_token) {
        credential = strdup(word);
    }
    else if (o->user) {
        credential = basic_credential(o->user, word);
    }
    if (credential
        && asprintf(&header, "Authorization: %s %s", scheme, credential) < 0) {
        header = NULL;
    }
    imx_secret_wipe(credential);
    return header;
}
