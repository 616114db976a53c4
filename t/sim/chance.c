/*
 * chance.c owns the random numbers of a simulation (see chance.h).
 * One thread enters it, the simulation's.
 * Nothing survives, and nothing needs to: a seed makes the same numbers again.
 */
#include "chance.h"

static uint64_t state;

/* splitmix64 (Steele, Lea, Flood 2014): any seed is a good one. */
uint64_t chance_bits(void)
{
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

void chance_seed(uint64_t seed)
{
    state = seed * UINT64_C(0xD1B54A32D192ED03);
    chance_bits();
}

uint64_t chance_below(uint64_t n)
{
    return n ? (uint64_t)((unsigned __int128)chance_bits() * n >> 64) : 0;
}

int64_t chance_between(int64_t least, int64_t most)
{
    return least + (int64_t)chance_below((uint64_t)(most - least) + 1);
}

int64_t chance_scale(int64_t least, int64_t most)
{
    int64_t n = least > 0 ? least : 1, top = most > n ? most : n;
    unsigned doublings = 0, i;

    while (n << doublings < top && doublings < 40) {
        doublings++;
    }
    for (i = (unsigned)chance_below(doublings + 1); i > 0; i--) {
        n *= 2;
    }
    n = chance_between(n / 2, n);
    return n < least ? least : n > most ? most : n;
}

int chance_percent(unsigned percent)
{
    return chance_below(100) < percent;
}

int chance_one_in(uint64_t n)
{
    return chance_below(n) == 0;
}
