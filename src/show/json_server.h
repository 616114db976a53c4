/*
 * json_server.h: the server's objects of JSON: words, httpd, workers,
 * processes.
 */
#ifndef IMX_JSON_SERVER_H
#define IMX_JSON_SERVER_H

#include "show/view.h"

/* Each writes `"name":value` to r, without a comma; any thread. */
void imx_json_server_words(request_rec *r, const imx_view_t *v);
void imx_json_server_httpd(request_rec *r, const imx_view_t *v);
void imx_json_server_workers(request_rec *r, const imx_view_t *v);
void imx_json_server_processes(request_rec *r, const imx_view_t *v);

#endif
