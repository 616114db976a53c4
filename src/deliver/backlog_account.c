/*
 * backlog_account.c owns the account of the lines in the spools' files (see
 * backlog_account.h).
 * Entered by the monitor's thread of the holder; touches no disk.
 * What is on the board survives the holder.
 */
#include "deliver/backlog_account.h"

#include "base/least.h"

#include <string.h>

#define DIRS IMX_BOARD_SPOOLS

static imx_board_t *board(const imx_backlog_account_t *a)
{
    return &a->news->board;
}

imx_board_spool_t *imx_backlog_account_of(const imx_backlog_account_t *a,
                                          int dir)
{
    return &board(a)->spools[dir];
}

/* FNV-1a. */
uint64_t imx_backlog_account_id(const char *path)
{
    uint64_t id = UINT64_C(0xcbf29ce484222325);

    for (; path != NULL && *path != '\0'; path++) {
        id = (id ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
    }
    return path != NULL ? id | 1 : 0;
}

/* Lines leave, or join, what is promised of the directory.  What is in the one
 * in use follows from the others. */
static void change(imx_backlog_account_t *a, int dir, uint64_t more,
                   uint64_t less)
{
    uint64_t *lines = &imx_backlog_account_of(a, dir)->lines;

    if (dir > 0) {
        *lines += more;
        *lines -= imx_least(*lines, less);
    }
}

uint64_t imx_backlog_account_out(imx_backlog_account_t *a, int dir,
                                 uint64_t *word, uint64_t lines)
{
    uint64_t again = imx_least(a->dirs[dir].twice, lines);

    a->dirs[dir].twice -= again;
    board(a)->spool_twice -= imx_least(board(a)->spool_twice, again);
    *word += lines - again;
    change(a, dir, 0, lines - again);
    return lines - again;
}

/* Lines became known that we have not put there. */
static void learn(imx_backlog_account_t *a, int dir, uint64_t lines)
{
    uint64_t promised = imx_least(a->dirs[dir].expected, lines);

    a->dirs[dir].expected -= promised;
    lines -= promised;
    if (!a->dirs[dir].is_compared
        && imx_backlog_account_of(a, dir)->is_known) {
        a->dirs[dir].twice += lines;
        board(a)->spool_twice += lines;
        return;
    }
    board(a)->spool_found += lines;
    change(a, dir, lines, 0);
}

/* All files of the directory have been counted. */
static void compare(imx_backlog_account_t *a, int dir)
{
    uint64_t missing = a->dirs[dir].expected;

    a->dirs[dir].is_compared = 1;
    a->dirs[dir].expected = 0;
    board(a)->spool_dropped += missing;
    change(a, dir, 0, missing);
}

static void sum_up(imx_backlog_account_t *a)
{
    imx_board_t *d = board(a);
    int i;

    d->spool_lines = d->spool_bytes = 0;
    for (i = 0; i < DIRS; i++) {
        d->spool_lines += a->dirs[i].seen.lines + a->dirs[i].expected;
        d->spool_bytes += a->dirs[i].seen.bytes;
    }
}

void imx_backlog_account_see(imx_backlog_account_t *a, int dir,
                             const imx_spool_totals_t *t)
{
    imx_spool_totals_t was = a->dirs[dir].seen;

    a->dirs[dir].seen = *t;
    learn(a, dir, t->found - was.found);
    imx_backlog_account_out(a, dir, &board(a)->spool_dropped,
                            t->lost - was.lost);
    if (t->uncounted == 0 && !a->dirs[dir].is_compared) {
        compare(a, dir);
    }
    if (a->dirs[dir].is_compared) {
        imx_backlog_account_of(a, dir)->is_known = t->uncounted == 0;
    }
    sum_up(a);
}

void imx_backlog_account_opened(imx_backlog_account_t *a, int dir)
{
    imx_backlog_account_of(a, dir)->id = a->dirs[dir].id;
}

void imx_backlog_account_gone(imx_backlog_account_t *a, int dir)
{
    compare(a, dir);
    memset(imx_backlog_account_of(a, dir), 0, sizeof(imx_board_spool_t));
}

/* What is to be in the files of the directory in use. */
static uint64_t in_use(const imx_backlog_account_t *a)
{
    const imx_board_t *d = board(a);
    uint64_t lines = imx_batch_totals(a->batch).fate[IMX_BATCH_SPOOLED]
                     + d->spool_found - d->spool_delivered - d->spool_rejected
                     - d->spool_dropped;
    int i;

    for (i = 1; i < DIRS; i++) {
        lines -= d->spools[i].lines;
    }
    return lines <= INT64_MAX ? lines : 0; /* every child can write there */
}

static int find(const imx_board_spool_t *spools, uint64_t id)
{
    int i;

    for (i = 0; i < DIRS && (id == 0 || spools[i].id != id);) {
        i++;
    }
    return i;
}

/*
 * The directories can have other places than they had for the last holder: a
 * graceful restart makes the one in use a former one.  Lines in one that is no
 * longer looked after leave the account.
 */
void imx_backlog_account_begin(imx_backlog_account_t *a,
                               const char *const *paths)
{
    imx_board_t *d = board(a);
    imx_board_spool_t old[DIRS];
    int i, k;

    memcpy(old, d->spools, sizeof old);
    old[0].lines = in_use(a);
    memset(d->spools, 0, sizeof d->spools);
    memset(a->dirs, 0, sizeof a->dirs);
    for (i = 0; i < DIRS; i++) {
        a->dirs[i].id = imx_backlog_account_id(paths[i]);
        k = find(old, a->dirs[i].id);
        if (k < DIRS) {
            d->spools[i] = old[k];
            a->dirs[i].expected = old[k].lines;
            memset(&old[k], 0, sizeof old[k]);
        }
        else if (old[i].id == 0) {
            d->spools[i].is_used = old[i].is_used; /* never ours until now */
        }
    }
    for (k = 0; k < DIRS; k++) {
        d->spool_dropped += old[k].lines;
    }
    d->spool_twice = 0;
    d->spool_known = 1;
    sum_up(a);
    imx_news_publish(a->news);
}
