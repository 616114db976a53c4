/*
 * t/unit/values.c: the sets of tag values, with threads, processes,
 * kill -9 and memory full of nonsense.
 *
 * What each call said is counted by value in memory that outlives the processes
 * (lab), so that a value that is refused though there is room, one too many, or
 * one that is known now and not later is found.
 *
 * IMX_THREADS_ONLY=1 leaves out all tests that fork (ThreadSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/fault.h"
#include "shared/values.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define VALUES 4096 /* different ones that a test may use */
#define THREADS 4
#define TEST_LIMIT 60 /* seconds that a process may live */
#define PAGE 4096
#define CANARY 0xA5

static const unsigned char key[IMX_VALUES_KEY_LEN] = "sixteen bytes :)";

/* ---- what is known beside the area ---- */

typedef struct {
    _Atomic uint32_t yes[VALUES], no[VALUES];
    _Atomic uint32_t ready, news;
    _Atomic int go;
} lab_t;

static lab_t *lab;

/* The area of a test, between two pages that nobody may touch. */
static struct {
    char *map;
    size_t map_size, size;
    unsigned char *base;
} memory;

static imx_values_t values;

/* As text, NULL when there is none. */
static const char *tag_name(uint32_t i, uint32_t *count, uint64_t *others)
{
    static char name[IMX_VALUES_NAME_MAX + 1];

    return imx_values_tag(&values, i, name, count, others) ? name : NULL;
}

static const char *news(void)
{
    static char name[IMX_VALUES_NAME_MAX + 1];

    return imx_values_news(&values, name) ? name : NULL;
}

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

static void *shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static void free_area(void)
{
    if (memory.map != NULL) {
        munmap(memory.map, memory.map_size);
        memory.map = NULL;
    }
}

/* Ends as close to the second forbidden page as 64 bytes of alignment allow. */
static void make_area(uint32_t limit, uint32_t tags)
{
    size_t inner;

    free_area();
    memory.size = imx_values_plan(limit, tags);
    inner = (memory.size + PAGE - 1) / PAGE * PAGE;
    memory.map_size = inner + 2 * PAGE;
    memory.map = shared(memory.map_size);
    memset(memory.map + PAGE, CANARY, inner - memory.size / 64 * 64);
    memory.base = (unsigned char *)memory.map + PAGE
                  + (inner - memory.size) / 64 * 64;
    memset(memory.base, 0, memory.size);
    assert_int_equal(mprotect(memory.map, PAGE, PROT_NONE), 0);
    assert_int_equal(mprotect(memory.map + PAGE + inner, PAGE, PROT_NONE), 0);
    imx_values_format(&values, memory.base, limit, tags, key);
}

static int setup(void **state)
{
    (void)state;
    lab = shared(sizeof *lab);
    memset(&values, 0, sizeof values);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    imx_fault = NULL;
    free_area();
    munmap(lab, sizeof *lab);
    return 0;
}

/* Values 0 .. VALUES-1; the half of them in groups that share their lower bits,
 * and so the place where they are looked for. */
static uint64_t fingerprint(uint32_t value)
{
    return value % 2
               ? mix(value + 1)
               : (uint64_t)(value + 1) << 32 | (uint32_t)mix(value / 32 + 1);
}

static int ask(uint32_t value)
{
    int admitted = imx_values_admit(&values, 0, fingerprint(value));

    atomic_fetch_add(admitted ? &lab->yes[value] : &lab->no[value], 1);
    return admitted;
}

static uint32_t counted(uint64_t *others)
{
    uint32_t count = 0;

    assert_non_null(tag_name(0, &count, others));
    return count;
}

/* Of all that was asked, exactly so many were admitted, and whoever asked for
 * one had the same answer, always. */
static void check_lab(uint32_t limit)
{
    uint32_t i, asked = 0, admitted = 0;
    uint64_t others, refused = 0;

    for (i = 0; i < VALUES; i++) {
        asked += lab->yes[i] + lab->no[i] > 0;
        admitted += lab->yes[i] > 0;
        refused += lab->no[i];
        if (lab->yes[i] > 0 && lab->no[i] > 0) {
            fail_msg("value %u: %u times yes, %u times no", i, lab->yes[i],
                     lab->no[i]);
        }
    }
    assert_int_equal(admitted, asked < limit ? asked : limit);
    assert_int_equal(counted(&others), admitted);
    assert_int_equal(others, refused);
    assert_int_equal(imx_values_totals(&values).others, refused);
    assert_int_equal(imx_values_totals(&values).full, refused > 0);
}

/* ---- threads and processes ---- */

typedef struct {
    uint32_t first, count; /* values, each once, in an order of its own */
    uint64_t seed;
    void (*ask)(uint32_t value);
} worker_t;

static void ask_one(uint32_t value)
{
    ask(value);
}

static void wait_for_go(void)
{
    atomic_fetch_add(&lab->ready, 1);
    while (!atomic_load(&lab->go)) {
        sched_yield();
    }
}

/* An odd step visits every value of a power of two; others are asked for too,
 * but only those that are wanted. */
static void *work(void *data)
{
    const worker_t *w = data;
    uint32_t i,
        at = (uint32_t)w->seed, step = (uint32_t)(mix(w->seed) << 1 | 1);

    wait_for_go();
    for (i = 0; i < VALUES; i++, at += step) {
        if (at % VALUES < w->count) {
            w->ask(w->first + at % VALUES);
        }
    }
    return NULL;
}

static void start_together(uint32_t count)
{
    while (atomic_load(&lab->ready) < count) {
        sched_yield();
    }
    atomic_store(&lab->go, 1);
}

static void start_threads(pthread_t *threads, worker_t *workers,
                          const worker_t *like, uint64_t seed)
{
    int i;

    for (i = 0; i < THREADS; i++) {
        workers[i] = *like;
        workers[i].seed = mix(seed + (uint64_t)i);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]),
                         0);
    }
}

static void join_threads(const pthread_t *threads)
{
    int i;

    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void run_threads(const worker_t *like, uint64_t seed)
{
    pthread_t threads[THREADS];
    worker_t workers[THREADS];

    atomic_store(&lab->ready, 0);
    atomic_store(&lab->go, 0);
    start_threads(threads, workers, like, seed);
    start_together(THREADS);
    join_threads(threads);
}

static pid_t start_process(const worker_t *like, uint64_t seed)
{
    pthread_t threads[THREADS];
    worker_t workers[THREADS];
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(TEST_LIMIT);
        start_threads(threads, workers, like, seed);
        join_threads(threads);
        _exit(0);
    }
    return pid;
}

static void wait_for(pid_t pid, int killed)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                       : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- one thread ---- */

static void test_a_fresh_area(void **state)
{
    uint64_t others;

    (void)state;
    make_area(10, 3);
    assert_memory_equal(imx_values_key(&values), key, sizeof key);
    assert_null(news());
    assert_int_equal(imx_values_use(&values, 0, "path"), 1);
    assert_int_equal(counted(&others), 0);
    assert_int_equal(others, 0);
    assert_int_equal(imx_values_totals(&values).left_out, 0);
    imx_values_left_out(&values);
    assert_int_equal(imx_values_totals(&values).left_out, 1);
}

static void test_no_area(void **state)
{
    uint32_t count;
    uint64_t others;

    (void)state;
    assert_null(tag_name(0, &count, &others));
    assert_null(news());
    assert_int_equal(imx_values_totals(&values).others, 0);
}

static void test_at_most_the_limit(void **state)
{
    static const uint32_t limits[] = { 1, 2, 31, 32, 33, 1000, VALUES - 1 };
    uint32_t i, n;

    (void)state;
    for (i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        memset(lab, 0, sizeof *lab);
        make_area(limits[i], 1);
        imx_values_use(&values, 0, "path");
        for (n = 0; n < VALUES; n++) {
            assert_int_equal(ask(n), n < limits[i]);
            assert_int_equal(ask(n), n < limits[i]);
            assert_int_equal(imx_values_totals(&values).full, n >= limits[i]);
        }
        check_lab(limits[i]);
    }
}

static void test_every_fingerprint(void **state)
{
    static const uint64_t odd[] = { 0, UINT64_MAX, UINT64_C(1) << 63,
                                    UINT32_MAX, 1 };
    uint32_t i;

    (void)state;
    make_area(4, 1);
    imx_values_use(&values, 0, "path");
    for (i = 0; i < 5; i++) { /* 0 and 1 are one */
        assert_int_equal(imx_values_admit(&values, 0, odd[i]), 1);
    }
    assert_int_equal(imx_values_admit(&values, 0, 2), 0);
}

static void test_the_largest_limit(void **state)
{
    uint32_t i;

    (void)state;
    make_area(IMX_VALUES_LIMIT_MAX, 1);
    imx_values_use(&values, 0, "path");
    for (i = 0; i < IMX_VALUES_LIMIT_MAX; i++) {
        assert_int_equal(imx_values_admit(&values, 0, mix(i + 1)), 1);
    }
    assert_int_equal(imx_values_admit(&values, 0, mix(i + 1)), 0);
    assert_int_equal(imx_values_admit(&values, 0, mix(i)), 1);
}

/* Each tag has a set of its own. */
static void test_tags_are_apart(void **state)
{
    uint32_t i, count;
    uint64_t others;
    char name[] = "tag 0";

    (void)state;
    make_area(8, 10);
    for (i = 0; i < 10; i++) {
        name[4] = (char)('0' + i);
        assert_int_equal(imx_values_use(&values, i, name), 1);
    }
    for (i = 0; i < 80; i++) {
        assert_int_equal(imx_values_admit(&values, i % 10,
                                          mix(1 + i / 10 % (i % 10 + 1))),
                         1);
    }
    for (i = 0; i < 10; i++) {
        name[4] = (char)('0' + i);
        assert_string_equal(tag_name(i, &count, &others), name);
        assert_int_equal(count, i < 8 ? i + 1 : 8);
    }
    assert_null(tag_name(10, &count, &others));
}

/* ---- names, and generations of a server ---- */

static void test_names(void **state)
{
    char longest[IMX_VALUES_NAME_MAX + 2];
    uint32_t count;
    uint64_t others;

    (void)state;
    make_area(8, 3);
    memset(longest, 'x', sizeof longest);
    longest[IMX_VALUES_NAME_MAX + 1] = '\0';
    assert_int_equal(imx_values_use(&values, 0, longest), 0);
    longest[IMX_VALUES_NAME_MAX] = '\0';
    assert_int_equal(imx_values_use(&values, 0, longest), 1);
    assert_string_equal(tag_name(0, &count, &others), longest);
    assert_int_equal(imx_values_use(&values, IMX_VALUES_TAGS_MAX, "a"), 0);
    assert_int_equal(imx_values_use(&values, 1, "a"), 1);
    assert_int_equal(imx_values_use(&values, 2, "b"), 1);
    assert_int_equal(imx_values_use(&values, 3, "c"), 0);
    assert_int_equal(imx_values_use(&values, 3, "a"), 1);
}

/* A graceful restart numbers its tags anew; the values of a name stay, and the
 * old children's numbers stay right. */
static void test_generations(void **state)
{
    imx_values_t old;
    uint32_t i;

    (void)state;
    make_area(5, 4);
    imx_values_use(&values, 0, "agent");
    imx_values_use(&values, 1, "path");
    for (i = 0; i < 5; i++) {
        assert_int_equal(imx_values_admit(&values, 1, mix(i + 1)), 1);
    }
    old = values;
    imx_values_use(&values, 0, "path");
    imx_values_use(&values, 1, "user");
    imx_values_use(&values, 2, "agent");
    assert_int_equal(imx_values_admit(&values, 0, mix(3)), 1);
    assert_int_equal(imx_values_admit(&values, 0, mix(77)), 0);
    assert_int_equal(imx_values_admit(&values, 1, mix(77)), 1);
    assert_int_equal(imx_values_admit(&values, 2, mix(88)), 1);
    assert_int_equal(imx_values_admit(&old, 1, mix(77)), 0);
    assert_int_equal(imx_values_admit(&old, 1, mix(5)), 1);
    for (i = 0; i < 5; i++) {
        assert_int_equal(imx_values_admit(&old, 0, mix(88 + i)), 1);
    }
    assert_int_equal(imx_values_admit(&values, 2, mix(99)), 0);
}

/* ---- racing ---- */

/* The others overtake in the middle of adding a value. */
static void let_others(const char *point)
{
    (void)point;
    sched_yield();
}

/* Another thread adds the same value just after it was not found. */
static void be_faster(const char *point)
{
    if (strcmp(point, "missed") == 0) {
        imx_fault = NULL;
        assert_int_equal(ask(7), 1);
    }
}

static void test_the_same_value_at_the_limit(void **state)
{
    uint32_t limit;

    (void)state;
    for (limit = 1; limit < 3; limit++) {
        memset(lab, 0, sizeof *lab);
        make_area(limit, 1);
        imx_values_use(&values, 0, "path");
        imx_fault = be_faster;
        assert_int_equal(ask(7), 1);
        check_lab(limit);
    }
}

/* Fewer values than the limit, or as many: nobody is refused, nothing is news,
 * however often two find the same value new.  More: exactly the limit. */
static void test_threads_race(void **state)
{
    static const uint32_t limits[] = { 1, 2, 3, 8 };
    uint32_t round;

    (void)state;
    imx_fault = let_others;
    for (round = 0; round < 400; round++) {
        uint32_t limit = limits[round % 4];
        worker_t w = { .count = round / 4 % 2 ? limit : 2 * limit,
                       .ask = ask_one };

        memset(lab, 0, sizeof *lab);
        make_area(limit, 1);
        imx_values_use(&values, 0, "path");
        run_threads(&w, round);
        check_lab(limit);
        assert_int_equal(news() != NULL, w.count > limit);
    }
}

static void test_threads_race_for_many(void **state)
{
    worker_t w = { .count = 3000, .ask = ask_one };
    uint32_t round;

    (void)state;
    imx_fault = let_others;
    for (round = 0; round < 10; round++) {
        memset(lab, 0, sizeof *lab);
        make_area(1000 + round % 2 * 2000, 1);
        imx_values_use(&values, 0, "path");
        run_threads(&w, round);
        check_lab(1000 + round % 2 * 2000);
    }
}

static void test_processes_race(void **state)
{
    enum { PROCESSES = 6 };
    pid_t pids[PROCESSES];
    uint32_t round;
    int i;

    (void)state;
    imx_fault = let_others;
    for (round = 0; round < 10; round++) {
        uint32_t limit = round % 2 ? 700 : 1500;

        memset(lab, 0, sizeof *lab);
        make_area(limit, 1);
        imx_values_use(&values, 0, "path");
        for (i = 0; i < PROCESSES; i++) {
            worker_t w = {
                .first = (uint32_t)i * 140, .count = 800, .ask = ask_one
            };

            pids[i] = start_process(&w, round * 100 + (uint32_t)i);
        }
        start_together(PROCESSES * THREADS);
        for (i = 0; i < PROCESSES; i++) {
            wait_for(pids[i], 0);
        }
        check_lab(limit);
    }
}

static void listen_for_news(uint32_t value)
{
    ask(value);
    if (news() != NULL) {
        atomic_fetch_add(&lab->news, 1);
    }
}

static void test_news_are_told_once(void **state)
{
    worker_t w = { .count = 200, .ask = listen_for_news };
    pid_t pids[3];
    uint32_t round;
    int i;

    (void)state;
    imx_fault = let_others;
    for (round = 0; round < 10; round++) {
        memset(lab, 0, sizeof *lab);
        make_area(100, 2);
        imx_values_use(&values, 0, "path");
        for (i = 0; i < 3; i++) {
            pids[i] = start_process(&w, round * 100 + (uint32_t)i);
        }
        start_together(3 * THREADS);
        for (i = 0; i < 3; i++) {
            wait_for(pids[i], 0);
        }
        assert_int_equal(lab->news, 1);
        assert_null(news());
    }
}

/* ---- kill -9 ---- */

static const char *deadly;

static void die(const char *point)
{
    if (strcmp(point, deadly) == 0) {
        raise(SIGKILL);
    }
}

/* A child that dies between the steps of adding a value has added it. */
static void test_killed_between_the_steps(void **state)
{
    uint32_t i;
    pid_t pid;

    (void)state;
    make_area(50, 1);
    imx_values_use(&values, 0, "path");
    for (i = 0; i < 50; i++) {
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            imx_fault = die;
            deadly = i % 2 ? "listed" : "put";
            ask(i);
            _exit(1);
        }
        wait_for(pid, 1);
    }
    for (i = 0; i < 50; i++) {
        assert_int_equal(ask(49 - i), 1);
    }
    assert_int_equal(ask(50), 0);
    check_lab(50);
}

/* Killed anywhere, again and again: the set still takes exactly its limit.
 * A value may have been added by one who could not say so any more. */
static void test_killed_anywhere(void **state)
{
    worker_t w = { .count = 3000, .ask = ask_one };
    uint32_t round, i, admitted = 0;
    uint64_t others;
    pid_t pid;

    (void)state;
    make_area(3000, 1);
    imx_values_use(&values, 0, "path");
    for (round = 0; round < 60; round++) {
        lab->ready = 0;
        lab->go = 0;
        pid = start_process(&w, round);
        start_together(THREADS);
        usleep((useconds_t)(random64() % 300));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    for (i = 0; i < VALUES; i++) {
        admitted += (uint32_t)ask(i);
        assert_int_equal(lab->yes[i] > 0 && lab->no[i] > 0, 0);
    }
    assert_int_equal(admitted, 3000);
    assert_int_equal(counted(&others), 3000);
}

/* ---- nonsense ---- */

static void scribble(void)
{
    size_t i, n = 1 + random64() % memory.size;
    unsigned char byte = (unsigned char)random64();
    int kind = (int)(random64() % 4);

    for (i = kind == 0 ? 0 : memory.size - n; i < memory.size; i++) {
        memory.base[i] = kind == 1   ? byte
                         : kind == 2 ? 0xFF
                                     : (unsigned char)random64();
    }
}

/* Whatever is in the area: every call comes back, and none touches a byte
 * outside (there a page is forbidden). */
static void test_nonsense(void **state)
{
    uint32_t round, i, count;
    uint64_t others;

    (void)state;
    for (round = 0; round < 300; round++) {
        make_area(1 + (uint32_t)(random64() % 500), 1 + round % 5);
        imx_values_use(&values, 0, "path");
        scribble();
        for (i = 0; i < 50; i++) {
            imx_values_admit(&values, (unsigned)random64(), random64());
            imx_values_left_out(&values);
        }
        for (i = 0; i < 10; i++) {
            const char *name = tag_name(i, &count, &others);

            assert_true(name == NULL || strlen(name) <= IMX_VALUES_NAME_MAX);
            name = news();
            assert_true(name == NULL || strlen(name) <= IMX_VALUES_NAME_MAX);
        }
        imx_values_totals(&values);
        imx_values_use(&values, 0, "other");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_fresh_area),
        TEST(test_no_area),
        TEST(test_at_most_the_limit),
        TEST(test_every_fingerprint),
        TEST(test_the_largest_limit),
        TEST(test_tags_are_apart),
        TEST(test_names),
        TEST(test_generations),
        TEST(test_nonsense),
        TEST(test_the_same_value_at_the_limit),
        TEST(test_threads_race),
        TEST(test_threads_race_for_many),
        /* with processes */
        TEST(test_processes_race),
        TEST(test_news_are_told_once),
        TEST(test_killed_between_the_steps),
        TEST(test_killed_anywhere),
    };
    const size_t all = sizeof tests / sizeof tests[0], with_processes = 4;

    alarm(300);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests(getenv("IMX_THREADS_ONLY") ? "threads"
                                                              : "values",
                                   tests,
                                   getenv("IMX_THREADS_ONLY") != NULL
                                       ? all - with_processes
                                       : all,
                                   NULL, NULL);
}
