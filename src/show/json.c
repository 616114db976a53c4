/*
 * json.c owns the figures as JSON.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/json.h"

#include "http_protocol.h"

#include "shared/figures.h"
#include "show/json_history.h"
#include "show/json_server.h"
#include "show/json_value.h"
#include "show/slow.h"

typedef void (*object_fn)(request_rec *r, const imx_view_t *v);

static const object_fn objects[] = {
    imx_json_server_words, imx_json_server_httpd, imx_json_server_workers,
    imx_json_server_processes
};

static void write_objects(request_rec *r, const imx_view_t *v)
{
    size_t i;

    for (i = 0; i < sizeof objects / sizeof *objects; i++) {
        ap_rputs(",\n  ", r);
        objects[i](r, v);
    }
}

void imx_json_figures(request_rec *r, const imx_snapshot_t *s)
{
    size_t rows, i;
    const imx_figures_row_t *row = imx_figures_table(&rows);
    const imx_view_t *view;

    if (imx_json_history_is_asked(r)) {
        imx_json_history(r);
        return;
    }
    view = imx_view_of(r, s);
    for (i = 0; i < rows; i++, row++) {
        imx_figures_value_t v = row->get(s);

        ap_rprintf(r, "%s\n  \"%s\": ", i > 0 ? "," : "{", row->name);
        if (row->kind == IMX_FIGURES_TEXT) {
            ap_rputs(imx_json_value_string(r, v.text), r);
        }
        else {
            ap_rprintf(r, "%" APR_INT64_T_FMT, (apr_int64_t)v.number);
        }
    }
    write_objects(r, view);
    imx_json_history_now(r, view->objectives);
    ap_rputs(",\n  \"slow\": ", r);
    imx_show_slow_json(r, s);
    ap_rputs("\n}\n", r);
}

void imx_json_sentence(request_rec *r, const char *sentence)
{
    ap_rvputs(r, "{\n  \"error\": ", imx_json_value_string(r, sentence),
              "\n}\n", NULL);
}
