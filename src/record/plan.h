/*
 * plan.h: the line of a virtual host and directory, worked out once: all that
 * is constant in it is encoded, what is left are the steps for each request.
 * Made by any thread of a child, when a request needs it for the first time;
 * read only after that.  Lives as long as the child, or, when there are too
 * many, as long as the request.
 */
#ifndef IMX_PLAN_H
#define IMX_PLAN_H

#include "config/schema.h"
#include "record/counted.h"
#include "record/getters.h"

#include <stdatomic.h>

#define IMX_PLAN_CONSTANT_MAX 4096 /* bytes of a line that are constant */

/* Encoded bytes, part of a line; IMX_PLAN_PAD bytes behind them can be read. */
typedef struct {
    const char *bytes;
    apr_size_t len;
} imx_plan_text_t;

#define IMX_PLAN_PAD 32

/* The fields that most requests have, for one that took less than a second and
 * before its bytes are known. */
#define IMX_PLAN_TIMES "0.000000,application_time=0.000000,bytes_sent="
/* From the digits behind the points to its end. */
#define IMX_PLAN_TO_REQUEST_TIME (sizeof IMX_PLAN_TIMES - 1 - 2)
#define IMX_PLAN_TO_APPLICATION_TIME (sizeof "000000,bytes_sent=" - 1)

/* A tag or field that is not constant. */
typedef struct {
    imx_plan_text_t before;     /* of tags: the constant ones in front of it */
    imx_plan_text_t key;        /* ",name=" */
    const imx_own_t *own;       /* NULL: built-in ... */
    imx_getters_field_t getter; /* ... and this is its value */
    imx_kind_e kind;            /* of a built-in field */
    unsigned limited;           /* of a tag; IMX_NOT_LIMITED */
    int is_number; /* of one's own field: int or float, and the key is short */
    int is_int;
} imx_plan_item_t;

typedef struct imx_plan {
    /* With the usual tags: what stands before the method, and from there to
     * the status. */
    imx_plan_text_t head, tail;
    /* What comes after the last tag of a request: more tags, constant fields,
     * and " request_time=" if the usual three fields begin the others. */
    imx_plan_text_t lead;
    /* Of a plain plan: the line of a GET with the status 200, up to the value
     * of bytes_sent, with IMX_PLAN_TIMES for its times. */
    imx_plan_text_t get_ok;
    apr_size_t lead_tags;    /* bytes of lead before its fields */
    apr_size_t constant_len; /* bytes of all that is constant */
    int has_usual_tags, has_usual_fields;
    int is_usual;    /* both, and for every request */
    int is_ours;     /* here a handler of this module answers */
    int counts_more; /* imx_counted_has_more() */
    /* A plain plan: usual, and nothing more is in a line or to be done.  Then
     * this is its dir, else NULL; and its requests are counted in the cell. */
    const imx_schema_dir_t *plain_for;
    imx_stats_cell_t *cell;
    int tag_count, field_count, own_count;
    const imx_plan_item_t *tags;       /* instead of the usual ones */
    const imx_plan_item_t *fields;     /* besides the usual ones */
    const imx_plan_item_t *own_fields; /* that are not constant */
    int is_selective;                  /* not every request has a point */
    int has_expressions;               /* which may ask for any header */
    apr_uint32_t sample_below;         /* of 2^32: these are in the sample */
    imx_plan_text_t sampled, kept;     /* ",sample_rate=0.1", and with 1 */
    const imx_schema_dir_t *dir;
    const imx_schema_server_t *server;
} imx_plan_t;

/* Hook post_config, parent: gives every virtual host settings of its own, and
 * finds out whether its name makes a line.  APR_EGENERAL if not (logged). */
apr_status_t imx_plan_check(apr_pool_t *pconf, server_rec *s,
                            const char *hostname);

/* A child, before its first request.  process: what the tag has behind the name
 * of the host, NULL for no such tag.  Both texts live as long as the child. */
void imx_plan_child_init(const char *hostname, const char *process);

/* For a combination that is not the virtual host's own, or is needed for the
 * first time. */
const imx_plan_t *imx_plan_find_other(const imx_schema_dir_t *dir,
                                      server_rec *s, apr_pool_t *p);

/* Any thread of a child: the plan of the virtual host's own directory
 * configuration; NULL: not made yet. */
static inline const imx_plan_t *imx_plan_usual(const server_rec *s)
{
    return atomic_load_explicit(&imx_schema_server(s)->usual_plan,
                                memory_order_acquire);
}

/* As if it was not made yet.  Async-signal-safe. */
static inline void imx_plan_forget(const server_rec *s)
{
    atomic_store(&imx_schema_server(s)->usual_plan, NULL);
}

/* Any thread of a child: the plan for requests of s that end in dir.  p: of the
 * request, which the plan may end with. */
static inline const imx_plan_t *imx_plan_find(const imx_schema_dir_t *dir,
                                              server_rec *s, apr_pool_t *p)
{
    const imx_plan_t *plan = imx_plan_usual(s);

    return plan != NULL && plan->dir == dir ? plan
                                            : imx_plan_find_other(dir, s, p);
}

#endif
