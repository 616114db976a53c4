/*
 * workers.h: what httpd's workers do, by its scoreboard: how many are in which
 * state, how much of the server's capacity is used, and how many connections
 * wait for a worker.
 * The holder's monitor thread; what "any" stands before, any thread of a child.
 */
#ifndef IMX_WORKERS_H
#define IMX_WORKERS_H

#include <stdint.h>
#include <sys/types.h>

#include "report/measurement.h"

extern const imx_measurement_t imx_workers;

#define IMX_WORKERS_STATES 11 /* as mod_status has them */

/* What the scoreboard says at one moment. */
typedef struct {
    int64_t state[IMX_WORKERS_STATES];
    int64_t busy;
    int64_t children; /* processes, those that leave included ... */
    int64_t stopping; /* ... and alone */
    int64_t connections, keepalive, writing, closing, wait_io; /* event */
} imx_workers_count_t;

/* A child's main thread, before it serves: finds the listeners and the
 * limits. */
void imx_workers_child_init(void);

/* Any: how many workers there may be, for the whole server. */
int64_t imx_workers_max(void);

/* Any: reads the scoreboard; only the state of each worker. */
imx_workers_count_t imx_workers_count(void);

/* Holder, every 100 ms: adds to what capacity_utilization is the mean of.  now:
 * ns of the monotonic clock. */
void imx_workers_look(int64_t now);

/* The part of all workers that was busy since the last call with begin_anew,
 * weighted by time; -1: nobody has looked. */
double imx_workers_utilization(int begin_anew);

/* How many workers were busy, as a mean since the last call; -1: nobody has
 * looked. */
double imx_workers_busy(void);

/* Any: connections in the kernel that no worker has taken yet, and how many
 * there may be, summed over the listeners.  Returns 0, or -1 when no listener
 * tells. */
int imx_workers_queue(int64_t *waiting, int64_t *limit);

#define IMX_WORKERS_LISTENERS_MAX 64

typedef struct {
    const char *address; /* "127.0.0.1:80" */
    int64_t waiting, limit;
} imx_workers_listener_t;

/* Any: the same of each address; sockets that share one are put together.
 * Returns how many there are. */
unsigned imx_workers_listeners(
    imx_workers_listener_t listeners[IMX_WORKERS_LISTENERS_MAX]);

/* Any: the name of a state in worker-states. */
const char *imx_workers_state(unsigned state);

/* Any: does the MPM have connections that hold no worker? */
int imx_workers_is_async(void);

/* Any: of one process: how many of its workers are busy, and how many requests
 * it has served (-1: with ExtendedStatus Off that is not counted).  Returns 0
 * when the scoreboard has no such process. */
int imx_workers_of(pid_t pid, int64_t *busy, int64_t *requests);

#endif
