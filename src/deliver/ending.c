/*
 * ending.c owns the end: of a child, of the last child, and of the server.
 * Entered by a child's monitor thread, or by the helper that the parent forks.
 * What could not be delivered is in the batch or in the spool afterwards.
 */
#include "deliver/ending.h"

#include "base/clock.h"
#include "deliver/pace.h"

#define MS IMX_CLOCK_MS
/* For an answer where it is not known to take longer.  A body that is out and
 * was not answered goes twice, and a busy machine takes its time to answer. */
#define ANSWER_MS 250
/* For the rest of a body.  InfluxDB has stored none of it, so it may be cut
 * sooner: whoever is next sends it once. */
#define REST_MS 120
#define LOOK_MS 10
#define RELIEF_MS 1000 /* in which the first new child has come */

typedef struct {
    imx_holder_t *h;
    int64_t deadline;
    int ends_server;
    int (*is_relieved)(void *context);
    void *context;
} ending_t;

static int64_t now_of(const ending_t *e)
{
    return imx_news_now(imx_holder_news(e->h));
}

/* A living child is there to deliver.  At a graceful restart the last of the
 * old children can be gone before the first of the new ones is there: the old
 * one begins, and leaves the rest to the new one. */
static int is_relieved(const ending_t *e)
{
    return e->is_relieved != NULL && e->is_relieved(e->context);
}

static int is_over(const ending_t *e)
{
    return now_of(e) >= e->deadline || is_relieved(e);
}

/* ---- answers that are due ---- */

static int answer_ms(imx_holder_t *h)
{
    uint64_t usual = imx_pace_patience_ms(&imx_holder_news(h)->board.pace);

    if (usual < ANSWER_MS) {
        return ANSWER_MS;
    }
    return usual < IMX_ENDING_ANSWER_MS ? (int)usual : IMX_ENDING_ANSWER_MS;
}

/* A body that is not yet out, as it goes out in pieces, has a moment for the
 * rest; then it is cut short: InfluxDB stores none of it. */
static void take_answers(imx_holder_t *h)
{
    int64_t now = imx_clock_now(), deadline = now + answer_ms(h) * MS;
    int64_t cut = now + REST_MS * MS;

    imx_holder_hurry(h);
    while (imx_holder_advance(h)
           && (imx_holder_is_out(h) || imx_clock_now() < cut)
           && imx_clock_now() < deadline) {
        imx_holder_wait(h, -1, LOOK_MS);
    }
}

void imx_ending_leave(imx_holder_t *h)
{
    if (imx_holder_is_one(h)) {
        take_answers(h);
    }
    imx_holder_give(h);
}

/* ---- the last delivery ---- */

/* Another child that is just leaving may hold the lease for the same purpose.
 * Tried at least once, however short the time is: the spool needs it, too. */
static int get_lease(ending_t *e)
{
    while (!imx_holder_is_one(e->h)
           && !imx_holder_take(e->h, e->ends_server)) {
        if (is_over(e)) {
            return 0;
        }
        imx_clock_pause(LOOK_MS);
    }
    return 1;
}

/* Sends all there is until it is done, a body fails, the time is over, or there
 * is a new child.  Returns 0 when a body failed. */
static int send_all(ending_t *e)
{
    const imx_news_t *news = imx_holder_news(e->h);
    int64_t failed_at = news->board.pace.failed_at;

    imx_holder_hurry(e->h);
    imx_holder_seal(e->h);
    for (;;) {
        while (imx_holder_advance(e->h)) {
            if (is_over(e)) {
                return 1;
            }
            imx_holder_wait(e->h, -1, LOOK_MS);
        }
        if (news->board.pace.failed_at != failed_at) {
            return 0;
        }
        if (is_over(e) || !imx_holder_send(e->h)) {
            return 1;
        }
    }
}

/*
 * The last of the old children at a restart: what is measured goes on with the
 * new ones, which are about to come.  A report now would cut all intervals
 * short, and write the histograms of all series that had a request.
 */
static int comes_relief(const ending_t *e)
{
    int looks = imx_holder_reports(e->h) ? RELIEF_MS / LOOK_MS : 0;

    while (!is_over(e) && looks-- > 0) {
        imx_clock_pause(LOOK_MS);
    }
    return is_relieved(e);
}

/* One last attempt, though InfluxDB may have asked for patience.  What it asked
 * for still holds for whoever comes next. */
static void deliver(ending_t *e)
{
    int is_well = e->ends_server || send_all(e);

    if (e->ends_server || !comes_relief(e)) {
        imx_holder_report(e->h);
        if (is_well) {
            send_all(e);
        }
    }
}

/* What was asked for before the last attempt still holds when that failed. */
static void wait_as_before(ending_t *e, int64_t before)
{
    imx_news_t *news = imx_holder_news(e->h);

    if (!imx_news_is_down(news)) {
        imx_pace_try_now(&news->board.pace);
    }
    else if (news->board.pace.not_before < before) {
        news->board.pace.not_before = before;
    }
    imx_news_publish(news);
}

static void spool_rest(ending_t *e)
{
    imx_holder_abort(e->h);
    imx_holder_seal(e->h);
    imx_holder_spool(e->h, IMX_ENDING_SPOOL_MS);
}

static void end(ending_t *e, int shutdown_ms)
{
    int64_t before;

    e->deadline = now_of(e) + shutdown_ms * MS;
    if (get_lease(e)) {
        before = imx_holder_news(e->h)->board.pace.not_before;
        deliver(e);
        if (is_relieved(e)) {
            take_answers(e->h);
        }
        else {
            spool_rest(e);
        }
        wait_as_before(e, before);
    }
    imx_holder_give(e->h);
}

void imx_ending_last(imx_holder_t *h, int shutdown_ms,
                     int (*relieved)(void *context), void *context)
{
    ending_t e = { .h = h, .is_relieved = relieved, .context = context };

    end(&e, shutdown_ms);
}

void imx_ending_server(imx_holder_t *h, int shutdown_ms)
{
    ending_t e = { .h = h, .ends_server = 1 };

    end(&e, shutdown_ms);
}
