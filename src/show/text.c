/*
 * text.c owns the figures as lines of text.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/text.h"

#include "apr_strings.h"
#include "http_protocol.h"

#include "base/words.h"
#include "shared/figures.h"
#include "show/hosts.h"
#include "show/html_text.h"
#include "show/slow.h"
#include "show/view.h"

static void write_words(request_rec *r, const imx_verdict_t *verdict)
{
    unsigned i;

    ap_rvputs(r, "level: ", imx_verdict_level(verdict->words[0].level),
              "\nwords:", NULL);
    for (i = 0; i < verdict->count; i++) {
        const imx_verdict_word_t *word = &verdict->words[i];

        ap_rvputs(r, " ", imx_html_line(r, word->what), NULL);
        if (word->todo[0] != '\0') {
            ap_rvputs(r, " ", imx_html_line(r, word->todo), NULL);
        }
        if (word->id[0] != '\0') {
            ap_rvputs(r, " (", word->id, ")", NULL);
        }
    }
    ap_rputs("\n", r);
}

static void write_span(request_rec *r, const imx_objectives_span_t *span,
                       uint32_t seconds)
{
    double burn = imx_objectives_burn(span);

    ap_rprintf(r,
               "%" APR_UINT64_T_FMT " good of %" APR_UINT64_T_FMT
               " in %u s, burn rate ",
               (apr_uint64_t)span->good, (apr_uint64_t)span->total,
               (unsigned)seconds);
    ap_rputs(burn >= 0 ? apr_psprintf(r->pool, "%.3f, ", burn) : "-, ", r);
}

/* What hosts do not have in common is left out. */
static void write_objective(request_rec *r, const imx_objectives_t *o,
                            const imx_objectives_row_t *row, const char *name)
{
    ap_rputs("objective: ", r);
    if (row->goal.percent > 0) {
        ap_rvputs(r, imx_html_digits(r, row->goal.percent, 10), " %, ", NULL);
    }
    if (row->goal.ns > 0) {
        ap_rprintf(r, "%.3f s, ", (double)row->goal.ns / 1e9);
    }
    write_span(r, &row->spans[IMX_OBJECTIVES_MINUTES5],
               o->seconds[IMX_OBJECTIVES_MINUTES5]);
    write_span(r, &row->spans[IMX_OBJECTIVES_HOUR],
               o->seconds[IMX_OBJECTIVES_HOUR]);
    ap_rvputs(r, imx_html_line(r, name), "\n", NULL);
}

static void write_objectives(request_rec *r, const imx_objectives_t *o)
{
    imx_hosts_row_t *rows = apr_palloc(r->pool,
                                       IMX_HISTORY_HOSTS * sizeof *rows);
    uint32_t n = imx_hosts_get(rows), i;

    write_objective(r, o, &o->all, "all virtual hosts");
    for (i = 0; i < n; i++) {
        if (o->hosts[rows[i].host].goal.percent > 0) {
            write_objective(r, o, &o->hosts[rows[i].host], rows[i].name);
        }
    }
}

void imx_text_figures(request_rec *r, const imx_snapshot_t *s)
{
    size_t rows, i;
    const imx_figures_row_t *row = imx_figures_table(&rows);
    const imx_view_t *view = imx_view_of(r, s);

    for (i = 0; i < rows; i++, row++) {
        imx_figures_value_t v = row->get(s);

        if (row->kind == IMX_FIGURES_TEXT) {
            ap_rvputs(r, row->name, ": ", imx_html_line(r, v.text), "\n",
                      NULL);
        }
        else {
            ap_rprintf(r, "%s: %" APR_INT64_T_FMT "\n", row->name,
                       (apr_int64_t)v.number);
        }
    }
    imx_show_slow_text(r, s);
    if (view->objectives != NULL) {
        write_objectives(r, view->objectives);
    }
    write_words(r, &view->verdict);
}

void imx_text_sentence(request_rec *r, const char *sentence)
{
    ap_rvputs(r, sentence, "\n", NULL);
}
