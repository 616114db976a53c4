/*
 * parse.h: reads line protocol that others wrote, and says what is in each line
 * or what is wrong with it.  Knows no httpd; no allocation, no locale; time and
 * memory grow with the length of the text only.  Any thread.
 *
 * It is strict: a line is taken if every engine takes it and reads the same in
 * it, so that no point is refused, or read otherwise, behind the back of
 * somebody who was told that it is taken.
 *   - Names and tag values: a backslash before a comma, a space or (not in
 *     measurements) an equals sign is an escape, any other is itself.  An
 *     escape behind another backslash is refused: engines differ about it; so
 *     is a backslash before '"' in a measurement or a field's key, and before
 *     '=' in a measurement.
 *     None is empty, none has a control character; no name begins with '_', no
 *     key is "time".
 *   - A key stands once in a line, as a tag or as a field; at most
 *     IMX_PARSE_KEYS_MAX of them.
 *   - Values: whole numbers with an i (64 bits, signed), numbers with digits on
 *     both sides of the point, the words for true and false, and strings.
 *     Unsigned numbers are refused: InfluxDB 1 has none.
 *   - Strings: \" and \\ are escapes, every other backslash is refused; a line
 *     feed, too, as the line ends there for several engines.
 *   - Everything is UTF-8 without NUL, comments and empty lines included.
 *   - A line ends in LF or CR LF, the last one may end with the text.  Spaces
 *     may stand before and behind a line, and in place of the one between its
 *     parts.  Not every engine takes all of these, so they are no part of what
 *     is found: none of them goes on.
 */
#ifndef IMX_PARSE_H
#define IMX_PARSE_H

#include <stddef.h>
#include <stdint.h>

#define IMX_PARSE_LINE_MAX 65535 /* bytes */

/* Columns of a table that InfluxDB 3 takes, less the time. */
#define IMX_PARSE_KEYS_MAX 499

/* What the number at the end of a line counts. */
typedef enum {
    IMX_PARSE_NANOSECONDS = 0,
    IMX_PARSE_MICROSECONDS,
    IMX_PARSE_MILLISECONDS,
    IMX_PARSE_SECONDS,
    IMX_PARSE_MINUTES,
    IMX_PARSE_HOURS,
    IMX_PARSE_AUTO /* seconds to nanoseconds, by how large it is */
} imx_parse_precision_e;

typedef struct {
    const char *bytes;
    size_t len;
} imx_parse_text_t;

/* A line's parts, as they stand in it; they point into the text. */
typedef struct {
    imx_parse_text_t measurement;
    imx_parse_text_t tags;   /* ",key=value,key=value", or nothing */
    imx_parse_text_t fields; /* "key=value,key=value" */
    int has_time;
    int64_t time; /* ns since 1970 */
} imx_parse_line_t;

/* One for each text; read the members behind `precision`. */
typedef struct {
    const char *next, *end; /* what is left of the text */
    imx_parse_precision_e precision;
    unsigned number;   /* of the line, from 1 on */
    const char *wrong; /* what is wrong with it, without a point; or NULL */
    unsigned tags, fields;
    /* The line's keys, tags before fields; of a tag up to its value's end. */
    imx_parse_text_t keys[IMX_PARSE_KEYS_MAX];
    /* working */
    const char *p, *line_end;
    int is_ascending; /* each key so far is greater than the one before */
} imx_parse_t;

/* Begins with a text, which is borrowed while lines are read. */
void imx_parse_begin(imx_parse_t *parse, const char *text, size_t len,
                     imx_parse_precision_e precision);

/* Reads the next line that is neither empty nor a comment.  Returns 1; 0 when
 * there is none; -1 when parse->wrong says why line parse->number is none. */
int imx_parse_next(imx_parse_t *parse, imx_parse_line_t *line);

#endif
