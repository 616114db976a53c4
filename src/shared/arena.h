/*
 * arena.h: the memory that httpd's parent and all children share: one mapping,
 * at the same address in every process, made of named, versioned parts.
 *
 *   header | children | lease | board | batch | lines | values | processes
 *   | slow | events | series | stats | exemplars | intervals | intake
 *   | queried | history
 *
 * Each part begins at a page.  The header says which parts there are, where and
 * in which version, for whoever looks at the memory (a debugger, a test).  No
 * code finds a part by it: everybody can write there.  imx_arena_t, in private
 * memory, has all pointers and sizes; the parent makes it before it forks.
 *
 * A new part is a row in the table in arena.c and a view in imx_arena_t.  A
 * change of a part's layout is another version of it.  A module with other
 * versions, after an upgrade by graceful restart, makes an arena of its own:
 * imx_arena_layout() is part of the name under which the parent keeps it.
 */
#ifndef IMX_ARENA_H
#define IMX_ARENA_H

#include "shared/batch.h"
#include "shared/board.h"
#include "shared/children.h"
#include "shared/events.h"
#include "shared/exemplars.h"
#include "shared/history.h"
#include "shared/intake.h"
#include "shared/interval.h"
#include "shared/lease.h"
#include "shared/processes.h"
#include "shared/queried.h"
#include "shared/series.h"
#include "shared/slow.h"
#include "shared/stats.h"
#include "shared/values.h"

/* What it is to be made for. */
typedef struct {
    imx_batch_geometry_t batch; /* by imx_batch_plan() */
    uint32_t tags, tag_limit;   /* tags whose values are counted; 0: none */
    const void *key;            /* IMX_VALUES_KEY_LEN random bytes */
    uint32_t series; /* by imx_series_plan(); 0: for "other" alone */
} imx_arena_spec_t;

/* A process's own view.  Not to be copied: the parts point to each other. */
typedef struct {
    struct imx_arena_header *header;
    size_t size; /* bytes of the mapping */
    imx_children_t children;
    imx_lease_t lease;
    imx_board_view_t board;
    imx_batch_t batch;
    imx_values_t values;
    imx_processes_t processes;
    imx_slow_t slow;
    imx_events_t events;
    imx_series_t series;
    imx_stats_t stats;
    imx_exemplars_t exemplars;
    imx_interval_t intervals; /* of measured.h */
    imx_intake_t intake;
    imx_queried_t queried;
    imx_history_t history;
    void *own_values; /* NULL, or a mapping of its own */
    size_t own_values_size;
} imx_arena_t;

/* Bytes of an arena; makes it in zeroed, shared memory that begins at a
 * page. */
size_t imx_arena_size(const imx_arena_spec_t *spec);
void imx_arena_format(imx_arena_t *a, void *base,
                      const imx_arena_spec_t *spec);

/*
 * Parent: gets memory for it, with addresses for a buffer of up to room bytes
 * if the system has them, and makes it.  It is never given back, and ends with
 * the parent.  Returns 0 or an errno value.
 */
int imx_arena_map(imx_arena_t *a, const imx_arena_spec_t *spec, size_t room);

/*
 * Parent: from now on the values of this many tags with another limit are
 * counted, from none, in a mapping of their own.  Children that run keep those
 * of before.  Returns 0 or an errno value; then nothing has changed.
 */
int imx_arena_new_values(imx_arena_t *a, uint32_t tags, uint32_t tag_limit,
                         const void *key);

/* Parent: says to the lease and to the table of children that the process with
 * this pid was reaped.  Async-signal-safe. */
void imx_arena_died(const imx_arena_t *a, pid_t pid);

/* Any: when it was made, ns since 1970. */
int64_t imx_arena_made(const imx_arena_t *a);

/* Names and versions of all parts, in static memory. */
const char *imx_arena_layout(void);

/* Tests: NULL, or a sentence about what in the header is not as it was made. */
const char *imx_arena_validate(const imx_arena_t *a);

#endif
