/*
 * compact.c owns how many numbers are written as JSON at little cost.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/compact.h"

#include "http_protocol.h"

#include "base/c_locale.h"
#include "base/words.h"

#include <math.h>

#define NUMBER_MAX 40 /* bytes that are enough for each number */

void imx_compact_begin(imx_compact_t *c, request_rec *r)
{
    c->r = r;
    c->length = 0;
}

static void flush(imx_compact_t *c)
{
    ap_rwrite(c->text, (int)c->length, c->r);
    c->length = 0;
}

void imx_compact_end(imx_compact_t *c)
{
    flush(c);
}

static void put(imx_compact_t *c, const char *text, size_t length)
{
    if (length > sizeof c->text - c->length) {
        flush(c);
    }
    if (length > sizeof c->text) {
        ap_rwrite(text, (int)length, c->r);
        return;
    }
    memcpy(c->text + c->length, text, length);
    c->length += length;
}

void imx_compact_text(imx_compact_t *c, const char *text)
{
    put(c, text, strlen(text));
}

void imx_compact_string(imx_compact_t *c, const char *string)
{
    size_t size = imx_words_json(NULL, 0, string) + 1;
    char *text = apr_palloc(c->r->pool, size);

    imx_words_json(text, size, string);
    put(c, text, size - 1);
}

void imx_compact_number(imx_compact_t *c, uint64_t number)
{
    char text[NUMBER_MAX], *p = text + sizeof text;

    do {
        *--p = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(c, p, (size_t)(text + sizeof text - p));
}

void imx_compact_float(imx_compact_t *c, double number, int digits)
{
    char text[NUMBER_MAX];
    int length;

    if (!(number >= 0) || isinf(number)) {
        put(c, "null", 4);
        return;
    }
    length = imx_c_locale_print(text, sizeof text, "%.*g", digits, number);
    put(c, text, (size_t)length);
}
