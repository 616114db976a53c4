/*
 * typed.h: text becomes a value of a type, as it stands in a line.
 * Any thread; no locale, no allocation.  Texts are borrowed for the call.
 */
#ifndef IMX_TYPED_H
#define IMX_TYPED_H

#include <stddef.h>
#include <stdint.h>

#include "lineproto.h"

typedef enum {
    IMX_TYPE_INT = 0,
    IMX_TYPE_FLOAT,
    IMX_TYPE_STRING,
    IMX_TYPE_BOOL,
    IMX_TYPE_TAG
} imx_type_e;

#define IMX_VALUE_MAX 1024 /* bytes of a string or of a tag's value */
#define IMX_KEY_MAX 255    /* bytes of a tag's or a field's name */

/* The type with this name ("int", "float", "string" or "bool"); -1: none. */
int imx_typed_find(const char *name);

/* Can it be a key, of a tag or a field, without a change?  Two names that the
 * encoder would have to mend could become one. */
int imx_typed_is_key(const char *name);

/* Puts the text (not "") as a value of this type, behind a key; returns 0 if it
 * is not of the type, or does not fit.  A string is cut at IMX_VALUE_MAX. */
int imx_typed_put(imx_lineproto_t *lp, imx_type_e type, const char *text);

/* Is this a number in decimal notation, not infinite, not NaN?  *v: it. */
int imx_typed_is_float(const char *text, double *v);

/* Bytes of s (len) up to most, without cutting a UTF-8 character in pieces. */
size_t imx_typed_cut(const char *s, size_t len, size_t most);

#endif
