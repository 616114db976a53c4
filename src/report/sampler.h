/*
 * sampler.h: what the holder looks at once a second for the history
 * (shared/history.h), beside what is counted.
 */
#ifndef IMX_SAMPLER_H
#define IMX_SAMPLER_H

#include "shared/arena.h"

/* Holder, several times a second, behind imx_workers_look(): closes the second
 * that has ended, if one has.  now: ns of the monotonic clock.  Waits for
 * nothing. */
void imx_sampler_look(const imx_arena_t *a, int64_t now);

#endif
