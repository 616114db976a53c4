/*
 * getters.h: where the values of tags and fields come from: a getter for each
 * built-in one, and the evaluation of the administrator's own.
 * Any thread of a child, for a request that has ended.  Texts that are returned
 * are borrowed, and live as long as the request.
 */
#ifndef IMX_GETTERS_H
#define IMX_GETTERS_H

#include "ap_expr.h"

#include "config/builtin.h"
#include "config/own.h"
#include "record/marks.h"

/* The value for this request; NULL or "": there is none. */
typedef const char *imx_getters_text_t(const imx_facts_t *f);

/* The same for times in ns, numbers, and 0 or 1; ABSENT: there is none. */
typedef apr_int64_t imx_getters_number_t(const imx_facts_t *f);

/* Of a field: the number, or the text if its kind is STRING. */
typedef struct {
    imx_getters_number_t *number;
    imx_getters_text_t *text;
} imx_getters_field_t;

/* The table; tags that are constant for a child have NULL (see plan.c). */
extern imx_getters_text_t *const imx_getters_tags[IMX_TAGS];
extern const imx_getters_field_t imx_getters_fields[IMX_FIELDS];

/* A child, before its first request. */
void imx_getters_child_init(void);

/* The number of the request's route in the list of its virtual host: that of
 * the first one that matches, or the one behind the last. */
int imx_getters_route(const imx_facts_t *f);

/* Whether the client went away before the end. */
int imx_getters_is_aborted(const imx_facts_t *f);

/* "GET", a method that httpd knows, or "OTHER"; and "000" .. "999". */
const char *imx_getters_method(const request_rec *first);

/* The path that the client asked for, without the query; or NULL. */
const char *imx_getters_uri(const request_rec *first);

#define IMX_GETTERS_STATUS_MAX 999
extern char imx_getters_status[IMX_GETTERS_STATUS_MAX + 1][4];

/* Before any handler or access checker of r: keep what TLS knows now.  When
 * a renegotiation is refused it knows nothing in the end. */
void imx_getters_keep_scheme(imx_marks_t *marks, request_rec *r);
void imx_getters_keep_tls_version(imx_marks_t *marks, request_rec *r);

/* What one's own tag or field says for this request (the last one of its
 * chain); NULL: its expression failed. */
static inline const char *imx_getters_own(const imx_own_t *own, request_rec *r)
{
    const char *err;

    return ap_expr_str_exec(r, own->expr, &err);
}

#endif
