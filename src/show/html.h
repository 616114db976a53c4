/*
 * html.h: the page for people: first what is wrong, then the figures.  It is
 * whole without a script; with one it goes on by itself (src/show/page).
 */
#ifndef IMX_HTML_H
#define IMX_HTML_H

#include "httpd.h"

#include "shared/snapshot.h"

/* Both write the body of the answer to r; any thread. */
void imx_html_figures(request_rec *r, const imx_snapshot_t *s);
void imx_html_sentence(request_rec *r, const char *sentence);

#endif
