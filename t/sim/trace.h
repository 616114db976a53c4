/*
 * trace.h owns what is said: the trace of a seed, and the first thing in it
 * that must not be.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdint.h>

void trace_reset(int is_verbose);

/* Is anything wrong?  The first sentence that was said of it. */
int trace_is_wrong(void);
const char *trace_what(void);
__attribute__((format(printf, 1, 2))) void trace_wrong(const char *format, ...);
/* The trace. */
__attribute__((format(printf, 1, 2))) void trace_tell(const char *format, ...);
/* The module logs something. */
void trace_log(int level, const char *text);

/* Each point of each process: there must be an end. */
void trace_count_point(void);
uint64_t trace_points(void);

#endif
