/*
 * geometry.c owns how large the batch is: planned, made in zeroed memory, made
 * larger and smaller (batch.h).
 * Entered by httpd's parent.
 * All of it survives any process; see batch.h for why.
 */
#include "shared/batch.h"

#include <unistd.h>

#include "shared/group.h"
#include "shared/segment.h"

/* What many children need: three segments each. */
static uint32_t least_segments(uint32_t children)
{
    return 3 * children + 16;
}

size_t imx_batch_size(const imx_batch_geometry_t *g)
{
    return sizeof(struct imx_batch_part) + g->room * sizeof(segment_t)
           + g->children * sizeof(refused_t)
           + mark_words(g->room) * sizeof(uint64_t);
}

size_t imx_batch_data_size(const imx_batch_geometry_t *g)
{
    return (size_t)g->room * g->segment_size;
}

static uint32_t page_size(uint32_t wanted)
{
    long page = sysconf(_SC_PAGESIZE);

    return wanted != 0 ? wanted : page > 0 ? (uint32_t)page : 4096;
}

void imx_batch_plan(size_t size, uint32_t children, uint32_t page,
                    imx_batch_geometry_t *geometry, int *raised)
{
    size_t segment_size = IMX_BATCH_SEGMENT_MAX;
    size_t segments, least;

    if (children > (IMX_CHILDREN_MAX - 16) / 2) {
        children = (IMX_CHILDREN_MAX - 16) / 2;
    }
    page = page_size(page);
    least = least_segments(children);
    while (segment_size > IMX_BATCH_SEGMENT_MIN && segment_size / 2 >= page
           && size / segment_size < 4 * least) {
        segment_size /= 2;
    }
    segments = size / segment_size;
    if (segments >= 1u << INDEX_BITS) {
        segments = (1u << INDEX_BITS) - 1;
    }
    *raised = segments < least;
    geometry->segments = (uint32_t)(*raised ? least : segments);
    geometry->segment_size = (uint32_t)segment_size;
    geometry->room = geometry->segments;
    geometry->page = page;
    /* While children of two generations overlap, and until the dead are
     * salvaged, there are more rows than children. */
    geometry->children = 2 * children + 16;
}

void imx_batch_reserve(size_t size, imx_batch_geometry_t *geometry)
{
    size_t room = size / geometry->segment_size;

    if (room >= 1u << INDEX_BITS) {
        room = (1u << INDEX_BITS) - 1;
    }
    if (room > geometry->room) {
        geometry->room = (uint32_t)room;
    }
}

/* Only the parent gets here, so nobody else makes them meanwhile. */
static void begin_segments(const imx_batch_t *b, uint32_t n)
{
    uint32_t i;

    for (i = atomic_load(&b->part->begun); i < n; i++) {
        /* Generation 1: the zeroed extents are of generation 0. */
        atomic_store(&b->segments[i].word,
                     make_word(FREE, IMX_BATCH_NOBODY, 1));
    }
    if (i > atomic_load(&b->part->begun)) {
        atomic_store(&b->part->begun, i);
    }
}

void imx_batch_format(imx_batch_t *b, void *words, void *data,
                      const imx_batch_geometry_t *geometry,
                      const imx_children_t *children)
{
    b->part = words;
    b->geometry = *geometry;
    b->geometry.page = page_size(geometry->page);
    b->segments = (segment_t *)(b->part + 1);
    b->refused = (refused_t *)(b->segments + b->geometry.room);
    b->marks = (_Atomic uint64_t *)(b->refused + b->geometry.children);
    b->data = data;
    b->children = children;
    atomic_store(&b->part->any_free, 1);
    begin_segments(b, geometry->segments);
    atomic_store(&b->part->in_use, geometry->segments);
}

size_t imx_batch_resize(const imx_batch_t *b, size_t size, int *raised)
{
    const imx_batch_geometry_t *g = &b->geometry;
    size_t least = least_segments(
        g->children > 16 ? (g->children - 16) / 2 : 0);
    size_t n = size / g->segment_size;

    *raised = n < least;
    n = *raised ? least : n;
    n = n < g->room ? n : g->room;
    begin_segments(b, (uint32_t)n);
    atomic_store(&b->part->in_use, (uint32_t)n);
    atomic_store(&b->part->any_free, 1);
    return n * g->segment_size;
}
