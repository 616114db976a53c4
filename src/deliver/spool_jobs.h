/*
 * spool_jobs.h owns the work on the spools' directories: one job at a time, on
 * a thread that may wait for a disk, or in the caller when inline.
 * The owner (the holder's monitor thread) begins jobs and takes their results;
 * nobody else.  What a job does to the directories survives; the rest does not.
 */
#ifndef IMX_SPOOL_JOBS_H
#define IMX_SPOOL_JOBS_H

#include <stdint.h>

#include "base/log.h"
#include "deliver/spool.h"

#define IMX_SPOOL_JOBS_DIRS 4 /* the one in use, and former ones */

typedef enum {
    IMX_SPOOL_JOB_OPEN = 0, /* is_shared: see imx_spool_open(); and trust the
                               names if they promise `count` lines and trust
                               is not 0 */
    IMX_SPOOL_JOB_PUT,      /* lines, count */
    IMX_SPOOL_JOB_NEXT,     /* max_bytes, max_lines */
    IMX_SPOOL_JOB_DONE,     /* count */
    IMX_SPOOL_JOB_PUT_BACK,
    IMX_SPOOL_JOB_COUNT, /* some of what is not counted */
    IMX_SPOOL_JOB_LOOK
} imx_spool_job_e;

typedef struct {
    imx_spool_job_e kind;
    int dir;                   /* an index of dirs[] */
    const struct iovec *lines; /* stay until the result is taken */
    uint64_t count;
    int trust, is_shared;
    size_t max_bytes, max_lines;
    /* what came of it */
    int err;                           /* errno; 0 */
    char reason[IMX_SPOOL_REASON_MAX]; /* of OPEN */
    uint64_t dropped;                  /* of PUT */
    imx_spool_piece_t piece;           /* of NEXT; none: count 0 */
    imx_spool_totals_t totals; /* of the directory, after it; all 0 when
                                          it is not open */
} imx_spool_job_t;

typedef struct {
    const char *dirs[IMX_SPOOL_JOBS_DIRS]; /* borrowed */
    uint64_t max_bytes;                    /* of dirs[0] */
    imx_spool_owner_t owner; /* is_shared: see IMX_SPOOL_JOB_OPEN */
    int is_inline;
    imx_log_fn log; /* called by the thread */
    void *log_context;
    void (*wake)(void *context); /* NULL, or called by the thread: a job is
                                    done */
    void *wake_context;
} imx_spool_jobs_options_t;

typedef struct imx_spool_jobs imx_spool_jobs_t;

/* Starts the thread.  NULL: errno says why not. */
imx_spool_jobs_t *imx_spool_jobs_create(const imx_spool_jobs_options_t *o);

/* Begins a job; only when none is under way.  Inline: does it. */
void imx_spool_jobs_begin(imx_spool_jobs_t *j, const imx_spool_job_t *job);

/* Tests: 1: a job was begun and its result was not taken. */
int imx_spool_jobs_is_busy(const imx_spool_jobs_t *j);

/* 1: the job that was begun is done, and *result is it. */
int imx_spool_jobs_take(imx_spool_jobs_t *j, imx_spool_job_t *result);

/* The job that is under way is to store nothing if it still can; no other is
 * begun; the directories are let go as soon as the disk answers.  1: it is a
 * put whose lines are stored already. */
int imx_spool_jobs_abandon(imx_spool_jobs_t *j);

/* Before it is stopped: this server works in the directories no more. */
void imx_spool_jobs_release(imx_spool_jobs_t *j);

/* Ends the thread and lets the directories go; waits for that, at most ms.
 * Returns 1 when that is done: the result of the last job may be taken then, if
 * it was done.  0: the job hangs, and this may be tried again. */
int imx_spool_jobs_stop(imx_spool_jobs_t *j, int ms);

/* Only after imx_spool_jobs_stop() has returned 1. */
void imx_spool_jobs_free(imx_spool_jobs_t *j);

#endif
