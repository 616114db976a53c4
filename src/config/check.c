/*
 * check.c owns what no single directive can see: directives that need or
 * exclude each other, and the files that they name.
 * Entered by the parent's only thread when it has read the configuration.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/check.h"

#include "apr_strings.h"
#include "http_core.h"
#include "http_log.h"
#include "unixd.h"

#include "base/errand.h"
#include "base/log.h"
#include "config/config.h"
#include "config/environment.h"
#include "config/listener.h"
#include "config/schema.h"
#include "deliver/secret.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* httpd fixes the parameters of hooks. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

#define FILES_MS 1000 /* for which a disk is waited for */

/* ---- combinations ---- */

static const char *check_api(apr_pool_t *p, imx_influx_options_t *o)
{
    if (o->bucket != NULL && o->database != NULL) {
        return "InfluxMetricsDatabase is for the APIs v1 and v3, and "
               "InfluxMetricsBucket for v2: take one of them out";
    }
    if (o->api == 0) {
        o->api = o->bucket ? IMX_INFLUX_V2 : IMX_INFLUX_V1;
    }
    if (o->api == IMX_INFLUX_V2 && o->bucket == NULL) {
        return "InfluxMetricsAPI v2 needs InfluxMetricsBucket";
    }
    if (o->api != IMX_INFLUX_V2 && o->bucket != NULL) {
        return "InfluxMetricsBucket is for InfluxMetricsAPI v2; v1 and v3 need "
               "InfluxMetricsDatabase";
    }
    if (o->database == NULL) {
        o->database = "httpd";
    }
    return NULL;
}

static int is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}

/* InfluxDB 3 answers 400 to any other name. */
static int is_v3_name(const char *name)
{
    if (!is_alnum(*name)) {
        return 0;
    }
    while (is_alnum(*name) || *name == '-' || *name == '_') {
        name++;
    }
    return *name == '\0';
}

static const char *check_v3(apr_pool_t *p, const imx_influx_options_t *o)
{
    if (o->api != IMX_INFLUX_V3) {
        return NULL;
    }
    if (o->retention_policy != NULL) {
        return "InfluxMetricsDatabase has no retention policy with "
               "InfluxMetricsAPI v3";
    }
    if (!is_v3_name(o->database)) {
        return apr_psprintf(p,
                            "InfluxMetricsDatabase: \"%.100s\" is no name of "
                            "a database of InfluxDB 3 (InfluxMetricsAPI v3): "
                            "it must begin with a letter or digit, and have "
                            "letters, digits, '-' and '_' only",
                            o->database);
    }
    return NULL;
}

static const char *check_user(apr_pool_t *p, const imx_influx_options_t *o,
                              const imx_config_env_t *env)
{
    if (o->token_file != NULL && env->token != NULL) {
        return "InfluxMetricsTokenFile and InfluxMetricsTokenEnv exclude each "
               "other";
    }
    if (o->password_file != NULL && env->password != NULL) {
        return "InfluxMetricsPasswordFile and InfluxMetricsPasswordEnv "
               "exclude each other";
    }
    if ((o->user == NULL)
        != (o->password_file == NULL && env->password == NULL)) {
        return env->password != NULL
                   ? "InfluxMetricsUser and InfluxMetricsPasswordEnv need each "
                     "other"
                   : "InfluxMetricsUser and InfluxMetricsPasswordFile need "
                     "each other";
    }
    if (o->user == NULL) {
        return NULL;
    }
    if (strchr(o->user, ':') != NULL) {
        return "InfluxMetricsUser must not have a colon: HTTP takes what "
               "follows it as the password";
    }
    if (o->token_file != NULL || env->token != NULL) {
        return apr_psprintf(p, "InfluxMetricsUser and %s exclude each other",
                            env->token != NULL ? "InfluxMetricsTokenEnv"
                                               : "InfluxMetricsTokenFile");
    }
    if (o->api != IMX_INFLUX_V1) {
        return "InfluxMetricsUser is for InfluxMetricsAPI v1; v2 and v3 need "
               "InfluxMetricsTokenFile";
    }
    return NULL;
}

static const char *check_tls(apr_pool_t *p, const imx_influx_options_t *o)
{
    if ((o->certificate_file == NULL) != (o->key_file == NULL)) {
        return "InfluxMetricsTLSCertificateFile and "
               "InfluxMetricsTLSCertificateKeyFile need each other";
    }
    if ((o->ca_file != NULL || o->key_file != NULL)
        && strncmp(o->url, "https:", 6) != 0) {
        return apr_psprintf(p,
                            "InfluxMetricsTLS... is for an "
                            "InfluxMetricsServer with https, but %s would be "
                            "without TLS",
                            o->url);
    }
    return NULL;
}

static const char *check_combinations(apr_pool_t *p, imx_influx_options_t *o,
                                      const imx_config_env_t *env)
{
    const char *wrong = check_api(p, o);

    wrong = wrong ? wrong : check_v3(p, o);
    wrong = wrong ? wrong : check_user(p, o, env);
    return wrong ? wrong : check_tls(p, o);
}

/* ---- the files, looked at by one who may read what the children may ---- */

/* The groups are those of a name: as httpd itself does, that of the user is
 * looked up where the directive is `User #33`. */
static const char *user_name(void)
{
    const char *name = ap_unixd_config.user_name;
    const struct passwd *user = NULL;

    if (*name == '#') {
        /* cppcheck-suppress getpwuidCalled ; this process has one thread */
        user = getpwuid(ap_unixd_config.user_id);
    }
    return user != NULL ? user->pw_name : name;
}

/* In a forked process: who the children will be, and where. */
static int become_child(void)
{
    const char *root = ap_unixd_config.chroot_dir;

    if (geteuid() != 0) {
        return 0;
    }
    if (initgroups(user_name(), ap_unixd_config.group_id) != 0
        || setgid(ap_unixd_config.group_id) != 0
        || (root != NULL
            && (chdir(root) != 0 || chroot(root) != 0 || chdir("/") != 0))
        || setuid(ap_unixd_config.user_id) != 0) {
        return errno;
    }
    return 0;
}

/* What is wrong with a file for the one who is asked, or NULL.  reason:
 * IMX_INFLUX_REASON_MAX bytes. */
static const char *fault_of(const imx_config_file_t *files, int i,
                            struct stat *info, char *reason)
{
    const char *path = files[i].path;

    if (stat(path, info) != 0) {
        return strerror(errno);
    }
    if (!S_ISREG(info->st_mode)) {
        return "it is no regular file";
    }
    if (info->st_size == 0) {
        return "it is empty";
    }
    if (access(path, R_OK) != 0) {
        return strerror(errno);
    }
    if ((i == IMX_FILE_TOKEN || i == IMX_FILE_PASSWORD)
        && imx_secret_check(path, i == IMX_FILE_TOKEN, reason) != 0) {
        return reason;
    }
    return NULL;
}

/*
 * Whoever writes `InfluxMetricsTokenFile ${TOKEN}`, where the variable has the
 * token, names no file.  So what stands there is shown only when there is such
 * a file, or, for an absolute path, its directory.
 */
static int may_be_secret(const imx_config_file_t *files, int i)
{
    const char *path = files[i].path, *name = strrchr(path, '/');
    char dir[APR_PATH_MAX];
    struct stat info;

    if ((i != IMX_FILE_TOKEN && i != IMX_FILE_PASSWORD)
        || stat(path, &info) == 0) {
        return 0;
    }
    if (!files[i].is_absolute || name == NULL || name == path
        || name - path >= APR_PATH_MAX) {
        return 1;
    }
    apr_cpystrn(dir, path, (apr_size_t)(name - path) + 1);
    return stat(dir, &info) != 0 && errno != EACCES;
}

/*
 * A step of its own: which file is wrong?  Its number, from 1 on, or IMX_FILES
 * more if it is not to be shown, and why; or 0, and for each file "o" if others
 * can read it, else "-".
 */
static int look_at_files(void *context, char *text)
{
    const imx_config_file_t *files = context;
    char reason[IMX_INFLUX_REASON_MAX] = "";
    int i, e = become_child();
    const char *fault;
    struct stat info;

    for (i = 0; i < IMX_FILES; i++) {
        text[i] = '-';
        if (files[i].path == NULL) {
            continue;
        }
        fault = e != 0 ? strerror(e) : fault_of(files, i, &info, reason);
        if (fault != NULL) {
            snprintf(text, IMX_ERRAND_TEXT, "%s", fault);
            return i + 1 + (may_be_secret(files, i) ? IMX_FILES : 0);
        }
        text[i] = info.st_mode & S_IROTH ? 'o' : '-';
    }
    return 0;
}

static void refuse_file(apr_pool_t *p, server_rec *s,
                        const imx_config_file_t *file, int is_shown,
                        const char *fault)
{
    const char *root = geteuid() == 0 ? ap_unixd_config.chroot_dir : NULL;

    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(13) "%s: %s must be a "
                 "file with %s that the server's user can read while the "
                 "server runs%s: %s (line %d of %s)", file->directive,
                 is_shown ? file->path
                          : "what stands there, which may be the secret "
                            "itself and is not shown,",
                 file->content,
                 root ? apr_pstrcat(p, ", inside of ChrootDir ", root, NULL)
                      : "",
                 fault, file->line, file->conf);
}

static void say_late(server_rec *s, const imx_config_file_t *file, int is_late)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, IMX_LOGNO(16) "%s and the "
                 "other files for InfluxDB are not checked: %s",
                 file->directive,
                 is_late ? "their disk did not answer within a second"
                         : "no process could be made for it");
}

static void warn_of_readers(server_rec *s, const imx_config_file_t *files,
                            const char *who)
{
    int i;

    for (i = 0; i < IMX_FILES; i++) {
        if (files[i].is_secret && who[i] == 'o') {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, IMX_LOGNO(10) "%s: "
                         "everyone on this host can read %s; make it readable "
                         "for the server's user only", files[i].directive,
                         files[i].path);
        }
    }
}

int imx_check_is_restart(void)
{
    return ap_state_query(AP_SQ_CONFIG_GEN) > 1;
}

/* What the server's user cannot read now, it cannot read later either.  But a
 * disk that hangs may answer later, and must not keep the site from serving;
 * and at a restart, where httpd would end, the site goes on and the points
 * wait. */
static int check_files(apr_pool_t *p, server_rec *s, imx_config_file_t *files)
{
    char text[IMX_ERRAND_TEXT];
    int first = 0, n;

    while (first < IMX_FILES && files[first].path == NULL) {
        first++;
    }
    if (first == IMX_FILES) {
        return OK;
    }
    n = imx_errand_run(look_at_files, files, FILES_MS, text);
    /* Where nobody could look, it may be the secret as well. */
    imx_config_to_settle()->influx.hides_path = n < 0 || n > IMX_FILES;
    if (n > 0) {
        refuse_file(p, s, &files[(n - 1) % IMX_FILES], n <= IMX_FILES, text);
        return imx_check_is_restart() ? OK : HTTP_INTERNAL_SERVER_ERROR;
    }
    if (n < 0) {
        say_late(s, &files[first], n == IMX_ERRAND_LATE);
    }
    else {
        warn_of_readers(s, files, text);
    }
    return OK;
}

/* ---- what stood in the environment ---- */

static const char *take_secret(server_rec *s, int level, const char *directive,
                               const char *name, int is_token)
{
    const char *wrong = NULL, *secret;

    if (name == NULL) {
        return NULL;
    }
    secret = imx_environment_secret(name, is_token, &wrong);
    if (secret == NULL && level != 0) {
        ap_log_error(APLOG_MARK, level, 0, s, IMX_LOGNO(19) "%s: the variable "
                     "%s has no secret: %s", directive, name, wrong);
    }
    return secret;
}

/* level: of the message about a secret that is missing; 0: none. */
static int take_secrets(server_rec *s, imx_config_t *conf, int level)
{
    imx_influx_options_t *o = &conf->influx;
    const imx_config_env_t *env = &conf->env;

    o->token = take_secret(s, level, "InfluxMetricsTokenEnv", env->token, 1);
    o->password = take_secret(s, level, "InfluxMetricsPasswordEnv",
                              env->password, 0);
    return (env->token == NULL || o->token != NULL)
           && (env->password == NULL || o->password != NULL);
}

/*
 * Whoever tests the configuration, or sends a signal to the httpd that runs,
 * need not have the variable; so that it is missing is said to him who tests,
 * and stops a start only.  At a restart the site goes on, and the points wait.
 */
int imx_check_secrets(server_rec *s)
{
    return take_secrets(s, imx_config_to_settle(), APLOG_ERR)
                   || imx_check_is_restart()
               ? OK
               : HTTP_INTERNAL_SERVER_ERROR;
}

/* ---- the whole ---- */

/* InfluxDB 3 answers only once a second, whatever the size; its limit is 10 MB
 * unpacked. */
static void fill_in(apr_pool_t *p, imx_config_t *conf)
{
    int is_v3 = conf->influx.api == IMX_INFLUX_V3;

    conf->influx.gzip = conf->gzip != IMX_UNSET
                            ? conf->gzip
                            : !imx_listener_is_near(p, &conf->influx);
    if (conf->max_body == 0) {
        conf->max_body = (apr_size_t)(is_v3 ? 8 : 4) << 20;
    }
    if (conf->max_lines == 0) {
        conf->max_lines = is_v3 ? 50000 : 10000;
    }
}

static void take_paths(imx_config_t *conf)
{
    imx_influx_options_t *o = &conf->influx;

    o->token_file = conf->files[IMX_FILE_TOKEN].path;
    o->password_file = conf->files[IMX_FILE_PASSWORD].path;
    o->ca_file = conf->files[IMX_FILE_CA].path;
    o->certificate_file = conf->files[IMX_FILE_CERTIFICATE].path;
    o->key_file = conf->files[IMX_FILE_KEY].path;
}

int imx_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *s)
{
    imx_config_t *conf = imx_config_to_settle();
    const char *wrong;

    take_paths(conf);
    if (check_files(ptemp, s, conf->files) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    wrong = check_combinations(pconf, &conf->influx, &conf->env);
    if (wrong != NULL) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(12) "%s", wrong);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    take_secrets(s, conf,
                 ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST
                     ? APLOG_WARNING
                     : 0);
    fill_in(ptemp, conf);
    return OK;
}
