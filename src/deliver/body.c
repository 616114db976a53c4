/*
 * body.c owns the bytes of a POST: see body.h.
 * Entered only by the thread that posts.
 * Nothing survives a crash: the lines are the caller's.
 */
#include "deliver/body.h"

#include <string.h>

#include "base/clock.h"
#include "base/least.h"

/*
 * Access lines of 198 bytes with 4 servers and 16 processes, zlib 1.2.13:
 *   level       1      2      3      4      5      6
 *   bytes      26.1   24.7   23.5   22.3   21.0   19.8   a line
 *   time       1000   1020   1200   1560   1790   2490   ns a line
 * The processor is the web server's: what 2 leaves over is not worth it.
 */
#define GZIP_LEVEL 2
#define GZIP_WINDOW (15 + 16) /* 32 KB, and gzip's head and tail */
#define GZIP_MEMORY 8         /* zlib's default: 256 KB in all */

/* Fills libcurl's buffer with as many lines as fit, cut wherever it ends. */
static size_t read_lines(char *to, size_t room, imx_body_t *b)
{
    size_t done = 0;

    room = (size_t)imx_least(room, b->may_take - b->taken);
    while (done < room && b->at < b->count) {
        const imx_influx_line_t *line = &b->lines[b->at];
        size_t len = line->len - b->off;

        len = len < room - done ? len : room - done;
        memcpy(to + done, line->data + b->off, len);
        done += len;
        b->off += len;
        if (b->off == line->len) {
            b->at++;
            b->off = 0;
        }
    }
    b->taken += done;
    return done;
}

/* The first line of a read goes out however late it is: a thread that gets
 * little time would never begin otherwise. */
static int may_take_more(const imx_body_t *b, uint64_t before)
{
    return b->taken < b->may_take
           && (b->until == 0 || b->taken == before
               || imx_clock_now() < b->until);
}

/* The same, compressed: zlib reads the lines where they lie.  Compressing takes
 * time, so the clock says how many lines it is at once. */
static size_t read_gzip(char *to, size_t room, imx_body_t *b)
{
    z_stream *z = &b->z;
    uint64_t before = b->taken;
    int rv = Z_OK;

    z->next_out = (Bytef *)to;
    z->avail_out = (uInt)room;
    while (z->avail_out > 0 && !b->ended && rv == Z_OK) {
        if (z->avail_in == 0 && b->at < b->count) {
            if (!may_take_more(b, before)) {
                break;
            }
            z->next_in = (z_const Bytef *)(uintptr_t)b->lines[b->at].data;
            z->avail_in = b->lines[b->at++].len;
            b->taken += z->avail_in;
        }
        rv = deflate(z, b->at < b->count ? Z_NO_FLUSH : Z_FINISH);
        b->ended = rv == Z_STREAM_END;
    }
    return rv == Z_OK || b->ended ? room - z->avail_out : CURL_READFUNC_ABORT;
}

size_t imx_body_read(char *to, size_t size, size_t n, void *body)
{
    imx_body_t *b = body;
    size_t done = b->packed ? read_gzip(to, size * n, b)
                            : read_lines(to, size * n, b);

    b->waits = done == 0 && !imx_body_is_out(b);
    return b->waits ? CURL_READFUNC_PAUSE : done;
}

void imx_body_allow(imx_body_t *b, uint64_t bytes, int64_t until)
{
    b->may_take = bytes;
    b->until = until;
}

int imx_body_open_gzip(imx_body_t *b)
{
    b->has_z = deflateInit2(&b->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW,
                            GZIP_MEMORY, Z_DEFAULT_STRATEGY)
               == Z_OK;
    return !b->has_z;
}

void imx_body_close(imx_body_t *b)
{
    if (b->has_z) {
        deflateEnd(&b->z);
        b->has_z = 0;
    }
}

void imx_body_rewind(imx_body_t *b)
{
    b->at = b->off = 0;
    b->taken = 0;
    b->waits = b->ended = 0;
    if (b->packed) {
        deflateReset(&b->z);
        b->z.avail_in = 0;
    }
}

void imx_body_set(imx_body_t *b, const imx_influx_line_t *lines, size_t count,
                  int packed)
{
    b->lines = lines;
    b->count = count;
    b->packed = packed;
    imx_body_allow(b, UINT64_MAX, 0);
    imx_body_rewind(b);
}

curl_off_t imx_body_bytes(const imx_body_t *b)
{
    curl_off_t bytes = 0;

    for (size_t i = 0; i < b->count; i++) {
        bytes += b->lines[i].len;
    }
    return b->packed ? -1 : bytes;
}

int imx_body_is_out(const imx_body_t *b)
{
    return b->at == b->count && (!b->packed || b->ended);
}
