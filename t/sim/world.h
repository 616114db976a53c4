/*
 * world.h owns the story of a seed: what is configured, which processes there
 * are, and what befalls them until the end, when all is well and everything
 * must have been delivered.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdint.h>

/* Lives the seed through.  Returns 1 when all that must hold has held; else
 * trace_what() says what did not. */
int world_run(uint64_t seed, int is_verbose);

#endif
