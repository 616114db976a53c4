/*
 * random.h owns numbers that spread waits; they guard nothing.
 * Whoever owns the state enters it.  Nothing survives.
 */
#ifndef IMX_RANDOM_H
#define IMX_RANDOM_H

#include <stdint.h>

/* xorshift64 (Marsaglia 2003).  The state must not be 0 at first. */
static inline uint32_t imx_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}

/* From 0 to bound - 1; 0 for a bound of 0. */
static inline uint32_t imx_random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((uint64_t)imx_random(state) * bound >> 32);
}

#endif
