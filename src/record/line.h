/*
 * line.h: a finished request as a line: all writing of lines is here.
 * Any thread of a child, for a request that has ended.
 */
#ifndef IMX_LINE_H
#define IMX_LINE_H

#include "record/marks.h"
#include "lineproto.h"
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

/* The point's time (ns since 1970) and the end of the line behind it. */
char *imx_line_put_time(char *p, const imx_facts_t *f, apr_int64_t ns);

/*
 * A line whose length is known before it is written: of a GET that was answered
 * with 200 and less than 100 MB in less than a second, where the plan is plain
 * and the request has marks.  is_short: is it one?  set_time: has its time, ns
 * since 1970, ten digits before the nanoseconds?  Then put_short writes the
 * whole line, exactly as many bytes as short_length says.
 */
typedef struct {
    apr_uint64_t sent; /* digits of bytes_sent, and how many there are */
    apr_size_t sent_len;
    apr_uint32_t behind_second; /* ns */
} imx_line_short_t;

int imx_line_is_short(imx_line_short_t *line, const imx_facts_t *f);
int imx_line_set_time(imx_line_short_t *line, imx_marks_t *marks,
                      apr_int64_t ns);
apr_size_t imx_line_short_length(const imx_line_short_t *line,
                                 const imx_plan_t *plan);
void imx_line_put_short(char *p, const imx_line_short_t *line,
                        const imx_plan_t *plan, const imx_facts_t *f);

#endif
