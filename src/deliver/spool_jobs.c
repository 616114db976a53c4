/*
 * spool_jobs.c owns the work on the spools' directories (see spool_jobs.h).
 * The monitor's thread enters it, and the thread that it starts.
 * What a job does to the directories survives; the rest does not.
 *
 * `state` says whose the job and the spools are: the owner's when it is IDLE or
 * DONE, the thread's when it is BEGUN.  Each turn is one atomic store.
 */
#include "deliver/spool_jobs.h"

#include "base/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { IDLE = 0, BEGUN, DONE };

struct imx_spool_jobs {
    imx_spool_jobs_options_t o;
    imx_spool_t *spools[IMX_SPOOL_JOBS_DIRS];
    imx_spool_job_t job;
    _Atomic int state, is_released;
    imx_thread_t thread;
};

/* ---- the jobs ---- */

static void open_dir(imx_spool_jobs_t *j, imx_spool_job_t *job)
{
    imx_spool_t **s = &j->spools[job->dir];
    imx_spool_owner_t owner = j->o.owner;

    owner.is_shared = job->is_shared;
    job->err = imx_spool_open(s, j->o.dirs[job->dir],
                              job->dir == 0 ? j->o.max_bytes : 0, &owner,
                              j->o.log, j->o.log_context, job->reason);
    if (job->err == 0 && job->trust
        && imx_spool_totals(*s).named == job->count) {
        imx_spool_trust(*s);
    }
}

static void next_piece(imx_spool_t *s, imx_spool_job_t *job)
{
    int got = imx_spool_next(s, job->max_bytes, job->max_lines, &job->piece);

    job->err = got < 0 ? errno : 0;
    if (got != 1) {
        job->piece.count = 0;
    }
}

static void do_in(imx_spool_t *s, imx_spool_job_t *job)
{
    switch (job->kind) {
    case IMX_SPOOL_JOB_PUT:
        job->err = imx_spool_put(s, job->lines, job->count, &job->dropped);
        break;
    case IMX_SPOOL_JOB_NEXT:
        next_piece(s, job);
        break;
    case IMX_SPOOL_JOB_DONE:
        imx_spool_done(s, job->count);
        break;
    case IMX_SPOOL_JOB_PUT_BACK:
        imx_spool_put_back(s);
        break;
    case IMX_SPOOL_JOB_COUNT:
        imx_spool_count(s, job->max_bytes);
        break;
    default:
        imx_spool_look(s);
    }
}

static void do_job(imx_spool_jobs_t *j)
{
    imx_spool_job_t *job = &j->job;

    if (job->kind == IMX_SPOOL_JOB_OPEN) {
        open_dir(j, job);
    }
    else if (j->spools[job->dir] != NULL) {
        do_in(j->spools[job->dir], job);
    }
    if (j->spools[job->dir] != NULL) {
        job->totals = imx_spool_totals(j->spools[job->dir]);
    }
}

/* ---- the thread ---- */

static void close_all(imx_spool_jobs_t *j)
{
    int i;

    for (i = 0; i < IMX_SPOOL_JOBS_DIRS; i++) {
        if (j->spools[i] != NULL && atomic_load(&j->is_released)) {
            imx_spool_release(j->spools[i]);
        }
        imx_spool_close(j->spools[i]);
        j->spools[i] = NULL;
    }
}

static void run(void *jobs)
{
    imx_spool_jobs_t *j = jobs;

    while (!imx_thread_is_to_stop(&j->thread)) {
        if (atomic_load(&j->state) != BEGUN) {
            imx_thread_wait(&j->thread, -1);
            continue;
        }
        do_job(j);
        atomic_store(&j->state, DONE);
        if (j->o.wake != NULL && !imx_thread_is_to_leave(&j->thread)) {
            j->o.wake(j->o.wake_context);
        }
    }
    close_all(j);
}

/* ---- the owner ---- */

imx_spool_jobs_t *imx_spool_jobs_create(const imx_spool_jobs_options_t *o)
{
    imx_spool_jobs_t *j = calloc(1, sizeof *j);
    int err = ENOMEM;

    if (j != NULL) {
        j->o = *o;
        err = imx_thread_init(&j->thread);
        if (err == 0 && !o->is_inline) {
            err = imx_thread_start(&j->thread, run, j);
        }
    }
    if (err != 0) {
        if (j != NULL) {
            imx_thread_destroy(&j->thread);
            free(j);
        }
        errno = err;
        return NULL;
    }
    return j;
}

void imx_spool_jobs_begin(imx_spool_jobs_t *j, const imx_spool_job_t *job)
{
    j->job = *job;
    if (j->o.is_inline) {
        do_job(j);
        atomic_store(&j->state, DONE);
        return;
    }
    atomic_store(&j->state, BEGUN);
    imx_thread_wake(&j->thread);
}

int imx_spool_jobs_is_busy(const imx_spool_jobs_t *j)
{
    return atomic_load(&j->state) != IDLE;
}

int imx_spool_jobs_take(imx_spool_jobs_t *j, imx_spool_job_t *result)
{
    if (atomic_load(&j->state) != DONE) {
        return 0;
    }
    *result = j->job;
    atomic_store(&j->state, IDLE);
    return 1;
}

/* A put is only begun in a directory that an earlier job has opened, so that
 * job's result was taken and spools[] can be read here. */
int imx_spool_jobs_abandon(imx_spool_jobs_t *j)
{
    int is_stored = 0;

    imx_thread_leave(&j->thread);
    if (atomic_load(&j->state) == BEGUN && j->job.kind == IMX_SPOOL_JOB_PUT) {
        is_stored = imx_spool_abandon(j->spools[j->job.dir]);
    }
    imx_thread_tell_to_stop(&j->thread);
    return is_stored;
}

void imx_spool_jobs_release(imx_spool_jobs_t *j)
{
    atomic_store(&j->is_released, 1);
}

int imx_spool_jobs_stop(imx_spool_jobs_t *j, int ms)
{
    if (!imx_thread_stop(&j->thread, ms)) {
        return 0;
    }
    close_all(j); /* inline */
    return 1;
}

void imx_spool_jobs_free(imx_spool_jobs_t *j)
{
    imx_thread_destroy(&j->thread);
    free(j);
}
