/*
 * html_text.h: texts and numbers as they stand in the page, in r's pool.  Any
 * thread.
 */
#ifndef IMX_HTML_TEXT_H
#define IMX_HTML_TEXT_H

#include "httpd.h"

#include <stdint.h>

/* As imx_words_line() writes it, which is no HTML yet. */
const char *imx_html_line(request_rec *r, const char *text);

/* What a name or a path has in it is text in the page, never HTML; a control
 * character is a space. */
const char *imx_html_text(request_rec *r, const char *text);

/* "12,345"; below zero, which is not known: a dash.  So in all of these. */
const char *imx_html_number(request_rec *r, int64_t number);
const char *imx_html_bytes(request_rec *r, int64_t bytes);
const char *imx_html_taken(request_rec *r, double seconds);

/* "0", "0.4", "12.3", "1,221" */
const char *imx_html_rate(request_rec *r, double number);

/* "99.9", with as many digits as it has, at most so many. */
const char *imx_html_digits(request_rec *r, double number, int digits);

/* Of a share between 0 and 1: "0 %", "< 0.1 %", "4.9 %", "41 %" */
const char *imx_html_percent(request_rec *r, double share);

#endif
