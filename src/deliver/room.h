/*
 * room.h owns that requests find free segments: the second duty of the holder.
 * Entered by the monitor's thread of the holder.
 * Nothing of it survives the holder; the next one counts anew.
 */
#ifndef IMX_ROOM_H
#define IMX_ROOM_H

#include <stdint.h>

#include "deliver/backlog.h"
#include "deliver/news.h"
#include "shared/batch.h"

typedef struct {
    const imx_batch_t *batch;
    imx_news_t *news;
    imx_backlog_t *backlog;
    imx_batch_level_t level; /* when segments were counted last ... */
    uint64_t taken;          /* ... and how many had been taken before that */
    int64_t next_count;
} imx_room_t;

/* A child becomes the holder. */
void imx_room_begin(imx_room_t *r, const imx_batch_t *batch, imx_news_t *news,
                    imx_backlog_t *backlog);

/* Are less than half of the segments free? */
int imx_room_is_short(const imx_batch_level_t *level);

/*
 * Makes room if there is too little.  Returns how much is sealed and free: as
 * it is now; in an outage, when the buffer is full, as it was within the last
 * second.  It is valid until the next call.
 */
const imx_batch_level_t *imx_room_make(imx_room_t *r);

#endif
