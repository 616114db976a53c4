/*
 * address.c owns where the name in InfluxMetricsServer leads to: address.h.
 * Entered by the thread that opened it; look_up() runs on a thread of its own.
 * Nothing survives a crash.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf */
#endif

#include "deliver/address.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/aside.h"
#include "base/clock.h"

#define LIFE (60 * 1000 * IMX_CLOCK_MS) /* what libcurl takes, too */
#define ADDRESSES_MAX 16

/* One question: it owns all that it touches. */
typedef struct {
    char *name, *port;
    char text[64 + ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3)]; /* "": none */
} question_t;

struct imx_address {
    char *name, *port; /* name is NULL when the URL has an address */
    struct curl_slist *list;
    int64_t since; /* ns, of the list */
    int doubted;
    imx_aside_t *aside;
};

static void free_question(void *data)
{
    question_t *q = data;

    free(q->name);
    free(q->port);
    free(q);
}

static void add_address(char *text, size_t size, const struct addrinfo *a)
{
    char shown[INET6_ADDRSTRLEN] = "";
    size_t n = strlen(text);
    const void *bytes;

    if (a->ai_family == AF_INET) {
        bytes =
            &((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr;
    }
    else if (a->ai_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)a->ai_addr)
                     ->sin6_addr;
    }
    else {
        return;
    }
    inet_ntop(a->ai_family, bytes, shown, sizeof(shown));
    if (n + strlen(shown) + 4 < size) {
        snprintf(text + n, size - n,
                 a->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", n ? "," : "",
                 shown);
    }
}

static void look_up(void *data)
{
    question_t *q = data;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;

    if (getaddrinfo(q->name, q->port, &hints, &found) == 0) {
        for (struct addrinfo *a = found; a; a = a->ai_next) {
            add_address(q->text, sizeof(q->text), a);
        }
        freeaddrinfo(found);
    }
}

/* Host or port of the URL, newly allocated; NULL: none. */
#if LIBCURL_VERSION_NUM >= 0x073e00
static char *url_part(const char *url, int is_port)
{
    CURLUPart part = is_port ? CURLUPART_PORT : CURLUPART_HOST;
    unsigned flags = is_port ? CURLU_DEFAULT_PORT : 0;
    CURLU *parsed = curl_url();
    char *text = NULL, *copy = NULL;

#ifdef CURLU_PUNYCODE
    flags |= is_port ? 0 : CURLU_PUNYCODE;
#endif
    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK
        && curl_url_get(parsed, part, &text, flags) == CURLUE_OK) {
        copy = strdup(text);
    }
    curl_free(text);
    curl_url_cleanup(parsed);
    return copy;
}
#else
/* What a libcurl without curl_url() leaves to us: SCHEME://HOST[:PORT][/PATH],
 * which config.c has checked. */
static char *url_part(const char *url, int is_port)
{
    const char *host = strstr(url, "://"), *end;
    size_t n;

    if (!host) {
        return NULL;
    }
    host += 3;
    end = *host == '[' ? strchr(host, ']') : host;
    if (!end) {
        return NULL;
    }
    n = (size_t)(end - host) + strcspn(end, ":/");
    if (!is_port) {
        return n ? strndup(host, n) : NULL;
    }
    if (host[n] == ':') {
        return strndup(host + n + 1, strcspn(host + n + 1, "/"));
    }
    return strdup(strncmp(url, "https:", 6) == 0 ? "443" : "80");
}
#endif

static int is_address(const char *name)
{
    struct in_addr v4;

    return *name == '[' || inet_pton(AF_INET, name, &v4) == 1;
}

/* Replaces what is known: NAME:PORT:ADDRESS,... */
static int know(imx_address_t *a, const char *addresses)
{
    struct curl_slist *list;
    char *entry;

    if (asprintf(&entry, "%s:%s:%s", a->name, a->port, addresses) < 0) {
        return 0;
    }
    list = curl_slist_append(NULL, entry);
    free(entry);
    if (!list) {
        return 0;
    }
    curl_slist_free_all(a->list);
    a->list = list;
    a->since = imx_clock_now();
    a->doubted = 0;
    return 1;
}

imx_address_t *imx_address_open(const char *url)
{
    imx_address_t *a = calloc(1, sizeof(*a));

    if (!a) {
        return NULL;
    }
    a->name = url_part(url, 0);
    a->port = url_part(url, 1);
    if (a->name == NULL || a->port == NULL || is_address(a->name)) {
        free(a->name); /* what is no URL is told of by libcurl */
        a->name = NULL;
    }
    return a;
}

void imx_address_close(imx_address_t *a)
{
    if (a) {
        imx_aside_abandon(a->aside);
        curl_slist_free_all(a->list);
        free(a->name);
        free(a->port);
        free(a);
    }
}

static void ask(imx_address_t *a)
{
    question_t *q = calloc(1, sizeof(*q));

    if (!q) {
        return;
    }
    q->name = strdup(a->name);
    q->port = strdup(a->port);
    if (q->name && q->port) {
        a->aside = imx_aside_start(look_up, free_question, q);
        if (a->aside) {
            return;
        }
    }
    free_question(q);
}

/* Takes what was answered; returns 0 when there is no address in it. */
static int take(imx_address_t *a)
{
    question_t *q = imx_aside_take(a->aside);
    int rv;

    a->aside = NULL;
    rv = q->text[0] != '\0' && know(a, q->text);
    free_question(q);
    return rv;
}

imx_address_answer_e imx_address_poll(imx_address_t *a)
{
    if (!a->name) {
        return IMX_ADDRESS_KNOWN;
    }
    if (!a->list && strcasecmp(a->name, "localhost") == 0) {
        return know(a, "127.0.0.1,[::1]") ? IMX_ADDRESS_KNOWN
                                          : IMX_ADDRESS_FAILED;
    }
    if (!a->aside
        && (!a->list || a->doubted || imx_clock_now() - a->since > LIFE)) {
        ask(a);
        if (!a->aside) {
            return a->list ? IMX_ADDRESS_KNOWN : IMX_ADDRESS_FAILED;
        }
    }
    if (a->aside && imx_aside_wait(a->aside, 0) && !take(a)) {
        a->since = imx_clock_now(); /* what is known is used for a while */
        a->doubted = 0;
        return a->list ? IMX_ADDRESS_KNOWN : IMX_ADDRESS_FAILED;
    }
    return a->list && !a->doubted ? IMX_ADDRESS_KNOWN : IMX_ADDRESS_BUSY;
}

int imx_address_fd(const imx_address_t *a)
{
    return a->aside ? imx_aside_fd(a->aside) : -1;
}

void imx_address_forget(imx_address_t *a)
{
    a->doubted = a->list != NULL && strcasecmp(a->name, "localhost") != 0;
}

struct curl_slist *imx_address_list(const imx_address_t *a)
{
    return a->list;
}

const char *imx_address_name(const imx_address_t *a)
{
    return a->name ? a->name : "";
}
