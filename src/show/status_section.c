/*
 * status_section.c owns what mod_status' page says of this module: HTML, and
 * lines for ?auto.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 *
 * In ?auto each line is "Name: value", as all of mod_status' lines are, and has
 * a name of its own.
 */
#include "show/status_section.h"

#include "httpd.h"
#include "http_protocol.h"
#include "apr_optional_hooks.h"
#include "apr_strings.h"
#include "mod_status.h"

#include "base/words.h"
#include "config/config.h"
#include "shared/figures.h"
#include "show/hosts.h"
#include "show/html_text.h"
#include "show/view.h"

static const struct {
    const char *figure, *name; /* in ?auto */
} figures[] = {
    { "points_recorded", "Recorded" }, { "points_sent", "Sent" },
    { "points_rejected", "Refused" },  { "points_dropped", "Lost" },
    { "points_pending", "Pending" },   { "points_spooled", "Spooled" },
};

/* ---- ?auto ---- */

static void short_host(request_rec *r, const imx_hosts_row_t *h, unsigned i)
{
    ap_rprintf(r, "InfluxServer[%u]Name: ", i);
    ap_rvputs(r, imx_html_line(r, h->name), "\n", NULL);
    ap_rprintf(r,
               "InfluxServer[%u]Requests: %" APR_UINT64_T_FMT
               "\n"
               "InfluxServer[%u]Errors: %" APR_UINT64_T_FMT "\n",
               i, (apr_uint64_t)h->requests_total, i,
               (apr_uint64_t)h->errors_total);
    if (h->p50 >= 0) {
        ap_rprintf(r,
                   "InfluxServer[%u]P50: %.6f\n"
                   "InfluxServer[%u]P95: %.6f\n"
                   "InfluxServer[%u]P99: %.6f\n",
                   i, h->p50, i, h->p95, i, h->p99);
    }
}

static void write_short(request_rec *r, const imx_view_t *v,
                        const imx_hosts_row_t *hosts, unsigned count)
{
    const imx_verdict_t *verdict = &v->verdict;
    unsigned i;

    ap_rvputs(r, "InfluxLevel: ", imx_verdict_level(verdict->words[0].level),
              "\nInfluxWords:", NULL);
    for (i = 0; i < verdict->count; i++) {
        ap_rvputs(r, " ", imx_html_line(r, verdict->words[i].what), NULL);
    }
    ap_rputs("\n", r);
    for (i = 0; i < sizeof figures / sizeof *figures; i++) {
        ap_rprintf(r, "InfluxPoints%s: %" APR_INT64_T_FMT "\n",
                   figures[i].name,
                   (apr_int64_t)imx_figures_find(figures[i].figure)
                       ->get(v->snapshot)
                       .number);
    }
    for (i = 0; i < count; i++) {
        short_host(r, &hosts[i], i);
    }
}

/* ---- HTML ---- */

static void write_words(request_rec *r, const imx_verdict_t *verdict)
{
    unsigned i;

    for (i = 0; i < verdict->count; i++) {
        const imx_verdict_word_t *word = &verdict->words[i];

        ap_rvputs(r, "<p><b>", imx_verdict_level(word->level), ":</b> ",
                  ap_escape_html(r->pool, word->what), " ",
                  ap_escape_html(r->pool, word->todo), " ", word->id, "</p>\n",
                  NULL);
    }
}

static void write_points(request_rec *r, const imx_snapshot_t *s)
{
    char number[IMX_WORDS_SHORT];
    size_t i;

    ap_rputs("<dl>\n", r);
    for (i = 0; i < sizeof figures / sizeof *figures; i++) {
        const imx_figures_row_t *row = imx_figures_find(figures[i].figure);

        imx_words_number(number, sizeof number, row->get(s).number);
        ap_rvputs(r, "<dt>", row->label, ": ", number, "</dt>\n", NULL);
    }
    ap_rputs("</dl>\n", r);
}

/* In milliseconds; nothing when it had no requests. */
static const char *duration(request_rec *r, double seconds)
{
    return seconds >= 0 ? apr_psprintf(r->pool, "%.3f", seconds * 1000) : "";
}

static void write_host(request_rec *r, const imx_hosts_row_t *h)
{
    char requests[IMX_WORDS_SHORT], errors[IMX_WORDS_SHORT];

    imx_words_number(requests, sizeof requests, (int64_t)h->requests_total);
    imx_words_number(errors, sizeof errors, (int64_t)h->errors_total);
    ap_rvputs(r, "<tr><td>", ap_escape_html(r->pool, h->name), "</td><td>",
              requests, "</td><td>", errors, "</td><td>",
              apr_psprintf(r->pool, "%.1f", h->requests), "</td><td>",
              duration(r, h->p50), "</td><td>", duration(r, h->p95),
              "</td><td>", duration(r, h->p99), "</td></tr>\n", NULL);
}

static void write_hosts(request_rec *r, const imx_hosts_row_t *hosts,
                        unsigned count)
{
    unsigned i;

    ap_rputs(
        "<table border=\"0\"><tr><th>Server</th><th>Requests</th>"
        "<th>5xx</th><th>a second</th><th>p50 ms</th><th>p95 ms</th>"
        "<th>p99 ms</th></tr>\n",
        r);
    for (i = 0; i < count; i++) {
        write_host(r, &hosts[i]);
    }
    ap_rputs(
        "</table>\n<p>Requests a second and percentiles are of the last "
        "10 seconds.</p>\n",
        r);
}

static void write_html(request_rec *r, const imx_view_t *v,
                       const imx_hosts_row_t *hosts, unsigned count, int flags)
{
    ap_rputs("<hr />\n<h2>Metrics for InfluxDB</h2>\n", r);
    write_words(r, &v->verdict);
    write_points(r, v->snapshot);
    if (!(flags & AP_STATUS_NOTABLE)) {
        write_hosts(r, hosts, count);
    }
}

static int section(request_rec *r, int flags)
{
    imx_snapshot_inputs_t from = { imx_view_arena(),
                                   imx_config_global()->influx.url };
    imx_hosts_row_t *hosts;
    imx_snapshot_t *s;
    const imx_view_t *v;
    unsigned count;

    if (from.arena == NULL) {
        return DECLINED;
    }
    s = apr_palloc(r->pool, sizeof *s);
    hosts = apr_palloc(r->pool, IMX_HISTORY_HOSTS * sizeof *hosts);
    imx_snapshot_take(s, &from);
    v = imx_view_of(r, s);
    count = imx_hosts_get(hosts);
    if (flags & AP_STATUS_SHORT) {
        write_short(r, v, hosts, count);
    }
    else {
        write_html(r, v, hosts, count, flags);
    }
    return OK;
}

void imx_status_section_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, section, NULL, NULL, APR_HOOK_MIDDLE);
}
