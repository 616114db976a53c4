/*
 * backlog_claims.h owns the segments that are on their way into a file.
 * Entered by the monitor's thread of the holder; the thread that writes the
 * file reads the lines.
 * Segments that are not settled when the holder dies are put back by the next
 * one.
 */
#ifndef IMX_BACKLOG_CLAIMS_H
#define IMX_BACKLOG_CLAIMS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shared/batch.h"

#define IMX_BACKLOG_CLAIMS_MAX 1024

typedef struct {
    const imx_batch_t *batch;
    uint64_t max_lines, max_bytes; /* of a file, give or take a segment */
    size_t count;                  /* of claims; 0: nothing is under way */
    size_t line_count;             /* whole lines of them */
    struct iovec *lines;
    imx_batch_claim_t claims[IMX_BACKLOG_CLAIMS_MAX];
    size_t whole[IMX_BACKLOG_CLAIMS_MAX]; /* whole lines of each */
} imx_backlog_claims_t;

/* A file is to have a body's worth, but several files are to fit into the
 * spool (spool_bytes, 0: no limit).  Returns 0 or ENOMEM. */
int imx_backlog_claims_init(imx_backlog_claims_t *c, const imx_batch_t *batch,
                            uint64_t max_lines, uint64_t max_bytes,
                            uint64_t spool_bytes);

/* Claims the oldest sealed segments, a file's worth; returns how many. */
size_t imx_backlog_claims_take(imx_backlog_claims_t *c);

/* The lines of the claims are in a file. */
void imx_backlog_claims_settle(imx_backlog_claims_t *c);

/* The lines of the claims are in no file. */
void imx_backlog_claims_put_back(imx_backlog_claims_t *c);

/* The next holder will put them back: a thread may read them still. */
void imx_backlog_claims_forget(imx_backlog_claims_t *c);

void imx_backlog_claims_free(imx_backlog_claims_t *c);

#endif
