/*
 * verdict.c owns the sentences about the server and about delivery, and when
 * each is said.
 * Entered by any thread.
 * Nothing is kept, so nothing has to survive.
 */
#include "shared/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/c_locale.h"
#include "base/words.h"
#include "shared/health.h"

/* A share of the buffer stays free: with less, the holder gives up the
 * oldest. */
#define ROOM(size) ((size) / 16 * 15)
#define ESTIMATE_S 10 /* an outage this long says how fast the buffer fills */
#define BUSY 0.95     /* nearly all workers */
#define FREE 0.5      /* enough of them are free */
#define QUEUED_S 3    /* at least so long some have to wait */
#define CPU_SOME 40   /* percent */
#define HOUR_S 3540   /* seconds that are called an hour */

const char *imx_verdict_level(imx_verdict_level_e level)
{
    static const char *const words[] = { "well", "warning", "critical" };

    return words[level];
}

/* ---- putting sentences together ---- */

static imx_verdict_word_t *add(imx_verdict_t *v, imx_verdict_level_e level,
                               const char *id)
{
    imx_verdict_word_t *word = &v->words[v->count];

    if (v->count + 1 < IMX_VERDICT_WORDS_MAX) {
        v->count++;
    }
    word->level = level;
    word->id = id;
    word->what[0] = '\0';
    word->todo[0] = '\0';
    return word;
}

__attribute__((format(printf, 2, 3))) static void put(imx_verdict_word_t *word,
                                                      const char *format, ...)
{
    size_t said = strlen(word->what);
    va_list args;

    va_start(args, format);
    imx_c_locale_vprint(word->what + said, sizeof word->what - said, format,
                        args);
    va_end(args);
}

static void advise(imx_verdict_word_t *word, const char *todo)
{
    snprintf(word->todo, sizeof word->todo, "%s", todo);
}

static void duration_between(char to[IMX_WORDS_SHORT], int64_t since,
                             int64_t now)
{
    imx_words_duration(to, IMX_WORDS_SHORT, imx_snapshot_seconds(since, now));
}

/* "1 point", "1,234 points" */
static void count_of(char to[IMX_WORDS_SHORT + 16], uint64_t count,
                     const char *thing)
{
    char number[IMX_WORDS_SHORT];

    imx_words_number(number, sizeof number, (int64_t)count);
    snprintf(to, IMX_WORDS_SHORT + 16, "%s %s%s", number, thing,
             count == 1 ? "" : "s");
}

/* ---- where the points are that InfluxDB does not have ---- */

static void say_what_waits(imx_verdict_word_t *word, const imx_snapshot_t *s,
                           int has_spool)
{
    char pending[IMX_WORDS_SHORT + 16], spooled[IMX_WORDS_SHORT + 16];
    uint64_t in_spool = imx_snapshot_spooled(s);

    count_of(pending, s->totals.pending, "point");
    put(word, "%s %s in the buffer", pending,
        s->totals.pending == 1 ? "waits" : "wait");
    if (has_spool || in_spool > 0) {
        count_of(spooled, in_spool, "point");
        put(word, " and %s in the spool", spooled);
    }
}

/* As fast as since the outage began. */
static void say_when_full(imx_verdict_word_t *word, const imx_snapshot_t *s)
{
    int64_t since = imx_snapshot_seconds(s->told.down_since, s->tick);
    uint64_t room = ROOM(s->buffer_size), used = s->buffer_used;
    double rate = (double)s->totals.bytes_used
                  / (double)(since > 0 ? since : 1);
    char words[IMX_WORDS_SHORT];

    if (since < ESTIMATE_S || used >= room || rate < 1) {
        return;
    }
    imx_words_duration(words, sizeof words,
                       (int64_t)((double)(room - used) / rate));
    put(word, ", which is full in about %s", words);
}

/* ---- nobody delivers ---- */

static void say_nobody(imx_verdict_t *v, const imx_snapshot_t *s,
                       const imx_verdict_facts_t *f)
{
    imx_verdict_word_t *word = add(v, IMX_VERDICT_CRITICAL, "");

    put(word, "Nobody delivers: no child has the lease. ");
    say_what_waits(word, s, f->has_spool);
    put(word, ".");
    advise(word, "Look into the error log for why no child begins.");
}

static void say_silent(imx_verdict_t *v, const imx_snapshot_t *s,
                       const imx_verdict_facts_t *f)
{
    imx_verdict_word_t *word = add(v, IMX_VERDICT_CRITICAL, "IMX0080");
    char since[IMX_WORDS_SHORT];

    duration_between(since, s->beaten, s->tick);
    put(word,
        "Nobody delivers: the child that has the lease, process %ld, has done "
        "nothing for %s. ",
        (long)s->holder, since);
    say_what_waits(word, s, f->has_spool);
    put(word, ".");
    snprintf(word->todo, sizeof word->todo,
             "If process %ld is stopped, let it go on (kill -CONT) or end it "
             "(kill -KILL): another child delivers then.",
             (long)s->holder);
}

/* ---- an outage ---- */

/* A reason that has directives in it says itself where to look. */
static const char *advice_of(const imx_snapshot_t *s)
{
    int64_t status = s->told.last_status;

    if (strstr(s->told.last_error, "InfluxMetrics") != NULL) {
        return "";
    }
    if (status == 0) {
        return "Is InfluxDB running, and does InfluxMetricsServer lead to it?";
    }
    if (status == 401 || status == 403) {
        return "Look at InfluxMetricsTokenFile or InfluxMetricsPasswordFile; a "
               "new secret is read by itself.";
    }
    return status >= 500 || status == 429
               ? "InfluxDB itself has a problem: look into its log."
               : "Look at the directives that say where InfluxDB is and what "
                 "it is to store the points in.";
}

/* When the next body is tried, if that is to come. */
static void say_next(imx_verdict_word_t *word, const imx_snapshot_t *s)
{
    int64_t left = imx_snapshot_seconds(s->tick, s->told.pace.not_before);
    char words[IMX_WORDS_SHORT];

    if (left > 0) {
        imx_words_duration(words, sizeof words, left);
        put(word, " The next try is in %s.", words);
    }
}

static void say_outage(imx_verdict_t *v, const imx_snapshot_t *s,
                       const imx_verdict_facts_t *f)
{
    imx_verdict_word_t *word = add(v, IMX_VERDICT_CRITICAL, "IMX0020");
    uint64_t dropped = imx_snapshot_dropped(s), lost;
    char since[IMX_WORDS_SHORT], count[IMX_WORDS_SHORT + 16];

    /* An outage that a killed holder did not give a reason for has none. */
    duration_between(since, s->told.down_since, s->tick);
    put(word, "InfluxDB has taken no points for %s: %s. ", since,
        s->told.last_error[0] != '\0' ? s->told.last_error
                                      : "the reason is not known");
    lost = dropped > s->told.down_lost ? dropped - s->told.down_lost : 0;
    if (lost == 0) {
        put(word, "Nothing is lost: ");
    }
    say_what_waits(word, s, f->has_spool);
    if (lost > 0) {
        count_of(count, lost, "point");
        put(word, "; %s %s lost meanwhile", count, lost == 1 ? "was" : "were");
    }
    else if (!f->has_spool) {
        say_when_full(word, s);
    }
    put(word, ".");
    say_next(word, s);
    advise(word, advice_of(s));
}

/* ---- points that are lost or refused ---- */

static void say_count(imx_verdict_word_t *word, const imx_snapshot_t *s,
                      const imx_board_spell_t *spell, const char *what)
{
    char count[IMX_WORDS_SHORT + 16], since[IMX_WORDS_SHORT];

    count_of(count, spell->count, "point");
    duration_between(since, spell->since, s->tick);
    put(word, "%s %s %s in the last %s", count,
        spell->count == 1 ? "was" : "were", what, since);
}

static const imx_board_spell_t *spell_of(const imx_snapshot_t *s,
                                         imx_board_spell_e kind)
{
    const imx_board_spell_t *spell = &s->told.spells[kind];

    return imx_board_spell_lasts(spell, s->tick) ? spell : NULL;
}

static void say_refused(imx_verdict_t *v, const imx_snapshot_t *s)
{
    const imx_board_spell_t *spell = spell_of(s, IMX_BOARD_SPELL_REFUSED);
    imx_verdict_word_t *word;

    if (spell == NULL) {
        return;
    }
    word = add(v, IMX_VERDICT_CRITICAL, "IMX0022");
    put(word, "InfluxDB refuses points: %s. ",
        s->told.refusal_shown[0] != '\0' ? s->told.refusal_shown
                                         : "the reason is not known");
    say_count(word, s, spell, "refused");
    put(word, ", the others are stored.");
    advise(word, "The error log names one of them, and why it was refused.");
}

static void say_lost(imx_verdict_t *v, const imx_snapshot_t *s,
                     const imx_verdict_facts_t *f)
{
    const imx_board_spell_t *spell = spell_of(s, IMX_BOARD_SPELL_BUFFER);
    imx_verdict_word_t *word;

    if (spell != NULL) {
        word = add(v, IMX_VERDICT_CRITICAL, "IMX0027");
        put(word, "Points are being lost: the buffer is full. ");
        say_count(word, s, spell, "lost");
        put(word, ".");
        advise(word, f->has_spool ? "A larger InfluxMetricsBufferSize; the "
                                    "error log says what keeps the spool from "
                                    "taking them."
                                  : "A larger InfluxMetricsBufferSize, or "
                                    "InfluxMetricsSpool.");
    }
    spell = spell_of(s, IMX_BOARD_SPELL_SPOOL);
    if (spell != NULL) {
        word = add(v, IMX_VERDICT_CRITICAL, "IMX0055");
        put(word,
            "Points are being lost: the spool is full, or has files that "
            "cannot be read. ");
        say_count(word, s, spell, "lost");
        put(word, ".");
        advise(word, "More room for InfluxMetricsSpool, its second argument.");
    }
}

static void say_spool_hangs(imx_verdict_t *v, const imx_snapshot_t *s)
{
    char since[IMX_WORDS_SHORT];

    if (s->told.spool_hangs != 0) {
        imx_verdict_word_t *word = add(v, IMX_VERDICT_WARNING, "IMX0081");

        duration_between(since, s->told.spool_hangs, s->tick);
        put(word,
            "The disk of the spool has not answered for %s: points go on "
            "to InfluxDB, and are not moved to the spool.",
            since);
        advise(word, "Look at that disk.");
    }
}

static void say_clock(imx_verdict_t *v, const imx_snapshot_t *s)
{
    int64_t ahead = s->told.clock_ahead;
    char off[IMX_WORDS_SHORT];
    imx_verdict_word_t *word;

    if (ahead == 0) {
        return;
    }
    word = add(v, IMX_VERDICT_WARNING, "IMX0083");
    imx_words_duration(off, sizeof off,
                       ahead > 0            ? ahead
                       : ahead < -INT64_MAX ? INT64_MAX
                                            : -ahead);
    put(word,
        "This host's clock is %s %s InfluxDB's: points have its time, so a "
        "query of the last minutes finds none or others.",
        off, ahead > 0 ? "ahead of" : "behind");
    advise(word,
           "Set the clock that is wrong (timedatectl says whether it is "
           "synchronized).");
}

/* ---- the server ---- */

static void say_busiest(imx_verdict_word_t *word, const imx_verdict_facts_t *f)
{
    double share = f->request_ns > 0
                       ? (double)f->busiest_ns / (double)f->request_ns
                       : 0;

    if (share >= 0.01 && share <= 1 && f->busiest[0] != '\0') {
        put(word, " %.0f %% of the busy time is %s's application.",
            share * 100, f->busiest);
    }
}

static void say_workers(imx_verdict_t *v, const imx_verdict_facts_t *f)
{
    imx_verdict_word_t *word;
    char workers[IMX_WORDS_SHORT + 16], waiting[IMX_WORDS_SHORT + 16];

    if (f->queue <= 0 || f->utilization < BUSY || f->workers <= 0) {
        return;
    }
    word = add(v, IMX_VERDICT_CRITICAL, "");
    if (f->workers == 1) {
        put(word, "The only worker is busy");
    }
    else {
        count_of(workers, (uint64_t)f->workers, "worker");
        put(word, "All %s are busy", workers);
    }
    count_of(waiting, (uint64_t)f->queue, "connection");
    put(word, " and %s %s.", waiting, f->queue == 1 ? "waits" : "wait");
    say_busiest(word, f);
    advise(word,
           "More workers (MaxRequestWorkers) if the machine has room for "
           "them, or a faster application.");
}

/* "in the last 5 minutes" */
static void say_span(imx_verdict_word_t *word, uint32_t seconds)
{
    char words[IMX_WORDS_SHORT];

    imx_words_duration(words, sizeof words, seconds);
    put(word, " in the last %s", seconds >= HOUR_S ? "hour" : words);
}

static void say_objective(imx_verdict_t *v, const imx_verdict_facts_t *f)
{
    const imx_verdict_burning_t *b = f->burning;
    imx_verdict_word_t *word;
    char time[IMX_WORDS_SHORT];

    if (b == NULL || !(b->burn[0] > IMX_VERDICT_BURN)
        || !(b->burn[1] > IMX_VERDICT_BURN)) {
        return;
    }
    word = add(v, IMX_VERDICT_CRITICAL, "");
    put(word, "%s misses its objective, %.6g %% good requests", b->host,
        b->percent);
    if (b->ns > 0) {
        imx_words_taken(time, sizeof time, (double)b->ns / 1e9);
        put(word, " within %s", time);
    }
    put(word, ": the burn rate is %.1f", b->burn[0]);
    say_span(word, b->seconds[0]);
    put(word, " and %.1f", b->burn[1]);
    say_span(word, b->seconds[1]);
    put(word, ". At %.1f, the error budget of 30 days is used up in two.",
        IMX_VERDICT_BURN);
    advise(word,
           "Look at its errors, its percentiles and its slow requests, and at "
           "what has changed there.");
}

static void say_stuck(imx_verdict_t *v, const imx_verdict_facts_t *f)
{
    imx_verdict_word_t *word;

    if (f->queue <= 0 || f->utilization < 0 || f->utilization >= FREE
        || f->queued_for < QUEUED_S) {
        return;
    }
    word = add(v, IMX_VERDICT_WARNING, "");
    put(word,
        "Connections wait although workers are free: a child may be "
        "stuck");
    if (f->queue_limit > 0) {
        put(word, ", or the backlog (ListenBackLog %lld) was full",
            (long long)f->queue_limit);
    }
    put(word, ".");
    advise(word,
           "Look for a child that does nothing, and at what it waits "
           "for.");
}

static void say_machine(imx_verdict_t *v, const imx_verdict_facts_t *f)
{
    if (f->cpu_some >= CPU_SOME) {
        imx_verdict_word_t *word = add(v, IMX_VERDICT_WARNING, "");

        put(word,
            "Processors are the limit: something waited for one %.0f %% "
            "of the last 10 s.",
            f->cpu_some < 100 ? f->cpu_some : 100);
        advise(word,
               "Look at what else runs on this machine, and at its limit "
               "of processor time.");
    }
}

static void say_clients(imx_verdict_t *v, const imx_verdict_facts_t *f)
{
    if (f->request_ns > 0 && f->output_ns > f->request_ns / 2) {
        imx_verdict_word_t *word = add(v, IMX_VERDICT_WARNING, "");

        put(word,
            "Most of the time goes into sending to slow clients, not into the "
            "application.");
        advise(word,
               "A worker is held for as long as a client takes: a proxy or "
               "cache in front would free it.");
    }
}

/* ---- all of it ---- */

/* What InfluxDB does at the moment.  Returns 0 when something is wrong. */
static int say_delivery(imx_verdict_t *v, const imx_snapshot_t *s,
                        const imx_verdict_facts_t *f)
{
    switch (imx_health_of(s)) {
    case IMX_HEALTH_NOBODY:
        say_nobody(v, s, f);
        return 0;
    case IMX_HEALTH_SILENT:
        say_silent(v, s, f);
        return 0;
    case IMX_HEALTH_OUTAGE:
        say_outage(v, s, f);
        return 0;
    default:
        return 1;
    }
}

/* An answer that was not good, unless it was about the points that are refused,
 * of which more was said. */
static void say_trouble(imx_verdict_t *v, const imx_snapshot_t *s)
{
    if (spell_of(s, IMX_BOARD_SPELL_REFUSED) == NULL) {
        put(add(v, IMX_VERDICT_WARNING, ""),
            "InfluxDB works, but its last answer was not good: %s.",
            s->told.last_error);
    }
}

static void say_well(imx_verdict_t *v, const imx_snapshot_t *s)
{
    const char *begin = v->count == 0 ? "All is well. " : "";
    imx_verdict_word_t *word = add(v, IMX_VERDICT_WELL, "");
    char since[IMX_WORDS_SHORT];

    if (s->told.last_flush != 0) {
        duration_between(since, s->told.last_flush, s->now);
        put(word, "%sInfluxDB took the last points %s ago.", begin, since);
    }
    else {
        put(word, "%s",
            s->totals.recorded == 0 ? "No request has been recorded yet."
                                    : "The first points are on their way to "
                                      "InfluxDB.");
    }
}

void imx_verdict_of(imx_verdict_t *v, const imx_snapshot_t *s,
                    const imx_verdict_facts_t *f)
{
    int delivers;

    v->count = 0;
    delivers = say_delivery(v, s, f);
    say_refused(v, s);
    say_lost(v, s, f);
    say_workers(v, f);
    say_objective(v, f);
    if (imx_health_of(s) == IMX_HEALTH_TROUBLE) {
        say_trouble(v, s);
    }
    say_spool_hangs(v, s);
    say_clock(v, s);
    say_stuck(v, f);
    say_machine(v, f);
    say_clients(v, f);
    if (delivers && imx_health_of(s) != IMX_HEALTH_TROUBLE) {
        say_well(v, s);
    }
    if (v->count == 0) { /* trouble that was told of meanwhile */
        say_well(v, s);
    }
}
