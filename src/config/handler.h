/*
 * handler.h: who may switch on a handler of this module: the configuration, by
 * SetHandler, and nobody who may only write .htaccess files.
 */
#ifndef IMX_HANDLER_H
#define IMX_HANDLER_H

#include "httpd.h"
#include "http_config.h"

#include "config/schema.h"

#define IMX_HANDLER_PAGE "influx-metrics"
#define IMX_HANDLER_WRITE "influx-metrics-write"

/* The parent, when hooks are registered: what answers for our handlers.  It
 * becomes a hook when the configuration first names one of them. */
void imx_handler_offer(ap_HOOK_handler_t *handler);

/* Setter of SetHandler, which the core carries out: notes in dir, a directory's
 * imx_schema_dir_t, that the handler stands in the configuration.  The parent
 * while it reads the configuration; any thread of a child for .htaccess. */
const char *imx_handler_see(cmd_parms *cmd, void *dir, const char *handler);

/* Does SetHandler in the configuration give this request its handler, one of
 * this module?  Logs the first one of a child that it does not.  Any thread. */
int imx_handler_is_set(request_rec *r);

/* Does SetHandler in the configuration name one of this module for requests
 * that end in dir? */
int imx_handler_is_ours(const imx_schema_dir_t *dir);

#endif
