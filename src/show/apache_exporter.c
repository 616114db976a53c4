/*
 * apache_exporter.c owns the names and labels of prometheus-apache-exporter
 * (0.12 and later), and which figure stands for which.
 * Entered by any thread that serves a request; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/apache_exporter.h"

#include "ap_mpm.h"
#include "http_core.h"
#include "scoreboard.h"

#include "shared/stats.h"

#define GAUGE IMX_EXPOSITION_GAUGE
#define COUNTER IMX_EXPOSITION_COUNTER
#define MS UINT64_C(1000000)

static const char *label(imx_exposition_t *e, const char *name,
                         const char *value)
{
    return imx_exposition_label(e, NULL, name, value);
}

/* ---- requests ---- */

static void put_requests(imx_exposition_t *e)
{
    const imx_arena_t *a = imx_view_arena();
    uint32_t n = imx_series_count(&a->series), i;
    uint64_t requests = 0, bytes = 0, ns = 0;
    imx_stats_sum_t sum;

    for (i = 0; i < n; i++) {
        imx_stats_add_up(&a->stats, i, &sum);
        requests += imx_stats_requests_of(&sum);
        bytes += sum.bytes_sent;
        ns += sum.request_ns;
    }
    imx_exposition_family(e, "apache_accesses", COUNTER,
                          "Requests that have ended.");
    imx_exposition_int(e, "", (int64_t)requests);
    imx_exposition_family(e, "apache_sent_kilobytes", COUNTER,
                          "Units of 1,024 bytes of the bodies of responses.");
    imx_exposition_int(e, "", (int64_t)(bytes / 1024));
    imx_exposition_family(e, "apache_duration_ms", COUNTER,
                          "Time that all requests took, in milliseconds.");
    imx_exposition_int(e, "", (int64_t)(ns / MS));
}

/* ---- processor time ---- */

/* Of all processes that there were.  Rows outlive their processes. */
static void put_cpu(imx_exposition_t *e, int64_t uptime)
{
    const imx_processes_t *processes = &imx_view_arena()->processes;
    uint64_t user = 0, system = 0;
    uint32_t slot;

    for (slot = 0; slot <= processes->children; slot++) {
        imx_process_t p = imx_processes_told(processes, slot);

        user += (uint64_t)p.carried_user + (uint64_t)p.use.cpu_user;
        system += (uint64_t)p.carried_system + (uint64_t)p.use.cpu_system;
    }
    imx_exposition_family(e, "apache_cpu_time_ms", COUNTER,
                          "Processor time of all processes, in milliseconds.");
    imx_exposition_int(e, label(e, "type", "system"), (int64_t)(system / MS));
    imx_exposition_int(e, label(e, "type", "user"), (int64_t)(user / MS));
    imx_exposition_family(e, "apache_cpuload", GAUGE,
                          "Percent of one processor that was used since the "
                          "start.");
    imx_exposition_double(e, "",
                          uptime > 0
                              ? (double)(user + system) / 1e7 / (double)uptime
                              : 0);
}

static void put_load(imx_exposition_t *e)
{
    static const char *const intervals[] = { "1min", "5min", "15min" };
    double load[3];
    int i, n = getloadavg(load, 3);

    imx_exposition_family(e, "apache_load", GAUGE, "The load of the machine.");
    for (i = 0; i < n; i++) {
        imx_exposition_double(e, label(e, "interval", intervals[i]), load[i]);
    }
}

/* ---- workers ---- */

/* Of the workers that there may be, those that there are not.  (The scoreboard
 * has room for more, which httpd does not use.) */
static int64_t open_slots(const imx_view_t *v)
{
    int64_t open = v->facts.workers;
    unsigned i;

    for (i = 0; i < IMX_WORKERS_STATES; i++) {
        open -= i != SERVER_DEAD ? v->workers.state[i] : 0;
    }
    return open > 0 ? open : 0;
}

static void put_states(imx_exposition_t *e, const imx_view_t *v)
{
    const imx_workers_count_t *c = &v->workers;
    static const char *const names[IMX_WORKERS_STATES] = {
        [SERVER_DEAD] = "open_slot",
        [SERVER_STARTING] = "startup",
        [SERVER_READY] = "idle",
        [SERVER_BUSY_READ] = "read",
        [SERVER_BUSY_WRITE] = "reply",
        [SERVER_BUSY_KEEPALIVE] = "keepalive",
        [SERVER_BUSY_LOG] = "logging",
        [SERVER_BUSY_DNS] = "dns",
        [SERVER_CLOSING] = "closing",
        [SERVER_GRACEFUL] = "graceful_stop",
        [SERVER_IDLE_KILL] = "idle_cleanup",
    };
    unsigned i;

    imx_exposition_family(e, "apache_scoreboard", GAUGE,
                          "Workers in each state of the scoreboard.");
    for (i = 0; i < IMX_WORKERS_STATES; i++) {
        imx_exposition_int(e, label(e, "state", names[i]),
                           i == SERVER_DEAD ? open_slots(v) : c->state[i]);
    }
    imx_exposition_family(e, "apache_workers", GAUGE,
                          "Workers that are busy, and that wait.");
    imx_exposition_int(e, label(e, "state", "busy"), c->busy);
    imx_exposition_int(e, label(e, "state", "idle"), c->state[SERVER_READY]);
}

/* mod_status has these of an asynchronous MPM only, and so has the exporter. */
static void put_connections(imx_exposition_t *e, const imx_workers_count_t *c)
{
    if (!imx_workers_is_async()) {
        return;
    }
    imx_exposition_family(e, "apache_connections", GAUGE,
                          "Connections, and what those without a worker wait "
                          "for.");
    imx_exposition_int(e, label(e, "state", "total"), c->connections);
    imx_exposition_int(e, label(e, "state", "writing"), c->writing);
    imx_exposition_int(e, label(e, "state", "keepalive"), c->keepalive);
    imx_exposition_int(e, label(e, "state", "closing"), c->closing);
    imx_exposition_family(e, "apache_processes", GAUGE,
                          "Child processes, and those of them that end.");
    imx_exposition_int(e, label(e, "state", "all"), c->children);
    imx_exposition_int(e, label(e, "state", "stopping"), c->stopping);
}

/* ---- the server ---- */

static int state_of(int what)
{
    int value = ap_state_query(what);

    return value >= 0 ? value : 0;
}

static void put_server(imx_exposition_t *e, int64_t uptime)
{
    ap_version_t version;
    const char *labels = label(e, "mpm", ap_show_mpm());
    int generation = 0;

    ap_get_server_revision(&version);
    ap_mpm_query(AP_MPMQ_GENERATION, &generation);
    imx_exposition_family(e, "apache_up", GAUGE, "The server answers.");
    imx_exposition_int(e, "", 1);
    imx_exposition_family(e, "apache_uptime_seconds", COUNTER,
                          "Time since the counters began.");
    imx_exposition_int(e, "", uptime);
    imx_exposition_family(e, "apache_generation", GAUGE,
                          "Generations of the configuration and of the MPM.");
    imx_exposition_int(e, label(e, "type", "config"),
                       state_of(AP_SQ_CONFIG_GEN));
    imx_exposition_int(e, label(e, "type", "mpm"), generation);
    imx_exposition_family(e, "apache_version", GAUGE,
                          "The version as a number, 2.04071 for 2.4.71.");
    imx_exposition_double(e, "",
                          version.major + version.minor / 1e2
                              + version.patch / 1e5);
    /* It has the type gauge there, as the older form has no other. */
    imx_exposition_family(e, "apache", IMX_EXPOSITION_INFO,
                          "The version and the MPM.");
    imx_exposition_int(e,
                       imx_exposition_label(e, labels, "version",
                                            ap_get_server_description()),
                       1);
}

void imx_apache_exporter_figures(imx_exposition_t *e, const imx_view_t *v)
{
    int64_t uptime = imx_snapshot_seconds(v->snapshot->made, v->snapshot->now);

    put_requests(e);
    put_cpu(e, uptime);
    put_load(e);
    put_states(e, v);
    put_connections(e, &v->workers);
    put_server(e, uptime);
}
