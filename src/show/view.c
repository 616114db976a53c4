/*
 * view.c owns the look at the server for one answer: its workers, what waits,
 * the machine, and where the time of the last requests went.
 * Entered by any thread that serves a request; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/view.h"

#include "apr_hash.h"
#include "apr_strings.h"

#include "config/config.h"
#include "config/reporting.h"
#include "report/pressure.h"
#include "shared/tally.h"

#define LOOK_BACK 10 /* seconds */
#define STALE 3      /* seconds */

static const imx_arena_t *arena; /* NULL: nothing is recorded */

void imx_view_use(const imx_arena_t *a)
{
    arena = a;
}

const imx_arena_t *imx_view_arena(void)
{
    return arena;
}

/* ---- the last interval of requests ---- */

/* The interval closed last, of which the holder may be writing the next one
 * into its older rows: then nothing is said of it.  Nor when nobody closes one
 * any more. */
typedef struct {
    imx_interval_closed_t closed;
    int is_whole;
} interval_t;

static interval_t closed_last(void)
{
    interval_t i = {
        .is_whole = imx_reporting()->interval[IMX_MEASURED_REQUESTS] > 0
    };

    imx_interval_closed(&arena->intervals, IMX_MEASURED_REQUESTS, &i.closed);
    return i;
}

static uint64_t change_of(interval_t *i, uint32_t series, size_t sum)
{
    uint64_t change;

    if (!imx_tally_change(&i->closed, series, sum, &change)) {
        i->is_whole = 0;
    }
    return change;
}

#define CHANGE(i, series, field) \
    change_of((i), (series), offsetof(imx_tally_t, sum.field))

static void sum_up(imx_verdict_facts_t *f)
{
    uint32_t n = imx_series_count(&arena->series), i;
    interval_t last = closed_last();

    for (i = 0; i < n; i++) {
        f->request_ns += CHANGE(&last, i, request_ns);
        f->output_ns += CHANGE(&last, i, output_ns);
    }
    if (!last.is_whole) {
        f->request_ns = f->output_ns = 0;
    }
}

/* A host may have many routes, each a series of its own. */
static void find_busiest(request_rec *r, imx_verdict_facts_t *f)
{
    uint32_t n = imx_series_count(&arena->series), i;
    apr_hash_t *sums = apr_hash_make(r->pool);
    interval_t last = closed_last();

    for (i = 0; i < n; i++) {
        imx_series_name_t name = imx_series_name(&arena->series, i);
        uint64_t *sum = apr_hash_get(sums, name.server, APR_HASH_KEY_STRING);

        if (sum == NULL) {
            sum = apr_pcalloc(r->pool, sizeof *sum);
            apr_hash_set(sums, apr_pstrdup(r->pool, name.server),
                         APR_HASH_KEY_STRING, sum);
        }
        *sum += CHANGE(&last, i, application_ns);
        if (*sum > f->busiest_ns) {
            f->busiest_ns = *sum;
            f->busiest = apr_pstrdup(r->pool, name.server);
        }
    }
    if (!last.is_whole) {
        f->busiest = "";
    }
}

/* ---- objectives ---- */

static void get_burning(const imx_objectives_t *o, uint32_t host,
                        imx_verdict_burning_t *b)
{
    const imx_objectives_row_t *row = &o->hosts[host];
    int i;

    b->percent = row->goal.percent;
    b->ns = row->goal.ns;
    for (i = 0; i < IMX_OBJECTIVES_SPANS; i++) {
        b->burn[i] = imx_objectives_burn(&row->spans[i]);
        b->seconds[i] = o->seconds[i];
    }
}

static double lower(const imx_verdict_burning_t *b)
{
    return b->burn[0] < b->burn[1] ? b->burn[0] : b->burn[1];
}

/* The host that burns most in both spans. */
static void find_burning(request_rec *r, const imx_objectives_t *o,
                         imx_verdict_facts_t *f)
{
    imx_verdict_burning_t *worst = apr_pcalloc(r->pool, sizeof *worst);
    uint32_t hosts = imx_history_hosts(&arena->history), i, host = 0;
    imx_series_name_t name;

    for (i = 0; o != NULL && i < hosts; i++) {
        const imx_objectives_span_t *span =
            &o->hosts[i].spans[IMX_OBJECTIVES_MINUTES5];
        imx_verdict_burning_t b = { NULL, 0, 0, { 0, 0 }, { 0, 0 } };

        if (span->total - span->good >= IMX_VERDICT_BURN_LEAST) {
            get_burning(o, i, &b);
            if (f->burning == NULL || lower(&b) > lower(worst)) {
                *worst = b;
                host = i;
                f->burning = worst;
            }
        }
    }
    if (f->burning != NULL) {
        name = imx_series_name(&arena->series,
                               imx_history_series(&arena->history, host));
        worst->host = apr_pstrdup(r->pool, name.server);
    }
}

/* ---- all of it ---- */

/* The mean of the last seconds, and for how many of them, up to the last one,
 * somebody waited.  What the holder has not looked at for a while is left. */
static void look_back(imx_verdict_facts_t *f, int64_t now)
{
    const imx_history_t *h = &arena->history;
    uint64_t last = imx_history_last(h, IMX_HISTORY_SECOND), n;
    uint64_t seconds = 0, waited = 0, sum = 0;
    imx_history_period_t period;
    int waits = 1;

    if (last + STALE < imx_history_number(h, now)) {
        return;
    }
    for (n = last; n > 0 && n + LOOK_BACK > last; n--) {
        if (imx_history_period(h, IMX_HISTORY_SECOND, n, &period)) {
            waits &= period.gauges.listen_queue > 0;
            waited += (uint64_t)waits;
            sum += period.gauges.utilization;
            seconds++;
        }
    }
    if (seconds > 0) {
        f->utilization = (double)sum / (double)seconds / 1e4;
        f->queued_for = (int64_t)waited;
    }
}

static void look_at_workers(imx_view_t *v)
{
    imx_verdict_facts_t *f = &v->facts;

    v->workers = imx_workers_count();
    f->workers = imx_workers_max();
    f->utilization = f->workers > 0
                         ? (double)v->workers.busy / (double)f->workers
                         : -1;
    f->queued_for = -1;
    look_back(f, v->snapshot->tick);
    if (imx_workers_queue(&f->queue, &f->queue_limit) != 0) {
        f->queue = f->queue_limit = -1;
    }
}

const imx_view_t *imx_view_of(request_rec *r, const imx_snapshot_t *s)
{
    imx_view_t *v = apr_pcalloc(r->pool, sizeof *v);
    imx_verdict_facts_t *f = &v->facts;

    v->snapshot = s;
    f->has_spool = imx_config_global()->spool_dir != NULL;
    f->busiest = "";
    look_at_workers(v);
    f->cpu_some = imx_pressure_cpu_some("");
    sum_up(f);
    if (f->queue > 0) {
        find_busiest(r, f);
    }
    v->objectives = imx_objectives_get(r->pool);
    find_burning(r, v->objectives, f);
    imx_verdict_of(&v->verdict, s, f);
    return v;
}
