/*
 * recording.c owns the directives about which requests are recorded, and into
 * what: On, Measurement, Route, TagLimit, If, Sample, Objective, UnsetHeader,
 * and the entrances to the lists of tags and fields.  Entered by the parent's
 * only thread while it reads the configuration.  Nothing survives a restart;
 * httpd reads the files again.
 */
#include "config/schema.h"

#include "apr_lib.h"
#include "apr_strings.h"
#include "http_log.h"

#include "base/log.h"
#include "base/words.h"
#include "config/directive.h"
#include "config/names.h"
#include "lineproto.h"
#include "shared/values.h"

/* httpd fixes the parameters of setters. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

#define MEASUREMENT_MAX 1000 /* bytes */
#define NAME_MAX_BYTES IMX_VALUES_NAME_MAX
#define TAG_LIMIT 1000

static int is_used;
static int places_on; /* where InfluxMetrics is On */
static unsigned tag_limit = TAG_LIMIT;

void imx_schema_reset(apr_pool_t *pconf)
{
    is_used = places_on = 0;
    tag_limit = TAG_LIMIT;
    imx_own_reset(pconf);
    imx_choice_reset();
}

int imx_schema_is_used(void)
{
    return is_used || places_on > 0;
}

void imx_schema_use(void)
{
    is_used = 1;
}

unsigned imx_schema_tag_limit(void)
{
    return tag_limit;
}

const char *imx_schema_set_tags(cmd_parms *cmd, void *dir, int argc,
                                char *const argv[])
{
    return imx_choice_read_tags(cmd, argc, argv,
                                &((imx_schema_dir_t *)dir)->tags);
}

const char *imx_schema_set_fields(cmd_parms *cmd, void *dir, int argc,
                                  char *const argv[])
{
    imx_schema_dir_t *d = dir;
    const char *err = imx_choice_read_fields(cmd, argc, argv, &d->fields);

    d->field_bits = imx_choice_bits(&d->fields, IMX_FIELDS_USUAL);
    return err;
}

const char *imx_schema_set_tag(cmd_parms *cmd, void *dir, const char *name,
                               const char *expr)
{
    return imx_own_add(cmd, &((imx_schema_dir_t *)dir)->own_tags, name,
                       IMX_TYPE_TAG, expr);
}

const char *imx_schema_set_field(cmd_parms *cmd, void *dir, const char *name,
                                 const char *type, const char *expr)
{
    int i = type != NULL ? imx_typed_find(type) : IMX_TYPE_STRING;

    if (i < 0) {
        return imx_directive_wrong(cmd, type, "int, float, string or bool");
    }
    return imx_own_add(cmd, &((imx_schema_dir_t *)dir)->own_fields, name,
                       (imx_type_e)i, expr);
}

const char *imx_schema_set_enabled(cmd_parms *cmd, void *dir, int on)
{
    imx_schema_dir_t *d = dir;
    const char *err = imx_directive_not_htaccess(cmd);

    if (err == NULL) {
        places_on += on
                     - (d->enabled == 1); /* a line before may have said On */
        d->enabled = on;
    }
    return err;
}

const char *imx_schema_check_measurement(cmd_parms *cmd, const char *name)
{
    char text[2 * MEASUREMENT_MAX]; /* every byte may need an escape */
    imx_lineproto_t lp;

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
    return NULL;
}

const char *imx_schema_set_measurement(cmd_parms *cmd, void *dir,
                                       const char *name)
{
    const char *err = imx_directive_only_server(cmd);

    if (err == NULL) {
        err = imx_schema_check_measurement(cmd, name);
    }
    if (err == NULL && imx_names_is_of_intervals(name)) {
        err = imx_directive_wrong(cmd, name,
                                  "another name: this server writes something "
                                  "else to that measurement");
    }
    if (err == NULL) {
        imx_schema_server(cmd->server)->measurement = name;
    }
    return err;
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

/* Has the pattern been written where the name belongs?  No name begins or ends
 * as a pattern does by accident.  A name that begins with a slash may be meant;
 * it is worth a warning if what is said to be the pattern has none. */
static const char *check_exchanged(cmd_parms *cmd, const char *name,
                                   const char *regex)
{
    if (*name == '^' || name[strlen(name) - 1] == '$') {
        return imx_directive_wrong(cmd, name,
                                   "a name, and the regular expression comes "
                                   "behind it: InfluxMetricsRoute NAME REGEX");
    }
    if (*name == '/' && strpbrk(regex, "/^$\\.*[(") == NULL) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cmd->server,
                     IMX_LOGNO(91) "InfluxMetricsRoute: \"%.100s\" is the "
                     "name of the route and \"%.100s\" the regular "
                     "expression; are they exchanged?", name, regex);
    }
    return NULL;
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
        || imx_words_has_control(name)) {
        return imx_directive_wrong(cmd, name,
                                   "a name of 1 to 255 bytes without control "
                                   "characters");
    }
    err = check_exchanged(cmd, name, regex);
    if (err != NULL) {
        return err;
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
    if (strncmp(expr, "expr=", 5) == 0) { /* as CustomLog wants it */
        return imx_directive_wrong(cmd, expr,
                                   "an expression without \"expr=\"");
    }
    return imx_own_compile(cmd, expr, 0,
                           &((imx_schema_dir_t *)dir)->condition);
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
    allowed =
        "slow=TIME with a time from 1ms to 24h and its unit, such as "
        "slow=500ms or slow=2s";
    /* A number alone would be seconds, and who writes 500 means ms. */
    err = apr_isdigit(word[strlen(word) - 1])
              ? allowed
              : imx_directive_time(cmd, word + 5, 1, 24 * 3600 * 1000, allowed,
                                   &ms);
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
    if (!imx_typed_is_float(rate, &sample.rate) || !(sample.rate >= 0)
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

/* "99.9" or "99.9%" */
static const char *set_percent(cmd_parms *cmd, const char *text,
                               double *percent)
{
    apr_size_t len = strlen(text);
    const char *number =
        apr_pstrmemdup(cmd->temp_pool, text,
                       len - (len > 0 && text[len - 1] == '%'));

    if (!imx_typed_is_float(number, percent) || !(*percent > 0)
        || *percent >= 100) {
        return imx_directive_wrong(cmd, text,
                                   "a percentage above 0 and below 100, such "
                                   "as 99.9");
    }
    return NULL;
}

const char *imx_schema_set_objective(cmd_parms *cmd, void *dir,
                                     const char *time, const char *percent)
{
    static const char allowed[] =
        "a time from 1ms to 24h and its unit, such as 500ms, or none";
    const char *err = imx_directive_not_htaccess(cmd);
    imx_objective_t objective = { 0, 0 };
    int ms = 0;

    if (err != NULL) {
        return err;
    }
    if (percent == NULL) {
        err = ap_cstr_casecmp(time, "none") == 0
                  ? NULL
                  : apr_psprintf(cmd->pool,
                                 "%s: a time and a percentage are "
                                 "needed, or none",
                                 cmd->cmd->name);
    }
    else {
        /* A number alone would be seconds, and who writes 500 means ms. */
        err = *time != '\0' && apr_isdigit(time[strlen(time) - 1])
                  ? imx_directive_wrong(cmd, time, allowed)
                  : imx_directive_time(cmd, time, 1, 24 * 3600 * 1000, allowed,
                                       &ms);
    }
    if (err == NULL && percent != NULL) {
        err = set_percent(cmd, percent, &objective.percent);
    }
    objective.ns = ms * APR_INT64_C(1000000);
    ((imx_schema_dir_t *)dir)->objective = objective;
    if (cmd->path != NULL) { /* in a section: the page is to know of it */
        imx_objective_join(&imx_schema_server(cmd->server)->placed,
                           &objective);
    }
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
    d->changes_headers = d;
    return NULL;
}

const char *imx_schema_set_server_timing(cmd_parms *cmd, void *dir, int on)
{
    imx_schema_dir_t *d = dir;

    d->server_timing = on;
    d->changes_headers = on || d->unset_headers != NULL ? d : NULL;
    return imx_directive_not_htaccess(cmd);
}
