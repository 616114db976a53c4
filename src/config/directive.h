/*
 * directive.h: what the setters of all directives share: where a directive may
 * stand, the sentence about a wrong value, times and sizes.
 * The parent's only thread, while it reads the configuration.  A sentence that
 * is returned lives in the pool of cmd; NULL means that all is well.
 */
#ifndef IMX_DIRECTIVE_H
#define IMX_DIRECTIVE_H

#include "httpd.h"
#include "http_config.h"

/* "DIRECTIVE: "VALUE" is not allowed here, it must be ALLOWED". */
const char *imx_directive_wrong(cmd_parms *cmd, const char *value,
                                const char *allowed);

/* A directive for the whole server, one for a server or virtual host, one that
 * may stand in directory sections too; none may stand in .htaccess files.  None
 * may have a ${NAME} in it that httpd has no value for. */
const char *imx_directive_only_main(cmd_parms *cmd);
const char *imx_directive_only_server(cmd_parms *cmd);
const char *imx_directive_not_htaccess(cmd_parms *cmd);

/* One of the names (n of them), in any case; its number.  allowed: the names,
 * for the sentence. */
const char *imx_directive_choice(cmd_parms *cmd, const char *value,
                                 const char *const *names, int n,
                                 const char *allowed, int *number);

/* A time between least and most ms, in httpd's notation: a whole number, and
 * ms, s, min or h behind it, or seconds. */
const char *imx_directive_time(cmd_parms *cmd, const char *value, int least,
                               int most, const char *allowed, int *ms);

/* A whole number with an optional K, M or G. */
const char *imx_directive_size(cmd_parms *cmd, const char *value,
                               apr_off_t least, apr_off_t most,
                               const char *allowed, apr_size_t *size);

#endif
