/*
 * rows.c owns the way from a row of a query to a line (see rows.h).
 * Entered by any thread; all that changes is the caller's.
 * Nothing is kept, so nothing has to survive.
 */
#include "intake/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/typed.h"
#include "lineproto.h"

#define SECOND INT64_C(1000000000)
#define SECOND_DIGITS 9

/* ---- columns ---- */

static const struct {
    const char *prefix;
    imx_rows_kind_e kind;
} prefixes[] = {
    { "tag:", IMX_ROWS_TAG },     { "int:", IMX_ROWS_INT },
    { "float:", IMX_ROWS_FLOAT }, { "str:", IMX_ROWS_STRING },
    { "bool:", IMX_ROWS_BOOL },
};
#define PREFIXES (sizeof prefixes / sizeof *prefixes)

static int wrong_column(imx_rows_t *rows, const char *name, const char *why)
{
    snprintf(rows->wrong, sizeof rows->wrong, "the column \"%.80s\" %s", name,
             why);
    return 0;
}

static int read_name(imx_rows_t *rows, imx_rows_column_t *column,
                     const char *name)
{
    size_t i = 0;

    column->kind = IMX_ROWS_TAG;
    column->key = name;
    if (strcmp(name, "time") == 0) {
        column->kind = IMX_ROWS_TIME;
        return 1;
    }
    if (strchr(name, ':') != NULL) {
        while (i < PREFIXES
               && strncmp(name, prefixes[i].prefix, strlen(prefixes[i].prefix))
                      != 0) {
            i++;
        }
        if (i == PREFIXES) {
            return wrong_column(rows, name,
                                "begins with none of tag:, int:, float:, str: "
                                "and bool:");
        }
        column->kind = prefixes[i].kind;
        column->key = name + strlen(prefixes[i].prefix);
    }
    return imx_typed_is_key(column->key)
           || wrong_column(rows, name,
                           "has no name that a tag or field can have: at most "
                           "255 bytes in UTF-8, without control characters "
                           "and backslashes, not \"time\", not with '_' at "
                           "first");
}

/* Tags by key, then the others as they came. */
static int by_place(const void *a, const void *b)
{
    const imx_rows_column_t *x = a, *y = b;
    int is_tag = x->kind == IMX_ROWS_TAG;

    if (is_tag != (y->kind == IMX_ROWS_TAG)) {
        return is_tag ? -1 : 1;
    }
    return is_tag ? strcmp(x->key, y->key) : x->number - y->number;
}

/* Whatever the kinds: InfluxDB 3 takes no tag and field of one name. */
static int is_there(const imx_rows_t *rows, const imx_rows_column_t *column)
{
    int i;

    for (i = 0; i < rows->count; i++) {
        if (strcmp(rows->columns[i].key, column->key) == 0) {
            return 1;
        }
    }
    return 0;
}

int imx_rows_begin(imx_rows_t *rows, const char *measurement,
                   const char *const *names, int n)
{
    int i, fields = 0;

    memset(rows, 0, sizeof *rows);
    rows->measurement = measurement;
    for (i = 0; i < n && i < IMX_ROWS_COLUMNS_MAX; i++) {
        imx_rows_column_t *column = &rows->columns[i];

        if (!read_name(rows, column, names[i])) {
            return 0;
        }
        if (is_there(rows, column)) {
            return wrong_column(rows, names[i],
                                "has the name of another column");
        }
        column->number = i;
        fields += column->kind < IMX_ROWS_TAG;
        rows->count++;
    }
    if (i < n || fields == 0) {
        snprintf(rows->wrong, sizeof rows->wrong,
                 i < n
                     ? "there are more than %d columns"
                     : "no column is a field: name one int:NAME, float:NAME, "
                       "str:NAME or bool:NAME",
                 IMX_ROWS_COLUMNS_MAX);
        return 0;
    }
    qsort(rows->columns, (size_t)rows->count, sizeof *rows->columns, by_place);
    return 1;
}

/* ---- values ---- */

/* What it is is not said: it may be a secret. */
static void leave_out(imx_rows_t *rows, const char *what, const char *why)
{
    rows->left_out++;
    snprintf(rows->wrong, sizeof rows->wrong, "the value of \"%.80s\" %s",
             what, why);
}

static void put_tag(imx_lineproto_t *lp, const char *key, const char *value)
{
    imx_lineproto_tag(lp, key, strlen(key), value,
                      imx_typed_cut(value, strlen(value), IMX_VALUE_MAX));
}

/* As PostgreSQL writes them. */
static const char *bool_of(const char *value)
{
    return strcmp(value, "t") == 0   ? "true"
           : strcmp(value, "f") == 0 ? "false"
                                     : value;
}

/* ",key=" escaped, behind whatever the line has; returns its length. */
static size_t encode_key(const imx_lineproto_t *lp, const char *key,
                         char *text, size_t size)
{
    imx_lineproto_t alone;

    imx_lineproto_init(&alone, text, size);
    imx_lineproto_encoded(&alone, "", 0);
    imx_lineproto_tag(&alone, key, strlen(key), "x", 1);
    text[0] = lp->stage == IMX_LINEPROTO_IN_TAGS ? ' ' : ',';
    return imx_lineproto_length(&alone) - 1;
}

/* The key must not be in the line when there is no value for it, so that is
 * tried alone first. */
static void put_field(imx_rows_t *rows, imx_lineproto_t *lp,
                      const imx_rows_column_t *column, const char *value)
{
    static const char *const kinds[] = { "is no whole number of 64 bits",
                                         "is no number", "is no text",
                                         "is neither true nor false" };
    char text[4 * IMX_VALUE_MAX + 16];
    imx_lineproto_t alone;

    if (column->kind == IMX_ROWS_BOOL) {
        value = bool_of(value);
    }
    imx_lineproto_init(&alone, text, sizeof text);
    imx_lineproto_encoded_key(&alone, "", 0);
    if (!imx_typed_put(&alone, (imx_type_e)column->kind, value)) {
        leave_out(rows, column->key, kinds[column->kind]);
        return;
    }
    imx_lineproto_encoded_key(lp, text,
                              encode_key(lp, column->key, text, sizeof text));
    imx_typed_put(lp, (imx_type_e)column->kind, value);
}

/* Seconds since 1970 with a fraction, exactly: a double has too few digits. */
static int read_time(const char *value, int64_t *time)
{
    const char *digits = value + (*value == '-'), *p = digits;
    uint64_t ns = 0;
    int decimals = -1; /* behind the point; -1: it was not there yet */

    for (; (*p >= '0' && *p <= '9') || (*p == '.' && decimals < 0); p++) {
        if (*p == '.') {
            decimals = 0;
        }
        else if (decimals < SECOND_DIGITS) {
            if (ns > (uint64_t)INT64_MAX / 20) {
                return 0;
            }
            ns = ns * 10 + (uint64_t)(*p - '0');
            decimals += decimals >= 0;
        }
    }
    if (*p != '\0' || p == digits || (p == digits + 1 && decimals == 0)) {
        return 0;
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < SECOND_DIGITS;
         decimals++) {
        if (ns > (uint64_t)INT64_MAX / 20) {
            return 0;
        }
        ns *= 10;
    }
    *time = digits > value ? -(int64_t)ns : (int64_t)ns;
    return 1;
}

static void put_value(imx_rows_t *rows, imx_lineproto_t *lp,
                      const imx_rows_column_t *column, const char *value,
                      int64_t *time)
{
    switch (column->kind) {
    case IMX_ROWS_TAG:
        put_tag(lp, column->key, value);
        return;
    case IMX_ROWS_TIME:
        if (!read_time(value, time)) {
            leave_out(rows, "time", "is no number of seconds since 1970");
        }
        return;
    default:
        put_field(rows, lp, column, value);
    }
}

size_t imx_rows_line(imx_rows_t *rows, const char *const *values, int64_t time,
                     char *buf, size_t size)
{
    imx_lineproto_t lp;
    imx_lineproto_error_e error;
    int i;

    rows->left_out = 0;
    imx_lineproto_init(&lp, buf, size);
    imx_lineproto_begin(&lp, rows->measurement, strlen(rows->measurement));
    for (i = 0; i < rows->count; i++) {
        const imx_rows_column_t *column = &rows->columns[i];

        if (values[column->number] != NULL) {
            put_value(rows, &lp, column, values[column->number], &time);
        }
    }
    error = imx_lineproto_end(&lp, time);
    if (error == IMX_LINEPROTO_NO_ROOM) {
        rows->left_out++;
        snprintf(rows->wrong, sizeof rows->wrong,
                 "a row is longer than a point can be, about 8,000 bytes");
    }
    return error == IMX_LINEPROTO_OK ? imx_lineproto_length(&lp) : 0;
}
