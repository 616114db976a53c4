/*
 * directive.c owns the words of a refused value, and the parsers that more
 * than one directive needs.
 * Entered by the parent's only thread while it reads the configuration.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/directive.h"

#include "apr_strings.h"

const char *imx_directive_wrong(cmd_parms *cmd, const char *value,
                                const char *allowed)
{
    return apr_psprintf(cmd->pool,
                        "%s: \"%.100s%s\" is not allowed here, it "
                        "must be %s",
                        cmd->cmd->name, value,
                        strlen(value) > 100 ? "..." : "", allowed);
}

/* httpd's own sentence does not name the directive. */
static const char *refuse_in(cmd_parms *cmd, unsigned where,
                             const char *sentence)
{
    return ap_check_cmd_context(cmd, where) != NULL
               ? apr_pstrcat(cmd->pool, cmd->cmd->name, sentence, NULL)
               : NULL;
}

/* httpd would take it for all methods, in silence. */
static const char *refuse_limit(cmd_parms *cmd)
{
    return cmd->limited != -1
               ? apr_pstrcat(cmd->pool, cmd->cmd->name,
                             " cannot stand in <Limit> or <LimitExcept>, as it "
                             "would count for all methods: use <If "
                             "\"%{REQUEST_METHOD} == 'POST'\">",
                             NULL)
               : NULL;
}

/* httpd leaves ${NAME} as it is, with a warning, when it knows no value.  In a
 * regular expression a backslash before the $ makes it text. */
static const char *refuse_undefined(cmd_parms *cmd)
{
    const char *args = cmd->directive != NULL ? cmd->directive->args : NULL;
    const char *from = args != NULL ? strstr(args, "${") : NULL;
    const char *to = from != NULL ? strchr(from, '}') : NULL;

    if (to == NULL || (from > args && from[-1] == '\\')) {
        return NULL;
    }
    return apr_psprintf(cmd->pool,
                        "%s: %.*s has no value: there is no Define and no "
                        "variable in httpd's environment with that name",
                        cmd->cmd->name, (int)(to - from + 1), from);
}

static const char *refuse(cmd_parms *cmd, unsigned where, const char *sentence)
{
    const char *err = refuse_in(cmd, where, sentence);

    err = err != NULL ? err : refuse_limit(cmd);
    return err != NULL ? err : refuse_undefined(cmd);
}

const char *imx_directive_only_main(cmd_parms *cmd)
{
    return refuse(cmd, GLOBAL_ONLY,
                  " holds for the whole server and must stand outside of "
                  "<VirtualHost> and directory sections");
}

const char *imx_directive_only_server(cmd_parms *cmd)
{
    return refuse(cmd, NOT_IN_DIR_CONTEXT,
                  " holds for a server or virtual host and must stand "
                  "outside of directory sections");
}

/* AllowOverrideList would allow it there, when it is too late. */
const char *imx_directive_not_htaccess(cmd_parms *cmd)
{
    return refuse(cmd, NOT_IN_HTACCESS, " cannot stand in .htaccess files");
}

const char *imx_directive_choice(cmd_parms *cmd, const char *value,
                                 const char *const *names, int n,
                                 const char *allowed, int *number)
{
    int i;

    for (i = 0; i < n; i++) {
        if (ap_cstr_casecmp(value, names[i]) == 0) {
            *number = i;
            return NULL;
        }
    }
    return imx_directive_wrong(cmd, value, allowed);
}

/* httpd's parser looks at the first letters of the unit only: "10sheep" would
 * be 10 s. */
static int has_whole_unit(const char *value)
{
    static const char *const units[] = { "", "ms", "s", "mi", "min", "h" };
    const char *unit = value + strspn(value, "0123456789");
    apr_size_t i;

    for (i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i]) == 0) {
            return unit != value;
        }
    }
    return 0;
}

const char *imx_directive_time(cmd_parms *cmd, const char *value, int least,
                               int most, const char *allowed, int *ms)
{
    apr_interval_time_t t;

    if (!has_whole_unit(value)
        || ap_timeout_parameter_parse(value, &t, "s") != APR_SUCCESS
        || t < apr_time_from_msec(least) || t > apr_time_from_msec(most)) {
        return imx_directive_wrong(cmd, value, allowed);
    }
    *ms = (int)apr_time_as_msec(t);
    return NULL;
}

const char *imx_directive_size(cmd_parms *cmd, const char *value,
                               apr_off_t least, apr_off_t most,
                               const char *allowed, apr_size_t *size)
{
    static const char units[] = "KMG";
    apr_off_t n;
    char *end;
    const char *unit;
    int shift;

    if (*value < '0' || *value > '9'
        || apr_strtoff(&n, value, &end, 10) != APR_SUCCESS) {
        return imx_directive_wrong(cmd, value, allowed);
    }
    if (*end != '\0') {
        unit = *end != ' ' ? strchr(units, *end & ~0x20) : NULL;
        shift = unit != NULL ? 10 * (int)(unit - units + 1) : 0;
        if (unit == NULL || end[1] != '\0' || n > most >> shift) {
            return imx_directive_wrong(cmd, value, allowed);
        }
        n <<= shift;
    }
    if (n < least || n > most) {
        return imx_directive_wrong(cmd, value, allowed);
    }
    *size = (apr_size_t)n;
    return NULL;
}
