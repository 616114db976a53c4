/*
 * check.h: what no single directive can see: directives that need or exclude
 * each other, and whether the files that they name can be used by those who
 * will read them.
 * The parent's only thread, when it has read the configuration.
 */
#ifndef IMX_CHECK_H
#define IMX_CHECK_H

#include "httpd.h"

/* Hook check_config, also run by httpd -t: fills in what the other directives
 * decide, and logs one sentence and returns HTTP_INTERNAL_SERVER_ERROR when
 * httpd must not start.  It waits for a disk for at most a second. */
int imx_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *s);

/* For the hook post_config: the secrets that stood in the environment; else the
 * same. */
int imx_check_secrets(server_rec *s);

/* Does the site serve already?  What would stop a start must not end it.  (A
 * start reads its files twice: these are generation 0 and 1.) */
int imx_check_is_restart(void);

#endif
