/*
 * compact.h: JSON without spaces, for answers of many thousand numbers: through
 * a buffer, and with no more digits than a number deserves.
 * The thread that serves the request.
 */
#ifndef IMX_COMPACT_H
#define IMX_COMPACT_H

#include "httpd.h"

#include <stdint.h>

typedef struct {
    request_rec *r;
    size_t length;
    char text[8000];
} imx_compact_t;

/* In this order: begin, whatever is to be written, end. */
void imx_compact_begin(imx_compact_t *c, request_rec *r);
void imx_compact_end(imx_compact_t *c);

/* Text as it is; a string with its quotes, whatever is in it. */
void imx_compact_text(imx_compact_t *c, const char *text);
void imx_compact_string(imx_compact_t *c, const char *string);

/* Whole numbers; others with so many significant digits, or null when negative
 * or none. */
void imx_compact_number(imx_compact_t *c, uint64_t number);
void imx_compact_float(imx_compact_t *c, double number, int digits);

/* A comma, but not before the first one of a list: i == 0. */
static inline void imx_compact_comma(imx_compact_t *c, uint32_t i)
{
    if (i > 0) {
        imx_compact_text(c, ",");
    }
}

#endif
