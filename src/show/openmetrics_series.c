/*
 * openmetrics_series.c owns the families about requests: counters and
 * histograms of each virtual host and route.
 * Entered by any thread that serves a request; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/openmetrics_series.h"

#include "apr_strings.h"

#include "base/c_locale.h"
#include "shared/stats.h"

/* Usual bounds: 2^-12 s (244 us) to 2^5 s (32 s). */
#define FIRST_BOUND (IMX_STATS_BUCKET_1S - 12 * IMX_STATS_OCTAVE)
#define LAST_BOUND (IMX_STATS_BUCKET_1S + 5 * IMX_STATS_OCTAVE)

/* A series that has requests.  Its sum was taken once: all samples of an answer
 * are of one moment. */
typedef struct {
    uint32_t number;
    const char *labels;
    imx_stats_sum_t sum;
    imx_stats_totals_t totals;
} series_t;

typedef struct {
    imx_exposition_t *e;
    const imx_view_t *v;
    series_t **series;
    unsigned count;
} all_t;

static const char *labels_of(imx_exposition_t *e,
                             const imx_series_name_t *name)
{
    const char *labels = imx_exposition_label(e, NULL, "server", name->server);

    return name->route[0] != '\0'
               ? imx_exposition_label(e, labels, "route", name->route)
               : labels;
}

static void find_series(all_t *all)
{
    const imx_arena_t *a = imx_view_arena();
    uint32_t n = imx_series_count(&a->series), i;
    imx_stats_t stats = a->stats;

    all->series = apr_palloc(all->e->r->pool, n * sizeof *all->series);
    for (i = 0; i < n; i++) {
        series_t *s = apr_palloc(all->e->r->pool, sizeof *s);
        imx_series_name_t name = imx_series_name(&a->series, i);

        imx_stats_add_up(&stats, i, &s->sum);
        if (imx_stats_requests_of(&s->sum) > 0) {
            imx_stats_totals(&stats, i, &s->totals);
            s->number = i;
            s->labels = labels_of(all->e, &name);
            all->series[all->count++] = s;
        }
    }
}

/* ---- counters ---- */

static void put_counter(const all_t *all, const char *labels, uint64_t value)
{
    imx_exposition_int(all->e, labels, (int64_t)value);
    imx_exposition_created(all->e, labels, all->v->snapshot->made);
}

static void put_seconds(const all_t *all, const char *labels, uint64_t ns)
{
    imx_exposition_seconds(all->e, labels, ns);
    imx_exposition_created(all->e, labels, all->v->snapshot->made);
}

/* Other statuses than 1xx to 5xx are rare: with none there is no sample. */
static void put_requests(const all_t *all)
{
    static const char *const classes[IMX_STATS_CLASSES] = {
        "1xx", "2xx", "3xx", "4xx", "5xx", "other"
    };
    unsigned i, k;

    imx_exposition_family(all->e, "httpd_requests", IMX_EXPOSITION_COUNTER,
                          "Requests that have ended, by the class of the "
                          "status that the client got.");
    for (i = 0; i < all->count; i++) {
        const series_t *s = all->series[i];

        for (k = 0; k < IMX_STATS_CLASSES; k++) {
            if (k < 5 || s->sum.classes[k] > 0) {
                put_counter(all,
                            imx_exposition_label(all->e, s->labels, "status",
                                                 classes[k]),
                            s->sum.classes[k]);
            }
        }
    }
}

/* Where no point has one of the other times, they are never counted. */
static void put_phases(const all_t *all)
{
    unsigned i;

    imx_exposition_family(all->e, "httpd_request_phase_seconds",
                          IMX_EXPOSITION_COUNTER,
                          "Time that requests spent in a phase: the "
                          "application always, others where a point has "
                          "them.");
#define PHASE(name, ns) \
    put_seconds(all, imx_exposition_label(all->e, s->labels, "phase", name), \
                ns)
    for (i = 0; i < all->count; i++) {
        const series_t *s = all->series[i];

        PHASE("application", s->sum.application_ns);
        if (s->sum.server_ns > 0) {
            PHASE("server", s->sum.server_ns);
            PHASE("input", s->sum.input_ns);
            PHASE("output", s->sum.output_ns);
        }
    }
#undef PHASE
}

static void put_number(const all_t *all, const char *name, const char *help,
                       size_t counter)
{
    unsigned i;
    uint64_t value;

    imx_exposition_family(all->e, name, IMX_EXPOSITION_COUNTER, help);
    for (i = 0; i < all->count; i++) {
        memcpy(&value, (const char *)&all->series[i]->sum + counter,
               sizeof value);
        put_counter(all, all->series[i]->labels, value);
    }
}

#define COUNTER(all, name, field, help) \
    put_number((all), (name), (help), offsetof(imx_stats_sum_t, field))

static void put_counters(const all_t *all)
{
    put_requests(all);
    put_phases(all);
    COUNTER(all, "httpd_response_bytes", bytes_sent,
            "Bytes of the bodies of responses.");
    COUNTER(all, "httpd_requests_aborted", aborted,
            "Requests whose client went away before the end.");
}

static int has_objective(const all_t *all)
{
    unsigned i;

    for (i = 0; i < all->count; i++) {
        if (all->series[i]->sum.objective_total > 0) {
            return 1;
        }
    }
    return 0;
}

/* Only hosts with InfluxMetricsObjective have one. */
static void put_objectives(const all_t *all)
{
    unsigned i;

    if (!has_objective(all)) {
        return;
    }
    imx_exposition_family(all->e, "httpd_objective_requests",
                          IMX_EXPOSITION_COUNTER,
                          "Requests that have an objective, and whether they "
                          "kept it.");
#define KEPT(value, number) \
    put_counter(all, imx_exposition_label(all->e, s->labels, "kept", value), \
                number)
    for (i = 0; i < all->count; i++) {
        const series_t *s = all->series[i];
        uint64_t total = s->sum.objective_total, good = s->sum.objective_good;

        if (total > 0) {
            KEPT("true", good);
            KEPT("false", total > good ? total - good : 0);
        }
    }
#undef KEPT
}

/* ---- histograms ---- */

typedef struct {
    char text[24]; /* of the bound: le */
    uint32_t bucket;
} bound_t;

typedef struct {
    bound_t bounds[IMX_STATS_BUCKETS];
    unsigned count; /* without the last one, +Inf */
} bounds_t;

/* As Prometheus itself writes them: 0.5, 1.0, 1.52588e-05. */
static void put_bound(char text[24], double bound)
{
    imx_c_locale_print(text, 24, "%.6g", bound);
    if (strpbrk(text, ".e") == NULL) {
        strcat(text, ".0");
    }
}

static void find_bounds(bounds_t *b, unsigned an_octave)
{
    int is_all = an_octave == IMX_STATS_OCTAVE;
    uint32_t i = is_all ? 0 : FIRST_BOUND;
    uint32_t last = is_all ? IMX_STATS_BUCKETS - 2 : LAST_BOUND;

    for (b->count = 0; i <= last; i += IMX_STATS_OCTAVE / an_octave) {
        b->bounds[b->count].bucket = i;
        put_bound(b->bounds[b->count].text, imx_stats_bound(i));
        b->count++;
    }
}

/* `{trace_id="..."} 0.67 1520879607.789`, and in which bucket it is. */
static const char *exemplar_of(const all_t *all, uint32_t series,
                               uint32_t *bucket)
{
    imx_exemplar_t x;

    if (!all->e->is_open
        || !imx_exemplars_get(&imx_view_arena()->exemplars, series, &x)) {
        return NULL;
    }
    *bucket = imx_stats_bucket((uint64_t)x.ns);
    return apr_psprintf(all->e->r->pool, "{trace_id=\"%s\"} %.9f %.3f", x.id,
                        (double)x.ns / 1e9, (double)x.time / 1e9);
}

static void put_histogram(const all_t *all, const series_t *s, int histogram,
                          uint64_t ns, const bounds_t *b)
{
    const uint64_t *buckets = s->totals.buckets[histogram];
    uint32_t i = 0, special = 0;
    const char *exemplar = histogram == 0
                               ? exemplar_of(all, s->number, &special)
                               : NULL;
    uint64_t count = 0;
    unsigned k;

    for (k = 0; k <= b->count; k++) {
        uint32_t bound = k < b->count ? b->bounds[k].bucket
                                      : IMX_STATS_BUCKETS - 1;
        int is_here = special >= i && special <= bound;

        for (; i <= bound; i++) {
            count += buckets[i];
        }
        imx_exposition_bucket(all->e, s->labels,
                              k < b->count ? b->bounds[k].text : "+Inf", count,
                              is_here ? exemplar : NULL);
    }
    imx_exposition_sum(all->e, s->labels, ns, count);
    imx_exposition_created(all->e, s->labels, all->v->snapshot->made);
}

static void put_histograms(const all_t *all, unsigned an_octave)
{
    bounds_t bounds;
    unsigned i;

    find_bounds(&bounds, an_octave);
    imx_exposition_family(all->e, "httpd_request_duration_seconds",
                          IMX_EXPOSITION_HISTOGRAM,
                          "How long requests took, from the request line to "
                          "the end.");
    for (i = 0; i < all->count; i++) {
        put_histogram(all, all->series[i], 0, all->series[i]->sum.request_ns,
                      &bounds);
    }
    if (imx_view_arena()->stats.histograms < 2) {
        return;
    }
    imx_exposition_family(all->e, "httpd_application_duration_seconds",
                          IMX_EXPOSITION_HISTOGRAM,
                          "How long the application worked on requests that "
                          "met a handler.");
    for (i = 0; i < all->count; i++) {
        put_histogram(all, all->series[i], 1,
                      all->series[i]->sum.application_ns, &bounds);
    }
}

void imx_openmetrics_series(imx_exposition_t *e, const imx_view_t *v,
                            unsigned an_octave)
{
    all_t all = { e, v, NULL, 0 };

    find_series(&all);
    put_counters(&all);
    put_objectives(&all);
    put_histograms(&all, an_octave);
}
