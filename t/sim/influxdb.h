/*
 * influxdb.h owns the simulated InfluxDB: which bodies arrive, what it stores
 * and what it answers, all at times of its own.  client.c is between it and the
 * module.
 */
#ifndef SIM_INFLUXDB_H
#define SIM_INFLUXDB_H

#include <stddef.h>
#include <stdint.h>

#include "deliver/influx.h"
#include "process.h"

/* How it is at present: so many of 1,000 bodies each; the rest is answered as
 * their lines deserve. */
typedef struct {
    unsigned refuses;       /* no connection */
    unsigned connects_late; /* no connection in time */
    unsigned hangs_before;  /* takes the body, but never to its end */
    unsigned hangs_after;   /* stores it, and never answers */
    unsigned resets_before;
    unsigned resets_after;  /* stores it; the answer is lost */
    unsigned too_many;      /* 429 */
    unsigned unavailable;   /* 503 */
    unsigned fails;         /* 500 */
    unsigned forbids;       /* 403 */
    unsigned elsewhere;     /* 404 of somebody else, 302 */
    unsigned strange;       /* 400 in words that nobody knows */
    unsigned teapot;        /* another 4xx: refused for good */
    unsigned asks;          /* of 1,000 of 429 and 503 have a Retry-After */
    int64_t asks_most;      /* seconds of it */
    int64_t wait;           /* ns that it takes at most */
    int64_t bytes_a_second; /* that pass; 0: no limit */
} influxdb_mood_t;

typedef enum {
    POST_COMES = 0, /* its bytes are on the way */
    POST_CAME,      /* it is there and may be stored */
    POST_ANSWERED,
    POST_BROKEN, /* there will be no answer, and the client knows it */
    POST_LEFT    /* nobody waits for it any more */
} post_state_e;

typedef struct influxdb_post {
    struct influxdb_post *next;
    int number;
    sim_process_t *process;
    const void *event;              /* woken when there is news */
    const imx_influx_line_t *lines; /* of the client, while it comes */
    size_t count;
    uint32_t *numbers; /* of the lines, once it came */
    int creates;       /* CREATE DATABASE */
    int secret;
    post_state_e state;
    int is_fatal; /* all of it is refused, for good */
    int was_sent; /* something of it has left the client */
    int curl_code;
    long status;
    char *text; /* of the answer, "" */
    char retry_after[16];
} influxdb_post_t;

void influxdb_reset(imx_influx_api_e api);
void influxdb_set_mood(const influxdb_mood_t *mood);
void influxdb_set_limit(size_t bytes); /* of a body; 0: none */
void influxdb_drop_database(void);
void influxdb_make_database(void);

/* The secret that it wants, and the one in the client's file; below 0: that
 * cannot be read. */
void influxdb_want_secret(int number);
void influxdb_give_secret(int number);
int influxdb_secret(void);

/* The client sends a body.  timeouts in ns. */
influxdb_post_t *influxdb_take(sim_process_t *process, const void *event,
                               const imx_influx_line_t *lines, size_t count,
                               int secret);
influxdb_post_t *influxdb_take_creation(sim_process_t *process,
                                        const void *event, int secret);

/* Is a body of another process under way? */
int influxdb_serves_another(const sim_process_t *process);

/* The client goes away from it, or from all. */
void influxdb_leave(influxdb_post_t *post);
void influxdb_leave_all(const sim_process_t *process);

#endif
