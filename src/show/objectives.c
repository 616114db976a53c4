/*
 * objectives.c owns what is shown of InfluxMetricsObjective: the objectives by
 * virtual host, and what the history says of the requests that have one.
 * Entered by the child's main thread (use), and by any thread that serves a
 * request; these only read.
 * What it reads is in shared memory and survives any child.
 */
#include "show/objectives.h"

#include "apr_hash.h"
#include "apr_strings.h"

#define MINUTES5 300       /* seconds */
#define HOUR_IN_MINUTES 59 /* closed ones; beside them the one that goes on */

static const imx_arena_t *arena;
static apr_hash_t *goals; /* of imx_objective_t, by the name of a host */
static imx_objective_t of_other; /* of any host */

/* ---- which hosts have one ---- */

static void note(apr_pool_t *p, const char *name,
                 const imx_objective_t *objective)
{
    imx_objective_t *goal = apr_hash_get(goals, name, APR_HASH_KEY_STRING);

    if (goal == NULL) {
        goal = apr_pcalloc(p, sizeof *goal);
        apr_hash_set(goals, apr_pstrdup(p, name), APR_HASH_KEY_STRING, goal);
    }
    imx_objective_join(goal, objective);
    imx_objective_join(&of_other, objective);
}

/* Virtual hosts of one name are one. */
void imx_objectives_use(apr_pool_t *pchild, const server_rec *s,
                        const imx_arena_t *a)
{
    const imx_objective_t none = { 0, 0 };

    arena = a;
    goals = apr_hash_make(pchild);
    of_other = none;
    for (; s != NULL; s = s->next) {
        const imx_schema_server_t *server = imx_schema_server(s);
        imx_objective_t goal = server->placed;

        imx_objective_join(&goal,
                           &imx_schema_dir(s->lookup_defaults)->objective);
        if (goal.percent > 0) {
            note(pchild, imx_series_name(&a->series, server->series[0]).server,
                 &goal);
        }
    }
}

static imx_objective_t goal_of(const imx_history_t *h, uint32_t host)
{
    const imx_objective_t none = { 0, 0 };
    imx_series_name_t name;
    const imx_objective_t *goal;

    if (host == IMX_HISTORY_OTHER) {
        return of_other;
    }
    name = imx_series_name(&arena->series, imx_history_series(h, host));
    goal = apr_hash_get(goals, name.server, APR_HASH_KEY_STRING);
    return goal != NULL ? *goal : none;
}

/* ---- what was counted ---- */

/* Periods first to last of a ring. */
typedef struct {
    imx_history_ring_e ring;
    uint64_t first, last;
} range_t;

/* All that an answer is made of: the same periods for each host. */
typedef struct {
    const imx_history_t *h;
    range_t minutes5, minutes, since; /* since: behind these minutes */
} look_t;

static int is_there(const imx_history_t *h, imx_history_ring_e ring,
                    uint64_t n)
{
    imx_history_row_t row;

    return imx_history_row(h, ring, n, IMX_HISTORY_OTHER, &row);
}

/*
 * The first second that is in no minute up to this one.  A minute is closed
 * with the first second that is closed at its end or behind it, and has that
 * second in it.
 */
static uint64_t first_behind(const imx_history_t *h, uint64_t minute,
                             uint64_t last)
{
    uint64_t n = minute * 60;

    if (is_there(h, IMX_HISTORY_MINUTE, minute)) {
        while (n < last && last - n < IMX_HISTORY_SECONDS
               && !is_there(h, IMX_HISTORY_SECOND, n)) {
            n++;
        }
    }
    return n + 1;
}

static look_t look(const imx_history_t *h, imx_objectives_t *o)
{
    uint64_t last = imx_history_last(h, IMX_HISTORY_SECOND);
    uint64_t minute = imx_history_last(h, IMX_HISTORY_MINUTE);
    uint64_t age = last - h->first, hour;
    look_t l = {
        h,
        { IMX_HISTORY_SECOND, last - MINUTES5 + 1, last },
        { IMX_HISTORY_MINUTE, minute - HOUR_IN_MINUTES + 1, minute },
        { IMX_HISTORY_SECOND, first_behind(h, minute, last), last },
    };

    hour = HOUR_IN_MINUTES * 60 + (last - minute * 60) % 60;
    o->seconds[IMX_OBJECTIVES_MINUTES5] =
        (uint32_t)(age < MINUTES5 ? age : MINUTES5);
    o->seconds[IMX_OBJECTIVES_HOUR] = (uint32_t)(age < hour ? age : hour);
    return l;
}

/* Numbers that somebody wrote there are no reason to go on for ever, and those
 * before 0 are of no period. */
static void add_up(const look_t *l, const range_t *range, uint32_t host,
                   imx_objectives_span_t *span)
{
    uint64_t n, places = imx_history_places(range->ring);
    imx_history_row_t row;

    for (n = range->last; places > 0 && n + 1 > range->first; n--, places--) {
        if (imx_history_row(l->h, range->ring, n, host, &row)) {
            span->total += row.objective_total;
            span->good += row.objective_good;
        }
    }
}

/* A request is added to two counters, one behind the other: one of them may be
 * in the second before. */
static void finish(imx_objectives_span_t *span, double percent)
{
    if (span->good > span->total) {
        span->good = span->total;
    }
    span->allowed = (double)span->total * (100 - percent) / 100;
}

static void get_host(const look_t *l, uint32_t host, imx_objectives_row_t *row)
{
    imx_objectives_span_t *spans = row->spans;

    add_up(l, &l->minutes5, host, &spans[IMX_OBJECTIVES_MINUTES5]);
    add_up(l, &l->minutes, host, &spans[IMX_OBJECTIVES_HOUR]);
    add_up(l, &l->since, host, &spans[IMX_OBJECTIVES_HOUR]);
    finish(&spans[IMX_OBJECTIVES_MINUTES5], row->goal.percent);
    finish(&spans[IMX_OBJECTIVES_HOUR], row->goal.percent);
}

static void add_to_all(imx_objectives_row_t *all,
                       const imx_objectives_row_t *row)
{
    int is_one = all->goal.percent == 0
                 || all->goal.percent == row->goal.percent;
    int i;

    imx_objective_join(&all->goal, &row->goal);
    if (!is_one) {
        all->goal.percent = IMX_OBJECTIVE_SEVERAL;
    }
    for (i = 0; i < IMX_OBJECTIVES_SPANS; i++) {
        all->spans[i].total += row->spans[i].total;
        all->spans[i].good += row->spans[i].good;
        all->spans[i].allowed += row->spans[i].allowed;
    }
}

const imx_objectives_t *imx_objectives_get(apr_pool_t *p)
{
    const imx_history_t *h = &arena->history;
    uint32_t hosts = imx_history_hosts(h), i;
    imx_objectives_t *o;
    look_t l;

    if (apr_hash_count(goals) == 0) {
        return NULL;
    }
    o = apr_pcalloc(p, sizeof *o);
    l = look(h, o);
    for (i = 0; i < hosts; i++) {
        imx_objectives_row_t *row = &o->hosts[i];

        row->goal = goal_of(h, i);
        if (row->goal.percent > 0) {
            get_host(&l, i, row);
            add_to_all(&o->all, row);
        }
    }
    return o;
}
