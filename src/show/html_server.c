/*
 * html_server.c owns the server's workers, slow requests and processes as HTML;
 * tables.js in src/show/page renews it in the same form.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/html_server.h"

#include "apr_strings.h"
#include "http_protocol.h"
#include "scoreboard.h"

#include "show/html_text.h"
#include "show/server_rows.h"

/* ---- workers ---- */

void imx_html_server_tile_busy(request_rec *r, const imx_view_t *v)
{
    double max = (double)v->facts.workers;

    ap_rputs(imx_html_percent(r, max > 0 ? (double)v->workers.busy / max : -1),
             r);
}

void imx_html_server_note_busy(request_rec *r, const imx_view_t *v)
{
    ap_rvputs(r, "of ", imx_html_number(r, v->facts.workers), ", ",
              v->facts.queue < 0 ? "queue unknown"
                                 : imx_html_number(r, v->facts.queue),
              v->facts.queue < 0 ? "" : " waiting", NULL);
}

static void pair(request_rec *r, const char *name, const char *value)
{
    ap_rvputs(r, "<div><dt>", name, "</dt><dd>", value, "</dd></div>\n", NULL);
}

static void write_queue(request_rec *r, const imx_verdict_facts_t *f)
{
    const char *text = imx_html_number(r, f->queue);

    if (f->queue >= 0 && f->queue_limit > 0) {
        text = apr_pstrcat(r->pool, text, " of ",
                           imx_html_number(r, f->queue_limit), NULL);
    }
    pair(r, "wait for a worker", text);
}

/* "idle_cleanup" is a name for programs. */
static const char *state_text(request_rec *r, unsigned state)
{
    char *name = apr_pstrdup(r->pool, imx_server_rows_state(state)), *c;

    for (c = name; *c != '\0'; c++) {
        *c = *c == '_' ? ' ' : *c;
    }
    return name;
}

void imx_html_server_workers(request_rec *r, const imx_view_t *v)
{
    const imx_workers_count_t *c = &v->workers;
    unsigned i;

    for (i = 0; i < IMX_WORKERS_STATES; i++) {
        if (i != SERVER_DEAD) { /* places without a worker */
            pair(r, state_text(r, i), imx_html_number(r, c->state[i]));
        }
    }
    if (v->snapshot->in_flight >= 0) {
        pair(r, "requests running",
             imx_html_number(r, v->snapshot->in_flight));
    }
    pair(r, "used of all", imx_html_percent(r, v->facts.utilization));
    write_queue(r, &v->facts);
    if (imx_workers_is_async()) {
        pair(r, "connections", imx_html_number(r, c->connections));
        pair(r, "... keep-alive", imx_html_number(r, c->keepalive));
        pair(r, "... writing", imx_html_number(r, c->writing));
        pair(r, "... closing", imx_html_number(r, c->closing));
    }
}

/* ---- requests that run for long ---- */

static double elapsed(const imx_snapshot_t *s, unsigned i)
{
    return (double)s->slow.of[i].elapsed / 1e9;
}

void imx_html_server_tile_slow(request_rec *r, const imx_view_t *v)
{
    ap_rputs(imx_html_number(r, v->snapshot->slow.count), r);
}

void imx_html_server_note_slow(request_rec *r, const imx_view_t *v)
{
    const imx_snapshot_t *s = v->snapshot;

    if (s->slow.count == 0) {
        ap_rputs("none", r);
    }
    else {
        ap_rvputs(r, "oldest ", imx_html_taken(r, elapsed(s, 0)), NULL);
    }
}

/* From 10 s on it is said in red. */
static void write_slow(request_rec *r, const imx_snapshot_t *s, unsigned i)
{
    const imx_slow_request_t *slow = &s->slow.of[i].request;
    const char *path = slow->path[0] != '\0' ? imx_html_text(r, slow->path)
                                             : "-";

    ap_rvputs(r, elapsed(s, i) >= 10 ? "<tr><td class=\"bad\">" : "<tr><td>",
              imx_html_taken(r, elapsed(s, i)), "</td><td>",
              imx_html_text(r, slow->method), "</td><td>",
              imx_html_text(r, s->slow_servers[i]), "</td><td title=\"", path,
              "\">", path, "</td><td>", imx_slow_wait(slow->wait),
              "</td></tr>\n", NULL);
}

void imx_html_server_slow(request_rec *r, const imx_view_t *v)
{
    unsigned i;

    for (i = 0; i < v->snapshot->slow.count; i++) {
        write_slow(r, v->snapshot, i);
    }
}

/* ---- processes ---- */

static void write_process(request_rec *r, const imx_server_rows_process_t *p,
                          pid_t holder)
{
    const char *cpu = p->cpu_user < 0
                          ? "-"
                          : apr_psprintf(r->pool, "%.2f",
                                         p->cpu_user + p->cpu_system);

    ap_rvputs(r, "<tr><td>", imx_html_text(r, p->name),
              p->pid == holder ? " *" : "", "</td>", NULL);
    ap_rprintf(r, "<td>%ld</td>", (long)p->pid);
    ap_rvputs(r, "<td>", cpu, "</td><td>", imx_html_bytes(r, p->rss),
              "</td><td>", imx_html_number(r, p->busy), "</td><td>",
              imx_html_number(r, p->fds), "</td><td>",
              imx_html_number(r, p->requests), "</td><td>",
              imx_html_taken(r, (double)p->age), "</td></tr>\n", NULL);
}

void imx_html_server_processes(request_rec *r, const imx_view_t *v)
{
    uint32_t rows = imx_server_rows_processes(), row;
    imx_server_rows_process_t p;

    for (row = 0; row < rows; row++) {
        if (imx_server_rows_process(v, row, &p)) {
            write_process(r, &p, v->snapshot->holder);
        }
    }
}
