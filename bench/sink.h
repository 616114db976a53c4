/*
 * sink.h: a stand-in for InfluxDB that takes lines, counts and forgets them, as
 * fast as the machine can: what is measured against it is the sender.
 * One process of its own; it ends when its parent does.
 */
#ifndef IMX_BENCH_SINK_H
#define IMX_BENCH_SINK_H

#include <stdatomic.h>
#include <stdint.h>

/* Borrowed as long as the sink serves. */
typedef struct {
    _Atomic uint64_t *lines;  /* the LFs of all bodies are added */
    _Atomic uint64_t *bodies; /* or NULL: their number */
    _Atomic uint64_t *most;   /* or NULL: most that waited for an answer */
    int at_seconds;           /* 1: answers come at the next whole second, as
                                 InfluxDB 3's */
    int record_fd;            /* what arrives is written there; -1: nowhere */
} sink_options_t;

/* A listening socket on 127.0.0.1; *port: where.  Returns -1 with errno set. */
int sink_listen(unsigned *port);

/* Answers every body with 204, and the sum of lines so far in X-Lines.  Takes
 * Content-Length and chunks, and unpacks gzip.  Does not return. */
void sink_serve(int listener, const sink_options_t *options);

#endif
