/*
 * typed.c owns the reading of text as an int, a float, a bool or a string.
 * Entered by any thread.
 * Nothing survives, as it keeps nothing.
 */
#include "config/typed.h"

#include "base/c_locale.h"
#include "base/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD, for what is no UTF-8 */

int imx_typed_find(const char *name)
{
    static const char *const names[] = { "int", "float", "string", "bool" };
    int i;

    for (i = 0; i < IMX_TYPE_TAG; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

int imx_typed_is_key(const char *name)
{
    char text[2 * IMX_KEY_MAX + 16];
    imx_lineproto_t lp;

    if (strlen(name) > IMX_KEY_MAX || imx_words_has_control(name)
        || strchr(name, '\\') != NULL || strstr(name, REPLACEMENT) != NULL) {
        return 0;
    }
    imx_lineproto_init(&lp, text, sizeof text - 1);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag(&lp, name, strlen(name), "x", 1);
    text[imx_lineproto_length(&lp)] = '\0';
    return imx_lineproto_error(&lp) == IMX_LINEPROTO_OK
           && strstr(text, REPLACEMENT) == NULL;
}

static int is_integer(const char *text, int64_t *v)
{
    char *end;

    if (text[strspn(text, "+-0123456789")] != '\0') {
        return 0; /* no white space either */
    }
    errno = 0;
    *v = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

int imx_typed_is_float(const char *text, double *v)
{
    char *end;

    if (text[strspn(text, "+-.0123456789eE")] != '\0') {
        return 0;
    }
    *v = imx_c_locale_double(text, &end);
    return end != text && *end == '\0' && *v - *v == 0;
}

static int is_bool(const char *text, int *v)
{
    static const char *const words[] = { "false", "true", "0",  "1",
                                         "off",   "on",   "no", "yes" };
    unsigned i;

    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *v = i & 1;
            return 1;
        }
    }
    return 0;
}

static int put_int(imx_lineproto_t *lp, const char *text)
{
    int64_t v;

    if (!is_integer(text, &v)) {
        return 0;
    }
    imx_lineproto_put_int(lp, v);
    return 1;
}

static int put_float(imx_lineproto_t *lp, const char *text)
{
    double v;

    if (!imx_typed_is_float(text, &v)) {
        return 0;
    }
    imx_lineproto_put_float(lp, v);
    return 1;
}

static int put_bool(imx_lineproto_t *lp, const char *text)
{
    int v;

    if (!is_bool(text, &v)) {
        return 0;
    }
    imx_lineproto_put_bool(lp, v);
    return 1;
}

static int put_string(imx_lineproto_t *lp, const char *text)
{
    imx_lineproto_put_string(lp, text,
                             imx_typed_cut(text, strlen(text), IMX_VALUE_MAX));
    return 1;
}

int imx_typed_put(imx_lineproto_t *lp, imx_type_e type, const char *text)
{
    int is_good = type == IMX_TYPE_INT     ? put_int(lp, text)
                  : type == IMX_TYPE_FLOAT ? put_float(lp, text)
                  : type == IMX_TYPE_BOOL  ? put_bool(lp, text)
                                           : put_string(lp, text);

    return is_good && imx_lineproto_error(lp) == IMX_LINEPROTO_OK;
}

/* Bytes of the UTF-8 character that begins with this one; 0: none does. */
static unsigned utf8_length(unsigned char first)
{
    return first >= 0xF0   ? 4
           : first >= 0xE0 ? 3
           : first >= 0xC0 ? 2
           : first >= 0x80 ? 0
                           : 1;
}

size_t imx_typed_cut(const char *s, size_t len, size_t most)
{
    unsigned back, length = 0;

    if (len <= most) {
        return len;
    }
    for (back = 1; back <= 3 && back <= most && length == 0; back++) {
        length = utf8_length((unsigned char)s[most - back]);
        if (length > back) {
            return most - back;
        }
    }
    return most;
}
