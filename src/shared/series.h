/*
 * series.h: the names of what requests are counted by: a virtual host, or a
 * virtual host and one of its routes.  A series has a number, which says where
 * its counters are (stats.h).
 *
 * The part:  header | names[capacity]
 *
 * httpd's parent appends names at the start and at each graceful restart, and
 * nothing is ever moved or removed: a number means the same to all processes,
 * children of the generation before included.  Series 0 is called "other": it
 * has what found no place of its own.
 *
 * Names are copied out, and a copy ends for sure, as other processes can write
 * to the part.
 */
#ifndef IMX_SERIES_H
#define IMX_SERIES_H

#include <stddef.h>
#include <stdint.h>

#define IMX_SERIES_VERSION 1
#define IMX_SERIES_OTHER 0
#define IMX_SERIES_NAME_MAX 255 /* bytes of a server's or route's name */
#define IMX_SERIES_MOST 4096    /* series of a part */

/* As text, not escaped. */
typedef struct {
    char server[IMX_SERIES_NAME_MAX + 1];
    char route[IMX_SERIES_NAME_MAX + 1]; /* "": it is not kept by route */
} imx_series_name_t;

/* A process's own view, in its private memory. */
typedef struct {
    struct imx_series_part *part;
    uint32_t capacity; /* names, "other" included */
} imx_series_t;

/* Parent: how many series a part should have that begins with so many names:
 * with places for those that graceful restarts bring. */
uint32_t imx_series_plan(uint32_t names);

/* Parent: bytes of memory for so many series; makes the part in zeroed memory
 * (64 bytes aligned). */
size_t imx_series_size(uint32_t capacity);
void imx_series_format(imx_series_t *s, void *base, uint32_t capacity);

/* Parent: the number of the series with these names, as it was before or new;
 * OTHER when there is no place for another one.  What is too long is cut. */
uint32_t imx_series_use(const imx_series_t *s, const char *server,
                        const char *route);

/* Any: how many series have names; at least 1, at most the capacity. */
uint32_t imx_series_count(const imx_series_t *s);

/* Any: the name of a series; "other" for one that has none. */
imx_series_name_t imx_series_name(const imx_series_t *s, uint32_t series);

#endif
