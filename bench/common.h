/*
 * common.h: what the benchmarks in C have in common: how they give up, memory
 * that all of their processes see, who is on which core, and quartiles.
 * Who includes it defines _GNU_SOURCE, for the cores.
 */
#ifndef IMX_BENCH_COMMON_H
#define IMX_BENCH_COMMON_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* The calling thread, and all that it makes from here on, stay on the core of
 * this number; past the last one it begins anew, so that one core is enough. */
static inline void pin_to(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)(core % sysconf(_SC_NPROCESSORS_ONLN)), &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A quarter's bound of n values, which it sorts: 1, 2 (the median) or 3;
 * between two values, in proportion. */
static inline double quartile(double *values, int n, int which)
{
    double at = which * (n - 1) / 4.0;
    int low = (int)at;

    qsort(values, (size_t)n, sizeof(*values), by_value);
    return low + 1 < n
               ? values[low] + (at - low) * (values[low + 1] - values[low])
               : values[low];
}

/* How many rounds: 20, or BENCH_ROUNDS; at most so many. */
static inline int rounds_wanted(int most)
{
    const char *wanted = getenv("BENCH_ROUNDS");
    int rounds = wanted != NULL ? atoi(wanted) : 20;

    return rounds < 1 ? 1 : rounds > most ? most : rounds;
}

#endif
