/*
 * mod_influx_metrics.c owns the module record, the order of the hooks, and
 * which handler answers a request.
 * Entered by the parent, when httpd loads the module, and by any thread that
 * serves a request.
 * Nothing survives a restart: httpd loads it again.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"

#include "config/check.h"
#include "config/config.h"
#include "config/handler.h"
#include "config/schema.h"
#include "intake/query.h"
#include "intake/write.h"
#include "record/marks.h"
#include "record/request.h"
#include "report/server_events.h"
#include "server/life.h"
#include "show/status.h"
#include "show/status_section.h"

/* httpd fixes the parameters of hooks. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

/* The only symbol that httpd looks for; all others are hidden (Makefile). */
extern module AP_MODULE_DECLARE_DATA influx_metrics_module
    __attribute__((visibility("default")));

__attribute__((noinline, cold)) static int serve_if_ours(request_rec *r)
{
    int is_page = strcmp(r->handler, IMX_HANDLER_PAGE) == 0;

    if (!is_page && strcmp(r->handler, IMX_HANDLER_WRITE) != 0) {
        return DECLINED;
    }
    if (!imx_handler_is_set(r)) {
        return HTTP_FORBIDDEN;
    }
    return is_page ? imx_status_serve(r) : imx_write_serve(r);
}

/* Where one of our handlers is configured, every request comes by here, once
 * for both: most need no call to know that they are of neither. */
static int handle(request_rec *r)
{
    return r->handler != NULL && r->handler[0] == IMX_HANDLER_PAGE[0]
               ? serve_if_ours(r)
               : DECLINED;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_pre_config(imx_config_reset, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(imx_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(imx_query_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(imx_life_post_config, NULL, NULL, APR_HOOK_MIDDLE);

    /* First, so that its clean-up of the child's pool runs last. */
    ap_hook_child_init(imx_life_child_init, NULL, NULL, APR_HOOK_REALLY_FIRST);
    /* Any time after it: it needs the child's slot. */
    ap_hook_child_init(imx_request_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(imx_write_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(imx_life_child_status, NULL, NULL, APR_HOOK_MIDDLE);

    /* Any time: it only reads by which signal a child was killed. */
    ap_hook_error_log(imx_server_events_read_log, NULL, NULL, APR_HOOK_MIDDLE);

    /* First: the next one may already read the body. */
    ap_hook_post_read_request(imx_request_post_read, NULL, NULL,
                              APR_HOOK_REALLY_FIRST);
    /* Last: what comes after it is the handler. */
    ap_hook_insert_filter(imx_marks_insert_filter, NULL, NULL,
                          APR_HOOK_REALLY_LAST);
    /* Before all others, which may break off: see there. */
    ap_hook_log_transaction(imx_marks_end, NULL, NULL,
                            APR_HOOK_REALLY_FIRST - 10);
    /* Last: time that other loggers take is part of the request. */
    ap_hook_log_transaction(imx_request_log, NULL, NULL, APR_HOOK_REALLY_LAST);
    /* For who has one of our handlers. */
    imx_handler_offer(handle);
    /* Any time: where mod_status is loaded, its page has a section of ours. */
    imx_status_section_register();
}

module AP_MODULE_DECLARE_DATA influx_metrics_module = {
    STANDARD20_MODULE_STUFF,  imx_schema_create_dir,   imx_schema_merge_dir,
    imx_schema_create_server, imx_schema_merge_server, imx_config_commands,
    register_hooks,           AP_MODULE_FLAG_NONE,
};
