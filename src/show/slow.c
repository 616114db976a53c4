/*
 * slow.c owns how slow requests are shown to programs (in the page:
 * html_server.c).
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 *
 * Method and path come from clients, and from shared memory: they are written
 * as what they are shown in needs it.
 */
#include "show/slow.h"

#include "http_protocol.h"

#include "base/words.h"

typedef size_t words_t(char *to, size_t size, const char *text);

static const char *written(request_rec *r, words_t *words, const char *text)
{
    size_t size = words(NULL, 0, text) + 1;
    char *to = apr_palloc(r->pool, size);

    words(to, size, text);
    return to;
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

/* ---- JSON ---- */

static void put_object(request_rec *r, const imx_snapshot_t *s, unsigned i)
{
    const imx_slow_request_t *slow = &s->slow.of[i].request;

    ap_rvputs(r,
              "{\"server\":", written(r, imx_words_json, s->slow_servers[i]),
              ",\"method\":", written(r, imx_words_json, slow->method),
              ",\"uri\":",
              *slow->path != '\0' ? written(r, imx_words_json, slow->path)
                                  : "null",
              NULL);
    ap_rprintf(r, ",\"elapsed\":%.3f,\"waits_for\":\"%s\",\"pid\":%d}",
               seconds(s->slow.of[i].elapsed), imx_slow_wait(slow->wait),
               (int)s->slow.of[i].pid);
}

void imx_show_slow_json(request_rec *r, const imx_snapshot_t *s)
{
    unsigned i;

    ap_rputs("[", r);
    for (i = 0; i < s->slow.count; i++) {
        ap_rputs(i > 0 ? "," : "", r);
        put_object(r, s, i);
    }
    ap_rputs("]", r);
}

/* ---- text ---- */

void imx_show_slow_text(request_rec *r, const imx_snapshot_t *s)
{
    unsigned i;

    for (i = 0; i < s->slow.count; i++) {
        const imx_slow_request_t *slow = &s->slow.of[i].request;

        ap_rprintf(r, "slow_request: %.3f s, waits for %s, process %d, ",
                   seconds(s->slow.of[i].elapsed), imx_slow_wait(slow->wait),
                   (int)s->slow.of[i].pid);
        ap_rvputs(r, written(r, imx_words_line, s->slow_servers[i]), " ",
                  written(r, imx_words_line, slow->method), " ",
                  written(r, imx_words_line, slow->path), "\n", NULL);
    }
}
