/*
 * bench/steps.c owns three steps of a line apart from httpd, for callgrind,
 * which counts their instructions (t/cost.t): it is encoded, appended to the
 * batch, and made a part of a body.
 * One thread; nothing is measured here.
 *
 * bench-steps: each step with LINES lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deliver/batch_source.h"
#include "deliver/body.h"
#include "lineproto.h"
#include "shared/batch.h"

#define LINES 2000
#define LINE_ROOM 512
#define TIME INT64_C(1763961600123456789)

#define STEP __attribute__((noinline)) void

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *get(size_t size)
{
    void *p = aligned_alloc(4096, (size + 4095) / 4096 * 4096);

    if (p == NULL)
        die("no memory");
    return memset(p, 0, size);
}

/* ---- the batch ---- */

static imx_batch_t batch;
static imx_children_t children;
static imx_batch_child_t child;

static void make_batch(void)
{
    imx_batch_geometry_t g;
    imx_children_self_t self;
    int raised;

    imx_batch_plan(4 << 20, 1, 0, &g, &raised);
    imx_children_format(&children, get(imx_children_size(g.children)),
                        g.children);
    imx_batch_format(&batch, get(imx_batch_size(&g)),
                     get(imx_batch_data_size(&g)), &g, &children);
    if (imx_children_join(&children, &self, getpid()) != 0)
        die("no row for this process");
    imx_batch_open(&child, &batch, &self);
}

/* ---- the steps ---- */

static char lines[LINES][LINE_ROOM];
static size_t lengths[LINES];

STEP encode_lines(void);
STEP append_lines(void);
STEP deliver_lines(imx_source_t *source, imx_body_t *body,
                   imx_influx_line_t *taken, size_t room);

STEP encode_lines(void)
{
    int i;

    for (i = 0; i < LINES; i++) {
        imx_lineproto_t lp;

        imx_lineproto_init(&lp, lines[i], LINE_ROOM);
        imx_lineproto_begin(&lp, IMX_LINEPROTO_TEXT("raw-requests"));
        imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("hostname"),
                          IMX_LINEPROTO_TEXT("web1"));
        imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("method"),
                          IMX_LINEPROTO_TEXT("GET"));
        imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("server"),
                          IMX_LINEPROTO_TEXT("www.example.org"));
        imx_lineproto_field_seconds(&lp, IMX_LINEPROTO_TEXT("request_time"),
                                    312000 + i);
        imx_lineproto_field_string(&lp, IMX_LINEPROTO_TEXT("uri"),
                                   IMX_LINEPROTO_TEXT("/a/\"b\"?c=1"));
        imx_lineproto_field_int(&lp, IMX_LINEPROTO_TEXT("bytes_sent"), 12345);
        if (imx_lineproto_end(&lp, TIME + i) != IMX_LINEPROTO_OK)
            die("a line is wrong");
        lengths[i] = imx_lineproto_length(&lp);
    }
}

STEP append_lines(void)
{
    int i;

    for (i = 0; i < LINES; i++) {
        if (!imx_batch_append(&child, lines[i], lengths[i]))
            die("a line has no room");
    }
}

/* All that is on the way of a line from the batch to libcurl and back. */
STEP deliver_lines(imx_source_t *source, imx_body_t *body,
                   imx_influx_line_t *taken, size_t room)
{
    char upload[16384];
    size_t n, left = LINES;

    while ((n = source->next(source, taken, room, room, 1 << 20)) > 0) {
        imx_body_set(body, taken, n, 0);
        while (imx_body_read(upload, 1, sizeof upload, body) > 0) {
        }
        source->done(source, n, 0);
        left -= n;
    }
    if (left != 0)
        die("not every line came back");
}

int main(void)
{
    const size_t room = LINES + IMX_BATCH_SOURCE_SPARE;
    imx_batch_source_t *source;
    imx_body_t body = { 0 };

    make_batch();
    source = imx_batch_source_create(&batch);
    if (source == NULL)
        die("no memory");
    encode_lines();
    append_lines();
    imx_batch_seal_all(&batch);
    deliver_lines(imx_batch_source(source), &body,
                  get(room * sizeof(imx_influx_line_t)), room);
    return 0;
}
