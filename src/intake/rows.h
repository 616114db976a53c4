/*
 * rows.h: the rows of a query become lines: what the names of the columns say,
 * and what a value is.  Knows no httpd and no database; no allocation.  Any
 * thread; all that changes is the caller's.
 *
 * The name of a column, an alias in SQL, says of what kind it is:
 *
 *   species        a tag
 *   tag:species    the same, for a name that has a ':' in it, or is "time"
 *   int:count      a field, a whole number of 64 bits
 *   float:price    a number
 *   str:note       a text
 *   bool:open      true, false, t, f, on, off, yes, no, 1, 0
 *   time           the point's time, seconds since 1970
 *
 * What is NULL is left out, and so is a tag without a character.  A row without
 * a field is none.
 */
#ifndef IMX_ROWS_H
#define IMX_ROWS_H

#include <stddef.h>
#include <stdint.h>

#define IMX_ROWS_COLUMNS_MAX 64
#define IMX_ROWS_TEXT_MAX 300 /* bytes of a sentence */

typedef enum {
    IMX_ROWS_INT = 0, /* the fields as imx_type_e has them */
    IMX_ROWS_FLOAT,
    IMX_ROWS_STRING,
    IMX_ROWS_BOOL,
    IMX_ROWS_TAG,
    IMX_ROWS_TIME
} imx_rows_kind_e;

typedef struct {
    imx_rows_kind_e kind;
    const char *key; /* in the name */
    int number;      /* of the column, from 0 on */
} imx_rows_column_t;

typedef struct {
    const char *measurement;
    /* Tags, sorted by key, then fields; and the time if there is one. */
    imx_rows_column_t columns[IMX_ROWS_COLUMNS_MAX];
    int count;
    int left_out; /* values of the last line that are not of their kind */
    /* What is wrong with the columns, or why a value or a row was left out
     * last; "" at first. */
    char wrong[IMX_ROWS_TEXT_MAX];
} imx_rows_t;

/* Reads the names of n columns; measurement and names are borrowed.  Returns 0
 * when rows->wrong says what is wrong with them. */
int imx_rows_begin(imx_rows_t *rows, const char *measurement,
                   const char *const *names, int n);

/*
 * Writes a row, n values of which NULL is one, as a line into buf.  time: of
 * the point, where no column says another one; ns since 1970.  Returns the
 * line's length, or 0 when the row is none: because all fields are NULL, or
 * else rows->left_out is not 0 and rows->wrong says why.
 */
size_t imx_rows_line(imx_rows_t *rows, const char *const *values, int64_t time,
                     char *buf, size_t size);

#endif
