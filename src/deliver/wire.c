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

/* The sockets and pipes that a program would inherit, and that are empty. */
static int find_empty(int *fds)
{
    struct rlimit limit = { 1024, 1024 };
    int n = 0, most;

    getrlimit(RLIMIT_NOFILE, &limit);
    most = limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
    for (int fd = 3; fd < most && n < CANDIDATES; fd++) {
        if (fcntl(fd, F_GETFD) == 0 && waiting(fd) == 0) {
            fds[n++] = fd;
        }
    }
    return n;
}

/*
 * The end of the pair that libcurl reads: the one of the n descriptors that
 * gets a byte with each wake-up; -1: none of them.  The bytes stay there, as
 * nobody reads them.
 */
static int reading_end(const int *fds, int n, CURLM *multi)
{
    int left[CANDIDATES], count = n;

    memcpy(left, fds, sizeof(int) * (size_t)n);
    for (int bytes = 1; bytes <= 3; bytes++) {
        int kept = 0;

        curl_multi_wakeup(multi);
        for (int i = 0; i < count; i++) {
            if (waiting(left[i]) == bytes) {
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

/* Finds the pair by using it: of other descriptors nobody changes the flags. */
static void protect_pair(CURLM *multi)
{
    int fds[CANDIDATES];
    int n = find_empty(fds);
    int end = reading_end(fds, n, multi);
    char mark[64];
    int len = snprintf(mark, sizeof(mark), "imx %p %ld %lld", (void *)multi,
                       (long)getpid(), (long long)imx_clock_now());

    if (end < 0) {
        return; /* this libcurl sets the flag itself */
    }
    close_on_exec(end);
    send(end, mark, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int i = 0; i < n; i++) {
        if (is_other_end(end, fds[i], mark, len)) {
            close_on_exec(fds[i]);
        }
    }
}

CURLM *imx_wire_multi(void)
{
    static pthread_once_t watched = PTHREAD_ONCE_INIT;
    CURLM *multi;

    pthread_once(&watched, watch_forks);
    pthread_mutex_lock(&forks);
    multi = curl_multi_init();
    if (multi) {
        protect_pair(multi);
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
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
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

/* From memory; where this libcurl or its TLS library cannot, from the file. */
static CURLcode set_pem(CURL *e, CURLoption in_memory, CURLoption in_file,
                        const imx_secret_pem_t *pem, const char *path)
{
    struct curl_blob blob = { pem->data, pem->len, CURL_BLOB_NOCOPY };
    CURLcode code = in_memory ? curl_easy_setopt(e, in_memory, &blob)
                              : CURLE_NOT_BUILT_IN;

    if (code == CURLE_NOT_BUILT_IN || code == CURLE_UNKNOWN_OPTION) {
        code = path ? curl_easy_setopt(e, in_file, path) : CURLE_OK;
    }
    return code;
}

#if LIBCURL_VERSION_NUM >= 0x074d00
#define CA_BLOB CURLOPT_CAINFO_BLOB
#else
#define CA_BLOB ((CURLoption)0)
#endif

/* Only these authorities, and not the ones of the system as well. */
static CURLcode set_authorities(CURL *e, const imx_influx_options_t *o,
                                const imx_secret_t *files)
{
    CURLcode code;

    if (!files->ca.data) {
        return CURLE_OK;
    }
    if (CA_BLOB || o->ca_file) {
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    if (CA_BLOB) {
        curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
    }
    code = set_pem(e, CA_BLOB, CURLOPT_CAINFO, &files->ca, o->ca_file);
    return code;
}

int imx_wire_set_tls(CURL *easy, const imx_influx_options_t *o,
                     const imx_secret_t *files)
{
    CURLcode code = set_authorities(easy, o, files);

    if (code == CURLE_OK && files->certificate.data) {
        code = set_pem(easy, CURLOPT_SSLCERT_BLOB, CURLOPT_SSLCERT,
                       &files->certificate, o->certificate_file);
    }
    if (code == CURLE_OK && files->key.data) {
        code = set_pem(easy, CURLOPT_SSLKEY_BLOB, CURLOPT_SSLKEY, &files->key,
                       o->key_file);
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
