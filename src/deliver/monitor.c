/*
 * monitor.c owns the order of delivery: tick, lease, bodies, answers, backoff.
 * One thread a child enters it; imx_monitor_stop() also any other thread or a
 * signal handler.
 * What is in the batch survives a crash of this thread; the rest here is
 * figures that the next holder does without.
 */
#include "deliver/monitor.h"

#include "deliver/spool.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)    /* ns */
#define LOOK_MS 100            /* does the buffer fill? */
#define LOOK_SOON_MS 10        /* it does */
#define REAP_EVERY (2000 * MS) /* look for dead children */
#define QUIET (60000 * MS)     /* between two lines of one kind */
#define BACKOFF_LEAST_MS 1000
#define BACKOFF_MOST_MS 30000
#define RETRY_AFTER_MOST_MS 3600000
#define LEAVE_MS 500 /* for the thread to end */
#define STOP_MS 2000 /* ... and the spool's disk to take the rest */
#define STACK_BYTES (512 * 1024)
#define CLAIMS_MAX 1024
#define SPOOLS (1 + IMX_MONITOR_SPOOLS_BEFORE)
#define SEGMENT_LINES_MAX 4096 /* more than a segment can have */
#define LINE_SHOWN 400         /* bytes of a refused line in the log */
#define GUESSES 64             /* bodies to find out what a refusal means */
#define SLOW_LEAST (64 * 1024) /* bytes of a body, however slow the way is */
#define GROW_LEAST (60000 * MS)
#define GROW_MOST (3600000 * MS)
#define SPOOL_PIECE (4 * 1024 * 1024) /* bytes that are read of a file */
#define SPOOL_RETRY (1000 * MS)       /* after it could not be written */

/* A segment that is being sent, and what became of its lines so far. */
typedef struct {
    imx_batch_claim_t claim;
    size_t end; /* its last line + 1, in lines[] */
    uint64_t fate[IMX_BATCH_FATES];
} part_t;

/*
 * What has been claimed: the whole lines of parts[], in order.  The lines
 * before pos are done, the next `window` are with InfluxDB.
 */
typedef struct {
    part_t *parts;
    imx_batch_claim_t *claims; /* CLAIMS_MAX, scratch */
    imx_influx_line_t *lines;
    size_t part_count, first_part; /* parts before it are settled */
    size_t line_count, pos, window;
    size_t window_limit;  /* lines; smaller while splitting */
    size_t capacity;      /* of lines[] */
    struct iovec *pieces; /* capacity, for the spool */
    int guesses;          /* halves that were refused in unknown words */
    imx_spool_t *spool;   /* NULL, or the lines are a piece of a file of it */
} load_t;

/*
 * Looking for one of the lines that were refused, when InfluxDB told how many
 * and why, but not which: halves are sent again (what is there already stays as
 * it is) until one line is left.
 */
typedef struct {
    size_t first,
        count;    /* in lines[], one of them was refused; count 0: off */
    size_t asked; /* of these, sent */
    uint64_t bad; /* lines of the window that were refused */
} search_t;

/* How large a body may be, as 413 taught; tried again now and then, as it can
 * have been somebody on the way who said it, for a while. */
typedef struct {
    uint64_t max;     /* bytes */
    uint64_t refused; /* bytes of the first one refused, until told of */
    uint64_t told;    /* the max that the log tells of, 0: none */
    int64_t grow_at, patience;
    int grew;      /* and no answer since */
    uint64_t slow; /* bytes that may pass within the time limit */
    int64_t began; /* when the last body was begun */
} body_limit_t;

struct imx_monitor {
    imx_monitor_options_t o;
    imx_influx_t *influx; /* NULL until needed */
    uint32_t epoch;
    int is_holder;
    int sending;       /* a transfer is under way ... */
    int creating;      /* ... or due, for the database, */
    int created;       /* which was, since the last SENT */
    uint64_t to_drain; /* a tick's lines, not yet out */
    body_limit_t body;
    load_t load;
    search_t search;
    int64_t next_try, next_tick, next_reap, not_before;
    int backoff_ms;
    char refusal[IMX_INFLUX_REASON_MAX];   /* the last one's reason, */
    char refused[LINE_SHOWN + 1];          /* and line; "": not known */
    imx_batch_delivery_t delivery;         /* as told to the others */
    imx_spool_t *spools[SPOOLS];           /* the one in use, those before */
    imx_spool_totals_t spool_seen[SPOOLS]; /* as last told */
    int spools_open;
    int64_t spool_not_before; /* it could not be written */
    uint64_t random;
    int wake_fd;
    pthread_t thread;
    int ends_server; /* nobody will come after it */
    _Atomic int leave, stop, done;
};

static int64_t monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static int64_t now_of(imx_monitor_t *m)
{
    return m->o.now != NULL ? m->o.now(m->o.now_context) : monotonic();
}

__attribute__((format(printf, 3, 4))) static void say(
    imx_monitor_t *m, imx_log_level_e level, const char *format, ...)
{
    char text[IMX_INFLUX_REASON_MAX + LINE_SHOWN + 256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    m->o.log(m->o.log_context, level, text);
}

static int is_quiet(imx_monitor_t *m, imx_batch_trouble_e kind)
{
    int64_t left = m->delivery.trouble[kind].quiet_until - now_of(m);

    return left > 0 && left <= QUIET; /* the area can hold nonsense */
}

/*
 * Counts, and returns what the log is to be told of: at most once a minute for
 * a kind of trouble and the first time at once, whoever holds the lease.
 */
static uint64_t to_say(imx_monitor_t *m, imx_batch_trouble_e kind,
                       uint64_t count)
{
    imx_batch_trouble_t *t = &m->delivery.trouble[kind];
    uint64_t told = 0;

    t->count += count;
    if (t->count > 0 && !is_quiet(m, kind)) {
        told = t->count;
        t->count = 0;
        t->quiet_until = now_of(m) + QUIET;
    }
    if (count > 0 || told > 0) {
        imx_batch_tell(m->o.batch, &m->delivery);
    }
    return told;
}

/* xorshift64 (Marsaglia 2003): spreads waits, guards nothing. */
static uint32_t random_below(imx_monitor_t *m, uint32_t bound)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return bound ? (uint32_t)((m->random >> 32) * bound >> 32) : 0;
}

static const char *where(const imx_monitor_t *m)
{
    return m->o.influx.unix_socket ? m->o.influx.unix_socket : m->o.influx.url;
}

static uint64_t lost_so_far(imx_monitor_t *m)
{
    imx_batch_totals_t t = imx_batch_totals(m->o.batch);

    return t.no_room + t.fate[IMX_BATCH_DROPPED] + t.fate[IMX_BATCH_REJECTED]
           + m->delivery.spool_dropped + m->delivery.spool_rejected;
}

static int is_down(const imx_monitor_t *m)
{
    return m->delivery.down_since != 0;
}

/* ---- what is claimed ---- */

static size_t add_part(imx_monitor_t *m, const imx_batch_claim_t *claim,
                       size_t count)
{
    load_t *l = &m->load;
    part_t *part = &l->parts[l->part_count++];
    const char *text;
    uint32_t i;

    memset(part, 0, sizeof *part);
    part->claim = *claim;
    for (i = 0; i < claim->lines; i++) {
        size_t len = imx_batch_line(m->o.batch, claim, i, &text);

        if (len > 0) {
            l->lines[count].data = text;
            l->lines[count++].len = (uint32_t)len;
        }
    }
    part->end = count;
    return count;
}

static void settle_done_parts(imx_monitor_t *m)
{
    load_t *l = &m->load;

    while (l->first_part < l->part_count
           && l->parts[l->first_part].end <= l->pos) {
        part_t *part = &l->parts[l->first_part++];

        imx_batch_settle(m->o.batch, &part->claim, part->fate);
    }
}

/* At most a quarter of the buffer: what InfluxDB has cannot be given up. */
static size_t claims_max(const imx_monitor_t *m)
{
    size_t n = imx_batch_segments(m->o.batch) / 4 + 1;

    return n < CLAIMS_MAX ? n : CLAIMS_MAX;
}

static int claim_lines(imx_monitor_t *m)
{
    load_t *l = &m->load;
    size_t i, n;

    do {
        n = imx_batch_claim(m->o.batch, l->claims, claims_max(m),
                            m->o.max_lines, m->o.max_bytes);
        l->part_count = l->first_part = l->line_count = l->pos = 0;
        l->window_limit = m->o.max_lines;
        l->guesses = 0;
        for (i = 0; i < n; i++) {
            l->line_count = add_part(m, &l->claims[i], l->line_count);
        }
        settle_done_parts(m); /* those with torn lines only */
    } while (n > 0 && l->line_count == 0);
    return l->line_count > 0;
}

static void put_back(imx_monitor_t *m)
{
    load_t *l = &m->load;

    m->search.count = 0;
    if (l->spool != NULL) {
        imx_spool_put_back(l->spool);
        l->spool = NULL;
    }
    for (; l->first_part < l->part_count; l->first_part++) {
        imx_batch_put_back(m->o.batch, &l->parts[l->first_part].claim);
    }
    l->pos = l->line_count = 0;
}

/* ---- the spool ---- */

/*
 * A holder that was killed may leave a file whose lines are counted elsewhere:
 * as still in the batch, when it had written the file and not settled all of
 * the segments; as delivered, when it had counted that and not yet removed the
 * file.  They are sent once more, the same bytes, and must not be counted once
 * more.  There is no other way to more lines than the counts say but a file
 * that somebody brought just when no holder was there to see it.
 */
static uint64_t count_once(imx_monitor_t *m, uint64_t lines)
{
    uint64_t *twice = &m->delivery.spool_twice;
    uint64_t again = *twice < lines ? *twice : lines;

    *twice -= again;
    return lines - again;
}

/* For the status page; what others did to a directory counts as found or
 * dropped. */
static void tell_spools(imx_monitor_t *m)
{
    imx_batch_delivery_t *d = &m->delivery;
    int i;

    d->spool_lines = d->spool_bytes = 0;
    for (i = 0; i < SPOOLS; i++) {
        if (m->spools[i] != NULL) {
            imx_spool_totals_t t = imx_spool_totals(m->spools[i]);

            d->spool_found += t.found - m->spool_seen[i].found;
            d->spool_dropped += count_once(m, t.lost - m->spool_seen[i].lost);
            d->spool_lines += t.lines;
            d->spool_bytes += t.bytes;
            m->spool_seen[i] = t;
        }
    }
    imx_batch_tell(m->o.batch, d);
}

static void say_no_spool(imx_monitor_t *m, const char *dir, const char *reason)
{
    if (to_say(m, IMX_BATCH_NO_SPOOL, 1)) {
        say(m, IMX_LOG_ERROR, IMX_LOGNO(50) "the spool %s cannot be used: %s",
            dir, reason);
    }
}

static const char *spool_dir(const imx_monitor_t *m, int i)
{
    return i == 0 ? m->o.spool_dir : m->o.spool_before[i - 1];
}

/* One of before that somebody removed is missed by nobody. */
static int is_missed(int i, int err)
{
    return i == 0 || err != ENOENT;
}

static int open_spool(imx_monitor_t *m, int i, const char *dir)
{
    char reason[IMX_SPOOL_REASON_MAX];
    int err = imx_spool_open(&m->spools[i], dir, i == 0 ? m->o.spool_max : 0, m->ends_server,
                             m->o.log, m->o.log_context, reason);

    if (err != 0) {
        m->spools[i] = NULL;
        if (is_missed(i, err)) {
            say_no_spool(m, dir, reason);
        }
        return 0;
    }
    imx_spool_trust(m->spools[i]);
    m->spool_seen[i] = imx_spool_totals(m->spools[i]);
    return 1;
}

/*
 * What is in the spool when the area is new is recorded with the rest from then
 * on.  Later holders compare what they find with the counts: more lines, see
 * count_once(); fewer, somebody removed some, or a holder was killed when it
 * had removed the oldest file to make room.
 */
static void compare_spools(imx_monitor_t *m)
{
    imx_batch_delivery_t *d = &m->delivery;
    uint64_t counted = imx_batch_totals(m->o.batch).fate[IMX_BATCH_SPOOLED]
                       + d->spool_found - d->spool_delivered
                       - d->spool_rejected - d->spool_dropped;
    uint64_t lines = 0;
    int i;

    for (i = 0; i < SPOOLS; i++) {
        lines += m->spools[i] != NULL ? m->spool_seen[i].lines : 0;
    }
    if (!d->spool_known) {
        d->spool_known = 1;
        d->spool_found = lines;
        return;
    }
    d->spool_twice = lines > counted ? lines - counted : 0;
    d->spool_dropped += counted > lines ? counted - lines : 0;
}

/* Returns 1 when they are open.  Without the one in use there are none: it is
 * tried again. */
static int open_spools(imx_monitor_t *m)
{
    int i, n = 0;

    if (m->spools_open) {
        return 1;
    }
    if (m->o.spool_dir != NULL) {
        n += open_spool(m, 0, m->o.spool_dir);
        if (n == 0) {
            return 0;
        }
    }
    for (i = 1; i < SPOOLS; i++) {
        if (m->o.spool_before[i - 1] != NULL) {
            n += open_spool(m, i, m->o.spool_before[i - 1]);
        }
    }
    if (n > 0) {
        m->spools_open = 1;
        compare_spools(m);
        tell_spools(m);
    }
    return m->spools_open;
}

static void close_spools(imx_monitor_t *m)
{
    int i;

    for (i = 0; i < SPOOLS; i++) {
        imx_spool_close(m->spools[i]);
        m->spools[i] = NULL;
    }
    m->spools_open = 0;
}

static void settle_as(imx_monitor_t *m, const imx_batch_claim_t *claim,
                      imx_batch_fate_e fate, uint64_t whole)
{
    uint64_t fates[IMX_BATCH_FATES] = { 0 };

    fates[fate] = whole;
    imx_batch_settle(m->o.batch, claim, fates);
}

static size_t whole_lines(imx_monitor_t *m, const imx_batch_claim_t *claim,
                          struct iovec *pieces)
{
    size_t count = 0;
    const char *text;
    uint32_t i;

    for (i = 0; i < claim->lines; i++) {
        size_t len = imx_batch_line(m->o.batch, claim, i, &text);

        if (len > 0) {
            pieces[count].iov_base = (char *)(uintptr_t)text;
            pieces[count++].iov_len = len;
        }
    }
    return count;
}

static void say_spool_full(imx_monitor_t *m, uint64_t dropped)
{
    dropped = to_say(m, IMX_BATCH_SPOOL_FULL, dropped);
    if (dropped > 0) {
        say(m, IMX_LOG_ERROR, IMX_LOGNO(55) "the spool is full: gave up its "
            "oldest %llu points", (unsigned long long)dropped);
    }
}

/* Puts the lines of the claims into one file, as far as that goes. */
static int put_claims(imx_monitor_t *m, size_t claimed)
{
    load_t *l = &m->load;
    size_t counts[CLAIMS_MAX], lines = 0, i;
    uint64_t dropped = 0;
    int rv = 0;

    for (i = 0; i < claimed; i++) {
        counts[i] = whole_lines(m, &l->claims[i], l->pieces + lines);
        lines += counts[i];
    }
    if (lines > 0) {
        rv = imx_spool_put(m->spools[0], l->pieces, lines, &dropped);
    }
    for (i = 0; i < claimed; i++) {
        if (rv == 0) {
            settle_as(m, &l->claims[i], IMX_BATCH_SPOOLED, counts[i]);
        }
        else {
            imx_batch_put_back(m->o.batch, &l->claims[i]);
        }
    }
    dropped = count_once(m, dropped);
    m->delivery.spool_dropped += dropped;
    tell_spools(m);
    say_spool_full(m, dropped);
    return rv;
}

/* Bytes of a file, give or take a segment: a body's worth, but several are to
 * fit into the spool. */
static uint64_t file_bytes(const imx_monitor_t *m)
{
    uint64_t most = m->o.spool_max / 4;

    return most > 0 && most < m->o.max_bytes ? most : m->o.max_bytes;
}

static uint64_t file_lines(const imx_monitor_t *m)
{
    uint64_t most = IMX_SPOOL_LINES_MAX - SEGMENT_LINES_MAX;

    return most < m->o.max_lines ? most : m->o.max_lines;
}

/*
 * Moves the oldest sealed segments, a file's worth, into the spool.  Returns
 * how many; 0: nothing sealed, or no spool.  *free grows by those of them that
 * can be taken again (others are beyond the buffer's present size).
 */
static size_t spool_oldest(imx_monitor_t *m, size_t *free)
{
    load_t *l = &m->load;
    uint32_t in_use = imx_batch_segments(m->o.batch);
    size_t claimed, i;
    int rv;

    if (m->o.spool_dir == NULL || !open_spools(m)) {
        return 0;
    }
    claimed = imx_batch_claim(m->o.batch, l->claims, CLAIMS_MAX, file_lines(m),
                              file_bytes(m));
    rv = put_claims(m, claimed);
    if (rv != 0) {
        m->spool_not_before = now_of(m) + SPOOL_RETRY;
        say_no_spool(m, m->o.spool_dir, strerror(rv));
        return 0;
    }
    for (i = 0; i < claimed; i++) {
        *free += l->claims[i].segment < in_use;
    }
    return claimed;
}

/* The next piece of the oldest file becomes the load.  Returns 1 if there is
 * one. */
static int load_piece(imx_monitor_t *m)
{
    load_t *l = &m->load;
    imx_spool_piece_t piece;
    size_t n;
    int i, got = 0;

    if (!open_spools(m)) {
        return 0;
    }
    /* Those before have the older ones. */
    for (i = SPOOLS; i > 0 && got != 1;) {
        if (m->spools[--i] == NULL) {
            continue;
        }
        got = imx_spool_next(m->spools[i], SPOOL_PIECE, l->capacity, &piece);
        if (got < 0 && is_missed(i, errno)) {
            say_no_spool(m, spool_dir(m, i), strerror(errno));
        }
    }
    tell_spools(m);
    if (got != 1) {
        return 0;
    }
    l->line_count = piece.count;
    for (n = 0; n < l->line_count; n++) {
        l->lines[n].data = piece.lines[n].iov_base;
        l->lines[n].len = (uint32_t)piece.lines[n].iov_len;
    }
    l->pos = l->part_count = l->first_part = 0;
    l->window_limit = m->o.max_lines;
    l->guesses = 0;
    l->spool = m->spools[i];
    return 1;
}

/* Files that somebody brought are delivered, also when nothing else is.  (A
 * spool that could not be opened is as full as it was told to be before.) */
static void look_for_files(imx_monitor_t *m)
{
    int i;

    if (!m->spools_open) {
        return;
    }
    for (i = 0; i < SPOOLS; i++) {
        if (m->spools[i] != NULL) {
            imx_spool_look(m->spools[i]);
            imx_spool_trust(m->spools[i]);
        }
    }
    tell_spools(m);
}

/*
 * What InfluxDB has acknowledged of a file is not sent again, whatever becomes
 * of the next window.  It is counted before the file says so: from the counts
 * the next holder knows what was sent already.
 */
static void count_window(imx_monitor_t *m, uint64_t rejected)
{
    imx_batch_delivery_t *d = &m->delivery;

    d->spool_delivered += count_once(m, m->load.window - rejected);
    d->spool_rejected += count_once(m, rejected);
    imx_batch_tell(m->o.batch, d);
}

static void file_window_done(imx_monitor_t *m, uint64_t bad)
{
    load_t *l = &m->load;

    count_window(m, bad < l->window ? bad : l->window);
    l->pos += l->window;
    imx_spool_done(l->spool, l->window);
    l->spool = l->pos < l->line_count ? l->spool : NULL;
    tell_spools(m);
}

/* The first `bad` lines of the window were refused, the others taken: exact as
 * a sum; which lines those were InfluxDB does not say in a way to rely on. */
static void window_done(imx_monitor_t *m, uint64_t bad)
{
    load_t *l = &m->load;
    size_t end = l->pos + l->window, part = l->first_part;

    if (l->spool != NULL) {
        file_window_done(m, bad);
        end = l->pos;
    }
    for (; l->pos < end; l->pos++) {
        imx_batch_fate_e fate = bad > 0 ? IMX_BATCH_REJECTED : IMX_BATCH_SENT;

        while (l->parts[part].end <= l->pos) {
            part++;
        }
        l->parts[part].fate[fate]++;
        bad -= bad > 0;
    }
    m->to_drain -= l->window < m->to_drain ? l->window : m->to_drain;
    l->window_limit *= 2; /* after a split, back to the usual size */
    if (l->window_limit > m->o.max_lines) {
        l->window_limit = m->o.max_lines;
    }
    settle_done_parts(m);
}

/* ---- bodies ---- */

static void grow_bodies(imx_monitor_t *m)
{
    body_limit_t *b = &m->body;

    if (b->max < m->o.max_bytes && now_of(m) >= b->grow_at) {
        b->max = b->max < m->o.max_bytes / 2 ? 2 * b->max : m->o.max_bytes;
        b->grow_at = now_of(m) + b->patience;
        b->grew = 1;
    }
}

/* bytes were too many.  A limit that is there to stay is asked for less and
 * less often. */
static void shrink_bodies(imx_monitor_t *m, uint64_t bytes)
{
    body_limit_t *b = &m->body;

    if (b->grew) {
        b->patience = b->patience < GROW_MOST / 2 ? 2 * b->patience
                                                  : GROW_MOST;
    }
    b->grew = 0;
    b->max = bytes / 2;
    b->grow_at = now_of(m) + b->patience;
    b->refused = b->refused ? b->refused : bytes;
}

/*
 * No answer within the time limit: perhaps the way is too slow for so large a
 * body, and it would be the next time.  A server that hangs looks the same, so
 * there is an end to it, and bodies grow again as soon as they pass quickly.
 */
static void slow_down(imx_monitor_t *m, uint64_t bytes)
{
    uint64_t half = bytes / 2;

    m->body.slow = half > SLOW_LEAST ? half : SLOW_LEAST;
}

static void speed_up(imx_monitor_t *m)
{
    body_limit_t *b = &m->body;

    if (b->slow < m->o.max_bytes
        && now_of(m) - b->began < m->o.influx.total_timeout_ms * MS / 4) {
        b->slow *= 2;
    }
}

/* A body was not too large: the time to tell of those that were. */
static void body_fits(imx_monitor_t *m)
{
    body_limit_t *b = &m->body;

    if (b->refused && (b->told == 0 || b->max < b->told / 4)
        && to_say(m, IMX_BATCH_TOO_LARGE, 1)) {
        say(m, IMX_LOG_NOTICE, IMX_LOGNO(24) "a body of %llu bytes is too "
            "large for %s, bodies have at most %llu bytes from now on",
            (unsigned long long)b->refused, where(m),
            (unsigned long long)b->max);
        b->told = b->max;
    }
    b->refused = 0;
    b->grew = 0;
}

/*
 * Cuts the window at the end of a segment if it has one: when the next window
 * fails, segments go back as a whole, and what was acknowledged of them would
 * be sent again.
 */
static size_t whole_parts(const load_t *l)
{
    size_t part, end, whole = 0;

    for (part = l->first_part; part < l->part_count; part++) {
        end = l->parts[part].end;
        if (end > l->pos && end <= l->pos + l->window) {
            whole = end - l->pos;
        }
    }
    return whole > 0 ? whole : l->window;
}

static void post_window(imx_monitor_t *m)
{
    load_t *l = &m->load;
    uint64_t bytes = 0, most;

    grow_bodies(m);
    most = m->body.max < m->body.slow ? m->body.max : m->body.slow;
    m->body.began = now_of(m);
    l->window = 0;
    while (l->pos + l->window < l->line_count && l->window < l->window_limit) {
        bytes += l->lines[l->pos + l->window].len;
        if (bytes > most && l->window > 0) {
            break;
        }
        l->window++;
    }
    if (most >= m->o.max_bytes) { /* no smaller limit was learned */
        l->window = whole_parts(l);
    }
    imx_influx_post(m->influx, l->lines + l->pos, l->window);
    m->sending = 1;
}

static void post_half(imx_monitor_t *m)
{
    search_t *s = &m->search;

    s->asked = s->count > 1 ? s->count / 2 : 1;
    imx_influx_post(m->influx, m->load.lines + s->first, s->asked);
    m->sending = 1;
}

static void back_off(imx_monitor_t *m, int64_t asked_ms)
{
    int64_t ms = asked_ms;

    if (ms < 0) {
        m->backoff_ms = m->backoff_ms ? 2 * m->backoff_ms
                                      : 2 * BACKOFF_LEAST_MS;
        if (m->backoff_ms > BACKOFF_MOST_MS) {
            m->backoff_ms = BACKOFF_MOST_MS;
        }
        ms = BACKOFF_LEAST_MS
             + random_below(m, (uint32_t)(m->backoff_ms - BACKOFF_LEAST_MS));
    }
    else if (ms > RETRY_AFTER_MOST_MS) {
        ms = RETRY_AFTER_MOST_MS;
    }
    m->not_before = now_of(m) + ms * MS;
}

/* An outage is one, and told of once, though the lease may change hands. */
static void delivery_failed(imx_monitor_t *m, const char *reason)
{
    imx_batch_delivery_t *d = &m->delivery;

    if (!is_down(m)) {
        d->down_since = now_of(m);
        d->down_lost = lost_so_far(m);
        d->down_said = 0;
    }
    if (!d->down_said && to_say(m, IMX_BATCH_OUTAGE, 1)) {
        d->down_said = 1;
        say(m, IMX_LOG_WARNING, IMX_LOGNO(20) "InfluxDB at %s does not take "
            "points, they are kept until it does: %s", where(m), reason);
    }
    imx_batch_tell(m->o.batch, d);
}

static void delivery_works(imx_monitor_t *m)
{
    imx_batch_delivery_t *d = &m->delivery;

    m->backoff_ms = 0;
    body_fits(m);
    speed_up(m);
    if (!is_down(m)) {
        return;
    }
    if (d->down_said) {
        imx_batch_totals_t t = imx_batch_totals(m->o.batch);

        say(m, IMX_LOG_NOTICE, IMX_LOGNO(21) "InfluxDB at %s takes points "
            "again after %.1f s: %llu pending, %llu lost meanwhile",
            where(m), (double)(now_of(m) - d->down_since) / 1e9,
            (unsigned long long)(t.pending + d->spool_lines),
            (unsigned long long)(lost_so_far(m) - d->down_lost));
    }
    d->down_since = 0;
    d->trouble[IMX_BATCH_OUTAGE].count = 0; /* one that was not told of */
    imx_batch_tell(m->o.batch, d);
}

/* ---- refused lines ---- */

/* What was not told of when it happened: when the minute is over. */
static void say_refused(imx_monitor_t *m, uint64_t count)
{
    uint64_t told = to_say(m, IMX_BATCH_REFUSED, count);

    if (told > 0) {
        say(m, IMX_LOG_ERROR, IMX_LOGNO(22) "InfluxDB refused %llu points for "
            "good, the last ones because: %s%s%s", (unsigned long long)told,
            m->refusal[0] ? m->refusal : "told by a child that is gone",
            m->refused[0] ? "; one of them: " : "", m->refused);
    }
}

/* line: one of them, NULL when it is not known (or is in the reason). */
static void refused(imx_monitor_t *m, uint64_t count, const char *reason,
                    const imx_influx_line_t *line)
{
    if (reason != m->refusal) {
        snprintf(m->refusal, sizeof m->refusal, "%s", reason);
    }
    m->refused[0] = '\0';
    if (line != NULL) {
        snprintf(m->refused, sizeof m->refused, "%.*s", (int)line->len - 1,
                 line->data);
    }
    say_refused(m, count);
}

static void end_search(imx_monitor_t *m, const imx_influx_line_t *line)
{
    search_t *s = &m->search;

    s->count = 0;
    refused(m, s->bad, m->refusal, line);
    window_done(m, s->bad);
}

/* A failure ends it without a name: the next body has the same trouble. */
static void search_on(imx_monitor_t *m, const imx_influx_result_t *r)
{
    search_t *s = &m->search;
    const imx_influx_line_t *line = &m->load.lines[s->first];

    if (r->answer == IMX_INFLUX_SENT && s->count > 1) {
        s->first += s->asked;
        s->count -= s->asked;
    }
    else if (r->answer == IMX_INFLUX_PARTIAL && s->asked > 1) {
        s->count = s->asked;
    }
    else if (r->answer == IMX_INFLUX_PARTIAL) {
        snprintf(m->refusal, sizeof m->refusal, "%s", r->reason);
        end_search(m, line);
    }
    else {
        end_search(m, NULL);
    }
}

/*
 * Some lines of the window were refused, the others are in.  When InfluxDB does
 * not say how many, or not surely, halves of it will: what is sent again is
 * the same.
 */
static void refused_in_part(imx_monitor_t *m, const imx_influx_result_t *r)
{
    load_t *l = &m->load;
    uint64_t bad = r->dropped > 0 ? (uint64_t)r->dropped : 1;
    const imx_influx_line_t *line = NULL;

    if (l->window > 1 && (r->more || r->dropped < 0)) {
        l->window_limit = l->window / 2;
        return;
    }
    if (l->window == 1) {
        line = &l->lines[l->pos];
    }
    else if (r->line > 0 && (uint64_t)r->line <= l->window) {
        line = &l->lines[l->pos + (size_t)r->line - 1];
    }
    else if (!r->quotes && !is_quiet(m, IMX_BATCH_REFUSED)) {
        snprintf(m->refusal, sizeof m->refusal, "%s", r->reason);
        m->search = (search_t){ l->pos, l->window, 0, bad };
        return;
    }
    refused(m, bad, r->reason, line);
    window_done(m, bad);
}

static uint64_t window_bytes(const imx_monitor_t *m)
{
    const load_t *l = &m->load;
    uint64_t bytes = 0;
    size_t i;

    for (i = 0; i < l->window; i++) {
        bytes += l->lines[l->pos + i].len;
    }
    return bytes;
}

static void keep(imx_monitor_t *m, const imx_influx_result_t *r)
{
    if (r->too_slow) {
        slow_down(m, window_bytes(m));
    }
    put_back(m);
    delivery_failed(m, r->reason);
    back_off(m, r->retry_after_ms);
}

static void split(imx_monitor_t *m, const imx_influx_result_t *r)
{
    load_t *l = &m->load;

    if (l->window > 1) {
        l->window_limit = l->window / 2;
        return;
    }
    refused(m, 1, r->reason, &l->lines[l->pos]);
    window_done(m, 1);
}

static void shrink(imx_monitor_t *m, const imx_influx_result_t *r)
{
    load_t *l = &m->load;

    if (l->window == 1) {
        refused(m, 1, r->reason, &l->lines[l->pos]);
        window_done(m, 1);
        return;
    }
    shrink_bodies(m, window_bytes(m));
}

/*
 * Nobody says that a line is the reason, but if one is, the others must not go
 * with it.  If it is the request, they are all refused, after a few attempts.
 */
static void refused_somehow(imx_monitor_t *m, const imx_influx_result_t *r)
{
    load_t *l = &m->load;

    if (l->window > 1 && l->guesses < GUESSES) {
        l->guesses++;
        l->window_limit = l->window / 2;
        return;
    }
    refused(m, l->window, r->reason, &l->lines[l->pos]);
    window_done(m, l->window);
}

/* For the status page. */
static void tell(imx_monitor_t *m, const imx_influx_result_t *r)
{
    struct timespec t;

    m->delivery.last_status = r->status;
    if (r->answer == IMX_INFLUX_SENT || r->answer == IMX_INFLUX_PARTIAL) {
        clock_gettime(CLOCK_REALTIME, &t);
        m->delivery.last_flush = t.tv_sec * 1000 * MS + t.tv_nsec;
    }
    if (r->answer == IMX_INFLUX_SENT) {
        m->delivery.last_error[0] = '\0';
    }
    else {
        snprintf(m->delivery.last_error, sizeof m->delivery.last_error, "%s",
                 r->reason);
    }
    imx_batch_tell(m->o.batch, &m->delivery);
}

/* A new token is tried at once, the old one not so soon again. */
static void read_secret_again(imx_monitor_t *m)
{
    char reason[IMX_INFLUX_REASON_MAX];
    int rv = imx_influx_reload_secret(m->influx, reason);

    if (rv == 1) {
        m->not_before = now_of(m);
    }
    else if (rv < 0 && to_say(m, IMX_BATCH_NO_SECRET, 1)) {
        say(m, IMX_LOG_ERROR, IMX_LOGNO(26) "the secret that InfluxDB refused "
            "cannot be read again: %s", reason);
    }
}

/* What to do with an answer to lines: the one place that says so. */
static void act_on_answer(imx_monitor_t *m, const imx_influx_result_t *r)
{
    switch (r->answer) {
    case IMX_INFLUX_SENT:
        m->created = 0;
        delivery_works(m);
        window_done(m, 0);
        break;
    case IMX_INFLUX_PARTIAL:
        m->created = 0;
        delivery_works(m);
        refused_in_part(m, r);
        break;
    case IMX_INFLUX_REJECTED:
        refused(m, m->load.window, r->reason, NULL);
        window_done(m, m->load.window);
        break;
    case IMX_INFLUX_MALFORMED:
        split(m, r);
        break;
    case IMX_INFLUX_REFUSED:
        refused_somehow(m, r);
        break;
    case IMX_INFLUX_TOO_LARGE:
        shrink(m, r);
        break;
    case IMX_INFLUX_UNAUTHORIZED:
        keep(m, r);
        read_secret_again(m);
        break;
    case IMX_INFLUX_NOT_FOUND:
        /* Not again when that did not help: a retention policy is missing. */
        if (m->o.create_database && !m->created
            && m->o.influx.api == IMX_INFLUX_V1) {
            put_back(m);
            m->creating = 1;
        }
        else {
            keep(m, r);
        }
        break;
    default: /* RETRY, UNKNOWN: the same bytes, later */
        keep(m, r);
    }
}

static void act_on_creation(imx_monitor_t *m, const imx_influx_result_t *r)
{
    if (r->answer == IMX_INFLUX_SENT) {
        m->created = 1;
        say(m, IMX_LOG_NOTICE, IMX_LOGNO(25) "CREATE DATABASE %s was "
            "carried out at %s", m->o.influx.database, where(m));
    }
    else {
        keep(m, r);
    }
}

/* Moves what is under way.  Returns 1 while it still is. */
static int advance(imx_monitor_t *m)
{
    imx_influx_result_t r;

    if (m->sending) {
        if (imx_influx_step(m->influx, &r) == IMX_INFLUX_BUSY) {
            return 1;
        }
        m->sending = 0;
        tell(m, &r);
        if (m->creating) {
            m->creating = 0;
            act_on_creation(m, &r);
        }
        else if (m->search.count > 0) {
            search_on(m, &r);
        }
        else {
            act_on_answer(m, &r);
        }
    }
    return 0;
}

/* ---- the holder ---- */

static int open_influx(imx_monitor_t *m)
{
    char reason[IMX_INFLUX_REASON_MAX];

    if (m->influx == NULL
        && imx_influx_open(&m->influx, &m->o.influx, reason) != 0) {
        m->influx = NULL;
        delivery_failed(m, reason);
        back_off(m, -1);
    }
    return m->influx != NULL;
}

/* Sends the next body if there is anything to send.  Returns 1 if so. */
static int send_next(imx_monitor_t *m)
{
    if (!open_influx(m)) {
        return 0;
    }
    if (m->creating) {
        imx_influx_create_database(m->influx);
        m->sending = 1;
        return 1;
    }
    if (m->search.count > 0) {
        post_half(m);
        return 1;
    }
    /* Live lines first, then those of the spool.  At the end these are the next
     * server's, which may be at work already and would count them as lost. */
    if (m->load.pos >= m->load.line_count && !claim_lines(m)) {
        m->to_drain = 0;
        if (m->ends_server || !load_piece(m)) {
            return 0;
        }
    }
    post_window(m);
    return 1;
}

/* Gives up the oldest sealed segment; returns 1 if there was one.  *free and
 * *dropped grow by what became free, and lines that are lost. */
static int drop_oldest(imx_monitor_t *m, size_t *free, uint64_t *dropped)
{
    load_t *l = &m->load;
    size_t whole;

    if (imx_batch_claim(m->o.batch, l->claims, 1, 1, 1) == 0) {
        return 0;
    }
    whole = whole_lines(m, &l->claims[0], l->pieces);
    settle_as(m, &l->claims[0], IMX_BATCH_DROPPED, whole);
    *free += l->claims[0].segment < imx_batch_segments(m->o.batch);
    *dropped += whole;
    return 1;
}

/*
 * So that requests find free segments: moves the oldest lines to the spool, in
 * time while InfluxDB takes nothing, or gives them up when there is no spool.
 */
static void make_room(imx_monitor_t *m, const imx_batch_load_t *load)
{
    size_t least = load->segments / 16 + 1;
    size_t wanted = is_down(m) ? load->segments / 2 : least;
    size_t free = load->free_segments;
    uint64_t dropped = 0;

    while (free < wanted && now_of(m) >= m->spool_not_before
           && spool_oldest(m, &free) > 0) {
    }
    while (free < least && drop_oldest(m, &free, &dropped)) {
    }
    dropped = to_say(m, IMX_BATCH_FULL, dropped);
    if (dropped > 0) {
        say(m, IMX_LOG_ERROR, IMX_LOGNO(27) "the buffer is full: gave up the "
            "oldest %llu points", (unsigned long long)dropped);
    }
}

/* Also what was lost while nobody held the lease, or not for long enough. */
static void watch_no_room(imx_monitor_t *m)
{
    uint64_t before = m->delivery.no_room_seen, lost;

    m->delivery.no_room_seen = imx_batch_totals(m->o.batch).no_room;
    lost = to_say(m, IMX_BATCH_NO_ROOM, m->delivery.no_room_seen - before);
    if (lost > 0) {
        say(m, IMX_LOG_ERROR, IMX_LOGNO(28) "%llu points were lost because the "
            "buffer was full", (unsigned long long)lost);
    }
}

/* A line for each tag that has reached its limit. */
static void watch_values(imx_monitor_t *m)
{
    const char *name;

    while (m->o.values != NULL
           && (name = imx_values_news(m->o.values)) != NULL) {
        say(m, IMX_LOG_WARNING, IMX_LOGNO(72) "the tag %s has %u values, as "
            "many as InfluxMetricsTagLimit allows: others are written as "
            "\"other\"", name, (unsigned)m->o.values->limit);
    }
}

/*
 * The phase of the tick is the server's own, so that a fleet does not flush in
 * one instant.  A new holder goes on with it: where children are recycled all
 * the time, none might live until a tick of its own.
 */
static int64_t first_tick(imx_monitor_t *m)
{
    int64_t now = now_of(m), interval = m->o.interval_ms * MS;
    int64_t next = m->delivery.next_tick;

    return next > now - QUIET && next < now + interval
               ? next
               : now + random_below(m, (uint32_t)m->o.interval_ms) * MS;
}

static void become_holder(imx_monitor_t *m)
{
    int64_t now = now_of(m);

    m->is_holder = 1;
    m->delivery = imx_batch_told(m->o.batch);
    imx_batch_recover(m->o.batch);
    imx_batch_trim(m->o.batch);
    m->next_reap = now;
    m->next_tick = first_tick(m);
    open_spools(m);
    say(m, IMX_LOG_DEBUG, IMX_LOGNO(29) "child %u delivers for the server",
        (unsigned)m->o.child->slot);
}

static void give_lease(imx_monitor_t *m)
{
    if (m->sending) {
        imx_influx_abort(m->influx);
        m->sending = m->creating = 0;
    }
    put_back(m);
    close_spools(m);
    if (m->is_holder) {
        m->is_holder = 0;
        imx_batch_lease_give(m->o.batch);
    }
}

/* A newer configuration is in force and one of its children can deliver. */
static int is_superseded(imx_monitor_t *m)
{
    return imx_batch_epoch(m->o.batch) != m->epoch
           && imx_batch_has_child_since(m->o.batch, m->epoch + 1);
}

/* Up to 5 s, so that thousands of children do not wake for nothing. */
static void try_lease(imx_monitor_t *m)
{
    uint32_t base = 500 + 2 * m->o.batch->geometry.children;

    if (base > 2500) {
        base = 2500;
    }
    m->next_try = now_of(m) + (base + random_below(m, base)) * MS;
    if (!is_superseded(m)
        && imx_batch_lease_take(m->o.batch, m->o.child->slot)) {
        become_holder(m);
    }
}

/* Work that does not wait for InfluxDB. */
static void keep_house(imx_monitor_t *m, imx_batch_load_t *load)
{
    int64_t now = now_of(m);

    imx_batch_reap(m->o.batch, now >= m->next_reap);
    if (now >= m->next_reap) {
        m->next_reap = now + REAP_EVERY;
        watch_no_room(m);
        watch_values(m);
        say_refused(m, 0);
        say_spool_full(m, 0);
        look_for_files(m);
    }
    *load = imx_batch_load(m->o.batch);
    make_room(m, load);
}

/* Is it time to send?  At a tick, or earlier when a body is full. */
static int is_due(imx_monitor_t *m, const imx_batch_load_t *load)
{
    int64_t now = now_of(m);
    int64_t interval = m->o.interval_ms * MS;

    if (now < m->not_before) {
        return 0;
    }
    /* Also while sending goes on: full segments must not keep the tick from
     * the others.  But while InfluxDB refuses what is there already, there is
     * no point in it, and sealing eats segments. */
    if (now >= m->next_tick && !(is_down(m) && m->to_drain > 0)) {
        m->next_tick += (now - m->next_tick) / interval * interval + interval;
        m->delivery.next_tick = m->next_tick;
        imx_batch_tell(m->o.batch, &m->delivery);
        imx_batch_seal_all(m->o.batch);
        m->to_drain = imx_batch_load(m->o.batch).sealed_lines
                      + m->load.line_count - m->load.pos;
    }
    if (m->creating || m->to_drain > 0 || m->load.pos < m->load.line_count
        || m->delivery.spool_lines > 0) {
        return 1;
    }
    return load->sealed_bytes >= m->o.max_bytes
           || load->sealed_lines >= m->o.max_lines
           || load->free_segments < load->segments / 2;
}

static int hold(imx_monitor_t *m)
{
    imx_batch_load_t load;
    int look_again;

    keep_house(m, &load);
    look_again = load.free_segments < load.segments / 2 ? LOOK_SOON_MS
                                                        : LOOK_MS;
    if (advance(m)) {
        return look_again;
    }
    if (is_superseded(m)) {
        give_lease(m);
        return look_again;
    }
    if (is_due(m, &load) && send_next(m)) {
        return advance(m) ? look_again : 0;
    }
    return look_again;
}

int imx_monitor_step(imx_monitor_t *m)
{
    if (!m->is_holder && now_of(m) >= m->next_try) {
        try_lease(m);
    }
    if (m->is_holder) {
        return hold(m);
    }
    return (int)((m->next_try - now_of(m)) / MS) + 1;
}

/* ---- the end ---- */

/*
 * A living child is there to deliver.  At a graceful restart the last of the
 * old children can be gone before the first of the new ones is there: it
 * begins, and leaves the rest to the new one.
 */
static int is_relieved(const imx_monitor_t *m)
{
    return !m->ends_server && !imx_batch_is_last(m->o.child);
}

static int is_over(imx_monitor_t *m, int64_t deadline)
{
    return now_of(m) >= deadline || is_relieved(m);
}

/* Sends all there is until done, a failure, the deadline, or a new child. */
static void flush(imx_monitor_t *m, int64_t deadline)
{
    imx_batch_reap(m->o.batch, 1);
    imx_batch_seal_all(m->o.batch);
    m->not_before = 0;
    for (;;) {
        while (advance(m)) {
            if (is_over(m, deadline)) {
                return;
            }
            imx_influx_wait(m->influx, -1, 20);
        }
        if (m->not_before > now_of(m) || !send_next(m)) {
            return;
        }
    }
}

/* What InfluxDB did not take in time goes to the spool, if there is one. */
static void spool_all(imx_monitor_t *m)
{
    size_t free = 0;

    if (m->sending) {
        imx_influx_abort(m->influx);
        m->sending = m->creating = 0;
    }
    put_back(m);
    imx_batch_reap(m->o.batch, 1);
    imx_batch_seal_all(m->o.batch);
    while (spool_oldest(m, &free) > 0) {
    }
}

/* Another child that is just leaving may hold it for the same purpose. */
static int wait_for_lease(imx_monitor_t *m, int64_t deadline)
{
    while (!m->is_holder && !is_over(m, deadline)) {
        if (imx_batch_lease_take(m->o.batch, m->o.child->slot)) {
            become_holder(m);
        }
        else {
            poll(NULL, 0, 10);
        }
    }
    return m->is_holder;
}

static void bring_to_an_end(imx_monitor_t *m)
{
    int64_t deadline = now_of(m) + m->o.shutdown_ms * MS;

    if (wait_for_lease(m, deadline)) {
        flush(m, deadline);
        if (!is_relieved(m)) {
            spool_all(m);
        }
    }
}

void imx_monitor_finish(imx_monitor_t *m)
{
    if (imx_batch_leave(m->o.child) && !atomic_load(&m->leave)) {
        bring_to_an_end(m);
    }
    give_lease(m);
}

void imx_monitor_end_server(imx_monitor_t *m)
{
    m->ends_server = 1;
    bring_to_an_end(m);
    give_lease(m);
}

void imx_monitor_wait(imx_monitor_t *m, int ms)
{
    struct pollfd wake = { .fd = m->wake_fd, .events = POLLIN };

    if (m->influx != NULL) {
        imx_influx_wait(m->influx, m->wake_fd, ms);
    }
    else {
        poll(&wake, 1, ms);
    }
}

static void *run(void *data)
{
    imx_monitor_t *m = data;

    while (!atomic_load(&m->stop)) {
        int ms = imx_monitor_step(m);

        if (ms > 0) {
            imx_monitor_wait(m, ms);
        }
    }
    imx_monitor_finish(m);
    if (m->influx != NULL) {
        imx_influx_close(m->influx);
        m->influx = NULL;
    }
    atomic_store(&m->done, 1);
    return NULL;
}

int imx_monitor_start(imx_monitor_t *m)
{
    pthread_attr_t attr;
    int rv = pthread_attr_init(&attr);

    if (rv != 0) {
        return rv;
    }
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rv = pthread_create(&m->thread, &attr, run, m);
    pthread_attr_destroy(&attr);
    return rv;
}

void imx_monitor_leave(imx_monitor_t *m)
{
    atomic_store(&m->leave, 1);
}

/* Only what POSIX allows in a signal handler. */
int imx_monitor_stop(imx_monitor_t *m)
{
    const struct timespec pause = { .tv_nsec = 2 * MS };
    uint64_t one = 1;
    int ms = atomic_load(&m->leave) ? LEAVE_MS : m->o.shutdown_ms + STOP_MS;
    int64_t deadline = monotonic() + ms * MS;

    atomic_store(&m->stop, 1);
    if (write(m->wake_fd, &one, sizeof one) < 0) {
        return 0;
    }
    while (!atomic_load(&m->done) && monotonic() < deadline) {
        nanosleep(&pause, NULL);
    }
    return atomic_load(&m->done);
}

static int make_load(load_t *l, uint64_t max_lines)
{
    l->capacity = max_lines + SEGMENT_LINES_MAX;
    l->parts = malloc(CLAIMS_MAX * sizeof *l->parts);
    l->claims = malloc(CLAIMS_MAX * sizeof *l->claims);
    l->lines = malloc(l->capacity * sizeof *l->lines);
    l->pieces = malloc(l->capacity * sizeof *l->pieces);
    return l->parts != NULL && l->claims != NULL && l->lines != NULL
           && l->pieces != NULL;
}

imx_monitor_t *imx_monitor_create(const imx_monitor_options_t *options)
{
    imx_monitor_t *m = calloc(1, sizeof *m);

    if (m == NULL) {
        return NULL;
    }
    m->o = *options;
    m->epoch = imx_batch_epoch(m->o.batch);
    m->body.max = m->o.max_bytes;
    m->body.slow = m->o.max_bytes;
    m->body.patience = GROW_LEAST;
    m->random = ((uint64_t)now_of(m) ^ (uint64_t)getpid() << 32) | 1;
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->wake_fd < 0 || !make_load(&m->load, m->o.max_lines)) {
        imx_monitor_destroy(m);
        return NULL;
    }
    return m;
}

void imx_monitor_destroy(imx_monitor_t *m)
{
    give_lease(m);
    if (m->influx != NULL) {
        imx_influx_close(m->influx);
    }
    if (m->wake_fd >= 0) {
        close(m->wake_fd);
    }
    free(m->load.parts);
    free(m->load.claims);
    free(m->load.lines);
    free(m->load.pieces);
    free(m);
}
