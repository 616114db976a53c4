/*
 * handler.c owns the question who may switch on a handler of this module.
 * Entered by the parent while it reads the configuration, and by any thread
 * that serves a request.
 * Nothing survives a child but what stands in the configuration.
 *
 * In .htaccess files SetHandler, AddHandler and rules of mod_rewrite can set
 * any handler where AllowOverride has FileInfo, which many hosts give to their
 * customers.  So it is not asked what set the handler of a request, but whether
 * SetHandler of the configuration says the same.
 */
#include "config/handler.h"

#include "http_log.h"

#include "base/log.h"

#include <stdatomic.h>

APLOG_USE_MODULE(influx_metrics);

static const char *const ours[] = { IMX_HANDLER_PAGE, IMX_HANDLER_WRITE };
#define TAKES_POINTS 1

static ap_HOOK_handler_t *offered; /* NULL: it is a hook already */

void imx_handler_offer(ap_HOOK_handler_t *handler)
{
    offered = handler;
}

/* httpd sorts its hooks once more when it has read the configuration.  A hook
 * costs each request something, also where it has nothing to do. */
static void hook(void)
{
    if (offered != NULL) {
        ap_hook_handler(offered, NULL, NULL, APR_HOOK_MIDDLE);
        offered = NULL;
    }
}

const char *imx_handler_see(cmd_parms *cmd, void *dir, const char *handler)
{
    imx_schema_dir_t *d = dir;
    apr_size_t i;

    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL) {
        return NULL;
    }
    d->handler = "";
    for (i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (ap_cstr_casecmp(handler, ours[i]) == 0) {
            d->handler = ours[i];
            hook();
            if (i == TAKES_POINTS) {
                imx_schema_use();
            }
        }
    }
    return NULL;
}

int imx_handler_is_ours(const imx_schema_dir_t *dir)
{
    return dir->handler != NULL && *dir->handler != '\0';
}

int imx_handler_is_set(request_rec *r)
{
    static _Atomic int was_said;
    const char *set = imx_schema_dir(r->per_dir_config)->handler;

    if (set != NULL && strcmp(set, r->handler) == 0) {
        return 1;
    }
    if (atomic_exchange(&was_said, 1) == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, IMX_LOGNO(61) "the "
                      "handler %s was asked for at %s, but not by SetHandler "
                      "in httpd's configuration: refused", r->handler, r->uri);
    }
    return 0;
}
