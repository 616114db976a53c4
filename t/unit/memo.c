/*
 * t/unit/memo.c: what belongs to two pointers is made once, by threads that all
 * want it at the same time; up to a bound; and nobody waits.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memo.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4, PAIRS = 3000, ROUNDS = 20 }; /* more than buckets */

static char sides[PAIRS];
static _Atomic int makers; /* threads that are in make() now */
static _Atomic int wrong;
static _Atomic unsigned made_count, go;
static int may_make;

static imx_memo_pair_t *make(const void *first, const void *second)
{
    imx_memo_pair_t *pair = malloc(sizeof *pair);

    (void)second;
    if (!may_make || pair == NULL) {
        free(pair);
        return NULL;
    }
    if (makers++ != 0) {
        wrong++;
    }
    made_count++;
    pair->made = (void *)first;
    makers--;
    return pair;
}

static const void *second_of(int n)
{
    return &sides[n * 31 % PAIRS];
}

static int setup(void **state)
{
    (void)state;
    may_make = 1;
    made_count = go = 0;
    wrong = 0;
    return 0;
}

static void *work(void *data)
{
    imx_memo_t *memo = data;
    int i;

    while (!go) {
        sched_yield();
    }
    for (i = 0; i < ROUNDS * PAIRS; i++) {
        int n = i * 7919 % PAIRS;
        void *found = imx_memo_get(memo, &sides[n], second_of(n), make);

        /* NULL: another thread is making something. */
        if (found != NULL && found != &sides[n]) {
            wrong++;
        }
    }
    return NULL;
}

static void test_threads_make_each_once(void **state)
{
    static imx_memo_t memo = IMX_MEMO_INIT(2 * PAIRS);
    pthread_t threads[THREADS];
    int i;

    (void)state;
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &memo), 0);
    }
    go = 1;
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(wrong, 0);
    for (i = 0; i < PAIRS; i++) {
        assert_ptr_equal(imx_memo_get(&memo, &sides[i], second_of(i), make),
                         &sides[i]);
        assert_ptr_equal(imx_memo_find(&memo, &sides[i], second_of(i)),
                         &sides[i]);
    }
    assert_int_equal(made_count, PAIRS);
    assert_int_equal(memo.count, PAIRS);
    assert_null(imx_memo_find(&memo, &sides[1], &sides[0]));
}

static void test_takes_so_many(void **state)
{
    static imx_memo_t memo = IMX_MEMO_INIT(2);

    (void)state;
    assert_non_null(imx_memo_get(&memo, &sides[0], &sides[1], make));
    assert_non_null(imx_memo_get(&memo, &sides[1], &sides[0], make));
    assert_null(imx_memo_get(&memo, &sides[2], &sides[0], make));
    assert_ptr_equal(imx_memo_get(&memo, &sides[1], &sides[0], make),
                     &sides[1]);
    assert_int_equal(made_count, 2);
}

static void test_what_cannot_be_made(void **state)
{
    static imx_memo_t memo = IMX_MEMO_INIT(2);

    (void)state;
    may_make = 0;
    assert_null(imx_memo_get(&memo, &sides[0], &sides[1], make));
    assert_int_equal(memo.count, 0);
    may_make = 1;
    assert_non_null(imx_memo_get(&memo, &sides[0], &sides[1], make));
}

/* As in a signal handler that has interrupted who has the lock. */
static void test_nobody_waits(void **state)
{
    static imx_memo_t memo = IMX_MEMO_INIT(4);

    (void)state;
    assert_non_null(imx_memo_get(&memo, &sides[0], &sides[1], make));
    pthread_mutex_lock(&memo.lock);
    assert_null(imx_memo_get(&memo, &sides[1], &sides[2], make));
    assert_non_null(imx_memo_get(&memo, &sides[0], &sides[1], make));
    pthread_mutex_unlock(&memo.lock);
    assert_non_null(imx_memo_get(&memo, &sides[1], &sides[2], make));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_threads_make_each_once, setup),
        cmocka_unit_test_setup(test_takes_so_many, setup),
        cmocka_unit_test_setup(test_what_cannot_be_made, setup),
        cmocka_unit_test_setup(test_nobody_waits, setup),
    };

    alarm(120);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("memo", tests, NULL, NULL);
}
