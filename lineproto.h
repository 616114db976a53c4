/*
 * lineproto.h: the bytes of InfluxDB line protocol, written into the caller's
 * buffer.  Any thread; no globals that change, no allocation, no locale, no
 * clock, no errno.  Nothing survives a crash.
 *
 * Call order for one line, as in the grammar:
 *
 *     begin | encoded    { tag | encoded }*    { key value }+    end
 *
 * where "key value" is one of the field_* calls, or imx_lineproto_key() or
 * imx_lineproto_encoded_key(), followed by one put_* call.
 *
 * Lines are written one behind the other.  The first mistake in a line cuts
 * the buffer back to where the line began; its further calls do nothing, and
 * imx_lineproto_end(), which every line needs, tells the error.  The lines
 * before it stay as they were, and the next begin starts afresh.  No call
 * writes a byte at or past buf + size, whatever the size.
 *
 * Strings are (pointer, bytes): NUL is a byte like another, and no string has
 * to end in one.  They are borrowed for the call only.
 *
 * What becomes of a bad part:
 *   - a control byte (0x00 to 0x1f, 0x7f) in a key or tag value: a space;
 *     several engines refuse the line otherwise;
 *   - LF in a string field: a space (one LF a point); other control bytes stay;
 *   - invalid UTF-8: each bad byte becomes U+FFFD;
 *   - backslashes at the end of a name or tag value, and before a byte in it
 *     that gets an escape, would eat what is behind them and cannot be escaped
 *     themselves: they are left off;
 *   - a tag whose value is empty (or was nothing but backslashes) is left out;
 *   - a measurement or key that is empty, longer than IMX_LINEPROTO_NAME_MAX,
 *     or begins with '_', a key named "time", a measurement that has a control
 *     byte or begins with '#' (a comment): IMX_LINEPROTO_BAD_NAME;
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
#include <string.h>

#define IMX_LINEPROTO_NAME_MAX 65535
#define IMX_LINEPROTO_VALUE_MAX 65535

typedef enum {
    IMX_LINEPROTO_OK = 0,
    IMX_LINEPROTO_NO_ROOM, /* the buffer is too small for the line */
    IMX_LINEPROTO_BAD_NAME,
    IMX_LINEPROTO_BAD_VALUE,
    IMX_LINEPROTO_NO_FIELDS, /* end without a field */
    IMX_LINEPROTO_BAD_ORDER  /* a call that the grammar does not allow here */
} imx_lineproto_error_e;

/* What a line has so far; the order is used. */
enum {
    IMX_LINEPROTO_BETWEEN = 0, /* nothing: between lines */
    IMX_LINEPROTO_IN_TAGS,     /* measurement, perhaps tags */
    IMX_LINEPROTO_IN_FIELDS,   /* whole fields */
    IMX_LINEPROTO_IN_KEY,      /* a key without its value */
    IMX_LINEPROTO_FAILED       /* a mistake, and nothing more */
};

/* Lives on the caller's stack; read it through the functions below. */
typedef struct {
    char *buf;           /* first byte of the buffer */
    char *line;          /* first byte of the line being written */
    char *pos;           /* where the next byte goes */
    char *limit;         /* one past the last byte the line may use */
    char *end;           /* one past the last byte of the buffer */
    unsigned char stage; /* IMX_LINEPROTO_BETWEEN .. FAILED */
    unsigned char error; /* of the line: imx_lineproto_error_e */
} imx_lineproto_t;

/* Text and its length, for names known at compile time. */
#define IMX_LINEPROTO_TEXT(s) (s), (sizeof(s) - 1)

/* Prepares *lp to write into buf[0 .. size). */
static inline void imx_lineproto_init(imx_lineproto_t *lp, char *buf,
                                      size_t size);

/* Begins a line with a measurement. */
void imx_lineproto_begin(imx_lineproto_t *lp, const char *measurement,
                         size_t len);

/*
 * Copies bytes that begin and tag calls wrote before: at the start of a line
 * the measurement with any tags, later more tags (",key=value").
 */
static inline void imx_lineproto_encoded(imx_lineproto_t *lp,
                                         const char *bytes, size_t len);

/* Adds a tag.  The caller adds tags sorted by key. */
void imx_lineproto_tag(imx_lineproto_t *lp, const char *key, size_t key_len,
                       const char *value, size_t value_len);

/* The value alone, behind ",key=" that imx_lineproto_encoded() copied.  When
 * nothing is left of it, nothing is written: the caller takes its key back. */
void imx_lineproto_tag_value(imx_lineproto_t *lp, const char *value,
                             size_t value_len);

/* Adds a field key that needs no escape; a put_* call must follow. */
static inline void imx_lineproto_key(imx_lineproto_t *lp, const char *key,
                                     size_t len);

/* Copies a separator and a key with its '=' that were encoded before; a put_*
 * call must follow.  May also come first, for a line in pieces. */
static inline void imx_lineproto_encoded_key(imx_lineproto_t *lp,
                                             const char *bytes, size_t len);

/* The values: "12i", text that reads back as exactly v, "true" or "false",
 * a quoted string, seconds with six decimals from nanoseconds (cut, not
 * rounded, so that parts never add up to more than the whole). */
static inline void imx_lineproto_put_int(imx_lineproto_t *lp, int64_t v);
void imx_lineproto_put_float(imx_lineproto_t *lp, double v);
void imx_lineproto_put_bool(imx_lineproto_t *lp, int v);
void imx_lineproto_put_string(imx_lineproto_t *lp, const char *s, size_t len);
static inline void imx_lineproto_put_seconds(imx_lineproto_t *lp, int64_t ns);

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
static inline imx_lineproto_error_e imx_lineproto_end(imx_lineproto_t *lp,
                                                      int64_t ns);

/*
 * ---- inline: all that a usual request needs ----
 *
 * None of these hands lp to a function, so that a compiler can keep it in
 * registers; a constant text is then a few moves.
 */

/* Cuts the line off: there is no room for what may follow. */
static inline void imx_lineproto_fail(imx_lineproto_t *lp,
                                      imx_lineproto_error_e error)
{
    if (lp->stage != IMX_LINEPROTO_FAILED) {
        lp->error = (unsigned char)error;
        lp->stage = IMX_LINEPROTO_FAILED;
        lp->limit = lp->pos = lp->line;
    }
}

static inline int imx_lineproto_room(imx_lineproto_t *lp, size_t bytes)
{
    if ((size_t)(lp->limit - lp->pos) >= bytes) {
        return 1;
    }
    imx_lineproto_fail(lp, IMX_LINEPROTO_NO_ROOM);
    return 0;
}

static inline void imx_lineproto_init(imx_lineproto_t *lp, char *buf,
                                      size_t size)
{
    lp->buf = lp->line = lp->pos = buf;
    lp->limit = lp->end = buf + size;
    lp->stage = IMX_LINEPROTO_BETWEEN;
    lp->error = IMX_LINEPROTO_OK;
}

static inline void imx_lineproto_encoded(imx_lineproto_t *lp,
                                         const char *bytes, size_t len)
{
    if (lp->stage > IMX_LINEPROTO_IN_TAGS) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_ORDER);
    }
    else if (imx_lineproto_room(lp, len)) {
        lp->stage = IMX_LINEPROTO_IN_TAGS;
        memcpy(lp->pos, bytes, len);
        lp->pos += len;
    }
}

static inline void imx_lineproto_key(imx_lineproto_t *lp, const char *key,
                                     size_t len)
{
    if (lp->stage != IMX_LINEPROTO_IN_TAGS
        && lp->stage != IMX_LINEPROTO_IN_FIELDS) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_ORDER);
    }
    else if (imx_lineproto_room(lp, len + 2)) {
        *lp->pos = lp->stage == IMX_LINEPROTO_IN_TAGS ? ' ' : ',';
        memcpy(lp->pos + 1, key, len);
        lp->pos[len + 1] = '=';
        lp->pos += len + 2;
        lp->stage = IMX_LINEPROTO_IN_KEY;
    }
}

static inline void imx_lineproto_encoded_key(imx_lineproto_t *lp,
                                             const char *bytes, size_t len)
{
    if (lp->stage > IMX_LINEPROTO_IN_FIELDS) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_ORDER);
    }
    else if (imx_lineproto_room(lp, len)) {
        memcpy(lp->pos, bytes, len);
        lp->pos += len;
        lp->stage = IMX_LINEPROTO_IN_KEY;
    }
}

/* Write a number at p, at most IMX_LINEPROTO_NUMBER_MAX bytes; return where it
 * ends: "12i", "0.000312", " 1763961600123456789\n". */
#define IMX_LINEPROTO_NUMBER_MAX 24
char *imx_lineproto_write_int(char *p, int64_t v);
char *imx_lineproto_write_seconds(char *p, int64_t ns);
char *imx_lineproto_write_time(char *p, int64_t ns);

/* Write nine digits at p, and the first six of nine: v below 10^9.  Behind them
 * is a comma, which can be written over. */
char *imx_lineproto_write_nine(char *p, uint32_t v);
char *imx_lineproto_write_six_of_nine(char *p, uint32_t v);

/* The digits of v, below IMX_LINEPROTO_SHORT, as they stand in memory: the
 * first *len bytes of the word; the others are undefined. */
#define IMX_LINEPROTO_SHORT 100000000U
uint64_t imx_lineproto_short(uint32_t v, size_t *len);

static inline void imx_lineproto_number(
    imx_lineproto_t *lp, char *(*write)(char *, int64_t), int64_t v)
{
    if (lp->limit - lp->pos >= IMX_LINEPROTO_NUMBER_MAX) {
        lp->pos = write(lp->pos, v);
    }
    else { /* it may still fit */
        char text[IMX_LINEPROTO_NUMBER_MAX];
        size_t len = (size_t)(write(text, v) - text);

        if (imx_lineproto_room(lp, len)) {
            memcpy(lp->pos, text, len);
            lp->pos += len;
        }
    }
}

static inline int imx_lineproto_begin_value(imx_lineproto_t *lp)
{
    if (lp->stage != IMX_LINEPROTO_IN_KEY) {
        imx_lineproto_fail(lp, IMX_LINEPROTO_BAD_ORDER);
        return 0;
    }
    lp->stage = IMX_LINEPROTO_IN_FIELDS;
    return 1;
}

static inline void imx_lineproto_put_int(imx_lineproto_t *lp, int64_t v)
{
    if (imx_lineproto_begin_value(lp)) {
        imx_lineproto_number(lp, imx_lineproto_write_int, v);
    }
}

static inline void imx_lineproto_put_seconds(imx_lineproto_t *lp, int64_t ns)
{
    if (imx_lineproto_begin_value(lp)) {
        imx_lineproto_number(lp, imx_lineproto_write_seconds, ns);
    }
}

static inline imx_lineproto_error_e imx_lineproto_end(imx_lineproto_t *lp,
                                                      int64_t ns)
{
    imx_lineproto_error_e error;

    if (lp->stage == IMX_LINEPROTO_IN_FIELDS) {
        imx_lineproto_number(lp, imx_lineproto_write_time, ns);
    }
    else {
        imx_lineproto_fail(lp, lp->stage == IMX_LINEPROTO_IN_TAGS
                                   ? IMX_LINEPROTO_NO_FIELDS
                                   : IMX_LINEPROTO_BAD_ORDER);
    }
    error = (imx_lineproto_error_e)lp->error;
    lp->line = lp->pos;
    lp->limit = lp->end;
    lp->stage = IMX_LINEPROTO_BETWEEN;
    lp->error = IMX_LINEPROTO_OK;
    return error;
}

/* Bytes of whole lines in the buffer (between lines), or with an unfinished
 * line all written so far: how a prefix made by begin and tag is measured. */
static inline size_t imx_lineproto_length(const imx_lineproto_t *lp)
{
    return (size_t)(lp->pos - lp->buf);
}

/* The error of the line being written. */
static inline imx_lineproto_error_e imx_lineproto_error(
    const imx_lineproto_t *lp)
{
    return (imx_lineproto_error_e)lp->error;
}

#endif
