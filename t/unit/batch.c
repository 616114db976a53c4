/*
 * t/unit/batch.c: the shared buffer, with threads, processes and kill -9.
 *
 * Every line carries its writer and its number, and its bytes follow from
 * both, so a line that is lost, seen twice, mixed up or cut is found.  What the
 * writers did is kept beside the buffer, in memory that outlives them (lab).
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/arena.h"
#include "shared/fault.h"
#include "shared/group.h"
#include "shared/segment.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

#define WRITERS 4096
#define LINES_EACH 20000
#define PAGE 4096
#define CANARY 0xA5

/* ---- what is known beside the buffer ---- */

typedef struct {
    _Atomic uint32_t begun[WRITERS];   /* lines whose append was begun */
    _Atomic uint32_t done[WRITERS];    /* lines that append said yes to */
    _Atomic uint32_t refused[WRITERS]; /* times that append said no */
    _Atomic uint64_t seen;             /* lines delivered for the first time */
    _Atomic uint64_t again;            /* lines delivered once more */
    _Atomic uint64_t malformed;
    _Atomic int stop;
    _Atomic unsigned char seen_line[WRITERS][LINES_EACH];
} lab_t;

static lab_t *lab;

/* The area of a test, between two pages that nobody may touch. */
static struct {
    char *map;
    size_t map_size, size;
    char *base;
} memory;

/* Its parts, one behind the other, the lines last. */
static imx_children_t children;
static imx_lease_t lease;
static imx_board_view_t board;
static imx_batch_t batch;

/* ---- random numbers ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static uint64_t random64(void)
{
    static uint64_t seed = 1;

    return mix(seed += 0x9E3779B97F4A7C15u);
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(random64() >> 16) % n;
}

/* ---- time ---- */

#define SECOND INT64_C(1000000000)

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* ---- the area ---- */

static size_t up_to_64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static size_t area_size(const imx_batch_geometry_t *g)
{
    return up_to_64(imx_children_size(g->children))
           + up_to_64(imx_lease_size()) + up_to_64(imx_board_size())
           + up_to_64(imx_batch_size(g)) + imx_batch_data_size(g);
}

static void format(char *at, const imx_batch_geometry_t *g)
{
    imx_children_format(&children, at, g->children);
    at += up_to_64(imx_children_size(g->children));
    imx_lease_format(&lease, at, &children);
    at += up_to_64(imx_lease_size());
    imx_board_format(&board, at);
    at += up_to_64(imx_board_size());
    imx_batch_format(&batch, at, at + up_to_64(imx_batch_size(g)), g,
                     &children);
}

static void make_roomy_area(uint32_t segments, uint32_t segment_size,
                            uint32_t rows, uint32_t room)
{
    imx_batch_geometry_t g = { room, segment_size, rows, room, 0 };
    size_t inner;

    memory.size = area_size(&g);
    g.segments = segments;
    inner = (memory.size + PAGE - 1) / PAGE * PAGE;
    memory.map_size = inner + 2 * PAGE;
    memory.map = mmap(NULL, memory.map_size, PROT_NONE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory.map != MAP_FAILED);
    mprotect(memory.map + PAGE, inner, PROT_READ | PROT_WRITE);
    memory.base = memory.map + PAGE + inner - memory.size;
    memset(memory.map + PAGE, CANARY, inner - memory.size);
    format(memory.base, &g);
}

static void make_area(uint32_t segments, uint32_t segment_size, uint32_t rows)
{
    make_roomy_area(segments, segment_size, rows, segments);
}

static int is_untouched_before_the_area(void)
{
    const char *p;

    for (p = memory.map + PAGE; p < memory.base; p++) {
        if ((unsigned char)*p != CANARY) {
            return 0;
        }
    }
    return 1;
}

static int setup(void **state)
{
    (void)state;
    lab = mmap(NULL, sizeof *lab, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    memory.map = NULL;
    imx_fault = NULL;
    alarm(4 * TEST_LIMIT);
    return lab == MAP_FAILED;
}

static int teardown(void **state)
{
    int rv = 0;

    (void)state;
    if (memory.map != NULL) {
        rv = !is_untouched_before_the_area();
        munmap(memory.map, memory.map_size);
    }
    munmap(lab, sizeof *lab);
    return rv;
}

/* ---- lines ---- */

#define LINE_LEAST 15

static size_t make_line(char *line, unsigned writer, uint32_t n)
{
    uint64_t h = mix((uint64_t)writer << 32 | n);
    size_t len = LINE_LEAST + h % 120, i;
    char id[LINE_LEAST];

    snprintf(id, sizeof id, "%04x:%08x:", writer, n);
    memcpy(line, id, LINE_LEAST - 1);
    for (i = LINE_LEAST - 1; i < len - 1; i++) {
        line[i] = (char)('a' + (h + i) % 26);
    }
    line[len - 1] = '\n';
    return len;
}

/* A line that was delivered. */
static void see(const char *line, size_t len)
{
    char expected[256], id[LINE_LEAST] = "";
    unsigned writer, n;

    memcpy(id, line, len < LINE_LEAST ? len : LINE_LEAST - 1);
    if (sscanf(id, "%4x:%8x:", &writer, &n) != 2 || writer >= WRITERS
        || n >= LINES_EACH || make_line(expected, writer, n) != len
        || memcmp(line, expected, len) != 0) {
        lab->malformed++;
    }
    else if (atomic_exchange(&lab->seen_line[writer][n], 1)) {
        lab->again++;
    }
    else {
        lab->seen++;
    }
}

/* Appends line n of the writer. */
static int append(imx_batch_child_t *c, unsigned writer, uint32_t n)
{
    char line[256];
    size_t len = make_line(line, writer, n);

    lab->begun[writer] = n + 1;
    if (imx_batch_append(c, line, len)) {
        lab->done[writer] = n + 1;
        return 1;
    }
    lab->refused[writer]++;
    return 0;
}

static void append_lines(imx_batch_child_t *c, unsigned writer, uint32_t from,
                         uint32_t to)
{
    for (; from < to; from++) {
        assert_int_equal(append(c, writer, from), 1);
    }
}

/* ---- delivery ---- */

/* Looks at the lines of a claim that are not done; returns how many of them are
 * whole. */
static uint64_t look_at(const imx_batch_claim_t *claim)
{
    uint64_t whole = 0;
    const char *line;
    uint32_t i;

    for (i = claim->first; i < claim->lines; i++) {
        size_t len = imx_batch_line(&batch, claim, i, &line);

        if (len > 0) {
            see(line, len);
            whole++;
        }
    }
    return whole;
}

static void settle_as(const imx_batch_claim_t *claim, imx_batch_fate_e as,
                      uint64_t n)
{
    uint64_t fate[IMX_BATCH_FATES] = { 0 };

    fate[as] = n;
    imx_batch_settle(&batch, claim, fate);
}

/* Delivers all that can be claimed; returns how many segments. */
static size_t deliver(void)
{
    imx_batch_claim_t claims[4];
    size_t n, i, total = 0;

    while ((n = imx_batch_claim(&batch, claims, 4, 10000, 1u << 22)) > 0) {
        for (i = 0; i < n; i++) {
            settle_as(&claims[i], IMX_BATCH_SENT, look_at(&claims[i]));
        }
        total += n;
    }
    return total;
}

static size_t claim_all(imx_batch_claim_t *claims, size_t max)
{
    return imx_batch_claim(&batch, claims, max, UINT64_MAX, UINT64_MAX);
}

/* ---- checks ---- */

static uint64_t sum(const _Atomic uint32_t *counts)
{
    uint64_t total = 0;
    int i;

    for (i = 0; i < WRITERS; i++) {
        total += counts[i];
    }
    return total;
}

static void assert_valid(void)
{
    const char *wrong = imx_batch_validate(&batch);

    if (wrong != NULL) {
        fail_msg("%s", wrong);
    }
}

static void assert_adds_up(const imx_batch_totals_t *t)
{
    assert_int_equal(t->recorded,
                     t->fate[IMX_BATCH_SENT] + t->fate[IMX_BATCH_REJECTED]
                         + t->fate[IMX_BATCH_DROPPED]
                         + t->fate[IMX_BATCH_SPOOLED] + t->fate[IMX_BATCH_TORN]
                         + t->no_room + t->pending);
}

/* Different lines that were delivered.  lab->seen is as good, as long as nobody
 * is killed between the two steps of see(). */
static uint64_t count_seen(void)
{
    uint64_t total = 0;
    unsigned writer;
    uint32_t n;

    for (writer = 0; writer < WRITERS; writer++) {
        for (n = 0; n < lab->begun[writer]; n++) {
            total += lab->seen_line[writer][n];
        }
    }
    return total;
}

/* Every line that append said yes to was delivered, no other bytes were. */
static void assert_delivered(void)
{
    unsigned writer;
    uint32_t n;

    assert_int_equal(lab->malformed, 0);
    for (writer = 0; writer < WRITERS; writer++) {
        for (n = 0; n < lab->done[writer]; n++) {
            if (!lab->seen_line[writer][n]) {
                fail_msg("line %u of writer %u is lost", n, writer);
            }
        }
    }
}

/* All has been delivered, and the counts say so exactly. */
static void assert_books(uint64_t torn)
{
    imx_batch_totals_t t = imx_batch_totals(&batch);

    assert_delivered();
    assert_valid();
    assert_adds_up(&t);
    assert_int_equal(t.fate[IMX_BATCH_SENT], count_seen());
    assert_int_equal(t.fate[IMX_BATCH_TORN], torn);
    assert_int_equal(t.no_room, sum(lab->refused));
    assert_int_equal(t.pending, 0);
    assert_int_equal(t.bytes_used, 0);
}

/* ---- faults ---- */

/* The fault at which a process kills or stops itself, and at which visit. */
static const char *fault_point;
static int fault_visits;
static int fault_signal = SIGKILL;

static void signal_itself(const char *point)
{
    if (strcmp(point, fault_point) == 0 && --fault_visits == 0) {
        kill(getpid(), fault_signal);
    }
}

static void arm(const char *point, int visits, int sig)
{
    fault_point = point;
    fault_visits = visits;
    fault_signal = sig;
    imx_fault = signal_itself;
}

/* An append that ends at a fault, without a process: for tests with threads
 * only.  Nothing has to be given back: append holds no lock. */
static jmp_buf at_fault;

static void leave_append(const char *point)
{
    if (strcmp(point, fault_point) == 0) {
        longjmp(at_fault, 1);
    }
}

static void append_and_break(imx_batch_child_t *c, unsigned writer, uint32_t n,
                             const char *point)
{
    fault_point = point;
    imx_fault = leave_append;
    if (setjmp(at_fault) == 0) {
        append(c, writer, n);
        fail_msg("the fault %s was not reached", point);
    }
    imx_fault = NULL;
}

/* ---- format ---- */

static void test_a_fresh_area(void **state)
{
    imx_batch_totals_t t;
    imx_batch_level_t load;
    imx_batch_claim_t claim;

    (void)state;
    make_area(4, 1024, 3);
    assert_int_equal(imx_board_told(&board).last_flush, 0);
    t = imx_batch_totals(&batch);
    load = imx_batch_level(&batch);
    assert_valid();
    assert_int_equal(t.recorded, 0);
    assert_int_equal(t.segments, 4);
    assert_int_equal(t.segments_free, 4);
    assert_int_equal(load.free_segments, 4);
    assert_int_equal(load.sealed_segments, 0);
    assert_int_equal(claim_all(&claim, 1), 0);
    assert_int_equal(imx_lease_holder(&lease), IMX_BATCH_NOBODY);
    assert_int_equal(imx_batch_reap(&batch, 1), 0);
    assert_int_equal(imx_children_has_since(&children, 0), 0);
    assert_int_equal(imx_children_epoch(&children), 0);
    assert_int_equal(imx_children_new_epoch(&children), 1);
    assert_int_equal(imx_children_new_epoch(&children), 2);
    assert_int_equal(imx_children_epoch(&children), 2);
}

/* ---- the life of a segment ---- */

static imx_batch_child_t child;

static int join(imx_batch_child_t *c, pid_t pid)
{
    imx_children_self_t self;
    int rv = imx_children_join(&children, &self, pid);

    imx_batch_open(c, &batch, &self);
    return rv;
}

static int leave(const imx_batch_child_t *c)
{
    return imx_children_leave(&children, &c->self);
}

/* The caller has a row, or none. */
static int take_lease(void)
{
    imx_children_self_t self = imx_children_outsider(&children, getpid());

    return imx_lease_take(&lease, &self);
}

static void give_lease(void)
{
    imx_children_self_t self = imx_children_outsider(&children, getpid());

    imx_lease_give(&lease, &self);
}

static void join_here(imx_batch_child_t *c)
{
    assert_int_equal(join(c, getpid()), 0);
}

/* Pending lines, and segments that are sealed and free. */
static void assert_state(uint64_t pending, uint32_t sealed, uint32_t free_ones)
{
    imx_batch_totals_t t = imx_batch_totals(&batch);
    imx_batch_level_t load = imx_batch_level(&batch);

    assert_valid();
    assert_adds_up(&t);
    assert_int_equal(t.pending, pending);
    assert_int_equal(load.sealed_segments, sealed);
    assert_int_equal(load.free_segments, free_ones);
    assert_int_equal(t.segments_free, free_ones);
}

static void test_life_of_a_segment(void **state)
{
    imx_batch_claim_t claim, none;
    imx_batch_level_t load;

    (void)state;
    make_area(2, 16384, 2);
    join_here(&child);
    append_lines(&child, 1, 0, 10);
    assert_state(10, 0, 1); /* filling */
    assert_int_equal(claim_all(&claim, 1), 0);
    imx_batch_seal_all(&batch);
    assert_state(10, 1, 1); /* sealed */
    load = imx_batch_level(&batch);
    assert_int_equal(load.sealed_lines, 10);
    assert_int_equal(load.sealed_bytes, imx_batch_totals(&batch).bytes_used);
    imx_batch_seal_all(&batch);
    assert_state(10, 1, 1);
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_state(10, 0, 1); /* sending */
    assert_int_equal(claim.lines, 10);
    assert_int_equal(claim_all(&none, 1), 0);
    imx_batch_put_back(&batch, &claim);
    assert_state(10, 1, 1); /* sealed again */
    assert_int_equal(claim_all(&claim, 1), 1);
    append_lines(&child, 1, 10, 12); /* meanwhile */
    assert_state(12, 0, 0);
    settle_as(&claim, IMX_BATCH_SENT, look_at(&claim));
    assert_state(2, 0, 1);
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 1);
    assert_state(0, 0, 2);
    assert_int_equal(lab->again, 0);
    assert_books(0);
}

/* Sealing takes a segment from a child only when there is something in it. */
static void test_what_is_empty_is_not_sealed(void **state)
{
    (void)state;
    make_area(2, 1024, 2);
    join_here(&child);
    append_and_break(&child, 1, 0, "taken");
    assert_state(0, 0, 1);
    imx_batch_seal_all(&batch);
    assert_state(0, 0, 1);
}

static void test_late_calls_change_nothing(void **state)
{
    imx_batch_claim_t old, claim;

    (void)state;
    make_area(1, 1024, 2);
    join_here(&child);
    append_lines(&child, 1, 0, 2);
    imx_batch_seal_all(&batch);
    assert_int_equal(claim_all(&old, 1), 1);
    settle_as(&old, IMX_BATCH_SENT, look_at(&old));
    settle_as(&old, IMX_BATCH_SENT, 2);
    imx_batch_put_back(&batch, &old);
    assert_state(0, 0, 1);
    assert_int_equal(imx_batch_totals(&batch).recorded, 2);
    append_lines(&child, 1, 2, 4);
    imx_batch_put_back(&batch, &old);
    settle_as(&old, IMX_BATCH_SENT, 2);
    assert_state(2, 0, 0);
    assert_int_equal(imx_batch_totals(&batch).recorded, 4);
    imx_batch_seal_all(&batch);
    assert_int_equal(claim_all(&claim, 1), 1);
    imx_batch_put_back(&batch, &old);
    settle_as(&old, IMX_BATCH_SENT, 2);
    assert_state(2, 0, 0);
    settle_as(&claim, IMX_BATCH_SENT, look_at(&claim));
    assert_books(0);
}

/* A child that finds out late that its segment went away seals no other's. */
static void test_a_late_seal_changes_nothing(void **state)
{
    imx_batch_child_t other;

    (void)state;
    make_area(1, 1024, 2);
    join_here(&child);
    join_here(&other);
    append_lines(&child, 1, 0, 2);
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 1);
    append_lines(&other, 2, 0, 2);
    assert_int_equal(append(&child, 1, 2), 0);
    assert_state(2, 0, 0); /* filling */
    append_lines(&other, 2, 2, 4);
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 1);
    append_lines(&child, 1, 2, 3);
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 1);
    assert_books(0);
}

static void append_meanwhile(const char *point)
{
    if (strcmp(point, "taken") == 0) {
        imx_fault = NULL;
        append_lines(&child, 2, lab->done[2], lab->done[2] + 1);
    }
}

/* Two threads take a segment; one is in time, the other gives its own back,
 * as it was. */
static void test_two_threads_take_a_segment(void **state)
{
    uint32_t i;

    (void)state;
    make_area(3, 1024, 2);
    join_here(&child);
    for (i = 0; i < 6; i++) {
        imx_fault = append_meanwhile;
        append_lines(&child, 1, i, i + 1);
        assert_null(imx_fault);
        assert_state(2, 0, 2);
        imx_batch_seal_all(&batch);
        assert_int_equal(deliver(), 1);
        assert_books(0);
    }
}

static void test_fates_are_counted(void **state)
{
    uint64_t fate[IMX_BATCH_FATES] = {
        [IMX_BATCH_SENT] = 3,
        [IMX_BATCH_REJECTED] = 2,
        [IMX_BATCH_DROPPED] = 1,
        [IMX_BATCH_SPOOLED] = 4,
        [IMX_BATCH_TORN] = 77 /* is not looked at */
    };
    imx_batch_claim_t claim;
    imx_batch_totals_t t;
    uint64_t i, n;

    (void)state;
    make_area(1, 1024, 2);
    join_here(&child);
    for (i = 1; i <= 5; i++) {
        for (n = 0; n < 11; n++) {
            assert_int_equal(imx_batch_append(&child, "x\n", 2), 1);
        }
        imx_batch_seal_all(&batch);
        assert_int_equal(claim_all(&claim, 1), 1);
        imx_batch_settle(&batch, &claim, fate);
        t = imx_batch_totals(&batch);
        assert_adds_up(&t);
        assert_int_equal(t.fate[IMX_BATCH_SENT], 3 * i);
        assert_int_equal(t.fate[IMX_BATCH_REJECTED], 2 * i);
        assert_int_equal(t.fate[IMX_BATCH_DROPPED], i);
        assert_int_equal(t.fate[IMX_BATCH_SPOOLED], 4 * i);
        assert_int_equal(t.fate[IMX_BATCH_TORN], i); /* the rest */
        assert_int_equal(t.recorded, 11 * i);
    }
}

static void test_oldest_first(void **state)
{
    imx_batch_claim_t claims[8];
    imx_batch_child_t some[3];
    unsigned i, round;

    (void)state;
    make_area(8, 1024, 3);
    for (i = 0; i < 3; i++) {
        join_here(&some[i]);
    }
    for (round = 0; round < 4; round++) { /* segments change places */
        static const unsigned order[] = { 1, 0, 2, 2, 1, 0 };
        const char *line;

        for (i = 0; i < 6; i++) {
            append_lines(&some[order[i]], i, round, round + 1);
            imx_batch_seal_all(&batch);
        }
        assert_int_equal(claim_all(claims, 8), 6);
        for (i = 6; i-- > 0;) {
            unsigned writer;

            assert_true(imx_batch_line(&batch, &claims[i], 0, &line) > 0);
            assert_int_equal(sscanf(line, "%4x", &writer), 1);
            assert_int_equal(writer, i);
            settle_as(&claims[i], IMX_BATCH_SENT, look_at(&claims[i]));
        }
    }
    assert_books(0);
}

static void test_limits_of_a_claim(void **state)
{
    imx_batch_claim_t claims[8];
    uint32_t i;
    size_t n;

    (void)state;
    make_area(8, 1024, 2);
    join_here(&child);
    for (i = 0; i < 6; i++) {
        append_lines(&child, 1, 3 * i, 3 * i + 3);
        imx_batch_seal_all(&batch);
    }
    n = imx_batch_claim(&batch, claims, 8, 1, UINT64_MAX);
    assert_int_equal(n, 1);
    n += imx_batch_claim(&batch, claims + n, 8 - n, 4, UINT64_MAX);
    assert_int_equal(n, 3);
    n += imx_batch_claim(&batch, claims + n, 8 - n, UINT64_MAX, 1);
    assert_int_equal(n, 4);
    n += imx_batch_claim(&batch, claims + n, 1, UINT64_MAX, UINT64_MAX);
    assert_int_equal(n, 5);
    n += claim_all(claims + n, 8 - n);
    assert_int_equal(n, 6);
    assert_int_equal(claim_all(claims + n, 8 - n), 0);
    while (n-- > 0) {
        imx_batch_put_back(&batch, &claims[n]);
    }
    assert_int_equal(deliver(), 6);
    assert_int_equal(lab->again, 0);
    assert_books(0);
}

static void test_lengths_of_lines(void **state)
{
    static const size_t lengths[] = { 1, 2, 63, 64, 65, 4096, 8191, 8192 };
    static char line[IMX_BATCH_LINE_MAX + 1];
    imx_batch_claim_t claims[4];
    const char *seen;
    size_t i, n, at = 0;

    (void)state;
    make_area(4, 16384, 2);
    join_here(&child);
    memset(line, 'x', sizeof line);
    for (i = 0; i < 8; i++) {
        line[0] = (char)('a' + i);
        line[lengths[i] - 1] = '\n';
        assert_int_equal(imx_batch_append(&child, line, lengths[i]), 1);
        line[lengths[i] - 1] = 'x';
    }
    assert_int_equal(imx_batch_append(&child, line, 8193), 0);
    assert_int_equal(imx_batch_append(&child, line, SIZE_MAX), 0);
    assert_int_equal(imx_batch_append(&child, line, 0), 0);
    assert_int_equal(imx_batch_totals(&batch).no_room, 3);
    imx_batch_seal_all(&batch);
    n = claim_all(claims, 4);
    for (i = 0; i < n; i++) {
        uint32_t k;

        for (k = 0; k < claims[i].lines; k++, at++) {
            assert_int_equal(imx_batch_line(&batch, &claims[i], k, &seen),
                             lengths[at]);
            assert_int_equal(seen[lengths[at] - 1], '\n');
            if (at > 0) {
                assert_int_equal(seen[0], 'a' + (int)at);
                assert_memory_equal(seen + 1, line + 1, lengths[at] - 2);
            }
        }
    }
    assert_int_equal(at, 8);
    assert_valid();
}

/* As many lines as the word can count: 4095 in a segment, never more. */
static void test_many_short_lines(void **state)
{
    imx_batch_claim_t claims[4];
    const char *line;
    uint32_t lines = 0, k;
    size_t n, i;

    (void)state;
    make_area(4, 65536, 2);
    join_here(&child);
    for (i = 0; i < 10000; i++) {
        assert_int_equal(imx_batch_append(&child, "\n", 1), 1);
    }
    assert_valid();
    imx_batch_seal_all(&batch);
    n = claim_all(claims, 4);
    assert_int_equal(n, 3);
    for (i = 0; i < n; i++) {
        assert_true(claims[i].lines <= 4095);
        for (k = 0; k < claims[i].lines; k++, lines++) {
            assert_int_equal(imx_batch_line(&batch, &claims[i], k, &line), 1);
        }
    }
    assert_int_equal(lines, 10000);
}

/* The last byte and the last slot of a segment meet. */
static void test_a_segment_is_used_to_the_last_byte(void **state)
{
    static char line[512];
    imx_batch_claim_t claim;

    (void)state;
    make_area(1, 512, 2);
    join_here(&child);
    memset(line, 'x', sizeof line);
    line[247] = line[127] = line[119] = '\n';
    assert_int_equal(imx_batch_append(&child, line, 248), 1);
    assert_int_equal(imx_batch_append(&child, line, 120), 1);
    assert_int_equal(imx_batch_append(&child, line, 120), 1);
    assert_int_equal(imx_batch_append(&child, "\n", 1), 0);
    assert_valid();
    imx_batch_seal_all(&batch);
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_int_equal(claim.lines, 3);
    settle_as(&claim, IMX_BATCH_SENT, 3);
    assert_int_equal(imx_batch_append(&child, line, 248), 1);
    assert_int_equal(imx_batch_append(&child, line, 128), 1);
    line[112] = '\n';
    assert_int_equal(imx_batch_append(&child, line, 113), 0);
    assert_int_equal(imx_batch_totals(&batch).no_room, 2);
}

static void test_a_full_buffer(void **state)
{
    uint32_t n, round, at = 0;

    (void)state;
    make_area(4, 1024, 2);
    join_here(&child);
    for (round = 0; round < 3; round++) {
        for (n = 0; n < 200; n++, at++) {
            append(&child, 1, at);
        }
        assert_true(lab->done[1] < at);
        assert_state(imx_batch_totals(&batch).pending, 4, 0);
        assert_int_equal(deliver(), 4);
        assert_int_equal(append(&child, 1, at++), 1);
        imx_batch_seal_all(&batch);
        assert_int_equal(deliver(), 1);
    }
    assert_int_equal(lab->seen + sum(lab->refused), at);
    lab->done[1] = 0; /* its lines have gaps */
    assert_books(0);
}

/* ---- torn lines, without processes ---- */

static void reap_here(void)
{
    imx_children_died(&children, getpid());
    assert_int_equal(imx_batch_reap(&batch, 0), 1);
}

static void set_generation(uint32_t i, uint32_t generation)
{
    _Atomic uint64_t *word = (_Atomic uint64_t *)((char *)batch.segments
                                                  + i * 128);

    *word = make_word(FREE, IMX_BATCH_NOBODY, generation);
}

/* The claim waits for a line that is being copied, until its writer is dead. */
static void test_a_torn_line(void **state)
{
    static const char *const points[] = { "reserved", "copied" };
    uint64_t torn = 0;
    unsigned i;

    (void)state;
    make_area(4, 4096, 2);
    for (i = 0; i < 2; i++) {
        join_here(&child);
        append_lines(&child, i, 0, 5);
        append_and_break(&child, 10 + i, 0, points[i]);
        append_lines(&child, i, 5, 10);
        assert_valid();
        imx_batch_seal_all(&batch);
        assert_int_equal(deliver(), 0);
        reap_here();
        assert_int_equal(deliver(), 1);
        torn++;
        assert_int_equal(lab->seen_line[10 + i][0], 0);
        assert_int_equal(imx_batch_totals(&batch).fate[IMX_BATCH_TORN], torn);
    }
    assert_books(torn);
}

/* A line that is written where it lies: those behind it are whole before it is,
 * and the segment waits for it. */
static void test_a_line_in_two_steps(void **state)
{
    imx_batch_place_t place;
    char line[256];
    size_t len = make_line(line, 2, 0);

    (void)state;
    make_area(4, 4096, 2);
    join_here(&child);
    append_lines(&child, 1, 0, 3);
    place = imx_batch_reserve_line(&child, len);
    assert_non_null(place.bytes);
    append_lines(&child, 1, 3, 6);
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 0);
    memcpy(place.bytes, line, len);
    assert_int_equal(deliver(), 0);
    imx_batch_publish(&place);
    lab->begun[2] = lab->done[2] = 1;
    assert_valid();
    assert_int_equal(deliver(), 1);
    assert_int_equal(lab->seen_line[2][0], 1);
    assert_books(0);
}

/* Where an extent is not written yet, a line of an earlier tenure may have left
 * 8 bytes that look like one of this generation. */
static void test_text_in_the_place_of_an_extent(void **state)
{
    static const char text[] = "0 0 0123"; /* 8,240 bytes from 2,060 on */
    static char long_line[6000];
    imx_batch_place_t place;
    imx_batch_claim_t claim;
    char line[256];
    size_t len = make_line(line, 1, 0);
    uint64_t extent;
    uint32_t i;

    (void)state;
    memcpy(&extent, text, sizeof extent);
    memset(long_line, 'x', sizeof long_line);
    long_line[sizeof long_line - 1] = '\n';
    make_area(1, 16384, 2);
    set_generation(0, (uint32_t)(extent >> 47));
    join_here(&child);
    for (i = 0; i < 2; i++) {
        imx_batch_append(&child, long_line, sizeof long_line);
    }
    place = imx_batch_reserve_line(&child, len);
    assert_non_null(place.bytes);
    *place.extent = extent;
    assert_int_equal(place.made >> 47, extent >> 47);
    imx_batch_seal_all(&batch);
    assert_int_equal(claim_all(&claim, 1), 0); /* its owner may yet write it */
    assert_valid();
    reap_here();
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_int_equal(claim.lines, 3);
    imx_batch_advance(&batch, &claim, 3, 0, 0);
    settle_as(&claim, IMX_BATCH_SENT, 0);
    assert_int_equal(imx_batch_totals(&batch).fate[IMX_BATCH_SENT], 2);
    assert_int_equal(imx_batch_totals(&batch).fate[IMX_BATCH_TORN], 1);
}

/* A child that dies with a segment that it has not used yet takes nothing of
 * the segment's counts with it. */
static void test_an_unused_segment_keeps_its_counts(void **state)
{
    (void)state;
    make_area(1, 1024, 2);
    join_here(&child);
    append_lines(&child, 1, 0, 5);
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 1);
    append_and_break(&child, 2, 0, "taken");
    assert_int_equal(imx_batch_totals(&batch).recorded, 5);
    reap_here();
    assert_state(0, 0, 1);
    assert_books(0);
    join_here(&child);
    append_lines(&child, 1, 5, 7);
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 1);
    assert_books(0);
}

/*
 * Memory that was once touched stays the server's: what a server does not need
 * at one time it must not touch over time.
 */
static void test_low_segments_are_used_again(void **state)
{
    imx_batch_claim_t claims[4];
    unsigned round;
    size_t n;

    (void)state;
    make_area(64, 1024, 2);
    for (round = 0; round < 200; round++) {
        join_here(&child);
        append_lines(&child, 1, 2 * round, 2 * round + 1);
        imx_batch_seal_all(&batch);
        append_lines(&child, 1, 2 * round + 1, 2 * round + 2);
        imx_batch_seal_all(&batch);
        n = claim_all(claims, 4);
        assert_int_equal(n, 2);
        while (n-- > 0) {
            assert_in_range(claims[n].segment, 0, 2);
            settle_as(&claims[n], IMX_BATCH_SENT, look_at(&claims[n]));
        }
        append_and_break(&child, 2, 0, "taken");
        reap_here();
    }
    assert_books(0);
}

/*
 * 2^17 generations later a segment has the same generation.  Its extents of
 * then, further down than any line since, must not make torn lines whole.
 */
static void test_generations_wrap(void **state)
{
    imx_batch_claim_t claim;
    const char *line;
    uint32_t i;

    (void)state;
    make_area(1, 512, 2);
    join_here(&child);
    for (i = 0; i < 1u << 17; i++) {
        uint32_t lines = i == 0 ? 3 : 1, k;

        for (k = 0; k < lines; k++) {
            assert_int_equal(imx_batch_append(&child, "x\n", 2), 1);
        }
        imx_batch_seal_all(&batch);
        assert_int_equal(claim_all(&claim, 1), 1);
        assert_int_equal(imx_batch_line(&batch, &claim, 0, &line), 2);
        settle_as(&claim, IMX_BATCH_REJECTED, lines);
    }
    append_lines(&child, 1, 0, 1);
    append_and_break(&child, 2, 0, "reserved");
    append_and_break(&child, 2, 0, "copied");
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 0);
    reap_here();
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_int_equal(claim.lines, 3);
    assert_int_equal(look_at(&claim), 1);
    settle_as(&claim, IMX_BATCH_SENT, 1);
    assert_int_equal(imx_batch_totals(&batch).fate[IMX_BATCH_REJECTED],
                     (1u << 17) + 2);
    assert_books(2);
}

static groups_t groups(const imx_batch_t *b)
{
    return (groups_t){ b->part, b->segments, b->marks, b->geometry.room };
}

/* The same in a segment that is no longer in use, and whose memory the system
 * does not take back, as a page is larger than it. */
static void test_a_generation_wraps_behind_the_end(void **state)
{
    imx_batch_claim_t claim;
    const char *line;

    (void)state;
    make_area(2, 512, 2);
    atomic_store((_Atomic uint64_t *)(batch.data + 2 * 512) - 1,
                 make_extent(make_word(FILLING, 0, 0), 2));
    atomic_store(&batch.segments[1].word,
                 make_word(SEALED, IMX_BATCH_NOBODY, GENERATION_MASK)
                     | 1u << LINES_SHIFT | 2);
    mark_segment(groups(&batch), 1);
    atomic_store(&batch.part->in_use, 1);
    assert_int_equal(claim_all(&claim, 1), 1);
    settle_as(&claim, IMX_BATCH_SENT, 0);
    claim.word = atomic_load(&batch.segments[1].word);
    assert_int_equal(state_of(claim.word), FREE);
    assert_int_equal(generation_of(claim.word), 0);
    claim.word |= 1u << LINES_SHIFT | 2;
    assert_int_equal(imx_batch_line(&batch, &claim, 0, &line), 0);
}

/* ---- the table of children ---- */

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int wait_for_stop(void *arg)
{
    (void)arg;
    while (!lab->stop) {
        sched_yield();
    }
    return 0;
}

static void test_the_table_is_full(void **state)
{
    imx_batch_child_t c[4];
    unsigned i;

    (void)state;
    make_area(8, 1024, 3);
    for (i = 0; i < 3; i++) {
        join_here(&c[i]);
        assert_int_equal(c[i].self.slot, i);
    }
    assert_int_equal(join(&c[3], getpid()), -1);
    assert_int_equal(append(&c[3], 3, 0), 0);
    assert_int_equal(append(&c[3], 3, 0), 0);
    for (i = 0; i < 3; i++) {
        append_lines(&c[i], i, 0, 4);
    }
    assert_int_equal(leave(&c[3]), 0);
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 3);
    assert_books(0);
}

/* Reported by the parent; found dead without a report; another's report. */
static void test_reap(void **state)
{
    imx_batch_child_t here, dead;
    pid_t pid;

    (void)state;
    make_area(4, 1024, 2);
    join_here(&here);
    append_lines(&here, 0, 0, 3);
    pid = spawn(end_at_once, NULL);
    assert_int_equal(join(&dead, pid), 0);
    append_lines(&dead, 1, 0, 3);
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(imx_batch_reap(&batch, 0), 0);
    imx_children_died(&children, 1);
    assert_int_equal(imx_batch_reap(&batch, 0), 0);
    assert_state(6, 0, 2);
    imx_children_died(&children, pid);
    assert_int_equal(imx_batch_reap(&batch, 0), 1);
    assert_state(6, 1, 2); /* the dead one's */
    assert_int_equal(imx_batch_reap(&batch, 1), 0);
    assert_int_equal(join(&dead, pid), 0);
    assert_int_equal(dead.self.slot, 1); /* the row again */
    append_lines(&dead, 2, 0, 3);
    assert_int_equal(imx_batch_reap(&batch, 0), 0);
    assert_int_equal(imx_batch_reap(&batch, 1), 1);
    append_lines(&here, 0, 3, 6); /* not disturbed */
    imx_batch_seal_all(&batch);
    assert_int_equal(deliver(), 3);
    assert_books(0);
}

/* While a segment is sent, its child dies and another gets the entry. */
static void test_a_segment_of_an_entry_used_again(void **state)
{
    imx_batch_child_t first, second;
    imx_batch_claim_t claim;
    uint32_t i;

    (void)state;
    make_area(2, 1024, 1);
    join_here(&first);
    for (i = 0; i < 2; i++) {
        append_lines(&first, 1, 2 * i, 2 * i + 2);
        imx_batch_seal_all(&batch);
        assert_int_equal(claim_all(&claim, 1), 1);
        reap_here();
        join_here(&second);
        assert_int_equal(second.self.slot, first.self.slot);
        append_lines(&second, 2, 2 * i, 2 * i + 2);
        assert_state(4 + 2 * i, 0, 0);
        if (i == 0) {
            imx_batch_put_back(&batch, &claim);
        }
        else {
            settle_as(&claim, IMX_BATCH_SENT, look_at(&claim));
        }
        assert_int_equal(deliver(), i == 0);
        first = second;
    }
    reap_here();
    assert_int_equal(deliver(), 1);
    assert_int_equal(lab->again, 0);
    assert_books(0);
}

/* Starts a process with that very pid; -1 when that is not allowed here. */
static pid_t spawn_with_pid(pid_t pid)
{
    pid_t pids[1] = { pid };
    struct clone_args args = { .exit_signal = SIGCHLD,
                               .set_tid = (uint64_t)(uintptr_t)pids,
                               .set_tid_size = 1 };
    pid_t got = (pid_t)syscall(SYS_clone3, &args, sizeof args);

    if (got == 0) {
        for (;;) {
            pause();
        }
    }
    return got;
}

/* The pid lives again, but it is another process: start times have 10 ms. */
static void test_a_pid_used_again(void **state)
{
    imx_batch_child_t dead;
    pid_t pid, other;
    int64_t begin = now_ns();
    unsigned found;

    (void)state;
    make_area(2, 1024, 2);
    pid = spawn(wait_for_stop, NULL);
    assert_int_equal(join(&dead, pid), 0);
    append_lines(&dead, 1, 0, 2);
    assert_int_equal(imx_batch_reap(&batch, 1), 0);
    lab->stop = 1;
    assert_int_equal(wait_for(pid), 0);
    while (now_ns() - begin < 40000000) {
        sched_yield();
    }
    other = spawn_with_pid(pid);
    if (other != pid) {
        puts("# a pid cannot be chosen here: not tested");
        return;
    }
    found = imx_batch_reap(&batch, 1);
    kill(other, SIGKILL);
    assert_int_equal(wait_for(other), -SIGKILL);
    assert_int_equal(found, 1);
    assert_int_equal(deliver(), 1);
    assert_books(0);
}

/* ---- unique time ---- */

#define NOW (INT64_C(1763961600) * SECOND)

static void test_unique_time(void **state)
{
    int64_t last;

    (void)state;
    make_area(1, 512, 1);
    assert_true(imx_batch_unique_time(&batch, NOW) == NOW);
    assert_true(imx_batch_unique_time(&batch, NOW) == NOW + 1);
    assert_true(imx_batch_unique_time(&batch, NOW) == NOW + 2);
    assert_true(imx_batch_unique_time(&batch, NOW + 2) == NOW + 3);
    assert_true(imx_batch_unique_time(&batch, NOW + 50) == NOW + 50);
    /* half a second back: goes on from the last */
    last = NOW + 50;
    assert_true(imx_batch_unique_time(&batch, last - SECOND / 2) == last + 1);
    assert_true(imx_batch_unique_time(&batch, last + 1 - SECOND) == last + 2);
    /* more than a second: follows */
    last = NOW + 52;
    assert_true(imx_batch_unique_time(&batch, last - SECOND - 1)
                == last - SECOND - 1);
    assert_true(imx_batch_unique_time(&batch, last - SECOND - 9)
                == last - SECOND);
    assert_true(imx_batch_unique_time(&batch, NOW - 4 * SECOND)
                == NOW - 4 * SECOND);
}

#define TIMES 100000
#define CLOCK_THREADS 4

static pthread_barrier_t barrier;
static _Atomic int64_t fake_clock;
static int64_t times[CLOCK_THREADS][TIMES];

static void *take_times(void *arg)
{
    int64_t *mine = arg;
    int i;

    pthread_barrier_wait(&barrier);
    for (i = 0; i < TIMES; i++) {
        if (mine == times[0] && i == TIMES / 2) {
            atomic_fetch_sub(&fake_clock, SECOND / 2);
        }
        mine[i] = imx_batch_unique_time(&batch,
                                        atomic_fetch_add(&fake_clock, i & 1));
    }
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    const int64_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

static void test_unique_time_under_threads(void **state)
{
    pthread_t threads[CLOCK_THREADS];
    int64_t *all = times[0];
    int i;

    (void)state;
    make_area(1, 512, 1);
    fake_clock = NOW;
    pthread_barrier_init(&barrier, NULL, CLOCK_THREADS);
    for (i = 0; i < CLOCK_THREADS; i++) {
        pthread_create(&threads[i], NULL, take_times, times[i]);
    }
    for (i = 0; i < CLOCK_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&barrier);
    for (i = 0; i < CLOCK_THREADS * TIMES; i++) {
        if (i % TIMES > 0) {
            assert_true(all[i] > all[i - 1]); /* grows in each thread */
        }
    }
    qsort(all, CLOCK_THREADS * TIMES, sizeof *all, by_time);
    for (i = 1; i < CLOCK_THREADS * TIMES; i++) {
        assert_true(all[i] > all[i - 1]);
    }
}

/* ---- many threads ---- */

typedef struct {
    imx_batch_child_t *child;
    unsigned writer;
    uint32_t lines;
} writer_t;

/* Appends all its lines; when there is no room, tries the line again. */
static void *write_lines(void *arg)
{
    writer_t *w = arg;
    uint32_t n = 0;

    while (n < w->lines && !lab->stop) {
        if (append(w->child, w->writer, n)) {
            n++;
        }
        else {
            sched_yield();
        }
    }
    return NULL;
}

#define THREADS 4

/* Runs THREADS writers of the child, numbered from first. */
static void run_writers(imx_batch_child_t *c, unsigned first, uint32_t lines)
{
    pthread_t threads[THREADS];
    writer_t writers[THREADS];
    unsigned i;

    for (i = 0; i < THREADS; i++) {
        writers[i] = (writer_t){ c, first + i, lines };
        pthread_create(&threads[i], NULL, write_lines, &writers[i]);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void *run_child(void *c)
{
    run_writers(c, ((imx_batch_child_t *)c)->self.slot * THREADS, 20000);
    return NULL;
}

/* What is recorded only ever grows, at every instant. */
static void *watch_totals(void *arg)
{
    uint64_t last = 0;

    (void)arg;
    while (!lab->stop) {
        imx_batch_totals_t t = imx_batch_totals(&batch);

        if (t.recorded < last) {
            return &lease;
        }
        last = t.recorded;
    }
    return NULL;
}

static void test_threads_and_a_holder(void **state)
{
    imx_batch_child_t c[2];
    pthread_t run[2], watch;
    int64_t limit = now_ns() + TEST_LIMIT / 2 * SECOND;
    void *wrong;
    int i;

    (void)state;
    make_area(24, 1024, 2);
    pthread_create(&watch, NULL, watch_totals, NULL);
    for (i = 0; i < 2; i++) {
        join_here(&c[i]);
    }
    for (i = 0; i < 2; i++) {
        pthread_create(&run[i], NULL, run_child, &c[i]);
    }
    while (lab->seen < 2 * THREADS * 20000 && now_ns() < limit) {
        imx_batch_seal_all(&batch);
        if (deliver() == 0) {
            sched_yield();
        }
    }
    lab->stop = 1;
    for (i = 0; i < 2; i++) {
        pthread_join(run[i], NULL);
    }
    pthread_join(watch, &wrong);
    assert_null(wrong);
    assert_int_equal(lab->seen, 2 * THREADS * 20000);
    assert_int_equal(lab->again, 0);
    assert_books(0);
    assert_state(0, 0, 24);
}

/* ---- processes x threads ---- */

static int child_with_writers(void *arg)
{
    const writer_t *w = arg;
    imx_batch_child_t c;

    if (join(&c, getpid()) != 0) {
        return 2;
    }
    run_writers(&c, w->writer, w->lines);
    return 0;
}

static int holder_until_stop(void *arg)
{
    (void)arg;
    if (!take_lease()) {
        return 2;
    }
    imx_batch_recover(&batch);
    while (!lab->stop) {
        if (deliver() == 0) {
            imx_batch_seal_all(&batch);
            sched_yield();
        }
    }
    give_lease();
    return 0;
}

static void test_processes_and_a_holder(void **state)
{
    writer_t w[4];
    pid_t pids[4], holder;
    unsigned i;

    (void)state;
    make_area(64, 1024, 8);
    holder = spawn(holder_until_stop, NULL);
    for (i = 0; i < 4; i++) {
        w[i] = (writer_t){ NULL, i * THREADS, 20000 };
        pids[i] = spawn(child_with_writers, &w[i]);
    }
    for (i = 0; i < 4; i++) {
        assert_int_equal(wait_for(pids[i]), 0);
        imx_children_died(&children, pids[i]);
    }
    lab->stop = 1;
    assert_int_equal(wait_for(holder), 0);
    assert_int_equal(imx_batch_reap(&batch, 0), 4);
    deliver();
    assert_int_equal(lab->seen, 4 * THREADS * 20000);
    assert_int_equal(lab->again, 0);
    assert_books(0);
}

/* ---- kill -9 of a child ---- */

typedef struct {
    const char *point;
    int visit; /* killed when it is there again */
    unsigned torn;
    unsigned writer;
} killing_t;

/* Appends until it is killed; 3 when it is not. */
static int append_until_killed(void *arg)
{
    const killing_t *k = arg;
    imx_batch_child_t c;
    uint32_t n;

    if (join(&c, getpid()) != 0) {
        return 2;
    }
    arm(k->point, k->visit, SIGKILL);
    for (n = 0; n < 200; n++) {
        append(&c, k->writer, n);
    }
    return 3;
}

/* The parent saw it die, or nobody did and the holder finds a zombie. */
static void find_dead(pid_t pid, int reported)
{
    if (reported) {
        assert_int_equal(wait_for(pid), -SIGKILL);
        imx_children_died(&children, pid);
        assert_int_equal(imx_batch_reap(&batch, 0), 1);
        return;
    }
    assert_int_equal(wait_and_keep(pid), -SIGKILL);
    assert_int_equal(imx_batch_reap(&batch, 0), 0);
    assert_int_equal(imx_batch_reap(&batch, 1), 1);
    assert_int_equal(wait_for(pid), -SIGKILL);
}

/* One area for all, so that the counts of each are there in the next. */
static void test_kill_a_child_at_each_point(void **state)
{
    static const char *const points[] = { "taken", "reserved", "copied",
                                          "sealed" };
    static const int visits[] = { 1, 2, 5 };
    uint64_t torn = 0;
    unsigned i;

    (void)state;
    make_area(10, 1024, 2);
    for (i = 0; i < 24; i++) {
        killing_t k = { points[i % 4], visits[i / 4 % 3], 0, i };

        k.torn = i % 4 == 1 || i % 4 == 2;
        find_dead(spawn(append_until_killed, &k), i < 12);
        assert_int_equal(imx_batch_totals(&batch).pending,
                         lab->done[i] + k.torn);
        assert_valid();
        deliver();
        assert_int_equal(lab->begun[i], lab->done[i] + 1);
        assert_int_equal(lab->seen_line[i][lab->done[i]], 0);
        torn += k.torn;
        assert_books(torn);
        assert_state(0, 0, 10);
    }
    assert_int_equal(lab->seen, sum(lab->done));
    assert_int_equal(lab->again, 0);
}

static int threads_until_killed(void *arg)
{
    const killing_t *k = arg;
    imx_batch_child_t c;

    if (join(&c, getpid()) != 0) {
        return 2;
    }
    arm(k->point, k->visit, SIGKILL);
    run_writers(&c, k->writer, LINES_EACH);
    return 3;
}

/* What the counts may say of lines that were in the air when they were killed:
 * delivered, torn, refused, or not begun. */
static void assert_books_after_kills(void)
{
    imx_batch_totals_t t = imx_batch_totals(&batch);
    uint64_t done = sum(lab->done), refused = sum(lab->refused), in_air = 0;
    unsigned i;

    for (i = 0; i < WRITERS; i++) {
        in_air += lab->begun[i] - lab->done[i];
    }
    assert_delivered();
    assert_valid();
    assert_adds_up(&t);
    assert_int_equal(t.pending, 0);
    assert_int_equal(t.fate[IMX_BATCH_SENT], count_seen());
    assert_in_range(t.fate[IMX_BATCH_SENT] + t.fate[IMX_BATCH_TORN], done,
                    done + in_air);
    assert_in_range(t.no_room, refused, refused + in_air);
    assert_in_range(t.recorded, done + refused, done + refused + in_air);
}

/* Threads in the middle of their appends die with the one at the point. */
static void test_kill_a_child_with_threads(void **state)
{
    static const char *const points[] = { "taken", "reserved", "copied",
                                          "sealed" };
    unsigned i;

    (void)state;
    make_area(16, 1024, 2);
    for (i = 0; i < 24; i++) {
        killing_t k = { points[i % 4], 0, 0, i * THREADS };

        k.visit = i % 4 == 1 || i % 4 == 2 ? 20 + (int)i : 2 + (int)i / 4;
        find_dead(spawn(threads_until_killed, &k), i < 12);
        deliver();
        assert_books_after_kills();
        assert_state(0, 0, 16);
    }
    assert_int_equal(lab->again, 0);
}

/* ---- kill -9 of the holder ---- */

/* Becomes the holder and does all of its work; "sending" is no point in
 * batch.c but the time between claim and settle. */
static int hold_until_killed(void *arg)
{
    const killing_t *k = arg;
    imx_batch_child_t c;
    imx_batch_claim_t claims[8];

    if (join(&c, getpid()) != 0 || !take_lease()) {
        return 2;
    }
    append(&c, k->writer, 0);
    arm(k->point, k->visit, SIGKILL);
    imx_batch_recover(&batch);
    imx_batch_reap(&batch, 1);
    imx_batch_seal_all(&batch);
    if (strcmp(k->point, "sending") == 0) {
        size_t n = claim_all(claims, 8);

        look_at(&claims[0]);
        settle_as(&claims[1], IMX_BATCH_SENT, look_at(&claims[1]));
        kill(getpid(), n > 2 ? SIGKILL : SIGTERM);
    }
    deliver();
    return 3;
}

static void test_kill_the_holder(void **state)
{
    static const killing_t cases[] = {
        { "sending", 1, 0, 0 }, { "salvaged", 1, 0, 0 },
        { "counted", 1, 0, 0 }, { "counted", 2, 0, 0 },
        { "counted", 5, 0, 0 },
    };
    imx_batch_child_t here;
    unsigned i;
    uint64_t torn = 0;

    (void)state;
    make_area(60, 1024, 4);
    join_here(&here);
    for (i = 0; i < 15; i++) {
        killing_t dead = { "copied", 60, 1, 100 + i };
        killing_t k = cases[i % 5];
        pid_t pid, holder;

        k.writer = 200 + i;
        append_lines(&here, i, 0, 30);
        pid = spawn(append_until_killed, &dead);
        assert_int_equal(wait_for(pid), -SIGKILL);
        torn++;
        holder = spawn(hold_until_killed, &k);
        assert_int_equal(wait_and_keep(holder), -SIGKILL);
        assert_valid();
        append_lines(&here, i, 30, 40);
        assert_int_equal(imx_batch_totals(&batch).recorded,
                         sum(lab->done) + torn);
        assert_int_equal(take_lease(), 1);
        imx_batch_recover(&batch);
        assert_true(imx_batch_reap(&batch, 1) >= 1);
        imx_batch_seal_all(&batch);
        deliver();
        give_lease();
        assert_int_equal(wait_for(holder), -SIGKILL);
        assert_books(torn);
        assert_int_equal(imx_batch_totals(&batch).recorded,
                         sum(lab->done) + torn);
        assert_state(0, 0, 60);
    }
}

/* ---- a slow writer ---- */

static int append_and_stop(void *arg)
{
    const killing_t *k = arg;
    imx_batch_child_t c;
    uint32_t n;

    if (join(&c, getpid()) != 0) {
        return 2;
    }
    arm(k->point, k->visit, SIGSTOP);
    for (n = 0; n < 10; n++) {
        append(&c, k->writer, n);
    }
    return 0;
}

/* Slow is not dead: its segment waits, others do not, and nothing is lost. */
static void test_a_slow_writer(void **state)
{
    static const char *const points[] = { "reserved", "copied" };
    imx_batch_child_t here;
    unsigned i;

    (void)state;
    make_area(8, 4096, 2);
    join_here(&here);
    for (i = 0; i < 2; i++) {
        killing_t k = { points[i], 4, 0, i };
        int status;
        pid_t pid = spawn(append_and_stop, &k);

        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        append_lines(&here, 10 + i, 0, 5);
        imx_batch_seal_all(&batch);
        assert_int_equal(imx_batch_reap(&batch, 1), 0);
        assert_int_equal(deliver(), 1);
        assert_int_equal(deliver(), 0);
        assert_int_equal(lab->seen_line[10 + i][4], 1);
        assert_int_equal(lab->seen_line[i][0], 0);
        assert_state(4, 1, 7);
        kill(pid, SIGCONT);
        assert_int_equal(wait_for(pid), 0);
        assert_int_equal(deliver(), 1); /* its owner is not reaped */
        assert_int_equal(lab->seen_line[i][3], 1);
        assert_int_equal(imx_batch_reap(&batch, 1), 1);
        assert_int_equal(deliver(), 1);
        assert_int_equal(lab->seen_line[i][9], 1);
        assert_int_equal(lab->again, 0);
        assert_books(0);
    }
}

/* ---- kill -9 of anybody at any time ---- */

/* What a monitor does: tries the lease, and with it works for all. */
static void *monitor(void *arg)
{
    unsigned tick;

    (void)arg;
    while (!take_lease()) {
        if (lab->stop) {
            return NULL;
        }
        sched_yield();
    }
    imx_batch_recover(&batch);
    for (tick = 0; !lab->stop; tick++) {
        imx_batch_trim(&batch);
        imx_batch_level(&batch);
        imx_batch_reap(&batch, tick % 16 == 0);
        if (tick % 4 == 0) {
            imx_batch_seal_all(&batch);
        }
        deliver();
        sched_yield();
    }
    give_lease();
    return NULL;
}

static int live_like_a_child(void *arg)
{
    const unsigned *writer = arg;
    imx_batch_child_t c;
    pthread_t thread;

    if (join(&c, getpid()) != 0) {
        return 2;
    }
    pthread_create(&thread, NULL, monitor, &c);
    run_writers(&c, *writer, LINES_EACH);
    pthread_join(thread, NULL);
    return 0;
}

#define CHILDREN 4
#define ROUNDS 120
#define KILLS 4 /* a round */
_Static_assert(ROUNDS *(CHILDREN + KILLS) * THREADS <= WRITERS, "writers");

/* The children have appended some more lines. */
static void wait_for_lines(uint64_t more)
{
    uint64_t goal = sum(lab->done) + more;
    int64_t limit = now_ns() + 5 * SECOND;

    while (sum(lab->done) < goal && now_ns() < limit) {
        sched_yield();
    }
    assert_true(sum(lab->done) >= goal);
}

static void drain(void)
{
    assert_int_equal(take_lease(), 1);
    imx_batch_recover(&batch);
    imx_batch_reap(&batch, 1);
    imx_batch_seal_all(&batch);
    deliver();
    give_lease();
}

static void nothing(void)
{
}

/* At any moment, as the parent does. */
static void change_the_size(void)
{
    int raised;
    unsigned i;

    for (i = 0; i < 1 + below(3); i++) {
        imx_batch_resize(&batch, below(64) * 1024, &raised);
    }
}

static void kill_anybody(void (*meanwhile)(void))
{
    pid_t pids[CHILDREN];
    unsigned writer = 0, round, i;

    for (round = 0; round < ROUNDS; round++) {
        lab->stop = 0;
        for (i = 0; i < CHILDREN; i++, writer += THREADS) {
            pids[i] = spawn(live_like_a_child, &writer);
        }
        for (i = 0; i < KILLS; i++, writer += THREADS) {
            unsigned which = below(CHILDREN);

            wait_for_lines(below(1000));
            meanwhile();
            kill(pids[which], SIGKILL);
            assert_int_equal(wait_for(pids[which]), -SIGKILL);
            if (below(2)) {
                imx_children_died(&children, pids[which]);
            }
            pids[which] = spawn(live_like_a_child, &writer);
        }
        wait_for_lines(100);
        lab->stop = 1;
        for (i = 0; i < CHILDREN; i++) {
            assert_int_equal(wait_for(pids[i]), 0);
        }
        drain();
        assert_books_after_kills();
        assert_state(0, 0, imx_batch_segments(&batch));
    }
}

static void test_kill_anybody(void **state)
{
    (void)state;
    make_area(32, 1024, 8);
    kill_anybody(nothing);
}

static void test_kill_anybody_at_any_size(void **state)
{
    (void)state;
    make_roomy_area(32, 1024, 8, 64);
    kill_anybody(change_the_size);
}

/* ---- the size changes ---- */

/* Pages of segments from .. to that take memory. */
static unsigned pages_of(uint32_t from, uint32_t to)
{
    const imx_batch_geometry_t *g = &batch.geometry;
    char *data = memory.base + memory.size - (size_t)g->room * g->segment_size;
    unsigned char there[256];
    unsigned n = 0;
    size_t i, pages = (to - from) * (size_t)g->segment_size / PAGE;

    assert_true(pages <= sizeof there);
    assert_int_equal(mincore(data + (size_t)from * g->segment_size,
                             pages * PAGE, there),
                     0);
    for (i = 0; i < pages; i++) {
        n += there[i] & 1;
    }
    return n;
}

static void fill_all(imx_batch_child_t *c, unsigned writer, uint32_t *n)
{
    while (append(c, writer, (*n)++)) {
    }
}

static void test_the_size_changes(void **state)
{
    uint32_t n = 0;
    int raised = 0;

    (void)state;
    make_roomy_area(20, PAGE, 4, 40);
    join_here(&child);
    fill_all(&child, 1, &n);
    assert_state(imx_batch_totals(&batch).pending, 20, 0);
    /* larger: there is room at once */
    assert_int_equal(imx_batch_resize(&batch, 40 * PAGE, &raised), 40 * PAGE);
    assert_int_equal(raised, 0);
    assert_int_equal(imx_batch_level(&batch).free_segments, 20);
    fill_all(&child, 1, &n);
    assert_state(imx_batch_totals(&batch).pending, 40, 0);
    /* smaller: all of it is still there, and no segment is free */
    assert_int_equal(imx_batch_resize(&batch, 16 * PAGE, &raised), 16 * PAGE);
    assert_int_equal(imx_batch_totals(&batch).segments, 16);
    assert_int_equal(append(&child, 1, n++), 0);
    imx_batch_trim(&batch);
    assert_int_equal(pages_of(16, 40), 24);
    assert_int_equal(deliver(), 40);
    assert_int_equal(pages_of(16, 40), 0);
    assert_int_equal(pages_of(0, 16), 16);
    /* from now on only those are taken */
    fill_all(&child, 1, &n);
    assert_int_equal(deliver(), 16);
    assert_int_equal(pages_of(16, 40), 0);
    /* free ones give their memory back when they are looked at */
    assert_int_equal(imx_batch_resize(&batch, 40 * PAGE, &raised), 40 * PAGE);
    fill_all(&child, 1, &n);
    assert_int_equal(deliver(), 40);
    assert_int_equal(pages_of(0, 40), 40);
    assert_int_equal(imx_batch_resize(&batch, 16 * PAGE, &raised), 16 * PAGE);
    imx_batch_trim(&batch);
    assert_int_equal(pages_of(16, 40), 0);
    /* not less than the children need, not more than there is room for */
    assert_int_equal(imx_batch_resize(&batch, 0, &raised), 16 * PAGE);
    assert_int_equal(raised, 1);
    assert_int_equal(imx_batch_resize(&batch, 1u << 30, &raised), 40 * PAGE);
    assert_int_equal(raised, 0);
    assert_int_equal(lab->seen + sum(lab->refused), n);
    lab->done[1] = 0; /* its lines have gaps */
    assert_books(0);
}

static int give_back_until_killed(void *arg)
{
    arm("trimmed", 3, SIGKILL);
    imx_batch_give_back(arg, 16, 40);
    return 3;
}

/* Segments that are no longer in use, or that are in use and not needed. */
static void kill_who_gives_back(uint32_t in_use)
{
    uint32_t n = 0;
    int raised;

    make_roomy_area(40, PAGE, 4, 40);
    join_here(&child);
    fill_all(&child, 1, &n);
    assert_int_equal(deliver(), 40);
    imx_batch_resize(&batch, in_use * PAGE, &raised);
    assert_int_equal(wait_for(spawn(give_back_until_killed, &batch)),
                     -SIGKILL);
    imx_batch_resize(&batch, 40 * PAGE, &raised);
    drain();
    assert_state(0, 0, 40);
    fill_all(&child, 1, &n);
    assert_int_equal(deliver(), 40);
    assert_int_equal(lab->seen + sum(lab->refused), n);
    lab->done[1] = 0;
    assert_books(0);
}

static void test_kill_who_trims(void **state)
{
    (void)state;
    kill_who_gives_back(16);
}

static void test_kill_who_gives_back(void **state)
{
    (void)state;
    kill_who_gives_back(40);
}

/* ---- claims that are done in part ---- */

/* The counts add up, and these are what became of so many lines. */
static void assert_fates(uint64_t recorded, uint64_t sent, uint64_t rejected,
                         uint64_t dropped, uint64_t torn)
{
    imx_batch_totals_t t = imx_batch_totals(&batch);

    assert_adds_up(&t);
    assert_int_equal(t.recorded, recorded);
    assert_int_equal(t.fate[IMX_BATCH_SENT], sent);
    assert_int_equal(t.fate[IMX_BATCH_REJECTED], rejected);
    assert_int_equal(t.fate[IMX_BATCH_DROPPED], dropped);
    assert_int_equal(t.fate[IMX_BATCH_TORN], torn);
    assert_int_equal(t.pending, recorded - sent - rejected - dropped - torn);
}

static void test_a_claim_begins_at_its_cursor(void **state)
{
    imx_batch_claim_t claim;

    (void)state;
    make_area(2, 4096, 2);
    join_here(&child);
    append_lines(&child, 1, 0, 6);
    append_and_break(&child, 2, 0, "copied"); /* extent 6 is torn */
    append_lines(&child, 1, 6, 9);
    imx_batch_seal_all(&batch);
    reap_here();
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_int_equal(claim.first, 0);
    assert_int_equal(claim.lines, 10);
    imx_batch_advance(&batch, &claim, 4, 1, 0);
    assert_fates(10, 3, 1, 0, 0);
    imx_batch_put_back(&batch, &claim);
    assert_fates(10, 3, 1, 0, 0);
    assert_int_equal(imx_batch_level(&batch).sealed_lines, 6);
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_int_equal(claim.first, 4);
    imx_batch_advance(&batch, &claim, 8, 0, 1);
    assert_fates(10, 5, 1, 1, 1);
    imx_batch_recover(&batch); /* its holder died */
    assert_fates(10, 5, 1, 1, 1);
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_int_equal(claim.first, 8);
    settle_as(&claim, IMX_BATCH_SENT, 2);
    assert_fates(10, 7, 1, 1, 1);
    /* the next generation knows nothing of it */
    join_here(&child);
    append_lines(&child, 1, 9, 12);
    assert_fates(13, 7, 1, 1, 1);
    imx_batch_seal_all(&batch);
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_int_equal(claim.first, 0);
    settle_as(&claim, IMX_BATCH_SPOOLED, 3);
    assert_int_equal(imx_batch_totals(&batch).pending, 0);
}

/* A claim of which all is done, but that was not settled. */
static void test_a_claim_that_is_all_done(void **state)
{
    imx_batch_claim_t claim;

    (void)state;
    make_area(1, 4096, 1);
    join_here(&child);
    append_lines(&child, 1, 0, 5);
    imx_batch_seal_all(&batch);
    assert_int_equal(claim_all(&claim, 1), 1);
    imx_batch_advance(&batch, &claim, 99, 2, 0);
    assert_int_equal(claim.first, 5);
    imx_batch_put_back(&batch, &claim);
    assert_fates(5, 3, 2, 0, 0);
    assert_int_equal(claim_all(&claim, 1), 1);
    assert_int_equal(claim.first, 5);
    settle_as(&claim, IMX_BATCH_SENT, 0);
    assert_fates(5, 3, 2, 0, 0);
    assert_state(0, 0, 1);
}

/* ---- killed at each step of a claim ---- */

typedef struct {
    uint32_t generation; /* of the segment at first */
    const char *point;
    int visit;
    unsigned sent;    /* lines that count as done then */
    unsigned reaches; /* 0: only where something is cleared */
    uint32_t cursor;  /* 0: all is done at once */
} step_t;

#define STEP_LINES 8
#define STEP_CURSOR 5

/* A holder that is done with some lines, then with all. */
static int settle_until_killed(void *arg)
{
    const step_t *k = arg;
    imx_batch_claim_t claim;

    if (!take_lease()) {
        return 2;
    }
    arm(k->point, k->visit, SIGKILL);
    imx_batch_recover(&batch);
    if (claim_all(&claim, 1) != 1) {
        return 4;
    }
    if (k->cursor > 0) {
        imx_batch_advance(&batch, &claim, k->cursor, 0, 0);
    }
    settle_as(&claim, IMX_BATCH_SENT, claim.lines - claim.first);
    return 3;
}

/* Extents of this generation and of the next one, as they were 2^17 generations
 * ago, behind those that are used now; and progress of 2^16 generations ago. */
static void leave_traces(uint32_t generation)
{
    const uint64_t word = make_word(FREE, 0, generation);
    _Atomic uint64_t *extents =
        (_Atomic uint64_t *)(batch.data + batch.geometry.segment_size);
    progress_t p = { 1, 1, 0, 0 };
    int i;

    for (i = STEP_LINES + 1; generation == 0 && i <= 20; i++) {
        extents[-i] = make_extent(make_word(FREE, 0, i & 1), 2);
    }
    if ((generation & PROGRESS_GENERATIONS) == 0) {
        ((_Atomic uint64_t *)batch.segments)[2] = make_progress(word, p);
    }
}

/* After whatever was killed: the counts are exact, the segment is free again,
 * and what is appended to it then is what is counted. */
static void check_step(const step_t *k)
{
    const uint64_t torn = 2;
    const uint32_t n = STEP_LINES;
    int raised;

    assert_fates(STEP_LINES, k->sent, 0, 0, 0);
    assert_int_equal(take_lease(), 1);
    imx_batch_recover(&batch);
    imx_batch_trim(&batch);
    assert_fates(STEP_LINES, k->sent, 0, 0, 0);
    deliver();
    assert_fates(STEP_LINES, STEP_LINES, 0, 0, 0);
    imx_batch_resize(&batch, 20 * PAGE, &raised);
    imx_batch_trim(&batch);
    assert_int_equal(imx_batch_level(&batch).free_segments, 20);
    append_lines(&child, 1, n, 2 * n);
    append_and_break(&child, 2, 0, "reserved");
    append_and_break(&child, 2, 0, "reserved");
    imx_batch_seal_all(&batch);
    reap_here();
    assert_int_equal(deliver(), 1);
    assert_fates(2 * n + torn, 2 * n, 0, 0, torn);
    give_lease();
}

static void run_step(const step_t *k)
{
    int rv;
    pid_t pid;

    make_roomy_area(20, PAGE, 1, 20);
    set_generation(0, k->generation);
    leave_traces((k->generation + 1) & GENERATION_MASK);
    lab->done[1] = 0;
    join_here(&child);
    append_lines(&child, 1, 0, STEP_LINES);
    imx_batch_seal_all(&batch);
    pid = spawn(settle_until_killed, (void *)k);
    rv = wait_for(pid);
    assert_int_equal(rv, k->reaches ? -SIGKILL : 3);
    check_step(k);
    munmap(memory.map, memory.map_size);
    memory.map = NULL;
}

static void test_kill_at_each_step_of_a_claim(void **state)
{
    static const uint32_t generations[] = { 7, 0xFFFF, GENERATION_MASK };
    static const step_t steps[] = {
        { 0, "advance", 1, 0, 1, 0 },
        { 0, "advanced", 1, STEP_CURSOR, 1, 0 },
        { 0, "count", 1, STEP_CURSOR, 1, 0 },
        { 0, "count", 2, STEP_CURSOR, 1, 0 },
        { 0, "count", 3, STEP_CURSOR, 1, 0 },
        { 0, "count", 4, STEP_CURSOR, 1, 0 },
        { 0, "count", 5, STEP_CURSOR, 1, 0 },
        { 0, "counted", 1, STEP_CURSOR, 1, 0 },
        { 0, "settled", 1, STEP_LINES, 1, 0 },
        { 0, "cleared", 1, STEP_LINES, 0, 0 },
        { 0, "none", 1, STEP_LINES, 0, 0 },
    };
    unsigned i, k;

    (void)state;
    for (i = 0; i < 3; i++) {
        for (k = 0; k < sizeof steps / sizeof *steps; k++) {
            step_t step = steps[k];

            step.generation = generations[i];
            step.cursor = i == 1 ? 0 : STEP_CURSOR;
            if (i == 1 && step.sent == STEP_CURSOR) {
                step.sent = 0;
            }
            if (i == 1 && strncmp(step.point, "advance", 7) == 0) {
                continue;
            }
            step.reaches |= i > 0 && strcmp(step.point, "cleared") == 0;
            run_step(&step);
        }
    }
}

/* The same for a segment that is no longer in use: its pages go back. */
static void run_shrunk_step(const char *point)
{
    uint32_t n = 0, i;
    const step_t k = { 0, point, 1, 0, 1, STEP_CURSOR };
    int raised;
    imx_batch_claim_t claims[20];

    make_roomy_area(20, PAGE, 1, 20);
    join_here(&child);
    while (imx_batch_level(&batch).free_segments > 0) {
        append_lines(&child, 1, n, n + 1);
        n++;
    }
    imx_batch_seal_all(&batch);
    assert_int_equal(claim_all(claims, 19), 19);
    for (i = 0; i < 19; i++) {
        assert_int_equal(claims[i].segment, i);
        settle_as(&claims[i], IMX_BATCH_SENT, look_at(&claims[i]));
    }
    imx_batch_resize(&batch, 19 * PAGE, &raised);
    assert_int_equal(imx_batch_totals(&batch).recorded, n);
    append_lines(&child, 3, 0, 1);
    assert_int_equal(wait_for(spawn(settle_until_killed, (void *)&k)),
                     -SIGKILL);
    assert_int_equal(imx_batch_totals(&batch).recorded, n + 1);
    assert_int_equal(imx_batch_totals(&batch).fate[IMX_BATCH_TORN], 0);
    drain();
    imx_batch_trim(&batch);
    assert_int_equal(imx_batch_totals(&batch).recorded, n + 1);
    assert_int_equal(imx_batch_totals(&batch).fate[IMX_BATCH_SENT], n + 1);
    assert_state(0, 0, 19);
    assert_int_equal(pages_of(19, 20), 0);
    imx_batch_resize(&batch, 20 * PAGE, &raised);
    assert_state(0, 0, 20);
    munmap(memory.map, memory.map_size);
    memory.map = NULL;
}

static void test_kill_at_each_step_when_shrunk(void **state)
{
    static const char *const points[] = { "advance", "advanced", "count",
                                          "counted", "settled",  "cleared" };
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof points / sizeof *points; i++) {
        run_shrunk_step(points[i]);
    }
}

/* ---- the news of a free segment ---- */

static imx_batch_claim_t held;
static const char *settle_point;

static void settle_meanwhile(const char *point)
{
    if (strcmp(point, settle_point) == 0) {
        imx_fault = NULL;
        settle_as(&held, IMX_BATCH_SENT, look_at(&held));
    }
}

/* A request finds the buffer full; before it can say so, the holder frees a
 * segment.  The line, or at least the next one, has room. */
static void test_a_segment_is_freed_meanwhile(void **state)
{
    static const char *const points[] = { "none is free", "said so" };
    uint32_t n = 0;
    unsigned i;

    (void)state;
    make_area(2, 1024, 1);
    join_here(&child);
    for (i = 0; i < 2; i++) {
        while (append(&child, 1, n)) {
            n++;
        }
        assert_int_equal(append(&child, 1, n), 0);
        imx_batch_seal_all(&batch);
        assert_int_equal(claim_all(&held, 1), 1);
        /* any_free says yes, as after another segment that is taken again */
        imx_batch_put_back(&batch, &held);
        assert_int_equal(claim_all(&held, 1), 1);
        settle_as(&held, IMX_BATCH_SENT, look_at(&held));
        while (append(&child, 1, n)) {
            n++;
            if (imx_batch_level(&batch).free_segments == 0) {
                break;
            }
        }
        imx_batch_seal_all(&batch);
        assert_int_equal(claim_all(&held, 1), 1);
        settle_point = points[i];
        imx_fault = settle_meanwhile;
        for (; imx_fault != NULL; n += (uint32_t)append(&child, 1, n)) {
        }
        append_lines(&child, 1, n, n + 1);
        n++;
        deliver();
        imx_batch_seal_all(&batch);
        deliver();
    }
    assert_books(0);
}

/* Said without a look at all segments: is one free, and how many were taken. */
static void test_has_room(void **state)
{
    uint32_t n, looks;

    (void)state;
    make_area(3, 1024, 1);
    join_here(&child);
    looks = atomic_load(&batch.part->in_turn);
    for (n = 0; imx_batch_taken(&batch) < 3; n++) {
        assert_int_equal(imx_batch_has_room(&batch), 1);
        append_lines(&child, 1, n, n + 1);
    }
    assert_int_equal(imx_batch_has_room(&batch), 0);
    while (append(&child, 1, n)) {
        n++;
    }
    assert_int_equal(imx_batch_has_room(&batch), 0);
    assert_int_equal(imx_batch_taken(&batch), 3);
    imx_batch_seal_all(&batch);
    assert_int_equal(claim_all(&held, 1), 1);
    assert_int_equal(imx_batch_has_room(&batch), 0);
    settle_as(&held, IMX_BATCH_SENT, look_at(&held));
    assert_int_equal(imx_batch_has_room(&batch), 1);
    assert_int_equal(atomic_load(&batch.part->in_turn), looks);
    deliver();
    assert_books(0);
}

/* ---- pages ---- */

/* Where a page is larger than a segment, no memory goes back, and nobody's
 * lines are taken with it. */
static void test_pages_larger_than_segments(void **state)
{
    uint32_t n = 0;
    int raised;

    (void)state;
    make_roomy_area(20, PAGE, 1, 20);
    batch.geometry.page = 4 * PAGE;
    join_here(&child);
    fill_all(&child, 1, &n);
    imx_batch_resize(&batch, 19 * PAGE, &raised);
    assert_int_equal(deliver(), 20);
    imx_batch_trim(&batch);
    assert_int_equal(pages_of(0, 20), 20);
    imx_batch_resize(&batch, 20 * PAGE, &raised);
    assert_state(0, 0, 20);
    assert_int_equal(lab->seen + sum(lab->refused), n);
}

/* ---- an area full of garbage ---- */

/* Reads and settles whatever can be claimed; every line must lie in the data
 * of its own segment. */
static uint64_t use_garbage(imx_batch_child_t *c)
{
    imx_batch_claim_t claims[8];
    uint64_t fate[IMX_BATCH_FATES] = { 0 }, bytes = 0;
    const imx_batch_geometry_t *g = &batch.geometry;
    size_t n, i;

    append(c, 1, 0);
    imx_batch_seal_all(&batch);
    imx_batch_recover(&batch);
    n = imx_batch_claim(&batch, claims, 8, 10000, 1u << 20);
    for (i = 0; i < n; i++) {
        const char *data = memory.base + memory.size
                           - (size_t)(g->segments - claims[i].segment)
                                 * g->segment_size;
        uint32_t k;

        for (k = 0; k < claims[i].lines; k++) {
            const char *line = NULL;
            size_t len = imx_batch_line(&batch, &claims[i], k, &line);

            if (len > 0
                && (line < data || line + len > data + g->segment_size)) {
                return UINT64_MAX;
            }
            while (len > 0) {
                bytes += (unsigned char)line[--len];
            }
        }
        imx_batch_advance(&batch, &claims[i], below(4096), below(8), below(8));
        if (i % 2) {
            imx_batch_put_back(&batch, &claims[i]);
        }
        else {
            imx_batch_settle(&batch, &claims[i], fate);
        }
    }
    imx_batch_reap(&batch, 0);
    imx_batch_trim(&batch);
    imx_batch_level(&batch);
    imx_batch_unique_time(&batch, (int64_t)(random64() >> 1));
    imx_lease_holder_pid(&lease);
    imx_lease_take(&lease, &c->self);
    imx_lease_give(&lease, &c->self);
    bytes += strlen(imx_board_told(&board).last_error);
    imx_children_has_since(&children, 0);
    imx_children_died(&children, getpid());
    imx_batch_validate(&batch);
    append(c, 1, 1);
    return (bytes + imx_batch_totals(&batch).recorded) >> 1;
}

/* Random words, or good ones with a few wrong bits. */
static void write_garbage(unsigned words)
{
    _Atomic uint64_t *area = (_Atomic uint64_t *)memory.base;
    uint32_t n = (uint32_t)(memory.size / 8);

    while (words-- > 0) {
        uint32_t at = below(n);
        uint64_t word = random64();

        if (below(2)) {
            word = area[at] ^ UINT64_C(1) << below(64);
        }
        else if (below(2)) {
            word &= random64() & random64();
        }
        atomic_store_explicit(&area[at], word, memory_order_relaxed);
    }
}

/* The same area once more, on the heap: there the address sanitizer looks. */
static uint64_t use_garbage_on_the_heap(imx_batch_child_t *c)
{
    const imx_batch_t mapped = batch;
    const imx_children_t mapped_children = children;
    const imx_lease_t mapped_lease = lease;
    const imx_board_view_t mapped_board = board;
    const imx_batch_child_t before = *c;
    char *const mapped_base = memory.base;
    void *heap;
    uint64_t rv;

    if (posix_memalign(&heap, 64, memory.size) != 0) {
        return UINT64_MAX;
    }
    memset(heap, 0, memory.size);
    format(heap, &mapped.geometry);
    memcpy(heap, mapped_base, memory.size);
    memory.base = heap;
    rv = use_garbage(c);
    memory.base = mapped_base;
    batch = mapped;
    children = mapped_children;
    lease = mapped_lease;
    board = mapped_board;
    *c = before;
    free(heap);
    return rv;
}

/* The lease's own bytes may be garbage too: none of these calls uses it. */
static void test_garbage(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < 3000; i++) {
        if (i % 50 == 0) {
            if (memory.map != NULL) {
                munmap(memory.map, memory.map_size);
            }
            make_area(6, 512, 4);
            join_here(&child);
            append_lines(&child, 1, 0, 10);
        }
        write_garbage(1u << below(11));
        assert_true(use_garbage_on_the_heap(&child) != UINT64_MAX);
        assert_true(use_garbage(&child) != UINT64_MAX);
        assert_true(is_untouched_before_the_area());
    }
}

/* What a random pid in the table does, once, as it asks the system. */
static void test_garbage_pids(void **state)
{
    unsigned i;

    (void)state;
    make_area(2, 512, 64);
    join_here(&child);
    for (i = 0; i < 30; i++) {
        write_garbage(200);
        imx_batch_reap(&batch, 1);
        leave(&child);
    }
}

static int scribble(void *arg)
{
    (void)arg;
    while (!lab->stop) {
        write_garbage(64);
    }
    return 0;
}

/* While the holder reads, another process goes on writing garbage. */
static void test_garbage_meanwhile(void **state)
{
    pid_t pid;
    unsigned i, outside = 0;

    (void)state;
    make_area(6, 512, 4);
    join_here(&child);
    append_lines(&child, 1, 0, 10);
    pid = spawn(scribble, NULL);
    for (i = 0; i < 5000; i++) {
        outside += use_garbage(&child) == UINT64_MAX;
    }
    lab->stop = 1;
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(outside, 0);
}

/* ---- a look costs what is in the batch ---- */

#define MANY (100 * GROUP)

/* Groups of segments that a look goes into. */
static unsigned groups_looked_at(void)
{
    unsigned n = 0;
    uint32_t g;

    for (g = next_group(groups(&batch), 0); g != NO_GROUP;
         g = next_group(groups(&batch), g + 1)) {
        n++;
    }
    return n;
}

static void test_a_look_costs_what_is_in_it(void **state)
{
    uint32_t n = 0;

    (void)state;
    make_area(MANY, 512, 2);
    join_here(&child);
    assert_int_equal(imx_batch_level(&batch).free_segments, MANY);
    assert_int_equal(groups_looked_at(), 0);
    append_lines(&child, 1, 0, 3);
    assert_int_equal(groups_looked_at(), 1);
    imx_batch_seal_all(&batch);
    assert_state(3, 1, MANY - 1);
    deliver();
    assert_state(0, 0, MANY);
    assert_int_equal(groups_looked_at(), 0);
    /* Filled once, as in an outage, it costs no more when it is empty again. */
    while (imx_batch_append(&child, "x\n", 2)) {
        n++;
    }
    assert_int_equal(groups_looked_at(), MANY / GROUP);
    imx_batch_seal_all(&batch);
    assert_int_equal(imx_batch_level(&batch).sealed_lines, n);
    assert_int_equal(imx_batch_level(&batch).free_segments, 0);
    while (n > 0) {
        imx_batch_claim_t claim;

        assert_int_equal(imx_batch_claim(&batch, &claim, 1, 1, 1), 1);
        n -= claim.lines;
        settle_as(&claim, IMX_BATCH_REJECTED, claim.lines);
    }
    assert_int_equal(imx_batch_level(&batch).free_segments, MANY);
    assert_int_equal(groups_looked_at(), 0);
    imx_batch_append(&child, "x\n", 2);
    assert_int_equal(groups_looked_at(), 1);
    assert_valid();
}

static void append_then(const char *point)
{
    if (strcmp(point, fault_point) == 0) {
        imx_fault = NULL;
        imx_batch_append(&child, "x\n", 2);
    }
}

/* A segment is taken in the moment in which its group is found to be free. */
static void take_when_it_is_cleared(const char *point)
{
    imx_batch_append(&child, "x\n", 2);
    imx_batch_seal_all(&batch);
    deliver();
    fault_point = point;
    imx_fault = append_then;
    imx_batch_level(&batch);
    assert_null(imx_fault);
    assert_valid();
    assert_int_equal(groups_looked_at(), 1);
    imx_batch_seal_all(&batch);
    deliver();
}

static void test_a_mark_is_cleared_and_set(void **state)
{
    (void)state;
    make_area(MANY, 512, 2);
    join_here(&child);
    take_when_it_is_cleared("all are free");
    take_when_it_is_cleared("no mark");
    assert_int_equal(imx_batch_totals(&batch).fate[IMX_BATCH_SENT], 4);
}

/* Killed before it sets the mark: there is no line then. */
static void test_no_mark_no_line(void **state)
{
    (void)state;
    make_area(MANY, 512, 2);
    join_here(&child);
    append_and_break(&child, 1, 0, "not marked");
    assert_int_equal(groups_looked_at(), 0);
    assert_valid();
    reap_here();
    assert_state(0, 0, MANY);
}

/* Somebody wrote nonsense, or a holder was killed between clearing a mark and
 * its second look. */
static void test_a_lost_mark_comes_back(void **state)
{
    unsigned looks = 0;

    (void)state;
    make_area(MANY, 512, 2);
    join_here(&child);
    append_lines(&child, 1, 0, 3);
    imx_batch_seal_all(&batch);
    atomic_store(&batch.marks[0], 0);
    while (imx_batch_level(&batch).sealed_lines == 0) {
        assert_true(++looks <= MANY / GROUP);
    }
    atomic_store(&batch.marks[0], 0);
    atomic_store(&batch.part->touched, 0);
    imx_batch_recover(&batch);
    assert_state(3, 1, MANY - 1);
    deliver();
    assert_int_equal(imx_batch_totals(&batch).fate[IMX_BATCH_SENT], 3);
    atomic_store(&batch.marks[0], UINT64_MAX);
    atomic_store(&batch.marks[1], UINT64_MAX);
    atomic_store(&batch.part->touched, UINT32_MAX);
    atomic_store(&batch.part->in_turn, UINT32_MAX);
    assert_state(0, 0, MANY);
    assert_int_equal(groups_looked_at(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_fresh_area),
        TEST(test_life_of_a_segment),
        TEST(test_what_is_empty_is_not_sealed),
        TEST(test_late_calls_change_nothing),
        TEST(test_a_look_costs_what_is_in_it),
        TEST(test_a_mark_is_cleared_and_set),
        TEST(test_no_mark_no_line),
        TEST(test_a_lost_mark_comes_back),
        TEST(test_a_late_seal_changes_nothing),
        TEST(test_two_threads_take_a_segment),
        TEST(test_fates_are_counted),
        TEST(test_oldest_first),
        TEST(test_limits_of_a_claim),
        TEST(test_lengths_of_lines),
        TEST(test_many_short_lines),
        TEST(test_a_segment_is_used_to_the_last_byte),
        TEST(test_a_full_buffer),
        TEST(test_the_size_changes),
        TEST(test_a_torn_line),
        TEST(test_a_line_in_two_steps),
        TEST(test_text_in_the_place_of_an_extent),
        TEST(test_an_unused_segment_keeps_its_counts),
        TEST(test_low_segments_are_used_again),
        TEST(test_generations_wrap),
        TEST(test_a_generation_wraps_behind_the_end),
        TEST(test_the_table_is_full),
        TEST(test_a_segment_of_an_entry_used_again),
        TEST(test_a_claim_begins_at_its_cursor),
        TEST(test_a_claim_that_is_all_done),
        TEST(test_a_segment_is_freed_meanwhile),
        TEST(test_has_room),
        TEST(test_pages_larger_than_segments),
        TEST(test_unique_time),
        TEST(test_unique_time_under_threads),
        TEST(test_threads_and_a_holder),
        TEST(test_garbage),
        TEST(test_garbage_pids),
        /* from here on with processes */
        TEST(test_reap),
        TEST(test_a_pid_used_again),
        TEST(test_processes_and_a_holder),
        TEST(test_kill_a_child_at_each_point),
        TEST(test_kill_a_child_with_threads),
        TEST(test_kill_the_holder),
        TEST(test_a_slow_writer),
        TEST(test_kill_anybody),
        TEST(test_kill_anybody_at_any_size),
        TEST(test_kill_who_trims),
        TEST(test_kill_who_gives_back),
        TEST(test_kill_at_each_step_of_a_claim),
        TEST(test_kill_at_each_step_when_shrunk),
        TEST(test_garbage_meanwhile),
    };
    const size_t all = sizeof tests / sizeof *tests, with_processes = 13;

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("batch", tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
