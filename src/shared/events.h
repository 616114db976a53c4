/*
 * events.h: what happened to the server: the last 64 events, in the arena, in a
 * ring.
 *
 * A writer takes the next number, and so a place in the ring: it says there
 * that the place is being written, writes, and says the number.  A reader that
 * finds another number before or after has read nothing.  A writer that is
 * killed in between leaves an event that nobody sees.
 *
 * The holder makes a point of each event, and then says up to which number it
 * has.  A holder that is killed between the two leaves points that the next one
 * writes again, with the same bytes and the same time.
 *
 * Threads: httpd's parent and the holder write; any thread of any process
 * reads.  The parent writes seven words, at places that do not depend on what
 * is in the arena but for a number that is reduced to the size of the ring.
 */
#ifndef IMX_EVENTS_H
#define IMX_EVENTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define IMX_EVENTS_VERSION 2 /* another one with each new kind */
#define IMX_EVENTS_KEPT 64

typedef enum {
    IMX_EVENT_START = 1,
    IMX_EVENT_RESTART,  /* all children were ended */
    IMX_EVENT_GRACEFUL, /* children of before end their requests */
    IMX_EVENT_KILLED,   /* a child ended that did not want to */
    IMX_EVENT_HOLDER,   /* another child delivers now */
    IMX_EVENT_STOP,
    IMX_EVENT_OUTAGE, /* InfluxDB takes no points */
    IMX_EVENT_WORKS,  /* and does again */
    IMX_EVENTS
} imx_event_e;

typedef struct {
    int64_t time; /* ns since 1970 */
    imx_event_e kind;
    pid_t pid;      /* of whom it happened to */
    int32_t number; /* KILLED: the signal, 0: not known; HOLDER: its slot */
    int32_t generation; /* as httpd counts */
} imx_event_t;

/* A process's own view, in its private memory. */
typedef struct {
    struct imx_events_part *part;
} imx_events_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_events_size(void);
void imx_events_format(imx_events_t *e, void *base);

/* Parent, or holder: it happened now.  Waits for nobody; async-signal-safe. */
void imx_events_add(const imx_events_t *e, imx_event_e kind, pid_t pid,
                    int32_t number, int32_t generation);

/* Any: the number of the last event, 0: there was none; the first one that is
 * still in the ring then is IMX_EVENTS_KEPT - 1 before it. */
uint64_t imx_events_last(const imx_events_t *e);

/* Any: reads an event; returns 0 when it is not in the ring any more, or not
 * yet. */
int imx_events_get(const imx_events_t *e, uint64_t n, imx_event_t *event);

/*
 * Holder: the next event of which there is no point yet, or 0.  One that is
 * being written is waited for by coming again; when `patient` is 0 it is left
 * out.  imx_events_done() says that there is a point of it.
 */
uint64_t imx_events_next(const imx_events_t *e, imx_event_t *event,
                         int patient);
void imx_events_done(const imx_events_t *e, uint64_t n);

#endif
