/*
 * slow.h: what each child has under way: how many requests, and those that are
 * slow, in the arena.
 *
 * Each child's monitor looks once a second at what its process has under way
 * (base/flight.h), and publishes that in the row of its slot: a count, and at
 * most eight requests.  A row is a twin (twin.h), and begins with who it is of
 * and when it was told: so what a child that is gone, or is stopped, had told
 * is not taken for what is.
 *
 * Threads: each row by its child's monitor.  Any thread of any process reads;
 * what it gets has no number that is out of bounds and no text without an end,
 * whatever somebody wrote there.
 */
#ifndef IMX_SLOW_H
#define IMX_SLOW_H

#include "shared/children.h"

#define IMX_SLOW_VERSION 1
#define IMX_SLOW_PLACES 8    /* requests of a child */
#define IMX_SLOW_PATH_MAX 96 /* bytes */
#define IMX_SLOW_METHOD_MAX 15
#define IMX_SLOW_LOOK INT64_C(1000000000) /* ns between two looks */

/* What a request waits for. */
typedef enum {
    IMX_SLOW_HANDLER = 0, /* its handler was not called yet */
    IMX_SLOW_APPLICATION,
    IMX_SLOW_CLIENT_SENDS, /* its body */
    IMX_SLOW_CLIENT_TAKES, /* the answer */
    IMX_SLOW_WAITS
} imx_slow_wait_e;

/* All of it is copied by words. */
typedef struct {
    int64_t began;   /* ns of the monotonic clock; may be negative */
    uint32_t series; /* whose name is that of the virtual host */
    uint32_t wait;   /* imx_slow_wait_e */
    char method[IMX_SLOW_METHOD_MAX + 1];
    char path[IMX_SLOW_PATH_MAX + 8]; /* without the query; "": not told */
} imx_slow_request_t;

typedef struct {
    imx_children_who_t who; /* 0: nothing was told */
    int64_t at;             /* ns of the monotonic clock */
    int64_t in_flight;      /* requests under way */
    uint64_t count;         /* of the slow ones that follow */
    imx_slow_request_t slow[IMX_SLOW_PLACES];
} imx_slow_row_t;

/* A process's own view, in its private memory. */
typedef struct {
    char *rows; /* of twins */
    uint32_t children;
} imx_slow_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_slow_size(uint32_t children);
void imx_slow_format(imx_slow_t *s, void *base, uint32_t children);

/* The child in slot publishes its row.  A slot that there is not changes
 * nothing. */
void imx_slow_tell(const imx_slow_t *s, uint32_t slot,
                   const imx_slow_row_t *row);

/* Any: what the child in slot has told, if that still runs and has told it not
 * long before now; else returns 0. */
int imx_slow_told(const imx_slow_t *s, const imx_children_t *c, uint32_t slot,
                  int64_t now, imx_slow_row_t *row);

/* Any: how many requests are under way in all children; -1: none has told. */
int64_t imx_slow_in_flight(const imx_slow_t *s, const imx_children_t *c,
                           int64_t now);

/* The longest of all children's, the longest first. */
#define IMX_SLOW_LISTED 32
typedef struct {
    unsigned count;
    struct {
        int64_t elapsed; /* ns */
        pid_t pid;
        imx_slow_request_t request;
    } of[IMX_SLOW_LISTED];
} imx_slow_list_t;

/* Any: lists them.  Returns how many requests are under way, as in_flight(). */
int64_t imx_slow_list(const imx_slow_t *s, const imx_children_t *c,
                      int64_t now, imx_slow_list_t *list);

/* What it waits for, in words. */
const char *imx_slow_wait(uint32_t wait);

#endif
