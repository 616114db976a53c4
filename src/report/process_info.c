/*
 * process_info.c owns the points with the figures of httpd's processes.
 * Entered by each child's monitor thread (measure), and by the holder's.
 * What a process published of itself survives it (shared/processes.h).
 */
#include "report/process_info.h"

#include "report/workers.h"

#define SECOND INT64_C(1000000000)

void imx_process_info_measure(const imx_arena_t *a,
                              const imx_children_self_t *self, int64_t now)
{
    imx_process_t before = imx_processes_told(&a->processes, self->slot);
    imx_process_t p = imx_processes_measure(self->who, &before, now);

    if (self->slot < a->processes.children) {
        imx_processes_tell(&a->processes, self->slot, &p);
    }
}

void imx_process_info_measure_parent(const imx_arena_t *a, pid_t parent,
                                     int64_t now)
{
    uint32_t slot = a->processes.children;
    imx_process_t before = imx_processes_told(&a->processes, slot);
    imx_process_t p =
        imx_processes_measure_other(imx_children_who(&a->children, parent),
                                    &before, now);

    imx_processes_tell(&a->processes, slot, &p);
}

int imx_process_info_get(const imx_arena_t *a, uint32_t slot, int64_t now,
                         int64_t oldest, imx_process_t *p)
{
    if (slot < a->processes.children
        && !imx_children_is_taken(&a->children, slot)) {
        return 0; /* the usual case: most rows are free */
    }
    *p = imx_processes_told(&a->processes, slot);
    return p->who != 0 && p->use.at <= now && now - p->use.at <= oldest
           && (slot == a->processes.children
               || p->who == imx_children_in(&a->children, slot));
}

/* ---- the fields ---- */

#define PUT(lp, name, value) \
    imx_lineproto_field_int(lp, IMX_LINEPROTO_TEXT(name), value)

static void put_known(imx_lineproto_t *lp, const char *name, size_t length,
                      int64_t value)
{
    if (value >= 0) {
        imx_lineproto_field_int(lp, name, length, value);
    }
}

/* Seconds of processor time in a second, since the measurement before; at the
 * first one since the process was started. */
static void put_cores(imx_lineproto_t *lp, const imx_process_t *p)
{
    int64_t since = p->before.at != 0 ? p->before.at : p->started;
    double time = (double)(p->use.at - since);

    if (time > 0) {
        imx_lineproto_field_float(lp, IMX_LINEPROTO_TEXT("cpu_user"),
                                  (double)(p->use.cpu_user - p->before.cpu_user)
                                      / time);
        imx_lineproto_field_float(lp, IMX_LINEPROTO_TEXT("cpu_system"),
                                  (double)(p->use.cpu_system
                                           - p->before.cpu_system)
                                      / time);
    }
}

static void put_work(imx_lineproto_t *lp, pid_t pid)
{
    int64_t busy, requests;

    if (imx_workers_of(pid, &busy, &requests)) {
        PUT(lp, "busy", busy);
        put_known(lp, IMX_LINEPROTO_TEXT("requests"), requests);
    }
}

void imx_process_info_put(imx_lineproto_t *lp, const imx_process_t *p,
                          int64_t now, int is_child)
{
    pid_t pid = imx_children_pid(p->who);

    PUT(lp, "pid", pid);
    put_cores(lp, p);
    put_known(lp, IMX_LINEPROTO_TEXT("memory_rss"), p->rss);
    put_known(lp, IMX_LINEPROTO_TEXT("memory_max_rss"), p->max_rss);
    put_known(lp, IMX_LINEPROTO_TEXT("threads"), p->threads);
    put_known(lp, IMX_LINEPROTO_TEXT("fds"), p->fds);
    if (is_child) {
        put_work(lp, pid);
    }
    PUT(lp, "age", (now - p->started) / SECOND);
}
