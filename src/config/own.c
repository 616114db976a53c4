/*
 * own.c owns the tags and fields that the administrator defines: what a name
 * and a value may be, and which tags have a limit of values.
 * Entered by the parent's only thread while it reads the configuration, and by
 * any thread of a child to merge.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/own.h"

#include "apr_hash.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include "http_log.h"

#include "base/words.h"
#include "config/directive.h"
#include "lineproto.h"
#include "shared/values.h"

APLOG_USE_MODULE(influx_metrics);

#define HOST_MAX 255 /* bytes of a name of this host */

_Static_assert(IMX_KEY_MAX <= IMX_VALUES_NAME_MAX, "a tag's name fits");

/* A field that is there when points are sampled, not by its name. */
#define SAMPLE_RATE "sample_rate"

/* What a name means, the same in the whole configuration: InfluxDB refuses a
 * point in which a field has another type than before. */
typedef struct {
    imx_type_e type;
    imx_own_loss_t loss;
} meaning_t;

static apr_hash_t *meanings; /* name => meaning_t */
static const char *limited[IMX_VALUES_TAGS_MAX];
static unsigned limited_count;
static unsigned limited_numbers[IMX_TAGS];

void imx_own_reset(apr_pool_t *pconf)
{
    int i;

    meanings = apr_hash_make(pconf);
    limited_count = 0;
    for (i = 0; i < IMX_TAGS; i++) {
        limited_numbers[i] = IMX_NOT_LIMITED;
        if (imx_builtin_tags[i].is_limited) {
            limited_numbers[i] = limited_count;
            limited[limited_count++] = imx_builtin_tags[i].name;
        }
    }
}

const char *imx_own_limited_name(unsigned number)
{
    return number < limited_count ? limited[number] : NULL;
}

unsigned imx_own_limited_number(imx_tag_e tag)
{
    return limited_numbers[tag];
}

/* ---- names ---- */

/* A name means one thing: InfluxDB 3 takes no tag and field of one name. */
static const char *why_not_name(const imx_own_t *own)
{
    const meaning_t *known = apr_hash_get(meanings, own->name,
                                          APR_HASH_KEY_STRING);

    if (!imx_typed_is_key(own->name)) {
        return "a name of at most 255 bytes in UTF-8, without control "
               "characters or backslashes, that is not \"time\" and does not "
               "begin with '_'";
    }
    if (imx_builtin_find_field(own->name) >= 0
        || strcmp(own->name, SAMPLE_RATE) == 0) {
        return "a name that no built-in field has";
    }
    if (own->type != IMX_TYPE_TAG && imx_builtin_find_tag(own->name) >= 0) {
        return "a name that no built-in tag has";
    }
    if (known != NULL && known->type != own->type) {
        return "a name that is not yet that of a tag or of a field of another "
               "type: a name has one meaning in the whole configuration";
    }
    return NULL;
}

static void remember_meaning(apr_pool_t *p, imx_own_t *own)
{
    meaning_t *known = apr_hash_get(meanings, own->name, APR_HASH_KEY_STRING);

    if (known == NULL) {
        known = apr_pcalloc(p, sizeof *known);
        known->type = own->type;
        apr_hash_set(meanings, own->name, APR_HASH_KEY_STRING, known);
    }
    own->loss = &known->loss;
}

/* A tag whose values have a limit gets a number, the one that its name has
 * already if it has one. */
static const char *limit_tag(cmd_parms *cmd, imx_own_t *own)
{
    unsigned i;

    for (i = 0; i < limited_count; i++) {
        if (strcmp(limited[i], own->name) == 0) {
            own->limited = i;
            return NULL;
        }
    }
    if (limited_count >= IMX_VALUES_TAGS_MAX) {
        return imx_directive_wrong(cmd, own->name,
                                   "one of at most 61 names of tags that are "
                                   "not constant");
    }
    own->limited = limited_count;
    limited[limited_count++] = own->name;
    return NULL;
}

/* ---- values ---- */

/* Text in which nothing is to be evaluated: "%D", "100%" and "US$" are no more
 * than that for httpd's parser, too. */
static int is_constant(const char *expr)
{
    while (*expr != '\0' && *expr != '\\' && strncmp(expr, "%{", 2) != 0
           && (*expr != '$' || !apr_isdigit(expr[1]))) {
        expr++;
    }
    return *expr == '\0';
}

/*
 * Our expressions are evaluated when a request is logged.  A subrequest of one
 * that has no path ends the child then; of one over HTTP/2 it waits for ever
 * for a lock of mod_http2's, which logs while it holds that.
 */
static int look_up(ap_expr_lookup_parms *parms)
{
    if (parms->type == AP_EXPR_FUNC_OP_UNARY && parms->name[0] != '\0'
        && parms->name[1] == '\0' && strchr("AFU", parms->name[0]) != NULL) {
        *parms->err = apr_psprintf(parms->ptemp,
                                   "-%s makes a subrequest, for which it is "
                                   "too late here",
                                   parms->name);
        return !OK;
    }
    return ap_expr_lookup_default(parms);
}

const char *imx_own_compile(cmd_parms *cmd, const char *text, unsigned flags,
                            const ap_expr_info_t **expr)
{
    const char *err = NULL;

    *expr = ap_expr_parse_cmd(cmd, text, flags | AP_EXPR_FLAG_DONT_VARY, &err,
                              look_up);
    return err != NULL ? apr_psprintf(cmd->pool,
                                      "%s: \"%.100s\" cannot be understood, "
                                      "it must be an expression: %s",
                                      cmd->cmd->name, text, err)
                       : NULL;
}

/* What a constant of this type may be. */
static const char *allowed_constant(imx_type_e type)
{
    static const char *const allowed[] = {
        "an int: a whole number from -2^63 to 2^63-1", "a float: a number",
        "a string", "a bool: true, false, on, off, yes, no, 1 or 0",
        "at most 1024 bytes"
    };

    return allowed[type];
}

static const char *check_constant(cmd_parms *cmd, const imx_own_t *own)
{
    char text[3 * IMX_VALUE_MAX + 2 * IMX_KEY_MAX + 64];
    imx_lineproto_t lp;
    int is_good;

    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded_key(&lp, "", 0);
    is_good = own->type == IMX_TYPE_TAG
                  ? strlen(own->text) <= IMX_VALUE_MAX
                  : imx_typed_put(&lp, own->type, own->text);
    if (!is_good) {
        return imx_directive_wrong(cmd, own->text,
                                   allowed_constant(own->type));
    }
    if (own->type == IMX_TYPE_TAG && imx_words_has_control(own->text)) {
        return imx_directive_wrong(cmd, own->text,
                                   "a text without control characters, such "
                                   "as tabs: a tag cannot have them");
    }
    return NULL;
}

/* Header and RequestHeader want "expr=" before an expression.  Here it would
 * be a part of the text, and no number could ever be made of it. */
static const char *check_prefix(cmd_parms *cmd, const char *text)
{
    return strncmp(text, "expr=", 5) == 0
               ? imx_directive_wrong(cmd, text,
                                     "written without \"expr=\": every text "
                                     "with %{...} in it is an expression here")
               : NULL;
}

static const char *set_value(cmd_parms *cmd, imx_own_t *own, const char *text)
{
    const char *allowed = why_not_name(own);
    const char *err = allowed != NULL
                          ? imx_directive_wrong(cmd, own->name, allowed)
                          : check_prefix(cmd, text);

    if (err != NULL) {
        return err;
    }
    remember_meaning(cmd->pool, own);
    if (is_constant(text)) {
        own->text = apr_pstrdup(cmd->pool, text);
        return check_constant(cmd, own);
    }
    err = imx_own_compile(cmd, text, AP_EXPR_FLAG_STRING_RESULT, &own->expr);
    return err == NULL && own->type == IMX_TYPE_TAG
               ? limit_tag(cmd, own)
               : err;
}

/* NAME=VALUE would take away a tag of that whole name, in silence. */
static const char *check_lone(cmd_parms *cmd, const char *name)
{
    return strchr(name, '=') != NULL
                   && apr_hash_get(meanings, name, APR_HASH_KEY_STRING) == NULL
               ? imx_directive_wrong(cmd, name,
                                     "a name, and what it has behind a space; "
                                     "a name alone takes away what a place "
                                     "further out has")
               : NULL;
}

/* ---- lists ---- */

/* Takes the place of one of the same name. */
static void put_own(apr_array_header_t *list, const imx_own_t *own)
{
    int i;

    for (i = 0; i < list->nelts; i++) {
        const imx_own_t **p = &APR_ARRAY_IDX(list, i, const imx_own_t *);

        if (strcmp((*p)->name, own->name) == 0) {
            *p = own;
            return;
        }
    }
    APR_ARRAY_PUSH(list, const imx_own_t *) = own;
}

const char *imx_own_add(cmd_parms *cmd, apr_array_header_t **list,
                        const char *name, imx_type_e type, const char *text)
{
    imx_own_t *own = apr_pcalloc(cmd->pool, sizeof *own);
    const char *err = imx_directive_not_htaccess(cmd);

    own->name = apr_pstrdup(cmd->pool, name);
    own->type = type;
    own->text = "";
    own->limited = IMX_NOT_LIMITED;
    if (err == NULL) {
        err = text != NULL ? set_value(cmd, own, text) : check_lone(cmd, name);
    }
    if (err != NULL) {
        return err;
    }
    if (*list == NULL) {
        *list = apr_array_make(cmd->pool, 4, sizeof(const imx_own_t *));
    }
    put_own(*list, own);
    return NULL;
}

apr_array_header_t *imx_own_merge(apr_pool_t *p,
                                  const apr_array_header_t *outer,
                                  const apr_array_header_t *inner)
{
    const apr_array_header_t *first = outer != NULL ? outer : inner;
    apr_array_header_t *merged = first != NULL ? apr_array_copy(p, first)
                                               : NULL;
    int i;

    for (i = 0; outer != NULL && inner != NULL && i < inner->nelts; i++) {
        put_own(merged, APR_ARRAY_IDX(inner, i, const imx_own_t *));
    }
    return merged;
}

const imx_own_t *imx_own_find(const apr_array_header_t *list, const char *name)
{
    int i;

    for (i = 0; list != NULL && i < list->nelts; i++) {
        const imx_own_t *own = APR_ARRAY_IDX(list, i, const imx_own_t *);

        if (strcmp(own->name, name) == 0) {
            return own;
        }
    }
    return NULL;
}

const char *imx_own_host(const apr_array_header_t *list)
{
    const imx_own_t *own =
        imx_own_find(list, imx_builtin_tags[IMX_TAG_HOSTNAME].name);

    return own != NULL && own->expr == NULL && *own->text != '\0'
                   && strlen(own->text) <= HOST_MAX
               ? own->text
               : NULL;
}
