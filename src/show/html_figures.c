/*
 * html_figures.c owns the figures of the module as rows of HTML: a cell has the
 * name of its figure and how it is written, so that the script can renew it.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/html_figures.h"

#include "apr_strings.h"
#include "http_protocol.h"

#include "base/words.h"
#include "shared/figures.h"
#include "show/html_text.h"

/* Seconds since 1970, and how long ago that is. */
static const char *time_text(request_rec *r, const imx_snapshot_t *s,
                             int64_t seconds)
{
    char at[IMX_WORDS_SHORT];
    /* Unsigned, as it can be nonsense. */
    int64_t ago = (int64_t)((uint64_t)s->now / 1000000000 - (uint64_t)seconds);

    if (seconds == 0) {
        return "never";
    }
    imx_words_time(at, sizeof at, seconds);
    return apr_pstrcat(r->pool, at, " (",
                       imx_html_taken(r, ago > 0 ? (double)ago : 0), " ago)",
                       NULL);
}

/* How a figure is written: one of UNITS in tables.js. */
static const char *way_of(const imx_figures_row_t *row)
{
    if (row->kind == IMX_FIGURES_TEXT) {
        return "text";
    }
    if (row->kind == IMX_FIGURES_TIME) {
        return "time";
    }
    if (row->unit[0] != '\0') {
        return row->unit;
    }
    /* A process id or a status is no amount. */
    return row->kind == IMX_FIGURES_COUNTER ? "count" : "plain";
}

static const char *value_text(request_rec *r, const imx_snapshot_t *s,
                              const imx_figures_row_t *row)
{
    imx_figures_value_t v = row->get(s);
    const char *way = way_of(row);

    if (strcmp(way, "text") == 0) {
        return v.text[0] != '\0' ? imx_html_text(r, v.text) : "-";
    }
    if (strcmp(way, "time") == 0) {
        return time_text(r, s, v.number);
    }
    if (strcmp(way, "bytes") == 0) {
        return imx_html_bytes(r, v.number);
    }
    if (strcmp(way, "seconds") == 0) {
        return imx_html_taken(r, (double)v.number);
    }
    if (strcmp(way, "plain") == 0) {
        return apr_psprintf(r->pool, "%" APR_INT64_T_FMT,
                            (apr_int64_t)v.number);
    }
    return imx_html_number(r, v.number);
}

static void write_row(request_rec *r, const imx_snapshot_t *s,
                      const imx_figures_row_t *row, const char *class)
{
    ap_rvputs(r, "<tr", class, " title=\"", imx_html_text(r, row->help),
              "\"><th scope=\"row\">", imx_html_text(r, row->label),
              "</th><td data-figure=\"", row->name, "\" data-unit=\"",
              way_of(row), "\">", value_text(r, s, row), "</td></tr>\n", NULL);
}

/* The first five add up to the sixth. */
static const char *const of_delivery[] = {
    "points_sent",    "points_pending",  "points_spooled", "points_rejected",
    "points_dropped", "points_recorded", "state",          "server",
    "last_flush",     "last_status",     "last_error",     "buffer_used",
    "buffer_size",    "lease_holder"
};

void imx_html_figures_delivery(request_rec *r, const imx_view_t *v)
{
    size_t i;

    for (i = 0; i < sizeof of_delivery / sizeof *of_delivery; i++) {
        write_row(r, v->snapshot, imx_figures_find(of_delivery[i]),
                  i == 5 ? " class=\"sum\"" : "");
    }
}

void imx_html_figures_all(request_rec *r, const imx_view_t *v)
{
    size_t rows, i;
    const imx_figures_row_t *table = imx_figures_table(&rows);

    for (i = 0; i < rows; i++) {
        if (i == 0 || table[i].subject != table[i - 1].subject) {
            ap_rvputs(r, "<tr class=\"subject\"><th colspan=\"2\">",
                      imx_figures_subject(table[i].subject), "</th></tr>\n",
                      NULL);
        }
        write_row(r, v->snapshot, &table[i], "");
    }
}
