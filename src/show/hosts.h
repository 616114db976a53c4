/*
 * hosts.h: the table of virtual hosts: what each of them did in the last ten
 * seconds.
 * Any thread that serves a request; waits for nobody.
 */
#ifndef IMX_HOSTS_H
#define IMX_HOSTS_H

#include "shared/arena.h"

typedef struct {
    char name[IMX_SERIES_NAME_MAX + 1]; /* as it is: escape it */
    uint32_t host;                      /* its number in history.h */
    double requests, errors;            /* a second; errors: 5xx */
    double p50, p95, p99;               /* s; -1: it had no requests */
    double busy; /* its part of all hosts' request_time, 0 .. 1 */
    uint64_t requests_total, errors_total; /* since the arena was made */
} imx_hosts_row_t;

/* A child, before its first request. */
void imx_hosts_use(const imx_arena_t *arena);

/* Fills rows, in the order of the configuration; "other" only where it had
 * requests.  Returns how many there are. */
uint32_t imx_hosts_get(imx_hosts_row_t rows[IMX_HISTORY_HOSTS]);

/* All of them together, in a row without a name. */
void imx_hosts_all(imx_hosts_row_t *all);

#endif
