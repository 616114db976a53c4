/*
 * pace.c owns when the next body may be sent and how large it may be.
 * Pure arithmetic, for the thread that holds the lease.
 * What was learned is a struct on the board, so it survives every holder.
 */
#include "deliver/pace.h"

#include <string.h>

#define MS INT64_C(1000000) /* ns */
#define BACKOFF_LEAST_MS 1000
#define BACKOFF_MOST_MS 30000
#define SLOW_ROW 3     /* answers that make one look slow, not only late */
#define CAREFUL_ROW 60 /* answers after a slow one that must not be */
#define PATIENCE_LEAST (60000 * MS)
#define PATIENCE_MOST (3600000 * MS)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int is_within(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

/*
 * Each of these values can be nonsense that another process wrote.  A time
 * that is too far away is no time, not a long wait: the first holder that
 * really backs off sets a right one.
 */
void imx_pace_take_over(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                        uint64_t target, int64_t now)
{
    if (p->target != target) {
        memset(p, 0, sizeof *p);
        p->target = target;
    }
    if (!is_within(p->not_before, 0, now + IMX_PACE_ASKED_MOST_MS * MS)) {
        p->not_before = 0;
    }
    if (!is_within(p->failed_at, 0, now)) {
        p->failed_at = 0;
    }
    if (p->backoff_ms > BACKOFF_MOST_MS) {
        p->backoff_ms = BACKOFF_MOST_MS;
    }
    p->answer_ms = least(p->answer_ms, (uint64_t)limits->timeout_ms);
    p->careful = least(p->careful, CAREFUL_ROW);
    if (p->fits >= limits->max_bytes) {
        p->fits = 0;
    }
    if (p->passes < IMX_PACE_LEAST || p->passes >= limits->max_bytes) {
        p->passes = 0;
    }
    if (!is_within(p->patience, PATIENCE_LEAST, PATIENCE_MOST)) {
        p->patience = PATIENCE_LEAST;
    }
    if (!is_within(p->grow_at, 0, now + p->patience)) {
        p->grow_at = now + p->patience;
    }
}

int imx_pace_is_due(const imx_board_pace_t *p, int64_t now)
{
    return now >= p->not_before;
}

void imx_pace_try_now(imx_board_pace_t *p)
{
    p->not_before = 0;
}

/* Full jitter above the least wait: a second to 2, 4, 8, 16, then always 30. */
static int64_t random_wait_ms(imx_board_pace_t *p, uint32_t random)
{
    uint64_t most = p->backoff_ms > 0 ? 2 * p->backoff_ms
                                      : 2 * BACKOFF_LEAST_MS;

    p->backoff_ms = least(most, BACKOFF_MOST_MS);
    return BACKOFF_LEAST_MS
           + (int64_t)(random % (p->backoff_ms - BACKOFF_LEAST_MS));
}

/* Two bodies that were on their way at once fail once.  The last attempt of a
 * child that leaves does not wait for its time: when it fails, what was asked
 * for before holds, also if the child is killed right then. */
void imx_pace_back_off(imx_board_pace_t *p, int64_t now, int64_t began,
                       int64_t asked_ms, uint32_t random)
{
    int64_t ms = asked_ms;

    if (ms < 0 && began < p->failed_at) {
        return;
    }
    p->failed_at = now;
    if (ms < 0) {
        ms = random_wait_ms(p, random);
    }
    else if (ms > IMX_PACE_ASKED_MOST_MS) {
        ms = IMX_PACE_ASKED_MOST_MS;
    }
    if (p->not_before < now + ms * MS) {
        p->not_before = now + ms * MS;
    }
}

/*
 * Three quarters of the interval are slow: where InfluxDB answers once a
 * second, an answer takes a little less, as the body was sent a little after
 * the last answer.  But not where most of that time went to the pieces.
 */
static int is_slow(int64_t took_ms, int64_t answer_ms,
                   const imx_pace_limits_t *limits)
{
    return took_ms > 0 && took_ms >= limits->interval_ms / 4 * 3
           && answer_ms >= limits->interval_ms / 4;
}

/*
 * The answer is to come before the next tick: if it does not, the lines of that
 * tick wait for it.  So an eighth of the interval is left, and the time that
 * answers take; half is always used.  Where answers come at whole seconds, a
 * body that is out too late for one waits for the next: there half is used
 * until no answer was slow for a while.  An eighth of the limit for a body and
 * its answer may go to the pieces.
 */
int imx_pace_spread_ms(const imx_board_pace_t *p,
                       const imx_pace_limits_t *limits)
{
    int64_t interval = limits->interval_ms, half = interval / 2;
    int64_t spread = interval - interval / 8 - (int64_t)p->answer_ms;

    if (p->careful > 0 || spread < half) {
        spread = half;
    }
    return (int)(spread < limits->timeout_ms / 8 ? spread
                                                 : limits->timeout_ms / 8);
}

/* The next larger body that is to be tried; 0: the largest that is allowed. */
static uint64_t doubled(uint64_t bytes, const imx_pace_limits_t *limits)
{
    return bytes < limits->max_bytes / 2 ? 2 * bytes : 0;
}

/*
 * Bodies that pass quickly may grow again, up to what is allowed.  A body that
 * was on its way already when another one failed does not say that the failure
 * is over.
 * The time in which the pieces of a body go out is no time that the answer
 * takes.  But where answers come at whole seconds, one is short because its
 * body was late, and would take longer for a body that is early: so the whole
 * time counts there, and longer ones before it are remembered for a while.
 */
int imx_pace_taken(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                   int64_t now, int64_t began, int64_t out)
{
    int64_t took_ms = (now - began) / MS;
    int64_t answer_ms = out > began ? (now - out) / MS : took_ms;
    int slow = is_slow(took_ms, answer_ms, limits);
    int is_over = began >= p->failed_at;

    answer_ms = slow ? took_ms : answer_ms;
    p->created = 0;
    p->answer_ms = most((uint64_t)(answer_ms > 0 ? answer_ms : 0),
                        p->answer_ms / 4 * 3);
    p->slow = slow ? least(p->slow, SLOW_ROW) + 1 : 0;
    p->careful = slow ? CAREFUL_ROW : p->careful - (p->careful > 0);
    if (took_ms < limits->timeout_ms / 4) {
        p->passes = doubled(p->passes, limits);
    }
    p->backoff_ms = is_over ? 0 : p->backoff_ms;
    return is_over;
}

/* Larger bodies are tried now and then, as a proxy on the way may have had its
 * limit for a while only. */
static void grow(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                 int64_t now)
{
    if (p->fits > 0 && now >= p->grow_at) {
        p->fits = doubled(p->fits, limits);
        p->grow_at = now + p->patience;
        p->grew = 1;
    }
}

uint64_t imx_pace_size(const imx_board_pace_t *p,
                       const imx_pace_limits_t *limits)
{
    uint64_t most = limits->max_bytes;

    most = p->fits > 0 ? least(most, p->fits) : most;
    return p->passes > 0 ? least(most, p->passes) : most;
}

uint64_t imx_pace_body(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                       int64_t now)
{
    grow(p, limits, now);
    return imx_pace_size(p, limits);
}

/* A limit that is there to stay is tried less and less often. */
void imx_pace_too_large(imx_board_pace_t *p, int64_t now, uint64_t bytes)
{
    if (p->grew) {
        p->patience = p->patience < PATIENCE_MOST / 2 ? 2 * p->patience
                                                      : PATIENCE_MOST;
    }
    p->grew = 0;
    p->fits = bytes > 1 ? bytes / 2 : 1;
    p->grow_at = now + p->patience;
    p->too_large = p->too_large ? p->too_large : bytes;
}

uint64_t imx_pace_news(const imx_board_pace_t *p)
{
    return p->told == 0 || (p->fits > 0 && p->fits < p->told / 4)
               ? p->too_large
               : 0;
}

void imx_pace_told(imx_board_pace_t *p, int told)
{
    if (told) {
        p->told = p->fits;
    }
    p->too_large = 0;
    p->grew = 0;
}

/*
 * Perhaps the network is too slow for so large a body and would be again, so
 * the next one is smaller.  A server that hangs looks the same: so bodies do
 * not shrink below a least size.
 */
void imx_pace_too_slow(imx_board_pace_t *p, uint64_t bytes)
{
    p->passes = bytes / 2 > IMX_PACE_LEAST ? bytes / 2 : IMX_PACE_LEAST;
}

int imx_pace_wants_two(const imx_board_pace_t *p)
{
    return p->slow >= SLOW_ROW;
}
