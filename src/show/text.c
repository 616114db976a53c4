/*
 * text.c owns the figures as lines of text.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/text.h"

#include "http_protocol.h"

#include "base/words.h"
#include "shared/figures.h"
#include "show/slow.h"
#include "show/view.h"

/* A figure is one line, whatever is in it. */
static const char *one_line(request_rec *r, const char *text)
{
    size_t size = strlen(text) + 1;
    char *to = apr_palloc(r->pool, size);

    imx_words_line(to, size, text);
    return to;
}

static void write_words(request_rec *r, const imx_verdict_t *verdict)
{
    unsigned i;

    ap_rvputs(r, "level: ", imx_verdict_level(verdict->words[0].level),
              "\nwords:", NULL);
    for (i = 0; i < verdict->count; i++) {
        const imx_verdict_word_t *word = &verdict->words[i];

        ap_rvputs(r, " ", one_line(r, word->what), NULL);
        if (word->todo[0] != '\0') {
            ap_rvputs(r, " ", one_line(r, word->todo), NULL);
        }
        if (word->id[0] != '\0') {
            ap_rvputs(r, " (", word->id, ")", NULL);
        }
    }
    ap_rputs("\n", r);
}

void imx_text_figures(request_rec *r, const imx_snapshot_t *s)
{
    size_t rows, i;
    const imx_figures_row_t *row = imx_figures_table(&rows);

    for (i = 0; i < rows; i++, row++) {
        imx_figures_value_t v = row->get(s);

        if (row->kind == IMX_FIGURES_TEXT) {
            ap_rvputs(r, row->name, ": ", one_line(r, v.text), "\n", NULL);
        }
        else {
            ap_rprintf(r, "%s: %" APR_INT64_T_FMT "\n", row->name,
                       (apr_int64_t)v.number);
        }
    }
    imx_show_slow_text(r, s);
    write_words(r, &imx_view_of(r, s)->verdict);
}

void imx_text_sentence(request_rec *r, const char *sentence)
{
    ap_rvputs(r, sentence, "\n", NULL);
}
