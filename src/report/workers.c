/*
 * workers.c owns the reading of httpd's scoreboard and of the listeners'
 * queues.  Entered by the holder's monitor thread, and by a child's main thread
 * before it serves.  Nothing survives the holder: the next one begins a mean of
 * its own.
 *
 * The scoreboard is shared with threads that write it at any time: each value
 * is read once, and is taken for what it is.
 */
#include "report/workers.h"

#include "httpd.h"
#include "ap_listen.h"
#include "ap_mpm.h"
#include "apr_portable.h"
#include "apr_strings.h"
#include "scoreboard.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define LISTENERS_MAX IMX_WORKERS_LISTENERS_MAX
#define ADDRESS_MAX 64
#define LOOK_MOST INT64_C(2000000000) /* ns: one look stands for no longer */

/* Of the listeners, as this child got them. */
static int sockets[LISTENERS_MAX];
static char addresses[LISTENERS_MAX][ADDRESS_MAX];
static int socket_count;
static int64_t most; /* workers that there may be */
static int generation;

/* What a mean is made of. */
typedef struct {
    double busy_time, time; /* ns */
} mean_t;

/* Of the holder alone. */
static struct {
    int64_t last, busy; /* the last look, and what it saw */
    mean_t interval, second;
} seen;

/* ---- what does not change in a child's life ---- */

static int ask(int what, int otherwise)
{
    int answer;

    return ap_mpm_query(what, &answer) == APR_SUCCESS && answer > 0
               ? answer
               : otherwise;
}

static void note_address(char to[ADDRESS_MAX], apr_sockaddr_t *address)
{
    char ip[ADDRESS_MAX] = "";

    if (address == NULL
        || apr_sockaddr_ip_getbuf(ip, sizeof ip, address) != APR_SUCCESS) {
        apr_cpystrn(to, "unknown", ADDRESS_MAX);
    }
    else if (strchr(ip, ':') != NULL) {
        apr_snprintf(to, ADDRESS_MAX, "[%s]:%d", ip, (int)address->port);
    }
    else {
        apr_snprintf(to, ADDRESS_MAX, "%s:%d", ip, (int)address->port);
    }
}

/* httpd's own list changes when the child ends. */
static void find_sockets(void)
{
    const ap_listen_rec *l;

    socket_count = 0;
    for (l = ap_listeners; l != NULL && socket_count < LISTENERS_MAX;
         l = l->next) {
        if (l->sd != NULL
            && apr_os_sock_get(&sockets[socket_count], l->sd) == APR_SUCCESS) {
            note_address(addresses[socket_count], l->bind_addr);
            socket_count++;
        }
    }
}

void imx_workers_child_init(void)
{
    most = (int64_t)ask(AP_MPMQ_MAX_DAEMONS, 1) * ask(AP_MPMQ_MAX_THREADS, 1);
    generation = ask(AP_MPMQ_GENERATION, 0);
    find_sockets();
}

int64_t imx_workers_max(void)
{
    return most;
}

/* ---- the scoreboard ---- */

/* One byte of the 400 that are kept of a worker: the others are not brought
 * into the cache. */
static unsigned state_of(int process, int thread)
{
    const volatile worker_score *w =
        &ap_scoreboard_image->servers[process][thread];
    unsigned state = w->status;

    return state < IMX_WORKERS_STATES ? state : SERVER_DEAD;
}

/* As mod_status counts; the workers of a process that ends are not there for
 * new requests. */
static int is_busy(unsigned state)
{
    switch (state) {
    case SERVER_DEAD:
    case SERVER_STARTING:
    case SERVER_READY:
    case SERVER_GRACEFUL:
    case SERVER_IDLE_KILL:
        return 0;
    default:
        return 1;
    }
}

/* By httpd's own function: since 2.4.63 the struct is larger, and the httpd
 * that runs may be another one than that of the headers. */
static const volatile process_score *process_at(int i)
{
    return ap_get_scoreboard_process(i);
}

/* Which httpd does not tell before 2.4.63. */
static apr_uint32_t waiting_of(int i)
{
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 136)
    const char *first = (const char *)ap_get_scoreboard_process(0);
    const char *second = (const char *)ap_get_scoreboard_process(1);

    if (second == NULL || (size_t)(second - first) >= sizeof(process_score)) {
        return process_at(i)->wait_io;
    }
#else
    (void)i;
#endif
    return 0;
}

static void count_process(imx_workers_count_t *c, int i, int threads)
{
    const volatile process_score *p = process_at(i);
    int quiescing = p->quiescing != 0, t;

    for (t = 0; t < threads; t++) {
        unsigned state = state_of(i, t);

        c->state[state]++;
        c->busy += !quiescing && is_busy(state);
    }
    c->children++;
    c->stopping += quiescing;
    c->connections += p->connections;
    c->keepalive += p->keep_alive;
    c->writing += p->write_completion;
    c->closing += p->lingering_close;
    c->wait_io += waiting_of(i);
}

imx_workers_count_t imx_workers_count(void)
{
    const global_score *g = ap_scoreboard_image->global;
    imx_workers_count_t c = { { 0 }, 0, 0, 0, 0, 0, 0, 0, 0 };
    int i, daemons = g->server_limit, threads = g->thread_limit;

    for (i = 0; i < daemons; i++) {
        const volatile process_score *p = process_at(i);

        if (p->pid != 0) {
            count_process(&c, i, threads);
        }
        else {
            c.state[SERVER_DEAD] += threads;
        }
    }
    return c;
}

static int64_t requests_of(int process, int threads)
{
    int64_t requests = 0;
    int t;

    for (t = 0; t < threads; t++) {
        const volatile worker_score *w =
            &ap_scoreboard_image->servers[process][t];

        requests += (int64_t)w->my_access_count;
    }
    return requests;
}

int imx_workers_of(pid_t pid, int64_t *busy, int64_t *requests)
{
    const global_score *g = ap_scoreboard_image->global;
    int i, t, daemons = g->server_limit, threads = g->thread_limit;

    for (i = 0; i < daemons; i++) {
        const volatile process_score *p = process_at(i);

        if (p->pid == pid) {
            *busy = 0;
            for (t = 0; t < threads; t++) {
                *busy += is_busy(state_of(i, t));
            }
            *requests = ap_extended_status ? requests_of(i, threads) : -1;
            return 1;
        }
    }
    return 0;
}

/* ---- how much is used ---- */

static void add(mean_t *mean, int64_t busy, int64_t time)
{
    mean->busy_time += (double)busy * (double)time;
    mean->time += (double)time;
}

/* What was seen at the last look held until now.  After a pause (the process
 * was stopped) nobody knows what held. */
void imx_workers_look(int64_t now)
{
    int64_t past = now - seen.last;

    if (seen.last != 0 && past > 0 && past < LOOK_MOST) {
        add(&seen.interval, seen.busy, past);
        add(&seen.second, seen.busy, past);
    }
    seen.busy = imx_workers_count().busy;
    seen.last = now;
}

static double busy_in(const mean_t *mean)
{
    return mean->time > 0 ? mean->busy_time / mean->time : -1;
}

double imx_workers_utilization(int begin_anew)
{
    double busy = busy_in(&seen.interval);

    if (begin_anew) {
        seen.interval.busy_time = seen.interval.time = 0;
    }
    return busy >= 0 && most > 0 ? busy / (double)most : -1;
}

double imx_workers_busy(void)
{
    double busy = busy_in(&seen.second);

    seen.second.busy_time = seen.second.time = 0;
    return busy;
}

/* ---- who waits ---- */

/* For a socket that listens, Linux gives the connections that wait to be
 * accepted, and the most there may be, in these two fields.  A number whose
 * socket was closed may be another one's by now: that does not listen. */
static int queue_of(int socket, int64_t *waiting, int64_t *limit)
{
    struct tcp_info info;
    socklen_t size = sizeof info;

    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0
        || info.tcpi_state != TCP_LISTEN) {
        return 0;
    }
    *waiting += info.tcpi_unacked;
    *limit += info.tcpi_sacked;
    return 1;
}

int imx_workers_queue(int64_t *waiting, int64_t *limit)
{
    int i, told = 0;

    *waiting = *limit = 0;
    for (i = 0; i < socket_count; i++) {
        told |= queue_of(sockets[i], waiting, limit);
    }
    return told ? 0 : -1;
}

static imx_workers_listener_t *listener_of(
    imx_workers_listener_t listeners[], unsigned *count, const char *address)
{
    unsigned i;

    for (i = 0; i < *count; i++) {
        if (strcmp(listeners[i].address, address) == 0) {
            return &listeners[i];
        }
    }
    listeners[i].address = address;
    listeners[i].waiting = listeners[i].limit = 0;
    (*count)++;
    return &listeners[i];
}

unsigned imx_workers_listeners(
    imx_workers_listener_t listeners[IMX_WORKERS_LISTENERS_MAX])
{
    unsigned count = 0;
    int i;

    for (i = 0; i < socket_count; i++) {
        int64_t waiting = 0, limit = 0;

        if (queue_of(sockets[i], &waiting, &limit)) {
            imx_workers_listener_t *l = listener_of(listeners, &count,
                                                    addresses[i]);

            l->waiting += waiting;
            l->limit += limit;
        }
    }
    return count;
}

/* ---- the measurement ---- */

const char *imx_workers_state(unsigned state)
{
    static const char *const names[IMX_WORKERS_STATES] = {
        [SERVER_DEAD] = "dead",
        [SERVER_STARTING] = "starting",
        [SERVER_READY] = "idle",
        [SERVER_BUSY_READ] = "reading",
        [SERVER_BUSY_WRITE] = "writing",
        [SERVER_BUSY_KEEPALIVE] = "keepalive",
        [SERVER_BUSY_LOG] = "logging",
        [SERVER_BUSY_DNS] = "dns",
        [SERVER_CLOSING] = "closing",
        [SERVER_GRACEFUL] = "graceful",
        [SERVER_IDLE_KILL] = "idle_kill",
    };

    return names[state];
}

static void put_states(imx_output_t *out, const imx_workers_count_t *c)
{
    unsigned i;

    for (i = 0; i < IMX_WORKERS_STATES; i++) {
        const char *name = imx_workers_state(i);

        imx_lineproto_field_int(&out->lp, name, strlen(name), c->state[i]);
    }
}

int imx_workers_is_async(void)
{
    return ask(AP_MPMQ_IS_ASYNC, 0);
}

/* Only event knows of connections that hold no worker. */
static void put_connections(imx_output_t *out, const imx_workers_count_t *c)
{
    if (imx_workers_is_async()) {
        imx_output_int(out, "connections", c->connections);
        imx_output_int(out, "async_keepalive", c->keepalive);
        imx_output_int(out, "async_writing", c->writing);
        imx_output_int(out, "async_closing", c->closing);
        imx_output_int(out, "async_wait_io", c->wait_io);
    }
}

static void put_queue(imx_output_t *out)
{
    int64_t waiting, limit;

    if (imx_workers_queue(&waiting, &limit) == 0) {
        imx_output_int(out, "listen_queue", waiting);
        imx_output_int(out, "listen_limit", limit);
    }
}

static void put_in_flight(imx_output_t *out)
{
    const imx_arena_t *a = out->arena;
    int64_t in_flight = imx_slow_in_flight(&a->slow, &a->children,
                                           imx_clock_now());

    if (in_flight >= 0) {
        imx_output_int(out, "in_flight", in_flight);
    }
}

static int write_workers(imx_output_t *out,
                         const imx_interval_closed_t *closed)
{
    imx_workers_count_t c = imx_workers_count();
    double utilization = imx_workers_utilization(0);

    imx_output_begin(out, "worker-states");
    put_states(out, &c);
    imx_output_int(out, "busy", c.busy);
    imx_output_int(out, "workers_max", most);
    if (utilization >= 0) {
        imx_output_float(out, "capacity_utilization", utilization);
    }
    put_connections(out, &c);
    put_queue(out);
    put_in_flight(out);
    imx_output_int(out, "children", c.children);
    imx_output_int(out, "generation", generation);
    if (!imx_output_end(out, closed->time)) {
        return 0;
    }
    imx_workers_utilization(1);
    return 1;
}

const imx_measurement_t imx_workers = { IMX_MEASURED_WORKERS, NULL,
                                        write_workers };
