/*
 * config.c owns the directives: what may be written, its defaults and merges.
 * Entered by the parent's only thread while it reads the configuration.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/config.h"

#include "ap_mpm.h"
#include "apr_strings.h"
#include "apr_uri.h"
#include "http_log.h"
#include "unixd.h"

#include "config/directive.h"
#include "base/log.h"
#include "config/schema.h"

#include <errno.h>
#include <grp.h>
#include <arpa/inet.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* httpd fixes the parameters of hooks and setters. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

static imx_config_t global;

const imx_config_t *imx_config_global(void)
{
    return &global;
}

int imx_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    static const imx_config_t defaults = {
        .influx = { .url = "http://127.0.0.1:8086",
                    .database = "httpd",
                    .connect_timeout_ms = 2000,
                    .total_timeout_ms = 10000 },
        .create_database = 1,
        .gzip = IMX_UNSET,
        .interval_ms = 1000,
        .shutdown_ms = 2000,
        .buffer_size = 32 * 1024 * 1024,
        .max_body = 4 * 1024 * 1024,
        .max_lines = 10000
    };

    global = defaults;
    imx_schema_reset(pconf);
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
    if (*value == '\0' || imx_directive_has_control(value)) {
        return imx_directive_wrong(cmd, value,
                                   "a name without control characters");
    }
    *(const char **)cmd->info = value;
    return NULL;
}

/* A file that has what in it, stored where cmd->info says. */
static const char *set_file(cmd_parms *cmd, const char *value,
                            const char *what, struct stat *file)
{
    const char *err = imx_directive_only_main(cmd);
    const char *path;

    if (err != NULL) {
        return err;
    }
    path = ap_server_root_relative(cmd->pool, value);
    if (path == NULL || stat(path, file) != 0 || !S_ISREG(file->st_mode)
        || access(path, R_OK) != 0) {
        return imx_directive_wrong(cmd, value,
                                   apr_pstrcat(cmd->pool,
                                               "a file that can be "
                                               "read, with ",
                                               what, NULL));
    }
    if (file->st_size == 0) {
        return imx_directive_wrong(cmd, value,
                                   apr_pstrcat(cmd->pool,
                                               "a file that is not "
                                               "empty, with ",
                                               what, NULL));
    }
    *(const char **)cmd->info = path;
    return NULL;
}

/* The same, for what nobody else should know. */
static const char *set_private_file(cmd_parms *cmd, const char *value,
                                    const char *what)
{
    struct stat file;
    const char *err = set_file(cmd, value, what, &file);

    if (err == NULL && file.st_mode & S_IROTH) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cmd->server, IMX_LOGNO(10)
                     "%s: everyone on this host can read %s; make it readable "
                     "for the server's user only", cmd->cmd->name,
                     *(const char **)cmd->info);
    }
    return err;
}

static const char *set_secret_file(cmd_parms *cmd, void *config,
                                   const char *value)
{
    return set_private_file(cmd, value, "the secret as its first line");
}

static const char *set_key_file(cmd_parms *cmd, void *config,
                                const char *value)
{
    return set_private_file(cmd, value, "a private key in PEM form");
}

static const char *set_certificate_file(cmd_parms *cmd, void *config,
                                        const char *value)
{
    struct stat file;

    return set_file(cmd, value, "certificates in PEM form", &file);
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
    "http://HOST[:PORT], https://HOST[:PORT] or " \
    "unix:/SOCKET|http://HOST"

static const char *without_last_slash(apr_pool_t *p, const char *url)
{
    apr_size_t n = strlen(url);

    return n > 0 && url[n - 1] == '/' ? apr_pstrndup(p, url, n - 1) : url;
}

static const char *set_server(cmd_parms *cmd, void *config, const char *value)
{
    const char *err = imx_directive_only_main(cmd);
    const char *url = value, *path = NULL;
    apr_uri_t uri;

    if (err != NULL) {
        return err;
    }
    if (strncmp(value, "unix:", 5) == 0) {
        url = strchr(value, '|');
        if (url == NULL || value[5] != '/' || url - value > 100) {
            return imx_directive_wrong(cmd, value, URL_FORM);
        }
        path = apr_pstrndup(cmd->pool, value + 5,
                            (apr_size_t)(url - value - 5));
        url++;
    }
    if (imx_directive_has_control(value) || strchr(value, ' ') != NULL
        || apr_uri_parse(cmd->pool, url, &uri) != APR_SUCCESS
        || uri.scheme == NULL || uri.hostname == NULL || *uri.hostname == '\0'
        || (strcmp(uri.scheme, "http") != 0
            && (strcmp(uri.scheme, "https") != 0 || path != NULL))
        || uri.query != NULL || uri.fragment != NULL
        || (uri.port_str != NULL
            && (strspn(uri.port_str, "0123456789") != strlen(uri.port_str)
                || atol(uri.port_str) < 1 || atol(uri.port_str) > 65535))) {
        return imx_directive_wrong(cmd, value, URL_FORM);
    }
    if (uri.user != NULL || uri.password != NULL) {
        return apr_psprintf(cmd->pool,
                            "%s: the URL must not have a user or "
                            "password, use InfluxMetricsUser and "
                            "InfluxMetricsPasswordFile",
                            cmd->cmd->name);
    }
    global.influx.url = without_last_slash(cmd->pool, url);
    global.influx.unix_socket = path;
    return NULL;
}

static const char *set_database(cmd_parms *cmd, void *config, const char *name,
                                const char *policy)
{
    const char *err = set_name(cmd, config, name);

    if (err != NULL) {
        return err;
    }
    if (policy != NULL
        && (*policy == '\0' || imx_directive_has_control(policy))) {
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
    if (*bucket == '\0' || imx_directive_has_control(bucket)) {
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
    int i;

    if (err != NULL) {
        return err;
    }
    for (i = 0; i < 4; i++) {
        if (ap_cstr_casecmp(value, names[i]) == 0) {
            global.influx.api = (imx_influx_api_e)i; /* 0: decided later */
            return NULL;
        }
    }
    return imx_directive_wrong(cmd, value, "auto, v1, v2 or v3");
}

static const char *set_gzip(cmd_parms *cmd, void *config, const char *value)
{
    static const char *const names[] = { "auto", "off", "on" };
    const char *err = imx_directive_only_main(cmd);
    int i;

    if (err != NULL) {
        return err;
    }
    for (i = 0; i < 3; i++) {
        if (ap_cstr_casecmp(value, names[i]) == 0) {
            global.gzip = i - 1;
            return NULL;
        }
    }
    return imx_directive_wrong(cmd, value, "auto, on or off");
}

static const char *set_interval(cmd_parms *cmd, void *config,
                                const char *value)
{
    const char *err = imx_directive_only_main(cmd);

    return err ? err
               : imx_directive_time(cmd, value, 100, 24 * 3600 * 1000,
                                    "a time from 100ms to 24h",
                                    &global.interval_ms);
}

static const char *set_timeout(cmd_parms *cmd, void *config,
                               const char *connect, const char *total)
{
    static const char allowed[] = "a time from 1ms to 10min";
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
                                 "a time from 0 to 8s, as httpd "
                                 "kills children that take longer to stop",
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
                                    "a size from 1M to 16G",
                                    &global.buffer_size);
}

static const char *set_max_body(cmd_parms *cmd, void *config, const char *size,
                                const char *lines)
{
    const char *err = imx_directive_only_main(cmd);

    if (err == NULL) {
        err = imx_directive_size(cmd, size, 16 << 10, 256 << 20,
                                 "a size from 16K to 256M", &global.max_body);
    }
    if (err == NULL && lines != NULL) {
        err = imx_directive_size(cmd, lines, 1, 1000000,
                                 "a number of lines from 1 to 1000000",
                                 &global.max_lines);
    }
    return err;
}

static const char *set_spool(cmd_parms *cmd, void *config, const char *value,
                             const char *size)
{
    const char *err = imx_directive_only_main(cmd);

    if (err != NULL) {
        return err;
    }
    global.spool_dir = ap_server_root_relative(cmd->pool, value);
    if (*value == '\0' || imx_directive_has_control(value)
        || global.spool_dir == NULL) {
        return imx_directive_wrong(cmd, value, "a directory");
    }
    if (size != NULL) {
        err = imx_directive_size(cmd, size, 1 << 20, (apr_off_t)1 << 50,
                                 "a size of at least 1M", &global.spool_max);
    }
    return err;
}

static const char *set_process_tag(cmd_parms *cmd, void *config,
                                   const char *value)
{
    static const char *const names[] = { "slot", "pid", "off" };
    const char *err = imx_directive_only_main(cmd);
    int i;

    if (err != NULL) {
        return err;
    }
    for (i = 0; i < 3; i++) {
        if (ap_cstr_casecmp(value, names[i]) == 0) {
            global.process_tag = (imx_process_tag_e)i;
            return NULL;
        }
    }
    return imx_directive_wrong(cmd, value, "slot, pid or off");
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
    AP_INIT_TAKE1("InfluxMetricsTokenFile", set_secret_file,
                  (void *)&global.influx.token_file, RSRC_CONF,
                  "a file with the token"),
    AP_INIT_TAKE1("InfluxMetricsUser", set_name, (void *)&global.influx.user,
                  RSRC_CONF, "a user of an InfluxDB 1"),
    AP_INIT_TAKE1("InfluxMetricsPasswordFile", set_secret_file,
                  (void *)&global.influx.password_file, RSRC_CONF,
                  "a file with the user's password"),
    AP_INIT_TAKE1("InfluxMetricsTLSCAFile", set_certificate_file,
                  (void *)&global.influx.ca_file, RSRC_CONF,
                  "a file with the CAs that InfluxDB's certificate may be of"),
    AP_INIT_TAKE1("InfluxMetricsTLSCertificateFile", set_certificate_file,
                  (void *)&global.influx.certificate_file, RSRC_CONF,
                  "a file with the certificate to show to InfluxDB"),
    AP_INIT_TAKE1("InfluxMetricsTLSCertificateKeyFile", set_key_file,
                  (void *)&global.influx.key_file, RSRC_CONF,
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
    AP_INIT_ITERATE("InfluxMetricsUnsetHeader", imx_schema_set_unset_header,
                    NULL, ANYWHERE,
                    "headers of the response that are for points only"),
    AP_INIT_TAKE1("InfluxMetricsProcessTag", set_process_tag, NULL, RSRC_CONF,
                  "slot, pid or off: what the tag process has behind the host"),
    { NULL, { NULL }, NULL, 0, NO_ARGS, NULL }
};

/* ---- what no single directive can see ---- */

static int refuse(server_rec *s, const char *sentence)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(12) "%s", sentence);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Tries it as the server's user, in a process of its own. */
static int user_can_read(const char *path)
{
    int status = 1;
    pid_t pid;

    if (geteuid() != 0) {
        return access(path, R_OK) == 0;
    }
    pid = fork();
    if (pid == 0) {
        _exit(initgroups(ap_unixd_config.user_name, ap_unixd_config.group_id)
                  != 0
              || setgid(ap_unixd_config.group_id) != 0
              || setuid(ap_unixd_config.user_id) != 0
              || access(path, R_OK) != 0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && status == 0;
}

/* What the server's user cannot read now, it cannot read again either. */
static int check_secret(server_rec *s, const char *directive, const char *path)
{
    if (path == NULL || user_can_read(path)) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(13) "%s: %s must be "
                 "readable for the server's user, who reads it while the "
                 "server runs", directive, path);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int check_tls(apr_pool_t *p, server_rec *s)
{
    const imx_influx_options_t *o = &global.influx;

    if ((o->certificate_file == NULL) != (o->key_file == NULL)) {
        return refuse(s,
                      "InfluxMetricsTLSCertificateFile and "
                      "InfluxMetricsTLSCertificateKeyFile need each other");
    }
    if ((o->ca_file != NULL || o->key_file != NULL)
        && strncmp(o->url, "https:", 6) != 0) {
        return refuse(s, apr_psprintf(p,
                                      "InfluxMetricsTLS... is for an "
                                      "InfluxMetricsServer with https, but %s "
                                      "would be without TLS",
                                      o->url));
    }
    if (check_secret(s, "InfluxMetricsTLSCAFile", o->ca_file) != OK
        || check_secret(s, "InfluxMetricsTLSCertificateFile",
                        o->certificate_file)
               != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return check_secret(s, "InfluxMetricsTLSCertificateKeyFile", o->key_file);
}

/* Does the way to InfluxDB not leave this host? */
static int is_on_this_host(apr_pool_t *p, const imx_influx_options_t *o)
{
    struct in6_addr v6;
    struct in_addr v4;
    apr_uri_t uri;

    if (o->unix_socket != NULL) {
        return 1;
    }
    if (apr_uri_parse(p, o->url, &uri) != APR_SUCCESS
        || uri.hostname == NULL) {
        return 0;
    }
    return ap_cstr_casecmp(uri.hostname, "localhost") == 0
           || (inet_pton(AF_INET, uri.hostname, &v4) == 1
               && ntohl(v4.s_addr) >> 24 == 127)
           || (inet_pton(AF_INET6, uri.hostname, &v6) == 1
               && IN6_IS_ADDR_LOOPBACK(&v6));
}

int imx_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *s)
{
    imx_influx_options_t *o = &global.influx;

    if (o->api == 0) {
        o->api = o->bucket ? IMX_INFLUX_V2 : IMX_INFLUX_V1;
    }
    if (o->api == IMX_INFLUX_V2 && o->bucket == NULL) {
        return refuse(s, "InfluxMetricsAPI v2 needs InfluxMetricsBucket");
    }
    if (o->api != IMX_INFLUX_V2 && o->bucket != NULL) {
        return refuse(s,
                      "InfluxMetricsBucket is for InfluxMetricsAPI v2; v1 "
                      "and v3 need InfluxMetricsDatabase");
    }
    if ((o->user == NULL) != (o->password_file == NULL)) {
        return refuse(s,
                      "InfluxMetricsUser and InfluxMetricsPasswordFile "
                      "need each other");
    }
    if (o->user != NULL && strchr(o->user, ':') != NULL) {
        return refuse(s,
                      "InfluxMetricsUser must not have a colon: HTTP takes "
                      "what follows it as the password");
    }
    if (o->retention_policy != NULL && o->api == IMX_INFLUX_V3) {
        return refuse(s,
                      "InfluxMetricsDatabase has no retention policy with "
                      "InfluxMetricsAPI v3");
    }
    if (o->user != NULL && o->token_file != NULL) {
        return refuse(s,
                      "InfluxMetricsUser and InfluxMetricsTokenFile exclude "
                      "each other");
    }
    if (o->user != NULL && o->api != IMX_INFLUX_V1) {
        return refuse(s,
                      "InfluxMetricsUser is for InfluxMetricsAPI v1; v2 and "
                      "v3 need InfluxMetricsTokenFile");
    }
    o->gzip = global.gzip != IMX_UNSET ? global.gzip
                                       : !is_on_this_host(ptemp, o);
    if (check_tls(ptemp, s) != OK
        || check_secret(s, "InfluxMetricsTokenFile", o->token_file) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return check_secret(s, "InfluxMetricsPasswordFile", o->password_file);
}

apr_status_t imx_config_find_host(apr_pool_t *pconf, server_rec *s)
{
    char *name = apr_palloc(pconf, APRMAXHOSTLEN + 1);
    apr_status_t rv = apr_gethostname(name, APRMAXHOSTLEN + 1, pconf);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(15) "this host's "
                     "name cannot be had");
        return rv;
    }
    global.hostname = name;
    return APR_SUCCESS;
}
