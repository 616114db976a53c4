/*
 * wire.c owns libcurl's handles and the descriptors that it opens: wire.h.
 * Entered by the thread that has the handles; before_fork() and after_fork() by
 * every thread that forks.
 * Nothing survives a crash.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "deliver/wire.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/version.h"

#define LIFETIME 600L              /* seconds of a connection */
#define UPLOAD_BYTES (256 * 1024L) /* what one read callback may fill */
#define CANDIDATES 256             /* descriptors without FD_CLOEXEC */
#define WAKE_UPS 3                 /* with which the pair is found */
#define ALL 65536                  /* numbers of descriptors, at most */
#define WAITS 4                    /* descriptors of imx_wire_wait() */

/* --- No descriptor is inherited --- */

/*
 * Libcurl makes a pair of sockets with each multi handle, to be woken up, and
 * up to 8.12 without FD_CLOEXEC.  We never use them, but they are there.  They
 * get the flag at once, and meanwhile no other thread forks.
 */
static pthread_mutex_t forks = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
    pthread_mutex_lock(&forks);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&forks);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

/* How many bytes wait in it; -1: it is neither a socket nor a pipe. */
static int waiting(int fd)
{
    int n;

    return ioctl(fd, FIONREAD, &n) == 0 ? n : -1;
}

/* The sockets and pipes below most that a program would inherit, and in which
 * so many bytes wait. */
static int find(int *fds, int most, int bytes)
{
    int n = 0;

    for (int fd = 3; fd < most && n < CANDIDATES; fd++) {
        if (fcntl(fd, F_GETFD) == 0 && waiting(fd) == bytes) {
            fds[n++] = fd;
        }
    }
    return n;
}

/* A libcurl before 7.68 has no such pair: then none is found. */
static void wake_up(CURLM *multi)
{
#if LIBCURL_VERSION_NUM >= 0x074400
    curl_multi_wakeup(multi);
#else
    (void)multi;
#endif
}

/*
 * The end of the pair that libcurl reads: the one of the n descriptors that
 * gets a byte more with each wake-up; -1: none of them.  The bytes stay there,
 * as nobody reads them.
 */
static int reading_end(const int *fds, int n, int bytes, CURLM *multi)
{
    int left[CANDIDATES], count = n;

    memcpy(left, fds, sizeof(int) * (size_t)n);
    for (int more = 1; more <= WAKE_UPS; more++) {
        int kept = 0;

        wake_up(multi);
        for (int i = 0; i < count; i++) {
            if (waiting(left[i]) == bytes + more) {
                left[kept++] = left[i];
            }
        }
        count = kept;
    }
    return count == 1 ? left[0] : -1;
}

/* Is fd the other end of the pair, into whose first end mark was sent?  Bytes
 * that are not ours are not taken. */
static int is_other_end(int end, int fd, const char *mark, ssize_t len)
{
    struct stat first, second;
    char got[64];

    if (fd == end || fstat(end, &first) || fstat(fd, &second)) {
        return 0;
    }
    if (S_ISFIFO(first.st_mode)) { /* both ends of a pipe are one inode */
        return S_ISFIFO(second.st_mode) && first.st_dev == second.st_dev
               && first.st_ino == second.st_ino;
    }
    return recv(fd, got, sizeof(got), MSG_DONTWAIT | MSG_PEEK) == len
           && memcmp(got, mark, (size_t)len) == 0;
}

static void close_on_exec(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* How many numbers a descriptor of this process can have, within reason. */
static int all_numbers(void)
{
    struct rlimit limit = { 1024, 1024 };

    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < ALL ? (int)limit.rlim_cur : ALL;
}

/* An eventfd has no other end: then nothing is found. */
static void protect_other_end(CURLM *multi, int end)
{
    char mark[64];
    int len = snprintf(mark, sizeof(mark), "imx %p %ld %lld", (void *)multi,
                       (long)getpid(), (long long)imx_clock_now());
    int most = all_numbers();

    send(end, mark, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int fd = 3; fd < most; fd++) {
        if (fcntl(fd, F_GETFD) == 0 && is_other_end(end, fd, mark, len)) {
            close_on_exec(fd);
            return;
        }
    }
}

/*
 * Finds the pair among the descriptors below most by using it: of others nobody
 * changes the flags.  bytes: those that wait in it.  Returns 1 when it is
 * found.
 */
static int protect_below(CURLM *multi, int most, int bytes)
{
    int fds[CANDIDATES];
    int n = find(fds, most, bytes);
    int end = reading_end(fds, n, bytes, multi);

    if (end >= 0) {
        close_on_exec(end);
        protect_other_end(multi, end);
    }
    return end >= 0;
}

static int lowest_free(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd >= 0) {
        close(fd);
    }
    /* cppcheck-suppress deallocret ; the number alone is wanted */
    return fd;
}

/*
 * The pair got the lowest numbers that were free, so it is found at once.  If
 * it is not, all numbers are tried once; if it is not there, this libcurl sets
 * the flag itself.
 */
static void protect_pair(CURLM *multi, int lowest)
{
    static int is_protected;

    if (!is_protected && !protect_below(multi, lowest + 64, 0)) {
        is_protected = !protect_below(multi, all_numbers(), WAKE_UPS);
    }
}

CURLM *imx_wire_multi(void)
{
    static pthread_once_t watched = PTHREAD_ONCE_INIT;
    CURLM *multi;
    int lowest;

    pthread_once(&watched, watch_forks);
    pthread_mutex_lock(&forks);
    lowest = lowest_free();
    multi = curl_multi_init();
    if (multi) {
        protect_pair(multi, lowest);
    }
    pthread_mutex_unlock(&forks);
    if (multi) {
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 1L);
    }
    return multi;
}

/* Nobody else opens a socket here: names are looked up by address.c. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
                                 struct curl_sockaddr *a)
{
    (void)arg;
    (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* --- Options --- */

static void set_http(CURL *e)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(e, CURLOPT_PROTOCOLS,
                     (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "mod_influx_metrics/" IMX_VERSION);
    curl_easy_setopt(e, CURLOPT_POST, 1L);
#if LIBCURL_VERSION_NUM >= 0x073e00
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
#endif
    /* http_proxy in httpd's environment is not our configuration */
    curl_easy_setopt(e, CURLOPT_PROXY, "");
}

/*
 * A connection is kept, but not for ever: what was true when it was made, of
 * certificates as of addresses behind the name, is looked at again.
 */
static void set_connection(CURL *e, const imx_influx_options_t *o)
{
#if LIBCURL_VERSION_NUM >= 0x075000
    curl_easy_setopt(e, CURLOPT_MAXLIFETIME_CONN, LIFETIME);
#endif
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    if (o->unix_socket) {
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, o->unix_socket);
    }
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)o->connect_timeout_ms);
    /* signals belong to httpd, which ignores SIGPIPE */
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#endif
}

/*
 * libcurl verifies TLS unless it is told otherwise, and nobody here does.  What
 * it verified, or showed as ours, must not outlive the connection: so no
 * session is resumed, and no CA is remembered (libcurl would, for a day).
 */
static void set_tls(CURL *e)
{
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_SSL_SESSIONID_CACHE, 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
    /* OpenSSL would ask for one on the terminal */
    curl_easy_setopt(e, CURLOPT_KEYPASSWD, "");
}

void imx_wire_set_up(CURL *easy, const imx_influx_options_t *o)
{
    set_http(easy);
    set_connection(easy, o);
    set_tls(easy);
}

const char *imx_wire_system_ca(CURL *easy)
{
    char *path = NULL;

#if LIBCURL_VERSION_NUM >= 0x075400
    curl_easy_getinfo(easy, CURLINFO_CAINFO, &path);
#else
    (void)easy;
#endif
    return path;
}

/* Only these authorities, and not the ones of the system as well. */
static CURLcode set_authorities(CURL *e, const imx_influx_options_t *o,
                                const imx_secret_t *files)
{
    CURLcode code = CURLE_NOT_BUILT_IN;
#if LIBCURL_VERSION_NUM >= 0x074d00
    struct curl_blob blob = { files->ca.data, files->ca.len,
                              CURL_BLOB_NOCOPY };

    code = files->ca.data ? curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob)
                          : code;
#else
    (void)files;
#endif
    if (code != CURLE_OK && !o->ca_file) {
        return CURLE_OK; /* libcurl finds those of the system itself */
    }
    curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    return curl_easy_setopt(e, CURLOPT_CAINFO,
                            code == CURLE_OK ? NULL : o->ca_file);
}

static CURLcode set_pair_files(CURL *e, const imx_influx_options_t *o)
{
    CURLcode code = curl_easy_setopt(e, CURLOPT_SSLCERT, o->certificate_file);

    return code ? code : curl_easy_setopt(e, CURLOPT_SSLKEY, o->key_file);
}

#if LIBCURL_VERSION_NUM >= 0x074700
/* Other TLS libraries take the option, and then heed only files. */
static int has_openssl(void)
{
    static const char *const names[] = { "OpenSSL", "LibreSSL", "BoringSSL",
                                         "AWS-LC" };
    const char *ssl = curl_version_info(CURLVERSION_NOW)->ssl_version;

    for (size_t i = 0; ssl && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strstr(ssl, names[i])) {
            return 1;
        }
    }
    return 0;
}

static CURLcode set_pair(CURL *e, const imx_influx_options_t *o,
                         const imx_secret_t *files)
{
    struct curl_blob certificate = {
        files->certificate.data, files->certificate.len, CURL_BLOB_NOCOPY
    };
    struct curl_blob key = { files->key.data, files->key.len,
                             CURL_BLOB_NOCOPY };
    CURLcode code;

    if (!has_openssl()) {
        return set_pair_files(e, o);
    }
    code = curl_easy_setopt(e, CURLOPT_SSLCERT_BLOB, &certificate);
    return code ? code : curl_easy_setopt(e, CURLOPT_SSLKEY_BLOB, &key);
}
#else
static CURLcode set_pair(CURL *e, const imx_influx_options_t *o,
                         const imx_secret_t *files)
{
    (void)files;
    return set_pair_files(e, o);
}
#endif

int imx_wire_renew(CURL **easy)
{
    CURL *copy;
    long made = 0;

    curl_easy_getinfo(*easy, CURLINFO_NUM_CONNECTS, &made);
    if (made == 0) {
        return 0;
    }
    copy = curl_easy_duphandle(*easy);
    if (!copy) {
        return 1;
    }
    curl_easy_cleanup(*easy);
    *easy = copy;
    return 0;
}

int imx_wire_set_tls(CURL *easy, const imx_influx_options_t *o,
                     const imx_secret_t *files)
{
    CURLcode code = set_authorities(easy, o, files);

    if (code == CURLE_OK && files->certificate.data && files->key.data) {
        code = set_pair(easy, o, files);
    }
    return code != CURLE_OK;
}

/* --- Waiting --- */

/* curl_multi_poll() would watch the pair; curl_multi_wait() does not. */
void imx_wire_wait(CURLM *multi, const int *fds, int n, int ms)
{
    struct curl_waitfd wait[WAITS];
    unsigned count = 0;

    for (int i = 0; i < n && i < WAITS; i++) {
        if (fds[i] >= 0) {
            wait[count++] = (struct curl_waitfd){ fds[i], CURL_WAIT_POLLIN,
                                                  0 };
        }
    }
    curl_multi_wait(multi, wait, count, ms, NULL);
}
