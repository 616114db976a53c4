/*
 * backlog_claims.c owns the segments that are on their way into a file.
 * Entered by the monitor's thread of the holder; the thread that writes the
 * file reads the lines.
 * Segments that are not settled when the holder dies are put back by the next
 * one.
 */
#include "deliver/backlog_claims.h"

#include "base/least.h"
#include "deliver/spool_names.h"

#include <errno.h>
#include <stdlib.h>

#define SEGMENT_LINES_MAX 4096 /* more than a segment can have */

int imx_backlog_claims_init(imx_backlog_claims_t *c, const imx_batch_t *batch,
                            uint64_t max_lines, uint64_t max_bytes,
                            uint64_t spool_bytes)
{
    uint64_t most = spool_bytes / 4;

    c->batch = batch;
    c->max_lines = imx_least(max_lines,
                             IMX_SPOOL_LINES_MAX - SEGMENT_LINES_MAX);
    c->max_bytes = most > 0 ? imx_least(max_bytes, most) : max_bytes;
    c->count = 0;
    c->lines = malloc((c->max_lines + SEGMENT_LINES_MAX) * sizeof *c->lines);
    return c->lines != NULL ? 0 : ENOMEM;
}

/* Returns how many whole lines it has. */
static size_t add_lines(imx_backlog_claims_t *c,
                        const imx_batch_claim_t *claim)
{
    size_t before = c->line_count;
    const char *text;
    uint32_t i;

    for (i = claim->first; i < claim->lines; i++) {
        size_t len = imx_batch_line(c->batch, claim, i, &text);

        if (len > 0) {
            c->lines[c->line_count].iov_base = (char *)(uintptr_t)text;
            c->lines[c->line_count++].iov_len = len;
        }
    }
    return c->line_count - before;
}

size_t imx_backlog_claims_take(imx_backlog_claims_t *c)
{
    size_t i;

    c->line_count = 0;
    c->count = imx_batch_claim(c->batch, c->claims, IMX_BACKLOG_CLAIMS_MAX,
                               c->max_lines, c->max_bytes);
    for (i = 0; i < c->count; i++) {
        c->whole[i] = add_lines(c, &c->claims[i]);
    }
    return c->count;
}

void imx_backlog_claims_settle(imx_backlog_claims_t *c)
{
    size_t i;

    for (i = 0; i < c->count; i++) {
        uint64_t fate[IMX_BATCH_FATES] = { 0 };

        fate[IMX_BATCH_SPOOLED] = c->whole[i];
        imx_batch_settle(c->batch, &c->claims[i], fate);
    }
    c->count = 0;
}

void imx_backlog_claims_put_back(imx_backlog_claims_t *c)
{
    size_t i;

    for (i = 0; i < c->count; i++) {
        imx_batch_put_back(c->batch, &c->claims[i]);
    }
    c->count = 0;
}

void imx_backlog_claims_forget(imx_backlog_claims_t *c)
{
    c->count = 0;
}

void imx_backlog_claims_free(imx_backlog_claims_t *c)
{
    free(c->lines);
    c->lines = NULL;
}
