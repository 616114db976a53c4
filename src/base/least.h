/*
 * least.h: the least and the most of two numbers.  Any thread; nothing is kept.
 */
#ifndef IMX_LEAST_H
#define IMX_LEAST_H

#include <stdint.h>

static inline uint64_t imx_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t imx_most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint32_t imx_most_32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline int64_t imx_least_signed(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int imx_least_int(int a, int b)
{
    return a < b ? a : b;
}

#endif
