/*
 * ledger.c owns what is known of each line, and what must hold (see ledger.h).
 * Everybody enters it.
 * It survives all simulated processes, and no seed.
 */
#include "ledger.h"

#include "sched.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ABSENT = 0, UNDER_WAY, TAKEN, NOT_TAKEN };

typedef struct {
    unsigned char kind, appended;
    unsigned char acknowledged; /* the client knows its fate */
    unsigned char excused;      /* ... but may not have got to count it */
    unsigned char refusable;
    unsigned char searched; /* one of its body was refused, and is looked for */
    unsigned short stored;
    int64_t acknowledged_at;
} line_t;

#define REMOVED 32

typedef struct {
    const disk_node_t *file;
    int64_t at;
} removed_t;

/* A line of these was refused, and is looked for. */
typedef struct {
    uint32_t *numbers;
    size_t count, room;
} search_t;

/* What a process was doing last, for the case that it is killed. */
typedef struct {
    uint32_t *numbers;
    size_t count, room;
    search_t searches[2]; /* one for each of two senders */
    int newest;
    const disk_node_t *file;
    removed_t removed[REMOVED]; /* lately; they are not counted yet */
    size_t removals;
    int64_t told_at; /* not to come so soon again */
} last_t;

#define PROCESSES 512

static line_t lines[LEDGER_LINES + 1]; /* and one for what is none */
static uint32_t line_count;
static size_t line_most;
static uint64_t line_salt;
static last_t lasts[PROCESSES];
static int64_t not_before, failed_at;
static int64_t trouble_until; /* of the disk; NEVER: it has some now.  A call
                                 that stalls ends some seconds later. */
static int64_t killed_at;
static int has_failed_to_read;
static const disk_node_t *quota_dir;
static uint64_t quota;
static ledger_sums_t sums;
static product_totals_t past; /* of all arenas that have ended, summed up */
static uint64_t given_up;     /* pending then */
static int64_t refound; /* lines that came back after they had been given up,
                           as with a directory; or that vanished: below 0 */
static uint64_t slack;  /* lines that may be in two places at a death */
static uint64_t started, finished; /* appends of this arena */
static uint64_t brought;           /* lines in files that somebody brought */

void ledger_reset(uint64_t seed)
{
    int i;

    memset(lines, 0, line_count * sizeof *lines);
    for (i = 0; i < PROCESSES; i++) {
        lasts[i].count = 0;
        lasts[i].searches[0].count = lasts[i].searches[1].count = 0;
        lasts[i].file = NULL;
        lasts[i].removals = 0;
        lasts[i].told_at = 0;
    }
    line_count = 0;
    line_salt = seed;
    not_before = failed_at = 0;
    trouble_until = killed_at = 0;
    has_failed_to_read = 0;
    quota_dir = NULL;
    quota = 0;
    memset(&sums, 0, sizeof sums);
    memset(&past, 0, sizeof past);
    given_up = slack = brought = 0;
    refound = 0;
    started = finished = 0;
}

/* ---- lines ---- */

void ledger_set_size(size_t most)
{
    line_most = most;
}

static size_t write_line(uint32_t number, char *text)
{
    static const char filler[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    uint64_t hash = (number + line_salt) * UINT64_C(0x9E3779B97F4A7C15);
    size_t room = line_most > 60 ? line_most - 60 : 0;
    size_t fill = room > 0 ? (hash >> 32) % room : 0;
    size_t at = 0, i;
    char digits[12];

    memcpy(text, "r,host=w n=", 11);
    at = 11;
    for (i = 0; i < 8; i++) {
        digits[7 - i] = (char)('0' + number % 10);
        number /= 10;
    }
    memcpy(text + at, digits, 8);
    at += 8;
    memcpy(text + at, "i,f=\"", 5);
    at += 5;
    fill = fill < sizeof filler - 1 ? fill : sizeof filler - 1;
    memcpy(text + at, filler, fill);
    at += fill;
    memcpy(text + at, "\" 17639616", 10);
    at += 10;
    memcpy(text + at, digits, 8);
    at += 8;
    text[at++] = '\n';
    return at;
}

uint32_t ledger_make(char *text, size_t *len, line_kind_e kind)
{
    uint32_t number = line_count;

    if (line_count == LEDGER_LINES) {
        fprintf(stderr, "simulation: too many lines\n");
        abort();
    }
    line_count++;
    lines[number].kind = (unsigned char)kind;
    lines[number].appended = UNDER_WAY;
    *len = write_line(number, text);
    started++;
    return number;
}

uint32_t ledger_bring(char *text, size_t *len)
{
    uint32_t number = ledger_make(text, len, LINE_GOOD);

    lines[number].appended = TAKEN;
    started--;
    brought++;
    slack++; /* it is not counted when no child has the lease just then */
    return number;
}

void ledger_appended(uint32_t number, int was_taken)
{
    lines[number].appended = was_taken ? TAKEN : NOT_TAKEN;
    finished++;
}

uint32_t ledger_number(const char *text, size_t len)
{
    char expected[LEDGER_LINE_MAX];
    uint32_t number = 0;
    size_t i;

    if (len < 30) {
        trace_wrong("what is no line arrives: %.*s", (int)len, text);
        return LEDGER_LINES;
    }
    for (i = 11; i < 19; i++) {
        number = number * 10 + (uint32_t)(text[i] - '0');
    }
    if (number >= line_count || write_line(number, expected) != len
        || memcmp(expected, text, len) != 0) {
        trace_wrong("what was never appended arrives: %.*s", (int)len, text);
        return LEDGER_LINES;
    }
    return number;
}

line_kind_e ledger_kind(uint32_t number)
{
    return number < LEDGER_LINES ? (line_kind_e)lines[number].kind : LINE_GOOD;
}

/* A line that may be in two places now, or be acknowledged and not counted. */
static void excuse(uint32_t number)
{
    if (number < LEDGER_LINES) {
        lines[number].excused = 1;
        slack++; /* once more when it happens again: then there are three */
    }
}

/* A disk that takes its time keeps a holder from writing how far a file is
 * done; until then, who comes after it begins where the file says. */
static int was_not_written(uint32_t number)
{
    char text[LEDGER_LINE_MAX];
    size_t len = write_line(number, text);
    int64_t since = lines[number].acknowledged_at;

    return (trouble_until >= since
            || (killed_at >= since && killed_at - since < SIM_SECOND))
           && disk_had(text, len);
}

void ledger_disk(int is_in_trouble)
{
    has_failed_to_read |= disk_fails_to_read();
    trouble_until = is_in_trouble                ? SIM_NEVER
                    : trouble_until == SIM_NEVER ? sched_now() + 5 * SIM_SECOND
                                                 : trouble_until;
}

void ledger_arrived(uint32_t number)
{
    line_t *l = &lines[number < LEDGER_LINES ? number : 0];

    if (number >= LEDGER_LINES) {
        return;
    }
    if (l->appended == NOT_TAKEN) {
        trace_wrong("line %u arrives, which was dropped", number);
    }
    if (l->acknowledged && l->searched) {
        sums.searched++;
    }
    else if (l->acknowledged) {
        sums.repeated++;
        if (!l->excused && was_not_written(number)) {
            excuse(number);
        }
        else if (!l->excused) {
            trace_wrong("line %u was acknowledged, and is sent again", number);
        }
    }
}

void ledger_stored(uint32_t number)
{
    if (number < LEDGER_LINES) {
        lines[number].stored++;
    }
}

void ledger_may_be_refused(uint32_t number)
{
    if (number < LEDGER_LINES) {
        lines[number].refusable = 1;
    }
}

/* ---- what the client knows ---- */

static last_t *last_of(const sim_process_t *p)
{
    return &lasts[p->number];
}

static void keep_numbers(uint32_t **to, size_t *count, size_t *room,
                         const uint32_t *numbers, size_t n)
{
    if (n > *room) {
        *room = 2 * n;
        *to = realloc(*to, *room * sizeof **to);
        if (*to == NULL) {
            abort();
        }
    }
    if (n > 0) {
        memcpy(*to, numbers, n * sizeof *numbers);
    }
    *count = n;
}

static const search_t *find_search(const last_t *l, uint32_t number)
{
    size_t i, k;

    for (k = 0; k < 2; k++) {
        for (i = 0; i < l->searches[k].count; i++) {
            if (l->searches[k].numbers[i] == number) {
                return &l->searches[k];
            }
        }
    }
    return NULL;
}

static void begin_search(last_t *l, const uint32_t *numbers, size_t n)
{
    search_t *s = &l->searches[l->newest = !l->newest];
    size_t i;

    for (i = 0; i < s->count; i++) {
        lines[s->numbers[i]].searched = 0;
    }
    keep_numbers(&s->numbers, &s->count, &s->room, numbers, n);
    for (i = 0; i < n; i++) {
        lines[numbers[i]].searched = 1;
    }
}

void ledger_acknowledged(sim_process_t *p, const uint32_t *numbers, size_t n,
                         int is_unnamed)
{
    last_t *l = last_of(p);
    size_t i;

    if (n > 0 && find_search(l, numbers[0]) != NULL) {
        return; /* a part of what is searched already */
    }
    for (i = 0; i < n; i++) {
        lines[numbers[i]].acknowledged = 1;
        lines[numbers[i]].acknowledged_at = sched_now();
    }
    if (is_unnamed) {
        begin_search(l, numbers, n);
    }
    keep_numbers(&l->numbers, &l->count, &l->room, numbers, n);
}

void ledger_post(sim_process_t *p, uint32_t first, size_t count)
{
    last_t *l = last_of(p);
    const search_t *search = find_search(l, first);

    sums.posts++;
    trace_tell("a body of %zu lines is sent", count);
    l->count = 0; /* what was told before has been counted */
    if (search != NULL && !lines[first].excused
        && count > search->count / 2 + 1) {
        trace_wrong("%zu of %zu lines are sent to find one", count,
                    search->count);
    }
    if (sched_now() < not_before && !p->is_ending) {
        trace_wrong("%s %d sends a body %.3f s too soon", p->role, p->number,
                    (double)(not_before - sched_now()) / 1e9);
    }
}

void ledger_not_before(sim_process_t *p, int64_t began, int64_t asked_ms)
{
    int64_t ms = asked_ms >= 0 ? asked_ms : 1000;

    if (asked_ms < 0 && began < failed_at) {
        return; /* two that were under way at once fail once */
    }
    failed_at = last_of(p)->told_at = sched_now();
    not_before = sched_now() + (ms < 3600000 ? ms : 3600000) * SIM_MS;
}

void ledger_taken(int64_t began)
{
    if (began >= failed_at) {
        not_before = 0;
    }
}

void ledger_failed(void)
{
    failed_at = sched_now();
}

/* ---- deaths and files ---- */

/* All lines that its bytes have, whole ones. */
static void excuse_file(const disk_node_t *n)
{
    const char *at = (const char *)n->data, *end = at + n->size, *lf;

    while (at < end && (lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (*at != '\0' && lf - at > 30) {
            excuse(ledger_number(at, (size_t)(lf + 1 - at)));
        }
        at = lf + 1;
    }
}

/* It is counted at its end. */
static void excuse_search(const search_t *s)
{
    size_t i;

    for (i = 0; i < s->count; i++) {
        excuse(s->numbers[i]);
    }
}

void ledger_died(sim_process_t *p)
{
    last_t *l = last_of(p);
    size_t i;

    if (!p->was_killed) {
        return;
    }
    sums.kills++;
    killed_at = sched_now();
    trace_tell("%s %d is dead", p->role, p->number);
    for (i = 0; i < l->count; i++) {
        excuse(l->numbers[i]);
    }
    excuse_search(&l->searches[0]);
    excuse_search(&l->searches[1]);
    if (l->file != NULL) {
        excuse_file(l->file);
    }
    for (i = 0; i < l->removals && i < REMOVED; i++) {
        if (l->removed[i].at > sched_now() - SIM_SECOND) {
            excuse_file(l->removed[i].file); /* given up, and not counted */
        }
    }
    /* It was told when to come again, and could not pass it on. */
    if (l->told_at > sched_now() - 200 * SIM_MS) {
        not_before = 0;
    }
}

void ledger_file_made(sim_process_t *p, const disk_node_t *node)
{
    last_of(p)->file = node;
}

void ledger_file_removed(sim_process_t *p, const disk_node_t *node)
{
    last_t *l = last_of(p);

    l->removed[l->removals++ % REMOVED] = (removed_t){ node, sched_now() };
    if (has_failed_to_read) { /* its lines could not be counted, perhaps */
        excuse_file(node);
    }
}

void ledger_set_quota(const disk_node_t *dir, uint64_t bytes)
{
    quota_dir = dir;
    quota = bytes;
}

void ledger_file_named(sim_process_t *p, const disk_node_t *dir,
                       const disk_node_t *node, const char *name)
{
    uint64_t bytes = disk_bytes(dir, ".lp") + disk_bytes(dir, ".bad");

    trace_tell("file %s (%zu bytes)", name, node->size);
    if (has_failed_to_read && strstr(name, ".bad") != NULL) {
        excuse_file(node); /* its lines could not be counted, perhaps */
    }
    if (dir == quota_dir && node == last_of(p)->file && quota > 0
        && bytes > quota && brought == 0 && !disk_fails_to_read()) {
        trace_wrong("the spool has %" PRIu64 " bytes, %" PRIu64 " are allowed",
                    bytes, quota);
    }
}

void ledger_file_stuck(const disk_node_t *node)
{
    if (!node->is_dir) {
        excuse_file(node);
    }
}

void ledger_power_cut(const disk_node_t *node)
{
    if (!node->is_dir) {
        excuse_file(node);
    }
}

/* ---- accounts ---- */

static void add_past(const product_totals_t *t)
{
    past.recorded += t->recorded;
    past.sent += t->sent;
    past.rejected += t->rejected;
    past.dropped += t->dropped;
    past.torn += t->torn;
    past.no_room += t->no_room;
    past.delivered += t->delivered;
    past.spool_rejected += t->spool_rejected;
    past.spool_dropped += t->spool_dropped;
    past.spooled += t->spooled;
    past.found += t->found;
    given_up += t->pending;
    refound += (int64_t)t->found - (int64_t)t->in_spool;
}

void ledger_begin_arena(void)
{
    started = finished = 0;
    not_before = 0;
}

void ledger_end_arena(const product_totals_t *t, uint64_t in_files)
{
    const char *fault = product_validate();

    ledger_check(t);
    if (fault != NULL) {
        trace_wrong("the arena: %s", fault);
    }
    if (slack == 0 && brought == 0 && t->in_spool > 0
        && t->in_spool > in_files) {
        trace_wrong("%" PRIu64
                    " lines are in the spool, says the board, the "
                    "files have %" PRIu64,
                    t->in_spool, in_files);
    }
    add_past(t);
    trace_tell("the arena ends: %" PRIu64 " lines are given up; sent %" PRIu64
               ", rejected %" PRIu64 ", dropped %" PRIu64 ", torn %" PRIu64
               ", no room %" PRIu64 "; spool: %" PRIu64 " put, %" PRIu64
               " found, %" PRIu64 " delivered, %" PRIu64 " rejected, %" PRIu64
               " dropped, so %" PRIu64 " in it, files %" PRIu64,
               t->pending, t->sent, t->rejected, t->dropped, t->torn,
               t->no_room, t->spooled, t->found, t->delivered,
               t->spool_rejected, t->spool_dropped, t->in_spool, in_files);
}

/* Lines that are just being appended may be in the counts or not, and so may
 * those whose process was killed over it. */
void ledger_check(const product_totals_t *t)
{
    if (t->recorded > started || t->recorded < finished) {
        trace_wrong("%" PRIu64 " lines are recorded: %" PRIu64
                    " were begun, and %" PRIu64 " appended",
                    t->recorded, started, finished);
    }
    if ((int64_t)t->in_spool < 0) {
        trace_wrong("%" PRId64 " lines are in the spool",
                    (int64_t)t->in_spool);
    }
}

static uint64_t count_lines(int (*is_so)(const line_t *l))
{
    uint64_t n = 0;
    uint32_t i;

    for (i = 0; i < line_count; i++) {
        n += (uint64_t)is_so(&lines[i]);
    }
    return n;
}

static int is_stored(const line_t *l)
{
    return l->stored > 0;
}

static int is_refusable(const line_t *l)
{
    return l->refusable || l->kind != LINE_GOOD;
}

static int is_taken(const line_t *l)
{
    return l->appended == TAKEN;
}

static int is_under_way(const line_t *l)
{
    return l->appended == UNDER_WAY;
}

static int is_not_taken(const line_t *l)
{
    return l->appended == NOT_TAKEN;
}

static int is_missing(const line_t *l)
{
    return l->appended == TAKEN && l->stored == 0;
}

static void check_at_most(const char *name, uint64_t n, uint64_t most)
{
    if (n > most) {
        trace_wrong("%s: %" PRIu64 " lines, at most %" PRIu64 " can be", name,
                    n, most);
    }
}

/*
 * Each line has one fate.  `slack` lines were in two places when somebody died:
 * they may count at either.
 */
void ledger_check_end(uint64_t in_files)
{
    uint64_t taken = count_lines(is_taken), half = count_lines(is_under_way);
    uint64_t sent, rejected, lost, fates;

    sent = past.sent + past.delivered;
    rejected = past.rejected + past.spool_rejected;
    lost = past.dropped + past.spool_dropped + given_up;
    fates = sent + rejected + lost;
    sums.lines = line_count;
    sums.stored = count_lines(is_stored);
    sums.refused = rejected;
    sums.lost = lost + past.torn + past.no_room;
    trace_tell("end: %" PRIu64 " taken, %" PRIu64 " sent, %" PRIu64
               " rejected, %" PRIu64 " lost, %" PRIu64 " torn, %" PRIu64
               " stored, %" PRIu64 " excused",
               taken, sent, rejected, lost, past.torn, sums.stored, slack);
    if (in_files > 0) {
        trace_wrong("at the end there are %" PRIu64 " files", in_files);
    }
    check_at_most("torn", past.torn, half);
    check_at_most("no room", past.no_room, count_lines(is_not_taken) + half);
    fates += brought - (uint64_t)refound;
    check_at_most("fates", fates, taken + half + slack);
    check_at_most("taken", taken, fates + slack);
    check_at_most("sent", sent, sums.stored + slack);
    check_at_most("rejected", rejected, count_lines(is_refusable) + slack);
    check_at_most("missing in InfluxDB", count_lines(is_missing),
                  lost + rejected + slack);
}

ledger_sums_t ledger_sums(void)
{
    return sums;
}
