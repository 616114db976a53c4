/*
 * news.c owns what the log and the board are told of delivery, and how often.
 * Entered by a child's monitor thread.
 * What was published on the board survives; a holder's copy of it does not.
 */
#include "deliver/news.h"

#include "base/c_locale.h"
#include "base/clock.h"
#include "base/words.h"
#include "deliver/pace.h"
#include "deliver/reason.h"
#include "shared/snapshot.h"

#include <stdarg.h>
#include <stdio.h>

#define MS IMX_CLOCK_MS
#define QUIET (60000 * MS)          /* between two lines of one kind */
#define REMINDER (3600 * 1000 * MS) /* between two lines on one outage */
#define SILENT_S 10       /* a holder that does no step for so long ... */
#define STILL (1000 * MS) /* ... and for this while, in which we are awake */
#define CLOCK_OFF_S 60    /* between this host's clock and InfluxDB's */
#define HANGS_MS 10000    /* a disk that takes longer hangs */
#define TEXT_MAX 1024

int64_t imx_news_now(const imx_news_t *n)
{
    return n->now != NULL ? n->now(n->now_context) : imx_clock_now();
}

void imx_news_publish(imx_news_t *n)
{
    imx_board_tell(&n->arena->board, &n->board);
}

/*
 * Lines that the last holder had sent, and had no answer to, are sent again:
 * InfluxDB may have them.  A holder that gives the lease away leaves none.
 */
void imx_news_take_over(imx_news_t *n)
{
    int64_t now = imx_news_now(n);

    n->board = imx_board_told(&n->arena->board);
    if (n->board.down_since < 0 || n->board.down_since > now) {
        n->board.down_since = now; /* somebody wrote nonsense there */
    }
    n->board.repeated += n->board.under_way;
    n->board.under_way = 0;
}

void imx_news_say(imx_news_t *n, imx_log_level_e level, const char *format,
                  ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, format);
    imx_c_locale_vprint(text, sizeof text, format, args);
    va_end(args);
    n->log(n->log_context, level, text);
}

/* ---- how often ---- */

static int is_recent(int64_t said, int64_t now)
{
    return said != 0 && now - said < QUIET;
}

/* A time that is further away than any holder would set is none.  The board may
 * be nonsense each time that it is taken over: so each process keeps its own
 * account, too. */
int imx_news_is_quiet(const imx_news_t *n, imx_board_trouble_e kind)
{
    int64_t now = imx_news_now(n), until = n->board.trouble[kind].quiet_until;

    return is_recent(n->said[kind], now)
           || (until > now && until <= now + QUIET);
}

uint64_t imx_news_count(imx_news_t *n, imx_board_trouble_e kind,
                        uint64_t count)
{
    imx_board_trouble_t *t = &n->board.trouble[kind];
    uint64_t told = 0;

    t->count += count;
    if (t->count > 0 && !imx_news_is_quiet(n, kind)) {
        told = t->count;
        t->count = 0;
        n->said[kind] = imx_news_now(n);
        t->quiet_until = n->said[kind] + QUIET;
    }
    if (count > 0 || told > 0) {
        imx_news_publish(n);
    }
    return told;
}

/* ---- answers and outages ---- */

static void set_error(imx_news_t *n, const char *reason)
{
    snprintf(n->board.last_error, sizeof n->board.last_error, "%s", reason);
}

/* As it changes: the log hears of it once an hour, however often it is right in
 * between (several InfluxDBs at one address). */
static void watch_clock(imx_news_t *n, int64_t ahead_s)
{
    imx_board_t *d = &n->board;
    int64_t now = imx_news_now(n), off = ahead_s < 0 ? -ahead_s : ahead_s;
    char words[IMX_WORDS_SHORT];

    d->clock_ahead = off >= CLOCK_OFF_S ? ahead_s : 0;
    if (d->clock_ahead == 0
        || (now < d->clock_again && d->clock_again <= now + REMINDER)) {
        return;
    }
    d->clock_again = now + REMINDER;
    imx_words_duration(words, sizeof words, off);
    imx_news_say(n, IMX_LOG_WARNING, IMX_LOGNO(83) "this host's clock is %s "
        "%s that of InfluxDB at %s: points have its time, so a query "
        "of the last minutes finds none or others; set the clock that is "
        "wrong (timedatectl)", words, ahead_s > 0 ? "ahead of" : "behind",
        n->where);
}

void imx_news_answer(imx_news_t *n, const imx_influx_result_t *r, int lines)
{
    if (r->status != 0) {
        watch_clock(n, r->clock_ahead_s);
    }
    n->board.last_status = r->status;
    if (lines
        && (r->answer == IMX_INFLUX_SENT || r->answer == IMX_INFLUX_PARTIAL)) {
        n->board.last_flush = imx_clock_wall();
    }
    set_error(n, r->answer == IMX_INFLUX_SENT ? "" : r->public_reason);
    imx_news_publish(n);
}

static uint64_t lost_so_far(const imx_news_t *n)
{
    imx_batch_totals_t t = imx_batch_totals(&n->arena->batch);

    return t.no_room + t.fate[IMX_BATCH_DROPPED] + t.fate[IMX_BATCH_REJECTED]
           + n->board.spool_dropped + n->board.spool_rejected;
}

int imx_news_is_down(const imx_news_t *n)
{
    return n->board.down_since != 0;
}

static void say_down(imx_news_t *n, const char *reason)
{
    imx_board_t *d = &n->board;

    d->down_said = 1;
    n->said[IMX_BOARD_OUTAGE] = imx_news_now(n);
    d->down_again = n->said[IMX_BOARD_OUTAGE] + REMINDER;
    imx_news_say(n, IMX_LOG_WARNING, IMX_LOGNO(20) "InfluxDB at %s does not "
        "take points, they are kept until it does: %s", n->where,
        reason);
}

/* One line for one outage, however often the lease changes hands. */
void imx_news_down(imx_news_t *n, const char *reason,
                   const char *public_reason)
{
    imx_board_t *d = &n->board;

    set_error(n, public_reason);
    if (!imx_news_is_down(n)) {
        d->down_since = imx_news_now(n);
        d->down_lost = lost_so_far(n);
        d->down_said = 0;
    }
    if (!d->down_said && imx_news_count(n, IMX_BOARD_OUTAGE, 1)) {
        say_down(n, reason);
    }
    imx_news_publish(n);
}

/* A log that was rotated since must tell of the outage, too. */
static void remind(imx_news_t *n)
{
    int64_t now = imx_news_now(n), next = n->board.down_again;

    if (!imx_news_is_down(n) || !n->board.down_said
        || is_recent(n->said[IMX_BOARD_OUTAGE], now)) {
        return;
    }
    if (now >= next || next > now + REMINDER) {
        say_down(n, n->board.last_error);
        imx_news_publish(n);
    }
}

void imx_news_up(imx_news_t *n)
{
    imx_board_t *d = &n->board;

    if (!imx_news_is_down(n)) {
        return;
    }
    if (d->down_said) {
        imx_batch_totals_t t = imx_batch_totals(&n->arena->batch);

        imx_news_say(n, IMX_LOG_NOTICE, IMX_LOGNO(21) "InfluxDB at %s takes "
            "points again after %.1f s: %llu pending, %llu lost meanwhile",
            n->where, (double)(imx_news_now(n) - d->down_since) / 1e9,
            (unsigned long long)(t.pending + d->spool_lines),
            (unsigned long long)(lost_so_far(n) - d->down_lost));
    }
    d->down_since = 0;
    d->trouble[IMX_BOARD_OUTAGE].count = 0; /* an outage that was not told of */
    imx_news_publish(n);
}

/* ---- lines that are refused or lost ---- */

static void say_refused(imx_news_t *n, uint64_t count)
{
    uint64_t told = imx_news_count(n, IMX_BOARD_REFUSED, count);
    const imx_board_t *d = &n->board;

    if (told > 0) {
        imx_news_say(n, IMX_LOG_ERROR, IMX_LOGNO(22) "InfluxDB refused %llu "
            "points for good, the last ones because: %s%s%s",
            (unsigned long long)told, d->refusal,
            d->refused[0] ? "; one of them: " : "", d->refused);
    }
}

void imx_news_refused(imx_news_t *n, uint64_t count, const char *reason,
                      const imx_influx_line_t *line)
{
    imx_board_t *d = &n->board;

    snprintf(d->refusal, sizeof d->refusal, "%s", reason);
    snprintf(d->refusal_shown, sizeof d->refusal_shown, "%s", reason);
    imx_reason_cut_values(d->refusal_shown);
    imx_board_spell_add(&d->spells[IMX_BOARD_SPELL_REFUSED], count,
                        imx_news_now(n));
    d->refused[0] = '\0';
    if (line != NULL && line->len > 0) {
        snprintf(d->refused, sizeof d->refused, "%.*s", (int)line->len - 1,
                 line->data);
    }
    say_refused(n, count);
}

void imx_news_gave_up(imx_news_t *n, uint64_t count)
{
    uint64_t told = imx_news_count(n, IMX_BOARD_FULL, count);

    if (told > 0) {
        imx_news_say(n, IMX_LOG_ERROR, IMX_LOGNO(27) "the buffer is full: gave "
            "up the oldest %llu points; see InfluxMetricsBufferSize and "
            "InfluxMetricsSpool", (unsigned long long)told);
    }
}

/* Also what was lost while nobody held the lease, or nobody for long enough to
 * tell of it. */
static void watch_no_room(imx_news_t *n, const imx_batch_totals_t *t)
{
    uint64_t before = n->board.no_room_seen, lost;

    n->board.no_room_seen = t->no_room;
    lost = imx_news_count(n, IMX_BOARD_NO_ROOM,
                          n->board.no_room_seen - before);
    if (lost > 0) {
        imx_news_say(n, IMX_LOG_ERROR, IMX_LOGNO(28) "%llu points were lost "
            "because the buffer was full; see InfluxMetricsBufferSize and "
            "InfluxMetricsSpool", (unsigned long long)lost);
    }
}

/* For the page: which losses go on. */
static void watch_losses(imx_news_t *n, const imx_batch_totals_t *t)
{
    uint64_t buffer = t->no_room + t->fate[IMX_BATCH_DROPPED];
    imx_board_t *d = &n->board;

    if (buffer == d->buffer_seen && d->spool_dropped == d->spool_seen) {
        return;
    }
    imx_board_spell_add(&d->spells[IMX_BOARD_SPELL_BUFFER],
                        buffer - d->buffer_seen, imx_news_now(n));
    imx_board_spell_add(&d->spells[IMX_BOARD_SPELL_SPOOL],
                        d->spool_dropped - d->spool_seen, imx_news_now(n));
    d->buffer_seen = buffer;
    d->spool_seen = d->spool_dropped;
    imx_news_publish(n);
}

/* One line for each tag that has reached its limit.  A process that takes back
 * in the arena that it was told gets no more lines of a holder than there are
 * tags. */
static void watch_values(imx_news_t *n)
{
    char name[IMX_VALUES_NAME_MAX + 1];

    while (n->tags_said < n->arena->values.tags
           && imx_values_news(&n->arena->values, name)) {
        n->tags_said++;
        imx_news_say(n, IMX_LOG_WARNING, IMX_LOGNO(72) "the tag %s has %u "
            "values, as many as InfluxMetricsTagLimit allows: others are "
            "written as \"other\"", name, (unsigned)n->arena->values.limit);
    }
}

/* ---- what InfluxDB needs ---- */

void imx_news_body_fits(imx_news_t *n)
{
    imx_board_pace_t *p = &n->board.pace;
    uint64_t bytes = imx_pace_news(p);
    int told = bytes > 0 && imx_news_count(n, IMX_BOARD_TOO_LARGE, 1) > 0;

    if (told) {
        imx_news_say(n, IMX_LOG_NOTICE, IMX_LOGNO(24) "a body of %llu bytes is "
            "too large for %s, bodies have at most %llu bytes from now on",
            (unsigned long long)bytes, n->where, (unsigned long long)p->fits);
    }
    imx_pace_told(p, told);
}

void imx_news_remark(imx_news_t *n, const char *reason)
{
    if (imx_news_count(n, IMX_BOARD_REMARK, 1) > 0) {
        imx_news_say(n, IMX_LOG_WARNING, IMX_LOGNO(82) "InfluxDB at %s has "
            "taken points, and says: %s", n->where, reason);
    }
}

void imx_news_created(imx_news_t *n, const char *database)
{
    if (imx_news_count(n, IMX_BOARD_CREATED, 1) > 0) {
        imx_news_say(n, IMX_LOG_NOTICE, IMX_LOGNO(25) "CREATE DATABASE %s was "
            "carried out at %s", database, n->where);
    }
}

/* On the page as well: it is the reason why the outage goes on. */
void imx_news_no_secret(imx_news_t *n, const char *reason)
{
    set_error(n, reason);
    if (imx_news_count(n, IMX_BOARD_NO_SECRET, 1) > 0) {
        imx_news_say(n, IMX_LOG_ERROR, IMX_LOGNO(26) "the secret that InfluxDB "
            "refused cannot be read again by the user that the children run "
            "as: %s", reason);
    }
    imx_news_publish(n);
}

/* The page shows since when; a disk that answers again ends it. */
void imx_news_spool_busy(imx_news_t *n, const char *dir, int64_t since)
{
    int64_t ms = since != 0 ? (imx_news_now(n) - since) / MS : 0;
    int64_t hangs = ms >= HANGS_MS ? since : 0;

    if (n->board.spool_hangs != hangs) {
        n->board.spool_hangs = hangs;
        imx_news_publish(n);
    }
    if (hangs != 0 && imx_news_count(n, IMX_BOARD_SPOOL_HANGS, 1) > 0) {
        imx_news_say(n, IMX_LOG_ERROR, IMX_LOGNO(81) "the disk of the spool %s "
            "has not answered for %lld s: points go on to InfluxDB, and are "
            "not moved to the spool", dir, (long long)(ms / 1000));
    }
}

/* ---- a holder that does nothing ---- */

void imx_news_beat(imx_news_t *n)
{
    imx_board_beat(&n->arena->board, imx_news_now(n));
}

/* Does the holder do nothing while we do?  Where all of the server was stopped,
 * or the machine, its last beat is old for both. */
static int is_still(imx_news_t *n, int64_t beat, int64_t now)
{
    if (n->silent_beat != beat) {
        n->silent_beat = beat;
        n->silent_at = now;
    }
    return now - n->silent_at >= STILL;
}

/* Stopped by a signal or a debugger, or in a call that hangs. */
void imx_news_watch_holder(imx_news_t *n)
{
    int64_t now = imx_news_now(n), beat = imx_board_beaten(&n->arena->board);
    int64_t seconds = imx_snapshot_seconds(beat, now);
    pid_t holder = imx_lease_holder_pid(&n->arena->lease);

    if (holder == 0 || beat == 0 || seconds < SILENT_S
        || !is_still(n, beat, now)) {
        return;
    }
    if (!is_recent(n->said_silent, now)
        && imx_board_may_say_silent(&n->arena->board, now, QUIET)) {
        n->said_silent = now;
        imx_news_say(n, IMX_LOG_ERROR, IMX_LOGNO(80) "nobody delivers: child "
            "%ld holds the lease and has done nothing for %lld s",
            (long)holder, (long long)seconds);
    }
}

void imx_news_watch(imx_news_t *n)
{
    imx_batch_totals_t t = imx_batch_totals(&n->arena->batch);

    imx_news_gave_up(n, 0);
    watch_no_room(n, &t);
    watch_losses(n, &t);
    watch_values(n);
    say_refused(n, 0);
    remind(n);
}
