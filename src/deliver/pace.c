/*
 * pace.c owns when the next body may be sent, and how large it and its pieces
 * may be.
 * Pure arithmetic, for the thread that holds the lease.
 * What was learned is a struct on the board, so it survives every holder.
 */
#include "deliver/pace.h"

#include "base/least.h"
#include "deliver/flow.h"

#include <string.h>

#define MS INT64_C(1000000) /* ns */
#define BACKOFF_LEAST_MS 1000
#define BACKOFF_MOST_MS 30000
#define SLOW_ROW 3     /* answers that make one look slow, not only late */
#define CAREFUL_ROW 60 /* answers after a late one that are not late */
#define CAREFUL_LEAST (32 * 1024) /* bytes of a piece until then */
#define SPREAD_MOST_MS 5000       /* that a body's pieces take */
#define BODIES_MOST 1000          /* that a tick's answers are reckoned for */
#define PATIENCE_LEAST (60000 * MS)
#define PATIENCE_MOST (3600000 * MS)

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
        p->careful = limits->at_seconds ? CAREFUL_ROW : 0;
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
    p->answer_ms = imx_least(p->answer_ms, (uint64_t)limits->timeout_ms);
    p->careful = imx_least(p->careful, CAREFUL_ROW);
    if (p->fits >= limits->max_bytes) {
        p->fits = 0;
    }
    p->proven = imx_least(p->proven, limits->max_bytes);
    if (p->passes < IMX_PACE_LEAST || p->passes >= limits->max_bytes) {
        p->passes = 0;
    }
    if (!is_within(p->passes_wait, PATIENCE_LEAST, PATIENCE_MOST)) {
        p->passes_wait = 0;
    }
    if (!is_within(p->passes_at, 0, now + p->passes_wait)) {
        p->passes_at = 0;
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

    p->backoff_ms = imx_least(most, BACKOFF_MOST_MS);
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

    p->proven = 0;
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
 * took_ms is the time of a body and its answer, busy_ms is that without the
 * pauses between the pieces.  Three quarters of the interval are slow: where
 * InfluxDB answers once a second, a body and its answer take a little less, as
 * the body was sent a little after the last answer.
 */
static int is_slow(int64_t took_ms, int64_t busy_ms,
                   const imx_pace_limits_t *limits)
{
    return took_ms >= limits->interval_ms / 4 * 3
           && busy_ms >= limits->interval_ms / 4;
}

/* The next tick had to wait for the answer, or nearly. */
static int is_late(int64_t took_ms, const imx_pace_limits_t *limits)
{
    return took_ms >= limits->interval_ms / 16 * 15;
}

/*
 * In how many ms all that waits may go out.  The answers are to come before the
 * next tick, or its lines wait for them: so an eighth of the interval is left,
 * and the time that the answers take.  It is never less than half; and it is
 * half after an answer that was late: where InfluxDB answers once a second, a
 * body that is out too late for one answer waits for the next.  At most an
 * eighth of the limit for a body and its answer goes to the pieces, and no more
 * than 5 s: many servers end a request that lasts 10 s.
 */
static int64_t spread_ms(const imx_board_pace_t *p,
                         const imx_pace_limits_t *limits, uint64_t bodies)
{
    int64_t interval = limits->interval_ms, limit = limits->timeout_ms / 8;
    int64_t answers = (int64_t)(p->answer_ms * imx_least(bodies, BODIES_MOST));
    int64_t spread = interval - interval / 8 - answers;

    if (p->careful > 0 || spread < interval / 2) {
        spread = interval / 2;
    }
    return imx_least_signed(spread, imx_least_signed(limit, SPREAD_MOST_MS));
}

uint64_t imx_pace_piece(const imx_board_pace_t *p,
                        const imx_pace_limits_t *limits, uint64_t waiting,
                        uint64_t bodies)
{
    uint64_t piece = imx_flow_piece(waiting, spread_ms(p, limits, bodies));

    return p->careful > 0 ? imx_most(piece, CAREFUL_LEAST) : piece;
}

/*
 * A body that is too large is refused before its end: then a proxy on the way
 * that still has to pass pieces on answers 502 and not 413, and nothing is
 * learned.  So only a body that is hardly larger than what was taken since the
 * last failure goes out in pieces.
 */
int imx_pace_is_proven(const imx_board_pace_t *p, uint64_t bytes)
{
    return bytes <= p->proven + p->proven / 4;
}

/* Where InfluxDB answers once a second, an answer that came at once says
 * nothing of the next one. */
uint64_t imx_pace_patience_ms(const imx_board_pace_t *p)
{
    uint64_t usual = 2 * p->answer_ms;

    return p->careful > 0 ? imx_most(usual, 1000) : usual;
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
 * A longer time than this one's is remembered for a while.
 * When more fits than was known, the next body may be larger again: a limit
 * that has gone costs no more time than until it is tried.
 */
int imx_pace_taken(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                   int64_t now, int64_t began, int64_t held_ns, uint64_t bytes)
{
    int64_t took_ms = (now - began) / MS;
    int64_t busy_ms = (now - began - held_ns) / MS;
    int slow = is_slow(took_ms, busy_ms, limits);
    int is_over = began >= p->failed_at;

    p->created = 0;
    if (p->grew && bytes > p->fits / 2) {
        p->grow_at = now;
    }
    p->proven = imx_most(bytes, p->proven);
    p->answer_ms = imx_most((uint64_t)(busy_ms > 0 ? busy_ms : 0),
                            p->answer_ms / 4 * 3);
    p->slow = slow ? imx_least(p->slow, SLOW_ROW) + 1 : 0;
    p->careful = limits->at_seconds || (slow && is_late(took_ms, limits))
                     ? CAREFUL_ROW
                     : p->careful - (p->careful > 0);
    if (took_ms < limits->timeout_ms / 4 && now >= p->passes_at) {
        p->passes = doubled(p->passes, limits);
    }
    if (p->passes == 0) {
        p->passes_wait = 0;
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

    most = p->fits > 0 ? imx_least(most, p->fits) : most;
    return p->passes > 0 ? imx_least(most, p->passes) : most;
}

uint64_t imx_pace_body(imx_board_pace_t *p, const imx_pace_limits_t *limits,
                       int64_t now)
{
    grow(p, limits, now);
    return imx_pace_size(p, limits);
}

static int64_t longer(int64_t wait)
{
    if (wait < PATIENCE_LEAST) {
        return PATIENCE_LEAST;
    }
    return wait < PATIENCE_MOST / 2 ? 2 * wait : PATIENCE_MOST;
}

/* A limit that is there to stay is tried less and less often. */
void imx_pace_too_large(imx_board_pace_t *p, int64_t now, uint64_t bytes)
{
    if (p->grew) {
        p->patience = longer(p->patience);
    }
    p->grew = 0;
    p->proven = 0;
    p->fits = bytes > 1 ? bytes / 2 : 1;
    p->grow_at = now + p->patience;
    p->too_large = p->too_large ? p->too_large : bytes;
}

void imx_pace_forget_limit(imx_board_pace_t *p)
{
    p->fits = p->too_large = p->grew = 0;
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
 * Perhaps the network is too slow for so large a body and would be again, or a
 * proxy did not hear that it is too large: so the next one is smaller.  A
 * server that hangs or is away looks the same: so bodies do not shrink below a
 * least size.  When smaller ones were taken, a larger one is tried less and
 * less often.
 */
void imx_pace_try_smaller(imx_board_pace_t *p, int64_t now, uint64_t bytes)
{
    if (p->proven > 0 && bytes > p->proven) {
        p->passes_wait = longer(p->passes_wait);
        p->passes_at = now + p->passes_wait;
    }
    p->passes = bytes / 2 > IMX_PACE_LEAST ? bytes / 2 : IMX_PACE_LEAST;
}

int imx_pace_wants_two(const imx_board_pace_t *p)
{
    return p->slow >= SLOW_ROW;
}
