/*
 * schema.c owns what may be written of what is recorded: tags, fields, routes,
 * conditions, samples; and how inner settings change outer ones.
 * Entered by the parent's only thread while it reads the configuration, and by
 * any thread of a child to merge and to write a field's value.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/schema.h"

#include "apr_hash.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include "http_log.h"

#include "config/directive.h"
#include "base/pairs.h"
#include "shared/values.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>

/* httpd fixes the parameters of setters. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

#define MEASUREMENT_MAX 1000 /* bytes */
#define NAME_MAX_BYTES IMX_VALUES_NAME_MAX
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD, for what is no UTF-8 */

static const char *const tag_names[IMX_TAGS] = {
    "backend",      "handler", "hostname",  "method", "process",
    "protocol",     "route",   "scheme",    "server", "status",
    "status_class", "user",    "vhost_port"
};

static const char *const field_names[IMX_FIELDS] = {
    "request_time",  "application_time",
    "bytes_sent",    "server_time",
    "input_time",    "output_time",
    "ttfb",          "bytes_received",
    "aborted",       "client",
    "connection_id", "keepalive",
    "pid",           "query",
    "referer",       "request_id",
    "thread",        "tls_version",
    "trace_id",      "uri",
    "user_agent"
};

#define TAGS_USUAL \
    (IMX_BIT(IMX_TAG_HOSTNAME) | IMX_BIT(IMX_TAG_METHOD) \
     | IMX_BIT(IMX_TAG_PROCESS) | IMX_BIT(IMX_TAG_SERVER) \
     | IMX_BIT(IMX_TAG_STATUS))

/* A field that is not asked for by name. */
#define SAMPLE_RATE "sample_rate"

static int is_used;
static unsigned tag_limit;
static const char *guarded[IMX_VALUES_TAGS_MAX];
static unsigned guarded_count;
/* Name of an own tag or field => its type: it has one in all places, as
 * InfluxDB refuses a point with another. */
static apr_hash_t *own_types;
static int keeps_merges;  /* in a child */
static locale_t c_locale; /* numbers have a point in every locale */

void imx_schema_reset(apr_pool_t *pconf)
{
    is_used = 0;
    keeps_merges = 0;
    tag_limit = 1000;
    guarded[0] = tag_names[IMX_TAG_BACKEND];
    guarded[1] = tag_names[IMX_TAG_HANDLER];
    guarded[2] = tag_names[IMX_TAG_USER];
    guarded_count = 3;
    own_types = apr_hash_make(pconf);
    if (c_locale == (locale_t)0) {
        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    }
}

int imx_schema_is_used(void)
{
    return is_used;
}

unsigned imx_schema_tag_limit(void)
{
    return tag_limit;
}

const char *imx_schema_guarded(unsigned number)
{
    return number < guarded_count ? guarded[number] : NULL;
}

unsigned imx_schema_guard(imx_tag_e tag)
{
    return tag == IMX_TAG_BACKEND   ? 0
           : tag == IMX_TAG_HANDLER ? 1
           : tag == IMX_TAG_USER    ? 2
                                    : IMX_NOT_GUARDED;
}

const char *imx_schema_tag_name(imx_tag_e tag)
{
    return tag_names[tag];
}

const char *imx_schema_field_name(imx_field_e field)
{
    return field_names[field];
}

/* Bytes of the UTF-8 character that begins with this one; 0: none does. */
static unsigned utf8_length(unsigned char first)
{
    return first >= 0xF0   ? 4
           : first >= 0xE0 ? 3
           : first >= 0xC0 ? 2
           : first >= 0x80 ? 0
                           : 1;
}

apr_size_t imx_schema_cut(const char *s, apr_size_t len, apr_size_t most)
{
    unsigned back, length = 0;

    if (len <= most) {
        return len;
    }
    for (back = 1; back <= 3 && back <= most && length == 0; back++) {
        length = utf8_length((unsigned char)s[most - back]);
        if (length > back) {
            return most - back;
        }
    }
    return most;
}

/* ---- built-in ones: lists and their changes ---- */

/* What is in effect; what is neither set nor changed is as usual. */
static unsigned choose(const imx_choice_t *c, unsigned usual)
{
    return ((c->is_set ? c->set : usual) | c->add) & ~c->remove;
}

/* A list of its own forgets what is further out; changes add up. */
static imx_choice_t merge_choice(const imx_choice_t *outer,
                                 const imx_choice_t *inner)
{
    imx_choice_t merged = *inner;

    if (!inner->is_set) {
        merged.is_set = outer->is_set;
        merged.set = outer->set;
        merged.add = (outer->add & ~inner->remove) | inner->add;
        merged.remove = (outer->remove & ~inner->add) | inner->remove;
    }
    return merged;
}

unsigned imx_schema_tag_bits(const imx_schema_dir_t *dir,
                             const imx_schema_server_t *server)
{
    return choose(&dir->tags, server->routes != NULL
                                  ? TAGS_USUAL | IMX_BIT(IMX_TAG_ROUTE)
                                  : TAGS_USUAL);
}

static int find_name(const char *name, const char *const names[], int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static const char *allowed_names(apr_pool_t *p, const char *const names[],
                                 int count)
{
    const char *text =
        "\"none\", or names, all or none of them with + or - "
        "before it, of:";
    int i;

    for (i = 0; i < count; i++) {
        text = apr_pstrcat(p, text, i ? ", " : " ", names[i], NULL);
    }
    return text;
}

/* Reads a list of names into *c, which is what earlier lists here said. */
static const char *read_choice(cmd_parms *cmd, int argc, char *const argv[],
                               const char *const names[], int count,
                               imx_choice_t *c)
{
    const char *err = imx_directive_not_htaccess(cmd);
    const char *allowed = allowed_names(cmd->temp_pool, names, count);
    imx_choice_t list = { 0, 0, 0, 0 };
    int i, name;

    if (err != NULL) {
        return err;
    }
    if (argc == 0) {
        return imx_directive_wrong(cmd, "", allowed);
    }
    list.is_set = *argv[0] != '+' && *argv[0] != '-';
    for (i = 0; i < argc; i++) {
        int is_change = *argv[i] == '+' || *argv[i] == '-';

        if (argc == 1 && strcmp(argv[i], "none") == 0) {
            break;
        }
        name = find_name(argv[i] + is_change, names, count);
        if (name < 0 || is_change == list.is_set) {
            return imx_directive_wrong(cmd, argv[i], allowed);
        }
        if (*argv[i] == '-') {
            list.remove |= IMX_BIT(name);
            list.add &= ~IMX_BIT(name);
        }
        else if (*argv[i] == '+') {
            list.add |= IMX_BIT(name);
            list.remove &= ~IMX_BIT(name);
        }
        else {
            list.set |= IMX_BIT(name);
        }
    }
    *c = merge_choice(c, &list);
    return NULL;
}

const char *imx_schema_set_tags(cmd_parms *cmd, void *dir, int argc,
                                char *const argv[])
{
    return read_choice(cmd, argc, argv, tag_names, IMX_TAGS,
                       &((imx_schema_dir_t *)dir)->tags);
}

const char *imx_schema_set_fields(cmd_parms *cmd, void *dir, int argc,
                                  char *const argv[])
{
    imx_schema_dir_t *d = dir;
    const char *err = read_choice(cmd, argc, argv, field_names, IMX_FIELDS,
                                  &d->fields);

    d->field_bits = choose(&d->fields, IMX_FIELDS_USUAL);
    return err;
}

/* ---- own tags and fields ---- */

static int is_integer(const char *text, apr_int64_t *v)
{
    char *end;

    if (text[strspn(text, "+-0123456789")] != '\0') {
        return 0; /* no white space either */
    }
    errno = 0;
    *v = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

/* Decimal notation: no hexadecimal numbers, infinities, or NaN. */
static int is_float(const char *text, double *v)
{
    char *end;

    if (text[strspn(text, "+-.0123456789eE")] != '\0') {
        return 0;
    }
    *v = strtod_l(text, &end, c_locale);
    return end != text && *end == '\0' && *v - *v == 0;
}

static int is_bool(const char *text, int *v)
{
    static const char *const words[] = { "false", "true", "0",  "1",
                                         "off",   "on",   "no", "yes" };
    unsigned i;

    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (ap_cstr_casecmp(text, words[i]) == 0) {
            *v = i & 1;
            return 1;
        }
    }
    return 0;
}

static int put_int(imx_lineproto_t *lp, const char *text)
{
    apr_int64_t v;

    if (!is_integer(text, &v)) {
        return 0;
    }
    imx_lineproto_put_int(lp, v);
    return 1;
}

static int put_float(imx_lineproto_t *lp, const char *text)
{
    double v;

    if (!is_float(text, &v)) {
        return 0;
    }
    imx_lineproto_put_float(lp, v);
    return 1;
}

static int put_bool(imx_lineproto_t *lp, const char *text)
{
    int v;

    if (!is_bool(text, &v)) {
        return 0;
    }
    imx_lineproto_put_bool(lp, v);
    return 1;
}

int imx_schema_put_value(imx_lineproto_t *lp, imx_type_e type,
                         const char *text)
{
    int is_good = 1;

    switch (type) {
    case IMX_TYPE_INT:
        is_good = put_int(lp, text);
        break;
    case IMX_TYPE_FLOAT:
        is_good = put_float(lp, text);
        break;
    case IMX_TYPE_BOOL:
        is_good = put_bool(lp, text);
        break;
    default:
        imx_lineproto_put_string(lp, text,
                                 imx_schema_cut(text, strlen(text),
                                                IMX_VALUE_MAX));
    }
    return is_good && imx_lineproto_error(lp) == IMX_LINEPROTO_OK;
}

/* Can it be a key, of a tag or a field?  As it is: two that the encoder would
 * have to mend could become one. */
static int is_key(const char *name)
{
    char text[2 * NAME_MAX_BYTES + 16];
    imx_lineproto_t lp;

    if (strlen(name) > NAME_MAX_BYTES || imx_directive_has_control(name)
        || strchr(name, '\\') != NULL || strstr(name, REPLACEMENT) != NULL) {
        return 0;
    }
    imx_lineproto_init(&lp, text, sizeof text - 1);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag(&lp, name, strlen(name), "x", 1);
    text[imx_lineproto_length(&lp)] = '\0';
    return imx_lineproto_error(&lp) == IMX_LINEPROTO_OK
           && strstr(text, REPLACEMENT) == NULL;
}

static int is_builtin_field(const char *name)
{
    return find_name(name, field_names, IMX_FIELDS) >= 0
           || strcmp(name, SAMPLE_RATE) == 0;
}

/* A name means one thing: InfluxDB 3 takes no tag and field of one name, and
 * none takes a field of another type than before. */
static const char *check_own(cmd_parms *cmd, const imx_own_t *own)
{
    const imx_type_e *known = apr_hash_get(own_types, own->name,
                                           APR_HASH_KEY_STRING);

    if (!is_key(own->name)) {
        return imx_directive_wrong(cmd, own->name,
                                   "a name of at most 255 bytes in UTF-8, "
                                   "without control characters or "
                                   "backslashes, that is not \"time\" and "
                                   "does not begin with '_'");
    }
    if (is_builtin_field(own->name)) {
        return imx_directive_wrong(cmd, own->name,
                                   "a name that no built-in field has");
    }
    if (own->type != IMX_TYPE_TAG
        && find_name(own->name, tag_names, IMX_TAGS) >= 0) {
        return imx_directive_wrong(cmd, own->name,
                                   "a name that no built-in tag has");
    }
    if (known != NULL && *known != own->type) {
        return imx_directive_wrong(cmd, own->name,
                                   "a name that is not yet that of a tag or "
                                   "of a field of another type: a name has "
                                   "one meaning in the whole configuration");
    }
    apr_hash_set(own_types, own->name, APR_HASH_KEY_STRING, &own->type);
    return NULL;
}

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

static const char *compile(cmd_parms *cmd, const char *text, unsigned flags,
                           const ap_expr_info_t **expr)
{
    const char *err = NULL;

    *expr = ap_expr_parse_cmd(cmd, text, flags | AP_EXPR_FLAG_DONT_VARY, &err,
                              NULL);
    return err != NULL ? apr_psprintf(cmd->pool,
                                      "%s: \"%.100s\" cannot be understood, "
                                      "it must be an expression: %s",
                                      cmd->cmd->name, text, err)
                       : NULL;
}

/* The name gets a number, the one that it has if it has one. */
static const char *guard(cmd_parms *cmd, imx_own_t *own)
{
    int known = find_name(own->name, guarded, (int)guarded_count);

    if (known >= 0) {
        own->guard = (unsigned)known;
        return NULL;
    }
    if (guarded_count >= IMX_VALUES_TAGS_MAX) {
        return imx_directive_wrong(cmd, own->name,
                                   "one of at most 61 names of tags that are "
                                   "not constant");
    }
    own->guard = guarded_count;
    guarded[guarded_count++] = own->name;
    return NULL;
}

static const char *check_constant(cmd_parms *cmd, imx_own_t *own,
                                  const char *allowed)
{
    char text[3 * IMX_VALUE_MAX + 2 * NAME_MAX_BYTES + 64];
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded_key(&lp, "", 0);
    if (own->type == IMX_TYPE_TAG
            ? strlen(own->text) <= IMX_VALUE_MAX
            : imx_schema_put_value(&lp, own->type, own->text)) {
        return NULL;
    }
    return imx_directive_wrong(cmd, own->text, allowed);
}

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

/* What it says, constant or not; no text takes away what is further out. */
static const char *set_value(cmd_parms *cmd, imx_own_t *own, const char *text,
                             const char *allowed)
{
    const char *err;

    if (text == NULL) {
        own->text = "";
        return NULL;
    }
    err = check_own(cmd, own);
    if (err == NULL && is_constant(text)) {
        own->text = apr_pstrdup(cmd->pool, text);
        err = check_constant(cmd, own, allowed);
    }
    else if (err == NULL) {
        err = compile(cmd, text, AP_EXPR_FLAG_STRING_RESULT, &own->expr);
        if (err == NULL && own->type == IMX_TYPE_TAG) {
            err = guard(cmd, own);
        }
    }
    return err;
}

static const char *add_own(cmd_parms *cmd, apr_array_header_t **list,
                           const char *name, imx_type_e type, const char *text,
                           const char *allowed)
{
    imx_own_t *own = apr_pcalloc(cmd->pool, sizeof *own);
    const char *err = imx_directive_not_htaccess(cmd);

    own->name = apr_pstrdup(cmd->pool, name);
    own->name_len = strlen(name);
    own->type = type;
    own->guard = IMX_NOT_GUARDED;
    if (err == NULL) {
        err = set_value(cmd, own, text, allowed);
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

const char *imx_schema_set_tag(cmd_parms *cmd, void *dir, const char *name,
                               const char *expr)
{
    return add_own(cmd, &((imx_schema_dir_t *)dir)->own_tags, name,
                   IMX_TYPE_TAG, expr, "at most 1024 bytes");
}

const char *imx_schema_set_field(cmd_parms *cmd, void *dir, const char *name,
                                 const char *type, const char *expr)
{
    static const char *const types[] = { "int", "float", "string", "bool" };
    static const char *const allowed[] = {
        "an int: a whole number from -2^63 to 2^63-1", "a float: a number",
        "a string", "a bool: true, false, on, off, yes, no, 1 or 0"
    };
    int i = type != NULL ? find_name(type, types, 4) : IMX_TYPE_STRING;

    if (i < 0) {
        return imx_directive_wrong(cmd, type, "int, float, string or bool");
    }
    return add_own(cmd, &((imx_schema_dir_t *)dir)->own_fields, name,
                   (imx_type_e)i, expr, allowed[i]);
}

/* Of the first list that there is; NULL: there is none. */
static apr_array_header_t *copy_first(apr_pool_t *p,
                                      const apr_array_header_t *first,
                                      const apr_array_header_t *second)
{
    const apr_array_header_t *one = first != NULL ? first : second;

    return one != NULL ? apr_array_copy(p, one) : NULL;
}

static apr_array_header_t *merge_own(apr_pool_t *p,
                                     const apr_array_header_t *outer,
                                     const apr_array_header_t *inner)
{
    apr_array_header_t *merged = copy_first(p, outer, inner);
    int i;

    for (i = 0; outer != NULL && inner != NULL && i < inner->nelts; i++) {
        put_own(merged, APR_ARRAY_IDX(inner, i, const imx_own_t *));
    }
    return merged;
}

/* ---- the other directives ---- */

const char *imx_schema_set_enabled(cmd_parms *cmd, void *dir, int on)
{
    const char *err = imx_directive_not_htaccess(cmd);

    if (err == NULL) {
        ((imx_schema_dir_t *)dir)->enabled = on;
        is_used |= on;
    }
    return err;
}

const char *imx_schema_set_measurement(cmd_parms *cmd, void *dir,
                                       const char *name)
{
    const char *err = imx_directive_only_server(cmd);
    char text[2 * MEASUREMENT_MAX]; /* every byte may need an escape */
    imx_lineproto_t lp;

    if (err != NULL) {
        return err;
    }
    if (strlen(name) > MEASUREMENT_MAX) {
        return imx_directive_wrong(cmd, name,
                                   "a name of at most " APR_STRINGIFY(
                                       MEASUREMENT_MAX) " bytes");
    }
    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_begin(&lp, name, strlen(name));
    if (imx_lineproto_error(&lp) != IMX_LINEPROTO_OK) {
        return imx_directive_wrong(cmd, name,
                                   "a name without control characters that "
                                   "does not begin with '_' or '#'");
    }
    imx_schema_server(cmd->server)->measurement = name;
    return NULL;
}

/* As it stands in a line. */
static const char *encode_route(apr_pool_t *p, const char *name)
{
    char text[3 * NAME_MAX_BYTES];
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag_value(&lp, name, strlen(name));
    return apr_pstrmemdup(p, text, imx_lineproto_length(&lp));
}

const char *imx_schema_set_route(cmd_parms *cmd, void *dir, const char *name,
                                 const char *regex)
{
    imx_schema_server_t *server = imx_schema_server(cmd->server);
    const char *err = imx_directive_only_server(cmd);
    imx_route_t *route;

    if (err != NULL) {
        return err;
    }
    if (*name == '\0' || strlen(name) > NAME_MAX_BYTES
        || imx_directive_has_control(name)) {
        return imx_directive_wrong(cmd, name,
                                   "a name of 1 to 255 bytes without control "
                                   "characters");
    }
    if (server->routes == NULL) {
        server->routes = apr_array_make(cmd->pool, 8, sizeof(imx_route_t));
    }
    route = apr_array_push(server->routes);
    route->name = encode_route(cmd->pool, name);
    if (*route->name == '\0') {
        return imx_directive_wrong(cmd, name, "more than backslashes");
    }
    route->regex = ap_pregcomp(cmd->pool, regex, AP_REG_EXTENDED);
    return route->regex == NULL
               ? imx_directive_wrong(cmd, regex, "a regular expression")
               : NULL;
}

const char *imx_schema_set_tag_limit(cmd_parms *cmd, void *dir,
                                     const char *limit)
{
    const char *err = imx_directive_only_main(cmd);
    apr_size_t n = 0;

    if (err == NULL) {
        err = imx_directive_size(cmd, limit, 1, IMX_VALUES_LIMIT_MAX,
                                 "a number from 1 to " APR_STRINGIFY(
                                     IMX_VALUES_LIMIT_MAX),
                                 &n);
    }
    if (err == NULL) {
        tag_limit = (unsigned)n;
    }
    return err;
}

/* The whole line is the expression; it may stand in quotes, as in <If>. */
const char *imx_schema_set_condition(cmd_parms *cmd, void *dir,
                                     const char *args)
{
    const char *err = imx_directive_not_htaccess(cmd);
    const char *expr = args;

    if (err != NULL) {
        return err;
    }
    if (*args == '"') {
        expr = ap_getword_conf(cmd->pool, &args);
        if (*args != '\0') {
            return imx_directive_wrong(cmd, args,
                                       "one expression, with quotes around "
                                       "all of it or none");
        }
    }
    if (*expr == '\0') {
        return imx_directive_wrong(cmd, expr, "an expression");
    }
    return compile(cmd, expr, 0, &((imx_schema_dir_t *)dir)->condition);
}

static const char *set_sample_word(cmd_parms *cmd, imx_sample_t *sample,
                                   const char *word)
{
    int ms = 0;
    const char *err, *allowed;

    if (word == NULL) {
        return NULL;
    }
    if (ap_cstr_casecmp(word, "errors") == 0) {
        sample->errors = 1;
        return NULL;
    }
    if (ap_cstr_casecmpn(word, "slow=", 5) != 0) {
        return imx_directive_wrong(cmd, word, "slow=TIME or errors");
    }
    allowed = "slow=TIME with a time from 1ms to 24h";
    err = imx_directive_time(cmd, word + 5, 1, 24 * 3600 * 1000, allowed, &ms);
    sample->slow = ms * APR_INT64_C(1000000);
    return err != NULL ? imx_directive_wrong(cmd, word, allowed) : NULL;
}

const char *imx_schema_set_sample(cmd_parms *cmd, void *dir, const char *rate,
                                  const char *more, const char *yet_more)
{
    const char *err = imx_directive_not_htaccess(cmd);
    imx_sample_t sample = { 0, 0, 0 };

    if (err != NULL) {
        return err;
    }
    if (!is_float(rate, &sample.rate) || !(sample.rate >= 0)
        || sample.rate > 1) {
        return imx_directive_wrong(cmd, rate, "a number from 0 to 1");
    }
    err = set_sample_word(cmd, &sample, more);
    if (err == NULL) {
        err = set_sample_word(cmd, &sample, yet_more);
    }
    ((imx_schema_dir_t *)dir)->sample = sample;
    return err;
}

/* A token of RFC 9110, 5.6.2: a comma behind a name would make it one that no
 * response has, and the client would see what was to be taken away. */
static int is_header_name(const char *name)
{
    return *name != '\0'
           && name[strspn(name,
                          "!#$%&'*+-.^_`|~0123456789"
                          "abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]
                  == '\0';
}

const char *imx_schema_set_unset_header(cmd_parms *cmd, void *dir,
                                        const char *name)
{
    imx_schema_dir_t *d = dir;
    const char *err = imx_directive_not_htaccess(cmd);

    if (err != NULL) {
        return err;
    }
    if (!is_header_name(name)) {
        return imx_directive_wrong(cmd, name,
                                   "the name of a header, with spaces "
                                   "between several");
    }
    if (d->unset_headers == NULL) {
        d->unset_headers = apr_array_make(cmd->pool, 4, sizeof(char *));
    }
    APR_ARRAY_PUSH(d->unset_headers, const char *) = name;
    return NULL;
}

/* ---- create and merge ---- */

void *imx_schema_create_server(apr_pool_t *p, server_rec *s)
{
    return apr_pcalloc(p, sizeof(imx_schema_server_t));
}

static apr_array_header_t *append_lists(apr_pool_t *p,
                                        const apr_array_header_t *first,
                                        const apr_array_header_t *second)
{
    apr_array_header_t *all = copy_first(p, first, second);

    if (first != NULL && second != NULL) {
        apr_array_cat(all, second);
    }
    return all;
}

/* The routes of a virtual host come before those of the main server. */
void *imx_schema_merge_server(apr_pool_t *p, void *base, void *add)
{
    imx_schema_server_t *merged = apr_pcalloc(p, sizeof *merged);
    const imx_schema_server_t *outer = base, *inner = add;

    merged->measurement = inner->measurement ? inner->measurement
                                             : outer->measurement;
    merged->routes = append_lists(p, inner->routes, outer->routes);
    return merged;
}

void *imx_schema_create_dir(apr_pool_t *p, char *path)
{
    imx_schema_dir_t *dir = apr_pcalloc(p, sizeof *dir);

    dir->enabled = IMX_UNSET;
    dir->sample.rate = IMX_UNSET;
    dir->field_bits = IMX_FIELDS_USUAL;
    dir->is_passing = keeps_merges;
    return dir;
}

static imx_schema_dir_t *merge_dir(apr_pool_t *p,
                                   const imx_schema_dir_t *outer,
                                   const imx_schema_dir_t *inner)
{
    imx_schema_dir_t *merged = apr_pcalloc(p, sizeof *merged);

    merged->enabled = inner->enabled != IMX_UNSET ? inner->enabled
                                                  : outer->enabled;
    merged->tags = merge_choice(&outer->tags, &inner->tags);
    merged->fields = merge_choice(&outer->fields, &inner->fields);
    merged->own_tags = merge_own(p, outer->own_tags, inner->own_tags);
    merged->own_fields = merge_own(p, outer->own_fields, inner->own_fields);
    merged->condition = inner->condition ? inner->condition : outer->condition;
    merged->sample = inner->sample.rate >= 0 ? inner->sample : outer->sample;
    merged->unset_headers = append_lists(p, outer->unset_headers,
                                         inner->unset_headers);
    merged->handler = inner->handler ? inner->handler : outer->handler;
    merged->field_bits = choose(&merged->fields, IMX_FIELDS_USUAL);
    return merged;
}

static imx_schema_kept_t merges;
static pthread_mutex_t keep_lock = PTHREAD_MUTEX_INITIALIZER;
static apr_pool_t *keep_pool; /* only with the lock */

void imx_schema_keep_merges(void)
{
    memset(&merges, 0, sizeof merges);
    keeps_merges = apr_pool_create_unmanaged_ex(&keep_pool, NULL, NULL)
                   == APR_SUCCESS;
}

static void *make_and_keep(imx_schema_kept_t *kept, const void *first,
                           const void *second, imx_schema_make_t *make)
{
    imx_pair_t *pair = apr_palloc(keep_pool, sizeof *pair);

    pair->first = first;
    pair->second = second;
    pair->made = make(keep_pool, first, second);
    imx_pairs_add(&kept->pairs, pair);
    kept->count++;
    return pair->made;
}

/* The lock is taken once for each pair; other requests find it without.  Nobody
 * waits for it: prefork ends in a signal handler, in which requests are logged
 * while the one that it has interrupted may hold it. */
void *imx_schema_keep(imx_schema_kept_t *kept, const void *first,
                      const void *second, imx_schema_make_t *make)
{
    void *made = imx_pairs_find(&kept->pairs, first, second);

    if (made == NULL && kept->count < IMX_SCHEMA_KEPT_MAX
        && pthread_mutex_trylock(&keep_lock) == 0) {
        made = imx_pairs_find(&kept->pairs, first, second);
        if (made == NULL && kept->count < IMX_SCHEMA_KEPT_MAX) {
            made = make_and_keep(kept, first, second, make);
        }
        pthread_mutex_unlock(&keep_lock);
    }
    return made;
}

static void *make_merge(apr_pool_t *p, const void *outer, const void *inner)
{
    return merge_dir(p, outer, inner);
}

/*
 * In a child, both sides were made while the configuration was read or are kept
 * merges, and live as long as the child.  The others are passing: what was made
 * when the map was full or another thread was adding to it, and what .htaccess
 * files make, even if none of these directives may stand there.  They are
 * merged for their request alone: another one could have the same address.
 */
void *imx_schema_merge_dir(apr_pool_t *p, void *base, void *add)
{
    const imx_schema_dir_t *outer = base, *inner = add;
    imx_schema_dir_t *merged = NULL;

    if (keeps_merges && !outer->is_passing && !inner->is_passing) {
        merged = imx_schema_keep(&merges, outer, inner, make_merge);
    }
    if (merged == NULL) {
        merged = merge_dir(p, outer, inner);
        merged->is_passing = keeps_merges;
    }
    return merged;
}
