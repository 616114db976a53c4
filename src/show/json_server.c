/*
 * json_server.c owns the JSON about the server: what is wrong, which server it
 * is, what its workers and its processes do.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/json_server.h"

#include "http_protocol.h"
#include "scoreboard.h"

#include "config/config.h"
#include "show/json_value.h"
#include "show/server_rows.h"

#define SECOND INT64_C(1000000000)

/* ---- words ---- */

void imx_json_server_words(request_rec *r, const imx_view_t *v)
{
    unsigned i;

    ap_rputs("\"words\":[", r);
    for (i = 0; i < v->verdict.count; i++) {
        const imx_verdict_word_t *word = &v->verdict.words[i];

        ap_rvputs(r, i > 0 ? "," : "", "{\"level\":\"",
                  imx_verdict_level(word->level),
                  "\",\"what\":", imx_json_value_string(r, word->what),
                  ",\"todo\":", imx_json_value_string(r, word->todo),
                  ",\"id\":\"", word->id, "\"}", NULL);
    }
    ap_rputs("]", r);
}

/* ---- httpd ---- */

void imx_json_server_httpd(request_rec *r, const imx_view_t *v)
{
    ap_version_t version;

    ap_get_server_revision(&version);
    ap_rvputs(r, "\"httpd\":{\"name\":",
              imx_json_value_string(r, imx_config_global()->hostname),
              ",\"version\":", NULL);
    ap_rprintf(r, "\"Apache/%d.%d.%d\",\"mpm\":\"%s\"", version.major,
               version.minor, version.patch, ap_show_mpm());
    imx_json_value_int(r, "started", v->snapshot->made / SECOND);
    imx_json_value_int(r, "generation",
                       ap_scoreboard_image->global->running_generation);
    ap_rputs("}", r);
}

/* ---- workers ---- */

/* Only event knows of connections that hold no worker. */
static void put_connections(request_rec *r, const imx_workers_count_t *c)
{
    if (!imx_workers_is_async()) {
        ap_rputs(",\"connections\":null", r);
        return;
    }
    ap_rprintf(r, ",\"connections\":{\"total\":%" APR_INT64_T_FMT,
               (apr_int64_t)c->connections);
    imx_json_value_int(r, "keepalive", c->keepalive);
    imx_json_value_int(r, "writing", c->writing);
    imx_json_value_int(r, "closing", c->closing);
    imx_json_value_int(r, "wait_io", c->wait_io);
    ap_rputs("}", r);
}

void imx_json_server_workers(request_rec *r, const imx_view_t *v)
{
    const imx_workers_count_t *c = &v->workers;
    unsigned i;

    ap_rputs("\"workers\":{\"states\":{", r);
    for (i = 0; i < IMX_WORKERS_STATES; i++) {
        ap_rprintf(r, "%s\"%s\":%" APR_INT64_T_FMT, i > 0 ? "," : "",
                   imx_server_rows_state(i), (apr_int64_t)c->state[i]);
    }
    ap_rputs("}", r);
    imx_json_value_int(r, "max", v->facts.workers);
    imx_json_value_int(r, "busy", c->busy);
    imx_json_value_share(r, "capacity_utilization", v->facts.utilization);
    imx_json_value_known(r, "in_flight", v->snapshot->in_flight);
    imx_json_value_known(r, "listen_queue", v->facts.queue);
    imx_json_value_known(r, "listen_limit", v->facts.queue_limit);
    put_connections(r, c);
    ap_rputs("}", r);
}

/* ---- processes ---- */

static void put_process(request_rec *r, const imx_server_rows_process_t *p)
{
    ap_rvputs(r, "{\"process\":", imx_json_value_string(r, p->name),
              ",\"type\":\"", p->is_parent ? "parent" : "child", "\"", NULL);
    imx_json_value_int(r, "pid", p->pid);
    imx_json_value_share(r, "cpu_user", p->cpu_user);
    imx_json_value_share(r, "cpu_system", p->cpu_system);
    imx_json_value_known(r, "memory_rss", p->rss);
    imx_json_value_known(r, "threads", p->threads);
    imx_json_value_known(r, "fds", p->fds);
    imx_json_value_known(r, "requests", p->requests);
    imx_json_value_known(r, "busy", p->busy);
    imx_json_value_int(r, "age", p->age);
    ap_rputs("}", r);
}

void imx_json_server_processes(request_rec *r, const imx_view_t *v)
{
    uint32_t rows = imx_server_rows_processes(), row;
    imx_server_rows_process_t p;
    const char *comma = "";

    ap_rputs("\"processes\":[", r);
    for (row = 0; row < rows; row++) {
        if (imx_server_rows_process(v, row, &p)) {
            ap_rputs(comma, r);
            put_process(r, &p);
            comma = ",";
        }
    }
    ap_rputs("]", r);
}
