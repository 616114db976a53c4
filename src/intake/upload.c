/*
 * upload.c owns the way of a body from the client into memory: how much is read
 * of it, and what is unpacked.
 * Entered by any thread that serves a request.
 * Nothing survives the request.
 */
#include "intake/upload.h"

#include "apr_strings.h"
#include "http_protocol.h"

#include <zlib.h>

#define PIECE 65536
#define WITH_GZIP_HEADER (15 + 16) /* of zlib's inflateInit2() */

/* Bytes that grow, up to `most` and one more, which tells that there are too
 * many. */
typedef struct {
    apr_pool_t *p;
    char *bytes;
    apr_size_t len, room, most;
    apr_size_t first; /* room to begin with */
} heap_t;

/* Room for at least one byte more; 0 when there are too many already. */
static int make_room(heap_t *h)
{
    apr_size_t room = h->room * 2;
    char *bytes;

    if (h->len < h->room) {
        return 1;
    }
    if (h->len > h->most) {
        return 0;
    }
    room = room < h->first ? h->first : room;
    room = room > h->most + 1 ? h->most + 1 : room;
    bytes = apr_palloc(h->p, room);
    if (h->len > 0) {
        memcpy(bytes, h->bytes, h->len);
    }
    h->bytes = bytes;
    h->room = room;
    return 1;
}

static void add(heap_t *h, const char *bytes, apr_size_t len)
{
    while (len > 0 && make_room(h)) {
        apr_size_t n = h->room - h->len < len ? h->room - h->len : len;

        memcpy(h->bytes + h->len, bytes, n);
        h->len += n;
        bytes += n;
        len -= n;
    }
}

/* ---- from the client ---- */

/* One piece, into h.  Sets *is_whole at the end of the body. */
static apr_status_t add_piece(heap_t *h, apr_bucket_brigade *bb, int *is_whole)
{
    apr_bucket *e;

    for (e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb);
         e = APR_BUCKET_NEXT(e)) {
        const char *bytes;
        apr_size_t len;
        apr_status_t rv;

        if (APR_BUCKET_IS_EOS(e)) {
            *is_whole = 1;
            break;
        }
        if (APR_BUCKET_IS_METADATA(e)) {
            continue;
        }
        rv = apr_bucket_read(e, &bytes, &len, APR_BLOCK_READ);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        add(h, bytes, len);
    }
    return APR_SUCCESS;
}

/* A body that did not come whole is none: a client that has gone, or took too
 * long, gets what httpd says then. */
static int from_client(request_rec *r, heap_t *h)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool,
                                                r->connection->bucket_alloc);
    int is_whole = 0;

    while (!is_whole && h->len <= h->most) {
        apr_status_t rv = ap_get_brigade(r->input_filters, bb,
                                         AP_MODE_READBYTES, APR_BLOCK_READ,
                                         PIECE);

        if (rv == APR_SUCCESS) {
            rv = add_piece(h, bb, &is_whole);
        }
        apr_brigade_cleanup(bb);
        if (rv != APR_SUCCESS) {
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
    }
    return h->len <= h->most ? OK : HTTP_REQUEST_ENTITY_TOO_LARGE;
}

/* ---- gzip ---- */

/* What zlib said last; Z_STREAM_END when all of it is unpacked.  A gzip file
 * may have several members, one behind the other. */
static int inflate_all(z_stream *z, heap_t *h)
{
    int rv = Z_OK;

    while (rv == Z_OK && make_room(h)) {
        z->next_out = (Bytef *)h->bytes + h->len;
        z->avail_out = (uInt)(h->room - h->len);
        rv = inflate(z, Z_NO_FLUSH);
        h->len = h->room - z->avail_out;
        if (rv == Z_STREAM_END && z->avail_in > 0) {
            rv = inflateReset(z);
        }
    }
    return rv;
}

static int unpack(heap_t *packed, heap_t *h)
{
    z_stream z;
    int rv;

    memset(&z, 0, sizeof z);
    if (inflateInit2(&z, WITH_GZIP_HEADER) != Z_OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    z.next_in = (Bytef *)packed->bytes;
    z.avail_in = (uInt)packed->len;
    rv = inflate_all(&z, h);
    inflateEnd(&z);
    if (h->len > h->most) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    return rv == Z_STREAM_END ? OK : HTTP_BAD_REQUEST;
}

static int has_coding(request_rec *r, const char *name)
{
    const char *coding = apr_table_get(r->headers_in, "Content-Encoding");

    return coding != NULL && ap_cstr_casecmp(coding, name) == 0;
}

static int is_known_coding(request_rec *r)
{
    return apr_table_get(r->headers_in, "Content-Encoding") == NULL
           || has_coding(r, "gzip") || has_coding(r, "identity")
           || has_coding(r, "");
}

/*
 * Is it seen when the body is broken off?  Over HTTP/2 that cannot be relied on
 * by itself: mod_http2 ends a body that its client takes back as it ends one
 * that is whole, and breaks it off behind that, which is too late for who reads
 * it just then.  httpd compares it with its Content-Length, and zlib with what
 * stands behind it.
 */
static int tells_its_end(request_rec *r)
{
    return r->proto_num < HTTP_VERSION(2, 0)
           || apr_table_get(r->headers_in, "Content-Length") != NULL
           || has_coding(r, "gzip");
}

int imx_upload_read(request_rec *r, apr_size_t most, const char **text,
                    apr_size_t *len)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    heap_t packed = { r->pool, NULL, 0, 0, most, PIECE }, unpacked = packed;
    heap_t *h = &packed;
    int may_be_cut = !tells_its_end(r); /* before a filter changes the head */
    int rv;

    if (!is_known_coding(r)) {
        return HTTP_UNSUPPORTED_MEDIA_TYPE;
    }
    if (length != NULL && apr_atoi64(length) > (apr_int64_t)most) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    if (length != NULL && apr_atoi64(length) > 0) {
        packed.first = (apr_size_t)apr_atoi64(length);
    }
    rv = from_client(r, h);
    /* Not before: SetInputFilter DEFLATE unpacks it, and takes the header out
     * with the first piece. */
    if (rv == OK && has_coding(r, "gzip")) {
        h = &unpacked;
        rv = unpack(&packed, h);
    }
    *text = h->bytes;
    *len = h->len;
    return rv == OK && may_be_cut && h->len > 0 ? HTTP_LENGTH_REQUIRED : rv;
}
