/*
 * spool_place.c owns the directory of InfluxMetricsSpool at a start or restart,
 * and the list of those that it was before.
 * Entered by the parent's only thread; the list is read by any process.
 * The list outlives graceful restarts, the directories everything.
 */
#include "server/spool_place.h"

#include "apr_strings.h"
#include "http_config.h"
#include "http_log.h"
#include "unixd.h"

#include "base/errand.h"
#include "base/log.h"
#include "base/safe_path.h"
#include "config/config.h"
#include "deliver/spool_owner.h"

#include <limits.h>
#include <unistd.h>

APLOG_USE_MODULE(influx_metrics);

#define DISK_MS 1000 /* for which the disk is waited for */

/* ---- the directory ---- */

typedef struct {
    const char *path;
    uid_t user;
    gid_t group;
} wanted_t;

/* A step of its own, with root's rights if httpd was started with them. */
static int make(void *context, char *text)
{
    char reason[IMX_SAFE_PATH_REASON_MAX] = "";
    const wanted_t *w = context;
    int fd = imx_safe_path_make(w->path, w->user, w->group, reason);

    apr_cpystrn(text, reason, IMX_ERRAND_TEXT);
    return fd < 0;
}

static const char *fault_of(const wanted_t *w, apr_pool_t *p)
{
    char text[IMX_ERRAND_TEXT];

    switch (imx_errand_run(make, (void *)w, DISK_MS, text)) {
    case 0:
        return NULL;
    case IMX_ERRAND_LATE:
        return "its disk did not answer within a second";
    case IMX_ERRAND_FAILED:
        return "no process could be made to look at it";
    default:
        return apr_pstrdup(p, text);
    }
}

/*
 * The spool belongs to the server's user, who alone works in it.  What is there
 * already must be a directory of that user: root follows no link and takes
 * nothing away from anybody.  A server whose spool is not there, perhaps since
 * a disk was not mounted or hangs, serves all the same, also after a graceful
 * restart; the children look for the directory again and again.
 */
void imx_spool_place_prepare(apr_pool_t *p, server_rec *s)
{
    const char *dir = imx_config_global()->spool_dir;
    int is_root = geteuid() == 0;
    wanted_t w = { dir, is_root ? ap_unixd_config.user_id : geteuid(),
                   is_root ? ap_unixd_config.group_id : getegid() };
    const char *fault;

    if (dir == NULL) {
        return;
    }
    if (is_root && ap_unixd_config.chroot_dir != NULL) {
        w.path = apr_pstrcat(p, ap_unixd_config.chroot_dir, dir, NULL);
    }
    fault = fault_of(&w, p);
    if (fault != NULL) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(37)
                     "InfluxMetricsSpool: %s must be a directory of the "
                     "server's user, or httpd must be able to make it: %s",
                     w.path, fault);
    }
}

/* ---- what was the spool before ---- */

#define KEPT_KEY "mod_influx_metrics: spools 1"
#define SPOOLS (1 + IMX_MONITOR_SPOOLS_BEFORE)

typedef char names_t[SPOOLS][PATH_MAX]; /* "": none */

static names_t *names;
static char note[IMX_SPOOL_OWNER_MAX];

/* What was the spool, or no longer is, stays known until the parent ends:
 * children may be writing there still. */
void imx_spool_place_remember(void)
{
    const char *dir = imx_config_global()->spool_dir;
    int i = 0;

    names = ap_retained_data_get(KEPT_KEY);
    if (names == NULL) {
        names = ap_retained_data_create(KEPT_KEY, sizeof *names);
    }
    if (dir == NULL) {
        dir = "";
    }
    while (i < SPOOLS - 1 && strcmp((*names)[i], dir) != 0) {
        i++;
    }
    memmove((*names)[1], (*names)[0], (size_t)i * PATH_MAX);
    apr_cpystrn((*names)[0], dir, PATH_MAX);
    imx_spool_owner_name(note);
}

const char *imx_spool_place_note(void)
{
    return note;
}

void imx_spool_place_before(const char *dirs[IMX_MONITOR_SPOOLS_BEFORE])
{
    int i;

    for (i = 0; i < IMX_MONITOR_SPOOLS_BEFORE; i++) {
        dirs[i] = names != NULL && (*names)[i + 1][0] ? (*names)[i + 1] : NULL;
    }
}
