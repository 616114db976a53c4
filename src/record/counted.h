/*
 * counted.h: every request that has ended is counted, in the series of its
 * virtual host, or of its route where the host has routes: also those that have
 * no point of their own.
 * prepare: the parent, in post_config.  Else: any thread of a child.
 */
#ifndef IMX_COUNTED_H
#define IMX_COUNTED_H

#include "config/schema.h"
#include "record/marks.h"
#include "shared/series.h"
#include "shared/stats.h"

/* Parent: how many series the configuration of all servers from s on has. */
unsigned imx_counted_names(const server_rec *s);

/* Parent: gives each virtual host the numbers of its series.  Returns how many
 * names found no place, and are counted as "other". */
unsigned imx_counted_prepare(apr_pool_t *pconf, server_rec *s,
                             const imx_series_t *series);

/* A child, before its first request; stats is borrowed for the child's life. */
void imx_counted_use(const imx_stats_t *stats, unsigned slot);

/* Where requests of this virtual host and route are counted. */
imx_stats_cell_t *imx_counted_cell(const imx_schema_server_t *server,
                                   int route);

/* The fields that are counted of every request, also where no point has them:
 * bits. */
unsigned imx_counted_fields(void);

/* Is more to be counted of requests that end here than what is counted of
 * all? */
int imx_counted_has_more(const imx_schema_dir_t *dir);

/* Counts a request: what is counted of all; and what besides, where has_more
 * says so. */
void imx_counted_add(imx_stats_cell_t *cell, const imx_facts_t *f);
void imx_counted_add_more(imx_stats_cell_t *cell, const imx_facts_t *f,
                          const imx_schema_dir_t *dir);

#endif
