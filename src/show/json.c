/*
 * json.c owns the figures as JSON.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/json.h"

#include "http_protocol.h"

#include "base/words.h"
#include "shared/figures.h"
#include "show/slow.h"

static const char *json_string(request_rec *r, const char *text)
{
    size_t size = imx_words_json(NULL, 0, text) + 1;
    char *to = apr_palloc(r->pool, size);

    imx_words_json(to, size, text);
    return to;
}

void imx_json_figures(request_rec *r, const imx_snapshot_t *s)
{
    size_t rows, i;
    const imx_figures_row_t *row = imx_figures_table(&rows);

    for (i = 0; i < rows; i++, row++) {
        imx_figures_value_t v = row->get(s);

        ap_rprintf(r, "%s\n  \"%s\": ", i > 0 ? "," : "{", row->name);
        if (row->kind == IMX_FIGURES_TEXT) {
            ap_rputs(json_string(r, v.text), r);
        }
        else {
            ap_rprintf(r, "%" APR_INT64_T_FMT, (apr_int64_t)v.number);
        }
    }
    ap_rputs(",\n  \"slow\": ", r);
    imx_show_slow_json(r, s);
    ap_rputs("\n}\n", r);
}

void imx_json_sentence(request_rec *r, const char *sentence)
{
    ap_rvputs(r, "{\n  \"error\": ", json_string(r, sentence), "\n}\n", NULL);
}
