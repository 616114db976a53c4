/*
 * process_info.c owns the points with the figures of httpd's processes.
 * Entered by each child's monitor thread (measure), and by the holder's.
 * What a process published of itself survives it (shared/processes.h).
 */
#include "report/process_info.h"

#include "apr_strings.h"

#include "base/clock.h"
#include "config/config.h"
#include "config/reporting.h"
#include "report/workers.h"

#define SECOND INT64_C(1000000000)
#define USUAL_INTERVAL (10 * SECOND)

static pid_t parent; /* 0: it is this process */

/* How far the points of this interval are written. */
static struct {
    uint64_t number; /* of the interval */
    uint32_t slot;   /* the next one */
} done;

void imx_process_info_child_init(pid_t pid)
{
    parent = pid;
}

/* ---- measuring ---- */

void imx_process_info_measure(const imx_arena_t *a,
                              const imx_children_self_t *self, int64_t now)
{
    imx_process_t before = imx_processes_told(&a->processes, self->slot);
    imx_process_t p = imx_processes_measure(self->who, &before, now);

    if (self->slot < a->processes.children) {
        imx_processes_tell(&a->processes, self->slot, &p);
    }
}

void imx_process_info_measure_parent(const imx_arena_t *a, int64_t now)
{
    uint32_t slot = a->processes.children;
    imx_process_t before = imx_processes_told(&a->processes, slot), p;

    if (parent != 0) {
        p = imx_processes_measure_other(imx_children_who(&a->children, parent),
                                        &before, now);
        imx_processes_tell(&a->processes, slot, &p);
    }
}

/* ---- the line ---- */

static void put_known(imx_output_t *out, const char *name, size_t length,
                      int64_t value)
{
    if (value >= 0) {
        imx_lineproto_field_int(&out->lp, name, length, value);
    }
}

int imx_process_info_cores(const imx_process_t *p, double *user,
                           double *system)
{
    int64_t since = p->before.at != 0 ? p->before.at : p->started;
    double time = (double)p->use.at - (double)since;

    if (time <= 0) {
        return 0;
    }
    *user = ((double)p->use.cpu_user - (double)p->before.cpu_user) / time;
    *system = ((double)p->use.cpu_system - (double)p->before.cpu_system)
              / time;
    return 1;
}

static void put_cores(imx_output_t *out, const imx_process_t *p)
{
    double user, system;

    if (imx_process_info_cores(p, &user, &system)) {
        imx_output_float(out, "cpu_user", user);
        imx_output_float(out, "cpu_system", system);
    }
}

static void put_work(imx_output_t *out, pid_t pid)
{
    int64_t busy, requests;

    if (imx_workers_of(pid, &busy, &requests)) {
        imx_output_int(out, "busy", busy);
        put_known(out, IMX_LINEPROTO_TEXT("requests"), requests);
    }
}

/* The sum stands beside the means, which cannot be put together. */
static void put_cpu(imx_output_t *out, const imx_process_t *p)
{
    put_cores(out, p);
    imx_output_seconds(out, "cpu_time", p->use.cpu_user + p->use.cpu_system);
}

/* As the points of requests name a process; the slot, where they do not. */
void imx_process_info_name(char *name, size_t size, const imx_arena_t *a,
                           const imx_process_t *p, uint32_t slot)
{
    const char *host = imx_config_global()->hostname;

    if (slot == a->processes.children) {
        apr_snprintf(name, size, "%s:parent", host);
    }
    else {
        apr_snprintf(name, size, "%s:%d", host,
                     imx_config_global()->process_tag == IMX_PROCESS_PID
                         ? (int)imx_children_pid(p->who)
                         : (int)slot);
    }
}

static int write_process(imx_output_t *out, const imx_process_t *p,
                         uint32_t slot, int64_t time)
{
    int is_child = slot < out->arena->processes.children;
    pid_t pid = imx_children_pid(p->who);
    char name[IMX_PROCESS_INFO_NAME_MAX];

    imx_process_info_name(name, sizeof name, out->arena, p, slot);
    imx_output_begin(out, "process-info");
    imx_output_tag(out, "process", name);
    imx_output_tag(out, "process_type", is_child ? "child" : "parent");
    imx_output_int(out, "pid", pid);
    put_cpu(out, p);
    put_known(out, IMX_LINEPROTO_TEXT("memory_rss"), p->rss);
    put_known(out, IMX_LINEPROTO_TEXT("memory_max_rss"), p->max_rss);
    put_known(out, IMX_LINEPROTO_TEXT("threads"), p->threads);
    put_known(out, IMX_LINEPROTO_TEXT("fds"), p->fds);
    if (is_child) {
        put_work(out, pid);
    }
    imx_output_int(out, "age", (p->use.at - p->started) / SECOND);
    return imx_output_end(out, time);
}

/* ---- all processes ---- */

/* Also where no points are written of it: the page shows it. */
int64_t imx_process_info_interval(void)
{
    int64_t interval = imx_reporting()->interval[IMX_MEASURED_PROCESSES];

    return interval > 0 ? interval : USUAL_INTERVAL;
}

/* A child that is stopped publishes nothing: its old figures are not those of
 * now. */
int imx_process_info_get(const imx_arena_t *a, uint32_t slot, int64_t now,
                         imx_process_t *p)
{
    int64_t oldest = 3 * imx_process_info_interval();
    int is_child = slot < a->processes.children;

    if (is_child && !imx_children_is_taken(&a->children, slot)) {
        return 0; /* most rows are free */
    }
    *p = imx_processes_told(&a->processes, slot);
    return p->who != 0 && p->use.at <= now && now - p->use.at <= oldest
           && (!is_child || p->who == imx_children_in(&a->children, slot));
}

static int write_all(imx_output_t *out, const imx_interval_closed_t *closed)
{
    const imx_arena_t *a = out->arena;
    int64_t now = imx_clock_now();
    imx_process_t p;

    if (done.number != closed->number) {
        done.number = closed->number;
        done.slot = 0;
        imx_process_info_measure_parent(a, now);
    }
    for (; done.slot <= a->processes.children; done.slot++) {
        if (!imx_process_info_get(a, done.slot, now, &p)) {
            continue;
        }
        if (!imx_output_may_go_on(out)
            || !write_process(out, &p, done.slot, closed->time)) {
            return 0;
        }
    }
    return 1;
}

const imx_measurement_t imx_process_info = { IMX_MEASURED_PROCESSES, NULL,
                                             write_all };
