/*
 * json.h: the figures as one object of JSON, name: value, and beside them what
 * is wrong, the server, its workers and processes.  Numbers are numbers, times
 * are seconds since 1970.
 */
#ifndef IMX_JSON_H
#define IMX_JSON_H

#include "httpd.h"

#include "shared/snapshot.h"

/* Both write the body of the answer to r; any thread. */
void imx_json_figures(request_rec *r, const imx_snapshot_t *s);

/* {"error": "a sentence"} */
void imx_json_sentence(request_rec *r, const char *sentence);

#endif
