/*
 * holder.c owns the duties of the child that delivers, and their order.
 * Entered by a child's monitor thread.
 * The lease, the batch and the board survive the holder.
 */
#include "deliver/holder.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/least.h"
#include "base/random.h"
#include "deliver/backlog.h"
#include "deliver/batch_source.h"
#include "deliver/flow.h"
#include "deliver/pace.h"
#include "deliver/room.h"
#include "deliver/sender.h"
#include "shared/spare.h"

#include <stdlib.h>
#include <unistd.h>

#define MS IMX_CLOCK_MS
#define LOOK_MS 100             /* does the buffer fill? */
#define LOOK_SOON_MS 10         /* it does, or two bodies are under way */
#define WATCH_EVERY (2000 * MS) /* look for dead children, and for news */
#define TICK_LATE (60000 * MS)  /* a next tick so long ago says nothing */
#define BACKLOG_END_MS 200      /* for the disk, when the lease is given up */
#define SENDERS 2

struct imx_holder {
    imx_monitor_options_t o;
    void (*wake)(void *context);
    void *wake_context;
    imx_news_t news;
    imx_pace_limits_t limits;
    imx_spare_t spare;
    imx_sender_t *senders[SENDERS];
    imx_batch_source_t *sources[SENDERS];
    imx_backlog_t *backlog; /* NULL until this child is the holder */
    uint32_t epoch;         /* of the configuration */
    int is_holder, hangs;
    int64_t next_tick, next_watch, next_look;
    imx_room_t room;   /* second duty */
    uint64_t to_drain; /* lines of this tick that are still to be sent */
    uint64_t piece;    /* the largest since this tick */
    uint64_t random;
};

static int64_t now_of(const imx_holder_t *h)
{
    return imx_news_now(&h->news);
}

static imx_board_pace_t *pace(imx_holder_t *h)
{
    return &h->news.board.pace;
}

/* ---- the lease ---- */

/* FNV-1a over all that says which InfluxDB it is, and as whom. */
static uint64_t target_of(const imx_influx_options_t *o)
{
    const char *parts[] = { o->url,        o->unix_socket,
                            o->database,   o->retention_policy,
                            o->org,        o->bucket,
                            o->user,       o->password_file,
                            o->token_file, NULL };
    uint64_t sum = IMX_HASH_BEGIN + (uint64_t)o->api;
    size_t i;

    for (i = 0; i < sizeof parts / sizeof *parts; i++) {
        sum = imx_hash(sum, parts[i] != NULL ? parts[i] : "");
    }
    return sum;
}

/*
 * The phase of the tick is the server's own, so that a fleet does not flush in
 * one instant.  A new holder goes on with it: where children are recycled all
 * the time, none might live until a tick of its own.
 */
static int64_t first_tick(imx_holder_t *h)
{
    int64_t now = now_of(h), interval = h->o.interval_ms * MS;
    int64_t next = h->news.board.next_tick;

    return next > now - TICK_LATE && next < now + interval
               ? next
               : now
                     + imx_random_below(&h->random, (uint32_t)h->o.interval_ms)
                           * MS;
}

/* Only the holder needs a backlog, and only the holder knows whether the server
 * ends. */
static int make_backlog(imx_holder_t *h, int ends_server)
{
    imx_backlog_options_t o = {
        .batch = &h->o.arena->batch,
        .news = &h->news,
        .dir = h->o.spool_dir,
        .note = h->o.spool_note,
        .max_bytes = h->o.spool_max,
        .file_bytes = h->o.max_bytes,
        .file_lines = h->o.max_lines,
        .is_inline = ends_server || h->o.waits_for_disk,
        .ends_server = ends_server,
        .wake = h->wake,
        .wake_context = h->wake_context
    };
    int i;

    for (i = 0; i < IMX_BACKLOG_BEFORE; i++) {
        o.before[i] = h->o.spool_before[i];
    }
    if (h->backlog == NULL) {
        h->backlog = imx_backlog_create(&o);
    }
    return h->backlog != NULL;
}

/* Only the holder needs them: they are large, and most children never are. */
static int make_sources(imx_holder_t *h)
{
    int i, all = 1;

    for (i = 0; i < SENDERS; i++) {
        if (h->sources[i] == NULL) {
            h->sources[i] = imx_batch_source_create(&h->o.arena->batch);
        }
        all = all && h->sources[i] != NULL;
    }
    return all;
}

int imx_holder_take(imx_holder_t *h, int ends_server)
{
    int64_t now = now_of(h);

    if (!imx_lease_take(&h->o.arena->lease, &h->o.child->self)) {
        return 0;
    }
    if (!make_backlog(h, ends_server) || !make_sources(h)) {
        imx_lease_give(&h->o.arena->lease, &h->o.child->self);
        return 0;
    }
    h->is_holder = 1;
    imx_news_take_over(&h->news);
    imx_pace_take_over(pace(h), &h->limits, target_of(&h->o.influx), now);
    imx_batch_recover(&h->o.arena->batch);
    imx_batch_trim(&h->o.arena->batch);
    imx_spare_begin(&h->spare, &h->o.arena->batch, now);
    imx_room_begin(&h->room, &h->o.arena->batch, &h->news, h->backlog);
    h->next_watch = now;
    h->next_tick = first_tick(h);
    imx_news_publish(&h->news);
    imx_backlog_begin(h->backlog);
    imx_news_say(&h->news, IMX_LOG_DEBUG,
                 IMX_LOGNO(29) "child %u delivers for the server",
                 (unsigned)h->o.child->self.slot);
    return 1;
}

int imx_holder_is_one(const imx_holder_t *h)
{
    return h->is_holder;
}

int imx_holder_is_superseded(const imx_holder_t *h)
{
    return imx_children_has_since(&h->o.arena->children, h->epoch + 1);
}

void imx_holder_abort(imx_holder_t *h)
{
    int i;

    for (i = 0; i < SENDERS; i++) {
        imx_sender_abort(h->senders[i]);
    }
}

void imx_holder_give(imx_holder_t *h)
{
    if (!h->is_holder) {
        return;
    }
    imx_holder_abort(h);
    if (!imx_backlog_end(h->backlog, BACKLOG_END_MS)) {
        h->hangs = 1;
    }
    imx_news_publish(&h->news);
    h->is_holder = 0;
    imx_lease_give(&h->o.arena->lease, &h->o.child->self);
}

int imx_holder_hangs(const imx_holder_t *h)
{
    return h->hangs;
}

void imx_holder_watch(imx_holder_t *h)
{
    imx_news_watch_holder(&h->news);
}

/* ---- first duty: salvage ---- */

static void salvage(imx_holder_t *h)
{
    imx_batch_reap(&h->o.arena->batch, now_of(h) >= h->next_watch);
}

/* ---- fourth duty: send ---- */

int imx_holder_advance(imx_holder_t *h)
{
    int i, busy = 0;

    for (i = 0; i < SENDERS; i++) {
        uint64_t done;

        busy |= imx_sender_step(h->senders[i]);
        done = imx_sender_done(h->senders[i]);
        h->to_drain -= done < h->to_drain ? done : h->to_drain;
    }
    return busy;
}

int imx_holder_is_out(const imx_holder_t *h)
{
    return imx_sender_is_out(h->senders[0])
           || imx_sender_is_out(h->senders[1]);
}

static int is_full_body(imx_holder_t *h, const imx_batch_level_t *level)
{
    return level->sealed_bytes >= imx_pace_size(pace(h), &h->limits)
           || level->sealed_lines >= h->o.max_lines;
}

/* A second body is only of use where answers are slow and InfluxDB works. */
static int wants_second(imx_holder_t *h)
{
    return imx_pace_wants_two(pace(h)) && !imx_news_is_down(&h->news);
}

/*
 * Seals what the children are filling, so that it is sent: once an interval,
 * also while whole bodies go out one after the other, as segments that are full
 * must not keep the tick from the others.  But not while InfluxDB takes
 * nothing, or when there is no sender for what is sealed: it would wait for an
 * answer without the lines that come until then, and sealing eats segments.
 */
static void tick(imx_holder_t *h, const imx_batch_level_t *level)
{
    int64_t now = now_of(h), interval = h->o.interval_ms * MS;

    if (now < h->next_tick || !imx_pace_is_due(pace(h), now)
        || (imx_news_is_down(&h->news) && h->to_drain > 0)
        || (imx_sender_is_posting(h->senders[0])
            && (imx_sender_is_posting(h->senders[1]) || !wants_second(h)
                || !is_full_body(h, level)))) {
        return;
    }
    h->next_tick += (now - h->next_tick) / interval * interval + interval;
    h->news.board.next_tick = h->next_tick;
    imx_news_publish(&h->news);
    imx_batch_seal_all(&h->o.arena->batch);
    h->piece = 0;
    h->to_drain = imx_batch_level(&h->o.arena->batch).sealed_lines
                  + imx_sender_left(h->senders[0])
                  + imx_sender_left(h->senders[1]);
}

/* Is there something for the first sender?  At a tick, or earlier when a body
 * is full. */
static int is_due(imx_holder_t *h, const imx_batch_level_t *level)
{
    return h->to_drain > 0 || imx_backlog_has_files(h->backlog)
           || is_full_body(h, level) || imx_room_is_short(level);
}

/* In how many bodies so much goes out. */
static uint64_t bodies_of(imx_holder_t *h, uint64_t bytes, uint64_t lines)
{
    uint64_t by_bytes = bytes / imx_pace_size(pace(h), &h->limits);
    uint64_t by_lines = lines / h->o.max_lines;

    return 1 + (by_bytes > by_lines ? by_bytes : by_lines);
}

/*
 * A body goes out in pieces, so that requests notice nothing of it; but as fast
 * as it can when room is needed, or when InfluxDB is not well.  s: has a body
 * that is to go out with what is sealed, or NULL.  Until the next tick pieces
 * do not become smaller: all that waited at this one is to be out by then.
 * They are twice as large while a quarter of the buffer waits, so that it does
 * not become half full.
 */
static uint64_t piece_of(imx_holder_t *h, const imx_batch_level_t *level,
                         const imx_sender_t *s)
{
    uint64_t bytes = level->sealed_bytes, lines = level->sealed_lines, piece;

    if (imx_room_is_short(level) || imx_news_is_down(&h->news)) {
        return IMX_FLOW_ANY;
    }
    if (s != NULL) {
        bytes += imx_sender_left_bytes(s);
        lines += imx_sender_left(s);
    }
    piece = imx_pace_piece(pace(h), &h->limits, bytes,
                           bodies_of(h, bytes, lines));
    piece = level->sealed_segments > level->segments / 4 ? 2 * piece : piece;
    h->piece = piece > h->piece ? piece : h->piece;
    return h->piece;
}

/* Before a body is posted: its load is not sealed any more. */
static void set_flow(imx_holder_t *h, imx_sender_t *s)
{
    imx_batch_level_t level = imx_batch_level(&h->o.arena->batch);

    imx_sender_flow(s, piece_of(h, &level, s));
}

static void set_flows(imx_holder_t *h, uint64_t piece)
{
    int i;

    for (i = 0; i < SENDERS; i++) {
        imx_sender_flow(h->senders[i], piece);
    }
}

void imx_holder_hurry(imx_holder_t *h)
{
    set_flows(h, IMX_FLOW_ANY);
}

/* Live lines first, then those of the spool. */
static int take_next(imx_holder_t *h)
{
    if (imx_sender_take(h->senders[0], imx_batch_source(h->sources[0]))) {
        return 1;
    }
    h->to_drain = 0;
    h->piece = 0;
    return imx_sender_take(h->senders[0], imx_backlog_source(h->backlog));
}

static int send_first(imx_holder_t *h, const imx_batch_level_t *level)
{
    imx_sender_t *s = h->senders[0];

    if (imx_sender_is_posting(s)) {
        return 0;
    }
    if (!imx_sender_has_work(s) && !(is_due(h, level) && take_next(h))) {
        return 0;
    }
    set_flow(h, s);
    return imx_sender_post(s);
}

static int send_second(imx_holder_t *h)
{
    imx_sender_t *s = h->senders[1];
    imx_batch_level_t level;

    if (imx_sender_is_posting(s)) {
        return 0;
    }
    if (!imx_sender_has_work(s)) {
        if (!imx_sender_is_posting(h->senders[0]) || !wants_second(h)) {
            return 0;
        }
        level = imx_batch_level(&h->o.arena->batch);
        if (!is_full_body(h, &level)
            || !imx_sender_take(s, imx_batch_source(h->sources[1]))) {
            return 0;
        }
    }
    set_flow(h, s);
    return imx_sender_post(s);
}

/* Returns 1 when something was begun. */
static int send_due(imx_holder_t *h, const imx_batch_level_t *level)
{
    if (!imx_pace_is_due(pace(h), now_of(h))) {
        return 0;
    }
    return send_first(h, level) | send_second(h);
}

int imx_holder_send(imx_holder_t *h)
{
    imx_sender_t *first = h->senders[0], *second = h->senders[1];

    if (imx_sender_has_work(second)) {
        return imx_sender_post(second);
    }
    return (imx_sender_has_work(first)
            || imx_sender_take(first, imx_batch_source(h->sources[0])))
           && imx_sender_post(first);
}

/* ---- the other duties ---- */

static void watch(imx_holder_t *h)
{
    int64_t now = now_of(h);

    if (now >= h->next_watch) {
        h->next_watch = now + WATCH_EVERY;
        imx_news_spool_busy(&h->news, imx_backlog_busy_dir(h->backlog),
                            imx_backlog_busy_since(h->backlog));
        imx_news_watch(&h->news);
    }
}

/* When a step is due again, if nobody wakes the thread. */
static int pause_of(imx_holder_t *h, const imx_batch_level_t *level)
{
    int two = imx_sender_is_posting(h->senders[0])
              && imx_sender_is_posting(h->senders[1]);

    return imx_room_is_short(level) || two ? LOOK_SOON_MS : LOOK_MS;
}

/* What the server does is to be seen at even distances. */
static void look(imx_holder_t *h)
{
    int64_t now = now_of(h);

    if (h->o.look != NULL && now >= h->next_look) {
        h->next_look = now + LOOK_MS / 2 * MS;
        h->o.look(h->o.look_context, now);
    }
}

/* A body of which the answer is due may take long, and lines come meanwhile:
 * the spool works on until then. */
static void give_when_idle(imx_holder_t *h, int is_busy)
{
    if (is_busy) {
        imx_backlog_step(h->backlog);
    }
    else {
        imx_holder_give(h);
    }
}

int imx_holder_step(imx_holder_t *h)
{
    const imx_batch_level_t *level;
    int ms, was_busy, is_busy;

    imx_news_beat(&h->news);
    look(h);
    salvage(h);
    level = imx_room_make(&h->room);
    imx_spare_look(&h->spare, &h->o.arena->batch, level->end, now_of(h));
    set_flows(h, imx_holder_is_superseded(h) ? IMX_FLOW_ANY
                                             : piece_of(h, level, NULL));
    was_busy = imx_holder_advance(h);
    if (imx_holder_is_superseded(h)) {
        give_when_idle(h, was_busy);
        return LOOK_MS;
    }
    if (h->o.report != NULL) {
        h->o.report(h->o.report_context);
    }
    tick(h, level);
    is_busy = send_due(h, level) ? imx_holder_advance(h) : 1;
    ms = is_busy ? pause_of(h, level) : 0;
    ms = imx_least_int(ms, imx_backlog_step(h->backlog));
    watch(h);
    return ms;
}

/* A transfer wakes only its own sender: with two of them the pauses are short,
 * see pause_of(). */
void imx_holder_wait(imx_holder_t *h, int wake_fd, int ms)
{
    int second = !imx_sender_is_posting(h->senders[0])
                 && imx_sender_is_posting(h->senders[1]);

    imx_sender_wait(h->senders[second], wake_fd, ms);
}

/* ---- the end ---- */

imx_news_t *imx_holder_news(imx_holder_t *h)
{
    return &h->news;
}

uint32_t imx_holder_random_below(imx_holder_t *h, uint32_t bound)
{
    return imx_random_below(&h->random, bound);
}

int imx_holder_reports(const imx_holder_t *h)
{
    return h->o.report_end != NULL;
}

void imx_holder_report(imx_holder_t *h)
{
    if (h->o.report_end != NULL) {
        h->o.report_end(h->o.report_context);
    }
}

void imx_holder_seal(imx_holder_t *h)
{
    imx_batch_reap(&h->o.arena->batch, 1);
    imx_batch_seal_all(&h->o.arena->batch);
}

/* The directory may have to be opened first.  Ends when nothing is sealed, the
 * disk does not answer in time, or two attempts moved nothing. */
void imx_holder_spool(imx_holder_t *h, int ms)
{
    int64_t deadline = now_of(h) + ms * MS, left = ms * MS;
    int in_vain = 0;

    imx_backlog_share(h->backlog);
    while (in_vain < 2 && left >= 0
           && imx_backlog_wait(h->backlog, (int)(left / MS))) {
        if (imx_backlog_put_oldest(h->backlog) > 0) {
            in_vain = 0;
        }
        else {
            imx_backlog_step(h->backlog);
            in_vain = imx_backlog_busy_since(h->backlog) ? 0 : in_vain + 1;
        }
        left = deadline - now_of(h);
    }
}

/* ---- its life ---- */

static int make_senders(imx_holder_t *h)
{
    imx_sender_options_t o = {
        .influx = &h->o.influx,
        .limits = h->limits,
        .max_lines = h->o.max_lines,
        .room = h->o.max_lines + IMX_BATCH_SOURCE_SPARE,
        .create_database = h->o.create_database,
        .random = &h->random,
        .news = &h->news
    };
    int i, all = 1;

    for (i = 0; i < SENDERS; i++) {
        h->senders[i] = imx_sender_create(&o);
        all = all && h->senders[i] != NULL;
    }
    return all;
}

static imx_news_t news_of(const imx_monitor_options_t *o)
{
    imx_news_t n = {
        .arena = o->arena,
        .where = o->influx.unix_socket ? o->influx.unix_socket : o->influx.url,
        .log = o->log,
        .log_context = o->log_context,
        .now = o->now,
        .now_context = o->now_context
    };

    return n;
}

imx_holder_t *imx_holder_create(const imx_monitor_options_t *options,
                                void (*wake)(void *context),
                                void *wake_context)
{
    imx_holder_t *h = calloc(1, sizeof *h);

    if (h == NULL) {
        return NULL;
    }
    h->o = *options;
    h->wake = wake;
    h->wake_context = wake_context;
    h->news = news_of(&h->o);
    h->limits = (imx_pace_limits_t){ h->o.max_bytes, h->o.interval_ms,
                                     h->o.influx.total_timeout_ms,
                                     h->o.influx.api == IMX_INFLUX_V3 };
    h->epoch = imx_children_epoch(&h->o.arena->children);
    h->random = h->o.seed != 0
                    ? h->o.seed
                    : ((uint64_t)now_of(h) ^ (uint64_t)getpid() << 32) | 1;
    if (!make_senders(h)) {
        imx_holder_destroy(h);
        return NULL;
    }
    return h;
}

void imx_holder_close(imx_holder_t *h)
{
    int i;

    for (i = 0; i < SENDERS; i++) {
        imx_sender_close(h->senders[i]);
    }
}

int imx_holder_destroy(imx_holder_t *h)
{
    int i;

    if (h == NULL) {
        return 1;
    }
    imx_holder_give(h);
    for (i = 0; i < SENDERS; i++) {
        imx_sender_destroy(h->senders[i]);
        imx_batch_source_destroy(h->sources[i]);
    }
    if (h->backlog != NULL && !imx_backlog_destroy(h->backlog)) {
        return 0;
    }
    free(h);
    return 1;
}
