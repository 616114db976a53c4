/*
 * watch.h: the requests that are under way in this child, looked at by its
 * monitor: how many, which of them are slow, and what these wait for.
 *
 * One thread calls it.
 */
#ifndef IMX_WATCH_H
#define IMX_WATCH_H

#include "record/marks.h"
#include "shared/slow.h"

/* A slow request; it keeps its place until its end was told. */
typedef struct {
    imx_flight_t *seat; /* NULL: the place is free */
    int64_t ended;      /* ns of the monotonic clock; 0: it is under way */
    int64_t due;        /* when there is to be a point of it; for the caller */
    imx_slow_request_t request;
} imx_watch_place_t;

typedef struct {
    int64_t in_flight;
    imx_watch_place_t places[IMX_SLOW_PLACES];
} imx_watch_t;

/* What is looked for: ns from which a request is slow; 1: its path is left
 * out. */
typedef struct {
    int64_t threshold;
    int hides_paths;
} imx_watch_rule_t;

/* Looks at all of them. */
void imx_watch_look(imx_watch_t *w, int64_t now, const imx_watch_rule_t *rule);

#endif
