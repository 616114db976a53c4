/*
 * html_text.c owns how texts and numbers stand in the page; words.js in
 * src/show/page writes them in the same way.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/html_text.h"

#include "apr_strings.h"

#include "base/c_locale.h"
#include "base/words.h"

#define UNKNOWN "-"

const char *imx_html_line(request_rec *r, const char *text)
{
    size_t size = imx_words_line(NULL, 0, text) + 1;
    char *line = apr_palloc(r->pool, size);

    imx_words_line(line, size, text);
    return line;
}

const char *imx_html_text(request_rec *r, const char *text)
{
    return ap_escape_html(r->pool, imx_html_line(r, text));
}

const char *imx_html_number(request_rec *r, int64_t number)
{
    char words[IMX_WORDS_SHORT];

    if (number < 0) {
        return UNKNOWN;
    }
    imx_words_number(words, sizeof words, number);
    return apr_pstrdup(r->pool, words);
}

const char *imx_html_bytes(request_rec *r, int64_t bytes)
{
    char words[IMX_WORDS_SHORT];

    if (bytes < 0) {
        return UNKNOWN;
    }
    imx_words_bytes(words, sizeof words, (uint64_t)bytes);
    return apr_pstrdup(r->pool, words);
}

const char *imx_html_taken(request_rec *r, double seconds)
{
    char words[IMX_WORDS_SHORT];

    if (seconds < 0) {
        return UNKNOWN;
    }
    imx_words_taken(words, sizeof words, seconds);
    return apr_pstrdup(r->pool, words);
}

const char *imx_html_rate(request_rec *r, double number)
{
    if (number < 0) {
        return UNKNOWN;
    }
    if (number >= 99.95 || number < 0.05) {
        return number > 0 && number < 0.05
                   ? "&lt; 0.1"
                   : imx_html_number(r, (int64_t)(number + 0.5));
    }
    return apr_psprintf(r->pool, "%.1f", number);
}

/* libc's, as APR's own %g is another one. */
const char *imx_html_digits(request_rec *r, double number, int digits)
{
    char text[32];

    imx_c_locale_print(text, sizeof text, "%.*g", digits, number);
    return apr_pstrdup(r->pool, text);
}

const char *imx_html_percent(request_rec *r, double share)
{
    double percent = share * 100;

    if (percent < 0) {
        return UNKNOWN;
    }
    if (percent > 0 && percent < 0.05) {
        return "&lt; 0.1 %";
    }
    return apr_psprintf(r->pool,
                        percent > 0 && percent < 9.95 ? "%.1f %%" : "%.0f %%",
                        percent);
}
