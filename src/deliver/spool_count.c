/*
 * spool_count.c owns how many lines the files of a spool have (see
 * spool_count.h).
 * Entered by the thread that works on the spool.
 * What was counted dies with the process.
 */
#include "deliver/spool_count.h"

#define FILES_AT_ONCE 500       /* that are counted in one call, */
#define BYTES_AT_ONCE (1 << 20) /* ... and bytes in one read */

static imx_spool_name_t *at(const imx_spool_dir_t *d, size_t i)
{
    return imx_spool_names_at(&d->names, i);
}

static int is_held(const imx_spool_dir_t *d, const imx_spool_name_t *n)
{
    return d->held != NULL && imx_spool_names_order(n, d->held) == 0;
}

int imx_spool_count_is_known(const imx_spool_name_t *n)
{
    return n->kind != IMX_SPOOL_READY || n->counted == IMX_SPOOL_COUNTED;
}

void imx_spool_count_trust(imx_spool_dir_t *d)
{
    size_t i;

    for (i = 0; i < d->names.count; i++) {
        imx_spool_name_t *n = at(d, i);

        if (!imx_spool_count_is_known(n)) {
            d->found += n->named > n->lines ? n->named - n->lines : 0;
            n->lines = n->named > n->lines ? n->named : n->lines;
            n->counted = IMX_SPOOL_COUNTED;
        }
    }
}

static int is_to_count(const imx_spool_dir_t *d, const imx_spool_name_t *n)
{
    return !imx_spool_count_is_known(n) && !n->denied && !is_held(d, n);
}

/* Counts on; returns how many bytes that took, or SIZE_MAX when it is to be
 * tried later.  A file that cannot be read has no lines that are known. */
static size_t count_on(imx_spool_dir_t *d, imx_spool_name_t *n)
{
    uint64_t was = n->counted, lines = 0, room = UINT32_MAX - n->lines;
    int err = imx_spool_file_count(d->fd, n, BYTES_AT_ONCE, &lines);

    if (imx_spool_file_may_pass(n, err)) {
        return SIZE_MAX;
    }
    if (err != 0) {
        n->counted = IMX_SPOOL_COUNTED;
    }
    lines = lines < room ? lines : room;
    n->lines += (uint32_t)lines;
    d->found += lines;
    return n->counted == IMX_SPOOL_COUNTED ? 0 : (size_t)(n->counted - was);
}

int imx_spool_count_some(imx_spool_dir_t *d, size_t max_bytes)
{
    size_t i, files = 0, bytes = 0, n;

    for (i = 0; i < d->names.count && d->fd >= 0; i++) {
        while (is_to_count(d, at(d, i))) {
            if (files >= FILES_AT_ONCE || bytes >= max_bytes) {
                return 1;
            }
            n = count_on(d, at(d, i));
            if (n == SIZE_MAX && !at(d, i)->denied) {
                return 0;
            }
            bytes += n != SIZE_MAX ? n : 0;
            files += n == 0 || n == SIZE_MAX;
        }
    }
    return 0;
}

void imx_spool_count_all(imx_spool_dir_t *d, imx_spool_name_t *n)
{
    while (!imx_spool_count_is_known(n) && count_on(d, n) != SIZE_MAX) {
    }
}

void imx_spool_count_learn(imx_spool_dir_t *d, imx_spool_name_t *n,
                           const imx_spool_content_t *piece)
{
    uint32_t lines = (uint32_t)piece->lines;

    if (lines > n->lines) {
        d->found += lines - n->lines;
        n->lines = lines;
    }
    else if (piece->is_last) {
        d->lost += n->lines - lines;
        n->lines = lines;
    }
    if (piece->is_last) {
        n->counted = IMX_SPOOL_COUNTED;
    }
    else if (n->counted < n->at + piece->size) {
        n->counted = n->at + piece->size;
    }
}
