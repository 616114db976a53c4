/*
 * html_hosts.c owns the virtual hosts as HTML; tables.js in src/show/page
 * renews it in the same form.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/html_hosts.h"

#include <math.h>
#include <stdlib.h>

#include "apr_strings.h"
#include "http_protocol.h"

#include "show/hosts.h"
#include "show/html_text.h"

#define HOUR 3540 /* seconds that are called an hour */

/* ---- all of them, in tiles ---- */

void imx_html_hosts_tile_requests(request_rec *r, const imx_view_t *v)
{
    imx_hosts_row_t all;

    (void)v;
    imx_hosts_all(&all);
    ap_rputs(imx_html_rate(r, all.requests), r);
}

static double error_share(const imx_hosts_row_t *row)
{
    return row->requests > 0 ? row->errors / row->requests : 0;
}

void imx_html_hosts_tile_errors(request_rec *r, const imx_view_t *v)
{
    imx_hosts_row_t all;

    (void)v;
    imx_hosts_all(&all);
    ap_rputs(imx_html_percent(r, error_share(&all)), r);
}

void imx_html_hosts_tile_p50(request_rec *r, const imx_view_t *v)
{
    imx_hosts_row_t all;

    (void)v;
    imx_hosts_all(&all);
    ap_rputs(imx_html_taken(r, all.p50), r);
}

void imx_html_hosts_tile_p99(request_rec *r, const imx_view_t *v)
{
    imx_hosts_row_t all;

    (void)v;
    imx_hosts_all(&all);
    ap_rputs(imx_html_taken(r, all.p99), r);
}

/* ---- their objectives ---- */

/* "Objective 500 ms, 99.9 %", as far as it is the same for all. */
static void write_goal(request_rec *r, const imx_objective_t *goal)
{
    if (goal->ns > 0) {
        ap_rvputs(r, " ", imx_html_taken(r, (double)goal->ns / 1e9), NULL);
    }
    if (goal->percent > 0) {
        ap_rvputs(r, goal->ns > 0 ? ", " : " ",
                  imx_html_digits(r, goal->percent, 10), " %", NULL);
    }
}

/* Three places, rounded down: 100 % are all of them. */
static const char *kept(request_rec *r, const imx_objectives_span_t *span)
{
    double good = (double)span->good, total = (double)span->total;

    return total > 0
               ? apr_pstrcat(r->pool,
                             imx_html_digits(r, floor(good * 1e5 / total) / 1e3,
                                             6),
                             " %", NULL)
               : "-";
}

static const char *whole(request_rec *r, uint32_t seconds)
{
    return seconds < 60 ? apr_psprintf(r->pool, "%u s", (unsigned)seconds)
                        : imx_html_taken(r, seconds);
}

static const char *burn(request_rec *r, const imx_objectives_span_t *span)
{
    return imx_html_rate(r, imx_objectives_burn(span));
}

static int burns(const imx_objectives_row_t *all)
{
    return imx_objectives_burn(&all->spans[0]) > IMX_VERDICT_BURN
           && imx_objectives_burn(&all->spans[1]) > IMX_VERDICT_BURN;
}

void imx_html_hosts_objective(request_rec *r, const imx_view_t *v)
{
    static const imx_objectives_t none = { .seconds = { 0, 0 } };
    const imx_objectives_t *o = v->objectives != NULL ? v->objectives : &none;
    const imx_objectives_row_t *all = &o->all;
    const uint32_t *seconds = o->seconds;

    ap_rvputs(r, "<div id=\"objective\"", burns(all) ? " class=\"bad\"" : "",
              v->objectives == NULL ? " hidden" : "", "><dt>Objective", NULL);
    write_goal(r, &all->goal);
    ap_rvputs(r, "</dt><dd class=\"big\" id=\"tile-objective\">",
              kept(r, &all->spans[IMX_OBJECTIVES_HOUR]),
              "</dd><dd id=\"note-objective\">in the last ",
              seconds[IMX_OBJECTIVES_HOUR] < HOUR
                  ? whole(r, seconds[IMX_OBJECTIVES_HOUR])
                  : "hour",
              ", burn rate ", burn(r, &all->spans[IMX_OBJECTIVES_HOUR]), "; ",
              burn(r, &all->spans[IMX_OBJECTIVES_MINUTES5]), " in the last ",
              whole(r, seconds[IMX_OBJECTIVES_MINUTES5]), "</dd></div>", NULL);
}

/* ---- a row each ---- */

static int most_requests_first(const void *a, const void *b)
{
    double x = ((const imx_hosts_row_t *)a)->requests;
    double y = ((const imx_hosts_row_t *)b)->requests;

    return (x < y) - (x > y);
}

static void write_row(request_rec *r, const imx_hosts_row_t *row)
{
    const char *name = imx_html_text(r, row->name);
    double share = error_share(row);

    ap_rvputs(r, "<tr><td title=\"", name, "\">", name, "</td><td>",
              imx_html_rate(r, row->requests),
              share >= 0.01 ? "</td><td class=\"bad\">" : "</td><td>",
              imx_html_percent(r, share), "</td><td>",
              imx_html_taken(r, row->p50), "</td><td>",
              imx_html_taken(r, row->p95), "</td><td>",
              imx_html_taken(r, row->p99), "</td><td>",
              imx_html_percent(r, row->busy), NULL);
    ap_rprintf(r,
               "<meter aria-hidden=\"true\" value=\"%.3f\"></meter></td>"
               "</tr>\n",
               row->busy);
}

void imx_html_hosts(request_rec *r, const imx_view_t *v)
{
    imx_hosts_row_t *rows = apr_palloc(r->pool,
                                       IMX_HISTORY_HOSTS * sizeof *rows);
    uint32_t n = imx_hosts_get(rows), i;

    (void)v;
    qsort(rows, n, sizeof *rows, most_requests_first);
    for (i = 0; i < n; i++) {
        write_row(r, &rows[i]);
    }
}
