/*
 * slow.c owns the points of requests that still run, and of their end.
 * Entered by each child's monitor thread.
 * What was published survives the child, and is not believed then
 * (shared/slow.h); the points that were written are in the batch.
 */
#include "report/slow.h"

#include "config/reporting.h"
#include "record/watch.h"
#include "report/process_info.h"

#define USUAL_THRESHOLD INT64_C(1000000000) /* ns */
#define AGAIN INT64_C(10000000000) /* ns between two points of a request */

static imx_output_t output;
static imx_watch_t watch;

void imx_slow_report_use(imx_batch_child_t *child, const imx_arena_t *arena,
                         const char *hostname)
{
    output.child = child;
    output.arena = arena;
    output.hostname = hostname;
}

/* ---- points ---- */

#define put_string(out, key, value) \
    imx_lineproto_field_string(&(out)->lp, IMX_LINEPROTO_TEXT(key), (value), \
                               strlen(value))

/* Each with a time of its own, as two requests can have the same tags. */
static int write_point(imx_output_t *out, const imx_watch_place_t *p,
                       int64_t now)
{
    const imx_slow_request_t *r = &p->request;
    imx_series_name_t name = imx_series_name(&out->arena->series, r->series);
    const imx_children_self_t *self = &out->child->self;
    const imx_process_t child = { .who = self->who };
    char process[IMX_PROCESS_INFO_NAME_MAX];

    imx_process_info_name(process, sizeof process, out->arena, &child,
                          self->slot);
    imx_output_begin(out, "slow-requests");
    imx_output_tag(out, "method", r->method);
    imx_output_tag(out, "server", name.server);
    imx_output_seconds(out, "elapsed",
                       (p->ended != 0 ? p->ended : now) - r->began);
    put_string(out, "waits_for",
               p->ended != 0 ? "ended" : imx_slow_wait(r->wait));
    if (*r->path != '\0') {
        put_string(out, "uri", r->path);
    }
    put_string(out, "process", process);
    return imx_output_end(out, imx_batch_unique_time(&out->arena->batch,
                                                     imx_interval_now().wall));
}

/* A place is free again when the end of its request is written; without room in
 * the buffer at the next look. */
static void write_points(int64_t now)
{
    int i;

    for (i = 0; i < IMX_SLOW_PLACES; i++) {
        imx_watch_place_t *p = &watch.places[i];

        if (p->seat == NULL || (p->ended == 0 && now < p->due)
            || !imx_batch_has_room(&output.arena->batch)
            || !write_point(&output, p, now)) {
            continue;
        }
        p->due = now + AGAIN;
        if (p->ended != 0) {
            p->seat = NULL;
        }
    }
}

/* ---- what is published ---- */

static void publish(int64_t now)
{
    const imx_children_self_t *self = &output.child->self;
    imx_slow_row_t row = {
        .who = self->who, .at = now, .in_flight = watch.in_flight
    };
    int i;

    for (i = 0; i < IMX_SLOW_PLACES; i++) {
        if (watch.places[i].seat != NULL && watch.places[i].ended == 0) {
            row.slow[row.count++] = watch.places[i].request;
        }
    }
    imx_slow_tell(&output.arena->slow, self->slot, &row);
}

/* Where no points are written of them, their places are free at once. */
static void forget_ended(void)
{
    int i;

    for (i = 0; i < IMX_SLOW_PLACES; i++) {
        if (watch.places[i].ended != 0) {
            watch.places[i].seat = NULL;
        }
    }
}

/* What is off has no points; the page shows it all the same. */
void imx_slow_report_look(int64_t now)
{
    const int64_t threshold = imx_reporting()->interval[IMX_MEASURED_SLOW];
    const imx_watch_rule_t rule = {
        .threshold = threshold > 0 ? threshold : USUAL_THRESHOLD,
        .hides_paths = imx_reporting()->hides_paths
    };

    imx_watch_look(&watch, now, &rule);
    publish(now);
    if (threshold > 0) {
        write_points(now);
    }
    else {
        forget_ended();
    }
}
