/*
 * backlog_places.h owns the table of a backlog's directories, and says which of
 * them is next for what.
 * Entered by the monitor's thread of the holder; touches no disk.
 * It dies with the holder.
 */
#ifndef IMX_BACKLOG_PLACES_H
#define IMX_BACKLOG_PLACES_H

#include <stdint.h>

#include "deliver/backlog_account.h"
#include "deliver/spool_jobs.h"

#define IMX_BACKLOG_PLACES IMX_SPOOL_JOBS_DIRS

/* A directory, and what did not work there and is to wait until then. */
typedef struct {
    const char *path; /* NULL: none */
    int is_open;
    int64_t not_before;   /* opening and putting, */
    int64_t read_at;      /* reading a file, */
    int64_t count_at;     /* counting its files */
    int64_t in_use_since; /* another process works in it, 0: no */
} imx_backlog_place_t;

/* The first one is in use, the others are former ones. */
typedef struct {
    imx_backlog_place_t all[IMX_BACKLOG_PLACES];
    int64_t look_at; /* when the next look is due, */
    int look_next;   /* and where */
} imx_backlog_places_t;

/* Each of these returns an index, or IMX_BACKLOG_PLACES when there is none.
 * now: ns, as all times here. */

/* Which one is to be opened? */
int imx_backlog_places_to_open(const imx_backlog_places_t *p, int64_t now);

/* Of which one is a file to be read?  Former ones have the older files. */
int imx_backlog_places_to_read(const imx_backlog_places_t *p,
                               const imx_backlog_account_t *account,
                               int64_t now);

/* Of which one are files to be counted?  read: the one of which a file is being
 * read, which becomes known by that; or -1. */
int imx_backlog_places_to_count(const imx_backlog_places_t *p,
                                const imx_backlog_account_t *account, int read,
                                int64_t now);

/* Where has somebody perhaps brought files?  All of them are looked at one
 * after the other, then it is due again after `every`. */
int imx_backlog_places_to_look_at(imx_backlog_places_t *p, int64_t every,
                                  int64_t now);

/* How long it is until one of them is to be tried again; at most `most`. */
int64_t imx_backlog_places_due(const imx_backlog_places_t *p, int64_t most,
                               int64_t now);

#endif
