/*
 * aside.c (unit) owns the tests of aside.c.
 * The test's thread and those of the calls.
 * Nothing survives a crash, and nothing needs to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/clock.h"

typedef struct {
    int gate[2]; /* the call returns when [1] is closed */
    int result;
} call_t;

static _Atomic int dropped;

static void run(void *data)
{
    call_t *c = data;
    sigset_t blocked;
    char byte;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    while (read(c->gate[0], &byte, 1) > 0) {
    }
    c->result = sigismember(&blocked, SIGTERM) ? 7 : 8;
}

static void drop(void *data)
{
    call_t *c = data;

    close(c->gate[0]);
    free(c);
    dropped++;
}

static imx_aside_t *begin(call_t **c, int *gate)
{
    *c = calloc(1, sizeof(**c));
    assert_int_equal(pipe((*c)->gate), 0);
    *gate = (*c)->gate[1];
    return imx_aside_start(run, drop, *c);
}

static void test_returns(void **state)
{
    call_t *c, *back;
    int gate;
    imx_aside_t *a = begin(&c, &gate);
    struct pollfd p = { imx_aside_fd(a), POLLIN, 0 };

    (void)state;
    dropped = 0;
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(imx_aside_wait(a, 20), 0);
    close(gate);
    assert_int_equal(imx_aside_wait(a, 5000), 1);
    assert_int_equal(poll(&p, 1, 1000), 1);
    back = imx_aside_take(a);
    assert_ptr_equal(back, c);
    assert_int_equal(back->result, 7);
    drop(back);
    assert_int_equal(dropped, 1);
}

/* Nobody waits for one that hangs; its thread frees what it has. */
static void test_hangs(void **state)
{
    call_t *c;
    int gate;
    int64_t start = imx_clock_now();
    imx_aside_t *a = begin(&c, &gate);

    (void)state;
    dropped = 0;
    imx_aside_abandon(a);
    assert_true(imx_clock_now() - start < 500 * IMX_CLOCK_MS);
    assert_int_equal(dropped, 0);
    close(gate);
    while (dropped == 0) {
        assert_true(imx_clock_now() - start < 5000 * IMX_CLOCK_MS);
        imx_clock_pause(1);
    }
    imx_aside_abandon(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_returns),
        cmocka_unit_test(test_hangs),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("aside", tests, NULL, NULL);
}
