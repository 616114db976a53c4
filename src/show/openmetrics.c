/*
 * openmetrics.c owns the families about the server, its processes and the
 * module, and which families an answer has.
 * Entered by any thread that serves a request; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/openmetrics.h"

#include "ap_mpm.h"
#include "apr_strings.h"
#include "http_protocol.h"
#include "scoreboard.h"

#include "base/version.h"
#include "report/process_info.h"
#include "shared/figures.h"
#include "shared/health.h"
#include "show/apache_exporter.h"
#include "show/exposition.h"
#include "show/openmetrics_series.h"

#define GAUGE IMX_EXPOSITION_GAUGE
#define COUNTER IMX_EXPOSITION_COUNTER

static void put_gauge(imx_exposition_t *e, const char *name, int64_t value,
                      const char *help)
{
    imx_exposition_family(e, name, GAUGE, help);
    imx_exposition_int(e, "", value);
}

/* ---- the server ---- */

static void put_info(imx_exposition_t *e, const imx_view_t *v)
{
    ap_version_t version;
    const char *labels;

    ap_get_server_revision(&version);
    labels = imx_exposition_label(e, NULL, "version",
                                  apr_psprintf(e->r->pool, "%d.%d.%d",
                                               version.major, version.minor,
                                               version.patch));
    labels = imx_exposition_label(e, labels, "mpm", ap_show_mpm());
    labels = imx_exposition_label(e, labels, "module", IMX_VERSION);
    imx_exposition_family(e, "httpd", IMX_EXPOSITION_INFO,
                          "The version of httpd, its MPM, and the version of "
                          "mod_influx_metrics.");
    imx_exposition_int(e, labels, 1);
    imx_exposition_family(e, "httpd_start_time_seconds", GAUGE,
                          "When the counters began, in seconds since 1970.");
    imx_exposition_seconds(e, "", (uint64_t)v->snapshot->made);
    put_gauge(e, "httpd_generation",
              ap_scoreboard_image->global->running_generation,
              "Restarts since httpd was started.");
}

static void put_workers(imx_exposition_t *e, const imx_view_t *v)
{
    unsigned i;

    imx_exposition_family(e, "httpd_workers", GAUGE,
                          "Workers in each state of the scoreboard.");
    for (i = 0; i < IMX_WORKERS_STATES; i++) {
        imx_exposition_int(e,
                           imx_exposition_label(e, NULL, "state",
                                                imx_workers_state(i)),
                           v->workers.state[i]);
    }
    put_gauge(e, "httpd_workers_busy", v->workers.busy,
              "Workers that are busy, in children that do not end.");
    put_gauge(e, "httpd_workers_limit", v->facts.workers,
              "Workers that there may be.");
    put_gauge(e, "httpd_children", v->workers.children,
              "Child processes, those that end included.");
}

static void put_connections(imx_exposition_t *e, const imx_workers_count_t *c)
{
    const struct {
        const char *state;
        int64_t count;
    } states[] = { { "keepalive", c->keepalive },
                   { "writing", c->writing },
                   { "closing", c->closing },
                   { "wait_io", c->wait_io } };
    size_t i;

    if (!imx_workers_is_async()) {
        return;
    }
    put_gauge(e, "httpd_open_connections", c->connections,
              "Connections that httpd has accepted.");
    imx_exposition_family(e, "httpd_connections", GAUGE,
                          "Connections that hold no worker, by what they wait "
                          "for.");
    for (i = 0; i < sizeof states / sizeof *states; i++) {
        imx_exposition_int(e,
                           imx_exposition_label(e, NULL, "state",
                                                states[i].state),
                           states[i].count);
    }
}

static void put_listeners(imx_exposition_t *e)
{
    imx_workers_listener_t listeners[IMX_WORKERS_LISTENERS_MAX];
    unsigned count = imx_workers_listeners(listeners), i;

    imx_exposition_family(e, "httpd_listen_queue", GAUGE,
                          "Connections that wait for a worker.");
    for (i = 0; i < count; i++) {
        imx_exposition_int(e,
                           imx_exposition_label(e, NULL, "listener",
                                                listeners[i].address),
                           listeners[i].waiting);
    }
    imx_exposition_family(e, "httpd_listen_queue_limit", GAUGE,
                          "How many connections can wait for a worker.");
    for (i = 0; i < count; i++) {
        imx_exposition_int(e,
                           imx_exposition_label(e, NULL, "listener",
                                                listeners[i].address),
                           listeners[i].limit);
    }
}

/* ---- processes ---- */

typedef struct {
    const char *labels;
    imx_process_t p;
} process_t;

static unsigned find_processes(imx_exposition_t *e, const imx_view_t *v,
                               process_t **processes)
{
    const imx_arena_t *a = imx_view_arena();
    char name[IMX_PROCESS_INFO_NAME_MAX];
    unsigned count = 0;
    imx_process_t p;
    uint32_t slot;

    *processes = apr_palloc(e->r->pool,
                            (a->processes.children + 1) * sizeof **processes);
    for (slot = 0; slot <= a->processes.children; slot++) {
        if (imx_process_info_get(a, slot, v->snapshot->tick, &p)) {
            imx_process_info_name(name, sizeof name, a, &p, slot);
            (*processes)[count].labels = imx_exposition_label(e, NULL,
                                                              "process", name);
            (*processes)[count++].p = p;
        }
    }
    return count;
}

/* What processes before it in the same place had used is in it: no child that
 * is replaced sets it back. */
static void put_cpu(imx_exposition_t *e, const process_t *processes,
                    unsigned count)
{
    unsigned i;

    imx_exposition_family(e, "httpd_process_cpu_seconds", COUNTER,
                          "Processor time of each process of httpd, with that "
                          "of processes that it has replaced.");
    for (i = 0; i < count; i++) {
        const imx_process_t *p = &processes[i].p;

        imx_exposition_seconds(e,
                               imx_exposition_label(e, processes[i].labels,
                                                    "mode", "user"),
                               (uint64_t)p->carried_user
                                   + (uint64_t)p->use.cpu_user);
        imx_exposition_seconds(e,
                               imx_exposition_label(e, processes[i].labels,
                                                    "mode", "system"),
                               (uint64_t)p->carried_system
                                   + (uint64_t)p->use.cpu_system);
    }
}

/* A number that there is none of is -1. */
static void put_of_processes(imx_exposition_t *e, const process_t *processes,
                             unsigned count, const char *name, size_t number,
                             const char *help)
{
    unsigned i;
    int64_t value;

    imx_exposition_family(e, name, GAUGE, help);
    for (i = 0; i < count; i++) {
        memcpy(&value, (const char *)&processes[i].p + number, sizeof value);
        if (value >= 0) {
            imx_exposition_int(e, processes[i].labels, value);
        }
    }
}

static void put_processes(imx_exposition_t *e, const imx_view_t *v)
{
    process_t *processes;
    unsigned count = find_processes(e, v, &processes);

    put_cpu(e, processes, count);
    put_of_processes(e, processes, count,
                     "httpd_process_resident_memory_bytes",
                     offsetof(imx_process_t, rss),
                     "Resident memory of each process of httpd.");
    put_of_processes(e, processes, count, "httpd_process_threads",
                     offsetof(imx_process_t, threads),
                     "Threads of each process of httpd.");
    put_of_processes(e, processes, count, "httpd_process_open_fds",
                     offsetof(imx_process_t, fds),
                     "Open files of each child of httpd.");
}

/* ---- the module ---- */

static int64_t number_of(const char *name, const imx_snapshot_t *s)
{
    return imx_figures_find(name)->get(s).number;
}

/* Figures that are shown as they are, under another name where the unit has to
 * stand at the end. */
static const struct {
    const char *figure, *name;
} figures[] = {
    { "points_recorded", "influx_metrics_recorded_points" },
    { "points_repeated", "influx_metrics_repeated_points" },
    { "points_pending", "influx_metrics_pending_points" },
    { "points_spooled", "influx_metrics_spooled_points" },
    { "outage", "influx_metrics_outage_seconds" },
    { "holder_silent", "influx_metrics_holder_silent_seconds" },
    { "buffer_size", "influx_metrics_buffer_bytes" },
    { "buffer_used", "influx_metrics_buffer_used_bytes" },
    { "spool_bytes", "influx_metrics_spool_bytes" },
    { "values_left_out", "influx_metrics_values_left_out" },
    { "tag_values_other", "influx_metrics_tag_values_other" },
};

static void put_figures(imx_exposition_t *e, const imx_snapshot_t *s)
{
    size_t i;

    for (i = 0; i < sizeof figures / sizeof *figures; i++) {
        const imx_figures_row_t *row = imx_figures_find(figures[i].figure);
        int counts = row->kind == IMX_FIGURES_COUNTER;

        imx_exposition_family(e, figures[i].name, counts ? COUNTER : GAUGE,
                              row->help);
        imx_exposition_int(e, "", row->get(s).number);
        if (counts) {
            imx_exposition_created(e, "", s->made);
        }
    }
}

static void put_fates(imx_exposition_t *e, const imx_snapshot_t *s)
{
    static const char *const fates[][2] = { { "sent", "points_sent" },
                                            { "rejected", "points_rejected" },
                                            { "dropped", "points_dropped" } };
    size_t i;

    imx_exposition_family(e, "influx_metrics_points", COUNTER,
                          "Points by what became of them: sent to InfluxDB, "
                          "rejected by it, or dropped by the module.");
    for (i = 0; i < sizeof fates / sizeof *fates; i++) {
        const char *labels = imx_exposition_label(e, NULL, "fate",
                                                  fates[i][0]);

        imx_exposition_int(e, labels, number_of(fates[i][1], s));
        imx_exposition_created(e, labels, s->made);
    }
}

static void put_module(imx_exposition_t *e, const imx_snapshot_t *s)
{
    put_gauge(e, "influx_metrics_up", imx_health_of(s) > IMX_HEALTH_OUTAGE,
              "Whether InfluxDB takes points, 1 or 0.");
    put_fates(e, s);
    put_figures(e, s);
}

/* ---- the answer ---- */

/* The value of a word of the query, "name=value"; "" when it is not there. */
static const char *argument(request_rec *r, const char *name)
{
    size_t length = strlen(name);
    const char *word = r->args != NULL ? r->args : "";

    for (; word != NULL; word = strchr(word, '&')) {
        word += *word == '&';
        if (strncmp(word, name, length) == 0 && word[length] == '=') {
            word += length + 1;
            return apr_pstrmemdup(r->pool, word, strcspn(word, "&"));
        }
    }
    return "";
}

static unsigned buckets_of(request_rec *r)
{
    const char *n = argument(r, "buckets");

    return strcmp(n, "8") == 0 || strcmp(n, "4") == 0 || strcmp(n, "1") == 0
               ? (unsigned)(n[0] - '0')
               : 2;
}

void imx_openmetrics_figures(request_rec *r, const imx_snapshot_t *s)
{
    const imx_view_t *v = imx_view_of(r, s);
    imx_exposition_t e;

    imx_exposition_begin(&e, r);
    if (strcmp(argument(r, "compat"), "apache_exporter") == 0) {
        imx_apache_exporter_figures(&e, v);
    }
    else {
        imx_openmetrics_series(&e, v, buckets_of(r));
        put_info(&e, v);
        put_workers(&e, v);
        put_connections(&e, &v->workers);
        put_listeners(&e);
        put_processes(&e, v);
        put_module(&e, s);
    }
    imx_exposition_end(&e);
}

void imx_openmetrics_sentence(request_rec *r, const char *sentence)
{
    ap_rvputs(r, "# ", sentence, "\n", NULL);
}
