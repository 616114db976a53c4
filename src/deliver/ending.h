/*
 * ending.h owns the end: of a child, of the last child, and of the server.
 * Entered by a child's monitor thread, or by the helper that the parent forks.
 * What could not be delivered is in the batch or in the spool afterwards.
 */
#ifndef IMX_ENDING_H
#define IMX_ENDING_H

#include "deliver/holder.h"

#define IMX_ENDING_ANSWER_MS 1000 /* at most, for an answer that is due */
#define IMX_ENDING_SPOOL_MS 2000  /* for the spool's disk to take the rest */

/*
 * A child that ends while the server goes on, or whose rest somebody else sees
 * to: takes the answers that are due, as a body that was sent whole would
 * otherwise be sent again, and gives up the lease.  Waits for as long as
 * answers usually take: 250 ms, or more where InfluxDB is known to be slow.
 */
void imx_ending_leave(imx_holder_t *h);

/*
 * The last child: delivers what there is, for at most shutdown_ms, and puts the
 * rest into the spool.  Ends early when is_relieved(context) says that there is
 * a new child to deliver.
 */
void imx_ending_last(imx_holder_t *h, int shutdown_ms,
                     int (*is_relieved)(void *context), void *context);

/* The parent's helper when the server has ended: the same, and nobody comes
 * after it. */
void imx_ending_server(imx_holder_t *h, int shutdown_ms);

#endif
