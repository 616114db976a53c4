/*
 * reporting.c owns the directives about measurements that are not per request.
 * Entered by the parent's only thread while it reads the configuration.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/reporting.h"

#include "apr_strings.h"

#include "config/directive.h"

/* httpd fixes the parameters of setters. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define MS APR_INT64_C(1000000)
#define LEAST_MS 1000
#define MOST_MS 3600000

static imx_reporting_t reporting;

/* A measurement: its name in the directive, and how often it is written if
 * nothing is said. */
typedef struct {
    const char *name;
    int seconds;
} measurement_t;

static const measurement_t measurements[IMX_MEASURED] = {
    [IMX_MEASURED_REQUESTS] = { "requests", 10 },
    [IMX_MEASURED_BUCKETS] = { "buckets", 60 },
    [IMX_MEASURED_PROCESSES] = { "processes", 10 },
    [IMX_MEASURED_WORKERS] = { "workers", 10 },
    [IMX_MEASURED_SLOW] = { "slow", 1 },
    [IMX_MEASURED_SELF] = { "self", 10 },
    [IMX_MEASURED_PRESSURE] = { "pressure", 10 },
    [IMX_MEASURED_EVENTS] = { "events", 0 } /* when they happen */
};

static const char *const phases[IMX_REPORTING_PHASES] = { "request",
                                                          "application" };

static apr_int64_t usual_interval(int i)
{
    int seconds = measurements[i].seconds;

    return seconds > 0 ? seconds * 1000 * MS : 1;
}

void imx_reporting_reset(void)
{
    static const imx_reporting_t none;
    int i;

    reporting = none;
    for (i = 0; i < IMX_MEASURED; i++) {
        reporting.interval[i] = usual_interval(i);
    }
    reporting.buckets = 8;
    reporting.phases[IMX_REPORTING_REQUEST] = 1;
}

const imx_reporting_t *imx_reporting(void)
{
    return &reporting;
}

void imx_reporting_requests_only(void)
{
    int i;

    for (i = 0; i < IMX_MEASURED; i++) {
        if (i != IMX_MEASURED_REQUESTS && i != IMX_MEASURED_BUCKETS) {
            reporting.interval[i] = 0;
        }
    }
}

const char *imx_reporting_phase(imx_reporting_phase_e phase)
{
    return phases[phase];
}

/* ---- InfluxMetricsReport ---- */

/* The number of the measurement that word begins with, or -1; *value: what is
 * behind its '=', NULL: there is none. */
static int find(const char *word, const char **value)
{
    const char *equals = strchr(word, '=');
    apr_size_t len = equals ? (apr_size_t)(equals - word) : strlen(word);
    int i;

    *value = equals != NULL ? equals + 1 : NULL;
    for (i = 0; i < IMX_MEASURED; i++) {
        if (strlen(measurements[i].name) == len
            && ap_cstr_casecmpn(word, measurements[i].name, len) == 0) {
            return i;
        }
    }
    return -1;
}

static const char *wrong_interval(cmd_parms *cmd, const char *word, int i)
{
    return imx_directive_wrong(
        cmd, word,
        measurements[i].seconds > 0
            ? apr_psprintf(cmd->temp_pool,
                           "%s=TIME with whole seconds from 1s to 1h, such as "
                           "%s=%ds, or %s=off",
                           measurements[i].name, measurements[i].name,
                           measurements[i].seconds, measurements[i].name)
            : apr_psprintf(cmd->temp_pool, "%s or %s=off",
                           measurements[i].name, measurements[i].name));
}

static const char *set_one(cmd_parms *cmd, const char *word)
{
    const char *value;
    int i = find(word, &value), ms = 0;

    if (i < 0) {
        return imx_directive_wrong(cmd, word,
                                   "none, or NAME=TIME with one of the names "
                                   "requests, buckets, processes, workers, "
                                   "slow, self and pressure, or events or "
                                   "phases");
    }
    if (value == NULL) {
        reporting.interval[i] = usual_interval(i);
    }
    else if (ap_cstr_casecmp(value, "off") == 0) {
        reporting.interval[i] = 0;
    }
    else if (measurements[i].seconds == 0
             || imx_directive_time(cmd, value, LEAST_MS, MOST_MS, "", &ms)
                    != NULL
             || ms % 1000 != 0) {
        return wrong_interval(cmd, word, i);
    }
    else {
        reporting.interval[i] = ms * MS;
    }
    return NULL;
}

/* The word "phases" is no measurement, but says more of one. */
static int set_phases(const char *word)
{
    int is_on = ap_cstr_casecmp(word, "phases") == 0;

    if (!is_on && ap_cstr_casecmp(word, "phases=off") != 0) {
        return 0;
    }
    reporting.sums_phases = is_on;
    return 1;
}

/* Names that are not mentioned stay as they are: as usual, or off behind
 * none. */
const char *imx_reporting_set_report(cmd_parms *cmd, void *dir, int argc,
                                     char *const argv[])
{
    const char *err = imx_directive_only_main(cmd);
    int i;

    if (err == NULL && argc == 0) {
        err = apr_pstrcat(cmd->pool, cmd->cmd->name,
                          " needs none, or "
                          "NAME=TIME",
                          NULL);
    }
    for (i = 0; i < argc && err == NULL; i++) {
        if (ap_cstr_casecmp(argv[i], "none") == 0) {
            memset(reporting.interval, 0, sizeof reporting.interval);
            reporting.sums_phases = 0;
        }
        else if (!set_phases(argv[i])) {
            err = set_one(cmd, argv[i]);
        }
    }
    return err;
}

const char *imx_reporting_set_slow_path(cmd_parms *cmd, void *dir, int on)
{
    reporting.hides_paths = !on;
    return imx_directive_only_main(cmd);
}

/* ---- InfluxMetricsBuckets ---- */

static const char *set_phase(cmd_parms *cmd, const char *name)
{
    int i = 0;
    const char *err = imx_directive_choice(cmd, name, phases,
                                           IMX_REPORTING_PHASES,
                                           "request or application", &i);

    if (err == NULL) {
        reporting.phases[i] = 1;
    }
    return err;
}

const char *imx_reporting_set_buckets(cmd_parms *cmd, void *dir, int argc,
                                      char *const argv[])
{
    static const char *const names[] = { "off", "2", "4", "8" };
    static const unsigned rows[] = { 0, 2, 4, 8 };
    const char *err = imx_directive_only_main(cmd);
    int i = 0;

    if (err == NULL) {
        err = imx_directive_choice(cmd, argc > 0 ? argv[0] : "", names, 4,
                                   "8, 4, 2 or off, and phases may stand "
                                   "behind a number: 8 request application",
                                   &i);
    }
    if (err == NULL && i == 0 && argc > 1) {
        err = imx_directive_wrong(cmd, argv[1], "left away: off stands alone");
    }
    if (err == NULL) {
        reporting.buckets = rows[i];
        memset(reporting.phases, 0, sizeof reporting.phases);
        reporting.phases[IMX_REPORTING_REQUEST] = argc < 2;
    }
    for (i = 1; i < argc && err == NULL; i++) {
        err = set_phase(cmd, argv[i]);
    }
    return err;
}
