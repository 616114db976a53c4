/*
 * html_figures.h: the figures of the module in the page: rows of tables.
 */
#ifndef IMX_HTML_FIGURES_H
#define IMX_HTML_FIGURES_H

#include "show/view.h"

/* Rows about delivery, with the sum of the points; and rows of all figures.
 * Any thread. */
void imx_html_figures_delivery(request_rec *r, const imx_view_t *v);
void imx_html_figures_all(request_rec *r, const imx_view_t *v);

#endif
