/*
 * json_history.c owns the history as JSON: the columns of the charts, and the
 * virtual hosts.
 * Entered by any thread that serves a request; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/json_history.h"

#include "base/c_locale.h"
#include "report/server_events.h"
#include "shared/quantile.h"
#include "show/columns.h"
#include "show/compact.h"
#include "show/hosts.h"

#include <stdio.h>
#include <stdlib.h>

/* Of 24 hours, hosts and the heatmap have a point each quarter of an hour: a
 * minute each would make the answer three times as long. */
#define COARSE 15 /* minutes */

/* With since=N come the events and exemplars of these seconds of before N, too:
 * one may have been noted after its time. */
#define EVENTS_AGAIN 10

static const imx_arena_t *arena;

void imx_json_history_use(const imx_arena_t *a)
{
    arena = a;
    imx_hosts_use(a);
}

/* ---- what is asked ---- */

/* What stands behind a word of the query ("since" of "json&since=12"), "" when
 * it stands alone, NULL when it is not there. */
static const char *word_of(const request_rec *r, const char *word)
{
    size_t length = strlen(word);
    const char *p = r->args;

    while (p != NULL && *p != '\0') {
        size_t part = strcspn(p, "&");

        if (part >= length && strncmp(p, word, length) == 0) {
            if (part == length) {
                return "";
            }
            if (p[length] == '=') {
                return p + length + 1;
            }
        }
        p += part;
        p += *p == '&';
    }
    return NULL;
}

int imx_json_history_is_asked(const request_rec *r)
{
    return word_of(r, "history") != NULL;
}

/* ---- columns ---- */

/* One answer on its way. */
typedef struct {
    imx_compact_t out;
    apr_pool_t *pool;
    uint64_t last; /* the second up to which it goes */
    char seconds[IMX_STATS_BUCKETS + 1][16]; /* of a bucket, as text */
} answer_t;

static answer_t *begin(request_rec *r)
{
    answer_t *a = apr_palloc(r->pool, sizeof *a);
    uint32_t i;

    imx_compact_begin(&a->out, r);
    a->pool = r->pool;
    a->last = imx_history_last(&arena->history, IMX_HISTORY_SECOND);
    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        imx_c_locale_print(a->seconds[i], sizeof a->seconds[i], "%.3g",
                           imx_quantile_seconds(i));
    }
    snprintf(a->seconds[i], sizeof a->seconds[i], "null");
    return a;
}

static void text(answer_t *a, const char *t)
{
    imx_compact_text(&a->out, t);
}

static void number(answer_t *a, uint64_t n)
{
    imx_compact_number(&a->out, n);
}

static void open_list(answer_t *a, const char *name)
{
    text(a, ",\"");
    text(a, name);
    text(a, "\":[");
}

static void put_times(answer_t *a, const imx_columns_t *c,
                      const imx_columns_point_t *points)
{
    uint32_t i;

    text(a, "\"step\":");
    number(a, c->each * (c->ring == IMX_HISTORY_SECOND ? 1 : 60));
    open_list(a, "time");
    for (i = 0; i < c->count; i++) {
        imx_compact_comma(&a->out, i);
        number(a, (uint64_t)points[i].time);
    }
    text(a, "]");
}

/* A column of whole numbers, by where they are in a point. */
static void put_numbers(answer_t *a, const imx_columns_t *c,
                        const imx_columns_point_t *points, const char *name,
                        size_t at)
{
    uint32_t i;

    open_list(a, name);
    for (i = 0; i < c->count; i++) {
        const char *field = (const char *)&points[i] + at;

        imx_compact_comma(&a->out, i);
        if (points[i].is_there) {
            number(a, *(const uint64_t *)(const void *)field);
        }
        else {
            text(a, "null");
        }
    }
    text(a, "]");
}

/* A column of percentiles, by where the buckets are. */
static void put_buckets(answer_t *a, uint32_t count, const void *first,
                        size_t size, size_t at, const char *name)
{
    const char *p = (const char *)first + at;
    uint32_t i, bucket;

    open_list(a, name);
    for (i = 0; i < count; i++, p += size) {
        memcpy(&bucket, p, sizeof bucket);
        imx_compact_comma(&a->out, i);
        text(a, a->seconds[bucket < IMX_STATS_BUCKETS ? bucket
                                                      : IMX_STATS_BUCKETS]);
    }
    text(a, "]");
}

#define NUMBERS(a, c, points, field) \
    put_numbers((a), (c), (points), #field, \
                offsetof(imx_columns_point_t, field))
#define BUCKETS(a, c, points, field) \
    put_buckets((a), (c)->count, (points), sizeof *(points), \
                offsetof(imx_columns_point_t, field), #field)
#define ROW_BUCKETS(a, c, rows, field) \
    put_buckets((a), (c)->count, (rows), sizeof *(rows), \
                offsetof(imx_columns_row_t, field), #field)

/* The longest request, the busy workers: null where there is nothing. */
static void put_floats(answer_t *a, const imx_columns_t *c,
                       const imx_columns_point_t *points)
{
    uint32_t i;

    open_list(a, "max");
    for (i = 0; i < c->count; i++) {
        imx_compact_comma(&a->out, i);
        imx_compact_float(&a->out,
                          points[i].requests > 0
                              ? (double)points[i].longest / 1e9
                              : -1,
                          3);
    }
    text(a, "]");
    open_list(a, "busy");
    for (i = 0; i < c->count; i++) {
        imx_compact_comma(&a->out, i);
        imx_compact_float(&a->out, points[i].is_there ? points[i].busy : -1,
                          3);
    }
    text(a, "]");
}

/* ---- the heatmap ---- */

/* The buckets that are in use, the first and the one behind the last. */
static void range_of(const imx_columns_t *c, const imx_columns_point_t *points,
                     uint32_t *first, uint32_t *end)
{
    uint32_t i, b;

    *first = IMX_COLUMNS_HEAT;
    *end = 0;
    for (i = 0; i < c->count; i++) {
        for (b = 0; b < IMX_COLUMNS_HEAT; b++) {
            if (points[i].heat[b] > 0) {
                *first = b < *first ? b : *first;
                *end = b + 1 > *end ? b + 1 : *end;
            }
        }
    }
}

/* Zeros at the end are left out. */
static void put_counts(answer_t *a, const imx_columns_point_t *point,
                       uint32_t first, uint32_t end)
{
    uint32_t b;

    while (end > first && point->heat[end - 1] == 0) {
        end--;
    }
    text(a, "[");
    for (b = first; b < end; b++) {
        imx_compact_comma(&a->out, b - first);
        number(a, point->heat[b]);
    }
    text(a, "]");
}

static void put_heat(answer_t *a, const imx_columns_t *c,
                     const imx_columns_point_t *points)
{
    uint32_t first, end, i;

    range_of(c, points, &first, &end);
    text(a, "\"upper\":[");
    for (i = first; i < end; i++) {
        imx_compact_comma(&a->out, i - first);
        imx_compact_float(&a->out, imx_columns_upper(i), 4);
    }
    text(a, "]");
    open_list(a, "count");
    for (i = 0; i < c->count; i++) {
        imx_compact_comma(&a->out, i);
        put_counts(a, &points[i], first, end);
    }
    text(a, "]");
}

/* ---- hosts ---- */

static int has_requests(const imx_columns_row_t *rows, uint32_t count)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        if (rows[i].requests > 0) {
            return 1;
        }
    }
    return 0;
}

static void put_counters(answer_t *a, const imx_columns_t *c,
                         const imx_columns_point_t *points,
                         const imx_columns_row_t *rows)
{
    uint32_t i;

    text(a, "\"requests\":[");
    for (i = 0; i < c->count; i++) {
        imx_compact_comma(&a->out, i);
        if (points[i].is_there) {
            number(a, rows[i].requests);
        }
        else {
            text(a, "null");
        }
    }
    text(a, "]");
    open_list(a, "errors");
    for (i = 0; i < c->count; i++) {
        imx_compact_comma(&a->out, i);
        if (points[i].is_there) {
            number(a, rows[i].errors);
        }
        else {
            text(a, "null");
        }
    }
    text(a, "]");
}

static void put_hosts(answer_t *a, const imx_columns_t *c,
                      const imx_columns_point_t *points)
{
    const imx_history_t *h = c->history;
    imx_columns_row_t *rows = apr_palloc(a->pool,
                                         (c->count + 1) * sizeof *rows);
    uint32_t hosts = imx_history_hosts(h), host, n = 0;

    text(a, "\"hosts\":{");
    for (host = 0; host < hosts; host++) {
        imx_columns_rows(c, host, rows);
        if (!has_requests(rows, c->count)) {
            continue;
        }
        imx_compact_comma(&a->out, n++);
        imx_compact_string(&a->out,
                           imx_series_name(&arena->series,
                                           imx_history_series(h, host))
                               .server);
        text(a, ":{");
        put_counters(a, c, points, rows);
        ROW_BUCKETS(a, c, rows, p50);
        ROW_BUCKETS(a, c, rows, p95);
        ROW_BUCKETS(a, c, rows, p99);
        text(a, "}");
    }
    text(a, "}");
}

/* ---- objects of columns ---- */

static void put_server(answer_t *a, const imx_columns_t *c,
                       const imx_columns_point_t *points)
{
    put_times(a, c, points);
    NUMBERS(a, c, points, requests);
    NUMBERS(a, c, points, errors);
    NUMBERS(a, c, points, aborted);
    BUCKETS(a, c, points, p50);
    BUCKETS(a, c, points, p95);
    BUCKETS(a, c, points, p99);
    put_floats(a, c, points);
    NUMBERS(a, c, points, listen_queue);
}

static void put_columns(answer_t *a, const imx_columns_t *c)
{
    imx_columns_point_t *points = imx_columns_points(c, a->pool);

    text(a, "{");
    put_server(a, c, points);
    if (c->each == 1) { /* the answer is short */
        NUMBERS(a, c, points, pending);
        NUMBERS(a, c, points, bytes_sent);
    }
    text(a, ",\"heat\":{");
    put_heat(a, c, points);
    text(a, "},");
    put_hosts(a, c, points);
    text(a, "}");
}

/* As above, but that heatmap and hosts have points of their own. */
static void put_day(answer_t *a)
{
    const imx_history_t *h = &arena->history;
    uint64_t last = imx_history_last(h, IMX_HISTORY_MINUTE);
    imx_columns_t fine = imx_columns(h, IMX_HISTORY_MINUTE, last, 1,
                                     IMX_HISTORY_MINUTES, 1);
    imx_columns_t coarse = imx_columns(h, IMX_HISTORY_MINUTE, last, COARSE,
                                       IMX_HISTORY_MINUTES / COARSE, 0);
    imx_columns_point_t *points = imx_columns_points(&coarse, a->pool);

    text(a, "{");
    put_server(a, &fine, imx_columns_points(&fine, a->pool));
    text(a, ",\"coarse\":{");
    put_times(a, &coarse, points);
    text(a, ",\"heat\":{");
    put_heat(a, &coarse, points);
    text(a, "},");
    put_hosts(a, &coarse, points);
    text(a, "}}");
}

/* ---- events ---- */

/* Those of before `since`, s, are left out. */
static void put_events(answer_t *a, double since)
{
    uint64_t last = imx_events_last(&arena->events), i;
    char sentence[IMX_SERVER_EVENTS_TEXT];
    imx_event_t event;
    uint32_t n = 0;

    text(a, "\"events\":[");
    for (i = IMX_EVENTS_KEPT; i > 0; i--) {
        if (last + 1 > i
            && imx_events_get(&arena->events, last + 1 - i, &event)
            && (double)event.time / 1e9 >= since) {
            imx_compact_comma(&a->out, n++);
            text(a, "{\"time\":");
            imx_compact_float(&a->out, (double)event.time / 1e9, 13);
            text(a, ",\"kind\":");
            imx_compact_string(&a->out, imx_server_events_kind(&event));
            text(a, ",\"text\":");
            imx_server_events_text(&event, sentence, sizeof sentence);
            imx_compact_string(&a->out, sentence);
            text(a, "}");
        }
    }
    text(a, "]");
}

/* ---- exemplars ---- */

/* The last ones, by their buckets of the heatmap; those of before `since`, s,
 * are left out. */
static void put_exemplars(answer_t *a, double since)
{
    imx_exemplar_t x;
    uint32_t i, n = 0;

    open_list(a, "exemplars");
    for (i = 0; i < IMX_STATS_BUCKETS; i++) {
        if (imx_exemplars_of_bucket(&arena->exemplars, i, &x)
            && (double)x.time / 1e9 >= since) {
            imx_compact_comma(&a->out, n++);
            text(a, "{\"upper\":");
            imx_compact_float(&a->out, imx_columns_upper(imx_columns_heat(i)),
                              4);
            text(a, ",\"seconds\":");
            imx_compact_float(&a->out, (double)x.ns / 1e9, 4);
            text(a, ",\"time\":");
            imx_compact_float(&a->out, (double)x.time / 1e9, 13);
            text(a, ",\"trace_id\":\"");
            text(a, x.id);
            text(a, "\"}");
        }
    }
    text(a, "]");
}

/* ---- the answers ---- */

/* The number of the last second, and its time. */
static void put_sequence(answer_t *a)
{
    imx_columns_t c = imx_columns(&arena->history, IMX_HISTORY_SECOND, a->last,
                                  1, 1, 1);
    imx_columns_point_t *last = imx_columns_points(&c, a->pool);

    text(a, "\"sequence\":");
    number(a, a->last);
    text(a, ",\"time\":");
    if (c.count > 0) {
        number(a, (uint64_t)last->time);
    }
    else {
        text(a, "null");
    }
}

void imx_json_history(request_rec *r)
{
    answer_t *a = begin(r);
    imx_columns_t c = imx_columns(&arena->history, IMX_HISTORY_SECOND, a->last,
                                  2, IMX_HISTORY_SECONDS / 2, 1);

    text(a, "{");
    put_sequence(a);
    text(a, ",\"minutes10\":");
    put_columns(a, &c);
    text(a, ",\"hours24\":");
    put_day(a);
    text(a, ",");
    put_events(a, 0);
    put_exemplars(a, 0);
    text(a, "}\n");
    imx_compact_end(&a->out);
}

static void put_span(answer_t *a, const char *name,
                     const imx_objectives_span_t *span, uint32_t seconds)
{
    text(a, name);
    text(a, "{\"seconds\":");
    number(a, seconds);
    text(a, ",\"good\":");
    number(a, span->good);
    text(a, ",\"total\":");
    number(a, span->total);
    text(a, ",\"burn\":");
    imx_compact_float(&a->out, imx_objectives_burn(span), 4);
    text(a, "}");
}

static void put_objective(answer_t *a, const imx_objectives_t *o,
                          const imx_objectives_row_t *row)
{
    text(a, ",\"objective\":{\"time\":");
    imx_compact_float(&a->out, (double)row->goal.ns / 1e9, 6);
    text(a, ",\"percent\":");
    imx_compact_float(&a->out, row->goal.percent, 10);
    put_span(a, ",\"minutes5\":", &row->spans[IMX_OBJECTIVES_MINUTES5],
             o->seconds[IMX_OBJECTIVES_MINUTES5]);
    put_span(a, ",\"hour\":", &row->spans[IMX_OBJECTIVES_HOUR],
             o->seconds[IMX_OBJECTIVES_HOUR]);
    text(a, "}");
}

/* objective: NULL without any. */
static void put_figures(answer_t *a, const imx_hosts_row_t *row,
                        const imx_objectives_t *o,
                        const imx_objectives_row_t *objective)
{
    const struct {
        const char *name;
        double value;
    } members[] = {
        { "\"requests\":", row->requests }, { ",\"errors\":", row->errors },
        { ",\"p50\":", row->p50 },          { ",\"p95\":", row->p95 },
        { ",\"p99\":", row->p99 },          { ",\"busy\":", row->busy }
    };
    size_t i;

    for (i = 0; i < sizeof members / sizeof *members; i++) {
        text(a, members[i].name);
        imx_compact_float(&a->out, members[i].value, 4);
    }
    text(a, ",\"requests_total\":");
    number(a, row->requests_total);
    text(a, ",\"errors_total\":");
    number(a, row->errors_total);
    if (objective != NULL && objective->goal.percent != 0) {
        put_objective(a, o, objective);
    }
    text(a, "}");
}

static void put_table(answer_t *a, const imx_objectives_t *o)
{
    imx_hosts_row_t *rows = apr_palloc(a->pool,
                                       IMX_HISTORY_HOSTS * sizeof *rows);
    uint32_t n = imx_hosts_get(rows), i;
    imx_hosts_row_t all;

    open_list(a, "hosts");
    for (i = 0; i < n; i++) {
        imx_compact_comma(&a->out, i);
        text(a, "{\"name\":");
        imx_compact_string(&a->out, rows[i].name);
        text(a, ",");
        put_figures(a, &rows[i], o,
                    o != NULL ? &o->hosts[rows[i].host] : NULL);
    }
    text(a, "],\"total\":{");
    imx_hosts_all(&all);
    put_figures(a, &all, o, o != NULL ? &o->all : NULL);
}

/* The closed seconds behind N.  Who knows of a later one has it from another
 * start of the server, and gets all. */
static void put_since(answer_t *a, const char *since)
{
    uint64_t n = strtoull(since, NULL, 10), most = a->last - n;
    double news;
    imx_columns_t c = imx_columns(&arena->history, IMX_HISTORY_SECOND, a->last,
                                  1,
                                  n > a->last || most > IMX_HISTORY_SECONDS
                                      ? IMX_HISTORY_SECONDS
                                      : (uint32_t)most,
                                  1);

    text(a, ",\"seconds\":");
    put_columns(a, &c);
    text(a, ",");
    news = (double)apr_time_sec(a->out.r->request_time) - (double)c.count
           - EVENTS_AGAIN;
    put_events(a, news);
    put_exemplars(a, news);
}

void imx_json_history_now(request_rec *r, const imx_objectives_t *o)
{
    answer_t *a = begin(r);
    const char *since = word_of(r, "since");

    text(a, ",\n  ");
    put_sequence(a);
    put_table(a, o);
    if (since != NULL) {
        put_since(a, since);
    }
    imx_compact_end(&a->out);
}
