/*
 * t/unit/monitor.c: the order of delivery, step by step with a clock of our
 * own, against the stand-in server; then with real threads and processes.
 *
 * Every line has a number and its bytes follow from it, so the server (store_t)
 * knows of each how often it was stored, and that nothing else was.  After
 * every test the buffer is validated, and what it has recorded must be what was
 * appended.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/monitor.h"
#include "shared/fault.h"
#include "standin.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define LINE_BYTES 120
#define LINES 40000                     /* that a test may append */
#define BODIES 4096                     /* that the server remembers */
#define LOGS 512
#define SLACK_MS 1400                   /* that a busy machine may add */
#define LIMIT_MS 15000                  /* for anything to happen */
#define TEST_LIMIT 30                   /* seconds that a process may live */
#define CHILDREN 4
#define WITH_PROCESSES 6                /* tests at the end of the list */

#define OK_204 "HTTP/1.1 204 No Content\r\n\r\n"
#define NO_DATABASE "{\"error\":\"database not found: \\\"httpd\\\"\"}"

/* ---- the server ---- */

typedef struct {
    size_t bytes;
    unsigned lines;
    uint64_t hash;
} body_t;

typedef struct {
    int times;                          /* 0: for ever */
    standin_how_e how;
    const char *text;
} answer_t;

typedef struct {
    pthread_mutex_t lock;
    /* what it does: the first of these that applies */
    answer_t answers[8];
    size_t answer_count, answer_at;
    const char *token;                  /* that it wants, or NULL */
    int no_database;                    /* until it is created */
    int may_create;
    size_t limit;                       /* bytes of a body, 0: none */
    int picky;                          /* refuses bodies with a poison line */
    int partial;                        /* stores the others: 1 as InfluxDB 1
                                           and 2, 3 as InfluxDB 3 tells it */
    char told[16384];                   /* its answer then */
    /* what it saw */
    int writes, creates;
    body_t bodies[BODIES];
    unsigned char stored[LINES];        /* how often, by the line's number */
    uint64_t lines, again, wrong;       /* stored ones */
    uint32_t last;                      /* number that was stored last */
    int unordered;
} store_t;

/* ---- what every test has ---- */

typedef struct {
    imx_log_level_e level;
    char text[512];
} log_line_t;

/* In memory that all processes of a test share. */
typedef struct {
    _Atomic uint32_t next;              /* number of the next line */
    _Atomic uint32_t refused;           /* lines that append said no to */
    _Atomic uint32_t slot[CHILDREN];    /* of a process, + 1, once it runs */
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
    _Atomic int64_t now;                /* ns; plus real time when it runs */
    _Atomic int clock_runs, clock_calls;
    uint32_t poison;                    /* number of the one bad line ... */
    uint32_t poison_count;              /* ... and how many there are */
    pthread_mutex_t log_lock;
    log_line_t log[LOGS];
    int log_count;
    char url[64], dir[32], path[64];
    char *texts[32];
    size_t text_count;
} fixture_t;

static int64_t real_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static int64_t real_ms(void)
{
    return real_ns() / MS;
}

/* ---- lines ---- */

static void make_line(char *to, uint32_t number, int poison)
{
    snprintf(to, LINE_BYTES + 1, "raw-requests,hostname=web1,method=GET,"
             "process=%s,server=www.example.de n=%010" PRIu32 "i,"
             "t=0.000312 1763961600%09" PRIu32 "\n",
             poison ? "poison" : "web1:3", number, number);
}

static void append_to(fixture_t *f, imx_batch_child_t *c, int count)
{
    char line[LINE_BYTES + 1];

    for (; count > 0; count--) {
        uint32_t number = atomic_fetch_add(&f->shared->next, 1);

        assert_true(number < LINES);
        make_line(line, number, number - f->poison < f->poison_count);
        if (!imx_batch_append(c, line, LINE_BYTES)) {
            atomic_fetch_add(&f->shared->refused, 1);
        }
    }
}

static void append(fixture_t *f, int count)
{
    append_to(f, &f->child[0], count);
}

/* ---- the server's side, on its thread ---- */

static void store_line(store_t *s, const char *line)
{
    char expected[LINE_BYTES + 1];
    const char *n = memmem(line, LINE_BYTES, " n=", 3);
    unsigned long number = n ? strtoul(n + 3, NULL, 10) : LINES;

    make_line(expected, (uint32_t)number, 0);
    if (number >= LINES || memcmp(line, expected, LINE_BYTES) != 0) {
        s->wrong++;
        return;
    }
    s->lines++;
    s->again += s->stored[number] > 0;
    s->stored[number]++;
    s->unordered |= number < s->last;
    s->last = (uint32_t)number;
}

static int is_poison(const char *line)
{
    return memmem(line, LINE_BYTES, "poison", 6) != NULL;
}

static void store_body(store_t *s, const char *body, size_t len)
{
    s->wrong += len % LINE_BYTES != 0;
    for (; len >= LINE_BYTES; len -= LINE_BYTES) {
        if (!s->partial || !is_poison(body)) {
            store_line(s, body);
        }
        body += LINE_BYTES;
    }
}

/* The good lines are stored; what is said of the others. */
static const char *store_in_part(store_t *s, const char *body, size_t len)
{
    char text[15000], *to = text;
    unsigned bad = 0, i;

    store_body(s, body, len);
    to = stpcpy(to, s->partial == 3
                    ? "{\"error\":\"partial write of line protocol occurred\","
                      "\"data\":[" : "partial write: field type conflict");
    for (i = 0; i < len / LINE_BYTES; i++) {
        if (is_poison(body + i * LINE_BYTES) && bad++ < 100
            && s->partial == 3) {
            to += sprintf(to, "%s{\"original_line\":\"raw-requests\","
                          "\"line_number\":%u,\"error_message\":\"no\"}",
                          bad > 1 ? "," : "", i + 1);
        }
    }
    to = s->partial == 3 ? stpcpy(to, "]}")
                         : to + sprintf(to, " dropped=%u", bad);
    snprintf(s->told, sizeof s->told, "HTTP/1.1 400 x\r\nContent-Length: "
             "%zu\r\n\r\n%s", (size_t)(to - text), text);
    return s->told;
}

static void remember_body(store_t *s, const char *body, size_t len)
{
    body_t *b = &s->bodies[s->writes % BODIES];
    size_t i;

    b->bytes = len;
    b->lines = 0;
    b->hash = 14695981039346656037u;            /* FNV-1a */
    for (i = 0; i < len; i++) {
        b->lines += body[i] == '\n';
        b->hash = (b->hash ^ (unsigned char)body[i]) * 1099511628211u;
    }
    s->writes++;
}

static const char *scripted(store_t *s, standin_how_e *how)
{
    answer_t *a = &s->answers[s->answer_at];

    if (s->answer_at == s->answer_count) {
        return NULL;
    }
    *how = a->how;
    if (a->times > 0 && --a->times == 0) {
        s->answer_at++;
    }
    return a->text;
}

static const char *judge_create(store_t *s, const char *head)
{
    s->creates++;
    if (!strstr(head, "q=CREATE%20DATABASE%20%22httpd%22 ")) {
        s->wrong++;
    }
    if (!s->may_create) {
        return "HTTP/1.1 403 x\r\nContent-Length: 6\r\n\r\nadmin?";
    }
    s->no_database = 0;
    return "HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n"
           "{\"results\":[{\"statement_id\":0}]}\n";
}

static const char *judge_write(store_t *s, const char *head, const char *body,
                               size_t len)
{
    if (s->token && !strstr(head, s->token)) {
        return "HTTP/1.1 401 x\r\nContent-Length: 2\r\n\r\nno";
    }
    if (s->no_database) {
        return "HTTP/1.1 404 x\r\nContent-Length: 41\r\n\r\n" NO_DATABASE;
    }
    if (s->limit && len > s->limit) {
        return "HTTP/1.1 413 x\r\nContent-Length: 4\r\n\r\nlong";
    }
    if (s->partial && memmem(body, len, "poison", 6)) {
        return store_in_part(s, body, len);
    }
    if (s->picky && memmem(body, len, "poison", 6)) {
        return s->picky > 1
               ? "HTTP/1.1 400 x\r\nContent-Length: 15\r\n\r\nI do not fancy it"
               : "HTTP/1.1 400 x\r\nContent-Length: 15\r\n\r\nunable to parse";
    }
    return OK_204;
}

static const char *judge(void *context, const char *head, const char *body,
                         size_t len, standin_how_e *how)
{
    store_t *s = context;
    const char *text;

    pthread_mutex_lock(&s->lock);
    if (strncmp(head, "POST /query", 11) == 0) {
        text = judge_create(s, head);
    }
    else {
        remember_body(s, body, len);
        text = scripted(s, how);
        if (text == NULL) {
            text = judge_write(s, head, body, len);
        }
        if (strncmp(text, "HTTP/1.1 2", 10) == 0) {
            store_body(s, body, len);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return text;
}

/* ---- the test's side of the server ---- */

#define LOOK(type, name, what) \
    static type name(fixture_t *f) \
    { \
        type value; \
 \
        pthread_mutex_lock(&f->store.lock); \
        value = f->store.what; \
        pthread_mutex_unlock(&f->store.lock); \
        return value; \
    }

#define SET(f, what, value) \
    do { \
        pthread_mutex_lock(&(f)->store.lock); \
        (f)->store.what = (value); \
        pthread_mutex_unlock(&(f)->store.lock); \
    } while (0)

LOOK(int, writes, writes)
LOOK(int, creates, creates)
LOOK(uint64_t, stored, lines - f->store.again)  /* different lines */
LOOK(uint64_t, stored_again, again)

static int stored_times(fixture_t *f, uint32_t number)
{
    int times;

    pthread_mutex_lock(&f->store.lock);
    times = f->store.stored[number];
    pthread_mutex_unlock(&f->store.lock);
    return times;
}

static body_t body(fixture_t *f, int i)
{
    body_t b;

    pthread_mutex_lock(&f->store.lock);
    b = f->store.bodies[i % BODIES];
    pthread_mutex_unlock(&f->store.lock);
    return b;
}

/* After what was said before: this, so many times (0: for ever). */
static void then(fixture_t *f, int times, standin_how_e how, const char *text)
{
    store_t *s = &f->store;

    pthread_mutex_lock(&s->lock);
    assert_true(s->answer_count < 8);
    s->answers[s->answer_count++] = (answer_t) { times, how, text };
    pthread_mutex_unlock(&s->lock);
}

/* From now on this; text NULL: the server is healthy. */
static void say(fixture_t *f, standin_how_e how, const char *text)
{
    pthread_mutex_lock(&f->store.lock);
    f->store.answer_count = f->store.answer_at = 0;
    pthread_mutex_unlock(&f->store.lock);
    if (text) {
        then(f, 0, how, text);
    }
}

static const char *http(fixture_t *f, int status, const char *extra,
                        const char *text)
{
    char **out = &f->texts[f->text_count++];

    assert_true(f->text_count <= 32);
    assert_true(asprintf(out, "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n\r\n"
                         "%s", status, extra, strlen(text), text) > 0);
    return *out;
}

static void refuse(fixture_t *f, int status, const char *extra,
                   const char *text)
{
    say(f, STANDIN_ANSWER, http(f, status, extra, text));
}

static void hang(fixture_t *f)
{
    say(f, STANDIN_HANG, "");
}

static void heal(fixture_t *f)
{
    say(f, STANDIN_ANSWER, NULL);
}

/* ---- the log ---- */

static void log_text(void *context, imx_log_level_e level, const char *text)
{
    fixture_t *f = context;

    pthread_mutex_lock(&f->log_lock);
    if (f->log_count < LOGS) {
        log_line_t *line = &f->log[f->log_count++];

        line->level = level;
        snprintf(line->text, sizeof line->text, "%s", text);
    }
    pthread_mutex_unlock(&f->log_lock);
}

/* How many lines have this id; *sum: of the first numbers in them. */
static int logged_sum(fixture_t *f, const char *id, uint64_t *sum)
{
    int i, n = 0;

    pthread_mutex_lock(&f->log_lock);
    *sum = 0;
    for (i = 0; i < f->log_count; i++) {
        const char *text = f->log[i].text;

        if (strncmp(text, id, 7) == 0) {
            n++;
            text += 8;
            *sum += strtoull(text + strcspn(text, "0123456789"), NULL, 10);
        }
    }
    pthread_mutex_unlock(&f->log_lock);
    return n;
}

static int logged(fixture_t *f, const char *id)
{
    uint64_t sum;

    return logged_sum(f, id, &sum);
}

/* The last line with this id; only when no thread of the monitor runs. */
static const log_line_t *last_log(fixture_t *f, const char *id)
{
    static const log_line_t none = { IMX_LOG_DEBUG, "" };
    int i;

    for (i = f->log_count; i-- > 0;) {
        if (strncmp(f->log[i].text, id, 7) == 0) {
            return &f->log[i];
        }
    }
    return &none;
}

static void assert_says(fixture_t *f, const char *id, imx_log_level_e level,
                        const char *part)
{
    const log_line_t *line = last_log(f, id);

    if (!strstr(line->text, part)) {
        fail_msg("no '%s' in '%s' (%s)", part, line->text, id);
    }
    assert_int_equal(line->level, level);
}

/* ---- the clock ---- */

static int64_t clock_ns(void *context)
{
    fixture_t *f = context;

    atomic_fetch_add(&f->clock_calls, 1);
    return atomic_load(&f->now) + (atomic_load(&f->clock_runs) ? real_ns() : 0);
}

static void later(fixture_t *f, int64_t ms)
{
    atomic_fetch_add(&f->now, ms * MS);
}

static void run_clock(fixture_t *f)
{
    if (!atomic_exchange(&f->clock_runs, 1)) {
        atomic_fetch_sub(&f->now, real_ns());
    }
}

/* ---- set up and check ---- */

static size_t plan(size_t size, imx_arena_spec_t *spec)
{
    int raised;

    memset(spec, 0, sizeof *spec);
    imx_batch_plan(size, CHILDREN, 0, &spec->batch, &raised);
    assert_false(raised);
    return imx_arena_size(spec);
}

static int join_here(imx_batch_child_t *c, const imx_arena_t *a)
{
    imx_children_self_t self;
    int rv = imx_children_join(&a->children, &self, getpid());

    imx_batch_open(c, &a->batch, &self);
    return rv;
}

/* Somebody without a slot, as far as a monitor sees. */
static const uint32_t stranger = 99;

static int take_lease(fixture_t *f)
{
    imx_children_self_t self = imx_children_outsider(&f->arena.children,
                                                     getpid());

    self.slot = stranger;
    return imx_lease_take(&f->arena.lease, &self);
}

static void give_lease(fixture_t *f)
{
    imx_children_self_t self = imx_children_outsider(&f->arena.children,
                                                     getpid());

    imx_lease_give(&f->arena.lease, &self);
}

static void *shared_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    return p;
}

static void make_batch(fixture_t *f, size_t size)
{
    imx_arena_spec_t spec;

    f->area_size = plan(size, &spec);
    f->area = shared_memory(f->area_size);
    imx_arena_format(&f->arena, f->area, &spec);
    assert_int_equal(join_here(&f->child[0], &f->arena), 0);
}

static void set_options(fixture_t *f)
{
    f->o = (imx_monitor_options_t) {
        .arena = &f->arena, .child = &f->child[0],
        .influx = {
            .api = IMX_INFLUX_V1, .url = f->url, .database = "httpd",
            .connect_timeout_ms = 2000, .total_timeout_ms = 20000
        },
        .create_database = 1, .interval_ms = 1000, .shutdown_ms = 2000,
        .max_bytes = 4 << 20, .max_lines = 10000,
        .log = log_text, .log_context = f,
        .now = clock_ns, .now_context = f, .waits_for_disk = 1
    };
}

static int setup_size(void **state, size_t size)
{
    fixture_t *f = calloc(1, sizeof *f);

    *state = f;
    f->shared = shared_memory(sizeof *f->shared);
    pthread_mutex_init(&f->log_lock, NULL);
    pthread_mutex_init(&f->store.lock, NULL);
    f->store.may_create = 1;
    f->server = standin_start(NULL);
    standin_ask(f->server, judge, &f->store);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d",
             standin_port(f->server));
    strcpy(f->dir, "/tmp/imx-monitor-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/token", f->dir);
    f->now = 1000000 * MS;
    set_options(f);
    make_batch(f, size);
    return 0;
}

static int setup(void **state)
{
    return setup_size(state, 4 << 20);  /* 128 segments of 256 lines */
}

static int setup_large(void **state)
{
    return setup_size(state, 8 << 20);  /* 128 segments of 512 lines */
}

static int setup_small(void **state)
{
    return setup_size(state, 1 << 20);  /* 64 segments of 128 lines */
}

/* NULL, or what is wrong with the figures. */
static const char *check(fixture_t *f)
{
    imx_batch_totals_t t = imx_batch_totals(&f->arena.batch);
    const char *wrong = imx_batch_validate(&f->arena.batch);

    if (wrong) {
        return wrong;
    }
    if (t.recorded != atomic_load(&f->shared->next)) {
        return "recorded is not what was appended";
    }
    if (t.no_room != atomic_load(&f->shared->refused)) {
        return "no_room is not what was refused";
    }
    if (t.recorded != t.fate[IMX_BATCH_SENT] + t.fate[IMX_BATCH_REJECTED]
                      + t.fate[IMX_BATCH_DROPPED] + t.fate[IMX_BATCH_TORN]
                      + t.fate[IMX_BATCH_SPOOLED] + t.no_room + t.pending) {
        return "the account does not balance";
    }
    return f->store.wrong ? "the server got what nobody had appended" : NULL;
}

static void end_monitor(fixture_t *f)
{
    if (f->m) {
        imx_monitor_destroy(f->m);
    }
    f->m = NULL;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    const char *wrong;

    end_monitor(f);
    standin_stop(f->server);
    wrong = check(f);
    if (wrong) {
        print_error("# after the test: %s\n", wrong);
    }
    munmap(f->area, f->area_size);
    munmap(f->shared, sizeof *f->shared);
    while (f->text_count) {
        free(f->texts[--f->text_count]);
    }
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return wrong ? -1 : 0;
}

static uint64_t fate(fixture_t *f, imx_batch_fate_e which)
{
    return imx_batch_totals(&f->arena.batch).fate[which];
}

static uint64_t pending(fixture_t *f)
{
    return imx_batch_totals(&f->arena.batch).pending;
}

/* Lines that are neither being filled nor with the server. */
static uint64_t sealed(fixture_t *f)
{
    return imx_batch_level(&f->arena.batch).sealed_lines;
}

static uint64_t current(fixture_t *f, int child)
{
    return atomic_load(&f->child[child].current);
}

static int second_child(fixture_t *f)
{
    assert_int_equal(join_here(&f->child[1], &f->arena), 0);
    return 1;
}

/* ---- driving a monitor ---- */

static imx_monitor_t *make_monitor(fixture_t *f)
{
    imx_monitor_t *m = imx_monitor_create(&f->o);

    assert_non_null(m);
    return m;
}

/* A monitor that has the lease; its first tick is due within an interval. */
static void begin(fixture_t *f)
{
    f->m = make_monitor(f);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->o.child->self.slot);
}

/* Steps, while the clock stands still, until it is so. */
#define UNTIL(condition) \
    do { \
        int64_t limit_ = real_ms() + LIMIT_MS; \
        while (!(condition)) { \
            if (real_ms() > limit_) { \
                fail_msg("in vain: " #condition); \
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
static void tick(fixture_t *f)
{
    later(f, f->o.interval_ms);
    imx_monitor_step(f->m);
}

static void deliver(fixture_t *f)
{
    tick(f);
    UNTIL(pending(f) == 0);
}

/* Is a body with the server, or did the last one just come back? */
static int is_sending(fixture_t *f)
{
    return pending(f) > 0 && sealed(f) == 0;
}

/* Until write number n was answered with a refusal and taken back. */
static void until_refused(fixture_t *f, int n, uint64_t lines)
{
    UNTIL(writes(f) >= n && sealed(f) == lines);
    assert_int_equal(writes(f), n);
}

/* How long until it sends again what the last write was refused. */
static int64_t ms_to_retry(fixture_t *f, int step_ms, int64_t limit_ms)
{
    uint64_t before = sealed(f);
    int64_t ms;

    assert_true(before > 0);
    for (ms = 0; ms <= limit_ms && sealed(f) == before; ms += step_ms) {
        later(f, step_ms);
        imx_monitor_step(f->m);
    }
    return ms;
}

/* How long until what the child is filling was sealed: a line a ms shows it. */
static int64_t ms_to_seal(fixture_t *f, int child, int64_t limit_ms)
{
    int64_t ms;

    append_to(f, &f->child[child], 1);
    for (ms = 1; ms <= limit_ms; ms++) {
        uint64_t before = current(f, child);

        later(f, 1);
        imx_monitor_step(f->m);
        append_to(f, &f->child[child], 1);
        if (current(f, child) != before) {
            break;
        }
    }
    return ms;
}

/* ---- tick, order, limits ---- */

static void test_tick(void **state)
{
    fixture_t *f = *state;
    int i, other = second_child(f);

    f->o.interval_ms = 200;
    begin(f);
    append_to(f, &f->child[other], 3);
    assert_in_range(ms_to_seal(f, 0, 1000), 1, 200);
    for (i = 0; i < 5; i++) {
        uint64_t before = current(f, other);

        UNTIL(pending(f) == 1);         /* the one that showed the seal */
        append_to(f, &f->child[other], 1);
        assert_true(current(f, other) != before);   /* sealed as well */
        assert_int_equal(ms_to_seal(f, 0, 1000), 200);
    }
    /* A tick that was missed moves the next one to its phase. */
    UNTIL(pending(f) == 1);
    later(f, 660);
    UNTIL(pending(f) == 0);
    assert_int_equal(ms_to_seal(f, 0, 1000), 140);
    assert_int_equal(logged(f, "IMX0029"), 1);
}

static void test_phase(void **state)
{
    fixture_t *f = *state;
    int64_t ms, least = INT64_MAX, most = 0;
    int i;

    f->o.interval_ms = 200;
    for (i = 0; i < 40; i++) {
        later(f, i * i * 37);
        begin(f);
        ms = ms_to_seal(f, 0, 1000);
        assert_in_range(ms, 1, 200);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
        deliver(f);
        end_monitor(f);
    }
    assert_true(least < 50 && most > 150);
}

static void test_order(void **state)
{
    fixture_t *f = *state;

    f->o.max_lines = 100;
    append(f, 1024);                    /* whole segments */
    append_to(f, &f->child[second_child(f)], 1024);
    append(f, 512);
    begin(f);
    tick(f);
    UNTIL(fate(f, IMX_BATCH_SENT) >= 256);
    append(f, 300);
    deliver(f);
    assert_int_equal(stored(f), 2860);
    assert_int_equal(stored_again(f), 0);
    assert_false(f->store.unordered);
}

static void test_limits(void **state)
{
    fixture_t *f = *state;
    int i;

    f->o.max_lines = 300;
    f->o.max_bytes = 250 * LINE_BYTES + 7;
    append(f, 1000);
    begin(f);
    deliver(f);
    assert_int_equal(stored(f), 1000);
    for (i = 0; i < writes(f); i++) {
        assert_in_range(body(f, i).lines, 1, 250);
    }
    assert_int_equal(body(f, 0).lines, 250);
    end_monitor(f);

    f->o.max_lines = 77;
    append(f, 1000);
    begin(f);
    deliver(f);
    for (; i < writes(f); i++) {
        assert_in_range(body(f, i).lines, 1, 77);
    }
    end_monitor(f);

    f->o.max_bytes = LINE_BYTES - 1;    /* a line goes alone then */
    append(f, 3);
    begin(f);
    deliver(f);
    assert_int_equal(stored(f), 2003);
    assert_int_equal(writes(f), i + 3);
    assert_int_equal(body(f, i).lines, 1);
}

/* No tick is needed when a body is full or half of the buffer is. */
static void test_early(void **state)
{
    fixture_t *f = *state;

    f->o.interval_ms = 3600000;
    f->o.max_lines = 1024;
    begin(f);
    append(f, 1024);                    /* the last segment is not sealed */
    imx_monitor_step(f->m);
    assert_int_equal(sealed(f), 768);
    append(f, 1);
    UNTIL(fate(f, IMX_BATCH_SENT) == 1024);
    assert_int_equal(body(f, 0).lines, 1024);
    end_monitor(f);

    f->o.max_lines = 100000;
    f->o.max_bytes = 1024 * LINE_BYTES;
    begin(f);
    append(f, 1024);
    UNTIL(fate(f, IMX_BATCH_SENT) == 2048);
    assert_int_equal(writes(f), 2);
    end_monitor(f);

    f->o.max_bytes = 1 << 30;
    begin(f);
    append(f, 256 * 62);                /* the 63rd is begun already */
    imx_monitor_step(f->m);
    assert_int_equal(sealed(f), 256 * 62);
    append(f, 512);
    UNTIL(fate(f, IMX_BATCH_SENT) == 2048 + 256 * 64);
    assert_int_equal(pending(f), 1);
}

/* A busy child whose segments are full all the time must not keep the tick
 * from coming to the lines of a quiet one. */
static void test_no_starving(void **state)
{
    fixture_t *f = *state;
    int i, stored_at = 0, quiet = second_child(f);

    f->o.max_lines = 1000000;
    begin(f);
    append(f, 300);
    tick(f);
    UNTIL(writes(f) == 1);
    append_to(f, &f->child[quiet], 1);  /* number 300 */
    append(f, 1);
    for (i = 1; i <= 145; i++) {
        append(f, 256);                 /* there is always a full segment */
        later(f, 20);
        imx_monitor_step(f->m);
        imx_monitor_wait(f->m, 5);
        if (stored_at == 0 && stored_times(f, 300)) {
            stored_at = i;
        }
    }
    assert_in_range(stored_at, 1, 120);
    assert_true(writes(f) <= 10);       /* some a tick, not one a segment */
    deliver(f);
    assert_int_equal(stored_again(f), 0);
}

/* ---- the table of answers ---- */

static void test_sent(void **state)
{
    fixture_t *f = *state;

    begin(f);
    append(f, 10);
    deliver(f);
    append(f, 10);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 20);
    assert_int_equal(stored(f), 20);
    assert_int_equal(writes(f), 2);
    assert_int_equal(f->log_count, 1);  /* who delivers */
}

static void test_partial(void **state)
{
    fixture_t *f = *state;

    refuse(f, 400, "", "{\"error\":\"partial write: unable to parse 'x': y "
           "dropped=6\"}");
    begin(f);
    append(f, 600);                     /* more than two segments */
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 7);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 593);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 7 points for good");
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "unable to parse 'x': y");

    refuse(f, 500, "", "field type conflict dropped=9999");
    append(f, 5);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 12);
    assert_int_equal(writes(f), 2);
}

/* Not said how many: every half says it of itself. */
static void test_partial_uncounted(void **state)
{
    fixture_t *f = *state;

    then(f, 1, STANDIN_ANSWER, http(f, 422, "", "partial write"));
    then(f, 1, STANDIN_ANSWER, OK_204);
    then(f, 2, STANDIN_ANSWER, http(f, 422, "", "partial write"));
    begin(f);
    append(f, 4);
    deliver(f);
    assert_int_equal(writes(f), 5);     /* 4: no, 2: yes, 2: no, 1: no, 1 */
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 1);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 3);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "n=0000000002i");
}

static void poison_some(fixture_t *f, uint32_t first, uint32_t bad, int lines)
{
    f->poison = atomic_load(&f->shared->next) + first;
    f->poison_count = bad;
    append(f, lines);
}

/* How many were refused is told, which ones is not: one is looked for, by
 * sending halves again, but not more than once a minute. */
static void test_search(void **state)
{
    static const uint32_t places[] = { 0, 9999, 7500, 4999, 5000 };
    fixture_t *f = *state;
    char name[32];

    SET(f, partial, 1);
    begin(f);
    for (size_t i = 0; i < 5; i++) {
        int before = writes(f);

        poison_some(f, places[i] / (i ? 10 : 1), 1, i ? 1000 : 10000);
        snprintf(name, sizeof name, "n=%010" PRIu32 "i", f->poison);
        deliver(f);
        assert_in_range(writes(f) - before, 2, 1 + 15);
        assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 1 points");
        assert_says(f, "IMX0022", IMX_LOG_ERROR, name);
        assert_says(f, "IMX0022", IMX_LOG_ERROR, "field type conflict");
        assert_int_equal(logged(f, "IMX0022"), i + 1);
        assert_int_equal(fate(f, IMX_BATCH_REJECTED), i + 1);
        later(f, 61000);
        before = writes(f);
    }
    deliver(f);
    poison_some(f, 3, 2, 100);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 7);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 2 points");
    for (int i = 0; i < 50; i++) {      /* within the minute: counted only */
        int before = writes(f);

        poison_some(f, 3, 2, 100);
        deliver(f);
        assert_int_equal(writes(f) - before, 1);
    }
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 107);
    assert_int_equal(stored(f), atomic_load(&f->shared->next) - 107);
    assert_int_equal(logged(f, "IMX0022"), 6);
    later(f, 61000);
    imx_monitor_step(f->m);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 100 points");
}

/* Something else happens while it looks: the figures stay right. */
static void test_search_disturbed(void **state)
{
    fixture_t *f = *state;
    int i;

    begin(f);
    for (i = 0; i < 5; i++) {
        say(f, STANDIN_ANSWER, NULL);
        SET(f, partial, 1);
        poison_some(f, 900, 1, 1000);
        tick(f);
        UNTIL(writes(f) >= 1 && f->store.lines % 1000 != 0);
        switch (i) {
        case 0: say(f, STANDIN_CLOSE, ""); break;
        case 1: refuse(f, 503, "", "busy"); break;
        case 2: refuse(f, 405, "", "not here"); break;
        case 3: refuse(f, 413, "", "long"); break;
        case 4: end_monitor(f); begin(f); tick(f); break;
        }
        later(f, 1);
        UNTIL(pending(f) == 0 || i == 4);
        heal(f);
        later(f, 61000);
        UNTIL(pending(f) == 0);
        assert_int_equal(fate(f, IMX_BATCH_REJECTED), i + 1);
        assert_int_equal(fate(f, IMX_BATCH_SENT), 999 * (i + 1));
        assert_int_equal(stored(f), 999 * (i + 1));
        later(f, 61000);
        SET(f, writes, 0);
        SET(f, lines, f->store.lines - f->store.again);
        SET(f, again, 0);
    }
}

/* InfluxDB 3 names lines by number, and no more than 100 of them. */
static void test_v3_partial(void **state)
{
    fixture_t *f = *state;
    char name[32];

    f->o.influx.api = IMX_INFLUX_V3;
    SET(f, partial, 3);
    begin(f);
    poison_some(f, 7777, 1, 10000);
    snprintf(name, sizeof name, "n=%010" PRIu32 "i", f->poison);
    deliver(f);
    assert_int_equal(writes(f), 1);     /* no search */
    assert_says(f, "IMX0022", IMX_LOG_ERROR, name);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 1);
    poison_some(f, 500, 250, 1000);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 251);
    poison_some(f, 0, 100, 100);        /* all of them, and no more than that */
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 351);
    assert_int_equal(stored(f), 11100 - 351);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 11100 - 351);
}

static void test_rejected(void **state)
{
    fixture_t *f = *state;

    char all[600 * 24] = "", *to = all;

    for (int i = 0; i < 600; i++) {     /* each line is named */
        to = stpcpy(to, i ? "\nunable to parse 'x': y"
                          : "unable to parse 'x': y");
    }
    refuse(f, 400, "", all);
    begin(f);
    append(f, 600);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 600);
    assert_int_equal(writes(f), 1);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "600 points for good");
    heal(f);
    append(f, 5);
    deliver(f);
    assert_int_equal(stored(f), 5);
}

static int bisect(fixture_t *f, uint32_t first, uint32_t bad, int lines)
{
    int before = writes(f);
    uint64_t sent = fate(f, IMX_BATCH_SENT);
    uint64_t rejected = fate(f, IMX_BATCH_REJECTED);

    f->poison = atomic_load(&f->shared->next) + first;
    f->poison_count = bad;
    append(f, lines);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED) - rejected, bad);
    assert_int_equal(fate(f, IMX_BATCH_SENT) - sent, (uint32_t)lines - bad);
    assert_int_equal(stored(f), fate(f, IMX_BATCH_SENT));
    assert_int_equal(stored_again(f), 0);
    return writes(f) - before;
}

static void test_malformed(void **state)
{
    static const uint32_t places[] = { 0, 9999, 7500 };
    fixture_t *f = *state;
    int n;

    SET(f, picky, 1);
    begin(f);
    for (size_t i = 0; i < 3; i++) {
        n = bisect(f, places[i], 1, 10000);
        print_message("# line %" PRIu32 " of 10000 is bad: %d requests\n",
                      places[i], n);
        assert_in_range(n, 2, 50);
        if (i == 0) {
            assert_says(f, "IMX0022", IMX_LOG_ERROR, "process=poison");
            assert_says(f, "IMX0022", IMX_LOG_ERROR, "refused 1 points");
            assert_says(f, "IMX0022", IMX_LOG_ERROR, "unable to parse");
        }
    }
    assert_int_equal(bisect(f, 0, 1, 1), 1);
    n = bisect(f, 40, 100, 300);
    print_message("# 100 of 300 lines are bad: %d requests\n", n);
    assert_in_range(n, 100, 300);
    assert_int_equal(bisect(f, 0, 0, 300), 1);  /* all is well again */
}

/* Refused, and nobody says that it was for a line: all the same the others
 * must not go with it.  When it is the request, that is soon enough seen. */
static void test_refused_somehow(void **state)
{
    fixture_t *f = *state;
    int n;

    SET(f, picky, 2);
    begin(f);
    assert_in_range(bisect(f, 7500, 1, 10000), 2, 50);
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "I do not fancy");
    assert_says(f, "IMX0022", IMX_LOG_ERROR, "process=poison");
    refuse(f, 400, "", "this is no place for you");
    n = writes(f);
    append(f, 10000);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 10001);
    assert_in_range(writes(f) - n, 900, 1200);
    heal(f);
    append(f, 10);
    deliver(f);
    assert_int_equal(stored(f), 9999 + 10);
}

/* The way is so slow that a whole body cannot pass within the time limit. */
static void test_slow_way(void **state)
{
    fixture_t *f = *state;
    int i, n;

    f->o.influx.total_timeout_ms = 1000;
    standin_slow(f->server, 600);       /* bytes a ms, at most */
    run_clock(f);
    begin(f);
    append(f, 6000);                    /* 720 KB */
    tick(f);
    UNTIL((later(f, 50), pending(f) == 0));
    assert_int_equal(stored(f), 6000);
    assert_in_range(logged(f, "IMX0020"), 1, 5);
    assert_int_equal(logged(f, "IMX0021"), logged(f, "IMX0020"));
    assert_int_equal(logged(f, "IMX0024"), 0);
    standin_slow(f->server, 0);
    for (i = n = 0; i < 30 && n != 1; i++) {    /* the machine may be busy */
        n = writes(f);
        append(f, 1000);
        deliver(f);
        n = writes(f) - n;
    }
    assert_int_equal(n, 1);
    for (i = n = 0; i < 5 && n != 1; i++) {
        n = writes(f);
        append(f, 5000);
        deliver(f);
        n = writes(f) - n;
    }
    assert_int_equal(n, 1);
}

static void test_too_large(void **state)
{
    fixture_t *f = *state;
    int n, i;

    SET(f, limit, 50000);
    begin(f);
    append(f, 2000);                    /* 240,000 bytes */
    deliver(f);
    assert_int_equal(stored(f), 2000);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(logged(f, "IMX0024"), 1);
    assert_says(f, "IMX0024", IMX_LOG_NOTICE, "a body of 240000 bytes");
    assert_says(f, "IMX0024", IMX_LOG_NOTICE, "at most 30000");
    n = writes(f);
    append(f, 2000);                    /* it remembers */
    deliver(f);
    assert_int_equal(logged(f, "IMX0024"), 1);
    for (i = n; i < writes(f); i++) {
        assert_in_range(body(f, i).bytes, 1, 30000);
    }
    assert_in_range(i - n, 8, 10);

    SET(f, limit, LINE_BYTES - 1);    /* not even one */
    append(f, 20);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 20);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 4000);
    SET(f, limit, 0);
    append(f, 20);
    deliver(f);
    assert_int_equal(stored(f), 4020);
}

/* A limit that goes away is found out, one that stays is seldom asked for. */
static void test_too_large_for_a_while(void **state)
{
    fixture_t *f = *state;
    int n, i, asked = 0;

    SET(f, limit, 2 * LINE_BYTES);
    begin(f);
    append(f, 64);
    deliver(f);
    assert_says(f, "IMX0024", IMX_LOG_NOTICE, "at most 240");
    SET(f, limit, 0);
    for (i = 0; i < 30; i++) {          /* minutes */
        later(f, 60000);
        append(f, 1000);
        deliver(f);
    }
    n = writes(f);
    append(f, 1000);
    deliver(f);
    assert_int_equal(writes(f) - n, 1);
    assert_int_equal(logged(f, "IMX0024"), 1);
    assert_int_equal(stored(f), 31064);

    SET(f, limit, 20 * LINE_BYTES);
    for (i = 0; i < 600; i++) {         /* ten hours */
        later(f, 60000);
        append(f, 10);
        n = writes(f);
        append(f, 4);
        deliver(f);
        asked += writes(f) - n > 1;
    }
    assert_int_equal(stored(f), 31064 + 8400);
    assert_in_range(asked, 0, 30);
    assert_in_range(logged(f, "IMX0024"), 1, 3);
}

static void write_token(fixture_t *f, const char *token)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    assert_true(fprintf(file, "%s\n", token) > 0);
    assert_int_equal(fclose(file), 0);
}

static void test_unauthorized(void **state)
{
    fixture_t *f = *state;
    int i;

    SET(f, token, "Token new\r\n");
    f->o.influx.token_file = f->path;
    write_token(f, "old");
    begin(f);
    append(f, 10);
    tick(f);
    for (i = 1; i <= 3; i++) {
        until_refused(f, i, 10);
        assert_in_range(ms_to_retry(f, 10, 31000), 1000, 30010);
    }
    until_refused(f, 4, 10);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_says(f, "IMX0020", IMX_LOG_WARNING, f->url);
    unlink(f->path);                    /* the old one stays */
    ms_to_retry(f, 10, 31000);
    until_refused(f, 5, 10);
    assert_int_equal(logged(f, "IMX0026"), 1);
    assert_says(f, "IMX0026", IMX_LOG_ERROR, f->path);
    assert_says(f, "IMX0026", IMX_LOG_ERROR, "No such file");
    write_token(f, "new");
    ms_to_retry(f, 10, 31000);
    UNTIL(pending(f) == 0);             /* at once after the sixth refusal */
    assert_int_equal(writes(f), 7);
    assert_int_equal(stored(f), 10);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_int_equal(logged(f, "IMX0021"), 1);
}

/* No file at the start is a failure like another. */
static void test_no_token_file(void **state)
{
    fixture_t *f = *state;

    f->o.influx.token_file = f->path;
    begin(f);
    append(f, 10);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);   /* a thread of its own reads it */
    assert_says(f, "IMX0020", IMX_LOG_WARNING, f->path);
    write_token(f, "new");
    later(f, 2000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 10);
}

static void test_create(void **state)
{
    fixture_t *f = *state;
    const char *missing = http(f, 404, "", NO_DATABASE);

    SET(f, no_database, 1);
    begin(f);
    append(f, 300);
    deliver(f);                         /* at once: the clock stands still */
    assert_int_equal(creates(f), 1);
    assert_int_equal(writes(f), 2);
    assert_true(body(f, 0).hash == body(f, 1).hash);
    assert_int_equal(logged(f, "IMX0025"), 1);
    assert_int_equal(logged(f, "IMX0020"), 0);
    SET(f, no_database, 1);           /* somebody dropped it */
    append(f, 300);
    deliver(f);
    assert_int_equal(creates(f), 2);
    assert_int_equal(stored(f), 600);
    assert_int_equal(stored_again(f), 0);
    then(f, 1, STANDIN_ANSWER, missing);
    then(f, 1, STANDIN_ANSWER, http(f, 400, "", "partial write: unable to "
         "parse 'x': y dropped=0"));
    then(f, 1, STANDIN_ANSWER, missing);
    append(f, 3);
    deliver(f);
    append(f, 300);
    deliver(f);                         /* a partial write tells as well that */
    assert_int_equal(creates(f), 4);    /* it had been there */
}

/* What is missing is not what a CREATE DATABASE makes. */
static void test_create_in_vain(void **state)
{
    fixture_t *f = *state;
    int i;

    refuse(f, 500, "", "{\"error\":\"retention policy not found: x\"}");
    begin(f);
    append(f, 10);
    tick(f);
    for (i = 2; i <= 12; i++) {
        until_refused(f, i, 10);
        assert_in_range(ms_to_retry(f, 10, 31000), 1000, 30010);
    }
    assert_int_equal(creates(f), 1);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_int_equal(logged(f, "IMX0025"), 1);
    until_refused(f, i, 10);
    heal(f);
    ms_to_retry(f, 10, 31000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 10);
}

static void test_create_refused(void **state)
{
    fixture_t *f = *state;

    SET(f, no_database, 1);
    SET(f, may_create, 0);
    begin(f);
    append(f, 10);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    assert_says(f, "IMX0020", IMX_LOG_WARNING, "admin?");
    assert_int_equal(writes(f), 1);
    assert_int_equal(creates(f), 1);
    assert_in_range(ms_to_retry(f, 10, 31000), 1000, 2010);
    UNTIL(creates(f) == 2);
    assert_int_equal(logged(f, "IMX0025"), 0);
    SET(f, may_create, 1);
    UNTIL((later(f, 100), pending(f) == 0));
    assert_int_equal(stored(f), 10);
}

static void test_no_create(void **state)
{
    fixture_t *f = *state;
    int i;

    for (i = 1; i <= 2; i++) {
        SET(f, no_database, 1);
        f->o.create_database = i == 2;
        f->o.influx.api = i == 2 ? IMX_INFLUX_V2 : IMX_INFLUX_V1;
        begin(f);
        append(f, 10);
        tick(f);
        until_refused(f, 2 * i - 1, 10);
        SET(f, no_database, 0);
        assert_in_range(ms_to_retry(f, 10, 31000), 1000, 2010);
        UNTIL(pending(f) == 0);
        end_monitor(f);
    }
    assert_int_equal(creates(f), 0);
    assert_int_equal(stored(f), 20);
}

static void test_retry_after(void **state)
{
    fixture_t *f = *state;
    int n;

    refuse(f, 503, "Retry-After: 7\r\n", "busy");
    begin(f);
    append(f, 10);
    tick(f);
    for (n = 1; n <= 3; n++) {
        until_refused(f, n, 10);
        assert_in_range(ms_to_retry(f, 5, 8000), 7000, 7005);
    }
    until_refused(f, n, 10);
    refuse(f, 429, "Retry-After: 40000\r\n", "much later");
    ms_to_retry(f, 5, 8000);
    until_refused(f, ++n, 10);
    heal(f);
    assert_in_range(ms_to_retry(f, 1000, 4000000), 3600000, 3601000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 10);
}

static void test_backoff(void **state)
{
    static const int64_t most[] = { 2000, 4000, 8000, 16000, 30000 };
    fixture_t *f = *state;
    int64_t ms, least_seen = INT64_MAX, most_seen = 0;
    int n;

    refuse(f, 503, "", "busy");
    begin(f);
    append(f, 10);
    tick(f);
    for (n = 1; n <= 30; n++) {
        until_refused(f, n, 10);
        ms = ms_to_retry(f, 5, 40000);
        assert_in_range(ms, 1000, most[n < 5 ? n - 1 : 4] + 5);
        if (n >= 5) {
            least_seen = ms < least_seen ? ms : least_seen;
            most_seen = ms > most_seen ? ms : most_seen;
        }
    }
    assert_true(most_seen - least_seen > 8000);
    until_refused(f, n, 10);
    heal(f);
    ms_to_retry(f, 5, 40000);
    UNTIL(pending(f) == 0);
    assert_int_equal(logged(f, "IMX0020"), 1);
    assert_int_equal(logged(f, "IMX0021"), 1);
    refuse(f, 502, "", "busy");         /* starts small again */
    append(f, 10);
    tick(f);
    until_refused(f, n + 2, 10);
    assert_in_range(ms_to_retry(f, 5, 40000), 1000, 2005);
}

/* Sealing eats segments, so it waits for a tick that can send. */
static void test_no_seal_in_backoff(void **state)
{
    fixture_t *f = *state;
    int n;
    uint64_t filling;

    refuse(f, 503, "", "busy");
    begin(f);
    append(f, 10);
    tick(f);
    until_refused(f, 1, 10);
    append(f, 1);
    filling = current(f, 0);
    for (n = 1; n <= 6; n++) {
        ms_to_retry(f, 100, 31000);
        until_refused(f, n + 1, 10);
        append(f, 1);
        assert_true(current(f, 0) == filling);
    }
    heal(f);
    later(f, 31000);
    UNTIL(stored(f) >= 10);
    deliver(f);
    assert_int_equal(stored(f), 17);
}

/* Stored or not, nobody knows: the same bytes are sent again. */
static void test_unknown(void **state)
{
    fixture_t *f = *state;

    then(f, 2, STANDIN_CLOSE, "");
    begin(f);
    append(f, 600);
    tick(f);
    until_refused(f, 1, 600);
    assert_in_range(ms_to_retry(f, 5, 3000), 1000, 2005);
    until_refused(f, 2, 600);
    assert_in_range(ms_to_retry(f, 5, 5000), 1000, 4005);
    UNTIL(pending(f) == 0);
    assert_int_equal(writes(f), 3);
    assert_true(body(f, 0).hash == body(f, 1).hash);
    assert_true(body(f, 1).hash == body(f, 2).hash);
    assert_int_equal(body(f, 2).lines, 600);
    assert_int_equal(stored(f), 600);
}

/* A failure in the middle of a segment repeats nothing that was acknowledged. */
static void test_fail_in_the_middle(void **state)
{
    fixture_t *f = *state;

    f->o.max_lines = 100;
    then(f, 4, STANDIN_ANSWER, OK_204);
    then(f, 1, STANDIN_ANSWER, http(f, 500, "", "oops"));
    begin(f);
    append(f, 1000);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    assert_int_equal(stored(f), 400);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 400);
    later(f, 2000);
    UNTIL(pending(f) == 0);
    assert_int_equal(stored(f), 1000);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 1000);
    assert_int_equal(stored_again(f), 0);
}

/* ---- the log ---- */

static void test_log_outage(void **state)
{
    fixture_t *f = *state;
    int n;

    begin(f);
    append(f, 10);
    deliver(f);
    refuse(f, 503, "", "the disk is full");
    append(f, 10);
    tick(f);
    for (n = 2; n <= 20; n++) {
        until_refused(f, n, 10);
        ms_to_retry(f, 50, 31000);
    }
    until_refused(f, n, 10);
    assert_int_equal(f->log_count, 2);
    assert_says(f, "IMX0020", IMX_LOG_WARNING, "the disk is full");
    append(f, 3);
    heal(f);
    later(f, 100000);
    UNTIL(fate(f, IMX_BATCH_SENT) == 20);
    assert_int_equal(f->log_count, 3);
    assert_says(f, "IMX0021", IMX_LOG_NOTICE, "again after ");
    assert_says(f, "IMX0021", IMX_LOG_NOTICE, "pending, 0 lost meanwhile");
    deliver(f);
    assert_int_equal(f->log_count, 3);
}

/* Six hours, and whoever delivers: a line an hour, and one at the end. */
static void test_log_hours(void **state)
{
    fixture_t *f = *state;
    int64_t end;
    double seconds;
    int holders = 1;

    second_child(f);
    refuse(f, 503, "", "the disk is full");
    begin(f);
    append(f, 10);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    end = f->now + 6 * 3600 * 1000 * MS;
    for (; f->now < end; holders++) {
        int64_t change = f->now + 1800 * 1000 * MS;

        for (; f->now < change; later(f, 1000)) {
            imx_monitor_step(f->m);
            UNTIL(!is_sending(f));
            if (f->now % (60 * 1000 * MS) < 1000 * MS) {
                append(f, 1);
            }
        }
        end_monitor(f);                 /* recycled */
        f->o.child = &f->child[holders % 2];
        if (holders % 3 == 0) {         /* in other words */
            refuse(f, 503, "", "still full");
        }
        begin(f);
    }
    assert_in_range(holders, 12, 14);
    assert_true(writes(f) > 6 * 3600 / 31 / 2);
    assert_in_range(logged(f, "IMX0020"), 6, 7);
    assert_int_equal(logged(f, "IMX0021"), 0);
    heal(f);
    end_monitor(f);                     /* and it is another one again */
    begin(f);
    later(f, 31000);
    deliver(f);
    assert_in_range(logged(f, "IMX0020"), 6, 7);
    assert_int_equal(logged(f, "IMX0021"), 1);
    seconds = strtod(strstr(last_log(f, "IMX0021")->text, "after ") + 6, NULL);
    assert_true(seconds > 6 * 3600 && seconds < 6 * 3600 + 300);
    assert_says(f, "IMX0021", IMX_LOG_NOTICE, "pending, 0 lost meanwhile");
    assert_int_equal(logged(f, "IMX0022") + logged(f, "IMX0027"), 0);
}

/* A minute is one minute also when each line comes from another child. */
static void test_log_quiet_for_all(void **state)
{
    fixture_t *f = *state;
    uint64_t sum;
    int i;

    refuse(f, 400, "", "no");
    for (i = 0; i < 60; i++) {
        begin(f);
        append(f, 3);
        deliver(f);
        later(f, 3000);
        end_monitor(f);
    }
    assert_in_range(logged(f, "IMX0022"), 3, 5);
    later(f, 61000);
    begin(f);
    later(f, 2000);
    imx_monitor_step(f->m);
    later(f, 2000);
    imx_monitor_step(f->m);
    logged_sum(f, "IMX0022", &sum);
    assert_int_equal(sum, 180);
}

/* It works and fails in turns for five minutes: two lines a minute. */
static void test_log_flapping(void **state)
{
    fixture_t *f = *state;
    const char *busy = http(f, 503, "", "busy");
    int i;

    begin(f);
    for (i = 0; i < 100; i++) {
        say(f, STANDIN_ANSWER, busy);
        append(f, 5);
        tick(f);
        until_refused(f, 2 * i + 1, 5);
        heal(f);
        later(f, 2000);
        UNTIL(pending(f) == 0);
    }
    assert_in_range(logged(f, "IMX0020"), 4, 6);
    assert_int_equal(logged(f, "IMX0021"), logged(f, "IMX0020"));
    i = logged(f, "IMX0020");           /* one that lasts is told of, later */
    say(f, STANDIN_ANSWER, busy);
    append(f, 5);
    tick(f);
    UNTIL((later(f, 10), logged(f, "IMX0020") == i + 1));
    heal(f);
    UNTIL((later(f, 10), pending(f) == 0));
    assert_int_equal(logged(f, "IMX0021"), i + 1);
    assert_int_equal(stored(f), 505);
}

/* Whatever is refused for five minutes: a line a minute, and the counts in
 * them add up, also those behind the last refusal. */
static void test_log_rejected(void **state)
{
    fixture_t *f = *state;
    uint64_t sum;
    int i;

    refuse(f, 400, "", "no");
    begin(f);
    for (i = 0; i < 300; i++) {
        append(f, 3);
        deliver(f);
    }
    assert_in_range(logged_sum(f, "IMX0022", &sum), 4, 6);
    later(f, 61000);
    imx_monitor_step(f->m);
    assert_in_range(logged_sum(f, "IMX0022", &sum), 5, 7);
    assert_int_equal(sum, 900);
    assert_int_equal(fate(f, IMX_BATCH_REJECTED), 900);
}

static void test_log_lost(void **state)
{
    fixture_t *f = *state;
    uint64_t sum;
    int i;

    refuse(f, 503, "Retry-After: 3600\r\n", "full");
    begin(f);
    append(f, 64 * 128 + 100);          /* nobody makes room meanwhile */
    assert_int_equal(atomic_load(&f->shared->refused), 100);
    UNTIL(writes(f) == 1 && sealed(f) > 0);
    for (i = 0; i < 3000; i++) {
        append(f, 5);
        later(f, 100);
        imx_monitor_step(f->m);
    }
    assert_int_equal(atomic_load(&f->shared->refused), 100);
    assert_in_range(logged_sum(f, "IMX0027", &sum), 3, 6);
    later(f, 61000);
    imx_monitor_step(f->m);
    logged_sum(f, "IMX0027", &sum);
    assert_true(sum > 10000);
    assert_int_equal(fate(f, IMX_BATCH_DROPPED), sum);
    assert_int_equal(logged_sum(f, "IMX0028", &sum), 1);
    assert_int_equal(sum, 100);
    later(f, 3600000);
    heal(f);
    UNTIL(logged(f, "IMX0021") == 1);
    assert_true(strtoull(strstr(last_log(f, "IMX0021")->text, "pending, ") + 9,
                         NULL, 10) > 10000);
}

/* Nobody holds the lease, or none long enough to look: told of all the same. */
static void test_log_lost_between(void **state)
{
    fixture_t *f = *state;
    uint64_t sum;
    int i;

    begin(f);
    end_monitor(f);
    append(f, 64 * 128 + 100);
    begin(f);
    assert_int_equal(logged_sum(f, "IMX0028", &sum), 1);
    assert_int_equal(sum, 100);
    for (i = 0; i < 10; i++) {
        end_monitor(f);
        append(f, 1000);
        later(f, 10000);
        begin(f);
    }
    later(f, 61000);
    imx_monitor_step(f->m);
    logged_sum(f, "IMX0028", &sum);
    assert_true(sum > 1000);
    assert_int_equal(sum, atomic_load(&f->shared->refused));
}

/* ---- a full buffer ---- */

/* A sixth of what a look makes free, and a look: so nothing may be refused. */
static void overflow(fixture_t *f, int lines)
{
    for (; lines > 0; lines -= 100) {
        append(f, 100);
        later(f, 100);
        imx_monitor_step(f->m);
    }
    assert_int_equal(atomic_load(&f->shared->refused), 0);
}

/* first: the oldest line that is expected; all from there on are stored. */
static void assert_newest(fixture_t *f, uint32_t first)
{
    uint32_t i;

    for (i = first; i < f->shared->next; i++) {
        if (stored_times(f, i) != 1) {
            fail_msg("line %" PRIu32 " is stored %d times", i,
                     stored_times(f, i));
        }
    }
}

static void test_give_up_oldest(void **state)
{
    fixture_t *f = *state;
    uint64_t dropped;

    refuse(f, 503, "Retry-After: 3600\r\n", "full");
    begin(f);
    append(f, 10);
    tick(f);
    until_refused(f, 1, 10);
    overflow(f, 20000);
    dropped = fate(f, IMX_BATCH_DROPPED);
    assert_in_range(dropped, 20010 - 64 * 128, 20010 - 56 * 128);
    later(f, 3600000);
    heal(f);
    deliver(f);
    assert_newest(f, (uint32_t)dropped);
    assert_int_equal(stored(f), 20010 - dropped);
    assert_int_equal(stored_again(f), 0);
}

/* Nothing listens.  What is with InfluxDB just then is kept, so not exactly
 * the oldest ones go. */
static void test_give_up_down(void **state)
{
    fixture_t *f = *state;
    uint64_t dropped;

    snprintf(f->url, sizeof f->url, "http://127.0.0.1:1");
    begin(f);
    overflow(f, 20000);
    dropped = fate(f, IMX_BATCH_DROPPED);
    assert_in_range(dropped, 20000 - 64 * 128, 20000 - 56 * 128);
    end_monitor(f);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d",
             standin_port(f->server));
    begin(f);
    deliver(f);
    assert_newest(f, 20000 - 40 * 128);
    assert_int_equal(stored(f), 20000 - dropped);
}

/*
 * The server took a body and says nothing.  What it has cannot be given up,
 * and a body may be larger than the buffer: there must be others to give up.
 */
static void test_give_up_hanging(void **state)
{
    fixture_t *f = *state;
    uint64_t dropped;

    f->o.max_bytes = 64 << 20;
    f->o.max_lines = 1000000;
    hang(f);
    f->o.interval_ms = 3600000;
    begin(f);
    append(f, 60 * 128);                /* before a tick could take any */
    overflow(f, 12000);
    UNTIL(writes(f) == 1);              /* read, and not to be stored later */
    dropped = fate(f, IMX_BATCH_DROPPED);
    assert_true(dropped > 0);
    UNTIL(writes(f) == 1);              /* else it finds the healed server */
    end_monitor(f);
    heal(f);
    f->o.interval_ms = 1000;
    begin(f);
    deliver(f);
    assert_newest(f, 60 * 128 + 12000 - 32 * 128);
    assert_int_equal(stored(f), 60 * 128 + 12000 - dropped);
    assert_int_equal(stored_again(f), 0);
}

/* ---- processes ---- */

typedef struct {
    pid_t pid;
    int pipe;                           /* its end ends the process */
} process_t;

static void stay_until_told(int fd)
{
    char c;

    while (read(fd, &c, 1) < 0) {
    }
}

/* Runs as a child of httpd: joins, appends, delivers until told to end. */
static void live(fixture_t *f, int i, int lines, int with_monitor, int fd)
{
    imx_batch_child_t *c = &f->child[i];
    imx_monitor_t *m = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(TEST_LIMIT);
    if (join_here(c, &f->arena) != 0) {
        _exit(2);
    }
    append_to(f, c, lines);
    if (with_monitor) {
        f->o.child = c;
        f->o.now = NULL;
        m = imx_monitor_create(&f->o);
        if (m == NULL || imx_monitor_start(m) != 0) {
            _exit(3);
        }
    }
    atomic_store(&f->shared->slot[i], c->self.slot + 1);
    stay_until_told(fd);
    _exit(m ? !imx_monitor_stop(m) : 0);
}

static process_t spawn(fixture_t *f, int i, int lines, int with_monitor)
{
    process_t p;
    int fd[2];

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        close(fd[1]);
        live(f, i, lines, with_monitor, fd[0]);
    }
    close(fd[0]);
    p.pipe = fd[1];
    AWAIT(atomic_load(&f->shared->slot[i]) > 0);
    return p;
}

static void slay(process_t *p)
{
    kill(p->pid, SIGKILL);
    assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
    close(p->pipe);
}

/* Tells it to end; returns its exit status, 0 when stop() said 1. */
static int end_process(process_t *p)
{
    int status = -1;

    close(p->pipe);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return status;
}

static uint32_t slot_of(fixture_t *f, int i)
{
    return atomic_load(&f->shared->slot[i]) - 1;
}

/* What others wait at most until they look for the lease: see try_lease(). */
static int64_t takeover_ms(fixture_t *f)
{
    return 2 * (500 + 2 * (int64_t)f->arena.batch.geometry.children);
}

static void test_kill_the_holder(void **state)
{
    fixture_t *f = *state;
    process_t p[3];
    int64_t begun;
    int i, heir;

    f->o.interval_ms = 100;
    hang(f);
    for (i = 0; i < 3; i++) {
        p[i] = spawn(f, i, 500, 1);
        AWAIT(imx_lease_holder(&f->arena.lease) == slot_of(f, 0));
    }
    AWAIT(writes(f) == 1);
    slay(&p[0]);                        /* while it sends */
    begun = real_ms();
    AWAIT(writes(f) == 2);
    print_message("# the lease was taken over after %d ms\n",
                  (int)(real_ms() - begun));
    assert_true(real_ms() - begun < takeover_ms(f) + SLACK_MS);
    heir = imx_lease_holder(&f->arena.lease) == slot_of(f, 1) ? 1 : 2;
    assert_int_equal(imx_lease_holder(&f->arena.lease), slot_of(f, heir));
    heal(f);
    slay(&p[heir]);
    AWAIT(fate(f, IMX_BATCH_SENT) == 1500);
    assert_int_equal(imx_lease_holder(&f->arena.lease), slot_of(f, 3 - heir));
    assert_int_equal(stored(f), 1500);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(end_process(&p[3 - heir]), 0);
}

/* Stored, but killed before it could be told: the same bytes again. */
static void test_kill_after_store(void **state)
{
    fixture_t *f = *state;
    process_t p;

    say(f, STANDIN_HANG, OK_204);       /* stores, says nothing */
    f->o.interval_ms = 100;
    p = spawn(f, 1, 700, 1);
    AWAIT(stored(f) == 700);
    heal(f);
    f->m = make_monitor(f);
    imx_monitor_step(f->m);
    slay(&p);
    later(f, 10000);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    deliver(f);
    assert_int_equal(stored(f), 700);
    assert_int_equal(stored_again(f), 700);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 700);
}

static void die(const char *point)
{
    if (strcmp(point, "reserved") == 0) {
        raise(SIGKILL);
    }
}

/* A child that appends so many lines and is killed while it copies one more. */
static void tear(fixture_t *f, int i, int lines)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(TEST_LIMIT);
        join_here(&f->child[i], &f->arena);
        append_to(f, &f->child[i], lines);
        imx_fault = die;
        append_to(f, &f->child[i], 1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    if (i == 2) {
        imx_arena_died(&f->arena, pid);
    }
}

static void test_torn(void **state)
{
    fixture_t *f = *state;

    tear(f, 1, 10);                     /* found at the start */
    begin(f);
    append(f, 5);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 15);
    assert_int_equal(fate(f, IMX_BATCH_TORN), 1);
    tear(f, 2, 300);                    /* told by the parent */
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_TORN), 2);
    tear(f, 3, 0);                      /* found by a look every 2 s */
    later(f, 2000);
    imx_monitor_step(f->m);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_TORN), 3);
    assert_int_equal(stored(f), 315);
}

/* A body's worth of torn lines must not pass for an empty buffer. */
static void test_torn_only(void **state)
{
    fixture_t *f = *state;

    f->o.max_lines = 1;
    f->o.interval_ms = 3600000;
    tear(f, 1, 0);
    tear(f, 3, 0);
    append(f, 3);
    begin(f);
    run_clock(f);
    imx_monitor_finish(f->m);
    assert_int_equal(fate(f, IMX_BATCH_TORN), 2);
    assert_int_equal(stored(f), 3);
}

/* ---- kill -9 while lines go to the spool, and from there ---- */

static const char *fault_point;
static int fault_visits;

static void die_at(const char *point)
{
    if (strcmp(point, fault_point) == 0 && --fault_visits == 0) {
        raise(SIGKILL);
    }
}

static uint64_t spooled(fixture_t *f)
{
    imx_board_t d = imx_board_told(&f->arena.board);

    return fate(f, IMX_BATCH_SPOOLED) + d.spool_found - d.spool_delivered
           - d.spool_rejected - d.spool_dropped;
}

static void deliver_all(fixture_t *f, imx_monitor_t *m)
{
    int64_t limit = real_ms() + LIMIT_MS;

    while ((pending(f) > 0 || imx_board_told(&f->arena.board).spool_lines > 0)
           && real_ms() < limit) {
        imx_monitor_wait(m, imx_monitor_step(m));
    }
}

/* A process with a monitor works until it is killed, or has done it all. */
static void work_until_killed(fixture_t *f, void (*work)(fixture_t *f,
                                                         imx_monitor_t *m),
                              const char *point, int visits)
{
    imx_monitor_t *m;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(TEST_LIMIT);
        f->o.child = &f->child[1];
        f->o.now = NULL;
        join_here(f->o.child, &f->arena);
        m = imx_monitor_create(&f->o);
        fault_point = point;
        fault_visits = visits;
        imx_fault = die_at;
        work(f, m);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void spool_all(fixture_t *f, imx_monitor_t *m)
{
    (void)f;
    imx_monitor_end_server(m);
}

/* Whoever is killed, where and when: each line is stored, and counted once. */
static void test_kill_while_spooling(void **state)
{
    static const char *const points[] = { "counted", "told", "turned" };
    fixture_t *f = *state;
    char dir[64];
    int i, lines = 0;

    snprintf(dir, sizeof dir, "%s/spool", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    f->o.spool_dir = dir;
    f->o.interval_ms = 50;
    f->o.max_lines = 300;               /* three files a round */
    for (i = 0; i < 27; i++, lines += 1300) {
        imx_board_t d;

        append(f, 1300);
        refuse(f, 503, "Retry-After: 0\r\n", "full");
        work_until_killed(f, spool_all, points[i % 3], 1 + i / 3);
        heal(f);
        work_until_killed(f, deliver_all, points[i / 3 % 3], 1 + i / 2);
        f->o.now = NULL;
        f->m = make_monitor(f);
        deliver_all(f, f->m);
        end_monitor(f);
        assert_int_equal(pending(f) + spooled(f), 0);
        assert_int_equal(stored(f), lines + 1300);
        d = imx_board_told(&f->arena.board);
        assert_int_equal(fate(f, IMX_BATCH_SENT) + d.spool_delivered,
                         lines + 1300);
        assert_int_equal(d.spool_dropped + d.spool_found + d.spool_twice, 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* The spool is another one after a restart: what is in the one before arrives,
 * and nothing is added there. */
static void test_spools_before(void **state)
{
    fixture_t *f = *state;
    char dirs[3][64];
    int i;

    f->o.now = NULL;
    f->o.interval_ms = 50;
    refuse(f, 503, "Retry-After: 0\r\n", "full");
    for (i = 0; i < 3; i++) {
        snprintf(dirs[i], sizeof dirs[i], "%s/spool%d", f->dir, i);
        assert_int_equal(mkdir(dirs[i], 0700), 0);
        append(f, 700);
        f->o.spool_dir = i < 2 ? dirs[i] : NULL;
        f->o.spool_before[0] = i > 0 ? dirs[i - 1] : NULL;
        f->o.spool_before[1] = i > 1 ? dirs[0] : NULL;
        f->m = make_monitor(f);
        imx_monitor_end_server(f->m);
        end_monitor(f);
    }
    assert_int_equal(spooled(f), 1400);
    assert_int_equal(pending(f), 700);
    assert_int_equal(imx_board_told(&f->arena.board).spool_lines, 1400);
    heal(f);
    f->m = make_monitor(f);
    deliver_all(f, f->m);
    end_monitor(f);
    assert_int_equal(stored(f), 2100);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(imx_board_told(&f->arena.board).spool_delivered, 1400);
    for (i = 0; i < 3; i++) {
        assert_int_equal(rmdir(dirs[i]), 0);
    }
}

/* A spool that is smaller than a body gets files that fit into it.  What has no
 * room there is counted, and the log tells of all of it. */
static void test_small_spool(void **state)
{
    fixture_t *f = *state;
    uint64_t dropped, sum;
    char dir[64];

    snprintf(dir, sizeof dir, "%s/spool", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    f->o.spool_dir = dir;
    f->o.spool_max = 1 << 20;
    refuse(f, 503, "Retry-After: 0\r\n", "full");
    append(f, 25000);
    f->m = make_monitor(f);
    imx_monitor_end_server(f->m);
    end_monitor(f);
    assert_int_equal(pending(f), 0);
    assert_in_range(spooled(f), 5000, (1 << 20) / LINE_BYTES);
    dropped = imx_board_told(&f->arena.board).spool_dropped;
    assert_int_equal(dropped, 25000 - spooled(f));
    assert_int_equal(logged(f, "IMX0050"), 0);
    assert_int_equal(logged(f, "IMX0055"), 1);
    heal(f);
    begin(f);
    UNTIL((later(f, 10), spooled(f) == 0));
    later(f, 61000);
    imx_monitor_step(f->m);
    end_monitor(f);
    assert_int_equal(logged_sum(f, "IMX0055", &sum), 2);
    assert_int_equal(sum, dropped);
    assert_int_equal(stored(f), 25000 - dropped);
    assert_int_equal(rmdir(dir), 0);
}

/* The spool of before is removed when it is empty: nobody complains.  A file
 * that somebody brings to the one in use is delivered, though nothing else is. */
static void test_spools_by_hand(void **state)
{
    fixture_t *f = *state;
    char old[64], new[64], path[128], line[LINE_BYTES + 1];
    FILE *file;

    snprintf(old, sizeof old, "%s/old", f->dir);
    snprintf(new, sizeof new, "%s/new", f->dir);
    assert_int_equal(mkdir(old, 0700), 0);
    assert_int_equal(mkdir(new, 0700), 0);
    f->o.spool_dir = new;
    f->o.spool_before[0] = old;
    begin(f);
    append(f, 1);
    deliver(f);
    assert_int_equal(rmdir(old), 0);
    snprintf(path, sizeof path, "%s/0000000000000000001-00000000-000001.lp",
             new);
    file = fopen(path, "w");
    assert_non_null(file);
    make_line(line, LINES - 1, 0);
    assert_int_equal(fputs(line, file) < 0 || fclose(file) != 0, 0);
    UNTIL((later(f, 10), stored(f) == 2));
    UNTIL(access(path, F_OK) != 0);
    end_monitor(f);
    begin(f);
    append(f, 1);
    deliver(f);
    end_monitor(f);
    assert_int_equal(logged(f, "IMX0050"), 0);
    assert_int_equal(imx_board_told(&f->arena.board).spool_found, 1);
    assert_int_equal(rmdir(new), 0);
}

/* What is in files when the server ends is the next one's, which may have begun
 * already: only what is in the buffer is sent. */
static void test_end_leaves_files(void **state)
{
    fixture_t *f = *state;
    char dir[64];

    snprintf(dir, sizeof dir, "%s/spool", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    f->o.spool_dir = dir;
    refuse(f, 503, "Retry-After: 0\r\n", "full");
    append(f, 700);
    f->m = make_monitor(f);
    imx_monitor_end_server(f->m);
    end_monitor(f);
    assert_int_equal(spooled(f), 700);
    heal(f);
    append(f, 300);
    f->m = make_monitor(f);
    imx_monitor_end_server(f->m);
    end_monitor(f);
    assert_int_equal(pending(f), 0);
    assert_int_equal(stored(f), 300);
    assert_int_equal(spooled(f), 700);
    begin(f);
    UNTIL(spooled(f) == 0);
    assert_int_equal(stored(f), 1000);
    end_monitor(f);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- the lease ---- */

static void test_wait_for_lease(void **state)
{
    fixture_t *f = *state;
    int64_t least = takeover_ms(f) / 2, ms;
    int i;

    assert_true(take_lease(f));
    f->m = make_monitor(f);
    append(f, 1);
    for (i = 0; i < 20; i++) {
        ms = imx_monitor_step(f->m);
        assert_in_range(ms, least, 2 * least + 1);
        later(f, ms);
    }
    ms = imx_monitor_step(f->m);
    give_lease(f);
    later(f, ms - 2);                   /* not before its time */
    assert_in_range(imx_monitor_step(f->m), 1, 2);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    later(f, 1);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    deliver(f);
}


static void test_superseded(void **state)
{
    fixture_t *f = *state;
    process_t p;

    append(f, 10);
    begin(f);
    imx_children_new_epoch(&f->arena.children);
    deliver(f);                         /* nobody else could */
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);

    refuse(f, 503, "", "busy");         /* with lines in its hands */
    append(f, 10);
    tick(f);
    until_refused(f, 2, 10);
    p = spawn(f, 1, 5, 0);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    heal(f);
    later(f, 60000);
    imx_monitor_step(f->m);
    later(f, 60000);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    assert_int_equal(pending(f), 15);
    assert_int_equal(logged(f, "IMX0029"), 1);  /* not even for a moment */

    slay(&p);                           /* the last newer child */
    later(f, takeover_ms(f));
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    deliver(f);
    assert_int_equal(stored(f), 25);
    assert_int_equal(stored_again(f), 0);
}

/* The newer child gets the lease and the lines, while it is being sent. */
static void test_handover(void **state)
{
    fixture_t *f = *state;
    imx_monitor_t *old;
    int i;

    f->o.max_lines = 100;
    append(f, 300);
    begin(f);
    then(f, 1, STANDIN_ANSWER, OK_204);
    tick(f);
    imx_children_new_epoch(&f->arena.children);
    UNTIL(writes(f) >= 1);
    old = f->m;
    f->o.child = &f->child[second_child(f)];
    f->m = make_monitor(f);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    for (i = 0; i < 1000 && imx_lease_holder(&f->arena.lease) == f->child[0].self.slot;
         i++) {
        if (imx_monitor_step(old) > 0) {
            imx_monitor_wait(old, 5);
        }
    }
    later(f, takeover_ms(f));
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[1].self.slot);
    imx_monitor_destroy(old);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[1].self.slot);
    deliver(f);
    assert_int_equal(stored(f), 300);
    assert_in_range(stored_again(f), 0, 256);
}

/* ---- the end ---- */

static int64_t finish_ms(fixture_t *f)
{
    int64_t begun = real_ms();

    run_clock(f);
    imx_monitor_finish(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    return real_ms() - begun;
}

/* With lines that a hanging server has. */
static void begin_hanging(fixture_t *f, int lines)
{
    int before = writes(f);

    hang(f);
    append(f, lines);
    begin(f);
    tick(f);
    UNTIL(writes(f) > before);
    assert_int_equal(sealed(f), 0);
}

static void test_finish_not_last(void **state)
{
    fixture_t *f = *state;
    int64_t ms, least = INT64_MAX;
    int i;

    second_child(f);
    for (i = 1; i <= 5; i++) {          /* the machine may be busy */
        begin_hanging(f, 120);
        ms = finish_ms(f);
        least = ms < least ? ms : least;
        assert_int_equal(sealed(f), i * 120);
        end_monitor(f);
    }
    assert_in_range(least, 190, 400);   /* for an answer */
    append(f, 1);                       /* late ones still work */
    heal(f);
    f->o.child = &f->child[1];
    begin(f);
    deliver(f);
    assert_int_equal(stored(f), 601);
    assert_int_equal(stored_again(f), 0);
}

/* The last one, but others will come: it does not even try. */
static void test_finish_leaving(void **state)
{
    fixture_t *f = *state;

    append(f, 10);
    begin(f);
    imx_monitor_leave(f->m);
    imx_monitor_finish(f->m);
    assert_int_equal(writes(f), 0);
    assert_int_equal(pending(f), 10);
}

static void test_finish_last(void **state)
{
    fixture_t *f = *state;

    f->o.max_lines = 500;
    append_to(f, &f->child[second_child(f)], 10);
    imx_children_leave(&f->arena.children, &f->child[1].self);
    refuse(f, 503, "", "busy");
    append(f, 4000);
    begin(f);
    tick(f);
    UNTIL(logged(f, "IMX0020") == 1);
    append(f, 1000);                    /* not sealed, and no tick is due */
    heal(f);
    assert_true(finish_ms(f) < 1500);
    assert_int_equal(pending(f), 0);
    assert_int_equal(stored(f), 5010);
    assert_int_equal(stored_again(f), 0);
    append(f, 1);
    assert_int_equal(pending(f), 1);
}

static void test_finish_down(void **state)
{
    fixture_t *f = *state;

    snprintf(f->url, sizeof f->url, "http://127.0.0.1:1");
    append(f, 600);
    begin(f);
    assert_true(finish_ms(f) < SLACK_MS);
    assert_int_equal(pending(f), 600);
}

static void test_finish_hanging(void **state)
{
    fixture_t *f = *state;
    int64_t ms;

    f->o.shutdown_ms = 600;
    begin_hanging(f, 600);
    ms = finish_ms(f);
    assert_in_range(ms, 600, 600 + SLACK_MS);
    assert_int_equal(sealed(f), 600);
    assert_int_equal(writes(f), 1);
}

/* The lease is with another one that is leaving, too: for a while ... */
static void *hold_the_lease(void *data)
{
    fixture_t *f = data;

    if (take_lease(f)) {
        while (atomic_load(&f->clock_calls) < 10) {
            poll(NULL, 0, 1);
        }
        give_lease(f);
    }
    return NULL;
}

static void test_finish_waits_for_lease(void **state)
{
    fixture_t *f = *state;
    pthread_t other;

    append(f, 10);
    f->m = make_monitor(f);
    atomic_store(&f->clock_calls, 0);
    assert_int_equal(pthread_create(&other, NULL, hold_the_lease, f), 0);
    AWAIT(imx_lease_holder(&f->arena.lease) == 99);
    assert_true(finish_ms(f) < 1500);
    pthread_join(other, NULL);
    assert_int_equal(stored(f), 10);
}

/* ... or for too long. */
static void test_finish_without_lease(void **state)
{
    fixture_t *f = *state;
    int64_t begun = real_ms();

    f->o.shutdown_ms = 300;
    append(f, 10);
    assert_true(take_lease(f));
    f->m = make_monitor(f);
    run_clock(f);
    imx_monitor_finish(f->m);
    assert_in_range(real_ms() - begun, 300, 300 + SLACK_MS);
    assert_int_equal(imx_lease_holder(&f->arena.lease), 99);
    assert_int_equal(pending(f), 10);
    give_lease(f);
}

/* At a graceful restart the first new child may come when the last old one is
 * already at it: it need not be waited for InfluxDB then. */
static void *join_later(void *data)
{
    fixture_t *f = data;

    while (atomic_load(&f->clock_calls) < 10) {
        poll(NULL, 0, 1);
    }
    join_here(&f->child[1], &f->arena);
    return NULL;
}

static void finish_relieved(fixture_t *f)
{
    pthread_t other;

    atomic_store(&f->clock_calls, 0);
    assert_int_equal(pthread_create(&other, NULL, join_later, f), 0);
    run_clock(f);
    imx_monitor_finish(f->m);
    pthread_join(other, NULL);
}

static void test_finish_relieved(void **state)
{
    fixture_t *f = *state;
    int64_t begun = real_ms();

    f->o.shutdown_ms = 8000;
    begin_hanging(f, 10);
    finish_relieved(f);
    assert_true(real_ms() - begun < 4000);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    assert_int_equal(sealed(f), 10);    /* all of it is the other one's */
    end_monitor(f);
    heal(f);
    f->o.child = &f->child[1];
    begin(f);
    deliver(f);
    assert_int_equal(stored(f), 10);
    assert_int_equal(stored_again(f), 0);
}

/* ... also when it does not get the lease, which the new one may have. */
static void test_finish_relieved_waiting(void **state)
{
    fixture_t *f = *state;
    int64_t begun = real_ms();

    f->o.shutdown_ms = 8000;
    append(f, 10);
    assert_true(take_lease(f));
    f->m = make_monitor(f);
    finish_relieved(f);
    assert_true(real_ms() - begun < 4000);
    assert_int_equal(imx_lease_holder(&f->arena.lease), 99);
    assert_int_equal(pending(f), 10);
    give_lease(f);
}

/* ---- real threads ---- */

static void start(fixture_t *f)
{
    f->o.now = NULL;
    f->m = make_monitor(f);
    assert_int_equal(imx_monitor_start(f->m), 0);
}

static void test_start_stop(void **state)
{
    fixture_t *f = *state;
    int i;

    f->o.interval_ms = 100;
    for (i = 0; i < 50; i++) {
        append(f, 20);
        start(f);
        append(f, 20);
        if (i % 10 == 0) {
            AWAIT(stored(f) > (uint64_t)i * 40);
        }
        assert_int_equal(imx_monitor_stop(f->m), 1);
        assert_int_equal(pending(f), 0);
        assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
        end_monitor(f);
    }
    assert_int_equal(stored(f), 2000);
    assert_int_equal(stored_again(f), 0);
}

/* Four threads append all the time; what is left goes with the last stop. */
typedef struct {
    fixture_t *f;
    _Atomic int *stop;
} writer_t;

static void *write_lines(void *data)
{
    writer_t *w = data;

    while (!atomic_load(w->stop)
           && atomic_load(&w->f->shared->next) < LINES - 100) {
        append(w->f, 10);
        sched_yield();
    }
    return NULL;
}

static void test_writers(void **state)
{
    fixture_t *f = *state;
    pthread_t threads[4];
    _Atomic int stop = 0;
    writer_t w = { f, &stop };
    int i;

    f->o.interval_ms = 100;
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &w), 0);
    }
    for (i = 0; i < 10; i++) {
        start(f);
        AWAIT(writes(f) > 2 * i || f->shared->next >= LINES - 100);
        assert_int_equal(imx_monitor_stop(f->m), 1);
        end_monitor(f);
    }
    atomic_store(&stop, 1);
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    start(f);
    assert_int_equal(imx_monitor_stop(f->m), 1);
    assert_int_equal(pending(f), 0);
    assert_int_equal(stored(f), f->shared->next - f->shared->refused
                                - fate(f, IMX_BATCH_DROPPED));
    assert_int_equal(stored_again(f), 0);
}

static void test_stop_hanging(void **state)
{
    fixture_t *f = *state;
    int64_t begun;

    f->o.interval_ms = 100;
    second_child(f);
    append(f, 10);
    hang(f);
    start(f);
    AWAIT(writes(f) == 1);
    begun = real_ms();                  /* not the last one */
    assert_int_equal(imx_monitor_stop(f->m), 1);
    assert_true(real_ms() - begun < SLACK_MS);
    end_monitor(f);
    imx_children_leave(&f->arena.children, &f->child[1].self);
    f->o.shutdown_ms = 300;
    start(f);
    AWAIT(writes(f) == 2);
    begun = real_ms();
    assert_int_equal(imx_monitor_stop(f->m), 1);
    assert_in_range(real_ms() - begun, 300, 300 + SLACK_MS);
    assert_int_equal(pending(f), 10);
}

/* Waiting for the lease is interrupted as well. */
static void test_stop_waiting(void **state)
{
    fixture_t *f = *state;
    int64_t begun;
    int i;

    second_child(f);
    assert_true(imx_lease_take(&f->arena.lease, &f->child[1].self));
    run_clock(f);
    begun = real_ms();
    for (i = 0; i < 10; i++) {
        f->m = make_monitor(f);
        atomic_store(&f->clock_calls, 0);
        assert_int_equal(imx_monitor_start(f->m), 0);
        AWAIT(atomic_load(&f->clock_calls) >= 3);   /* goes to wait now */
        assert_int_equal(imx_monitor_stop(f->m), 1);
        end_monitor(f);
    }
    assert_true(real_ms() - begun < SLACK_MS);
    give_lease(f);
}

/* Also for one that had it, and has curl to wait with. */
static void test_stop_superseded(void **state)
{
    fixture_t *f = *state;
    int64_t begun, ms, least = INT64_MAX;
    int i;

    run_clock(f);
    f->o.interval_ms = 100;
    for (i = 1; i <= 3; i++) {          /* the machine may be busy */
        append(f, 10);
        f->m = make_monitor(f);
        assert_int_equal(imx_monitor_start(f->m), 0);
        AWAIT(pending(f) == 0);
        imx_children_new_epoch(&f->arena.children);
        assert_int_equal(join_here(&f->child[i], &f->arena), 0);
        AWAIT(imx_lease_holder(&f->arena.lease) == IMX_BATCH_NOBODY);
        atomic_store(&f->clock_calls, 0);
        AWAIT(atomic_load(&f->clock_calls) >= 3);
        begun = real_ms();
        assert_int_equal(imx_monitor_stop(f->m), 1);
        ms = real_ms() - begun;
        least = ms < least ? ms : least;
        end_monitor(f);
    }
    assert_true(least < 300);
    assert_int_equal(stored(f), 30);
}

/* A thread that does not end: stop() gives up, and says so. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void log_at_gate(void *context, imx_log_level_e level,
                        const char *text)
{
    log_text(context, level, text);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void test_stop_stuck(void **state)
{
    fixture_t *f = *state;
    int64_t begun;

    f->o.shutdown_ms = 100;
    f->o.log = log_at_gate;
    pthread_mutex_lock(&gate);
    append(f, 10);
    start(f);
    AWAIT(logged(f, "IMX0029") == 1);
    begun = real_ms();
    assert_int_equal(imx_monitor_stop(f->m), 0);
    assert_in_range(real_ms() - begun, 2100, 2100 + SLACK_MS);
    pthread_mutex_unlock(&gate);
    assert_int_equal(imx_monitor_stop(f->m), 1);
    assert_int_equal(stored(f), 10);
}

/* One that has nothing to flush is not waited for as long. */
static void test_stop_stuck_leaving(void **state)
{
    fixture_t *f = *state;
    int64_t begun;

    f->o.shutdown_ms = 8000;
    f->o.log = log_at_gate;
    pthread_mutex_lock(&gate);
    start(f);
    AWAIT(logged(f, "IMX0029") == 1);
    begun = real_ms();
    imx_monitor_leave(f->m);
    assert_int_equal(imx_monitor_stop(f->m), 0);
    assert_in_range(real_ms() - begun, 500, 500 + 4 * SLACK_MS);
    pthread_mutex_unlock(&gate);
    assert_int_equal(imx_monitor_stop(f->m), 1);
}

/* As prefork does it: in a signal handler, whatever was interrupted. */
static struct {
    imx_monitor_t *m;
    fixture_t *f;
    pthread_t main;
    int writes;
    volatile sig_atomic_t result;
} handled;

static void stop_in_handler(int signal)
{
    (void)signal;
    handled.result = imx_monitor_stop(handled.m);
}

static void *send_signal(void *unused)
{
    int64_t limit = real_ms() + LIMIT_MS;

    while (writes(handled.f) == handled.writes && real_ms() < limit) {
        poll(NULL, 0, 1);
    }
    pthread_kill(handled.main, SIGUSR1);
    return unused;
}

static void test_stop_in_handler(void **state)
{
    struct sigaction action = { .sa_handler = stop_in_handler };
    fixture_t *f = *state;
    pthread_t sender;
    int i;

    sigaction(SIGUSR1, &action, NULL);
    f->o.interval_ms = 100;
    for (i = 0; i < 20; i++) {
        volatile size_t size = 16;
        void *block[64] = { NULL };

        append(f, 600);
        handled.f = f;
        handled.writes = writes(f);
        handled.main = pthread_self();
        handled.result = -1;
        start(f);
        handled.m = f->m;
        assert_int_equal(pthread_create(&sender, NULL, send_signal, NULL), 0);
        while (handled.result < 0) {
            size = (size * 7 + 13) % 4000;
            free(block[size % 64]);
            block[size % 64] = malloc(size * (size % 9));
        }
        for (size = 0; size < 64; size++) {
            free(block[size]);
        }
        pthread_join(sender, NULL);
        assert_int_equal(handled.result, 1);
        assert_int_equal(pending(f), 0);
        end_monitor(f);
    }
    assert_int_equal(stored(f), 20 * 600);
    assert_int_equal(stored_again(f), 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define TEST_LARGE(t) cmocka_unit_test_setup_teardown(t, setup_large, teardown)
#define TEST_SMALL(t) cmocka_unit_test_setup_teardown(t, setup_small, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tick),
        TEST(test_phase),
        TEST(test_order),
        TEST(test_limits),
        TEST(test_early),
        TEST(test_no_starving),
        TEST(test_sent),
        TEST(test_partial),
        TEST(test_partial_uncounted),
        TEST_LARGE(test_search),
        TEST(test_search_disturbed),
        TEST_LARGE(test_v3_partial),
        TEST(test_rejected),
        TEST_LARGE(test_malformed),
        TEST_LARGE(test_refused_somehow),
        TEST_LARGE(test_slow_way),
        TEST(test_too_large),
        TEST(test_too_large_for_a_while),
        TEST(test_unauthorized),
        TEST(test_no_token_file),
        TEST(test_create),
        TEST(test_create_in_vain),
        TEST(test_create_refused),
        TEST(test_no_create),
        TEST(test_retry_after),
        TEST(test_backoff),
        TEST(test_no_seal_in_backoff),
        TEST(test_unknown),
        TEST(test_fail_in_the_middle),
        TEST(test_log_outage),
        TEST(test_log_hours),
        TEST(test_log_quiet_for_all),
        TEST(test_log_flapping),
        TEST(test_log_rejected),
        TEST_SMALL(test_log_lost),
        TEST_SMALL(test_log_lost_between),
        TEST_SMALL(test_give_up_oldest),
        TEST_SMALL(test_give_up_down),
        TEST_SMALL(test_give_up_hanging),
        TEST(test_spools_before),
        TEST(test_small_spool),
        TEST(test_end_leaves_files),
        TEST(test_spools_by_hand),
        TEST(test_wait_for_lease),
        TEST(test_handover),
        TEST(test_finish_not_last),
        TEST(test_finish_leaving),
        TEST(test_finish_last),
        TEST(test_finish_down),
        TEST(test_finish_hanging),
        TEST(test_finish_waits_for_lease),
        TEST(test_finish_without_lease),
        TEST(test_finish_relieved),
        TEST(test_finish_relieved_waiting),
        TEST(test_start_stop),
        TEST(test_writers),
        TEST(test_stop_hanging),
        TEST(test_stop_stuck),
        TEST(test_stop_stuck_leaving),
        TEST(test_stop_waiting),
        TEST(test_stop_superseded),
        TEST(test_stop_in_handler),
        /* WITH_PROCESSES of them: */
        TEST(test_kill_the_holder),
        TEST(test_kill_after_store),
        TEST(test_kill_while_spooling),
        TEST(test_torn),
        TEST(test_torn_only),
        TEST(test_superseded),
    };
    const size_t all = sizeof tests / sizeof tests[0];
    char line[LINE_BYTES + 1];
    int failed;

    make_line(line, LINES, 0);
    if (line[LINE_BYTES - 1] != '\n' || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        return 1;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (getenv("IMX_ONLY")) {
        cmocka_set_test_filter(getenv("IMX_ONLY"));
    }
    failed = _cmocka_run_group_tests("monitor", tests,
                                     getenv("IMX_THREADS_ONLY") != NULL
                                     ? all - WITH_PROCESSES : all, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
