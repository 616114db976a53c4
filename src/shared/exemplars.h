/*
 * exemplars.h: trace ids of requests, in the arena: for each series one of its
 * slow requests, and for each bucket of durations a request of any series.
 *
 * A request replaces the exemplar of its series when it took longer, or when
 * that one is a minute old; and that of its bucket when that one is ten seconds
 * old, so that the memory of common buckets, which all children write to, is
 * mostly read.  There is no lock: an exemplar is a few words and
 * their sum, and one that two threads wrote at once, or that a killed child had
 * not finished, does not add up and is none.  The next one takes its place.
 *
 * Any thread of any process; every number can be nonsense, and no index depends
 * on one.
 */
#ifndef IMX_EXEMPLARS_H
#define IMX_EXEMPLARS_H

#include <stddef.h>
#include <stdint.h>

#include "shared/stats.h"

#define IMX_EXEMPLARS_VERSION 2
#define IMX_EXEMPLARS_ID_LEN 32 /* hexadecimal digits of a trace id */
/* So long one stays: of a series, of a bucket. */
#define IMX_EXEMPLARS_NS INT64_C(60000000000)
#define IMX_EXEMPLARS_BUCKET_NS INT64_C(10000000000)

typedef struct {
    char id[IMX_EXEMPLARS_ID_LEN + 1];
    int64_t ns;   /* how long the request took */
    int64_t time; /* ns since 1970: when it ended */
} imx_exemplar_t;

/* A process's own view, in its private memory. */
typedef struct {
    struct imx_exemplars_row *rows; /* of series, and then of buckets */
    uint32_t series;
} imx_exemplars_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_exemplars_size(uint32_t series);
void imx_exemplars_format(imx_exemplars_t *e, void *base, uint32_t series);

/* A request of this series ended.  id: what came as its trace id; one that is
 * not 32 lower-case hexadecimal digits is passed over.  No system call. */
void imx_exemplars_offer(const imx_exemplars_t *e, uint32_t series,
                         const char *id, int64_t ns, int64_t time);

/* Return 0 when there is none. */
int imx_exemplars_get(const imx_exemplars_t *e, uint32_t series,
                      imx_exemplar_t *exemplar);
int imx_exemplars_of_bucket(const imx_exemplars_t *e, uint32_t bucket,
                            imx_exemplar_t *exemplar);

#endif
