/*
 * runtime.c owns the shared area's life and the child's monitor thread.
 * Entered by the parent (post_config, child_status, its last clean-up) and by
 * each child's main thread (child_init, the pool clean-up).
 * The area and its address outlive graceful restarts; everything else here is
 * made anew.
 */
#include "runtime.h"

#include "apr_general.h"
#include "apr_shm.h"
#include "apr_strings.h"
#include "http_config.h"
#include "ap_listen.h"
#include "http_core.h"
#include "http_log.h"
#include "mpm_common.h"
#include "unixd.h"

#include "config.h"
#include "log.h"
#include "monitor.h"
#include "plan.h"
#include "schema.h"

#include <curl/curl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* httpd fixes the parameters of hooks. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

/* The number is the layout of this struct and of the area: a module of another
 * version finds nothing under its own key and makes an area of its own; the
 * children of the old one drain theirs. */
#define KEPT_KEY "mod_influx_metrics: area 1"

typedef struct {
    imx_batch_t batch;
    apr_size_t size; /* bytes of the mapping */
} kept_t;

static kept_t *kept; /* NULL: the module records nothing */
static imx_batch_child_t child;
imx_batch_child_t *imx_runtime_child;
static imx_monitor_t *monitor;
static pid_t parent_pid;

static apr_status_t make_area(server_rec *s, apr_size_t size,
                              const imx_batch_geometry_t *geometry)
{
    apr_pool_t *p = s->process->pool;
    apr_shm_t *shm;
    apr_size_t base;
    /* APR's memory begins 8 bytes behind a page (shm.c). */
    apr_status_t rv = apr_shm_create(&shm, size + 64, NULL, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    kept = ap_retained_data_create(KEPT_KEY, sizeof *kept);
    base = ((apr_size_t)apr_shm_baseaddr_get(shm) + 63) & ~(apr_size_t)63;
    kept->size = size;
    return imx_batch_format(&kept->batch, (void *)base, geometry);
}

static int get_area(server_rec *s)
{
    imx_batch_geometry_t geometry;
    int children, raised;
    apr_status_t rv;
    apr_size_t size;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children) != APR_SUCCESS) {
        children = 256;
    }
    size = imx_batch_plan(imx_config_global()->buffer_size, (uint32_t)children,
                          &geometry, &raised);
    kept = ap_retained_data_get(KEPT_KEY);
    if (kept != NULL) {
        if (kept->size != size) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, IMX_LOGNO(30) "the "
                         "size of the buffer changes at the next full "
                         "restart");
        }
        return OK;
    }
    if (raised) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, IMX_LOGNO(31) "the buffer "
                     "has %" APR_SIZE_T_FMT " bytes, more than "
                     "InfluxMetricsBufferSize: %d children need that", size,
                     children);
    }
    rv = make_area(s, size, &geometry);
    if (rv != APR_SUCCESS) {
        kept = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(32) "cannot get "
                     "%" APR_SIZE_T_FMT " bytes of shared memory for the "
                     "buffer", size);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

/* ---- the values of tags ---- */

#define VALUES_KEY "mod_influx_metrics: values 1"
#define SPARE_TAGS 8 /* for names that a graceful restart brings */

static imx_values_t values;
const imx_values_t *imx_runtime_values = &values;

static int names_fit(imx_values_t *v)
{
    const char *name;
    unsigned i;

    for (i = 0; (name = imx_schema_guarded(i)) != NULL; i++) {
        if (!imx_values_use(v, i, name)) {
            return 0;
        }
    }
    return 1;
}

typedef struct {
    imx_values_t values;
    apr_shm_t *shm; /* NULL: none yet */
} kept_values_t;

static apr_status_t make_values(server_rec *s, kept_values_t *k)
{
    unsigned char key[IMX_VALUES_KEY_LEN];
    apr_size_t base, size;
    unsigned names = 0;
    apr_status_t rv;

    while (imx_schema_guarded(names) != NULL) {
        names++;
    }
    names += SPARE_TAGS;
    size = imx_values_plan(imx_schema_tag_limit(), names);
    rv = apr_shm_create(&k->shm, size + 64, NULL, s->process->pool);
    if (rv == APR_SUCCESS) {
        rv = apr_generate_random_bytes(key, sizeof key);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(71) "cannot get "
                     "%" APR_SIZE_T_FMT " bytes of shared memory for the "
                     "values of tags", size);
        return rv;
    }
    base = ((apr_size_t)apr_shm_baseaddr_get(k->shm) + 63) & ~(apr_size_t)63;
    imx_values_format(&k->values, (void *)base, imx_schema_tag_limit(), names,
                      key);
    return names_fit(&k->values) ? APR_SUCCESS : APR_EGENERAL;
}

/*
 * The series of the generation before are in InfluxDB, so its values count on;
 * another limit, or too many new names, begins anew.  Children of before keep
 * their own mapping of the memory that the parent lets go.
 */
static int get_values(server_rec *s)
{
    kept_values_t *k = ap_retained_data_get(VALUES_KEY);

    if (k == NULL) {
        k = ap_retained_data_create(VALUES_KEY, sizeof *k);
    }
    if (k->shm == NULL || k->values.limit != imx_schema_tag_limit()
        || !names_fit(&k->values)) {
        if (k->shm != NULL) {
            apr_shm_destroy(k->shm);
            k->shm = NULL;
        }
        if (make_values(s, k) != APR_SUCCESS) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    values = k->values;
    return OK;
}

/*
 * The spool belongs to the server's user, who alone works in it.  What is there
 * already must be a directory of that user: root follows no link and takes
 * nothing away from anybody.
 */
static int prepare_spool(server_rec *s)
{
    const char *dir = imx_config_global()->spool_dir;
    uid_t user = geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
    struct stat info;

    if (dir == NULL) {
        return OK;
    }
    if (mkdir(dir, 0700) == 0 && geteuid() == 0
        && lchown(dir, user, ap_unixd_config.group_id) != 0) {
        rmdir(dir);
    }
    if (lstat(dir, &info) != 0 || !S_ISDIR(info.st_mode)
        || info.st_uid != user) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, s, IMX_LOGNO(37)
                     "InfluxMetricsSpool: %s must be a directory of the "
                     "server's user, or httpd must be able to make it", dir);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static void log_text(void *context, imx_log_level_e level, const char *text)
{
    static const int levels[] = { APLOG_ERR, APLOG_WARNING, APLOG_NOTICE,
                                  APLOG_INFO, APLOG_DEBUG };

    ap_log_error(APLOG_MARK, levels[level], 0, (server_rec *)context, "%s",
                 text);
}

static imx_monitor_options_t monitor_options(server_rec *s)
{
    const imx_config_t *conf = imx_config_global();
    imx_monitor_options_t o = {
        .batch = &kept->batch,
        .values = &values,
        .child = &child,
        .influx = conf->influx,
        .create_database = conf->create_database,
        .interval_ms = conf->interval_ms,
        .shutdown_ms = conf->shutdown_ms,
        .max_bytes = conf->max_body,
        .max_lines = conf->max_lines,
        .spool_dir = conf->spool_dir,
        .spool_max = conf->spool_max,
        .log = log_text,
        .log_context = s
    };

    return o;
}

/*
 * prefork's graceful stop, the usual one under systemd, leaves children behind
 * that are still delivering; systemd kills them when the parent exits.
 */
static void wait_for_children(void)
{
    apr_time_t deadline = apr_time_now()
                          + apr_time_from_msec(
                              imx_config_global()->shutdown_ms + 1000);

    while (imx_batch_children(&kept->batch) > 0 && apr_time_now() < deadline) {
        apr_sleep(apr_time_from_msec(10));
    }
}

/*
 * Root must not work in a directory of the server's user, on memory that this
 * user can write: a helper without root's rights does, while the parent waits a
 * bounded time.  The listeners are closed first, so that the next start finds
 * its port free.
 */
static void spool_rest(apr_pool_t *pconf, server_rec *s)
{
    imx_monitor_options_t o = monitor_options(s);
    apr_time_t deadline = apr_time_now() + apr_time_from_sec(10);
    pid_t helper;

    if (o.spool_dir == NULL || imx_batch_totals(&kept->batch).pending == 0) {
        return;
    }
    ap_close_listeners();
    helper = fork();
    if (helper == 0) {
        imx_monitor_t *m = NULL;

        child.batch = &kept->batch;
        child.slot = IMX_BATCH_NOBODY;
        if (ap_run_drop_privileges(pconf, s) == OK) {
            m = imx_monitor_create(&o);
        }
        if (m != NULL) {
            imx_monitor_spool_rest(m);
        }
        _exit(m == NULL);
    }
    while (helper > 0 && waitpid(helper, NULL, WNOHANG) == 0
           && apr_time_now() < deadline) {
        apr_sleep(apr_time_from_msec(5));
    }
}

/* What the children could not deliver ends with the area. */
static void say_what_is_lost(server_rec *s)
{
    imx_batch_totals_t t = imx_batch_totals(&kept->batch);
    apr_uint64_t lost = t.no_room + t.fate[IMX_BATCH_DROPPED]
                        + t.fate[IMX_BATCH_TORN];

    if (t.pending > 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     IMX_LOGNO(33) "%" APR_UINT64_T_FMT
                                   " points are given up, InfluxDB did "
                                   "not take them before the end",
                     t.pending);
    }
    if (lost > 0 || t.fate[IMX_BATCH_REJECTED] > 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(36) "since the "
                     "start, of %" APR_UINT64_T_FMT " points %" APR_UINT64_T_FMT
                     " were lost and %" APR_UINT64_T_FMT " refused",
                     t.recorded, lost, t.fate[IMX_BATCH_REJECTED]);
    }
}

/* The parent's last step; also called at each restart, and in children. */
static apr_status_t parent_ends(void *data)
{
    server_rec *s = data;

    if (getpid() == parent_pid
        && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_EXITING) {
        wait_for_children();
        spool_rest(s->process->pconf, s);
        say_what_is_lost(s);
    }
    return APR_SUCCESS;
}

int imx_runtime_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                            apr_pool_t *ptemp, server_rec *s)
{
    int rv;

    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK; /* httpd reads its files twice at start */
    }
    /* Switched off by a graceful restart: what is in the area is still to be
     * delivered. */
    if (!imx_schema_is_used() && ap_retained_data_get(KEPT_KEY) == NULL) {
        return OK;
    }
    if (imx_config_find_host(pconf, s) != APR_SUCCESS
        || imx_plan_check(pconf, s, imx_config_global()->hostname)
               != APR_SUCCESS
        || prepare_spool(s) != OK || get_values(s) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    rv = get_area(s);
    if (rv == OK) {
        imx_batch_new_epoch(&kept->batch);
        parent_pid = getpid();
        apr_pool_cleanup_register(pconf, s, parent_ends,
                                  apr_pool_cleanup_null);
    }
    return rv;
}

void imx_runtime_child_status(server_rec *s, pid_t pid, ap_generation_t gen,
                              int slot, mpm_child_status state)
{
    if (kept != NULL && state == MPM_CHILD_EXITED) {
        imx_batch_child_died(&kept->batch, pid);
    }
}

/*
 * A clean-up of pchild that was registered first and so runs last, after all
 * requests of the child are logged.  prefork runs it in a signal handler.  When
 * the thread does not end, exit() under it would run destructors of what it
 * uses: so leave without them.  (httpd -X is parent and child in one: its own
 * clean-ups must still run.)
 */
static apr_status_t child_ends(void *data)
{
    if (!imx_monitor_stop(monitor) && getpid() != parent_pid) {
        _exit(0);
    }
    return APR_SUCCESS;
}

static apr_status_t start_monitor(server_rec *s)
{
    imx_monitor_options_t o = monitor_options(s);

    /* On the main thread, before there are others: it is not thread-safe with
     * every libcurl.  Never undone: other modules use libcurl too. */
    curl_global_init(CURL_GLOBAL_DEFAULT);
    monitor = imx_monitor_create(&o);
    return monitor != NULL ? imx_monitor_start(monitor)
                           : APR_FROM_OS_ERROR(errno);
}

void imx_runtime_child_init(apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv;

    if (kept == NULL) {
        return;
    }
    if (imx_batch_join(&child, &kept->batch, getpid()) != 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(34) "no entry is "
                     "free in the table of children: the requests of this "
                     "child are not recorded, only counted as dropped");
    }
    imx_runtime_child = &child;
    rv = start_monitor(s);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(35) "cannot start "
                     "the monitor thread: the other children deliver this "
                     "child's points");
        return;
    }
    apr_pool_cleanup_register(pchild, NULL, child_ends, apr_pool_cleanup_null);
}
