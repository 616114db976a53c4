/*
 * options.c owns what a monitor is told, in a child and in the parent's helper.
 * Entered by any process's main thread; what the monitor logs comes through
 * here on the monitor's thread.
 * Nothing survives the process.
 */
#include "server/options.h"

#include "http_log.h"

#include "config/config.h"
#include "intake/query.h"
#include "report/error_log.h"
#include "report/schedule.h"
#include "server/runtime.h"
#include "server/spool_place.h"

APLOG_USE_MODULE(influx_metrics);

static void log_text(void *context, imx_log_level_e level, const char *text)
{
    static const int levels[] = { APLOG_ERR, APLOG_WARNING, APLOG_NOTICE,
                                  APLOG_INFO, APLOG_DEBUG };
    server_rec *s = context;

    if (APLOG_IS_LEVEL(s, levels[level]) && imx_error_log_takes(s)) {
        ap_log_error(APLOG_MARK, levels[level], 0, s, "%s", text);
    }
}

static void report(void *schedule)
{
    imx_schedule_step(schedule);
    imx_query_step();
}

imx_monitor_options_t imx_options_get(server_rec *s, imx_batch_child_t *child)
{
    const imx_config_t *conf = imx_config_global();
    imx_monitor_options_t o = {
        .arena = imx_runtime_arena(),
        .child = child,
        .influx = conf->influx,
        .create_database = conf->create_database,
        .interval_ms = conf->interval_ms,
        .shutdown_ms = conf->shutdown_ms,
        .max_bytes = conf->max_body,
        .max_lines = conf->max_lines,
        .spool_dir = conf->spool_dir,
        .spool_note = imx_spool_place_note(),
        .spool_max = conf->spool_max,
        .report = report,
        .report_end = imx_schedule_end,
        .log = log_text,
        .log_context = s
    };

    o.report_context = imx_schedule_use(child, o.arena, conf->hostname,
                                        o.influx.url);
    imx_spool_place_before(o.spool_before);
    return o;
}
