/*
 * reply.c owns what a server says, as it comes: see reply.h.
 * Entered only by the thread that posts.
 * Nothing survives a crash.
 */
#include "deliver/reply.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "deliver/http_date.h"
#include "deliver/retry_after.h"
#include "deliver/span.h"

#define ANSWER_MAX (1024 * 1024) /* bytes of an answer, before it is cut */

/* What was said so far was another answer's. */
static void begin(imx_reply_t *r)
{
    r->retry_after_ms = -1;
    r->date = 0;
    r->asked[0] = '\0';
    r->location[0] = '\0';
}

void imx_reply_clear(imx_reply_t *r)
{
    r->received = r->kept = 0;
    r->flooded = 0;
    r->asked_at = (int64_t)time(NULL);
    r->clock_ahead_s = 0;
    begin(r);
}

/* The value of the header line, if it has this name; its bytes in *len. */
static const char *header_value(const char *line, size_t bytes,
                                const char *name, size_t *len)
{
    size_t n = strlen(name);

    if (bytes <= n || strncasecmp(line, name, n) != 0) {
        return NULL;
    }
    *len = bytes - n;
    return line + n;
}

/*
 * The header Date is written when the answer begins: between the request and
 * now.  That can be long, as a server may think, and as this process may have
 * been stopped; so what lies in between says nothing of a clock.  Our own may
 * have been set back meanwhile.
 */
static int64_t clock_ahead(const imx_reply_t *r, int64_t theirs)
{
    int64_t now = (int64_t)time(NULL);
    int64_t from = r->asked_at < now ? r->asked_at : now;

    return theirs > now ? now - theirs : theirs < from ? from - theirs : 0;
}

static void take_date(imx_reply_t *r, const char *value, size_t len)
{
    int64_t theirs = imx_http_date_read(value, len);

    r->date = theirs > 0 ? theirs : 0;
    r->clock_ahead_s = theirs > 0 ? clock_ahead(r, theirs) : 0;
}

static void take_asked(imx_reply_t *r, const char *value, size_t len)
{
    if (!imx_span_copy((imx_span_t){ value, len, 0 }, r->asked,
                       sizeof(r->asked))) {
        r->asked[0] = '\0';
    }
}

/* A time of day is one by the server's clock, so its own Date says how far off
 * that is, whichever of the two headers comes first. */
static void take_retry_after(imx_reply_t *r)
{
    time_t now = r->date > 0 ? (time_t)r->date : time(NULL);

    r->retry_after_ms = imx_retry_after_ms(r->asked, strlen(r->asked), now);
}

/* An answer without end: curl ends the transfer when less is taken. */
static size_t take_answer(imx_reply_t *r, size_t bytes)
{
    r->received += bytes;
    r->flooded = r->received > ANSWER_MAX;
    return r->flooded ? 0 : bytes;
}

/* A status line begins an answer; the one before was 100 or 103. */
size_t imx_reply_header(char *data, size_t size, size_t n, void *reply)
{
    imx_reply_t *r = reply;
    size_t bytes = size * n, len;
    const char *value;

    if (header_value(data, bytes, "HTTP/", &len)) {
        begin(r);
    }
    value = header_value(data, bytes, "Retry-After:", &len);
    if (value) {
        take_asked(r, value, len);
        take_retry_after(r);
    }
    value = header_value(data, bytes, "Date:", &len);
    if (value) {
        take_date(r, value, len);
        take_retry_after(r);
    }
    value = header_value(data, bytes, "Location:", &len);
    if (value) {
        snprintf(r->location, sizeof(r->location), "%.*s", (int)len, value);
    }
    return take_answer(r, bytes);
}

/* Keeps the start; curl ends the transfer when less is taken than it gave. */
size_t imx_reply_body(char *data, size_t size, size_t n, void *reply)
{
    imx_reply_t *r = reply;
    size_t bytes = size * n, room = IMX_REPLY_KEPT - r->kept;
    size_t len = bytes < room ? bytes : room;

    memcpy(r->said + r->kept, data, len);
    r->kept += len;
    return take_answer(r, bytes);
}
