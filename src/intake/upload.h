/*
 * upload.h: the body of a request, whole and unpacked, or the reason why not.
 */
#ifndef IMX_UPLOAD_H
#define IMX_UPLOAD_H

#include "httpd.h"

/*
 * Reads the body into *text, len bytes in r->pool, waiting for the client as
 * every handler does; unpacks gzip.  Never takes memory for much more than
 * `most` bytes, whatever comes.  Returns OK; HTTP_REQUEST_ENTITY_TOO_LARGE when
 * it has more bytes than that, unpacked or not; HTTP_UNSUPPORTED_MEDIA_TYPE for
 * another coding; HTTP_BAD_REQUEST for gzip that is none, or is cut;
 * HTTP_LENGTH_REQUIRED when it may be cut and nobody can tell; DONE when the
 * connection is of no use any more, or httpd has answered.
 */
int imx_upload_read(request_rec *r, apr_size_t most, const char **text,
                    apr_size_t *len);

#endif
