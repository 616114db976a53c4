/*
 * text.h: the figures as text, a line "name: value" each, for programs that
 * read mod_status in this way, too.
 */
#ifndef IMX_TEXT_H
#define IMX_TEXT_H

#include "httpd.h"

#include "shared/snapshot.h"

/* Both write the body of the answer to r; any thread. */
void imx_text_figures(request_rec *r, const imx_snapshot_t *s);
void imx_text_sentence(request_rec *r, const char *sentence);

#endif
