/*
 * trace.c owns what is said (see trace.h).
 * Everybody enters it.
 * Nothing survives a seed.
 */
#include "trace.h"

#include "process.h"
#include "sched.h"

#include <stdarg.h>
#include <stdio.h>

#define LOG_MOST 40          /* lines of the log in a minute */
#define POINTS_MOST 20000000 /* of one seed */

static char what[512];
static int verbose;
static uint64_t points;
static int64_t log_from;
static int log_count;

void trace_reset(int is_verbose)
{
    what[0] = '\0';
    verbose = is_verbose;
    points = 0;
    log_from = log_count = 0;
}

static void print_head(void)
{
    printf("%12.6f %-8s ", (double)sched_now() / 1e9, sched_name());
    if (sched_process() != NULL) {
        printf("[%s %d] ", sched_process()->role, sched_process()->number);
    }
}

void trace_tell(const char *format, ...)
{
    va_list args;

    if (verbose) {
        print_head();
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf("\n");
    }
}

void trace_wrong(const char *format, ...)
{
    char text[480];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trace_tell("WRONG: %s", text);
    if (what[0] == '\0') {
        snprintf(what, sizeof what, "%.6f s: %s", (double)sched_now() / 1e9,
                 text);
    }
}

int trace_is_wrong(void)
{
    return what[0] != '\0';
}

const char *trace_what(void)
{
    return what;
}

void trace_log(int level, const char *text)
{
    trace_tell("log %d: %s", level, text);
    if (level > 2) {
        return;
    }
    if (sched_now() - log_from > 60 * SIM_SECOND) {
        log_from = sched_now();
        log_count = 0;
    }
    if (++log_count == LOG_MOST) {
        trace_wrong("%d lines of the log in a minute, the last one: %s",
                    LOG_MOST, text);
    }
}

void trace_count_point(void)
{
    if (++points == POINTS_MOST) {
        trace_wrong("there is no end to it");
        sched_give_up();
    }
}

uint64_t trace_points(void)
{
    return points;
}
