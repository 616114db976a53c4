/*
 * sender.c owns one load on its way to InfluxDB (see sender.h).
 * Entered by the monitor's thread of the child that holds the lease.
 * Lines that a source was told of are done for good; the rest of a load comes
 * again.
 */
#include "deliver/sender.h"

#include "base/random.h"
#include "deliver/conflict.h"
#include "deliver/flow.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define GUESSES 64       /* bodies to find out what a refusal means ... */
#define GUESSES_MOST 500 /* ... when InfluxDB has just taken other lines */
#define RECENT (INT64_C(60000) * 1000000) /* ns */
#define LEAST_LIMIT 512 /* bytes of a body that any server takes */

/*
 * The lines before pos are accounted for; the next `window` are with InfluxDB,
 * or were, when there is an answer to act on.
 */
typedef struct {
    imx_influx_line_t *lines;
    imx_source_t *source; /* NULL: there is no load */
    size_t count, pos, window;
    size_t window_limit; /* lines; fewer while a bad line is looked for */
} load_t;

/*
 * Looking for one of the lines that were refused, when InfluxDB told how many
 * and why, but not which.  Halves of the window are sent again until one line
 * is left; what is stored already stays as it is.
 */
typedef struct {
    size_t first, count; /* in lines[]: one of these was refused; 0: off */
    size_t asked;        /* of these, sent */
    uint64_t bad;        /* lines of the window that were refused */
    char reason[IMX_INFLUX_REASON_MAX];
} search_t;

struct imx_sender {
    imx_sender_options_t o;
    imx_influx_t *influx; /* NULL until it is needed */
    load_t load;
    search_t search;
    int is_posting;     /* something is under way */
    int is_creating;    /* ... which is CREATE DATABASE, or that is next */
    int64_t began;      /* when it was begun */
    uint64_t piece;     /* bytes: see imx_sender_flow() */
    uint64_t under_way; /* lines of it, as the board has them */
    uint64_t done;      /* lines since imx_sender_done() */
    unsigned guesses;   /* refusals in unknown words, since lines were taken */
    int64_t taken_at;   /* when lines were taken, 0: never */
    int lone;           /* 1: the last body was one line, and too large */
};

static imx_board_pace_t *pace(imx_sender_t *s)
{
    return &s->o.news->board.pace;
}

static int64_t now_of(const imx_sender_t *s)
{
    return imx_news_now(s->o.news);
}

/* ---- the load ---- */

/* A load is about what one body can have, so that the rest of the batch is free
 * to be given up, or to be sent by the other sender. */
int imx_sender_take(imx_sender_t *s, imx_source_t *source)
{
    load_t *l = &s->load;

    l->pos = l->window = 0;
    l->window_limit = s->o.max_lines;
    s->guesses = 0;
    l->count = source->next(source, l->lines, s->o.room, s->o.max_lines,
                            imx_pace_size(pace(s), &s->o.limits));
    l->source = l->count > 0 ? source : NULL;
    return l->count > 0;
}

int imx_sender_has_work(const imx_sender_t *s)
{
    return s->is_creating || s->load.source != NULL;
}

size_t imx_sender_left(const imx_sender_t *s)
{
    return s->load.source != NULL ? s->load.count - s->load.pos : 0;
}

uint64_t imx_sender_done(imx_sender_t *s)
{
    uint64_t done = s->done;

    s->done = 0;
    return done;
}

static void put_back(imx_sender_t *s)
{
    load_t *l = &s->load;

    s->search.count = 0;
    if (l->source != NULL) {
        l->source->put_back(l->source);
        l->source = NULL;
    }
}

static uint64_t bytes_of(const imx_influx_line_t *lines, size_t count)
{
    uint64_t bytes = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        bytes += lines[i].len;
    }
    return bytes;
}

uint64_t imx_sender_left_bytes(const imx_sender_t *s)
{
    const load_t *l = &s->load;

    return l->source != NULL ? bytes_of(l->lines + l->pos, l->count - l->pos)
                             : 0;
}

static uint64_t window_bytes(const imx_sender_t *s)
{
    return bytes_of(s->load.lines + s->load.pos, s->load.window);
}

/*
 * A rest that is less than a body is not worth an answer of its own, which can
 * take a second: it goes back, and comes again with what was sealed since.
 */
static int is_rest(imx_sender_t *s)
{
    const load_t *l = &s->load;
    size_t left = l->count - l->pos;

    return l->source->rejoins && l->window_limit >= s->o.max_lines
           && left < s->o.max_lines
           && bytes_of(l->lines + l->pos, left)
                  < imx_pace_size(pace(s), &s->o.limits);
}

/* The window is accounted for: `bad` of its lines were refused, the others are
 * stored.  After a split the next windows grow back to their usual size. */
static void window_done(imx_sender_t *s, uint64_t bad)
{
    load_t *l = &s->load;
    size_t most = s->o.max_lines;

    bad = bad < l->window ? bad : l->window;
    l->source->done(l->source, l->window, bad);
    s->done += l->window;
    l->pos += l->window;
    l->window_limit = l->window_limit < most / 2 ? 2 * l->window_limit : most;
    if (l->pos == l->count) {
        l->source = NULL;
    }
    else if (is_rest(s)) {
        put_back(s);
    }
}

/* ---- bodies ---- */

/* Lines that are with InfluxDB now: a holder that dies leaves them on the
 * board, and the next one knows that it repeats them. */
static void set_under_way(imx_sender_t *s, uint64_t lines)
{
    imx_board_t *board = &s->o.news->board;

    board->under_way += lines - s->under_way;
    s->under_way = lines;
    imx_news_publish(s->o.news);
}

static void count_repeated(imx_sender_t *s, uint64_t lines)
{
    s->o.news->board.repeated += lines;
}

static int goes_in_pieces(imx_sender_t *s)
{
    return s->load.source->is_live
           && imx_pace_is_proven(pace(s), window_bytes(s));
}

static void post_window(imx_sender_t *s)
{
    load_t *l = &s->load;
    uint64_t bytes = 0, most = imx_pace_body(pace(s), &s->o.limits, s->began);

    l->window = 0;
    while (l->pos + l->window < l->count && l->window < l->window_limit) {
        bytes += l->lines[l->pos + l->window].len;
        if (bytes > most && l->window > 0) {
            break;
        }
        l->window++;
    }
    set_under_way(s, l->window);
    imx_influx_post(s->influx, l->lines + l->pos, l->window);
    imx_influx_flow(s->influx, goes_in_pieces(s) ? s->piece : IMX_FLOW_ANY);
}

static void post_half(imx_sender_t *s)
{
    search_t *h = &s->search;

    h->asked = h->count > 1 ? h->count / 2 : 1;
    count_repeated(s, h->asked);
    imx_influx_post(s->influx, s->load.lines + h->first, h->asked);
}

static int open_influx(imx_sender_t *s)
{
    char reason[IMX_INFLUX_REASON_MAX];

    if (s->influx == NULL
        && imx_influx_open(&s->influx, s->o.influx, reason) != 0) {
        s->influx = NULL;
        imx_news_down(s->o.news, reason, reason);
        imx_pace_back_off(pace(s), s->began, s->began, -1,
                          imx_random(s->o.random));
        imx_news_publish(s->o.news);
    }
    return s->influx != NULL;
}

void imx_sender_flow(imx_sender_t *s, uint64_t piece)
{
    s->piece = piece;
    if (s->is_posting && !s->is_creating && s->search.count == 0
        && (piece == IMX_FLOW_ANY || goes_in_pieces(s))) {
        imx_influx_flow(s->influx, piece);
    }
}

int imx_sender_post(imx_sender_t *s)
{
    s->began = now_of(s);
    if (!open_influx(s)) {
        put_back(s);
        return 0;
    }
    if (s->is_creating) {
        imx_influx_create_database(s->influx);
    }
    else if (s->search.count > 0) {
        post_half(s);
    }
    else {
        post_window(s);
    }
    s->is_posting = 1;
    return 1;
}

int imx_sender_is_posting(const imx_sender_t *s)
{
    return s->is_posting;
}

int imx_sender_is_out(const imx_sender_t *s)
{
    return s->is_posting && imx_influx_is_out(s->influx);
}

/* ---- lines that are refused ---- */

static void refuse(imx_sender_t *s, uint64_t count, const char *reason,
                   const imx_influx_line_t *line)
{
    imx_news_refused(s->o.news, count, reason, line);
    window_done(s, count);
}

static void halve(imx_sender_t *s)
{
    s->load.window_limit = s->load.window / 2;
}

static void end_search(imx_sender_t *s, const imx_influx_line_t *line)
{
    search_t *h = &s->search;

    h->count = 0;
    refuse(s, h->bad, h->reason, line);
}

/* The line that was refused, if the answer tells; NULL: it does not. */
static const imx_influx_line_t *named_line(const imx_sender_t *s,
                                           const imx_influx_result_t *r)
{
    const load_t *l = &s->load;

    if (l->window == 1) {
        return &l->lines[l->pos];
    }
    return r->line > 0 && (uint64_t)r->line <= l->window
               ? &l->lines[l->pos + (size_t)r->line - 1]
               : NULL;
}

/*
 * Some lines of the window were refused, the others are stored.  When InfluxDB
 * does not say how many, or not surely, halves of it will tell; what is sent
 * again is the same.  So it is when one line is looked for that neither the
 * answer nor the line itself tells.
 */
static void refused_in_part(imx_sender_t *s, const imx_influx_result_t *r)
{
    load_t *l = &s->load;
    uint64_t bad = r->dropped > 0 ? (uint64_t)r->dropped : 1;
    const imx_influx_line_t *line = named_line(s, r);
    int is_asked_for = line == NULL && !r->quotes
                       && !imx_news_is_quiet(s->o.news, IMX_BOARD_REFUSED);

    if (l->window > 1 && (r->more || r->dropped < 0)) {
        count_repeated(s, l->window);
        halve(s);
        return;
    }
    if (is_asked_for) {
        line = imx_conflict_find(l->lines + l->pos, l->window, r->reason);
    }
    if (is_asked_for && line == NULL) {
        s->search.first = l->pos;
        s->search.count = l->window;
        s->search.bad = bad;
        snprintf(s->search.reason, sizeof s->search.reason, "%s", r->reason);
        return;
    }
    refuse(s, bad, r->reason, line);
}

/* The whole body was refused for a line in it. */
static void refused_for_a_line(imx_sender_t *s, const imx_influx_result_t *r)
{
    if (s->load.window > 1) {
        halve(s);
    }
    else {
        refuse(s, 1, r->reason, &s->load.lines[s->load.pos]);
    }
}

/*
 * Nobody says that a line is the reason, but if one is, the others must not go
 * with it.  If it is the request, all of them are refused, after a few guesses.
 * It is not the request when InfluxDB has just taken one.
 */
static void refused_somehow(imx_sender_t *s, const imx_influx_result_t *r)
{
    load_t *l = &s->load;
    int is_recent = s->taken_at != 0 && now_of(s) - s->taken_at < RECENT;

    if (l->window > 1 && s->guesses < (is_recent ? GUESSES_MOST : GUESSES)) {
        s->guesses++;
        halve(s);
    }
    else {
        s->taken_at = l->window > 1 ? 0 : s->taken_at;
        refuse(s, l->window, r->reason, &l->lines[l->pos]);
    }
}

/* ---- answers ---- */

static void taken(imx_sender_t *s, const imx_influx_result_t *r)
{
    int is_over;

    s->guesses = 0;
    s->lone = 0;
    s->taken_at = now_of(s);
    is_over = imx_pace_taken(pace(s), &s->o.limits, s->taken_at, s->began,
                             r->held_ns, window_bytes(s));
    imx_news_body_fits(s->o.news);
    if (is_over) {
        imx_news_up(s->o.news);
    }
}

/* Everything stays, and is tried again later. */
static void retry(imx_sender_t *s, const imx_influx_result_t *r)
{
    put_back(s);
    imx_pace_back_off(pace(s), now_of(s), s->began, r->retry_after_ms,
                      imx_random(s->o.random));
    imx_news_down(s->o.news, r->reason, r->public_reason);
}

/*
 * A server that refuses one short line as too large refuses every body: a proxy
 * is set up wrongly, and no line is to blame.  When two lines in a row are too
 * large, it may be the same.
 */
static void too_large(imx_sender_t *s, const imx_influx_result_t *r)
{
    if (s->load.window > 1) {
        imx_pace_too_large(pace(s), now_of(s), window_bytes(s));
        imx_news_publish(s->o.news);
    }
    else if (window_bytes(s) <= LEAST_LIMIT || s->lone) {
        s->lone = 0;
        imx_pace_forget_limit(pace(s));
        retry(s, r);
    }
    else {
        s->lone = 1;
        refuse(s, 1, r->reason, &s->load.lines[s->load.pos]);
    }
}

/* Another answer ends the search without a name.  If it is a failure, it holds
 * for the next body, too. */
static void search_on(imx_sender_t *s, const imx_influx_result_t *r)
{
    search_t *h = &s->search;

    if (r->answer == IMX_INFLUX_SENT && h->count > 1) {
        h->first += h->asked;
        h->count -= h->asked;
    }
    else if (r->answer == IMX_INFLUX_PARTIAL && h->asked > 1) {
        h->count = h->asked;
    }
    else if (r->answer == IMX_INFLUX_PARTIAL) {
        snprintf(h->reason, sizeof h->reason, "%s", r->reason);
        end_search(s, &s->load.lines[h->first]);
    }
    else {
        end_search(s, NULL);
        if (r->answer == IMX_INFLUX_RETRY || r->answer == IMX_INFLUX_UNKNOWN) {
            retry(s, r);
        }
    }
}

static void retry_smaller(imx_sender_t *s, const imx_influx_result_t *r)
{
    if (r->try_smaller) {
        imx_pace_try_smaller(pace(s), now_of(s), window_bytes(s));
    }
    retry(s, r);
}

/* A new secret is tried at once, the old one not so soon again. */
static void read_secret_again(imx_sender_t *s)
{
    char reason[IMX_INFLUX_REASON_MAX];
    int rv = imx_influx_reload_secret(s->influx, reason);

    if (rv == 1) {
        imx_pace_try_now(pace(s));
        imx_news_publish(s->o.news);
    }
    else if (rv < 0) {
        imx_news_no_secret(s->o.news, reason);
    }
}

/* CREATE DATABASE is not tried again when it did not help: then the retention
 * policy is what is missing. */
static int is_to_create(imx_sender_t *s)
{
    return s->o.create_database && !pace(s)->created
           && s->o.influx->api == IMX_INFLUX_V1;
}

/* What to do with an answer to lines: the one place that says so. */
static void act_on_answer(imx_sender_t *s, const imx_influx_result_t *r)
{
    switch (r->answer) {
    case IMX_INFLUX_SENT:
        taken(s, r);
        if (r->remark) {
            imx_news_remark(s->o.news, r->reason);
        }
        window_done(s, 0);
        break;
    case IMX_INFLUX_PARTIAL:
        taken(s, r);
        refused_in_part(s, r);
        break;
    case IMX_INFLUX_REJECTED:
        refuse(s, s->load.window, r->reason, NULL);
        break;
    case IMX_INFLUX_MALFORMED:
        refused_for_a_line(s, r);
        break;
    case IMX_INFLUX_REFUSED:
        refused_somehow(s, r);
        break;
    case IMX_INFLUX_TOO_LARGE:
        too_large(s, r);
        break;
    case IMX_INFLUX_UNAUTHORIZED:
        retry(s, r);
        read_secret_again(s);
        break;
    case IMX_INFLUX_NOT_FOUND:
        s->is_creating = is_to_create(s);
        if (s->is_creating) {
            put_back(s);
        }
        else {
            retry(s, r);
        }
        break;
    default: /* RETRY, UNKNOWN: the same bytes, later */
        retry_smaller(s, r);
    }
}

static void act_on_creation(imx_sender_t *s, const imx_influx_result_t *r)
{
    if (r->answer == IMX_INFLUX_SENT) {
        pace(s)->created = 1;
        imx_news_created(s->o.news, s->o.influx->database);
        imx_news_publish(s->o.news);
    }
    else {
        retry(s, r);
    }
}

/* Counts the lines that InfluxDB may get twice: those that libcurl has sent
 * once more by itself, and those to which there was no good answer. */
static void count_doubts(imx_sender_t *s, const imx_influx_result_t *r)
{
    count_repeated(s, r->repeated);
    if (s->search.count == 0 && !s->is_creating) {
        count_repeated(s, r->in_doubt);
    }
}

int imx_sender_step(imx_sender_t *s)
{
    imx_influx_result_t r;

    if (!s->is_posting) {
        return 0;
    }
    if (imx_influx_step(s->influx, &r) == IMX_INFLUX_BUSY) {
        return 1;
    }
    s->is_posting = 0;
    count_doubts(s, &r);
    imx_news_answer(s->o.news, &r, !s->is_creating);
    if (s->is_creating) {
        s->is_creating = 0;
        act_on_creation(s, &r);
    }
    else if (s->search.count > 0) {
        search_on(s, &r);
    }
    else {
        act_on_answer(s, &r);
    }
    set_under_way(s, 0);
    return 0;
}

/* ---- its life ---- */

void imx_sender_wait(imx_sender_t *s, int wake_fd, int ms)
{
    struct pollfd wake = { .fd = wake_fd, .events = POLLIN };

    if (s->influx != NULL) {
        imx_influx_wait(s->influx, wake_fd, ms);
    }
    else {
        poll(&wake, 1, ms);
    }
}

void imx_sender_abort(imx_sender_t *s)
{
    if (s->is_posting) {
        if (s->search.count == 0 && !s->is_creating) {
            count_repeated(s, imx_influx_in_doubt(s->influx));
        }
        imx_influx_abort(s->influx);
        s->is_posting = 0;
        set_under_way(s, 0);
    }
    s->is_creating = 0;
    if (s->search.count > 0) {
        end_search(s, NULL); /* InfluxDB has said what became of the window */
    }
    put_back(s);
}

void imx_sender_close(imx_sender_t *s)
{
    imx_sender_abort(s);
    if (s->influx != NULL) {
        imx_influx_close(s->influx);
        s->influx = NULL;
    }
}

imx_sender_t *imx_sender_create(const imx_sender_options_t *options)
{
    imx_sender_t *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return NULL;
    }
    s->o = *options;
    s->piece = IMX_FLOW_ANY;
    s->load.lines = malloc(s->o.room * sizeof *s->load.lines);
    if (s->load.lines == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

void imx_sender_destroy(imx_sender_t *s)
{
    if (s != NULL) {
        imx_sender_close(s);
        free(s->load.lines);
        free(s);
    }
}
