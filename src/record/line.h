/*
 * line.h: what a line has beyond the usual: the tags and fields that the
 * administrator asked for.
 * Any thread of a child, for a request that has ended.
 */
#ifndef IMX_LINE_H
#define IMX_LINE_H

#include "record/plan.h"
#include "shared/values.h"

#define IMX_LINE_ABSENT (-1)

/* Where the time went, ns, and bytes of the body that were read; ABSENT: it did
 * not happen, or nobody knows. */
typedef struct {
    apr_int64_t request_time, application_time, server_time, input_time,
        output_time, ttfb, bytes_received;
    int is_aborted; /* the client went away */
} imx_line_facts_t;

/* "000" .. "999" */
#define IMX_LINE_STATUS_MAX 999
extern char imx_line_status[IMX_LINE_STATUS_MAX + 1][4];

/* A child, before its first request.  values lives as long as the child. */
void imx_line_child_init(const imx_values_t *values);

/*
 * Write at p and return where that ends.  What is written ends before `end`;
 * behind that there are IMX_PLAN_PAD bytes that may be written over.
 * A tag or field that does not fit is left out and counted.  first, last: of
 * the request's chain of redirects.
 *
 * tags: all from the measurement to the last tag that is not constant; the
 * plan's lead follows.
 * fields: the plan's built-in fields besides the usual ones, each with a comma
 * before it; facts: needed if there is one.
 */
char *imx_line_put_tags(char *p, char *end, const imx_plan_t *plan,
                        request_rec *first, request_rec *last);
char *imx_line_put_fields(char *p, char *end, const imx_plan_t *plan,
                          request_rec *first, request_rec *last,
                          const imx_line_facts_t *facts);

/* The same for the administrator's own fields that are not constant. */
char *imx_line_put_own_fields(char *p, char *end, const imx_plan_t *plan,
                              request_rec *last);

/* "GET", a method that httpd knows, or "OTHER". */
const char *imx_line_method(const request_rec *r);

#endif
