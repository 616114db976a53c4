/*
 * figures.c owns the table of figures: name, kind, unit, what it means, and how
 * it is had from a snapshot.
 * Entered by any thread.
 * Nothing is kept, so nothing has to survive.
 */
#include "shared/figures.h"

#include "base/version.h"
#include "shared/health.h"

#include <string.h>

#define SECOND 1000000000LL

static imx_figures_value_t number(uint64_t n)
{
    imx_figures_value_t v = { (int64_t)n, NULL };

    return v;
}

static imx_figures_value_t text(const char *t)
{
    imx_figures_value_t v = { 0, t };

    return v;
}

#define NUMBER(name, what) \
    static imx_figures_value_t name(const imx_snapshot_t *s) \
    { \
        return number((uint64_t)(what)); \
    }
#define TEXT(name, what) \
    static imx_figures_value_t name(const imx_snapshot_t *s) \
    { \
        return text(what); \
    }

NUMBER(points_recorded, imx_snapshot_recorded(s))
NUMBER(requests_counted, s->requests)
NUMBER(points_taken, s->intake.points)
NUMBER(bodies_refused, s->intake.refused)
NUMBER(queries_run, s->queried.runs)
NUMBER(queries_failed, s->queried.failed)
NUMBER(points_queried, s->queried.points)
NUMBER(points_sent, s->totals.fate[IMX_BATCH_SENT] + s->told.spool_delivered)
NUMBER(points_rejected,
       s->totals.fate[IMX_BATCH_REJECTED] + s->told.spool_rejected)
NUMBER(points_dropped, imx_snapshot_dropped(s))
NUMBER(points_pending, s->totals.pending)
NUMBER(points_spooled, imx_snapshot_spooled(s))
NUMBER(dropped_no_room, s->totals.no_room)
NUMBER(dropped_oldest, s->totals.fate[IMX_BATCH_DROPPED])
NUMBER(dropped_torn, s->totals.fate[IMX_BATCH_TORN])
NUMBER(dropped_spool, s->told.spool_dropped)
NUMBER(points_repeated, s->told.repeated)
TEXT(state, imx_health_word(imx_health_of(s)))
NUMBER(outage, s->told.down_since == 0
                   ? 0
                   : imx_snapshot_seconds(s->told.down_since, s->tick))
TEXT(server, s->server)
NUMBER(last_flush, s->told.last_flush / SECOND)
NUMBER(last_status, s->told.last_status)
TEXT(last_error, s->told.last_error)
NUMBER(lease_holder, s->holder)
NUMBER(holder_silent, s->holder == 0 || s->beaten == 0
                          ? 0
                          : imx_snapshot_seconds(s->beaten, s->tick))
NUMBER(spool_hangs, s->told.spool_hangs == 0
                        ? 0
                        : imx_snapshot_seconds(s->told.spool_hangs, s->tick))
NUMBER(buffer_size, s->buffer_size)
NUMBER(buffer_used, s->buffer_used)
NUMBER(spool_bytes, s->told.spool_bytes)
NUMBER(values_left_out, s->values.left_out)
NUMBER(tag_values_other, s->values.others)
TEXT(tags_at_limit, s->tags_at_limit)
NUMBER(uptime, imx_snapshot_seconds(s->made, s->now))

static imx_figures_value_t version(const imx_snapshot_t *s)
{
    (void)s;
    return text(IMX_VERSION);
}

#define C IMX_FIGURES_COUNTER
#define G IMX_FIGURES_GAUGE
#define D IMX_FIGURES_TIME
#define T IMX_FIGURES_TEXT
#define ROW(name, label, kind, subject, unit, help) \
    { \
#name, label, kind, IMX_FIGURES_##subject, unit, help, name \
    }

static const imx_figures_row_t table[] = {
    ROW(points_recorded, "Points recorded", C, POINTS, "points",
        "Points since the server started, and those that were in the spool "
        "then. The next five add up to it."),
    ROW(points_sent, "Points that InfluxDB has", C, POINTS, "points",
        "Points that InfluxDB has acknowledged."),
    ROW(points_rejected, "Points that InfluxDB refused", C, POINTS, "points",
        "Points that InfluxDB refused for good."),
    ROW(points_dropped, "Points lost", C, POINTS, "points",
        "Points that the module gave up. The reasons are below."),
    ROW(points_pending, "Points in the buffer", G, POINTS, "points",
        "Points that wait in memory."),
    ROW(points_spooled, "Points in the spool", G, POINTS, "points",
        "Points that wait on disk."),
    ROW(points_repeated, "Points sent again", C, POINTS, "points",
        "Points that were sent once more because InfluxDB did not say whether "
        "it has them. InfluxDB stores them once."),
    ROW(requests_counted, "Requests counted", C, POINTS, "",
        "Requests where InfluxMetrics is On since the server started, those "
        "without a point of their own included."),
    ROW(points_taken, "Points taken from applications", C, POINTS, "points",
        "Points that applications wrote to influx-metrics-write. They are "
        "among the points recorded."),
    ROW(bodies_refused, "Bodies refused to applications", C, POINTS, "",
        "Writes to influx-metrics-write that were refused. Nothing of them was "
        "taken, and the application was told why."),
    ROW(queries_run, "Queries of databases", C, POINTS, "",
        "Runs of InfluxMetricsQuery that worked."),
    ROW(points_queried, "Points made of their rows", C, POINTS, "points",
        "Points of InfluxMetricsQuery. They are among the points recorded."),
    ROW(queries_failed, "Queries that failed", C, POINTS, "",
        "Runs of InfluxMetricsQuery that gave nothing, or were left out "
        "because the run before took too long. The log says why."),
    ROW(dropped_no_room, "Lost: no free segment", C, LOST, "points",
        "Requests that found no room in the buffer."),
    ROW(dropped_oldest, "Lost: the oldest, buffer full", C, LOST, "points",
        "The oldest points, given up because the buffer was full."),
    ROW(dropped_torn, "Lost: child killed while writing", C, LOST, "points",
        "Points that a child had begun to write when it was killed."),
    ROW(dropped_spool, "Lost: the oldest, spool full", C, LOST, "points",
        "The oldest points in the spool, given up because it was full, and "
        "those in files that could not be read."),
    ROW(state, "State of delivery", T, DELIVERY, "",
        "ok, waiting (nothing was delivered yet), trouble (the last answer "
        "was not good), outage (InfluxDB takes no points), nobody (no child "
        "has delivered for 5 seconds) or silent (the child that does has done "
        "nothing for 5 seconds)."),
    ROW(outage, "InfluxDB has taken no points for", G, DELIVERY, "seconds",
        "How long the outage has lasted, 0 when there is none."),
    ROW(server, "InfluxDB", T, DELIVERY, "",
        "The URL of InfluxMetricsServer."),
    ROW(last_flush, "Last delivery", D, DELIVERY, "seconds",
        "When InfluxDB last acknowledged points, 0 when it has not yet."),
    ROW(last_status, "Last HTTP status", G, DELIVERY, "",
        "The status of InfluxDB's last answer, 0 when there was no answer."),
    ROW(last_error, "Last error", T, DELIVERY, "",
        "Why the last body was not delivered, empty when it was."),
    ROW(lease_holder, "Process that delivers", G, DELIVERY, "",
        "The process id of the child that delivers for all, 0 when there is "
        "none at the moment."),
    ROW(holder_silent, "It last worked", G, DELIVERY, "seconds",
        "For how long that child has done nothing. It works several times a "
        "second."),
    ROW(buffer_size, "Buffer", G, ROOM, "bytes",
        "The memory for points that wait: InfluxMetricsBufferSize."),
    ROW(buffer_used, "Buffer in use", G, ROOM, "bytes",
        "How much of it is taken."),
    ROW(spool_bytes, "Spool", G, ROOM, "bytes",
        "The size of the files of the spool."),
    ROW(spool_hangs, "The disk of the spool has not answered for", G, ROOM,
        "seconds", "For how long that disk has not answered, 0 when it does."),
    ROW(values_left_out, "Values left out", C, VALUES, "",
        "Values that are missing in their points because they were not of "
        "their type or too long, or their expression failed."),
    ROW(tag_values_other, "Values of tags written as \"other\"", C, VALUES, "",
        "Values of tags beyond InfluxMetricsTagLimit."),
    ROW(tags_at_limit, "Tags at InfluxMetricsTagLimit", T, VALUES, "",
        "The names of these tags."),
    ROW(version, "Version", T, MODULE, "", "The version of this module."),
    ROW(uptime, "Up", G, MODULE, "seconds",
        "Time since the shared memory was made."),
};

const imx_figures_row_t *imx_figures_table(size_t *rows)
{
    *rows = sizeof table / sizeof table[0];
    return table;
}

const imx_figures_row_t *imx_figures_find(const char *name)
{
    const imx_figures_row_t *row = table;

    while (row < &table[sizeof table / sizeof table[0] - 1]
           && strcmp(row->name, name) != 0) {
        row++;
    }
    return row;
}

const char *imx_figures_subject(imx_figures_subject_e subject)
{
    static const char *const headings[IMX_FIGURES_SUBJECTS] = {
        "Points", "Lost points", "Delivery", "Room", "Values", "Module"
    };

    return headings[subject];
}
