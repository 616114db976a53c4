/*
 * health.c owns the judgement: does InfluxDB get the points, and if it does
 * not, what is to be said about that.
 * Entered by any thread.
 * Nothing is kept, so nothing has to survive.
 */
#include "shared/health.h"

#include <stdio.h>
#include <string.h>

#include "base/words.h"

/* It works several times a second, whatever InfluxDB does: when it has not for
 * so many seconds, it is stopped, or a call does not come back. */
#define SILENT 10

imx_health_e imx_health_of(const imx_snapshot_t *s)
{
    if (s->holder == 0) {
        return IMX_HEALTH_NOBODY;
    }
    if (s->beaten != 0 && imx_snapshot_seconds(s->beaten, s->tick) >= SILENT) {
        return IMX_HEALTH_SILENT;
    }
    if (s->told.down_since != 0) {
        return IMX_HEALTH_OUTAGE;
    }
    if (s->told.last_error[0] != '\0') {
        return IMX_HEALTH_TROUBLE;
    }
    return s->told.last_flush == 0 ? IMX_HEALTH_WAITING : IMX_HEALTH_OK;
}

const char *imx_health_word(imx_health_e health)
{
    static const char *const words[] = { "nobody",  "silent",  "outage",
                                         "trouble", "waiting", "ok" };

    return words[health];
}

/* "1 point", "1,234 points" */
static void points(char *to, size_t size, uint64_t count)
{
    char number[IMX_WORDS_SHORT];

    imx_words_number(number, sizeof number, (int64_t)count);
    snprintf(to, size, "%s %s", number, count == 1 ? "point" : "points");
}

/* Where the points are that InfluxDB does not have. */
static void say_what_waits(char *to, size_t size, const imx_snapshot_t *s)
{
    char pending[IMX_WORDS_SHORT + 8], spooled[IMX_WORDS_SHORT + 8];

    points(pending, sizeof pending, s->totals.pending);
    points(spooled, sizeof spooled, imx_snapshot_spooled(s));
    snprintf(to, size, "%s %s in the buffer and %s in the spool", pending,
             s->totals.pending == 1 ? "waits" : "wait", spooled);
}

/* An outage that a killed holder did not give a reason for has none. */
static const char *reason(const imx_snapshot_t *s)
{
    return s->told.last_error[0] != '\0' ? s->told.last_error
                                         : "the reason is not known";
}

static void say_outage(char *to, size_t size, const imx_snapshot_t *s)
{
    char since[IMX_WORDS_SHORT], waits[256], lost[IMX_WORDS_SHORT + 8];
    uint64_t dropped = imx_snapshot_dropped(s);
    uint64_t count = dropped > s->told.down_lost ? dropped - s->told.down_lost
                                                 : 0;

    imx_words_duration(since, sizeof since,
                       imx_snapshot_seconds(s->told.down_since, s->tick));
    say_what_waits(waits, sizeof waits, s);
    points(lost, sizeof lost, count);
    if (count > 0) {
        snprintf(to, size,
                 "InfluxDB has taken no points for %s: %s. %s; %s %s lost "
                 "meanwhile.",
                 since, reason(s), waits, lost, count == 1 ? "was" : "were");
    }
    else {
        snprintf(to, size,
                 "InfluxDB has taken no points for %s: %s. Nothing is lost: "
                 "%s.",
                 since, reason(s), waits);
    }
}

static void say_silent(char *to, size_t size, const imx_snapshot_t *s)
{
    char since[IMX_WORDS_SHORT], waits[256];

    imx_words_duration(since, sizeof since,
                       imx_snapshot_seconds(s->beaten, s->tick));
    say_what_waits(waits, sizeof waits, s);
    snprintf(to, size,
             "Nobody delivers: the child that has the lease, process %ld, has "
             "done nothing for %s. %s.",
             (long)s->holder, since, waits);
}

/* When the next body is tried, if that is to come. */
static void say_next(char *to, size_t size, const imx_snapshot_t *s)
{
    int64_t left = imx_snapshot_seconds(s->tick, s->told.pace.not_before);
    char words[IMX_WORDS_SHORT];

    if (left > 0) {
        imx_words_duration(words, sizeof words, left);
        snprintf(to, size, " The next try is in %s.", words);
    }
    else if (size > 0) {
        to[0] = '\0';
    }
}

static void say_ok(char *to, size_t size, const imx_snapshot_t *s)
{
    char since[IMX_WORDS_SHORT];

    imx_words_duration(since, sizeof since,
                       imx_snapshot_seconds(s->told.last_flush, s->now));
    snprintf(to, size, "All is well. InfluxDB took the last points %s ago.",
             since);
}

void imx_health_sentence(char *to, size_t size, const imx_snapshot_t *s)
{
    char waits[256];
    size_t said;

    switch (imx_health_of(s)) {
    case IMX_HEALTH_NOBODY:
        say_what_waits(waits, sizeof waits, s);
        snprintf(to, size, "Nobody delivers: no child has the lease. %s.",
                 waits);
        break;
    case IMX_HEALTH_SILENT:
        say_silent(to, size, s);
        break;
    case IMX_HEALTH_OUTAGE:
        say_outage(to, size, s);
        said = strlen(to);
        say_next(to + said, size - said, s);
        break;
    case IMX_HEALTH_TROUBLE:
        snprintf(to, size,
                 "InfluxDB works, but its last answer was not good: %s.",
                 s->told.last_error);
        break;
    case IMX_HEALTH_WAITING:
        snprintf(to, size, "%s",
                 s->totals.recorded == 0
                     ? "No request has been recorded yet."
                     : "The first points are on their way to InfluxDB.");
        break;
    case IMX_HEALTH_OK:
        say_ok(to, size, s);
        break;
    }
}
