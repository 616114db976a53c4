/*
 * points.c owns the way from a text of line protocol into the batch: which
 * lines are allowed, what is added to them, and that all of them go or none.
 * Entered by any thread that serves a request, and by the holder's monitor
 * thread.
 * Points that were taken are in the batch when the child dies.
 */
#include "intake/points.h"

#include "apr_strings.h"
#include "apr_time.h"

#include "config/config.h"
#include "config/names.h"
#include "config/schema.h"
#include "lineproto.h"

#include <stdlib.h>

static imx_batch_child_t *recorder;

void imx_points_use(imx_batch_child_t *child)
{
    recorder = child;
}

/* ---- tags of the host ---- */

#define TAG_MAX 2048 /* bytes of a constant one, escaped */

typedef struct {
    imx_parse_text_t key;  /* escaped */
    imx_parse_text_t text; /* ",key=value" */
} tag_t;

typedef struct {
    tag_t *tags; /* sorted by key */
    int count;
    apr_size_t bytes;
} tags_t;

static int compare(imx_parse_text_t a, imx_parse_text_t b)
{
    apr_size_t n = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.bytes, b.bytes, n);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_key(const void *a, const void *b)
{
    return compare(((const tag_t *)a)->key, ((const tag_t *)b)->key);
}

/* Nothing is added when there is no value, or one that is no tag. */
static void add_tag(apr_pool_t *p, tags_t *t, const char *name,
                    const char *value)
{
    tag_t *tag = &t->tags[t->count];
    char text[TAG_MAX];
    imx_lineproto_t lp;
    apr_size_t len;

    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag(&lp, name, strlen(name), "x", 1);
    tag->key.len = imx_lineproto_length(&lp);
    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag(&lp, name, strlen(name), value, strlen(value));
    len = imx_lineproto_length(&lp);
    if (tag->key.len > 3 && len > 0) {
        tag->text.bytes = apr_pstrmemdup(p, text, len);
        tag->text.len = len;
        tag->key.bytes = tag->text.bytes + 1;
        tag->key.len -= 3; /* ",KEY=x" */
        t->bytes += len;
        t->count++;
    }
}

/* The host's name and constant tags of the administrator's, one of which may
 * stand for that name. */
static tags_t collect_tags(apr_pool_t *p, const imx_schema_dir_t *place)
{
    static const char hostname[] = "hostname";
    const apr_array_header_t *own = place->own_tags;
    int n = own != NULL ? own->nelts : 0, i;
    tags_t t = { apr_palloc(p, ((apr_size_t)n + 1) * sizeof(tag_t)), 0, 0 };

    if (imx_own_find(own, hostname) == NULL) {
        add_tag(p, &t, hostname, imx_config_global()->hostname);
    }
    for (i = 0; i < n; i++) {
        const imx_own_t *tag = APR_ARRAY_IDX(own, i, const imx_own_t *);

        if (tag->expr == NULL) {
            add_tag(p, &t, tag->name, tag->text);
        }
    }
    qsort(t.tags, (apr_size_t)t.count, sizeof *t.tags, by_key);
    return t;
}

/* ---- lines ---- */

/* The body on its way. */
typedef struct {
    imx_parse_t parse;
    tags_t tags;
    imx_parse_text_t allowed; /* the measurement that was looked at last */
    char *text, *end;         /* lines for the batch, one behind the other */
    apr_uint16_t *lengths;
    apr_size_t points, most;
    apr_int64_t next_time; /* unique ones that are set aside, up to ... */
    apr_size_t times_left; /* ... so many */
} work_t;

static char *put(char *to, imx_parse_text_t text)
{
    memcpy(to, text.bytes, text.len);
    return to + text.len;
}

static int has_key(const imx_parse_t *parse, imx_parse_text_t key)
{
    unsigned i;

    for (i = 0; i < parse->tags + parse->fields; i++) {
        if (compare(parse->keys[i], key) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Tag i of the line: ",key=value". */
static imx_parse_text_t tag_of(const imx_parse_t *parse,
                               const imx_parse_line_t *line, unsigned i)
{
    const char *from = parse->keys[i].bytes - 1;
    const char *end = i + 1 < parse->tags ? parse->keys[i + 1].bytes - 1
                                          : line->tags.bytes + line->tags.len;
    imx_parse_text_t tag = { from, (apr_size_t)(end - from) };

    return tag;
}

/* The line's tags, and those of the host that it lacks, each before the first
 * one with a greater key: sorted if the line's own ones are. */
static char *put_tags(char *to, const work_t *w, const imx_parse_line_t *line)
{
    const imx_parse_t *parse = &w->parse;
    unsigned i = 0;
    int k;

    for (k = 0; k < w->tags.count; k++) {
        const tag_t *tag = &w->tags.tags[k];

        if (has_key(parse, tag->key)) {
            continue;
        }
        while (i < parse->tags && compare(parse->keys[i], tag->key) < 0) {
            to = put(to, tag_of(parse, line, i++));
        }
        to = put(to, tag->text);
    }
    while (i < parse->tags) {
        to = put(to, tag_of(parse, line, i++));
    }
    return to;
}

/* One of the times that are unique for the server.  As many as there can be
 * lines are set aside at once, so that the word that all children share is
 * written once for a body. */
static apr_int64_t unique_time(work_t *w)
{
    if (w->times_left == 0) {
        w->times_left = w->most - w->points;
        w->next_time = imx_batch_unique_times(recorder->batch,
                                              apr_time_now() * 1000,
                                              (apr_uint32_t)w->times_left);
    }
    w->times_left--;
    return w->next_time++;
}

/* Returns NULL, or why the line cannot be a point. */
static const char *add_line(work_t *w, const imx_parse_line_t *line)
{
    apr_size_t longest = (apr_size_t)(line->fields.bytes + line->fields.len
                                      - line->measurement.bytes)
                         + w->tags.bytes + IMX_LINEPROTO_NUMBER_MAX;
    char *to = w->end;

    if (line->measurement.len != w->allowed.len
        || memcmp(line->measurement.bytes, w->allowed.bytes, w->allowed.len)) {
        if (imx_names_is_ours(line->measurement.bytes,
                              line->measurement.len)) {
            return "the measurement is one that this server writes itself";
        }
        w->allowed = line->measurement;
    }
    if (longest > IMX_BATCH_LINE_MAX) {
        return "the line is longer than a point can be here, about 8,000 bytes";
    }
    to = put(to, line->measurement);
    to = w->tags.count > 0 ? put_tags(to, w, line) : put(to, line->tags);
    *to++ = ' ';
    to = put(to, line->fields);
    to = imx_lineproto_write_time(to, line->has_time ? line->time
                                                     : unique_time(w));
    w->lengths[w->points++] = (apr_uint16_t)(to - w->end);
    w->end = to;
    return NULL;
}

static apr_size_t count_lines(const char *text, apr_size_t len)
{
    const char *end = text + len, *p = text;
    apr_size_t n = 1;

    while (p < end && (p = memchr(p, '\n', (apr_size_t)(end - p))) != NULL) {
        p++;
        n++;
    }
    return n;
}

static work_t *make_work(apr_pool_t *p, const imx_points_body_t *body)
{
    apr_size_t lines = count_lines(body->text, body->len), more;
    work_t *w = apr_palloc(p, sizeof *w);

    memset(&w->tags, 0, sizeof w->tags);
    if (body->adds_tags_of != NULL) {
        w->tags = collect_tags(p, body->adds_tags_of);
    }
    w->most = lines < body->most_lines ? lines : body->most_lines;
    more = w->most * (w->tags.bytes + IMX_LINEPROTO_NUMBER_MAX);
    w->text = w->end = apr_palloc(p, body->len + more + 1);
    w->lengths = apr_palloc(p, w->most * sizeof *w->lengths);
    w->points = w->times_left = 0;
    w->allowed.bytes = "";
    w->allowed.len = 0;
    imx_parse_begin(&w->parse, body->text, body->len, body->precision);
    return w;
}

/* Nothing of it goes on before all of it was read. */
static imx_points_e read_lines(work_t *w, imx_points_found_t *found)
{
    imx_parse_line_t line;
    int rv;

    while ((rv = imx_parse_next(&w->parse, &line)) == 1) {
        if (w->points == w->most) {
            return IMX_POINTS_TOO_MANY;
        }
        found->wrong = add_line(w, &line);
        if (found->wrong != NULL) {
            break;
        }
    }
    if (rv == 0) {
        return IMX_POINTS_TAKEN;
    }
    found->line = w->parse.number;
    if (rv < 0) {
        found->wrong = w->parse.wrong;
    }
    return IMX_POINTS_WRONG;
}

imx_points_e imx_points_take(apr_pool_t *p, const imx_points_body_t *body,
                             imx_points_found_t *found)
{
    work_t *w = make_work(p, body);
    imx_points_e result = read_lines(w, found);

    if (result != IMX_POINTS_TAKEN) {
        return result;
    }
    found->points = w->points;
    if (w->points == 0) {
        return IMX_POINTS_TAKEN;
    }
    switch (imx_batch_append_many(recorder, w->text, w->lengths, w->points)) {
    case IMX_BATCH_TAKEN:
        return IMX_POINTS_TAKEN;
    case IMX_BATCH_TOO_MANY:
        return IMX_POINTS_TOO_LARGE;
    default:
        return IMX_POINTS_NO_ROOM;
    }
}
