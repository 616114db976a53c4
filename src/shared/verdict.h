/*
 * verdict.h: what is wrong with the server and with delivery, and what to do
 * about it, in sentences for people; the worst first.
 *
 * Any thread.  Nothing is kept: each sentence follows from the facts of the
 * moment, and is gone when its trouble is over.
 */
#ifndef IMX_VERDICT_H
#define IMX_VERDICT_H

#include <stdint.h>

#include "shared/snapshot.h"

typedef enum {
    IMX_VERDICT_WELL = 0,
    IMX_VERDICT_WARNING,
    IMX_VERDICT_CRITICAL /* points or requests suffer from it now */
} imx_verdict_level_e;

/* A burn rate above this one uses up the error budget of 30 days in two.  So
 * many requests at least have to be bad in the shorter span: of a few requests
 * one alone makes a high rate. */
#define IMX_VERDICT_BURN 14.4
#define IMX_VERDICT_BURN_LEAST 10

/* The virtual host that misses its objective most, by what is known of the last
 * five minutes and of the last hour: the burn rate, and of how many seconds it
 * is. */
typedef struct {
    const char *host;
    double percent; /* of its requests are to be good ... */
    int64_t ns;     /* ... within this time; -1: some times */
    double burn[2]; /* -1: not known */
    uint32_t seconds[2];
} imx_verdict_burning_t;

/* What is known besides the snapshot.  What is not known is -1, 0 or "" as
 * said. */
typedef struct {
    int has_spool;
    int64_t workers;     /* that there may be; 0: not known */
    double utilization;  /* busy share of them lately, 0 to 1; -1 */
    int64_t queue;       /* connections that wait for a worker; -1 */
    int64_t queue_limit; /* and how many may wait; -1 */
    int64_t queued_for;  /* seconds for which some waited at each look; -1 */
    double cpu_some;     /* pressure: percent of the last 10 s; -1 */
    /* Of the requests that ended in the last interval; ns. */
    uint64_t request_ns, output_ns;
    const char *busiest; /* the virtual host with most application time, or
                              "" */
    uint64_t busiest_ns; /* of its application */
    const imx_verdict_burning_t *burning; /* NULL: there is none */
} imx_verdict_facts_t;

#define IMX_VERDICT_WORDS_MAX 12

typedef struct {
    imx_verdict_level_e level;
    const char *id; /* of the message in the log, "IMX0020", or "" */
    char what[768]; /* a sentence or two */
    char todo[256]; /* a sentence, or "" */
} imx_verdict_word_t;

/* About 13 KB: for a pool or a static place. */
typedef struct {
    unsigned count; /* never 0 */
    imx_verdict_word_t words[IMX_VERDICT_WORDS_MAX];
} imx_verdict_t;

void imx_verdict_of(imx_verdict_t *v, const imx_snapshot_t *s,
                    const imx_verdict_facts_t *f);

/* "well", "warning", "critical" */
const char *imx_verdict_level(imx_verdict_level_e level);

#endif
