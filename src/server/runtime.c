/*
 * runtime.c owns the shared area's life and the child's monitor thread.
 * Entered by the parent (post_config, child_status, its last clean-up) and by
 * each child's main thread (child_init, the pool clean-up).
 * The area and its address outlive graceful restarts; everything else here is
 * made anew.
 */
#include "server/runtime.h"

#include "apr_general.h"
#include "apr_shm.h"
#include "apr_strings.h"
#include "http_config.h"
#include "ap_listen.h"
#include "http_core.h"
#include "http_log.h"
#include "mpm_common.h"
#include "unixd.h"

#include "config/config.h"
#include "base/log.h"
#include "deliver/monitor.h"
#include "record/plan.h"
#include "record/request.h"
#include "config/schema.h"
#include "shared/batch.h"
#include "shared/values.h"
#include "show/status.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* httpd fixes the parameters of hooks. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

/* The number is the layout of this struct and of the area: a module of another
 * version finds nothing under its own key and makes an area of its own; the
 * children of the old one deliver what is in theirs. */
#ifndef IMX_LAYOUT
#define IMX_LAYOUT "2"
#endif
#define KEPT_KEY "mod_influx_metrics: area " IMX_LAYOUT

/* How far the buffer can grow by a graceful restart: so many times its first
 * size, or this size.  Only addresses are taken for that, no memory. */
#define ROOM_FACTOR 8
#define ROOM_LEAST ((apr_size_t)1 << 30)

#define PAGE ((apr_size_t)4096)

/* The spool in use, and the ones before it: their files are delivered. */
#define SPOOLS (1 + IMX_MONITOR_SPOOLS_BEFORE)

typedef struct {
    imx_batch_t batch;
    apr_size_t wanted; /* InfluxMetricsBufferSize */
    char spools[SPOOLS][PATH_MAX];
} kept_t;

static kept_t *kept; /* NULL: the module records nothing */
static imx_batch_child_t child;
static imx_monitor_t *monitor;
static pid_t parent_pid;
static int generation; /* of this child, as httpd counts */

/*
 * Anonymous memory at the same address in all processes to come.  It is never
 * undone: it ends with the parent.  Not in core files: most of it is not there.
 */
static void *get_memory(apr_size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        return NULL;
    }
    madvise(p, size, MADV_DONTDUMP);
    return p;
}

static apr_status_t make_area(apr_size_t wanted,
                              imx_batch_geometry_t *geometry)
{
    imx_batch_geometry_t roomy = *geometry;
    apr_size_t room = wanted * ROOM_FACTOR, size, data;
    char *memory;

    room = room > ROOM_LEAST ? room : ROOM_LEAST;
    size = imx_batch_reserve(room, &roomy);
    memory = get_memory(size + PAGE);
    if (memory == NULL) {
        /* A limit on addresses, or strict overcommit. */
        roomy = *geometry;
        size = imx_batch_reserve(0, &roomy);
        memory = get_memory(size + PAGE);
    }
    if (memory == NULL) {
        return errno;
    }
    kept = ap_retained_data_create(KEPT_KEY, sizeof *kept);
    /* So that the data begin at a page. */
    data = size - (apr_size_t)roomy.room * roomy.segment_size;
    memory += APR_ALIGN(data, PAGE) - data;
    return imx_batch_format(&kept->batch, memory, &roomy);
}

static void say_size(server_rec *s, apr_size_t size, int raised)
{
    if (raised) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, IMX_LOGNO(31) "the buffer "
                     "has %" APR_SIZE_T_FMT " bytes, more than "
                     "InfluxMetricsBufferSize: the children need that", size);
    }
}

static int new_area(server_rec *s, apr_size_t wanted)
{
    imx_batch_geometry_t geometry;
    int children, raised;
    apr_status_t rv;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children) != APR_SUCCESS) {
        children = 256;
    }
    imx_batch_plan(wanted, (uint32_t)children, &geometry, &raised);
    rv = make_area(wanted, &geometry);
    if (rv != APR_SUCCESS) {
        kept = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(32) "cannot get "
                     "%" APR_SIZE_T_FMT " bytes of shared memory for the "
                     "buffer", wanted);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    say_size(s, (apr_size_t)geometry.segments * geometry.segment_size, raised);
    return OK;
}

/* After a graceful restart: the children that still run go on in it, and so do
 * those to come, whatever its size is from now on. */
static void resize_area(server_rec *s, apr_size_t wanted)
{
    int raised;
    apr_size_t size = imx_batch_resize(&kept->batch, wanted, &raised);

    if (size + kept->batch.geometry.segment_size <= wanted) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, IMX_LOGNO(30) "the "
                     "buffer has %" APR_SIZE_T_FMT " bytes until the next full "
                     "restart: it has no room to grow to "
                     "InfluxMetricsBufferSize", size);
    }
    else if (!raised) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, IMX_LOGNO(60) "the size "
                     "of the buffer is %" APR_SIZE_T_FMT " bytes from now on",
                     size);
    }
    say_size(s, size, raised);
}

static int get_area(server_rec *s)
{
    apr_size_t wanted = imx_config_global()->buffer_size;
    int rv = OK;

    kept = ap_retained_data_get(KEPT_KEY);
    if (kept == NULL) {
        rv = new_area(s, wanted);
    }
    else if (kept->wanted != wanted) {
        resize_area(s, wanted);
    }
    if (rv == OK) {
        kept->wanted = wanted;
    }
    return rv;
}

/* ---- the values of tags ---- */

#define VALUES_KEY "mod_influx_metrics: values 1"
#define SPARE_TAGS 8 /* for names that a graceful restart brings */

static imx_values_t values;

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

/* Makes it if it is not there, for the user.  Returns NULL, or what is wrong
 * with it. */
static const char *make_spool(apr_pool_t *p, const char *dir, uid_t user)
{
    int is_new = mkdir(dir, 0700) == 0;
    int made = is_new ? 0 : errno;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const char *wrong = NULL;
    struct stat info;

    if (fd < 0) {
        return apr_psprintf(p, "%pm", made && made != EEXIST ? &made : &errno);
    }
    if ((is_new && geteuid() == 0
         && fchown(fd, user, ap_unixd_config.group_id) != 0)
        || fstat(fd, &info) != 0) {
        wrong = apr_psprintf(p, "%pm", &errno);
    }
    else if (info.st_uid != user) {
        wrong = "it belongs to another user";
    }
    else if (info.st_mode & (S_IWGRP | S_IWOTH)) {
        wrong = "others may write to it";
    }
    close(fd);
    return wrong;
}

/*
 * The spool belongs to the server's user, who alone works in it.  What is there
 * already must be a directory of that user: root follows no link and takes
 * nothing away from anybody.  A server whose spool is not there, perhaps since
 * a disk was not mounted, serves all the same, also after a graceful restart;
 * the children look for it again and again.
 */
static void prepare_spool(apr_pool_t *p, server_rec *s)
{
    const char *dir = imx_config_global()->spool_dir;
    uid_t user = geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
    const char *wrong;

    if (dir == NULL) {
        return;
    }
    if (ap_unixd_config.chroot_dir != NULL) {
        dir = apr_pstrcat(p, ap_unixd_config.chroot_dir, dir, NULL);
    }
    wrong = make_spool(p, dir, user);
    if (wrong != NULL) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(37)
                     "InfluxMetricsSpool: %s must be a directory of the "
                     "server's user, or httpd must be able to make it: %s",
                     dir, wrong);
    }
}

/* What the spool is now, or no longer is, stays known until the parent ends:
 * children may be writing there still. */
static void keep_spools(void)
{
    const char *dir = imx_config_global()->spool_dir;
    int i = 0;

    if (dir == NULL) {
        dir = "";
    }
    while (i < SPOOLS - 1 && strcmp(kept->spools[i], dir) != 0) {
        i++;
    }
    memmove(kept->spools[1], kept->spools[0], (size_t)i * PATH_MAX);
    apr_cpystrn(kept->spools[0], dir, PATH_MAX);
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
    int i;
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

    for (i = 1; i < SPOOLS; i++) {
        o.spool_before[i - 1] = kept->spools[i][0] ? kept->spools[i] : NULL;
    }
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

static int drop_privileges(apr_pool_t *pconf, server_rec *s)
{
    int was_root = geteuid() == 0;

    return ap_run_drop_privileges(pconf, s) == OK
           && (!was_root || geteuid() == ap_unixd_config.user_id);
}

static void help(apr_pool_t *pconf, server_rec *s)
{
    imx_monitor_options_t o = monitor_options(s);
    imx_monitor_t *m = NULL;

    child.batch = &kept->batch;
    child.slot = IMX_BATCH_NOBODY;
    if (drop_privileges(pconf, s)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        m = imx_monitor_create(&o);
    }
    if (m != NULL) {
        imx_monitor_end_server(m);
    }
    _exit(m == NULL);
}

/*
 * Root must not work on memory that the server's user can write, in a directory
 * of this user, nor talk to InfluxDB: a helper without root's rights does,
 * while the parent waits a bounded time.  The listeners are closed first, so
 * that the next start finds its port free.
 */
static void deliver_rest(apr_pool_t *pconf, server_rec *s)
{
    apr_time_t deadline = apr_time_now()
                          + apr_time_from_msec(
                              imx_config_global()->shutdown_ms + 8000);
    pid_t helper;

    if (imx_batch_totals(&kept->batch).pending == 0) {
        return;
    }
    ap_close_listeners();
    helper = fork();
    if (helper == 0) {
        help(pconf, s);
    }
    while (helper > 0 && waitpid(helper, NULL, WNOHANG) == 0
           && apr_time_now() < deadline) {
        apr_sleep(apr_time_from_msec(5));
    }
}

/* What the children could not deliver ends with the area. */
static void say_what_is_lost(server_rec *s)
{
    imx_batch_delivery_t d = imx_batch_told(&kept->batch);
    imx_batch_totals_t t = imx_batch_totals(&kept->batch);
    apr_uint64_t lost = t.no_room + t.fate[IMX_BATCH_DROPPED]
                        + t.fate[IMX_BATCH_TORN] + d.spool_dropped;
    apr_uint64_t refused = t.fate[IMX_BATCH_REJECTED] + d.spool_rejected;

    if (t.pending > 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     IMX_LOGNO(33) "%" APR_UINT64_T_FMT
                                   " points are given up, InfluxDB did "
                                   "not take them before the end",
                     t.pending);
    }
    if (lost > 0 || refused > 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(36) "since the "
                     "start, of %" APR_UINT64_T_FMT " points %" APR_UINT64_T_FMT
                     " were lost and %" APR_UINT64_T_FMT " refused",
                     t.recorded + d.spool_found, lost, refused);
    }
}

/* The parent's last step; also called at each restart, and in children. */
static apr_status_t parent_ends(void *data)
{
    server_rec *s = data;

    if (getpid() == parent_pid
        && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_EXITING) {
        wait_for_children();
        deliver_rest(s->process->pconf, s);
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
        || get_values(s) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    prepare_spool(ptemp, s);
    rv = get_area(s);
    if (rv == OK) {
        keep_spools();
        imx_batch_new_epoch(&kept->batch);
        parent_pid = getpid();
        /* Before httpd's own, which forgets all hooks: drop_privileges. */
        apr_pool_pre_cleanup_register(pconf, s, parent_ends);
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
 * Is it left to this child, if it is the last one, to deliver what there is?
 * Not while the server goes on: a child that is recycled must not wait for
 * InfluxDB, and another one will come.  Not when the server stops: the parent's
 * helper does it.  But a restart may have taken the module out, or put a
 * version in that cannot read this area; and a parent that was killed does
 * nothing more.  (httpd -X is parent and child in one.)
 */
static int is_ours_to_deliver(void)
{
    return getpid() == parent_pid || getppid() != parent_pid
           || ap_scoreboard_image->global->running_generation != generation;
}

/*
 * A clean-up of pchild that was registered first and so runs last, after all
 * requests of the child are logged.  prefork runs it in a signal handler.  When
 * the thread does not end, exit() under it would run destructors of what it
 * uses: so leave without them.  (httpd -X: its own clean-ups must still run.)
 */
static apr_status_t child_ends(void *data)
{
    if (!is_ours_to_deliver()) {
        imx_monitor_leave(monitor);
    }
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
    imx_request_use(&child, &values);
    imx_status_use(&kept->batch, &values);
    ap_mpm_query(AP_MPMQ_GENERATION, &generation);
    rv = start_monitor(s);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(35) "cannot start "
                     "the monitor thread: the other children deliver this "
                     "child's points");
        return;
    }
    apr_pool_cleanup_register(pchild, NULL, child_ends, apr_pool_cleanup_null);
}
