/*
 * sink.h: a stand-in for InfluxDB that takes lines, counts and forgets them, as
 * fast as the machine can: what is measured against it is the sender.
 * One process of its own; it ends when its parent does.
 */
#ifndef IMX_BENCH_SINK_H
#define IMX_BENCH_SINK_H

#include <stdatomic.h>
#include <stdint.h>

/* A listening socket on 127.0.0.1; *port: where.  Returns -1 with errno set. */
int sink_listen(unsigned *port);

/*
 * Adds the LFs of every request's body to *lines and answers 204, with the sum
 * so far in X-Lines.  most: NULL, or it answers as InfluxDB 3 does, at the next
 * whole second, and notes there how many bodies waited at once.  Does not
 * return.
 */
void sink_serve(int listener, _Atomic uint64_t *lines, _Atomic uint64_t *most);

#endif
