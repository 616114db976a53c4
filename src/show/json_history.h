/*
 * json_history.h: what of the history goes into the answers ?json,
 * ?json&since=N and ?json&history.  docs/status-page.md has their form.
 */
#ifndef IMX_JSON_HISTORY_H
#define IMX_JSON_HISTORY_H

#include "httpd.h"

#include "shared/arena.h"
#include "show/objectives.h"

/* A child, before its first request. */
void imx_json_history_use(const imx_arena_t *arena);

/* Any thread: is ?json&history asked for; the whole answer to it. */
int imx_json_history_is_asked(const request_rec *r);
void imx_json_history(request_rec *r);

/* Any thread: the members of ?json, each with a comma before it: sequence,
 * time, hosts, and with since=N the seconds behind N.  o: NULL: no host has an
 * objective. */
void imx_json_history_now(request_rec *r, const imx_objectives_t *o);

#endif
