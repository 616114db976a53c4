/*
 * html_hosts.c owns the virtual hosts as HTML; tables.js in src/show/page
 * renews it in the same form.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/html_hosts.h"

#include <stdlib.h>

#include "http_protocol.h"

#include "show/hosts.h"
#include "show/html_text.h"

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
