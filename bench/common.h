/*
 * common.h: what the benchmarks in C have in common: how they give up, and
 * memory that all of their processes see.
 */
#ifndef IMX_BENCH_COMMON_H
#define IMX_BENCH_COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* what failed; errno says why. */
static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Zeroed; stays until the process ends. */
static inline void *share(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        die("mmap");
    }
    return p;
}

#endif
