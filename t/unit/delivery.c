/*
 * t/unit/delivery.c: what the tests of delivery have in common (delivery.h).
 */
#define _GNU_SOURCE
#include "delivery.h"

#include <curl/curl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ---- what every test has ---- */

int64_t real_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

int64_t real_ms(void)
{
    return real_ns() / MS;
}

/* ---- lines ---- */

void make_line(char *to, uint32_t number, int poison)
{
    snprintf(to, LINE_BYTES + 1,
             "raw-requests,hostname=web1,method=GET,"
             "process=%s,server=www.example.de n=%010" PRIu32
             "i,"
             "t=0.000312 1763961600%09" PRIu32 "\n",
             poison ? "poison" : "web1:3", number, number);
}

void append_to(fixture_t *f, imx_batch_child_t *c, int count)
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

void append(fixture_t *f, int count)
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
    to = stpcpy(to,
                s->partial == 3
                    ? "{\"error\":\"partial write of line protocol occurred\","
                      "\"data\":["
                    : "partial write: field type conflict");
    for (i = 0; i < len / LINE_BYTES; i++) {
        if (is_poison(body + i * LINE_BYTES) && bad++ < 100
            && s->partial == 3) {
            to += sprintf(to,
                          "%s{\"original_line\":\"raw-requests\","
                          "\"line_number\":%u,\"error_message\":\"no\"}",
                          bad > 1 ? "," : "", i + 1);
        }
    }
    to = s->partial == 3 ? stpcpy(to, "]}")
                         : to + sprintf(to, " dropped=%u", bad);
    snprintf(s->told, sizeof s->told,
             "HTTP/1.1 400 x\r\nContent-Length: "
             "%zu\r\n\r\n%s",
             (size_t)(to - text), text);
    return s->told;
}

static void remember_body(store_t *s, const char *body, size_t len)
{
    body_t *b = &s->bodies[s->writes % BODIES];
    size_t i;

    b->bytes = len;
    b->lines = 0;
    b->hash = 14695981039346656037u; /* FNV-1a */
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
    while (s->holds_creation) {
        pthread_mutex_unlock(&s->lock);
        poll(NULL, 0, 1);
        pthread_mutex_lock(&s->lock);
    }
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
        return s->picky > 1 ? "HTTP/1.1 400 x\r\nContent-Length: 15\r\n\r\n"
                              "I do not fancy it"
                            : "HTTP/1.1 400 x\r\nContent-Length: 15\r\n\r\n"
                              "unable to parse";
    }
    return OK_204;
}

/* The body is here, and its answer takes a while. */
static void hold(store_t *s)
{
    s->held++;
    s->held_most = s->held > s->held_most ? s->held : s->held_most;
    while (s->holds) {
        pthread_mutex_unlock(&s->lock);
        poll(NULL, 0, 1);
        pthread_mutex_lock(&s->lock);
    }
    s->held--;
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
        hold(s);
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
    type name(fixture_t *f) \
    { \
        type value; \
\
        pthread_mutex_lock(&f->store.lock); \
        value = f->store.what; \
        pthread_mutex_unlock(&f->store.lock); \
        return value; \
    }

LOOK(int, writes, writes)
LOOK(int, creates, creates)
LOOK(int, held, held)
LOOK(int, held_most, held_most)
LOOK(uint64_t, stored, lines - f->store.again) /* different lines */
LOOK(uint64_t, stored_again, again)

int stored_times(fixture_t *f, uint32_t number)
{
    int times;

    pthread_mutex_lock(&f->store.lock);
    times = f->store.stored[number];
    pthread_mutex_unlock(&f->store.lock);
    return times;
}

body_t body(fixture_t *f, int i)
{
    body_t b;

    pthread_mutex_lock(&f->store.lock);
    b = f->store.bodies[i % BODIES];
    pthread_mutex_unlock(&f->store.lock);
    return b;
}

/* After what was said before: this, so many times (0: for ever). */
void then(fixture_t *f, int times, standin_how_e how, const char *text)
{
    store_t *s = &f->store;

    pthread_mutex_lock(&s->lock);
    assert_true(s->answer_count < 8);
    s->answers[s->answer_count++] = (answer_t){ times, how, text };
    pthread_mutex_unlock(&s->lock);
}

/* From now on this; text NULL: the server is healthy. */
void say(fixture_t *f, standin_how_e how, const char *text)
{
    pthread_mutex_lock(&f->store.lock);
    f->store.answer_count = f->store.answer_at = 0;
    pthread_mutex_unlock(&f->store.lock);
    if (text) {
        then(f, 0, how, text);
    }
}

const char *http(fixture_t *f, int status, const char *extra, const char *text)
{
    char **out = &f->texts[f->text_count++];

    assert_true(f->text_count <= 32);
    assert_true(asprintf(out,
                         "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n\r\n"
                         "%s",
                         status, extra, strlen(text), text)
                > 0);
    return *out;
}

void refuse(fixture_t *f, int status, const char *extra, const char *text)
{
    say(f, STANDIN_ANSWER, http(f, status, extra, text));
}

void hang(fixture_t *f)
{
    say(f, STANDIN_HANG, "");
}

void heal(fixture_t *f)
{
    say(f, STANDIN_ANSWER, NULL);
}

/* ---- the log ---- */

void log_text(void *context, imx_log_level_e level, const char *text)
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
int logged_sum(fixture_t *f, const char *id, uint64_t *sum)
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

int logged(fixture_t *f, const char *id)
{
    uint64_t sum;

    return logged_sum(f, id, &sum);
}

/* The last line with this id; only when no thread of the monitor runs. */
const log_line_t *last_log(fixture_t *f, const char *id)
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

void assert_says(fixture_t *f, const char *id, imx_log_level_e level,
                 const char *part)
{
    const log_line_t *line = last_log(f, id);

    if (!strstr(line->text, part)) {
        fail_msg("no '%s' in '%s' (%s)", part, line->text, id);
    }
    assert_int_equal(line->level, level);
}

/* ---- the clock ---- */

int64_t clock_ns(void *context)
{
    fixture_t *f = context;

    atomic_fetch_add(&f->clock_calls, 1);
    return atomic_load(&f->now)
           + (atomic_load(&f->clock_runs) ? real_ns() : 0);
}

void later(fixture_t *f, int64_t ms)
{
    atomic_fetch_add(&f->now, ms * MS);
}

void run_clock(fixture_t *f)
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

int join_here(imx_batch_child_t *c, const imx_arena_t *a)
{
    imx_children_self_t self;
    int rv = imx_children_join(&a->children, &self, getpid());

    imx_batch_open(c, &a->batch, &self);
    return rv;
}

int take_lease(fixture_t *f)
{
    imx_children_self_t self = imx_children_outsider(&f->arena.children,
                                                     getpid());

    self.slot = STRANGER;
    return imx_lease_take(&f->arena.lease, &self);
}

void give_lease(fixture_t *f)
{
    imx_children_self_t self = imx_children_outsider(&f->arena.children,
                                                     getpid());

    imx_lease_give(&f->arena.lease, &self);
}

void *shared_memory(size_t size)
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
    f->o = (imx_monitor_options_t){
        .arena = &f->arena,
        .child = &f->child[0],
        .influx = { .api = IMX_INFLUX_V1,
                    .url = f->url,
                    .database = "httpd",
                    .connect_timeout_ms = 2000,
                    .total_timeout_ms = 20000 },
        .create_database = 1,
        .interval_ms = 1000,
        .shutdown_ms = 2000,
        .max_bytes = 4 << 20,
        .max_lines = 10000,
        .log = log_text,
        .log_context = f,
        .now = clock_ns,
        .now_context = f,
        .waits_for_disk = 1
    };
}

int setup_size(void **state, size_t size)
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

int setup(void **state)
{
    return setup_size(state, 4 << 20); /* 128 segments of 256 lines */
}

int setup_large(void **state)
{
    return setup_size(state, 8 << 20); /* 128 segments of 512 lines */
}

int setup_small(void **state)
{
    return setup_size(state, 1 << 20); /* 64 segments of 128 lines */
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
    if (t.recorded
        != t.fate[IMX_BATCH_SENT] + t.fate[IMX_BATCH_REJECTED]
               + t.fate[IMX_BATCH_DROPPED] + t.fate[IMX_BATCH_TORN]
               + t.fate[IMX_BATCH_SPOOLED] + t.no_room + t.pending) {
        return "the account does not balance";
    }
    return f->store.wrong ? "the server got what nobody had appended" : NULL;
}

void end_monitor(fixture_t *f)
{
    if (f->m) {
        imx_monitor_destroy(f->m);
    }
    f->m = NULL;
}

int teardown(void **state)
{
    fixture_t *f = *state;
    const char *wrong;

    SET(f, holds, 0);
    SET(f, holds_creation, 0);
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

uint64_t fate(fixture_t *f, imx_batch_fate_e which)
{
    return imx_batch_totals(&f->arena.batch).fate[which];
}

uint64_t pending(fixture_t *f)
{
    return imx_batch_totals(&f->arena.batch).pending;
}

/* Lines that are neither being filled nor with the server. */
uint64_t sealed(fixture_t *f)
{
    return imx_batch_level(&f->arena.batch).sealed_lines;
}

uint64_t current(fixture_t *f, int child)
{
    return atomic_load(&f->child[child].current);
}

int second_child(fixture_t *f)
{
    assert_int_equal(join_here(&f->child[1], &f->arena), 0);
    return 1;
}

/* ---- driving a monitor ---- */

imx_monitor_t *make_monitor(fixture_t *f)
{
    imx_monitor_t *m = imx_monitor_create(&f->o);

    assert_non_null(m);
    return m;
}

/* A monitor that has the lease; its first tick is due within an interval. */
void begin(fixture_t *f)
{
    f->m = make_monitor(f);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->o.child->self.slot);
}

/* The tick that comes next. */
void tick(fixture_t *f)
{
    later(f, f->o.interval_ms);
    imx_monitor_step(f->m);
}

void deliver(fixture_t *f)
{
    tick(f);
    UNTIL(pending(f) == 0);
}

/* Is a body with the server, or did the last one just come back? */
int is_sending(fixture_t *f)
{
    return pending(f) > 0 && sealed(f) == 0;
}

/* Until write number n was answered with a refusal and taken back. */
void until_refused(fixture_t *f, int n, uint64_t lines)
{
    UNTIL(writes(f) >= n && sealed(f) == lines);
    assert_int_equal(writes(f), n);
}

/* How long until it sends again what the last write was refused. */
int64_t ms_to_retry(fixture_t *f, int step_ms, int64_t limit_ms)
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
int64_t ms_to_seal(fixture_t *f, int child, int64_t limit_ms)
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

int run_delivery_tests(const char *name, const struct CMUnitTest *tests,
                       size_t all, size_t forking)
{
    char line[LINE_BYTES + 1];
    int failed;

    make_line(line, LINES, 0);
    if (line[LINE_BYTES - 1] != '\n'
        || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        return 1;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = _cmocka_run_group_tests(name, tests,
                                     getenv("IMX_THREADS_ONLY") != NULL
                                         ? all - forking
                                         : all,
                                     NULL, NULL);
    curl_global_cleanup();
    return failed;
}
