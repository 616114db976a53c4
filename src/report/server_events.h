/*
 * server_events.h: what happened to the server, as points: annotations in
 * Grafana, marks on the status page.
 * httpd's parent tells; the holder's monitor thread puts the points together.
 */
#ifndef IMX_SERVER_EVENTS_H
#define IMX_SERVER_EVENTS_H

#include "httpd.h"
#include "http_core.h"

#include "report/measurement.h"

extern const imx_measurement_t imx_server_events;

/* Parent, in post_config: was started, or restarted.  is_first: the arena was
 * just made. */
void imx_server_events_began(const imx_arena_t *a, int is_first);

/* Parent, its last step. */
void imx_server_events_ended(const imx_arena_t *a);

/* Parent, hook error_log: httpd tells only the log by which signal a child was
 * killed. */
void imx_server_events_read_log(const ap_errorlog_info *info,
                                const char *text);

/* Parent, hook child_status: a child was reaped.  To be called before
 * imx_arena_died(). */
void imx_server_events_reaped(const imx_arena_t *a, pid_t pid, int generation);

/* A child, in child_init: from now on the log is not read. */
void imx_server_events_child_init(void);

/* Holder, each time it looks: at the first one it says that it is the
 * holder. */
void imx_server_events_look(const imx_arena_t *a,
                            const imx_children_self_t *self);

/* Holder: an outage began, or is over. */
void imx_server_events_outage(const imx_arena_t *a, int is_down);

/* Any: what an event is, in a word, as in the tag kind; a sentence about it,
 * which imx_server_events_text() returns the length of. */
#define IMX_SERVER_EVENTS_TEXT 80 /* bytes that are enough */
const char *imx_server_events_kind(const imx_event_t *event);
int imx_server_events_text(const imx_event_t *event, char *text, size_t size);

#endif
