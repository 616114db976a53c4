/*
 * server_events.c owns what is an event, and how it stands in a line.
 * Entered by httpd's parent's only thread, and by the holder's monitor thread.
 * Events survive any process but the parent (shared/events.h); which signal
 * the parent has read of is its own.
 */
#include "report/server_events.h"

#include "ap_mpm.h"
#include "apr_strings.h"
#include "unixd.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pid_t parent; /* 0: this process is not the parent */

/* Of whom the log told last. */
static struct {
    pid_t pid;
    int signal;
} killed;

static int generation_now(void)
{
    int generation;

    return ap_mpm_query(AP_MPMQ_GENERATION, &generation) == APR_SUCCESS
               ? generation
               : 0;
}

/* ---- the parent ---- */

void imx_server_events_began(const imx_arena_t *a, int is_first)
{
    imx_event_e kind = is_first ? IMX_EVENT_START
                       : ap_unixd_mpm_get_retained_data()->was_graceful
                           ? IMX_EVENT_GRACEFUL
                           : IMX_EVENT_RESTART;

    parent = getpid();
    imx_events_add(&a->events, kind, parent, 0, generation_now());
}

void imx_server_events_ended(const imx_arena_t *a)
{
    imx_events_add(&a->events, IMX_EVENT_STOP, getpid(), 0, generation_now());
}

/*
 * "AH00052: child pid 4711 exit signal Segmentation fault (11)": httpd writes
 * that for all signals but SIGKILL, SIGTERM, SIGHUP and SIGUSR1, before it
 * calls the hook child_status, which does not tell it.
 */
void imx_server_events_read_log(const ap_errorlog_info *info, const char *text)
{
    static const char begin[] = "child pid ", middle[] = " exit signal ";
    const char *p;
    char *end;
    long pid;

    if (parent == 0 || info->r != NULL || info->c != NULL
        || (p = strstr(text, begin)) == NULL) {
        return;
    }
    pid = strtol(p + sizeof begin - 1, &end, 10);
    if (strncmp(end, middle, sizeof middle - 1) == 0
        && (p = strchr(end, '(')) != NULL) {
        killed.pid = (pid_t)pid;
        killed.signal = atoi(p + 1);
    }
}

/*
 * A child that ends as httpd wants it says so first, or had not yet started
 * when it was told to.  One that did neither, and of which the log says
 * nothing, was killed by SIGKILL: its own handlers see to the other signals
 * that are not logged.  (Or its code called _exit() or exit(), which looks the
 * same from here.)
 */
void imx_server_events_reaped(const imx_arena_t *a, pid_t pid, int generation)
{
    int is_told = killed.pid == pid;

    if (imx_children_ran(&a->children, pid) || is_told) {
        imx_events_add(&a->events, IMX_EVENT_KILLED, pid,
                       is_told ? killed.signal : SIGKILL, generation);
    }
    killed.pid = 0;
}

/* ---- a child ---- */

void imx_server_events_child_init(void)
{
    if (parent != getpid()) { /* not httpd -X */
        parent = 0;
    }
}

void imx_server_events_look(const imx_arena_t *a,
                            const imx_children_self_t *self)
{
    static int is_said;

    if (!is_said) {
        is_said = 1;
        imx_events_add(&a->events, IMX_EVENT_HOLDER, getpid(),
                       (int32_t)self->slot, generation_now());
    }
}

void imx_server_events_outage(const imx_arena_t *a, int is_down)
{
    imx_events_add(&a->events, is_down ? IMX_EVENT_OUTAGE : IMX_EVENT_WORKS,
                   getpid(), 0, generation_now());
}

/* ---- the measurement ---- */

const char *imx_server_events_kind(const imx_event_t *event)
{
    static const char *const kinds[] = {
        [IMX_EVENT_START] = "start",       [IMX_EVENT_RESTART] = "restart",
        [IMX_EVENT_GRACEFUL] = "graceful", [IMX_EVENT_KILLED] = "child_killed",
        [IMX_EVENT_HOLDER] = "holder",     [IMX_EVENT_STOP] = "stop",
        [IMX_EVENT_OUTAGE] = "outage",     [IMX_EVENT_WORKS] = "outage"
    };

    return kinds[event->kind];
}

int imx_server_events_text(const imx_event_t *event, char *text, size_t size)
{
    switch (event->kind) {
    case IMX_EVENT_KILLED:
        return apr_snprintf(text, size, "child %d was killed by signal %d",
                            (int)event->pid, (int)event->number);
    case IMX_EVENT_HOLDER:
        return apr_snprintf(text, size, "child %d delivers for the server",
                            (int)event->pid);
    case IMX_EVENT_GRACEFUL:
        return apr_snprintf(text, size, "httpd was restarted gracefully");
    case IMX_EVENT_RESTART:
        return apr_snprintf(text, size, "httpd was restarted");
    case IMX_EVENT_STOP:
        return apr_snprintf(text, size, "httpd ends");
    case IMX_EVENT_OUTAGE:
        return apr_snprintf(text, size, "InfluxDB takes no points");
    case IMX_EVENT_WORKS:
        return apr_snprintf(text, size, "InfluxDB takes points again");
    default:
        return apr_snprintf(text, size, "httpd was started");
    }
}

static int write_event(imx_output_t *out, const imx_event_t *event)
{
    char text[IMX_SERVER_EVENTS_TEXT];
    int length = imx_server_events_text(event, text, sizeof text);

    imx_output_begin(out, "server-events");
    imx_output_tag(out, "kind", imx_server_events_kind(event));
    imx_lineproto_field_string(&out->lp, IMX_LINEPROTO_TEXT("text"), text,
                               (size_t)length);
    imx_output_int(out, "pid", event->pid);
    imx_output_int(out, "generation", event->generation);
    if (event->kind == IMX_EVENT_KILLED) {
        imx_output_int(out, "signal", event->number);
    }
    return imx_output_end(out, event->time);
}

/*
 * Each event has its own time, whenever it is written.  One that is being
 * written is waited for until this is called again, some 100 ms later; then its
 * writer is dead.
 */
static int write_events(imx_output_t *out, const imx_interval_closed_t *closed)
{
    static uint64_t waited_for; /* the number behind which it is */
    const imx_events_t *events = &out->arena->events;
    uint64_t last = imx_events_last(events), n;
    imx_event_t event;

    (void)closed;
    while ((n = imx_events_next(events, &event, waited_for != last)) != 0) {
        if (!write_event(out, &event)) {
            return 0;
        }
        imx_events_done(events, n);
    }
    waited_for = last;
    return 1;
}

const imx_measurement_t imx_server_events = { IMX_MEASURED_EVENTS, NULL,
                                              write_events };
