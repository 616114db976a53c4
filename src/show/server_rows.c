/*
 * server_rows.c owns what is shown of a process and of a worker's state.
 * Entered by any thread that serves a request; only reads.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/server_rows.h"

#include "scoreboard.h"

uint32_t imx_server_rows_processes(void)
{
    return imx_view_arena()->processes.children + 1;
}

int imx_server_rows_process(const imx_view_t *v, uint32_t row,
                            imx_server_rows_process_t *p)
{
    const imx_arena_t *a = imx_view_arena();
    imx_process_t told;

    if (!imx_process_info_get(a, row, v->snapshot->tick, &told)) {
        return 0;
    }
    imx_process_info_name(p->name, sizeof p->name, a, &told, row);
    p->is_parent = row == a->processes.children;
    p->pid = imx_children_pid(told.who);
    p->cpu_user = p->cpu_system = -1;
    imx_process_info_cores(&told, &p->cpu_user, &p->cpu_system);
    p->rss = told.rss;
    p->threads = told.threads;
    p->fds = told.fds;
    p->requests = p->busy = -1;
    if (!p->is_parent) {
        imx_workers_of(p->pid, &p->busy, &p->requests);
    }
    p->age = (told.use.at - told.started) / INT64_C(1000000000);
    return 1;
}

/* A worker that is ready waits for a request. */
const char *imx_server_rows_state(unsigned state)
{
    return state == SERVER_READY ? "waiting" : imx_workers_state(state);
}
