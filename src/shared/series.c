/*
 * series.c owns the names of the series that requests are counted by.
 * Entered by httpd's parent (format, use), and by any thread (count, name).
 * Names survive any process; nobody changes one.
 */
#include "shared/series.h"

#include <stdatomic.h>
#include <string.h>

#define SPARE 64  /* places for names that graceful restarts bring */
#define LEAST 128 /* places */

struct imx_series_part {
    _Atomic uint32_t count; /* names that are complete */
    _Alignas(64) imx_series_name_t names[];
};

uint32_t imx_series_plan(uint32_t names)
{
    uint32_t wanted = names < IMX_SERIES_MOST ? names + 1 + SPARE
                                              : IMX_SERIES_MOST;

    if (wanted > IMX_SERIES_MOST) {
        return IMX_SERIES_MOST;
    }
    return wanted < LEAST ? LEAST : wanted;
}

size_t imx_series_size(uint32_t capacity)
{
    return sizeof(struct imx_series_part)
           + capacity * sizeof(imx_series_name_t);
}

/* At most NAME_MAX bytes of it, and not half of a character. */
static void put(char *to, const char *name)
{
    size_t len = strnlen(name, IMX_SERIES_NAME_MAX + 1);

    if (len > IMX_SERIES_NAME_MAX) {
        len = IMX_SERIES_NAME_MAX;
        while (len > 0 && ((unsigned char)name[len] & 0xC0) == 0x80) {
            len--;
        }
    }
    memcpy(to, name, len);
    to[len] = '\0';
}

void imx_series_format(imx_series_t *s, void *base, uint32_t capacity)
{
    s->part = base;
    s->capacity = capacity;
    put(s->part->names[IMX_SERIES_OTHER].server, "other");
    atomic_store(&s->part->count, 1);
}

uint32_t imx_series_count(const imx_series_t *s)
{
    uint32_t count = atomic_load_explicit(&s->part->count,
                                          memory_order_acquire);

    if (count > s->capacity) {
        return s->capacity;
    }
    return count > 0 ? count : 1;
}

uint32_t imx_series_use(const imx_series_t *s, const char *server,
                        const char *route)
{
    uint32_t count = imx_series_count(s), i;
    imx_series_name_t name;

    put(name.server, server);
    put(name.route, route != NULL ? route : "");
    for (i = 0; i < count; i++) {
        const imx_series_name_t *there = &s->part->names[i];

        /* It ends where `name` does, whatever somebody wrote there. */
        if (strcmp(name.server, there->server) == 0
            && strcmp(name.route, there->route) == 0) {
            return i;
        }
    }
    if (count == s->capacity) {
        return IMX_SERIES_OTHER;
    }
    s->part->names[count] = name;
    atomic_store_explicit(&s->part->count, count + 1, memory_order_release);
    return count;
}

imx_series_name_t imx_series_name(const imx_series_t *s, uint32_t series)
{
    imx_series_name_t name;

    name = s->part->names[series < imx_series_count(s) ? series
                                                       : IMX_SERIES_OTHER];
    name.server[IMX_SERIES_NAME_MAX] = '\0';
    name.route[IMX_SERIES_NAME_MAX] = '\0';
    return name;
}
