/*
 * delay.h: a long way to the sink: a proxy that passes on all bytes later than
 * they came, and no more of them a second than a network would.
 * One process of its own; it ends when its parent does.
 */
#ifndef IMX_BENCH_DELAY_H
#define IMX_BENCH_DELAY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed as long as the proxy serves. */
typedef struct {
    unsigned port;          /* of the sink, on 127.0.0.1 */
    int delay_ms;           /* there and back: half of it each way */
    int64_t bandwidth;      /* bytes a second each way, of all connections
                               together; 0: no limit */
    _Atomic uint64_t *most; /* or NULL: most connections at once on which bytes
                               went there and nothing came back yet */
} delay_options_t;

/*
 * Passes on what comes to the listener, both ways and in its order.  What a
 * client sends first waits there and back once more, as the handshake of a
 * connection would take; TCP's slow start is not there.  Does not return.
 */
void delay_serve(int listener, const delay_options_t *options);

/* Seconds that one body of so many bytes takes, from the connection to the last
 * byte of the answer, by a server at this port. */
double delay_of_body(unsigned port, size_t bytes);

#endif
