/*
 * html_hosts.h: what the page says of the requests of the last ten seconds: of
 * all in tiles, of each virtual host in a row; and whether they kept their
 * objectives.  Any thread.
 */
#ifndef IMX_HTML_HOSTS_H
#define IMX_HTML_HOSTS_H

#include "show/view.h"

void imx_html_hosts_tile_requests(request_rec *r, const imx_view_t *v);
void imx_html_hosts_tile_errors(request_rec *r, const imx_view_t *v);
void imx_html_hosts_tile_p50(request_rec *r, const imx_view_t *v);
void imx_html_hosts_tile_p99(request_rec *r, const imx_view_t *v);
/* A tile of its own; hidden when no virtual host has an objective. */
void imx_html_hosts_objective(request_rec *r, const imx_view_t *v);
void imx_html_hosts(request_rec *r, const imx_view_t *v);

#endif
