/*
 * line.h: a finished request as a line: all writing of lines is here.
 * Any thread of a child, for a request that has ended.
 */
#ifndef IMX_LINE_H
#define IMX_LINE_H

#include "record/marks.h"
#include "record/plan.h"
#include "shared/batch.h"
#include "shared/values.h"

/* A child, before its first request.  values: those that tags have had; lives
 * as long as the child. */
void imx_line_child_init(const imx_values_t *values);

/*
 * Writes the line at p, which has room for IMX_BATCH_LINE_MAX bytes, up to its
 * last field; returns where that ends.  rate: ",sample_rate=..." or "".
 * A tag or field that does not fit is left out and counted.
 */
char *imx_line_put(char *p, const imx_plan_t *plan, const imx_facts_t *f,
                   const imx_plan_text_t *rate);

/* The same for a plan that is plain. */
char *imx_line_put_plain(char *p, const imx_plan_t *plan,
                         const imx_facts_t *f);

/* The point's time (ns since 1970) and the end of the line behind it. */
char *imx_line_put_time(char *p, const imx_facts_t *f, apr_int64_t ns);

#endif
