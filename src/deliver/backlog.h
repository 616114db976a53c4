/*
 * backlog.h owns the spools and their one account: the directory that is in
 * use, up to three former ones whose files are still delivered, and the counts
 * of their lines on the board.
 *
 * The holder's monitor thread enters it and never waits for a disk.  All work
 * on the disk is done by a thread of the backlog's own, one job at a time: open
 * a directory, put a file, read a piece, say that lines of it are done, look
 * for files, count lines, close.  That thread is started by
 * imx_backlog_begin(), and only when there is a spool.  A job on a disk that
 * hangs stays under way; the monitor goes on with live lines, and the segments
 * that the job was to put stay claimed.
 *
 * With `is_inline` there is no such thread: each job is done at once by the
 * caller, who then waits for the disk.  For tests, the simulation, and the
 * parent's helper at a stop, whom the parent gives a limited time.
 *
 * Killed at any moment, no line is lost: each is in the batch, in a file, or in
 * both.  Lines that are in both are sent twice, the same bytes, and count once.
 */
#ifndef IMX_BACKLOG_H
#define IMX_BACKLOG_H

#include <stdint.h>

#include "deliver/news.h"
#include "deliver/source.h"
#include "shared/batch.h"

#define IMX_BACKLOG_BEFORE 3

typedef struct imx_backlog imx_backlog_t;

/* Copied; what it points to is borrowed until imx_backlog_destroy(). */
typedef struct {
    const imx_batch_t *batch;
    imx_news_t *news; /* the log, the clock, and the holder's copy of the board;
                         its log function is also called by the disk thread */
    const char *dir;  /* NULL: no spool */
    const char *before[IMX_BACKLOG_BEFORE]; /* NULL, or a former directory: its
                         files are delivered, none is added; none is dir */
    const char *note;                /* of this server's, see spool_owner.h */
    uint64_t max_bytes;              /* of the files in dir, 0: no limit */
    uint64_t file_bytes, file_lines; /* about so many in a file: a body's */
    int is_inline;
    int ends_server; /* only puts; the files that are there are the next
                        server's, which may be at work already */
    void (*wake)(void *context); /* NULL, or called by the disk thread when a
                                    job is done: a step is due */
    void *wake_context;
} imx_backlog_options_t;

/* Touches no disk.  Returns NULL when there is no memory. */
imx_backlog_t *imx_backlog_create(const imx_backlog_options_t *options);

/* This child is the holder now, and news->board is what the last one told:
 * begins to open the directories. */
void imx_backlog_begin(imx_backlog_t *b);

/*
 * At each of the holder's steps: books what the last job did, and begins the
 * next one that is due.  Returns for how many milliseconds nothing is due
 * unless b->wake is called.
 */
int imx_backlog_step(imx_backlog_t *b);

/*
 * For the sender.  next: 0 also while the piece is being read; it is there
 * after a wake.  done: counted on the board at once, and written to the disk
 * soon.  A step is to be between two calls of next that return 0.
 */
imx_source_t *imx_backlog_source(imx_backlog_t *b);

/*
 * Begins to move the oldest sealed segments, one file's worth, to the spool.
 * Returns how many segments that are: they are claimed now, and settled (or put
 * back) by the step after the job, or at once when inline.  0: there is nothing
 * sealed, no spool, the spool cannot take them now, or a job is under way.
 */
size_t imx_backlog_put_oldest(imx_backlog_t *b);

/* What follows is the last that is put, and another server may be at work in
 * the directory: it is opened all the same, if it has been ours. */
void imx_backlog_share(imx_backlog_t *b);

/* 1: the spool takes lines, or will within a second; so nothing need be given
 * up yet for want of room. */
int imx_backlog_takes(const imx_backlog_t *b);

/* 1: there are files to be delivered, as far as is known. */
int imx_backlog_has_files(const imx_backlog_t *b);

/* Since when the present job is under way, ns on the clock of news; 0: none
 * is. */
int64_t imx_backlog_busy_since(const imx_backlog_t *b);

/* The directory that the present job works on, for the log. */
const char *imx_backlog_busy_dir(const imx_backlog_t *b);

/* Waits until no job is under way, but at most ms; then as a step, but begins
 * nothing.  For the end of a child.  Returns 1 when none is under way. */
int imx_backlog_wait(imx_backlog_t *b, int ms);

/*
 * This child gives the lease up, after this call: closes the directories, and
 * waits for that and a job that is under way for at most ms.  A job that hangs
 * is abandoned: its thread stays until the disk answers, and then stores
 * nothing that was not stored yet, and lets the directory go.  Returns 1 when
 * nothing hangs.
 */
int imx_backlog_end(imx_backlog_t *b, int ms);

/* Frees b, which may be NULL, unless a job hangs: then b is left to its thread
 * and 0 is returned; the process is to end by _exit(). */
int imx_backlog_destroy(imx_backlog_t *b);

#endif
