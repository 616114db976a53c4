/*
 * runtime.c owns the arena's life and the child's monitor thread.
 * Entered by the parent (post_config, child_status, its last clean-up) and by
 * each child's main thread (child_init, the pool clean-up).
 * The arena and its address outlive graceful restarts; everything else here is
 * made anew.
 */
#include "server/runtime.h"

#include "apr_general.h"
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
#include "shared/arena.h"
#include "show/status.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* httpd fixes the parameters of hooks. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

APLOG_USE_MODULE(influx_metrics);

/* The layout of kept_t.  The key names it and the layout of the arena: a module
 * of another version finds nothing under its own key and makes an arena of its
 * own; the children of the old one deliver what is in theirs. */
#ifndef IMX_LAYOUT
#define IMX_LAYOUT "3"
#endif

/* How far the buffer can grow by a graceful restart: so many times its first
 * size, or this size.  Only addresses are taken for that, no memory. */
#define ROOM_FACTOR 8
#define ROOM_LEAST ((apr_size_t)1 << 30)

/* The spool in use, and the ones before it: their files are delivered. */
#define SPOOLS (1 + IMX_MONITOR_SPOOLS_BEFORE)

typedef struct {
    imx_arena_t arena;
    apr_size_t wanted; /* InfluxMetricsBufferSize */
    char spools[SPOOLS][PATH_MAX];
} kept_t;

static kept_t *kept; /* NULL: the module records nothing */
static imx_batch_child_t child;
static imx_monitor_t *monitor;
static pid_t parent_pid;
static int generation; /* of this child, as httpd counts */

static void say_size(server_rec *s, apr_size_t size, int raised)
{
    if (raised) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, IMX_LOGNO(31) "the buffer "
                     "has %" APR_SIZE_T_FMT " bytes, more than "
                     "InfluxMetricsBufferSize: the children need that", size);
    }
}

static const char *kept_key(apr_pool_t *p)
{
    return apr_pstrcat(p, "mod_influx_metrics: " IMX_LAYOUT ": ",
                       imx_arena_layout(), NULL);
}

/* What was kept and has an arena, or NULL. */
static kept_t *get_kept(server_rec *s)
{
    kept_t *k = ap_retained_data_get(kept_key(s->process->pconf));

    return k != NULL && k->arena.header != NULL ? k : NULL;
}

#define SPARE_TAGS 8 /* for names that a graceful restart brings */

static unsigned count_tags(void)
{
    unsigned names = 0;

    while (imx_schema_guarded(names) != NULL) {
        names++;
    }
    return names + SPARE_TAGS;
}

static apr_status_t map_arena(kept_t *k, apr_size_t wanted,
                              const imx_arena_spec_t *spec)
{
    apr_size_t room = wanted * ROOM_FACTOR;

    return imx_arena_map(&k->arena, spec,
                         room > ROOM_LEAST ? room : ROOM_LEAST);
}

static int new_arena(server_rec *s, apr_size_t wanted)
{
    unsigned char key[IMX_VALUES_KEY_LEN];
    imx_arena_spec_t spec = {
        .tags = count_tags(), .key = key, .tag_limit = imx_schema_tag_limit()
    };
    kept_t *k = ap_retained_data_create(kept_key(s->process->pconf),
                                        sizeof *k);
    int children, raised;
    apr_status_t rv;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children) != APR_SUCCESS) {
        children = 256;
    }
    imx_batch_plan(wanted, (uint32_t)children, 0, &spec.batch, &raised);
    rv = apr_generate_random_bytes(key, sizeof key);
    if (rv == APR_SUCCESS) {
        rv = map_arena(k, wanted, &spec);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(32) "cannot get "
                     "%" APR_SIZE_T_FMT " bytes of shared memory for the "
                     "buffer", wanted);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    kept = k;
    say_size(s, (apr_size_t)spec.batch.segments * spec.batch.segment_size,
             raised);
    return OK;
}

/* After a graceful restart: the children that still run go on in it, and so do
 * those to come, whatever its size is from now on. */
static void resize_arena(server_rec *s, apr_size_t wanted)
{
    int raised;
    apr_size_t size = imx_batch_resize(&kept->arena.batch, wanted, &raised);

    if (size + kept->arena.batch.geometry.segment_size <= wanted) {
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

/* ---- the values of tags ---- */

static int names_fit(void)
{
    const char *name;
    unsigned i;

    for (i = 0; (name = imx_schema_guarded(i)) != NULL; i++) {
        if (!imx_values_use(&kept->arena.values, i, name)) {
            return 0;
        }
    }
    return 1;
}

static int new_values(server_rec *s)
{
    unsigned char key[IMX_VALUES_KEY_LEN];
    apr_status_t rv = apr_generate_random_bytes(key, sizeof key);

    if (rv == APR_SUCCESS) {
        rv = imx_arena_new_values(&kept->arena, count_tags(),
                                  imx_schema_tag_limit(), key);
    }
    if (rv != APR_SUCCESS || !names_fit()) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, IMX_LOGNO(71) "cannot get "
                     "shared memory for the values of %u tags", count_tags());
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

/*
 * The series of the generation before are in InfluxDB, so its values count on;
 * another limit, or too many new names, begins anew.  Children of before keep
 * what they have.
 */
static int keep_values(server_rec *s)
{
    return kept->arena.values.limit == imx_schema_tag_limit() && names_fit()
               ? OK
               : new_values(s);
}

static int get_arena(server_rec *s)
{
    apr_size_t wanted = imx_config_global()->buffer_size;
    int rv = OK;

    kept = get_kept(s);
    if (kept == NULL) {
        rv = new_arena(s, wanted);
    }
    else if (kept->wanted != wanted) {
        resize_arena(s, wanted);
    }
    if (rv == OK) {
        kept->wanted = wanted;
        rv = keep_values(s);
    }
    return rv;
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
        .arena = &kept->arena,
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

    while (imx_children_count(&kept->arena.children) > 0
           && apr_time_now() < deadline) {
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
    imx_children_self_t self;
    imx_monitor_t *m = NULL;

    self = imx_children_outsider(&kept->arena.children, getpid());
    imx_batch_open(&child, &kept->arena.batch, &self);
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

    if (imx_batch_totals(&kept->arena.batch).pending == 0) {
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
    imx_board_t d = imx_board_told(&kept->arena.board);
    imx_batch_totals_t t = imx_batch_totals(&kept->arena.batch);
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
    /* Switched off by a graceful restart: what is in the arena is still to be
     * delivered. */
    if (!imx_schema_is_used() && get_kept(s) == NULL) {
        return OK;
    }
    if (imx_config_find_host(pconf, s) != APR_SUCCESS
        || imx_plan_check(pconf, s, imx_config_global()->hostname)
               != APR_SUCCESS) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    prepare_spool(ptemp, s);
    rv = get_arena(s);
    if (rv == OK) {
        keep_spools();
        imx_children_new_epoch(&kept->arena.children);
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
        imx_arena_died(&kept->arena, pid);
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
    imx_children_self_t self;
    apr_status_t rv;

    if (kept == NULL) {
        return;
    }
    if (imx_children_join(&kept->arena.children, &self, getpid()) != 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(34) "no row is "
                     "free in the table of children: the requests of this "
                     "child are not recorded, only counted as dropped");
    }
    imx_batch_open(&child, &kept->arena.batch, &self);
    imx_request_use(&child, &kept->arena.values);
    imx_status_use(&kept->arena);
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
