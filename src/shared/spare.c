/*
 * spare.c owns which memory of the buffer goes back to the system (spare.h).
 * Entered by the monitor that holds the lease.
 * Up to where there is memory is in the batch, and survives.
 */
#include "shared/spare.h"

#include "base/least.h"

void imx_spare_begin(imx_spare_t *s, const imx_batch_t *b, int64_t now)
{
    s->top = s->needed = imx_batch_backed(b);
    s->most = 0;
    s->until = now + IMX_SPARE_SPAN;
}

/* The next holder goes on from there. */
static void set_top(imx_spare_t *s, const imx_batch_t *b, uint32_t top)
{
    s->top = top;
    imx_batch_set_backed(b, top);
}

static void give_back(imx_spare_t *s, const imx_batch_t *b, uint32_t needed)
{
    uint32_t from = s->top - needed > IMX_SPARE_AT_ONCE
                        ? s->top - IMX_SPARE_AT_ONCE
                        : needed;

    imx_batch_give_back(b, from, s->top);
    set_top(s, b, from);
}

void imx_spare_look(imx_spare_t *s, const imx_batch_t *b, uint32_t end,
                    int64_t now)
{
    uint32_t needed;

    if (end > s->top) {
        set_top(s, b, end);
    }
    s->most = imx_most_32(s->most, end);
    if (now >= s->until) {
        s->needed = s->most;
        s->most = end;
        s->until = now + IMX_SPARE_SPAN;
    }
    needed = imx_most_32(s->needed, s->most);
    if (s->top > needed) {
        give_back(s, b, needed);
    }
}
