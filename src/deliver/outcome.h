/*
 * outcome.h owns what a transfer of libcurl came to: its code, the status and
 * the text of the answer become one result.
 * Entered only by the thread that posts.  Nothing survives a crash.
 */
#ifndef IMX_OUTCOME_H
#define IMX_OUTCOME_H

#include "deliver/post.h"

/* The transfer is over with this code.  Fills all of *r but in_doubt.  May make
 * the handle post without gzip, or look its address up again. */
void imx_outcome_judge(struct imx_influx *in, CURLcode code,
                       imx_influx_result_t *r);

#endif
