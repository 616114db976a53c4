/*
 * cases.h: all cases of the flusher (flusher.c), in interleaved rounds.
 * One thread.
 */
#ifndef IMX_BENCH_CASES_H
#define IMX_BENCH_CASES_H

#include "flushed.h"

#define CASES_LINE 200 /* bytes, LF included */
#define CASES_CHILDREN 2
#define CASES_THREADS 4 /* in each child */

typedef result_t (*run_case_t)(const case_t *c);

/* Bytes a second that the proxy of a case passes on. */
typedef double (*probe_t)(const case_t *c);

/* Runs all cases so often and prints their tables.  Returns 1 if a line did not
 * arrive. */
int cases_run(int rounds, run_case_t run, probe_t probe);

#endif
