/*
 * config.c owns the directives about delivery, and the table of all directives.
 * Entered by the parent's only thread while it reads the configuration.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/config.h"

#include "apr_strings.h"
#include "apr_uri.h"
#include "http_log.h"

#include "base/log.h"
#include "base/words.h"
#include "config/directive.h"
#include "config/environment.h"
#include "config/handler.h"
#include "config/queries.h"
#include "config/reporting.h"
#include "config/schema.h"

/* httpd fixes the parameters of hooks and setters. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

#define WRITE_LINES 5000 /* that an application may write at once */

static imx_config_t global;

const imx_config_t *imx_config_global(void)
{
    return &global;
}

imx_config_t *imx_config_to_settle(void)
{
    return &global;
}

int imx_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    static const imx_config_t defaults = {
        .influx = { .url = "http://127.0.0.1:8086",
                    .connect_timeout_ms = 2000,
                    .total_timeout_ms = 10000 },
        .create_database = 1,
        .gzip = IMX_UNSET,
        .interval_ms = 1000,
        .shutdown_ms = 2000,
        .buffer_size = 32 * 1024 * 1024,
        .write_most = 1024 * 1024,
        .write_lines = WRITE_LINES
    };

    global = defaults;
    imx_schema_reset(pconf);
    imx_reporting_reset();
    imx_queries_reset(pconf);
    return OK;
}

/* ---- values ---- */

/* A text for the whole server, stored where cmd->info says. */
static const char *set_name(cmd_parms *cmd, void *config, const char *value)
{
    const char *err = imx_directive_only_main(cmd);

    if (err != NULL) {
        return err;
    }
    if (*value == '\0' || imx_words_has_control(value)) {
        return imx_directive_wrong(cmd, value,
                                   "a name without control characters");
    }
    *(const char **)cmd->info = value;
    return NULL;
}

/* Perhaps it is the secret itself, as of `${INFLUX_TOKEN}`. */
static const char *refuse_unseen(cmd_parms *cmd, const char *allowed)
{
    return apr_pstrcat(cmd->pool, cmd->cmd->name,
                       ": what stands there, which may be a secret and is "
                       "not shown, is not allowed, it must be ",
                       allowed, NULL);
}

/* A file, one of those that cmd->info names.  Nobody looks at it here: its disk
 * may hang, and who will have to read it is not known yet.  See check.c. */
static const char *set_file(cmd_parms *cmd, void *config, const char *value)
{
    static const char *const contents[] = {
        "the secret as its first line", "the secret as its first line",
        "certificates in PEM form", "certificates in PEM form",
        "a private key in PEM form"
    };
    apr_size_t i = (apr_size_t)cmd->info;
    const char *err = imx_directive_only_main(cmd);
    imx_config_file_t *file = &global.files[i];

    if (err != NULL) {
        return err;
    }
    file->path = ap_server_root_relative(cmd->pool, value);
    if (*value == '\0' || imx_words_has_control(value) || file->path == NULL) {
        const char *allowed = apr_pstrcat(cmd->pool, "a file with ",
                                          contents[i], NULL);

        return i == IMX_FILE_TOKEN || i == IMX_FILE_PASSWORD
                   ? refuse_unseen(cmd, allowed)
                   : imx_directive_wrong(cmd, value, allowed);
    }
    file->directive = cmd->cmd->name;
    file->conf = cmd->directive->filename;
    file->line = cmd->directive->line_num;
    file->content = contents[i];
    file->is_secret = i != IMX_FILE_CA && i != IMX_FILE_CERTIFICATE;
    file->is_absolute = *value == '/';
    return NULL;
}

/* The name of a variable, stored where cmd->info says.  Its value is taken at
 * once, before anything is executed.  That it is missing is said later: who
 * only sends httpd a signal reads the configuration, too. */
static const char *set_env(cmd_parms *cmd, void *config, const char *value)
{
    const char *err = imx_directive_only_main(cmd);

    if (err != NULL) {
        return err;
    }
    if (!imx_environment_is_name(value)) {
        return refuse_unseen(cmd,
                             "the name of an environment variable, of "
                             "letters, digits and _");
    }
    *(const char **)cmd->info = value;
    imx_environment_take(value);
    return NULL;
}

static const char *set_bool(cmd_parms *cmd, void *config, int on)
{
    const char *err = imx_directive_only_main(cmd);

    if (err == NULL) {
        *(int *)cmd->info = on;
    }
    return err;
}

/* ---- directives ---- */

#define URL_FORM \
    "http://HOST[:PORT][/PATH], https://HOST[:PORT][/PATH] or " \
    "unix:/SOCKET|http://HOST[/PATH]"

static const char *without_last_slash(apr_pool_t *p, const char *url)
{
    apr_size_t n = strlen(url);

    return n > 0 && url[n - 1] == '/' ? apr_pstrndup(p, url, n - 1) : url;
}

/* A host name or an address; apr_uri_parse() takes anything. */
static int is_host(const char *host)
{
    return host != NULL && *host != '\0'
           && host[strspn(host,
                          "abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          "0123456789.-_:%")]
                  == '\0';
}

static int is_port(const char *port)
{
    return port == NULL
           || (port[strspn(port, "0123456789")] == '\0' && atol(port) >= 1
               && atol(port) <= 65535);
}

static const char *refuse_user(cmd_parms *cmd)
{
    return apr_pstrcat(cmd->pool, cmd->cmd->name,
                       ": the URL must not have a user or password, use "
                       "InfluxMetricsUser and InfluxMetricsPasswordFile",
                       NULL);
}

/* What may have a password in it is not repeated, whatever is wrong with it:
 * the sentence can go to the log. */
static const char *wrong_url(cmd_parms *cmd, const char *value)
{
    return strchr(value, '@') != NULL
               ? refuse_user(cmd)
               : imx_directive_wrong(cmd, value, URL_FORM);
}

/* url: without the socket. */
static const char *check_url(cmd_parms *cmd, const char *value,
                             const char *url, int is_socket)
{
    apr_uri_t uri;

    if (imx_words_has_control(value) || strchr(value, ' ') != NULL
        || apr_uri_parse(cmd->pool, url, &uri) != APR_SUCCESS
        || uri.scheme == NULL || !is_host(uri.hostname)
        || !is_port(uri.port_str) || uri.query != NULL || uri.fragment != NULL
        || (strcmp(uri.scheme, "http") != 0
            && (strcmp(uri.scheme, "https") != 0 || is_socket))) {
        return wrong_url(cmd, value);
    }
    return uri.user != NULL || uri.password != NULL ? refuse_user(cmd) : NULL;
}

static const char *set_server(cmd_parms *cmd, void *config, const char *value)
{
    const char *err = imx_directive_only_main(cmd);
    const char *url = value, *path = NULL;

    if (err != NULL) {
        return err;
    }
    if (strncmp(value, "unix:", 5) == 0) {
        url = strchr(value, '|');
        if (url == NULL || value[5] != '/' || url - value > 100) {
            return wrong_url(cmd, value);
        }
        path = apr_pstrndup(cmd->pool, value + 5,
                            (apr_size_t)(url - value - 5));
        url++;
    }
    err = check_url(cmd, value, url, path != NULL);
    if (err == NULL) {
        global.influx.url = without_last_slash(cmd->pool, url);
        global.influx.unix_socket = path;
    }
    return err;
}

static const char *set_database(cmd_parms *cmd, void *config, const char *name,
                                const char *policy)
{
    const char *err = set_name(cmd, config, name);

    if (err != NULL) {
        return err;
    }
    if (policy != NULL && (*policy == '\0' || imx_words_has_control(policy))) {
        return imx_directive_wrong(cmd, policy,
                                   "a retention policy's name without control "
                                   "characters");
    }
    global.influx.retention_policy = policy;
    return NULL;
}

static const char *set_bucket(cmd_parms *cmd, void *config, const char *org,
                              const char *bucket)
{
    const char *err = set_name(cmd, config, org);

    if (err != NULL) {
        return err;
    }
    if (*bucket == '\0' || imx_words_has_control(bucket)) {
        return imx_directive_wrong(cmd, bucket,
                                   "a bucket's name without control "
                                   "characters");
    }
    global.influx.bucket = bucket;
    return NULL;
}

static const char *set_api(cmd_parms *cmd, void *config, const char *value)
{
    static const char *const names[] = { "auto", "v1", "v2", "v3" };
    const char *err = imx_directive_only_main(cmd);
    int i = 0;

    if (err == NULL) {
        err = imx_directive_choice(cmd, value, names, 4, "auto, v1, v2 or v3",
                                   &i);
    }
    if (err == NULL) {
        global.influx.api = (imx_influx_api_e)i; /* 0: check.c decides */
    }
    return err;
}

static const char *set_gzip(cmd_parms *cmd, void *config, const char *value)
{
    static const char *const names[] = { "auto", "off", "on" };
    const char *err = imx_directive_only_main(cmd);
    int i = 0;

    if (err == NULL) {
        err = imx_directive_choice(cmd, value, names, 3, "auto, on or off",
                                   &i);
    }
    if (err == NULL) {
        global.gzip = i - 1;
    }
    return err;
}

static const char *set_interval(cmd_parms *cmd, void *config,
                                const char *value)
{
    const char *err = imx_directive_only_main(cmd);

    return err ? err
               : imx_directive_time(cmd, value, 100, 24 * 3600 * 1000,
                                    "a time from 100ms to 24h, such as "
                                    "500ms, 2s or 5min",
                                    &global.interval_ms);
}

static const char *set_timeout(cmd_parms *cmd, void *config,
                               const char *connect, const char *total)
{
    static const char allowed[] =
        "a time from 1ms to 10min, such as 500ms, 2s "
        "or 5min";
    const char *err = imx_directive_only_main(cmd);

    if (err == NULL) {
        err = imx_directive_time(cmd, connect, 1, 600000, allowed,
                                 &global.influx.connect_timeout_ms);
    }
    if (err == NULL) {
        err = imx_directive_time(cmd, total, 1, 600000, allowed,
                                 &global.influx.total_timeout_ms);
    }
    if (err == NULL
        && global.influx.total_timeout_ms < global.influx.connect_timeout_ms) {
        err = imx_directive_wrong(cmd, total,
                                  "a total time that is not shorter than the "
                                  "time to connect");
    }
    return err;
}

/* httpd kills a child that needs 9 s to stop, and warns from 3 s on
 * (mpm_unix.c). */
static const char *set_shutdown(cmd_parms *cmd, void *config,
                                const char *value)
{
    const char *err = imx_directive_only_main(cmd);

    if (err == NULL) {
        err = imx_directive_time(cmd, value, 0, 8000,
                                 "a time from 0 to 8s, such as 500ms or 2s, as "
                                 "httpd kills children that take longer to "
                                 "stop",
                                 &global.shutdown_ms);
    }
    if (err == NULL && global.shutdown_ms >= 3000) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cmd->server, IMX_LOGNO(11)
                     "%s: httpd warns of children that take 3s or longer to "
                     "stop", cmd->cmd->name);
    }
    return err;
}

static const char *set_buffer_size(cmd_parms *cmd, void *config,
                                   const char *value)
{
    const char *err = imx_directive_only_main(cmd);

    return err ? err
               : imx_directive_size(cmd, value, 1 << 20, (apr_off_t)16 << 30,
                                    "a size from 1M to 16G, such as 32M or 2G",
                                    &global.buffer_size);
}

static const char *set_write_limit(cmd_parms *cmd, void *config,
                                   const char *size, const char *lines)
{
    const char *err = imx_directive_only_main(cmd);

    if (err == NULL) {
        err = imx_directive_size(cmd, size, 1 << 10, 8 << 20,
                                 "a size from 1K to 8M, such as 512K or 2M",
                                 &global.write_most);
    }
    global.write_lines = WRITE_LINES; /* whatever a line before said */
    if (err == NULL && lines != NULL) {
        err = imx_directive_size(cmd, lines, 1, 100000,
                                 "a number of lines from 1 to 100000",
                                 &global.write_lines);
    }
    return err;
}

static const char *set_max_body(cmd_parms *cmd, void *config, const char *size,
                                const char *lines)
{
    const char *err = imx_directive_only_main(cmd);

    if (err == NULL) {
        err = imx_directive_size(cmd, size, 16 << 10, 256 << 20,
                                 "a size from 16K to 256M, such as 512K or 4M",
                                 &global.max_body);
    }
    global.max_lines = 0; /* whatever a line before said */
    if (err == NULL && lines != NULL) {
        err = imx_directive_size(cmd, lines, 1, 1000000,
                                 "a number of lines from 1 to 1000000",
                                 &global.max_lines);
    }
    return err;
}

/* Does it look like the MAX-SIZE of a spool whose directory is missing? */
static int is_like_a_size(const char *value)
{
    apr_size_t n = strspn(value, "0123456789");

    return n > 0
           && (value[n] == '\0'
               || (strchr("KMGTkmgt", value[n]) != NULL
                   && (value[n + 1] == '\0' || strlen(value) == n + 2)));
}

/* It would be a directory of that name, below ServerRoot. */
static int is_like_a_switch(const char *value)
{
    return ap_cstr_casecmp(value, "on") == 0
           || ap_cstr_casecmp(value, "off") == 0
           || ap_cstr_casecmp(value, "none") == 0;
}

static const char *set_spool(cmd_parms *cmd, void *config, const char *value,
                             const char *size)
{
    const char *err = imx_directive_only_main(cmd);

    if (err != NULL) {
        return err;
    }
    global.spool_dir = ap_server_root_relative(cmd->pool, value);
    if (*value == '\0' || imx_words_has_control(value)
        || global.spool_dir == NULL || is_like_a_size(value)
        || is_like_a_switch(value)) {
        return imx_directive_wrong(cmd, value,
                                   "a directory, and its size may stand "
                                   "behind it: DIRECTORY 2G; without this "
                                   "directive there is no spool");
    }
    global.spool_max = 0; /* whatever a line before said */
    if (size != NULL) {
        err = imx_directive_size(cmd, size, 1 << 20, (apr_off_t)1 << 50,
                                 "a size of at least 1M, such as 100M or 2G",
                                 &global.spool_max);
    }
    return err;
}

static const char *set_process_tag(cmd_parms *cmd, void *config,
                                   const char *value)
{
    static const char *const names[] = { "slot", "pid", "off" };
    const char *err = imx_directive_only_main(cmd);
    int i = 0;

    if (err == NULL) {
        err = imx_directive_choice(cmd, value, names, 3, "slot, pid or off",
                                   &i);
    }
    if (err == NULL) {
        global.process_tag = (imx_process_tag_e)i;
    }
    return err;
}

/* What is often tried instead of the right directive.  The arguments may be a
 * secret: the sentence, cmd->info, does not repeat them. */
static const char *refuse_name(cmd_parms *cmd, void *config, const char *args)
{
    return apr_pstrcat(cmd->pool, cmd->cmd->name, cmd->info, NULL);
}

#define ANYWHERE (RSRC_CONF | ACCESS_CONF)

const command_rec imx_config_commands[] = {
    AP_INIT_FLAG("InfluxMetrics", imx_schema_set_enabled, NULL, ANYWHERE,
                 "On or Off: whether requests are recorded"),
    AP_INIT_TAKE1("InfluxMetricsServer", set_server, NULL, RSRC_CONF,
                  "where InfluxDB is: " URL_FORM),
    AP_INIT_TAKE12("InfluxMetricsDatabase", set_database,
                   (void *)&global.influx.database, RSRC_CONF,
                   "the database, and its retention policy"),
    AP_INIT_TAKE2("InfluxMetricsBucket", set_bucket,
                  (void *)&global.influx.org, RSRC_CONF,
                  "organization and bucket of an InfluxDB 2"),
    AP_INIT_TAKE1("InfluxMetricsAPI", set_api, NULL, RSRC_CONF,
                  "auto, v1, v2 or v3"),
    AP_INIT_TAKE1("InfluxMetricsTokenFile", set_file, (void *)IMX_FILE_TOKEN,
                  RSRC_CONF, "a file with the token"),
    AP_INIT_TAKE1("InfluxMetricsTokenEnv", set_env, (void *)&global.env.token,
                  RSRC_CONF, "an environment variable with the token"),
    AP_INIT_TAKE1("InfluxMetricsUser", set_name, (void *)&global.influx.user,
                  RSRC_CONF, "a user of an InfluxDB 1"),
    AP_INIT_TAKE1("InfluxMetricsPasswordFile", set_file,
                  (void *)IMX_FILE_PASSWORD, RSRC_CONF,
                  "a file with the user's password"),
    AP_INIT_TAKE1("InfluxMetricsPasswordEnv", set_env,
                  (void *)&global.env.password, RSRC_CONF,
                  "an environment variable with the user's password"),
    AP_INIT_TAKE1("InfluxMetricsTLSCAFile", set_file, (void *)IMX_FILE_CA,
                  RSRC_CONF,
                  "a file with the CAs that InfluxDB's certificate may be of"),
    AP_INIT_TAKE1("InfluxMetricsTLSCertificateFile", set_file,
                  (void *)IMX_FILE_CERTIFICATE, RSRC_CONF,
                  "a file with the certificate to show to InfluxDB"),
    AP_INIT_TAKE1("InfluxMetricsTLSCertificateKeyFile", set_file,
                  (void *)IMX_FILE_KEY, RSRC_CONF,
                  "a file with the private key of that certificate"),
    AP_INIT_TAKE1("InfluxMetricsGzip", set_gzip, NULL, RSRC_CONF,
                  "auto, on or off: whether deliveries are compressed"),
    AP_INIT_FLAG("InfluxMetricsCreateDatabase", set_bool,
                 &global.create_database, RSRC_CONF,
                 "On or Off: whether a missing database is created"),
    AP_INIT_TAKE1("InfluxMetricsInterval", set_interval, NULL, RSRC_CONF,
                  "the time between two deliveries"),
    AP_INIT_TAKE2("InfluxMetricsTimeout", set_timeout, NULL, RSRC_CONF,
                  "the time to connect, and for a delivery in all"),
    AP_INIT_TAKE1("InfluxMetricsShutdownTimeout", set_shutdown, NULL,
                  RSRC_CONF, "the time for the last delivery at a stop"),
    AP_INIT_TAKE1("InfluxMetricsBufferSize", set_buffer_size, NULL, RSRC_CONF,
                  "the size of the buffer in shared memory"),
    AP_INIT_TAKE12("InfluxMetricsMaxBody", set_max_body, NULL, RSRC_CONF,
                   "the most bytes, and lines, of one delivery"),
    AP_INIT_TAKE12("InfluxMetricsSpool", set_spool, NULL, RSRC_CONF,
                   "a directory for points that InfluxDB does not take, and "
                   "its size"),
    AP_INIT_TAKE_ARGV("InfluxMetricsReport", imx_reporting_set_report, NULL,
                      RSRC_CONF,
                      "none, or which measurements of intervals are written, "
                      "and how often: requests=10s ..."),
    AP_INIT_FLAG("InfluxMetricsSlowPath", imx_reporting_set_slow_path, NULL,
                 RSRC_CONF,
                 "On or Off: whether the paths of slow requests are shown"),
    AP_INIT_TAKE_ARGV("InfluxMetricsBuckets", imx_reporting_set_buckets, NULL,
                      RSRC_CONF,
                      "8, 4, 2 or off: rows an octave of the histograms, and "
                      "their phases"),
    AP_INIT_TAKE1("InfluxMetricsMeasurement", imx_schema_set_measurement, NULL,
                  RSRC_CONF, "the measurement of the requests' points"),
    AP_INIT_TAKE_ARGV("InfluxMetricsTags", imx_schema_set_tags, NULL, ANYWHERE,
                      "the built-in tags, or changes with + and -"),
    AP_INIT_TAKE_ARGV("InfluxMetricsFields", imx_schema_set_fields, NULL,
                      ANYWHERE,
                      "the built-in fields, or changes with + and -"),
    AP_INIT_TAKE12("InfluxMetricsTag", imx_schema_set_tag, NULL, ANYWHERE,
                   "name and value, an expression, of a tag of one's own"),
    AP_INIT_TAKE13("InfluxMetricsField", imx_schema_set_field, NULL, ANYWHERE,
                   "name, type (int, float, string or bool) and value, an "
                   "expression, of a field of one's own"),
    AP_INIT_TAKE2("InfluxMetricsRoute", imx_schema_set_route, NULL, RSRC_CONF,
                  "a name, and a regular expression for the paths that "
                  "have it as the tag route"),
    AP_INIT_TAKE1("InfluxMetricsTagLimit", imx_schema_set_tag_limit, NULL,
                  RSRC_CONF,
                  "how many values a tag may have that a client can "
                  "influence"),
    AP_INIT_RAW_ARGS("InfluxMetricsIf", imx_schema_set_condition, NULL,
                     ANYWHERE, "an expression: which requests are recorded"),
    AP_INIT_TAKE123("InfluxMetricsSample", imx_schema_set_sample, NULL,
                    ANYWHERE,
                    "the part of the requests that is recorded, from 0 to "
                    "1; slow=TIME and errors: these always"),
    AP_INIT_TAKE12("InfluxMetricsObjective", imx_schema_set_objective, NULL,
                   ANYWHERE,
                   "a time, and the percentage of requests that are to be "
                   "answered in it"),
    AP_INIT_ITERATE("InfluxMetricsUnsetHeader", imx_schema_set_unset_header,
                    NULL, ANYWHERE,
                    "headers of the response that are for points only"),
    AP_INIT_FLAG("InfluxMetricsServerTiming", imx_schema_set_server_timing,
                 NULL, ANYWHERE,
                 "On or Off: whether responses have a header Server-Timing"),
    AP_INIT_TAKE12("InfluxMetricsWriteLimit", set_write_limit, NULL, RSRC_CONF,
                   "the most bytes, and lines, that an application may write "
                   "at once"),
    AP_INIT_FLAG("InfluxMetricsWriteTags", set_bool, &global.write_tags,
                 RSRC_CONF,
                 "On or Off: whether points of applications get this host's "
                 "tags"),
    AP_INIT_TAKE1("InfluxMetricsProcessTag", set_process_tag, NULL, RSRC_CONF,
                  "slot, pid or off: what the tag process has behind the host"),
    AP_INIT_RAW_ARGS("InfluxMetricsToken", refuse_name,
                     (void *)" does not exist, so that no secret stands in "
                             "httpd's configuration: put the token into a "
                             "file that only the server's user can read, and "
                             "name it with InfluxMetricsTokenFile",
                     ANYWHERE, "use InfluxMetricsTokenFile"),
    AP_INIT_RAW_ARGS("InfluxMetricsPassword", refuse_name,
                     (void *)" does not exist, so that no secret stands in "
                             "httpd's configuration: put the password into a "
                             "file that only the server's user can read, and "
                             "name it with InfluxMetricsPasswordFile",
                     ANYWHERE, "use InfluxMetricsPasswordFile"),
    AP_INIT_RAW_ARGS("InfluxMetricsTLSVerify", refuse_name,
                     (void *)" does not exist, as certificates are always "
                             "verified: for one that no authority of this "
                             "system has signed, name its authority, or the "
                             "certificate itself, with InfluxMetricsTLSCAFile",
                     ANYWHERE, "use InfluxMetricsTLSCAFile"),
    AP_INIT_TAKE3("InfluxMetricsQuery", imx_queries_set, NULL, RSRC_CONF,
                  "a measurement, how often, and a query in SQL whose rows "
                  "become its points"),
    /* httpd gives a directive to every module that has it in its table: the
     * ones from here on only look on.  mod_dbd opens databases, ... */
    AP_INIT_TAKE1("DBDriver", imx_queries_see_driver, NULL, RSRC_CONF,
                  "SQL Driver"),
    AP_INIT_TAKE1("DBDParams", imx_queries_see_params, NULL, RSRC_CONF,
                  "SQL Driver Params"),
    AP_INIT_TAKE1("DBDInitSQL", imx_queries_see_sql, NULL, RSRC_CONF,
                  "SQL statement to be executed after connection is created"),
    /* ... and the core sets the handler. */
    AP_INIT_TAKE1("SetHandler", imx_handler_see, NULL, OR_FILEINFO,
                  "a handler of mod_influx_metrics counts only where the "
                  "configuration sets it, not in .htaccess files"),
    { NULL, { NULL }, NULL, 0, NO_ARGS, NULL }
};

/* What the main server's tag says stands for the system's name: the points of
 * requests and the measurements of intervals are of one host. */
apr_status_t imx_config_find_host(apr_pool_t *pconf, server_rec *s)
{
    char *name = apr_palloc(pconf, APRMAXHOSTLEN + 1);
    apr_status_t rv;

    global.hostname = imx_own_host(
        imx_schema_dir(s->lookup_defaults)->own_tags);
    if (global.hostname != NULL) {
        return APR_SUCCESS;
    }
    rv = apr_gethostname(name, APRMAXHOSTLEN + 1, pconf);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(15) "this host's "
                     "name cannot be had");
        return rv;
    }
    global.hostname = name;
    return APR_SUCCESS;
}
