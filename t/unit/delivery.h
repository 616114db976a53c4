/*
 * t/unit/delivery.h: what the tests of delivery have in common: a buffer, a
 * clock of their own, a log, and the stand-in server, which is asked what it
 * has stored.
 *
 * Every line has a number and its bytes follow from it, so the server (store_t)
 * knows of each how often it was stored, and that nothing else was.  After
 * every test the buffer is validated, and what it has recorded must be what was
 * appended.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/monitor.h"
#include "standin.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define LINE_BYTES 120
#define LINES 40000 /* that a test may append */
#define BODIES 4096 /* that the server remembers */
#define LOGS 512
/* That a busy machine may add; a sanitizer makes it busier. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLACK_MS 5000
#else
#define SLACK_MS 1400
#endif
#define LIMIT_MS 15000 /* for anything to happen */
#define TEST_LIMIT 30  /* seconds that a process may live */
#define CHILDREN 4

#define OK_204 "HTTP/1.1 204 No Content\r\n\r\n"
#define NO_DATABASE "{\"error\":\"database not found: \\\"httpd\\\"\"}"

/* ---- the server ---- */

typedef struct {
    size_t bytes;
    unsigned lines;
    uint64_t hash;
} body_t;

typedef struct {
    int times; /* 0: for ever */
    standin_how_e how;
    const char *text;
} answer_t;

typedef struct {
    pthread_mutex_t lock;
    /* what it does: the first of these that applies */
    answer_t answers[8];
    size_t answer_count, answer_at;
    const char *token; /* that it wants, or NULL */
    int no_database;   /* until it is created */
    int may_create;
    size_t limit;       /* bytes of a body, 0: none */
    int picky;          /* refuses bodies with a poison line */
    int partial;        /* stores the others: 1 as InfluxDB 1
                                           and 2, 3 as InfluxDB 3 tells it */
    char told[16384];   /* its answer then */
    int holds_creation; /* of a database */
    int holds;          /* its answers, until this is 0 */
    /* what it saw */
    int held; /* bodies that wait for an answer now */
    int writes, creates, held_most;
    body_t bodies[BODIES];
    unsigned char stored[LINES];  /* how often, by the line's number */
    uint64_t lines, again, wrong; /* stored ones */
    uint32_t last;                /* number that was stored last */
    int unordered;
} store_t;

/* ---- what every test has ---- */

typedef struct {
    imx_log_level_e level;
    char text[512];
} log_line_t;

/* In memory that all processes of a test share. */
typedef struct {
    _Atomic uint32_t next;           /* number of the next line */
    _Atomic uint32_t refused;        /* lines that append said no to */
    _Atomic uint32_t slot[CHILDREN]; /* of a process, + 1, once it runs */
} shared_t;

typedef struct {
    standin_t *server;
    store_t store;
    shared_t *shared;
    void *area;
    size_t area_size;
    imx_arena_t arena;
    imx_batch_child_t child[CHILDREN];
    imx_monitor_options_t o;
    imx_monitor_t *m;
    _Atomic int64_t now; /* ns; plus real time when it runs */
    _Atomic int clock_runs, clock_calls;
    uint32_t poison;       /* number of the one bad line ... */
    uint32_t poison_count; /* ... and how many there are */
    pthread_mutex_t log_lock;
    log_line_t log[LOGS];
    int log_count;
    char url[64], dir[32], path[64];
    char *texts[32];
    size_t text_count;
} fixture_t;

int64_t real_ns(void);

int64_t real_ms(void);

/* ---- lines ---- */

void make_line(char *to, uint32_t number, int poison);

void append_to(fixture_t *f, imx_batch_child_t *c, int count);

void append(fixture_t *f, int count);

/* ---- the test's side of the server ---- */

#define SET(f, what, value) \
    do { \
        pthread_mutex_lock(&(f)->store.lock); \
        (f)->store.what = (value); \
        pthread_mutex_unlock(&(f)->store.lock); \
    } while (0)

int writes(fixture_t *f);
int creates(fixture_t *f);
int held(fixture_t *f); /* bodies without an answer */
int held_most(fixture_t *f);
uint64_t stored(fixture_t *f); /* different lines */
uint64_t stored_again(fixture_t *f);

int stored_times(fixture_t *f, uint32_t number);

body_t body(fixture_t *f, int i);

/* After what was said before: this, so many times (0: for ever). */
void then(fixture_t *f, int times, standin_how_e how, const char *text);

/* From now on this; text NULL: the server is healthy. */
void say(fixture_t *f, standin_how_e how, const char *text);

const char *http(fixture_t *f, int status, const char *extra,
                 const char *text);

void refuse(fixture_t *f, int status, const char *extra, const char *text);

void hang(fixture_t *f);

void heal(fixture_t *f);

/* ---- the log ---- */

void log_text(void *context, imx_log_level_e level, const char *text);

/* How many lines have this id; *sum: of the first numbers in them. */
int logged_sum(fixture_t *f, const char *id, uint64_t *sum);

int logged(fixture_t *f, const char *id);

/* The last line with this id; only when no thread of the monitor runs. */
const log_line_t *last_log(fixture_t *f, const char *id);

void assert_says(fixture_t *f, const char *id, imx_log_level_e level,
                 const char *part);

/* ---- the clock ---- */

int64_t clock_ns(void *context);

void later(fixture_t *f, int64_t ms);

void run_clock(fixture_t *f);

/* ---- set up and check ---- */

int join_here(imx_batch_child_t *c, const imx_arena_t *a);

/* Somebody without a slot, as far as a monitor sees. */
#define STRANGER 99u

int take_lease(fixture_t *f);

void give_lease(fixture_t *f);

void *shared_memory(size_t size);

int setup_size(void **state, size_t size);

int setup(void **state);

int setup_large(void **state);

int setup_small(void **state);

void end_monitor(fixture_t *f);

int teardown(void **state);

uint64_t fate(fixture_t *f, imx_batch_fate_e which);

uint64_t pending(fixture_t *f);

/* Lines that are neither being filled nor with the server. */
uint64_t sealed(fixture_t *f);

uint64_t current(fixture_t *f, int child);

int second_child(fixture_t *f);

/* ---- driving a monitor ---- */

imx_monitor_t *make_monitor(fixture_t *f);

/* A monitor that has the lease; its first tick is due within an interval. */
void begin(fixture_t *f);

/* Steps, while the clock stands still, until it is so. */
#define UNTIL(condition) \
    do { \
        int64_t limit_ = real_ms() + LIMIT_MS; \
        while (!(condition)) { \
            if (real_ms() > limit_) { \
                fail_msg("in vain: %s", #condition); \
            } \
            if (imx_monitor_step(f->m) > 0) { \
                imx_monitor_wait(f->m, 5); \
            } \
        } \
    } while (0)

/* The same, when others do the work. */
#define AWAIT(condition) \
    do { \
        int64_t limit_ = real_ms() + LIMIT_MS; \
        while (!(condition)) { \
            if (real_ms() > limit_) { \
                fail_msg("in vain: " #condition); \
            } \
            poll(NULL, 0, 2); \
        } \
    } while (0)

/* The tick that comes next. */
void tick(fixture_t *f);

void deliver(fixture_t *f);

/* Is a body with the server, or did the last one just come back? */
int is_sending(fixture_t *f);

/* Until write number n was answered with a refusal and taken back. */
void until_refused(fixture_t *f, int n, uint64_t lines);

/* How long until it sends again what the last write was refused. */
int64_t ms_to_retry(fixture_t *f, int step_ms, int64_t limit_ms);

/* How long until what the child is filling was sealed: a line a ms shows it. */
int64_t ms_to_seal(fixture_t *f, int child, int64_t limit_ms);

/* A test with a buffer of 4 MB, of 8 MB, and of 1 MB. */
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define TEST_LARGE(t) cmocka_unit_test_setup_teardown(t, setup_large, teardown)
#define TEST_SMALL(t) cmocka_unit_test_setup_teardown(t, setup_small, teardown)

/* Runs all tests, or with IMX_THREADS_ONLY=1 (ThreadSanitizer) all but the last
 * ones, which fork.  Returns how many failed. */
int run_delivery_tests(const char *name, const struct CMUnitTest *tests,
                       size_t all, size_t forking);

#endif
