/*
 * html.c owns the page for people: its documents, with what is known at the
 * moment at the places that are for it, and what stands above the tables.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/html.h"

#include "apr_lib.h"
#include "apr_strings.h"
#include "http_protocol.h"
#include "scoreboard.h"

#include "base/version.h"
#include "base/words.h"
#include "config/config.h"
#include "show/html_figures.h"
#include "show/html_hosts.h"
#include "show/html_server.h"
#include "show/html_text.h"
#include "show/page.h"

typedef void (*writer_fn)(request_rec *r, const imx_view_t *v);

static void write_title(request_rec *r, const imx_view_t *v)
{
    (void)v;
    ap_rvputs(r, imx_html_text(r, imx_config_global()->hostname),
              ": Apache httpd", NULL);
}

static void write_about(request_rec *r, const imx_view_t *v)
{
    const imx_snapshot_t *s = v->snapshot;
    ap_version_t version;

    ap_get_server_revision(&version);
    ap_rprintf(r, "%d.%d.%d, %s, up %s, generation %d", version.major,
               version.minor, version.patch, ap_show_mpm(),
               imx_html_taken(r, (double)imx_snapshot_seconds(s->made, s->now)),
               (int)ap_scoreboard_image->global->running_generation);
}

/* Without a script, where the page may be kept (status.c), a browser goes to
 * the same page that is always new. */
static void write_noscript(request_rec *r, const imx_view_t *v)
{
    (void)v;
    if (r->args == NULL || r->args[0] == '\0') {
        ap_rputs(
            "<noscript><meta http-equiv=\"refresh\" "
            "content=\"0;url=?html\"></noscript>\n",
            r);
    }
}

/* Bytes of the first sentence: the others explain it. */
static size_t first_sentence(const char *text)
{
    const char *p = text;

    while ((p = strstr(p, ". ")) != NULL) {
        if (apr_isupper(p[2])) {
            return (size_t)(p - text) + 1;
        }
        p += 2;
    }
    return strlen(text);
}

static void write_word(request_rec *r, const imx_verdict_word_t *word)
{
    const char *level = imx_verdict_level(word->level);
    size_t first = first_sentence(word->what);

    ap_rvputs(r, "<li class=\"", level, "\"><span class=\"level\">", level,
              "</span><b>",
              imx_html_text(r, apr_pstrmemdup(r->pool, word->what, first)),
              "</b><span>", imx_html_text(r, word->what + first),
              word->todo[0] != '\0' ? " " : "", imx_html_text(r, word->todo),
              word->id[0] != '\0' ? " " : "", word->id, "</span></li>", NULL);
}

static void write_words(request_rec *r, const imx_view_t *v)
{
    unsigned i;

    for (i = 0; i < v->verdict.count; i++) {
        write_word(r, &v->verdict.words[i]);
    }
}

static void write_still(request_rec *r, const imx_view_t *v)
{
    char at[IMX_WORDS_SHORT];

    imx_words_time(at, sizeof at, v->snapshot->now / 1000000000);
    ap_rvputs(r, "Figures of ", at,
              ". The script of this page, which draws charts and goes on by "
              "itself, does not run here: <a href=\"?html\">look again</a>.",
              NULL);
}

static void write_version(request_rec *r, const imx_view_t *v)
{
    (void)v;
    ap_rputs(IMX_VERSION, r);
}

static const writer_fn writers[IMX_PAGE_MARKS] = {
    [IMX_PAGE_TITLE] = write_title,
    [IMX_PAGE_NOSCRIPT] = write_noscript,
    [IMX_PAGE_ABOUT] = write_about,
    [IMX_PAGE_WORDS] = write_words,
    [IMX_PAGE_STILL] = write_still,
    [IMX_PAGE_TILE_REQUESTS] = imx_html_hosts_tile_requests,
    [IMX_PAGE_TILE_ERRORS] = imx_html_hosts_tile_errors,
    [IMX_PAGE_TILE_P50] = imx_html_hosts_tile_p50,
    [IMX_PAGE_TILE_P99] = imx_html_hosts_tile_p99,
    [IMX_PAGE_TILE_BUSY] = imx_html_server_tile_busy,
    [IMX_PAGE_NOTE_BUSY] = imx_html_server_note_busy,
    [IMX_PAGE_TILE_SLOW] = imx_html_server_tile_slow,
    [IMX_PAGE_NOTE_SLOW] = imx_html_server_note_slow,
    [IMX_PAGE_OBJECTIVE] = imx_html_hosts_objective,
    [IMX_PAGE_HOSTS] = imx_html_hosts,
    [IMX_PAGE_WORKERS] = imx_html_server_workers,
    [IMX_PAGE_SLOW] = imx_html_server_slow,
    [IMX_PAGE_PROCESSES] = imx_html_server_processes,
    [IMX_PAGE_DELIVERY] = imx_html_figures_delivery,
    [IMX_PAGE_FIGURES] = imx_html_figures_all,
    [IMX_PAGE_VERSION] = write_version,
};

void imx_html_figures(request_rec *r, const imx_snapshot_t *s)
{
    const imx_view_t *v = imx_view_of(r, s);
    const imx_page_piece_t *piece = imx_page_document();

    for (;; piece++) {
        ap_rwrite(piece->text, (int)piece->length, r);
        if (piece->next == IMX_PAGE_END) {
            return;
        }
        writers[piece->next](r, v);
    }
}

void imx_html_sentence(request_rec *r, const char *sentence)
{
    const imx_page_piece_t *piece = imx_page_of_sentence();

    for (;; piece++) {
        ap_rwrite(piece->text, (int)piece->length, r);
        if (piece->next == IMX_PAGE_END) {
            return;
        }
        ap_rputs(imx_html_text(r, sentence), r);
    }
}
