/*
 * batch_source.h owns the way of lines from the batch to the sender and back:
 * claims, and how far each of them is done.
 * Entered by the monitor's thread of the child that holds the lease.
 * A line that is accounted for stays accounted for, whoever dies; claimed lines
 * that are not go back to the batch when the next holder comes.
 */
#ifndef IMX_BATCH_SOURCE_H
#define IMX_BATCH_SOURCE_H

#include "deliver/source.h"
#include "shared/batch.h"

#define IMX_BATCH_SOURCE_SPARE 4096 /* more lines than a segment can have */

typedef struct imx_batch_source imx_batch_source_t;

/* Returns NULL when there is no memory. */
imx_batch_source_t *imx_batch_source_create(const imx_batch_t *batch);

/* For the sender; lives as long as b. */
imx_source_t *imx_batch_source(imx_batch_source_t *b);

/* Puts back what is claimed; b may be NULL. */
void imx_batch_source_destroy(imx_batch_source_t *b);

#endif
