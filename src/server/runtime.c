/*
 * runtime.c owns the life of the shared memory: how it is made, kept over
 * graceful restarts, and changed by them.
 * Entered by the parent's only thread, while it starts or restarts.
 * The memory and its address outlive graceful restarts and all children.
 */
#include "server/runtime.h"

#include "ap_mpm.h"
#include "apr_general.h"
#include "apr_shm.h"
#include "http_config.h"
#include "http_log.h"

#include "base/log.h"
#include "config/config.h"
#include "config/schema.h"
#include "shared/batch.h"
#include "shared/values.h"

#include <errno.h>
#include <sys/mman.h>

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

typedef struct {
    imx_batch_t batch;
    apr_size_t wanted; /* InfluxMetricsBufferSize */
} kept_t;

static kept_t *kept; /* NULL: the module records nothing */

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

int imx_runtime_is_kept(void)
{
    return ap_retained_data_get(KEPT_KEY) != NULL;
}

int imx_runtime_prepare(server_rec *s)
{
    int rv = get_values(s);

    return rv == OK ? get_area(s) : rv;
}

const imx_batch_t *imx_runtime_batch(void)
{
    return kept != NULL ? &kept->batch : NULL;
}

imx_values_t *imx_runtime_values(void)
{
    return &values;
}
