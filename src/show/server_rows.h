/*
 * server_rows.h: what JSON and the page show of the server in rows: its
 * processes, and the states of its workers.
 */
#ifndef IMX_SERVER_ROWS_H
#define IMX_SERVER_ROWS_H

#include "report/process_info.h"
#include "show/view.h"

/* What is not known is negative. */
typedef struct {
    char name[IMX_PROCESS_INFO_NAME_MAX];
    int is_parent;
    pid_t pid;
    double cpu_user, cpu_system; /* cores */
    int64_t rss;                 /* bytes */
    int64_t threads, fds, requests, busy;
    int64_t age; /* s */
} imx_server_rows_process_t;

/* Any thread: how many rows there may be, the parent's is the last one; fills
 * *p, and returns 0 where there is no process. */
uint32_t imx_server_rows_processes(void);
int imx_server_rows_process(const imx_view_t *v, uint32_t row,
                            imx_server_rows_process_t *p);

/* The name of a worker's state, of IMX_WORKERS_STATES. */
const char *imx_server_rows_state(unsigned state);

#endif
