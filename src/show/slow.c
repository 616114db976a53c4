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

#include "show/html_text.h"
#include "show/json_value.h"

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

/* ---- JSON ---- */

static void put_object(request_rec *r, const imx_snapshot_t *s, unsigned i)
{
    const imx_slow_request_t *slow = &s->slow.of[i].request;

    ap_rvputs(r, "{\"server\":", imx_json_value_string(r, s->slow_servers[i]),
              ",\"method\":", imx_json_value_string(r, slow->method),
              ",\"uri\":",
              *slow->path != '\0' ? imx_json_value_string(r, slow->path)
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
        ap_rvputs(r, imx_html_line(r, s->slow_servers[i]), " ",
                  imx_html_line(r, slow->method), " ",
                  imx_html_line(r, slow->path), "\n", NULL);
    }
}
