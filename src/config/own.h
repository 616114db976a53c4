/*
 * own.h: tags and fields that the administrator defines: a name, a type, and a
 * constant text or an expression.
 * Setting: the parent's only thread, in pconf.  Merging and reading: also any
 * thread of a child.
 */
#ifndef IMX_OWN_H
#define IMX_OWN_H

#include "httpd.h"
#include "http_config.h"
#include "ap_expr.h"

#include "config/builtin.h"
#include "config/typed.h"

/* A tag without a limit of values. */
#define IMX_NOT_LIMITED 255u

/* Values that were left out of their points, in this child. */
typedef struct {
    _Atomic unsigned count;
    _Atomic apr_int64_t said; /* by imx_clock_now(); 0: never */
} imx_own_loss_t;

typedef struct {
    const char *name;
    imx_type_e type;
    const ap_expr_info_t *expr; /* NULL: it is constant */
    const char *text;           /* the constant */
    unsigned limited;           /* the number of a tag with an expression */
    imx_own_loss_t *loss;       /* that of all with this name */
} imx_own_t;

/* Hook pre_config: forgets the configuration of the generation before. */
void imx_own_reset(apr_pool_t *pconf);

/* Adds a tag or field to *list (of const imx_own_t *; NULL: there is none yet),
 * in place of one with the same name.  text: what it says; NULL takes away what
 * is further out.  Returns NULL, or the sentence about what is wrong. */
const char *imx_own_add(cmd_parms *cmd, apr_array_header_t **list,
                        const char *name, imx_type_e type, const char *text);

/* Both lists in one; what the inner one names replaces the outer one's. */
apr_array_header_t *imx_own_merge(apr_pool_t *p,
                                  const apr_array_header_t *outer,
                                  const apr_array_header_t *inner);

/* The one with this name; NULL: the list (may be NULL) has none. */
const imx_own_t *imx_own_find(const apr_array_header_t *list,
                              const char *name);

/* What a constant tag `hostname` in the list says, if it has 255 bytes at most:
 * the name of this host, in the tag `process` as well.  NULL: there is none. */
const char *imx_own_host(const apr_array_header_t *list);

/* httpd's parser, with a sentence that names the directive. */
const char *imx_own_compile(cmd_parms *cmd, const char *text, unsigned flags,
                            const ap_expr_info_t **expr);

/* The name of limited tag `number`, NULL behind the last one; the number of a
 * built-in tag. */
const char *imx_own_limited_name(unsigned number);
unsigned imx_own_limited_number(imx_tag_e tag);

#endif
