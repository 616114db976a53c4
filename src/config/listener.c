/*
 * listener.c owns the question where InfluxMetricsServer leads to: to this
 * host, or even to this server itself.
 * Entered by the parent's only thread, while it starts or restarts.
 * Nothing survives a call.
 */
#include "config/listener.h"

#include "ap_listen.h"
#include "apr_uri.h"

#include "base/errand.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define NAMES_MS 500 /* for which a name server is waited for */

int imx_listener_is_near(apr_pool_t *p, const imx_influx_options_t *o)
{
    struct in6_addr v6;
    struct in_addr v4;
    apr_uri_t uri;

    if (o->unix_socket != NULL) {
        return 1;
    }
    if (apr_uri_parse(p, o->url, &uri) != APR_SUCCESS
        || uri.hostname == NULL) {
        return 0;
    }
    return ap_cstr_casecmp(uri.hostname, "localhost") == 0
           || (inet_pton(AF_INET, uri.hostname, &v4) == 1
               && ntohl(v4.s_addr) >> 24 == 127)
           || (inet_pton(AF_INET6, uri.hostname, &v6) == 1
               && IN6_IS_ADDR_LOOPBACK(&v6));
}

/* Any address as one of IPv6: IPv4 is a part of it.  0: neither. */
static int as_v6(const struct sockaddr *a, struct in6_addr *v6)
{
    struct in_addr v4;

    if (a != NULL && a->sa_family == AF_INET6) {
        memcpy(v6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
               sizeof *v6);
        return 1;
    }
    if (a == NULL || a->sa_family != AF_INET) {
        return 0;
    }
    memcpy(&v4, &((const struct sockaddr_in *)(const void *)a)->sin_addr,
           sizeof v4);
    memset(v6, 0, sizeof *v6);
    v6->s6_addr[10] = v6->s6_addr[11] = 0xff;
    memcpy(v6->s6_addr + 12, &v4, sizeof v4);
    return 1;
}

static int is_any(const struct in6_addr *a)
{
    static const unsigned char v4_any[16] = { [10] = 0xff, [11] = 0xff };

    return IN6_IS_ADDR_UNSPECIFIED(a) || memcmp(a, v4_any, sizeof v4_any) == 0;
}

static int is_loopback(const struct in6_addr *a)
{
    return IN6_IS_ADDR_LOOPBACK(a)
           || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

static int is_of_this_host(const struct in6_addr *a)
{
    struct ifaddrs *all = NULL, *i;
    struct in6_addr mine;
    int is_mine = is_any(a) || is_loopback(a);

    if (!is_mine && getifaddrs(&all) == 0) {
        for (i = all; i != NULL && !is_mine; i = i->ifa_next) {
            is_mine = as_v6(i->ifa_addr, &mine)
                      && memcmp(&mine, a, sizeof mine) == 0;
        }
        freeifaddrs(all);
    }
    return is_mine;
}

/* Would a connection to the address end at one of the listeners? */
static int ends_here(const struct in6_addr *to, apr_port_t port)
{
    const ap_listen_rec *l;
    struct in6_addr at;

    for (l = ap_listeners; l != NULL; l = l->next) {
        if (l->bind_addr == NULL || l->bind_addr->port != port
            || !as_v6((const struct sockaddr *)&l->bind_addr->sa, &at)) {
            continue;
        }
        if (memcmp(&at, to, sizeof at) == 0
            || ((is_any(&at) || is_any(to)) && is_of_this_host(to))) {
            return 1;
        }
    }
    return 0;
}

typedef struct {
    const char *host;
    apr_port_t port;
} target_t;

/* A step of its own, as a name server may be asked. */
static int look_up(void *context, char *text __attribute__((unused)))
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    const target_t *t = context;
    struct addrinfo *all = NULL, *a;
    struct in6_addr to;

    if (getaddrinfo(t->host, NULL, &hints, &all) != 0) {
        return 0;
    }
    for (a = all; a != NULL; a = a->ai_next) {
        if (as_v6(a->ai_addr, &to) && ends_here(&to, t->port)) {
            return 1;
        }
    }
    return 0;
}

static int is_port_of_ours(apr_port_t port)
{
    const ap_listen_rec *l;

    for (l = ap_listeners; l != NULL; l = l->next) {
        if (l->bind_addr != NULL && l->bind_addr->port == port) {
            return 1;
        }
    }
    return 0;
}

int imx_listener_is_ours(apr_pool_t *p, const imx_influx_options_t *o)
{
    char text[IMX_ERRAND_TEXT];
    target_t target;
    apr_uri_t uri;

    if (o->unix_socket != NULL || apr_uri_parse(p, o->url, &uri) != APR_SUCCESS
        || uri.hostname == NULL) {
        return 0;
    }
    target.host = uri.hostname;
    target.port = uri.port_str ? uri.port : apr_uri_port_of_scheme(uri.scheme);
    return is_port_of_ours(target.port)
           && imx_errand_run(look_up, &target, NAMES_MS, text) == 1;
}
