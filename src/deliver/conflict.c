/*
 * conflict.c owns which line InfluxDB means (see conflict.h).
 * Pure functions for any thread.
 * Nothing survives a crash: there is nothing to survive.
 */
#include "deliver/conflict.h"

#include "deliver/span.h"

typedef struct {
    imx_span_t field, measurement, type;
} conflict_t;

static imx_span_t span_of(const char *p, size_t len)
{
    return (imx_span_t){ p, len, 0 };
}

/* ---- what InfluxDB said ---- */

/* What is between `before` and `after`; *rest is behind that then. */
static int take(imx_span_t *rest, const char *before, const char *after,
                imx_span_t *found)
{
    size_t at = imx_span_find(*rest, before), len;

    if (at == rest->len) {
        return 0;
    }
    *rest = imx_span_from(*rest, at + strlen(before));
    len = imx_span_find(*rest, after);
    if (len == rest->len) {
        return 0;
    }
    *found = span_of(rest->p, len);
    *rest = imx_span_from(*rest, len);
    return 1;
}

static int understand(const char *reason, conflict_t *c)
{
    imx_span_t rest = span_of(reason, strlen(reason));

    return take(&rest, "input field \"", "\" on measurement", &c->field)
           && take(&rest, "on measurement \"", "\" is type ", &c->measurement)
           && take(&rest, "\" is type ", ",", &c->type);
}

/* ---- what a line has ---- */

static int is_one_of(char c, const char *set)
{
    return memchr(set, c, strlen(set)) != NULL;
}

/* The length of a name, up to one of `ends` that is not escaped. */
static size_t name_length(imx_span_t s, const char *ends)
{
    size_t i = 0;

    while (i < s.len && !is_one_of(s.p[i], ends)) {
        i += s.p[i] == '\\' ? 2 : 1;
    }
    return i < s.len ? i : s.len;
}

/* Is it the name that InfluxDB said, which is not escaped? */
static int is_name(imx_span_t s, imx_span_t name)
{
    size_t i, n = 0;

    for (i = 0; i < s.len && n < name.len; i++, n++) {
        if (s.p[i] == '\\' && i + 1 < s.len && is_one_of(s.p[i + 1], ", =")) {
            i++;
        }
        if (s.p[i] != name.p[n]) {
            return 0;
        }
    }
    return i == s.len && n == name.len;
}

/* The length of a field's value. */
static size_t value_length(imx_span_t s)
{
    imx_span_t text;

    if (s.len == 0 || s.p[0] != '"') {
        return name_length(s, ", \n");
    }
    text = imx_span_from(s, 1);
    text.json = 1; /* a quote behind a backslash is part of it, there too */
    text = imx_span_until(text, '"');
    return text.len + 2 < s.len ? text.len + 2 : s.len;
}

static const char *type_of(imx_span_t value)
{
    if (value.len == 0) {
        return "none";
    }
    if (value.p[0] == '"') {
        return "string";
    }
    if (is_one_of(value.p[0], "tTfF")) {
        return "boolean";
    }
    switch (value.p[value.len - 1]) {
    case 'i':
        return "integer";
    case 'u':
        return "unsigned";
    default:
        return "float";
    }
}

static int is_type(imx_span_t value, imx_span_t type)
{
    const char *is = type_of(value);

    return strlen(is) == type.len && memcmp(is, type.p, type.len) == 0;
}

/* fields: from the first one on. */
static int has_field(imx_span_t fields, const conflict_t *c)
{
    imx_span_t key, value;

    while (fields.len > 0) {
        key = span_of(fields.p, name_length(fields, "= "));
        if (key.len == fields.len || fields.p[key.len] != '=') {
            return 0;
        }
        fields = imx_span_from(fields, key.len + 1);
        value = span_of(fields.p, value_length(fields));
        if (is_name(key, c->field) && is_type(value, c->type)) {
            return 1;
        }
        if (value.len == fields.len || fields.p[value.len] != ',') {
            return 0;
        }
        fields = imx_span_from(fields, value.len + 1);
    }
    return 0;
}

static int has_conflict(const imx_influx_line_t *line, const conflict_t *c)
{
    imx_span_t s = span_of(line->data, line->len);
    imx_span_t name = span_of(s.p, name_length(s, ", "));
    size_t tags = name_length(s, " ");

    return is_name(name, c->measurement) && tags < s.len
           && has_field(imx_span_from(s, tags + 1), c);
}

const imx_influx_line_t *imx_conflict_find(const imx_influx_line_t *lines,
                                           size_t count, const char *reason)
{
    conflict_t c;
    size_t i;

    if (!understand(reason, &c)) {
        return NULL;
    }
    for (i = 0; i < count; i++) {
        if (has_conflict(&lines[i], &c)) {
            return &lines[i];
        }
    }
    return NULL;
}
