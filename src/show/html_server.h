/*
 * html_server.h: what the page says of the server: its workers, the requests
 * that run for long, its processes.  Any thread.
 */
#ifndef IMX_HTML_SERVER_H
#define IMX_HTML_SERVER_H

#include "show/view.h"

void imx_html_server_tile_busy(request_rec *r, const imx_view_t *v);
void imx_html_server_note_busy(request_rec *r, const imx_view_t *v);
void imx_html_server_workers(request_rec *r, const imx_view_t *v);
void imx_html_server_tile_slow(request_rec *r, const imx_view_t *v);
void imx_html_server_note_slow(request_rec *r, const imx_view_t *v);
void imx_html_server_slow(request_rec *r, const imx_view_t *v);
void imx_html_server_processes(request_rec *r, const imx_view_t *v);

#endif
