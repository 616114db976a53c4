/*
 * chance.h owns the one source of chance of a simulation: a seed decides all
 * that happens.  One thread; nothing survives.
 */
#ifndef SIM_CHANCE_H
#define SIM_CHANCE_H

#include <stdint.h>

/* From here on everything follows from the seed. */
void chance_seed(uint64_t seed);

uint64_t chance_bits(void);

/* 0 to n - 1; 0 when n is 0. */
uint64_t chance_below(uint64_t n);

/* least to most, both included. */
int64_t chance_between(int64_t least, int64_t most);

/* The same, but as often between 1 and 10 as between 10 and 100. */
int64_t chance_scale(int64_t least, int64_t most);

/* Is it one of so many percent? */
int chance_percent(unsigned percent);

/* Is it one in n? */
int chance_one_in(uint64_t n);

#endif
