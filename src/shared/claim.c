/*
 * claim.c owns what the holder takes of sealed segments and of dead children,
 * until it is free again, and the counts of what became of their lines: the
 * second half of batch.h.
 * Entered by the monitor that holds the lease, and by anybody for the totals.
 * All of it survives any process; see batch.h for why.
 */
#include "shared/batch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shared/fault.h"
#include "shared/group.h"
#include "shared/segment.h"

static segment_t *segment(const imx_batch_t *b, uint32_t i)
{
    return b->segments + i;
}

static groups_t groups(const imx_batch_t *b)
{
    return (groups_t){ b->part, b->segments, b->marks, b->geometry.room };
}

static char *data_of(const imx_batch_t *b, uint32_t i)
{
    return b->data + (size_t)i * b->geometry.segment_size;
}

static _Atomic uint64_t *extent_of(const imx_batch_t *b, uint32_t i,
                                   uint32_t line)
{
    return (_Atomic uint64_t *)data_of(b, i + 1) - 1 - line;
}

static uint32_t begun(const imx_batch_t *b)
{
    return at_most_room(&b->part->begun, b->geometry.room);
}

/* ---- clearing ---- */

/*
 * Gives the pages of a segment that is SENDING, to which nobody writes, back to
 * the system.  Its extents read as zero afterwards: length 0, which is no line
 * in any generation.  Returns 0 when the memory stays: the system may not take
 * it, and for a segment that is less than a page it would take the neighbour's,
 * too.
 */
static int give_memory_back(const imx_batch_t *b, uint32_t i)
{
    const size_t size = b->geometry.segment_size;

    return size % b->geometry.page == 0
           && madvise(data_of(b, i), size, MADV_REMOVE) == 0;
}

/* It is no longer in use. */
static int is_beyond(const imx_batch_t *b, uint32_t i)
{
    return i >= imx_batch_segments(b);
}

/*
 * A segment without lines that is SENDING with this word: clears it, and lets
 * it go.  What has to be cleared follows from the word alone, and what has to
 * be given back from the size of the buffer, so another holder can do it again.
 */
static void clear(const imx_batch_t *b, uint32_t i, uint64_t word,
                  int gives_back)
{
    _Atomic uint64_t *p = &segment(b, i)->word;

    atomic_store(&segment(b, i)->progress, 0);
    if ((!gives_back || !give_memory_back(b, i)) && generation_of(word) == 0) {
        memset(data_of(b, i), 0xFF, b->geometry.segment_size);
    }
    FAULT("cleared");
    if (swap(p, &word, freed_unused(word))) {
        let_go(b->part, i);
    }
}

/* Either the generations wrap, and old extents or an old progress would pass
 * for new ones; or the memory is to go back to the system. */
static int must_be_cleared(const imx_batch_t *b, uint32_t i, uint64_t word)
{
    return (generation_of(word) & PROGRESS_GENERATIONS) == PROGRESS_GENERATIONS
           || is_beyond(b, i);
}

/* Any child can write there. */
uint32_t imx_batch_backed(const imx_batch_t *b)
{
    uint32_t end = atomic_load(&b->part->backed), most = touched(groups(b));

    return end < most ? end : most;
}

void imx_batch_set_backed(const imx_batch_t *b, uint32_t end)
{
    atomic_store(&b->part->backed, end);
}

void imx_batch_give_back(const imx_batch_t *b, uint32_t from, uint32_t to)
{
    uint32_t n = begun(b), i;

    for (i = from; i < to && i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);
        uint64_t mine = with_state(word, SENDING);

        if (state_of(word) == FREE
            && swap(&segment(b, i)->word, &word, mine)) {
            FAULT("trimmed");
            clear(b, i, mine, 1);
        }
    }
}

void imx_batch_trim(const imx_batch_t *b)
{
    imx_batch_give_back(b, imx_batch_segments(b), begun(b));
}

void imx_batch_recover(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);

        if (state_of(word) == SENDING && lines_of(word) == 0) {
            clear(b, i, word, is_beyond(b, i));
        }
        else if (state_of(word) == SENDING) {
            swap(&segment(b, i)->word, &word, with_state(word, SEALED));
        }
        if (state_of(load(&segment(b, i)->word)) != FREE) {
            mark_segment(groups(b), i);
        }
    }
}

/* ---- what the dead leave ---- */

/* The segments of a dead child become nobody's. */
static void salvage(const imx_batch_t *b, uint32_t slot)
{
    uint32_t n = begun(b), i, tries = 0;

    for (i = 0; i < n; i++) {
        _Atomic uint64_t *p = &segment(b, i)->word;
        uint64_t word = load(p), next;

        do {
            if (owner_of(word) != slot
                || (state_of(word) != FILLING && state_of(word) != SEALED)) {
                break;
            }
            next = with_owner(with_state(word, SEALED), IMX_BATCH_NOBODY);
            if (lines_of(word) == 0) {
                next = freed_unused(word);
            }
        } while (!swap(p, &word, next) && ++tries < TRIES_MAX);
        if (state_of(load(p)) == FREE) {
            let_go(b->part, i);
        }
        else {
            mark_segment(groups(b), i);
        }
    }
}

unsigned imx_batch_reap(const imx_batch_t *b, int look_for_them)
{
    unsigned found = 0;
    uint32_t i;

    for (i = 0; i < b->geometry.children; i++) {
        imx_children_who_t who = imx_children_dead(b->children, i,
                                                   look_for_them);

        if (who != 0) {
            salvage(b, i);
            FAULT("salvaged");
            imx_children_remove(b->children, i, who);
            found++;
        }
    }
    return found;
}

/* ---- claims ---- */

/* The extents are in memory that any child can write: a line outside the data
 * of its segment is no line.  In the place of one that is not written yet there
 * may be a line's text of an earlier tenure: see batch.h. */
size_t imx_batch_line(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      uint32_t i, const char **line)
{
    uint64_t extent = load(extent_of(b, claim->segment, i));
    size_t len = extent_length(extent), offset = extent_offset(extent);

    if (!extent_is_of(extent, claim->word, i)
        || offset + len > bytes_of(claim->word)) {
        return 0;
    }
    *line = data_of(b, claim->segment) + offset;
    return len;
}

static int is_sane(const imx_batch_t *b, uint64_t word)
{
    return bytes_of(word) + lines_of(word) * sizeof(uint64_t)
           <= b->geometry.segment_size;
}

static int is_complete(const imx_batch_t *b, const imx_batch_claim_t *claim)
{
    const char *line;
    uint32_t i;

    for (i = 0; i < claim->lines; i++) {
        if (imx_batch_line(b, claim, i, &line) == 0) {
            return 0;
        }
    }
    return 1;
}

/* A sealed segment that may be claimed: SEALED -> SENDING.  Of a word that is
 * nonsense, no line is looked at. */
static int claim_one(const imx_batch_t *b, imx_batch_claim_t *claim,
                     uint32_t i)
{
    segment_t *s = segment(b, i);
    uint64_t word = load(&s->word);
    progress_t done = { 0, 0, 0, 0 };

    if (state_of(word) != SEALED) {
        return 0;
    }
    claim->segment = i;
    claim->word = with_state(word, SENDING);
    claim->lines = is_sane(b, word) ? lines_of(word) : 0;
    if (owner_of(word) != IMX_BATCH_NOBODY && !is_complete(b, claim)) {
        return 0;
    }
    if (!swap(&s->word, &word, claim->word)) {
        return 0;
    }
    if (claim->lines > 0) {
        done = progress_in(s, word);
    }
    claim->first = done.cursor;
    claim->progress = make_progress(word, done);
    return 1;
}

typedef struct {
    uint64_t ticket;
    uint32_t segment;
} queued_t;

static int by_ticket(const void *a, const void *b)
{
    const queued_t *left = a, *right = b;

    return (left->ticket > right->ticket) - (left->ticket < right->ticket);
}

/* An estimate: only the extents say how long each line is. */
static uint64_t bytes_left(const imx_batch_claim_t *claim)
{
    uint32_t left = claim->lines - claim->first;

    return left == 0 ? 0
                     : (uint64_t)bytes_of(claim->word) * left / claim->lines;
}

/* The sealed segments of a group; returns how many. */
static size_t queue_group(const imx_batch_t *b, queued_t *queue,
                          uint32_t group)
{
    uint32_t i, end = end_of_group(groups(b), group);
    size_t queued = 0;

    for (i = group * GROUP; i < end; i++) {
        if (state_of(load(&segment(b, i)->word)) == SEALED) {
            queue[queued].segment = i;
            queue[queued++].ticket = load(&segment(b, i)->ticket);
        }
    }
    return queued;
}

/* The sealed segments, oldest first.  Returns NULL when there is no memory;
 * the caller frees it. */
static queued_t *make_queue(const imx_batch_t *b, size_t *queued)
{
    size_t room = 1;
    queued_t *queue;
    uint32_t g;

    for (g = next_group(groups(b), 0); g != NO_GROUP;
         g = next_group(groups(b), g + 1)) {
        room += GROUP;
    }
    queue = malloc(room * sizeof *queue);
    *queued = 0;
    for (g = queue ? next_group(groups(b), 0) : NO_GROUP;
         g != NO_GROUP && *queued + GROUP < room;
         g = next_group(groups(b), g + 1)) {
        *queued += queue_group(b, queue + *queued, g);
    }
    if (queue != NULL) {
        qsort(queue, *queued, sizeof *queue, by_ticket);
    }
    return queue;
}

size_t imx_batch_claim(const imx_batch_t *b, imx_batch_claim_t *claims,
                       size_t max, uint64_t max_lines, uint64_t max_bytes)
{
    uint64_t lines = 0, bytes = 0;
    size_t queued, claimed = 0, next;
    queued_t *queue = make_queue(b, &queued);

    if (queue == NULL) {
        return 0;
    }
    for (next = 0; next < queued && claimed < max && lines < max_lines
                   && bytes < max_bytes;
         next++) {
        if (claim_one(b, &claims[claimed], queue[next].segment)) {
            lines += claims[claimed].lines - claims[claimed].first;
            bytes += bytes_left(&claims[claimed]);
            claimed++;
        }
    }
    free(queue);
    return claimed;
}

void imx_batch_advance(const imx_batch_t *b, imx_batch_claim_t *claim,
                       uint32_t cursor, uint32_t rejected, uint32_t dropped)
{
    progress_t p = progress_of(claim->word, claim->progress);
    const char *line;

    if (cursor > claim->lines) {
        cursor = claim->lines;
    }
    for (; p.cursor < cursor; p.cursor++) {
        p.torn += imx_batch_line(b, claim, p.cursor, &line) == 0;
    }
    p.rejected += rejected;
    p.dropped += dropped;
    claim->first = p.cursor;
    claim->progress = make_progress(claim->word, p);
    FAULT("advance");
    atomic_store(&segment(b, claim->segment)->progress, claim->progress);
    FAULT("advanced");
}

/* Adds to a segment's counts what the progress says. */
static void add_progress(uint64_t fate[IMX_BATCH_FATES], progress_t p)
{
    fate[IMX_BATCH_SENT] += p.cursor - p.rejected - p.dropped - p.torn;
    fate[IMX_BATCH_REJECTED] += p.rejected;
    fate[IMX_BATCH_DROPPED] += p.dropped;
    fate[IMX_BATCH_TORN] += p.torn;
}

void imx_batch_settle(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      const uint64_t fate[IMX_BATCH_FATES])
{
    segment_t *s = segment(b, claim->segment);
    progress_t done = progress_of(claim->word, claim->progress);
    uint64_t word = claim->word, next = freed(word), sum[IMX_BATCH_FATES];
    uint64_t torn = lines_of(word) - done.cursor;
    unsigned now = generation_of(word) & 1;
    int clears = must_be_cleared(b, claim->segment, word), i;

    for (i = 0; i < IMX_BATCH_TORN; i++) {
        sum[i] = load(&s->fate[now][i]) + fate[i];
        torn -= fate[i];
    }
    sum[IMX_BATCH_TORN] = load(&s->fate[now][IMX_BATCH_TORN]) + torn;
    add_progress(sum, done);
    for (i = 0; i < IMX_BATCH_FATES; i++) {
        atomic_store(&s->fate[!now][i], sum[i]);
        FAULT("count");
    }
    FAULT("counted");
    if (clears) {
        next = with_state(next, SENDING);
    }
    if (!swap(&s->word, &word, next)) {
        return;
    }
    FAULT("settled");
    if (clears) {
        clear(b, claim->segment, next, is_beyond(b, claim->segment));
    }
    else {
        let_go(b->part, claim->segment);
    }
}

void imx_batch_put_back(const imx_batch_t *b, const imx_batch_claim_t *claim)
{
    uint64_t word = claim->word;

    swap(&segment(b, claim->segment)->word, &word, with_state(word, SEALED));
}

/* ---- totals ---- */

/* The counts that go with the word: read again when it moved meanwhile, but not
 * for ever, as the parent reads, too.  Returns whether it is free. */
static int add_segment(imx_batch_totals_t *t, const segment_t *s)
{
    uint64_t fate[IMX_BATCH_FATES];
    uint64_t word = load(&s->word), before;
    progress_t done;
    int i, tries = 0;

    do {
        before = word;
        for (i = 0; i < IMX_BATCH_FATES; i++) {
            fate[i] = load(&s->fate[generation_of(word) & 1][i]);
        }
        done = progress_in(s, word);
        word = load(&s->word);
    } while (generation_of(word) != generation_of(before) && ++tries < 1000);
    if (done.cursor > lines_of(word)) {
        done = progress_of(word, 0);
    }
    add_progress(fate, done);
    for (i = 0; i < IMX_BATCH_FATES; i++) {
        t->fate[i] += fate[i];
        t->recorded += fate[i];
    }
    t->pending += lines_of(word) - done.cursor;
    t->bytes_used += bytes_of(word);
    return state_of(word) == FREE;
}

imx_batch_totals_t imx_batch_totals(const imx_batch_t *b)
{
    imx_batch_totals_t t = { 0 };
    uint32_t n = touched(groups(b)), i;

    t.segments = t.segments_free = imx_batch_segments(b);
    for (i = 0; i < n; i++) {
        t.segments_free -= !add_segment(&t, segment(b, i)) && i < t.segments;
    }
    t.no_room = load(&b->part->homeless);
    for (i = 0; i < b->geometry.children; i++) {
        t.no_room += load(&b->refused[i].lines);
    }
    t.recorded += t.no_room + t.pending;
    return t;
}

/* ---- for the tests ---- */

static const char *validate_lines(const imx_batch_t *b, uint32_t i,
                                  uint64_t word)
{
    imx_batch_claim_t claim = { i, word, lines_of(word), 0, 0 };
    uint32_t line, at = 0;
    const char *text;

    for (line = 0; line < claim.lines; line++) {
        size_t len = imx_batch_line(b, &claim, line, &text);
        uint64_t extent = load(extent_of(b, i, line));

        if (len == 0 && extent != CLEARED
            && extent_is_of(extent, word, line)) {
            return "an extent points outside its segment";
        }
        if (len == 0) {
            continue;
        }
        if (text < data_of(b, i) + at) {
            return "two lines share bytes";
        }
        if (text[len - 1] != '\n') {
            return "a whole line has no end";
        }
        at = (uint32_t)(text - data_of(b, i)) + (uint32_t)len;
    }
    return NULL;
}

const char *imx_batch_validate(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);
        const char *wrong;

        if (state_of(word) == FREE && (lines_of(word) || bytes_of(word))) {
            return "a free segment has lines";
        }
        if (lines_of(word) > 0
            && (i >= touched(groups(b))
                || next_group(groups(b), i / GROUP) != i / GROUP)) {
            return "a segment with lines is not marked";
        }
        if (!is_sane(b, word)) {
            return "lines and extents of a segment overlap";
        }
        if (state_of(word) == FILLING
            && (owner_of(word) >= b->geometry.children
                || !imx_children_is_taken(b->children, owner_of(word)))) {
            return "a segment is being filled by nobody";
        }
        wrong = validate_lines(b, i, word);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}
