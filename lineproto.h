/*
 * lineproto.h: the bytes of InfluxDB line protocol, written into the caller's
 * buffer.  Any thread; no globals that change, no allocation, no locale, no
 * clock, no errno.  Nothing survives a crash.
 *
 * Call order for one line, as in the grammar:
 *
 *     begin | encoded    { tag | encoded }*    { key value }+    end
 *
 * where "key value" is one of the field_* calls, or imx_lineproto_key() with
 * bytes encoded before, followed by one put_* call.
 *
 * Lines are written one behind the other.  The first mistake in a line cuts
 * the buffer back to where the line began; its further calls do nothing, and
 * imx_lineproto_end(), which every line needs, tells the error.  The lines
 * before it stay as they were, and the next begin starts afresh.  No call writes a byte at or past
 * buf + size, whatever the size.
 *
 * Strings are (pointer, bytes): NUL is a byte like another, and no string has
 * to end in one.  They are borrowed for the call only.
 *
 * What becomes of a bad part:
 *   - LF in a tag value or string field: a space (one LF a point);
 *   - invalid UTF-8: each bad byte becomes U+FFFD;
 *   - backslashes at the end of a name or tag value would eat the separator
 *     behind them and cannot be escaped: they are left off;
 *   - a tag whose value is empty (or was nothing but backslashes) is left out;
 *   - a measurement or key that is empty, longer than IMX_LINEPROTO_NAME_MAX,
 *     has a control byte, begins with '_', is a key named "time", or is a
 *     measurement that begins with '#' (a comment): IMX_LINEPROTO_BAD_NAME;
 *   - NaN, an infinity, or a value over IMX_LINEPROTO_VALUE_MAX:
 *     IMX_LINEPROTO_BAD_VALUE.
 *
 * The grammar: https://docs.influxdata.com/influxdb/v2/reference/syntax/
 * line-protocol/
 */
#ifndef IMX_LINEPROTO_H
#define IMX_LINEPROTO_H

#include <stddef.h>
#include <stdint.h>

#define IMX_LINEPROTO_NAME_MAX 65535
#define IMX_LINEPROTO_VALUE_MAX 65535

typedef enum {
    IMX_LINEPROTO_OK = 0,
    IMX_LINEPROTO_NO_ROOM,      /* the buffer is too small for the line */
    IMX_LINEPROTO_BAD_NAME,
    IMX_LINEPROTO_BAD_VALUE,
    IMX_LINEPROTO_NO_FIELDS,    /* end without a field */
    IMX_LINEPROTO_BAD_ORDER     /* a call that the grammar does not allow here */
} imx_lineproto_error_e;

/* Lives on the caller's stack; read it through the functions below. */
typedef struct {
    char *buf;                  /* first byte of the buffer */
    char *line;                 /* first byte of the line being written */
    char *pos;                  /* where the next byte goes */
    char *limit;                /* one past the last byte the line may use */
    char *end;                  /* one past the last byte of the buffer */
    unsigned char stage;        /* what the line has so far */
    unsigned char error;        /* of the line: imx_lineproto_error_e */
} imx_lineproto_t;

/* Text and its length, for names known at compile time. */
#define IMX_LINEPROTO_TEXT(s) (s), (sizeof(s) - 1)

/* Prepares *lp to write into buf[0 .. size). */
void imx_lineproto_init(imx_lineproto_t *lp, char *buf, size_t size);

/* Begins a line with a measurement. */
void imx_lineproto_begin(imx_lineproto_t *lp, const char *measurement,
                         size_t len);

/*
 * Copies bytes that begin and tag calls wrote before: at the start of a line
 * the measurement with any tags, later more tags (",key=value").
 */
void imx_lineproto_encoded(imx_lineproto_t *lp, const char *bytes, size_t len);

/* Adds a tag.  The caller adds tags sorted by key. */
void imx_lineproto_tag(imx_lineproto_t *lp, const char *key, size_t key_len,
                       const char *value, size_t value_len);

/* Adds a field key that is known to need no escape; a put_* call must follow. */
void imx_lineproto_key(imx_lineproto_t *lp, const char *key, size_t len);

/* The values: "12i", text that reads back as exactly v, "true" or "false",
 * a quoted string, seconds with six decimals from nanoseconds (cut, not
 * rounded, so that parts never add up to more than the whole). */
void imx_lineproto_put_int(imx_lineproto_t *lp, int64_t v);
void imx_lineproto_put_float(imx_lineproto_t *lp, double v);
void imx_lineproto_put_bool(imx_lineproto_t *lp, int v);
void imx_lineproto_put_string(imx_lineproto_t *lp, const char *s, size_t len);
void imx_lineproto_put_seconds(imx_lineproto_t *lp, int64_t ns);

/* Key (escaped) and value in one call. */
void imx_lineproto_field_int(imx_lineproto_t *lp, const char *key,
                             size_t key_len, int64_t v);
void imx_lineproto_field_float(imx_lineproto_t *lp, const char *key,
                               size_t key_len, double v);
void imx_lineproto_field_bool(imx_lineproto_t *lp, const char *key,
                              size_t key_len, int v);
void imx_lineproto_field_string(imx_lineproto_t *lp, const char *key,
                                size_t key_len, const char *s, size_t len);
void imx_lineproto_field_seconds(imx_lineproto_t *lp, const char *key,
                                 size_t key_len, int64_t ns);

/*
 * Ends the line with its time, nanoseconds since 1970, and LF.  Returns
 * IMX_LINEPROTO_OK, or the first error of the line, which is then gone.
 */
imx_lineproto_error_e imx_lineproto_end(imx_lineproto_t *lp, int64_t ns);

/* Bytes of whole lines in the buffer (between lines), or with an unfinished
 * line all written so far: how a prefix made by begin and tag is measured. */
size_t imx_lineproto_length(const imx_lineproto_t *lp);

/* The error of the line being written. */
imx_lineproto_error_e imx_lineproto_error(const imx_lineproto_t *lp);

#endif
