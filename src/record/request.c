/*
 * request.c owns what becomes of a finished request: facts, a choice, a line,
 * and its place in the batch.
 * Entered by any thread of a child; HTTP/2 logs on another thread than the one
 * that ran the handler, so nothing here is kept by thread.
 * A request that was appended is in the batch when its child dies.
 */
#include "record/request.h"

#include "ap_mpm.h"
#include "apr_strings.h"
#include "http_config.h"

#include "base/clock.h"
#include "config/config.h"
#include "record/getters.h"
#include "record/line.h"
#include "record/marks.h"
#include "record/plan.h"
#include "shared/batch.h"

#include <stdatomic.h>
#include <unistd.h>

static imx_batch_child_t *recorder; /* NULL: nothing is recorded */
static const imx_values_t *tag_values;
static const imx_exemplars_t *exemplars;
/* Somewhere a point says what TLS knows, and so it is looked at early; or what
 * was seen of a body, and so GET requests are looked at, too. */
static int wants_scheme, wants_tls_version, wants_bodies;
static _Atomic apr_uint64_t draws; /* for samples; begins at the child's slot */

/* ---- the child ---- */

/* ":3", behind the name of the host; NULL: no tag. */
static const char *process_number(apr_pool_t *pchild)
{
    switch (imx_config_global()->process_tag) {
    case IMX_PROCESS_OFF:
        return NULL;
    case IMX_PROCESS_PID:
        return apr_psprintf(pchild, ":%u", (unsigned)getpid());
    default:
        return apr_psprintf(pchild, ":%u", (unsigned)recorder->self.slot);
    }
}

void imx_request_use(imx_batch_child_t *child, const imx_values_t *values,
                     const imx_stats_t *stats, const imx_exemplars_t *kept)
{
    recorder = child;
    tag_values = values;
    exemplars = kept;
    imx_counted_use(stats, child->self.slot);
}

/* Without a usual plan a request is looked at more closely. */
void imx_request_use_nothing(server_rec *s)
{
    recorder = NULL;
    for (; s != NULL; s = s->next) {
        imx_plan_forget(s);
    }
}

static void find_wishes(void)
{
    unsigned fields = imx_choice_asked_fields() | imx_counted_fields();

    wants_scheme = (imx_choice_asked_tags() & IMX_BIT(IMX_TAG_SCHEME)) != 0;
    wants_tls_version = (fields & IMX_BIT(IMX_FIELD_TLS_VERSION)) != 0;
    wants_bodies = wants_scheme || wants_tls_version
                   || (fields
                       & (IMX_BIT(IMX_FIELD_INPUT_TIME)
                          | IMX_BIT(IMX_FIELD_BYTES_RECEIVED)
                          | IMX_BIT(IMX_FIELD_ABORTED)));
}

/* Threads of this child that serve requests. */
static int workers_here(void)
{
    int threads;

    return ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) == APR_SUCCESS
                   && threads > 1
               ? threads
               : 1;
}

void imx_request_child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)s;
    if (recorder != NULL) {
        draws = (apr_uint64_t)recorder->self.slot << 32;
        find_wishes();
        imx_marks_child_init((unsigned)workers_here());
        imx_getters_child_init();
        imx_line_child_init(tag_values);
        imx_plan_child_init(imx_config_global()->hostname,
                            process_number(pchild));
    }
}

/* ---- before the handler ---- */

/* Does it need marks before its handler?  Then it has them now. */
static int has_begun_early(request_rec *r)
{
    imx_marks_t *m;

    if (!wants_scheme && !wants_tls_version) {
        return imx_marks_has_body(r) && imx_marks_begin_early(r) != NULL;
    }
    m = imx_marks_begin_early(r);
    if (wants_scheme) {
        imx_getters_keep_scheme(m, r);
    }
    if (wants_tls_version) {
        imx_getters_keep_tls_version(m, r);
    }
    return 1;
}

static inline int begin(request_rec *r)
{
    return imx_schema_dir(r->per_dir_config)->enabled == 1
               ? imx_marks_begin(r)
               : DECLINED;
}

__attribute__((noinline)) static int begin_early(request_rec *r)
{
    if (recorder == NULL || r->prev != NULL || has_begun_early(r)) {
        return DECLINED;
    }
    return begin(r);
}

_Static_assert(M_GET == 0, "one look for both");

/*
 * Access checkers and filters against attacks read the body long before the
 * handler is called, so a request with one has its marks from here on.  Whether
 * it is to be recorded is not known yet.  Where the virtual host records, all
 * others have theirs, too: who hangs before its handler is seen.  (An internal
 * redirect comes here again.)
 */
int imx_request_post_read(request_rec *r)
{
    return (wants_bodies | r->method_number) != M_GET
               ? begin_early(r)
               : begin(r);
}

/* ---- which requests ---- */

/*
 * Which requests are in a sample: splitmix64 (Steele, Lea, Flood 2014) with
 * the time added, which nobody else knows so exactly.  Its steps make requests
 * of the same moment independent, too, where a clock has coarse ticks.
 */
static apr_uint32_t draw(apr_int64_t time)
{
    apr_uint64_t n = atomic_fetch_add_explicit(&draws, 1,
                                               memory_order_relaxed);
    apr_uint64_t v = n * APR_UINT64_C(0x9E3779B97F4A7C15) + (apr_uint64_t)time;

    v = (v ^ v >> 30) * APR_UINT64_C(0xBF58476D1CE4E5B9);
    v = (v ^ v >> 27) * APR_UINT64_C(0x94D049BB133111EB);
    return (apr_uint32_t)(v >> 32);
}

/* Is there to be a point?  *rate: what it says of the sample it is in. */
__attribute__((noinline)) static int is_chosen(
    const imx_plan_t *plan, const imx_facts_t *f, const imx_plan_text_t **rate)
{
    const imx_sample_t *sample = &plan->dir->sample;
    const char *err = NULL;

    if (plan->dir->condition != NULL
        && ap_expr_exec(f->last, plan->dir->condition, &err) == 0
        && err == NULL) {
        return 0;
    }
    *rate = &plan->kept;
    if (plan->kept.len == 0 || (sample->errors && f->last->status >= 400)
        || (sample->slow > 0 && f->request_time >= sample->slow)) {
        return 1;
    }
    *rate = &plan->sampled;
    return draw(f->ended) < plan->sample_below;
}

/* ---- log_transaction: facts -> counted -> chosen -> line -> batch ---- */

__attribute__((noinline, cold)) static request_rec *last_of(request_rec *r)
{
    while (r->next != NULL) {
        r = r->next;
    }
    return r;
}

static inline void append(char *line, char *end, const imx_facts_t *f)
{
    end = imx_line_put_time(end, f,
                            imx_batch_unique_time(recorder->batch, f->ended));
    imx_batch_append(recorder, line, (apr_size_t)(end - line));
}

/* What is not on the way of most requests makes the facts anew, from the same
 * `now`: so they can stay in registers on that way. */
__attribute__((noinline)) static void count_more(
    request_rec *first, request_rec *last, imx_marks_t *marks,
    const imx_plan_t *plan, apr_int64_t now)
{
    imx_facts_t f = imx_marks_handled(first, last, marks, now);

    imx_counted_add_more(plan->cell, &f, plan->dir);
}

__attribute__((noinline)) static void append_usual(
    request_rec *first, request_rec *last, imx_marks_t *marks,
    const imx_plan_t *plan, apr_int64_t now)
{
    imx_facts_t f = imx_marks_handled(first, last, marks, now);
    char line[IMX_BATCH_LINE_MAX];

    append(line, imx_line_put(line, plan, &f, &plan->kept), &f);
}

/* A line whose length is known before is written where it lies in the batch.
 * Returns 0 when this one is not. */
static inline int append_short(const imx_plan_t *plan, const imx_facts_t *f)
{
    imx_batch_place_t place;
    imx_line_short_t line;

    if (!imx_line_is_short(&line, f)
        || !imx_line_set_time(&line, f->marks,
                              imx_batch_unique_time(recorder->batch,
                                                    f->ended))) {
        return 0;
    }
    place = imx_batch_reserve_line(recorder,
                                   imx_line_short_length(&line, plan));
    if (place.bytes != NULL) {
        imx_line_put_short(place.bytes, &line, plan, f);
        imx_batch_publish(&place);
    }
    return 1;
}

/* A request that met its handler, and whose line is the usual one.  This is
 * the way of most requests; what it calls becomes a part of it. */
static inline void log_plain(request_rec *first, request_rec *last,
                             imx_marks_t *marks, const imx_plan_t *plan)
{
    apr_int64_t now = imx_clock_now();
    imx_facts_t f = imx_marks_handled(first, last, marks, now);

    imx_counted_add(plan->cell, &f);
    if (plan->counts_more) {
        count_more(first, last, marks, plan, now);
    }
    if (!append_short(plan, &f)) {
        append_usual(first, last, marks, plan, now);
    }
}

/* Did a handler of this module answer it? */
static int is_own(const imx_plan_t *plan, const imx_facts_t *f)
{
    return plan->is_ours && f->met_handler && f->last->handler != NULL
           && strcmp(f->last->handler, plan->dir->handler) == 0;
}

/* Only where trace ids are recorded: for all others it costs nothing. */
__attribute__((noinline, cold)) static void offer_exemplar(
    const imx_plan_t *plan, const imx_facts_t *f)
{
    const char *id = imx_getters_fields[IMX_FIELD_TRACE_ID].text(f);

    if (id != NULL) {
        imx_exemplars_offer(exemplars, plan->server->series[f->route], id,
                            f->request_time, f->ended);
    }
}

static void count(const imx_plan_t *plan, imx_facts_t *f)
{
    imx_stats_cell_t *cell;

    f->route = imx_getters_route(f);
    cell = imx_counted_cell(plan->server, f->route);
    imx_counted_add(cell, f);
    if (plan->counts_more) {
        imx_counted_add_more(cell, f, plan->dir);
    }
    if (plan->dir->field_bits & IMX_BIT(IMX_FIELD_TRACE_ID)) {
        offer_exemplar(plan, f);
    }
}

/* Headers that were taken from the response are there again, so that an
 * expression finds them. */
static void give_back(const imx_facts_t *f)
{
    const imx_rare_t *rare = f->marks != NULL ? f->marks->seen.rare : NULL;

    if (rare != NULL && rare->taken != NULL) {
        apr_table_overlap(f->last->headers_out, rare->taken,
                          APR_OVERLAP_TABLES_SET);
    }
}

/* All others. */
__attribute__((noinline, flatten)) static void log_other(
    request_rec *first, request_rec *last, imx_marks_t *marks,
    const imx_plan_t *plan)
{
    imx_facts_t f = marks != NULL && marks->seen.handler != 0
                        ? imx_marks_handled(first, last, marks,
                                            imx_clock_now())
                        : imx_marks_unhandled(first, last, marks);
    const imx_plan_text_t *rate = &plan->kept;
    char line[IMX_BATCH_LINE_MAX];

    if (is_own(plan, &f)) {
        return;
    }
    count(plan, &f);
    if (plan->has_expressions) {
        give_back(&f);
    }
    if (!plan->is_selective || is_chosen(plan, &f, &rate)) {
        append(line, imx_line_put(line, plan, &f, rate), &f);
    }
}

__attribute__((noinline)) static void log_otherwise(
    request_rec *first, request_rec *last, imx_marks_t *marks,
    const imx_schema_dir_t *dir)
{
    log_other(first, last, marks,
              imx_plan_find(dir, first->server, first->pool));
}

/* httpd logs the first request_rec; how it ended is known by the last one. */
__attribute__((flatten)) int imx_request_log(request_rec *r)
{
    request_rec *last = r->next == NULL ? r : last_of(r);
    imx_marks_t *marks = imx_marks_of(r);
    const imx_schema_dir_t *dir = imx_schema_dir(last->per_dir_config);
    const imx_plan_t *plan = imx_plan_usual(r->server);

    /* A plan says that its dir is `InfluxMetrics On`. */
    if (plan != NULL && plan->plain_for == dir && marks != NULL
        && marks->seen.handler != 0) {
        log_plain(r, last, marks, plan);
    }
    else if (dir->enabled == 1 && recorder != NULL) {
        log_otherwise(r, last, marks, dir);
    }
    return DECLINED;
}
