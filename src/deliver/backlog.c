/*
 * backlog.c owns the spools and their one account (see backlog.h).
 * Entered by the monitor's thread of the holder; the work on the disk is done
 * by spool_jobs.c's thread.
 * What the board was told survives the holder, and so do the files; the next
 * holder compares the two.
 */
#include "deliver/backlog.h"

#include "base/clock.h"
#include "base/least.h"
#include "deliver/backlog_account.h"
#include "deliver/backlog_claims.h"
#include "deliver/backlog_news.h"
#include "deliver/backlog_places.h"
#include "deliver/spool_jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MS IMX_CLOCK_MS
#define DIRS IMX_BACKLOG_PLACES
#define RETRY (1000 * MS)             /* after a directory did not work */
#define LOOK_EVERY (5000 * MS)        /* for files that somebody brought */
#define IN_USE_PATIENCE (3000 * MS)   /* the last holder may be leaving */
#define HANGS (1000 * MS)             /* so long, and no more hope in it */
#define END_MS 1000                   /* for a thread with no job to end */
#define PIECE_BYTES (4 * 1024 * 1024) /* that are read of a file */
#define WRITER_LEAST 10000000         /* a number of 8 digits, and none that */
#define WRITERS 80000000              /* a file gets that is written */
#define COUNT_BYTES (8 * 1024 * 1024) /* that are counted in one job */

typedef imx_backlog_place_t place_t;

struct imx_backlog {
    imx_source_t source; /* first: a source is cast to what it belongs to */
    imx_backlog_options_t o;
    imx_backlog_places_t places;
    imx_backlog_account_t account;
    int is_holder;
    int is_shared; /* another server may be at work in the directory */
    imx_spool_jobs_t *jobs;  /* NULL: no spool, or not the holder */
    imx_spool_jobs_t *stuck; /* of a time before, with a job that hangs */
    imx_spool_job_t job;     /* the one that is under way */
    int64_t busy_since;      /* 0: none */
    int64_t start_at;        /* the thread again, when that failed */
    int64_t began_at;        /* to be the holder */
    int is_wanted; /* a put or a read was sent away: the next job is its */

    imx_spool_piece_t piece; /* count 0: none */
    int piece_dir;
    size_t given, done; /* lines of the piece */
    size_t unwritten;   /* of the done ones, not yet noted on the disk */
    int is_to_put_back; /* the piece's memory can go */

    imx_backlog_claims_t claims; /* of the put that is under way */
};

static int64_t now_of(const imx_backlog_t *b)
{
    return imx_news_now(b->o.news);
}

static imx_board_spool_t *account(const imx_backlog_t *b, int dir)
{
    return imx_backlog_account_of(&b->account, dir);
}

static const imx_spool_totals_t *seen(const imx_backlog_t *b, int dir)
{
    return &b->account.dirs[dir].seen;
}

/* ---- jobs ---- */

/* Beside the next server, the helper of one that ends cannot tell whose changes
 * it sees, and books none. */
static void book_totals(imx_backlog_t *b, const imx_spool_job_t *r)
{
    if (r->totals.is_ours) {
        imx_backlog_account_see(&b->account, r->dir, &r->totals);
    }
}

static int is_idle(const imx_backlog_t *b)
{
    return b->jobs != NULL && b->busy_since == 0;
}

static void book_result(imx_backlog_t *b, imx_spool_job_t *r);

/* Inline, the job is done when this returns. */
static void begin_job(imx_backlog_t *b, const imx_spool_job_t *job)
{
    imx_spool_job_t result;

    b->job = *job;
    b->busy_since = now_of(b);
    imx_spool_jobs_begin(b->jobs, job);
    if (b->o.is_inline && imx_spool_jobs_take(b->jobs, &result)) {
        b->busy_since = 0;
        book_result(b, &result);
    }
}

static void begin_simple(imx_backlog_t *b, imx_spool_job_e kind, int dir)
{
    imx_spool_job_t job = {
        .kind = kind, .dir = dir, .max_bytes = COUNT_BYTES
    };

    begin_job(b, &job);
}

static void begin_done(imx_backlog_t *b)
{
    imx_spool_job_t job = {
        .kind = IMX_SPOOL_JOB_DONE, .dir = b->piece_dir, .count = b->unwritten
    };

    b->unwritten = 0;
    begin_job(b, &job);
}

static void begin_put_back(imx_backlog_t *b)
{
    b->is_to_put_back = 0;
    begin_simple(b, IMX_SPOOL_JOB_PUT_BACK, b->piece_dir);
}

/* ---- opening ---- */

/* A directory that has been ours may be the next server's already. */
static int may_share(const imx_backlog_t *b, int dir)
{
    return (b->is_shared || b->o.ends_server) && dir == 0
           && account(b, 0)->id == imx_backlog_account_id(b->o.dir);
}

/* Its files' names are true if they promise as many lines as the account. */
static void begin_open(imx_backlog_t *b, int dir)
{
    imx_spool_job_t job = { .kind = IMX_SPOOL_JOB_OPEN,
                            .dir = dir,
                            .count = b->account.dirs[dir].expected,
                            .trust = account(b, dir)->is_known != 0,
                            .is_shared = may_share(b, dir) };

    begin_job(b, &job);
}

/* The last holder may still be at work in the directory for a moment. */
static void book_not_opened(imx_backlog_t *b, const imx_spool_job_t *r)
{
    place_t *p = &b->places.all[r->dir];

    if (may_share(b, r->dir) && !r->is_shared) {
        return; /* it was begun before that was known */
    }
    p->not_before = now_of(b) + RETRY;
    if (r->err != EBUSY) {
        p->in_use_since = 0;
    }
    else if (p->in_use_since == 0) {
        p->in_use_since = now_of(b);
    }
    if (r->dir > 0 && r->err == ENOENT) {
        /* A former directory that is gone is no error, but its files are gone,
         * too, unless it comes back. */
        imx_backlog_account_gone(&b->account, r->dir);
        p->not_before = now_of(b) + LOOK_EVERY;
    }
    else if (r->err != EBUSY) {
        imx_backlog_news_unusable(b->o.news, p->path, r->reason);
    }
    else if (now_of(b) - p->in_use_since >= IN_USE_PATIENCE) {
        imx_backlog_news_in_use(b->o.news, account(b, r->dir), p->path);
    }
}

static void book_opened(imx_backlog_t *b, const imx_spool_job_t *r)
{
    place_t *p = &b->places.all[r->dir];

    if (r->err != 0) {
        book_not_opened(b, r);
        return;
    }
    p->is_open = 1;
    p->in_use_since = 0;
    imx_backlog_account_opened(&b->account, r->dir);
    imx_backlog_news_free(b->o.news, account(b, r->dir), p->path);
    book_totals(b, r);
}

/* ---- putting ---- */

static void book_put(imx_backlog_t *b, const imx_spool_job_t *r)
{
    uint64_t dropped;

    if (r->err == 0) {
        imx_backlog_claims_settle(&b->claims);
    }
    else {
        imx_backlog_claims_put_back(&b->claims);
    }
    /* First: what was given up may have been counted just before. */
    book_totals(b, r);
    dropped = imx_backlog_account_out(&b->account, 0,
                                      &b->o.news->board.spool_dropped,
                                      r->dropped);
    imx_news_publish(b->o.news);
    imx_backlog_news_full(b->o.news, dropped);
    if (r->err == 0) {
        imx_backlog_news_free(b->o.news, account(b, 0), b->places.all[0].path);
    }
    else if (r->err != ECANCELED) {
        b->places.all[0].not_before = now_of(b) + RETRY;
        imx_backlog_news_trouble(b->o.news, account(b, 0),
                                 b->places.all[0].path, r->err);
    }
}

size_t imx_backlog_put_oldest(imx_backlog_t *b)
{
    imx_spool_job_t job = { .kind = IMX_SPOOL_JOB_PUT };
    size_t claimed;

    if (!b->places.all[0].is_open || now_of(b) < b->places.all[0].not_before) {
        return 0;
    }
    if (!is_idle(b) || b->unwritten > 0) {
        b->is_wanted = 1;
        return 0;
    }
    claimed = imx_backlog_claims_take(&b->claims);
    job.lines = b->claims.lines;
    job.count = b->claims.line_count;
    if (job.count == 0) {
        imx_backlog_claims_settle(&b->claims); /* torn lines, or nothing */
        return claimed;
    }
    begin_job(b, &job);
    return now_of(b) < b->places.all[0].not_before ? 0 : claimed;
}

int imx_backlog_takes(const imx_backlog_t *b)
{
    const place_t *p = &b->places.all[0];
    int64_t now = now_of(b);

    if (b->jobs == NULL || p->path == NULL || now < p->not_before
        || (b->busy_since != 0 && now - b->busy_since >= HANGS)) {
        return 0;
    }
    return p->is_open || now - b->began_at < HANGS;
}

/* ---- delivering ---- */

int imx_backlog_has_files(const imx_backlog_t *b)
{
    int i;

    for (i = 0; i < DIRS; i++) {
        if (b->places.all[i].is_open && seen(b, i)->files > 0) {
            return !b->o.ends_server;
        }
    }
    return 0;
}

static void begin_next(imx_backlog_t *b, size_t room)
{
    imx_spool_job_t job = {
        .kind = IMX_SPOOL_JOB_NEXT, .max_bytes = PIECE_BYTES, .max_lines = room
    };

    job.dir = imx_backlog_places_to_read(&b->places, &b->account, now_of(b));
    if (job.dir < DIRS) {
        begin_job(b, &job);
    }
}

static void book_piece(imx_backlog_t *b, const imx_spool_job_t *r)
{
    place_t *p = &b->places.all[r->dir];

    b->piece = r->piece;
    b->piece_dir = r->dir;
    b->given = b->done = 0;
    if (r->err != 0) {
        p->read_at = now_of(b) + RETRY; /* not putting: that may work */
        if (r->err != EAGAIN && (r->dir == 0 || r->err != ENOENT)) {
            imx_backlog_news_trouble(b->o.news, account(b, r->dir), p->path,
                                     r->err);
        }
    }
}

/* The lines of the piece that were not yet given. */
static size_t give(imx_backlog_t *b, imx_influx_line_t *lines, size_t room,
                   uint64_t max_lines, uint64_t max_bytes)
{
    uint64_t bytes = 0;
    size_t n = 0;

    while (b->given < b->piece.count && n < room && n < max_lines
           && (n == 0 || bytes < max_bytes)) {
        const struct iovec *line = &b->piece.lines[b->given++];

        lines[n].data = line->iov_base;
        lines[n++].len = (uint32_t)line->iov_len;
        bytes += line->iov_len;
    }
    return n;
}

static size_t next(imx_source_t *source, imx_influx_line_t *lines, size_t room,
                   uint64_t max_lines, uint64_t max_bytes)
{
    imx_backlog_t *b = (imx_backlog_t *)source;

    if (b->piece.count == 0 && imx_backlog_has_files(b)) {
        if (is_idle(b) && b->unwritten == 0 && b->is_to_put_back) {
            begin_put_back(b);
        }
        if (is_idle(b) && b->unwritten == 0) {
            begin_next(b, room);
        }
        else {
            b->is_wanted = 1;
        }
    }
    return give(b, lines, room, max_lines, max_bytes);
}

/*
 * What InfluxDB has acknowledged of a file is not sent again, whatever becomes
 * of the next lines.  It is counted before the file says so: from the counts
 * the next holder knows what was sent already.
 */
static void done(imx_source_t *source, size_t count, uint64_t rejected)
{
    imx_backlog_t *b = (imx_backlog_t *)source;
    imx_board_t *d = &b->o.news->board;

    count = (size_t)imx_least(count, b->given - b->done);
    rejected = imx_least(rejected, count);
    imx_backlog_account_out(&b->account, b->piece_dir, &d->spool_delivered,
                            count - rejected);
    imx_backlog_account_out(&b->account, b->piece_dir, &d->spool_rejected,
                            rejected);
    imx_news_publish(b->o.news);
    b->done += count;
    b->unwritten += count;
    if (b->done == b->piece.count) {
        b->piece.count = 0;
    }
    if (is_idle(b) && b->unwritten > 0) {
        begin_done(b);
    }
}

static void put_back(imx_source_t *source)
{
    imx_backlog_t *b = (imx_backlog_t *)source;

    if (b->piece.count > 0) {
        b->piece.count = 0;
        b->given = b->done;
        b->is_to_put_back = 1;
    }
}

imx_source_t *imx_backlog_source(imx_backlog_t *b)
{
    return &b->source;
}

/* ---- steps ---- */

/* Nothing was counted: out of descriptors, perhaps. */
static void book_counted(imx_backlog_t *b, const imx_spool_job_t *r)
{
    if (seen(b, r->dir)->uncounted == r->totals.uncounted
        && seen(b, r->dir)->found == r->totals.found) {
        b->places.all[r->dir].count_at = now_of(b) + RETRY;
    }
    book_totals(b, r);
}

static void book_result(imx_backlog_t *b, imx_spool_job_t *r)
{
    switch (r->kind) {
    case IMX_SPOOL_JOB_OPEN:
        book_opened(b, r);
        break;
    case IMX_SPOOL_JOB_PUT:
        book_put(b, r);
        return;
    case IMX_SPOOL_JOB_NEXT:
        book_piece(b, r);
        book_totals(b, r);
        break;
    case IMX_SPOOL_JOB_COUNT:
        book_counted(b, r);
        break;
    default:
        book_totals(b, r);
    }
    imx_news_publish(b->o.news);
}

static void take_result(imx_backlog_t *b)
{
    imx_spool_job_t result;

    if (b->jobs != NULL && imx_spool_jobs_take(b->jobs, &result)) {
        b->busy_since = 0;
        book_result(b, &result);
    }
}

/* What was said to be done comes first, what nobody waits for last. */
static void begin_due(imx_backlog_t *b)
{
    int64_t now = now_of(b);
    int read = b->piece.count > 0 ? b->piece_dir : -1;
    int dir;

    if (!is_idle(b)) {
        return;
    }
    if (b->unwritten > 0) {
        begin_done(b);
    }
    else if (b->is_to_put_back) {
        begin_put_back(b);
    }
    else if ((dir = imx_backlog_places_to_open(&b->places, now)) < DIRS) {
        begin_open(b, dir);
    }
    else if (b->is_wanted || b->is_shared || b->o.ends_server) {
        b->is_wanted = 0;
    }
    else if ((dir = imx_backlog_places_to_count(&b->places, &b->account, read,
                                                now))
             < DIRS) {
        begin_simple(b, IMX_SPOOL_JOB_COUNT, dir);
    }
    else if ((dir = imx_backlog_places_to_look_at(&b->places, LOOK_EVERY, now))
             < DIRS) {
        begin_simple(b, IMX_SPOOL_JOB_LOOK, dir);
    }
}

static void name_places(imx_backlog_t *b)
{
    const char *paths[DIRS];
    int i;

    memset(&b->places, 0, sizeof b->places);
    b->places.all[0].path = paths[0] = b->o.dir;
    for (i = 1; i < DIRS; i++) {
        paths[i] = b->o.before[i - 1];
        b->places.all[i].path = b->o.ends_server ? NULL : paths[i];
    }
    imx_backlog_account_begin(&b->account, paths);
}

/* All holders of an arena are one writer, and no other one is likely to be the
 * same. */
static uint32_t writer(const imx_backlog_t *b)
{
    uint64_t made = (uint64_t)imx_arena_made(b->o.news->arena);

    return WRITER_LEAST + (uint32_t)(made % WRITERS);
}

static void start_jobs(imx_backlog_t *b)
{
    imx_spool_jobs_options_t o = {
        .max_bytes = b->o.max_bytes,
        .owner = { .note = b->o.note, .writer = writer(b) },
        .is_inline = b->o.is_inline,
        .log = b->o.news->log,
        .log_context = b->o.news->log_context,
        .wake = b->o.wake,
        .wake_context = b->o.wake_context
    };
    const char *first = NULL;
    int i;

    for (i = DIRS - 1; i >= 0; i--) {
        o.dirs[i] = b->places.all[i].path;
        first = o.dirs[i] != NULL ? o.dirs[i] : first;
    }
    if (first != NULL && (b->jobs = imx_spool_jobs_create(&o)) == NULL) {
        imx_backlog_news_unusable(b->o.news, first, strerror(errno));
    }
}

static void free_stuck(imx_backlog_t *b)
{
    if (b->stuck != NULL && imx_spool_jobs_stop(b->stuck, 0)) {
        imx_spool_jobs_free(b->stuck);
        b->stuck = NULL;
    }
}

/* An earlier thread that still hangs has the lock on the directory. */
static void try_start(imx_backlog_t *b)
{
    free_stuck(b);
    b->start_at = now_of(b) + RETRY;
    if (b->stuck == NULL) {
        start_jobs(b);
    }
}

int imx_backlog_step(imx_backlog_t *b)
{
    if (b->jobs == NULL && b->is_holder && now_of(b) >= b->start_at) {
        try_start(b);
    }
    take_result(b);
    begin_due(b);
    imx_backlog_news_full(b->o.news, 0);
    return (int)(imx_backlog_places_due(&b->places, LOOK_EVERY, now_of(b))
                 / MS)
           + 1;
}

void imx_backlog_share(imx_backlog_t *b)
{
    b->is_shared = 1;
    if (!b->places.all[0].is_open) {
        b->places.all[0].not_before = 0;
    }
}

int64_t imx_backlog_busy_since(const imx_backlog_t *b)
{
    return b->busy_since;
}

const char *imx_backlog_busy_dir(const imx_backlog_t *b)
{
    return b->busy_since != 0 ? b->places.all[b->job.dir].path : "";
}

int imx_backlog_wait(imx_backlog_t *b, int ms)
{
    int64_t deadline = imx_clock_now() + ms * MS;

    for (;;) {
        take_result(b);
        if (is_idle(b) && b->unwritten > 0) {
            begin_done(b);
        }
        if (b->busy_since == 0 || imx_clock_now() >= deadline) {
            return b->busy_since == 0;
        }
        imx_clock_pause(1);
    }
}

/* ---- the life of it ---- */

void imx_backlog_begin(imx_backlog_t *b)
{
    b->is_holder = 1;
    b->began_at = now_of(b);
    name_places(b);
    b->places.look_at = b->began_at + LOOK_EVERY;
    try_start(b);
    begin_due(b);
}

/* The thread has ended, or a job of it hangs. */
static void forget(imx_backlog_t *b)
{
    memset(&b->places, 0, sizeof b->places);
    b->is_holder = 0;
    b->jobs = NULL;
    b->busy_since = 0;
    b->piece.count = 0;
    b->given = b->done = b->unwritten = 0;
    b->is_to_put_back = b->is_wanted = 0;
}

/*
 * A put that hangs keeps its segments: the next holder puts them back.  Until
 * then the thread may still read their lines, and then it stores nothing.  Only
 * where the file has its name, and the disk has yet to say that it is there to
 * stay, the lines are in the file.
 */
static void leave_claims(imx_backlog_t *b, int is_stored)
{
    if (is_stored) {
        imx_backlog_claims_settle(&b->claims);
    }
    imx_backlog_claims_forget(&b->claims);
}

int imx_backlog_end(imx_backlog_t *b, int ms)
{
    int is_idle_now, is_stored;

    if (b->jobs == NULL) {
        b->is_holder = 0;
        return b->stuck == NULL;
    }
    is_idle_now = imx_backlog_wait(b, ms);
    if (b->is_shared || b->o.ends_server) {
        imx_spool_jobs_release(b->jobs);
    }
    is_stored = imx_spool_jobs_abandon(b->jobs);
    if (!imx_spool_jobs_stop(b->jobs, is_idle_now ? END_MS : 0)) {
        b->stuck = b->jobs;
        take_result(b); /* it may have been done just now */
        leave_claims(b, is_stored);
        forget(b);
        return 0;
    }
    take_result(b);
    imx_backlog_claims_put_back(&b->claims); /* begun, and never done */
    imx_spool_jobs_free(b->jobs);
    forget(b);
    return 1;
}

imx_backlog_t *imx_backlog_create(const imx_backlog_options_t *options)
{
    imx_backlog_t *b = calloc(1, sizeof *b);

    if (b == NULL) {
        return NULL;
    }
    b->source = (imx_source_t){ next, done, put_back, 0, 0 };
    b->o = *options;
    b->account.news = b->o.news;
    b->account.batch = b->o.batch;
    if (b->o.dir != NULL
        && imx_backlog_claims_init(&b->claims, b->o.batch, b->o.file_lines,
                                   b->o.file_bytes, b->o.max_bytes)
               != 0) {
        free(b);
        return NULL;
    }
    return b;
}

int imx_backlog_destroy(imx_backlog_t *b)
{
    if (b == NULL) {
        return 1;
    }
    imx_backlog_end(b, 0);
    free_stuck(b);
    if (b->stuck != NULL) {
        return 0;
    }
    imx_backlog_claims_free(&b->claims);
    free(b);
    return 1;
}
