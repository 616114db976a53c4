/*
 * small_arena.h: an arena with a buffer of 1 MB and this process as a child of
 * it, for the tests of what delivers.
 */
#ifndef SMALL_ARENA_H
#define SMALL_ARENA_H

#include "shared/arena.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    imx_arena_t arena;
    imx_batch_child_t child;
    void *memory;
    size_t size;
} small_arena_t;

/* Returns 0 when it is there. */
static inline int small_arena_make(small_arena_t *s)
{
    imx_arena_spec_t spec;
    imx_children_self_t self;
    int raised, rv;

    memset(&spec, 0, sizeof spec);
    imx_batch_plan(1 << 20, 4, 0, &spec.batch, &raised);
    s->size = imx_arena_size(&spec);
    s->memory = mmap(NULL, s->size, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->memory == MAP_FAILED) {
        return -1;
    }
    imx_arena_format(&s->arena, s->memory, &spec);
    rv = imx_children_join(&s->arena.children, &self, getpid());
    imx_batch_open(&s->child, &s->arena.batch, &self);
    return rv;
}

static inline int small_arena_free(small_arena_t *s)
{
    return munmap(s->memory, s->size);
}

#endif
