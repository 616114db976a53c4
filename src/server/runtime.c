/*
 * runtime.c owns the arena's life: how it is made, kept over graceful restarts,
 * and changed by them.
 * Entered by the parent's only thread, while it starts or restarts.
 * The arena and its address outlive graceful restarts and all children.
 */
#include "server/runtime.h"

#include "ap_mpm.h"
#include "apr_general.h"
#include "apr_strings.h"
#include "http_config.h"
#include "http_log.h"

#include "base/log.h"
#include "base/proc.h"
#include "config/config.h"
#include "config/reporting.h"
#include "config/schema.h"
#include "record/counted.h"

#include <sys/resource.h>

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

typedef struct {
    imx_arena_t arena;
    apr_size_t wanted; /* InfluxMetricsBufferSize */
} kept_t;

static kept_t *kept; /* NULL: the module records nothing */

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

/* Addresses cost nothing, unless a process has a limit on them, which the
 * stacks of threads need, too, or the kernel gives no more away than it has. */
static int addresses_count(void)
{
    struct rlimit limit;
    int64_t mode;

    return (getrlimit(RLIMIT_AS, &limit) == 0
            && limit.rlim_cur != RLIM_INFINITY)
           || (imx_proc_number("/proc/sys/vm/overcommit_memory", &mode) == 0
               && mode == 2);
}

static apr_status_t map_arena(kept_t *k, apr_size_t wanted,
                              const imx_arena_spec_t *spec)
{
    apr_size_t room = wanted * ROOM_FACTOR;

    room = room > ROOM_LEAST ? room : ROOM_LEAST;
    return imx_arena_map(&k->arena, spec, addresses_count() ? 0 : room);
}

static int new_arena(server_rec *s, apr_size_t wanted)
{
    unsigned char key[IMX_VALUES_KEY_LEN];
    imx_arena_spec_t spec = {
        .tags = count_tags(),
        .key = key,
        .tag_limit = imx_schema_tag_limit(),
        .series = imx_series_plan(imx_counted_names(s))
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
 * another limit, or too many new names, begins anew.  Children of before
 * keep what they have.
 */
static int keep_values(server_rec *s)
{
    return kept->arena.values.limit == imx_schema_tag_limit() && names_fit()
               ? OK
               : new_values(s);
}

int imx_runtime_prepare(server_rec *s)
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
        kept->arena.stats.histograms =
            imx_reporting()->phases[IMX_REPORTING_APPLICATION] ? 2 : 1;
        kept->wanted = wanted;
        rv = keep_values(s);
    }
    return rv;
}

int imx_runtime_is_kept(server_rec *s)
{
    return get_kept(s) != NULL;
}

apr_uint64_t imx_runtime_leave(server_rec *s)
{
    const kept_t *k = get_kept(s);

    kept = NULL;
    return k != NULL ? imx_batch_totals(&k->arena.batch).pending : 0;
}

imx_arena_t *imx_runtime_arena(void)
{
    return kept != NULL ? &kept->arena : NULL;
}
