/*
 * batch_source.c owns the way of lines from the batch to the sender and back.
 * Entered by the monitor's thread of the child that holds the lease.
 * A line that is accounted for stays accounted for, whoever dies.
 */
#include "deliver/batch_source.h"

#include "base/least.h"

#include <stdlib.h>
#include <string.h>

#define CLAIMS_MAX 1024
/* Times in a row that all claimed lines were torn.  The dead leave fewer; but
 * a process that seals such segments again must not keep us for ever. */
#define VAIN_MAX 16

/* A claimed segment, and what became of its lines so far. */
typedef struct {
    imx_batch_claim_t claim;
    uint64_t left; /* whole lines not yet accounted for */
} taken_t;

struct imx_batch_source {
    imx_source_t source; /* first: a source is cast to what it belongs to */
    const imx_batch_t *batch;
    size_t count, first; /* those before the first one are settled */
    taken_t taken[CLAIMS_MAX];
    imx_batch_claim_t claims[CLAIMS_MAX]; /* scratch */
};

static size_t add_segment(imx_batch_source_t *b,
                          const imx_batch_claim_t *claim,
                          imx_influx_line_t *lines)
{
    taken_t *t = &b->taken[b->count++];
    size_t count = 0;
    const char *text;
    uint32_t i;

    memset(t, 0, sizeof *t);
    t->claim = *claim;
    for (i = claim->first; i < claim->lines; i++) {
        size_t len = imx_batch_line(b->batch, claim, i, &text);

        if (len > 0) {
            lines[count].data = text;
            lines[count++].len = (uint32_t)len;
        }
    }
    t->left = count;
    return count;
}

/* Settles the next segments as long as they have nothing but torn lines. */
static void settle_torn(imx_batch_source_t *b)
{
    static const uint64_t none[IMX_BATCH_FATES];

    while (b->first < b->count && b->taken[b->first].left == 0) {
        imx_batch_settle(b->batch, &b->taken[b->first++].claim, none);
    }
}

/* At most a quarter of the buffer: lines that are under way cannot be given up
 * when the buffer is full. */
static size_t claims_max(const imx_batch_source_t *b)
{
    size_t n = imx_batch_segments(b->batch) / 4 + 1;

    return n < CLAIMS_MAX ? n : CLAIMS_MAX;
}

static size_t next(imx_source_t *source, imx_influx_line_t *lines, size_t room,
                   uint64_t max_lines, uint64_t max_bytes)
{
    imx_batch_source_t *b = (imx_batch_source_t *)source;
    uint64_t most = room - IMX_BATCH_SOURCE_SPARE;
    size_t claimed, count = 0, i;
    int tries = 0;

    do {
        claimed = imx_batch_claim(b->batch, b->claims, claims_max(b),
                                  max_lines < most ? max_lines : most,
                                  max_bytes);
        b->count = b->first = 0;
        for (i = 0; i < claimed; i++) {
            count += add_segment(b, &b->claims[i], lines + count);
        }
        settle_torn(b);
    } while (claimed > 0 && count == 0 && ++tries < VAIN_MAX);
    return count;
}

/* The cursor behind the next `lines` whole lines of the claim. */
static uint32_t cursor_after(const imx_batch_source_t *b,
                             const imx_batch_claim_t *claim, uint64_t lines)
{
    const char *text;
    uint32_t i;

    for (i = claim->first; i < claim->lines && lines > 0; i++) {
        lines -= imx_batch_line(b->batch, claim, i, &text) > 0;
    }
    return i;
}

/* The next lines of the first segment are done.  That is written down at once:
 * whoever claims the segment again begins behind them. */
static void segment_done(imx_batch_source_t *b, uint64_t lines, uint64_t bad)
{
    taken_t *t = &b->taken[b->first];
    uint64_t fate[IMX_BATCH_FATES] = { 0 };

    t->left -= lines;
    if (t->left > 0) {
        imx_batch_advance(b->batch, &t->claim,
                          cursor_after(b, &t->claim, lines), (uint32_t)bad, 0);
        return;
    }
    fate[IMX_BATCH_SENT] = lines - bad;
    fate[IMX_BATCH_REJECTED] = bad;
    imx_batch_settle(b->batch, &t->claim, fate);
    b->first++;
    settle_torn(b);
}

/* Exact as a sum: which of the lines were refused is not always known. */
static void done(imx_source_t *source, size_t count, uint64_t rejected)
{
    imx_batch_source_t *b = (imx_batch_source_t *)source;
    uint64_t left = count;

    while (left > 0 && b->first < b->count) {
        uint64_t lines = imx_least(left, b->taken[b->first].left);
        uint64_t bad = imx_least(rejected, lines);

        segment_done(b, lines, bad);
        left -= lines;
        rejected -= bad;
    }
}

static void put_back(imx_source_t *source)
{
    imx_batch_source_t *b = (imx_batch_source_t *)source;

    for (; b->first < b->count; b->first++) {
        imx_batch_put_back(b->batch, &b->taken[b->first].claim);
    }
}

imx_batch_source_t *imx_batch_source_create(const imx_batch_t *batch)
{
    imx_batch_source_t *b = calloc(1, sizeof *b);

    if (b != NULL) {
        b->source = (imx_source_t){ next, done, put_back, 1, 1 };
        b->batch = batch;
    }
    return b;
}

imx_source_t *imx_batch_source(imx_batch_source_t *b)
{
    return &b->source;
}

void imx_batch_source_destroy(imx_batch_source_t *b)
{
    if (b != NULL) {
        put_back(&b->source);
        free(b);
    }
}
