/*
 * backlog_account.h owns the account of the lines in the spools' files.
 * Entered by the monitor's thread of the holder; touches no disk.
 * What is on the board survives the holder; the next one compares it with the
 * files.
 *
 * The lines that are counted and are to be in files are
 *   SPOOLED of the batch + found - delivered - rejected - dropped,
 * and the board says how many of these are in each former directory; the rest
 * is in the one in use.  What the board says of a directory when it is opened
 * is `expected`.  As lines of its files become known, they are taken from that.
 * More lines than it promises
 *   - were found, if not all files of the directory had been counted before;
 *   - are counted elsewhere, if they had been: a holder that was killed had
 *     written a file and not settled all of its segments, or had counted lines
 *     as delivered and not yet noted that in the file.  They are sent once
 *     more, the same bytes, and are not counted once more: `twice`.
 * What is still expected when all files are counted was dropped: somebody
 * removed files, or a holder was killed when it had removed the oldest one to
 * make room.  A directory that cannot be opened keeps its account.
 *
 * All functions but imx_backlog_account_begin() change the holder's copy of the
 * board and leave it to the caller to publish it.
 */
#ifndef IMX_BACKLOG_ACCOUNT_H
#define IMX_BACKLOG_ACCOUNT_H

#include <stdint.h>

#include "deliver/news.h"
#include "deliver/spool.h"
#include "shared/batch.h"

typedef struct {
    imx_news_t *news;
    const imx_batch_t *batch;
    struct {
        uint64_t id;             /* of the path, 0: no directory */
        uint64_t expected;       /* lines not yet known to be there */
        int is_compared;         /* nothing is expected any more */
        uint64_t twice;          /* lines in it that are counted elsewhere */
        imx_spool_totals_t seen; /* as last booked; all 0: not open */
    } dirs[IMX_BOARD_SPOOLS];
} imx_backlog_account_t;

/* A hash of the path; 0 for NULL. */
uint64_t imx_backlog_account_id(const char *path);

/* A new holder with these directories, of which paths[0] is in use, goes on
 * with what the board says, and publishes it. */
void imx_backlog_account_begin(imx_backlog_account_t *a,
                               const char *const *paths);

/* The directory's account on the board. */
imx_board_spool_t *imx_backlog_account_of(const imx_backlog_account_t *a,
                                          int dir);

/* The directory was opened. */
void imx_backlog_account_opened(imx_backlog_account_t *a, int dir);

/* A former directory is gone, and its files with it. */
void imx_backlog_account_gone(imx_backlog_account_t *a, int dir);

/* Lines left the directory: those of them that count are added to *word, one of
 * the board's, and returned. */
uint64_t imx_backlog_account_out(imx_backlog_account_t *a, int dir,
                                 uint64_t *word, uint64_t lines);

/* What the directory has now: lines that became known, and lines that others
 * removed, are booked. */
void imx_backlog_account_see(imx_backlog_account_t *a, int dir,
                             const imx_spool_totals_t *t);

#endif
