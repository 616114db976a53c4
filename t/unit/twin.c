/*
 * twin.c (unit) owns the tests of twin.c: what is read is whole, whoever writes
 * or is killed meanwhile.
 * The test's thread, and one that writes.
 * Nothing survives a crash, and nothing needs to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "shared/fault.h"
#include "shared/twin.h"

enum { WORDS = 200, TOLD = 20000 };

static imx_twin_t *twin;
static jmp_buf killed;
static int steps; /* until the writer is killed */

static int setup(void **state)
{
    size_t size = imx_twin_size(WORDS * sizeof(uint64_t));

    (void)state;
    twin = aligned_alloc(64, size);
    memset(twin, 0, size);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    imx_fault = NULL;
    free(twin);
    return 0;
}

static void tell(uint64_t n)
{
    uint64_t words[WORDS];
    int i;

    for (i = 0; i < WORDS; i++) {
        words[i] = n;
    }
    imx_twin_tell(twin, words, sizeof words);
}

static void assert_told(uint64_t n)
{
    uint64_t words[WORDS];
    int i;

    imx_twin_told(twin, words, sizeof words);
    for (i = 0; i < WORDS; i++) {
        assert_int_equal(words[i], n);
    }
}

static void test_what_was_told(void **state)
{
    uint64_t n;

    (void)state;
    assert_int_equal(imx_twin_size(WORDS * sizeof(uint64_t)) % 64, 0);
    assert_told(0);
    for (n = 1; n < 10; n++) {
        tell(n);
        assert_told(n);
    }
}

static void die(const char *point)
{
    (void)point;
    if (--steps == 0) {
        longjmp(killed, 1);
    }
}

/* Killed after any word: it is as if it had not begun, and the next one goes
 * on. */
static void test_the_writer_is_killed(void **state)
{
    volatile int at;

    (void)state;
    tell(7);
    for (at = 1; at <= WORDS; at++) {
        imx_fault = die;
        steps = at;
        if (setjmp(killed) == 0) {
            tell(1000 + (uint64_t)at);
            fail_msg("it is not killed at word %d", at);
        }
        imx_fault = NULL;
        assert_told(at == 1 ? 7 : 2000 + (uint64_t)at - 1);
        tell(2000 + (uint64_t)at);
        assert_told(2000 + (uint64_t)at);
    }
}

static void *tell_numbers(void *arg)
{
    uint64_t n;

    (void)arg;
    for (n = 1; n <= TOLD; n++) {
        tell(n);
    }
    return NULL;
}

/* A reader that is overtaken a hundred times takes what it has: not here. */
static void test_a_twin_is_whole(void **state)
{
    uint64_t words[WORDS], last = 0;
    pthread_t thread;
    int i, wrong = 0;

    (void)state;
    pthread_create(&thread, NULL, tell_numbers, NULL);
    while (last < TOLD) {
        imx_twin_told(twin, words, sizeof words);
        for (i = 1; i < WORDS; i++) {
            wrong += words[i] != words[0];
        }
        wrong += words[0] < last;
        last = words[0];
    }
    pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_told),
        TEST(test_the_writer_is_killed),
        TEST(test_a_twin_is_whole),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("twin", tests, NULL, NULL);
}
