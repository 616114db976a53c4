/*
 * arena.c owns the shared mapping and the table of its parts.
 * Entered by httpd's parent alone, but for imx_arena_made().
 * The mapping survives any process but the parent; see arena.h.
 */
#include "shared/arena.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "shared/measured.h"

#define MAGIC UINT64_C(0x616e657261786d69) /* "imxarena" in memory */
#define VERSION 1
#define NAME_MAX_LEN 16
#define PARTS_MAX 16

typedef struct {
    char name[NAME_MAX_LEN];
    uint32_t version;
    uint64_t offset, size; /* bytes */
} entry_t;

struct imx_arena_header {
    uint64_t magic;
    uint32_t version, parts;
    uint64_t size; /* bytes */
    int64_t made;  /* ns since 1970 */
    entry_t directory[PARTS_MAX];
};

typedef struct {
    const char *name;
    uint32_t version;
    size_t (*size)(const imx_arena_spec_t *spec);
    void (*format)(imx_arena_t *a, void *base, const imx_arena_spec_t *spec);
} part_t;

/* ---- the parts ---- */

static size_t children_size(const imx_arena_spec_t *spec)
{
    return imx_children_size(spec->batch.children);
}

static void children_format(imx_arena_t *a, void *base,
                            const imx_arena_spec_t *spec)
{
    imx_children_format(&a->children, base, spec->batch.children);
}

static size_t lease_size(const imx_arena_spec_t *spec)
{
    (void)spec;
    return imx_lease_size();
}

static void lease_format(imx_arena_t *a, void *base,
                         const imx_arena_spec_t *spec)
{
    (void)spec;
    imx_lease_format(&a->lease, base, &a->children);
}

static size_t board_size(const imx_arena_spec_t *spec)
{
    (void)spec;
    return imx_board_size();
}

static void board_format(imx_arena_t *a, void *base,
                         const imx_arena_spec_t *spec)
{
    (void)spec;
    imx_board_format(&a->board, base);
}

static size_t batch_size(const imx_arena_spec_t *spec)
{
    return imx_batch_size(&spec->batch);
}

static size_t page_size(void)
{
    const long page = sysconf(_SC_PAGESIZE);

    return page > 0 ? (size_t)page : 4096;
}

static size_t up_to_page(size_t n)
{
    return (n + page_size() - 1) / page_size() * page_size();
}

/* The lines are the part behind it. */
static void batch_format(imx_arena_t *a, void *base,
                         const imx_arena_spec_t *spec)
{
    imx_batch_format(&a->batch, base,
                     (char *)base + up_to_page(batch_size(spec)), &spec->batch,
                     &a->children);
}

static size_t lines_size(const imx_arena_spec_t *spec)
{
    return imx_batch_data_size(&spec->batch);
}

static size_t values_size(const imx_arena_spec_t *spec)
{
    return spec->tags == 0 ? 0 : imx_values_plan(spec->tag_limit, spec->tags);
}

static void values_format(imx_arena_t *a, void *base,
                          const imx_arena_spec_t *spec)
{
    if (spec->tags > 0) {
        imx_values_format(&a->values, base, spec->tag_limit, spec->tags,
                          spec->key);
    }
}

static size_t processes_size(const imx_arena_spec_t *spec)
{
    return imx_processes_size(spec->batch.children);
}

static void processes_format(imx_arena_t *a, void *base,
                             const imx_arena_spec_t *spec)
{
    imx_processes_format(&a->processes, base, spec->batch.children);
}

static size_t events_size(const imx_arena_spec_t *spec)
{
    (void)spec;
    return imx_events_size();
}

static void events_format(imx_arena_t *a, void *base,
                          const imx_arena_spec_t *spec)
{
    (void)spec;
    imx_events_format(&a->events, base);
}

static size_t slow_size(const imx_arena_spec_t *spec)
{
    return imx_slow_size(spec->batch.children);
}

static void slow_format(imx_arena_t *a, void *base,
                        const imx_arena_spec_t *spec)
{
    imx_slow_format(&a->slow, base, spec->batch.children);
}

static uint32_t series_of(const imx_arena_spec_t *spec)
{
    return spec->series > 0 ? spec->series : 1;
}

static size_t series_size(const imx_arena_spec_t *spec)
{
    return imx_series_size(series_of(spec));
}

static void series_format(imx_arena_t *a, void *base,
                          const imx_arena_spec_t *spec)
{
    imx_series_format(&a->series, base, series_of(spec));
}

static size_t stats_size(const imx_arena_spec_t *spec)
{
    return imx_stats_size(series_of(spec));
}

static void stats_format(imx_arena_t *a, void *base,
                         const imx_arena_spec_t *spec)
{
    imx_stats_format(&a->stats, base, series_of(spec));
}

static size_t exemplars_size(const imx_arena_spec_t *spec)
{
    return imx_exemplars_size(series_of(spec));
}

static void exemplars_format(imx_arena_t *a, void *base,
                             const imx_arena_spec_t *spec)
{
    imx_exemplars_format(&a->exemplars, base, series_of(spec));
}

static size_t intervals_size(const imx_arena_spec_t *spec)
{
    imx_interval_spec_t rows[IMX_MEASURED];

    imx_measured_spec(rows, series_of(spec));
    return imx_interval_size(rows, IMX_MEASURED);
}

/* Two servers of one host should not draw the same offset; that is all. */
static uint32_t draw_offset(const imx_interval_now_t *now)
{
    uint32_t offset;

    return getentropy(&offset, sizeof offset) == 0
               ? offset
               : (uint32_t)now->mono ^ (uint32_t)getpid();
}

static void intervals_format(imx_arena_t *a, void *base,
                             const imx_arena_spec_t *spec)
{
    imx_interval_now_t now = imx_interval_now();
    imx_interval_spec_t rows[IMX_MEASURED];

    imx_measured_spec(rows, series_of(spec));
    imx_interval_format(&a->intervals, base, rows, IMX_MEASURED, &now,
                        draw_offset(&now));
}

static size_t intake_size(const imx_arena_spec_t *spec)
{
    (void)spec;
    return imx_intake_size();
}

static void intake_format(imx_arena_t *a, void *base,
                          const imx_arena_spec_t *spec)
{
    (void)spec;
    imx_intake_format(&a->intake, base);
}

static size_t queried_size(const imx_arena_spec_t *spec)
{
    (void)spec;
    return imx_queried_size();
}

static void queried_format(imx_arena_t *a, void *base,
                           const imx_arena_spec_t *spec)
{
    (void)spec;
    imx_queried_format(&a->queried, base);
}

static size_t history_size(const imx_arena_spec_t *spec)
{
    (void)spec;
    return imx_history_size();
}

static void history_format(imx_arena_t *a, void *base,
                           const imx_arena_spec_t *spec)
{
    imx_interval_now_t now = imx_interval_now();

    (void)spec;
    imx_history_format(&a->history, base, now.wall, now.mono);
}

static const part_t parts[] = {
    { "children", IMX_CHILDREN_VERSION, children_size, children_format },
    { "lease", IMX_LEASE_VERSION, lease_size, lease_format },
    { "board", IMX_BOARD_VERSION, board_size, board_format },
    { "batch", IMX_BATCH_VERSION, batch_size, batch_format },
    { "lines", IMX_BATCH_VERSION, lines_size, NULL },
    { "values", IMX_VALUES_VERSION, values_size, values_format },
    { "processes", IMX_PROCESSES_VERSION, processes_size, processes_format },
    { "slow", IMX_SLOW_VERSION, slow_size, slow_format },
    { "events", IMX_EVENTS_VERSION, events_size, events_format },
    { "series", IMX_SERIES_VERSION, series_size, series_format },
    { "stats", IMX_STATS_VERSION, stats_size, stats_format },
    { "exemplars", IMX_EXEMPLARS_VERSION, exemplars_size, exemplars_format },
    { "intervals", IMX_MEASURED_VERSION, intervals_size, intervals_format },
    { "intake", IMX_INTAKE_VERSION, intake_size, intake_format },
    { "queried", IMX_QUERIED_VERSION, queried_size, queried_format },
    { "history", IMX_HISTORY_VERSION, history_size, history_format },
};

#define PARTS (sizeof parts / sizeof *parts)
_Static_assert(PARTS <= PARTS_MAX, "the directory is too small");

/* ---- making it ---- */

size_t imx_arena_size(const imx_arena_spec_t *spec)
{
    size_t size = up_to_page(sizeof(struct imx_arena_header)), i;

    for (i = 0; i < PARTS; i++) {
        size += up_to_page(parts[i].size(spec));
    }
    return size;
}

static size_t add_part(imx_arena_t *a, size_t i, size_t at,
                       const imx_arena_spec_t *spec)
{
    entry_t *entry = &a->header->directory[i];

    snprintf(entry->name, sizeof entry->name, "%s", parts[i].name);
    entry->version = parts[i].version;
    entry->offset = at;
    entry->size = parts[i].size(spec);
    if (parts[i].format != NULL) {
        parts[i].format(a, (char *)a->header + at, spec);
    }
    return at + up_to_page(entry->size);
}

void imx_arena_format(imx_arena_t *a, void *base, const imx_arena_spec_t *spec)
{
    size_t at = up_to_page(sizeof(struct imx_arena_header)), i;

    memset(a, 0, sizeof *a);
    a->header = base;
    a->size = imx_arena_size(spec);
    for (i = 0; i < PARTS; i++) {
        at = add_part(a, i, at, spec);
    }
    a->header->magic = MAGIC;
    a->header->version = VERSION;
    a->header->parts = PARTS;
    a->header->size = a->size;
    a->header->made = imx_clock_wall();
}

/* Anonymous memory at the same address in all processes to come.  Not in core
 * files: most of it is not there. */
static void *get_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        return NULL;
    }
    madvise(p, size, MADV_DONTDUMP);
    return p;
}

int imx_arena_map(imx_arena_t *a, const imx_arena_spec_t *spec, size_t room)
{
    imx_arena_spec_t roomy = *spec;
    void *memory;

    imx_batch_reserve(room, &roomy.batch);
    memory = get_memory(imx_arena_size(&roomy));
    if (memory == NULL) {
        /* A limit on addresses, or strict overcommit. */
        roomy = *spec;
        memory = get_memory(imx_arena_size(&roomy));
    }
    if (memory == NULL) {
        return errno;
    }
    imx_arena_format(a, memory, &roomy);
    return 0;
}

int imx_arena_new_values(imx_arena_t *a, uint32_t tags, uint32_t tag_limit,
                         const void *key)
{
    size_t size = imx_values_plan(tag_limit, tags);
    void *memory = get_memory(size);

    if (memory == NULL) {
        return errno;
    }
    if (a->own_values != NULL) {
        munmap(a->own_values, a->own_values_size);
    }
    a->own_values = memory;
    a->own_values_size = size;
    imx_values_format(&a->values, memory, tag_limit, tags, key);
    return 0;
}

void imx_arena_died(const imx_arena_t *a, pid_t pid)
{
    imx_lease_died(&a->lease, pid);
    imx_children_died(&a->children, pid);
}

int64_t imx_arena_made(const imx_arena_t *a)
{
    return a->header->made;
}

/* ---- what it is ---- */

const char *imx_arena_layout(void)
{
    static char text[PARTS_MAX * (NAME_MAX_LEN + 12) + 32];
    size_t at = (size_t)snprintf(text, sizeof text, "arena %d.%zu", VERSION,
                                 sizeof(imx_arena_t));
    size_t i;

    for (i = 0; i < PARTS && at < sizeof text; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, " %s %u",
                               parts[i].name, (unsigned)parts[i].version);
    }
    return text;
}

const char *imx_arena_validate(const imx_arena_t *a)
{
    const struct imx_arena_header *h = a->header;
    uint64_t at = up_to_page(sizeof *h);
    size_t i;

    if (h->magic != MAGIC || h->version != VERSION || h->parts != PARTS
        || h->size != a->size) {
        return "the header is not that of an arena";
    }
    for (i = 0; i < PARTS; i++) {
        const entry_t *entry = &h->directory[i];

        if (strncmp(entry->name, parts[i].name, sizeof entry->name) != 0
            || entry->version != parts[i].version) {
            return "a part has another name or version";
        }
        if (entry->offset != at || entry->size > a->size - at) {
            return "a part is in another place";
        }
        at += up_to_page(entry->size);
    }
    return at == a->size ? NULL : "the parts do not fill the arena";
}
