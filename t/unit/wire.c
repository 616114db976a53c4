/*
 * wire.c (unit) owns the tests of wire.c: no descriptor is left for a program.
 * The test's thread, and one that forks.
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

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "deliver/wire.h"

/* How many descriptors a program would inherit, from 3 on. */
static int inheritable(void)
{
    int n = 0;

    for (int fd = 3; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) == 0;
    }
    return n;
}

static void test_multi(void **state)
{
    int before = inheritable(), pair[2], pipes[2];
    CURLM *multi[3];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(write(pair[0], "data", 4), 4);
    assert_int_equal(pipe(pipes), 0);
    for (int i = 0; i < 3; i++) {
        multi[i] = imx_wire_multi();
        assert_non_null(multi[i]);
    }
    assert_int_equal(inheritable(), before + 4); /* those of others stay */
    for (int i = 0; i < 3; i++) {
        curl_multi_cleanup(multi[i]);
    }
    assert_int_equal(recv(pair[1], (char[8]){ 0 }, 8, MSG_DONTWAIT), 4);
    for (int i = 0; i < 2; i++) {
        close(pair[i]);
        close(pipes[i]);
    }
    assert_int_equal(inheritable(), before);
}

/* Wherever the numbers are that are free. */
static void test_high(void **state)
{
    int before, fds[200];
    CURLM *multi;

    (void)state;
    curl_multi_cleanup(imx_wire_multi()); /* what stays open, is */
    before = inheritable();
    for (int i = 0; i < 200; i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    close(fds[20]); /* one end is low, and the other one high */
    multi = imx_wire_multi();
    assert_int_equal(inheritable(), before);
    curl_multi_cleanup(multi);
    for (int i = 0; i < 200; i++) {
        if (i != 20) {
            close(fds[i]);
        }
    }
}

/* Not even for an instant: what is forked meanwhile looks at once. */
static _Atomic int ended;

static void *fork_often(void *arg)
{
    int *most = arg;

    while (!ended) {
        pid_t pid = fork();
        int status = 0;

        if (pid == 0) {
            _exit(inheritable());
        }
        waitpid(pid, &status, 0);
        if (WEXITSTATUS(status) > *most) {
            *most = WEXITSTATUS(status);
        }
    }
    return NULL;
}

static void test_forks(void **state)
{
    int before = inheritable(), most = 0;
    int64_t end = imx_clock_now() + 300 * IMX_CLOCK_MS;
    pthread_t forker;

    (void)state;
    curl_multi_cleanup(imx_wire_multi()); /* now forks are watched */
    assert_int_equal(pthread_create(&forker, NULL, fork_often, &most), 0);
    while (imx_clock_now() < end) {
        curl_multi_cleanup(imx_wire_multi());
    }
    ended = 1;
    pthread_join(forker, NULL);
    assert_int_equal(most, before);
}

static void test_wait(void **state)
{
    CURLM *multi = imx_wire_multi();
    int pipes[2], fds[] = { -1, -1, -1, -1 };
    int64_t start = imx_clock_now();

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    fds[2] = pipes[0];
    imx_wire_wait(multi, fds, 4, 50);
    assert_true(imx_clock_now() - start >= 49 * IMX_CLOCK_MS);
#if LIBCURL_VERSION_NUM >= 0x074400
    curl_multi_wakeup(multi); /* who writes to the pair wakes nobody */
#endif
    start = imx_clock_now();
    imx_wire_wait(multi, fds, 4, 50);
    assert_true(imx_clock_now() - start >= 49 * IMX_CLOCK_MS);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    imx_wire_wait(multi, fds, 4, 10000);
    assert_true(imx_clock_now() - start < 5000 * IMX_CLOCK_MS);
    curl_multi_cleanup(multi);
    close(pipes[0]);
    close(pipes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multi),
        cmocka_unit_test(test_high),
        cmocka_unit_test(test_forks),
        cmocka_unit_test(test_wait),
    };

    if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
        return 1;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
