/*
 * t/unit/errand.c: a step in a process of its own: its answer, its crash, one
 * that hangs, what it holds, and the signals of httpd.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/errand.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void no_child_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static int answers(void *context, char *text)
{
    snprintf(text, IMX_ERRAND_TEXT, "it is %s", (const char *)context);
    return 17;
}

static void test_answer(void **state)
{
    char text[IMX_ERRAND_TEXT];
    char word[] = "here";

    (void)state;
    assert_int_equal(imx_errand_run(answers, word, 5000, text), 17);
    assert_string_equal(text, "it is here");
    no_child_is_left();
}

static int is_too_long(void *context, char *text)
{
    (void)context;
    memset(text, 'x', IMX_ERRAND_TEXT);
    return 0;
}

static void test_long_text(void **state)
{
    char text[IMX_ERRAND_TEXT];

    (void)state;
    assert_int_equal(imx_errand_run(is_too_long, NULL, 5000, text), 0);
    assert_int_equal(strlen(text), IMX_ERRAND_TEXT - 1);
}

static int crashes(void *context, char *text)
{
    (void)context;
    strcpy(text, "never seen");
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void test_crash(void **state)
{
    char text[IMX_ERRAND_TEXT];

    (void)state;
    assert_int_equal(imx_errand_run(crashes, NULL, 5000, text),
                     IMX_ERRAND_FAILED);
    assert_string_equal(text, "");
    no_child_is_left();
}

static int hangs(void *context, char *text)
{
    (void)context;
    (void)text;
    while (pause() < 0) {
    }
    return 0;
}

static void test_hang(void **state)
{
    char text[IMX_ERRAND_TEXT];
    int64_t begin = now_ms();

    (void)state;
    assert_int_equal(imx_errand_run(hangs, NULL, 200, text), IMX_ERRAND_LATE);
    assert_true(now_ms() - begin >= 200);
    assert_true(now_ms() - begin < 5000);
    no_child_is_left();
}

static void heard(int signal)
{
    (void)signal;
}

/* Signals to the parent neither end the wait nor make it longer. */
static void test_interrupted(void **state)
{
    const struct timespec every = { .tv_nsec = 10000000 };
    char text[IMX_ERRAND_TEXT];
    struct sigaction sa = { .sa_handler = heard }, before;
    int64_t begin = now_ms();
    pid_t parent = getpid(), pid;

    (void)state;
    sigaction(SIGUSR1, &sa, &before);
    pid = fork();
    if (pid == 0) {
        while (getppid() == parent) {
            kill(parent, SIGUSR1);
            nanosleep(&every, NULL);
        }
        _exit(0);
    }
    assert_int_equal(imx_errand_run(hangs, NULL, 300, text), IMX_ERRAND_LATE);
    assert_true(now_ms() - begin >= 300);
    assert_true(now_ms() - begin < 5000);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0) {
    }
    sigaction(SIGUSR1, &before, NULL);
}

/* What is open beside 0, 1, 2 and the way back. */
static int looks_at_its_files(void *context, char *text)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;
    int n = 0;

    (void)context;
    (void)text;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        n += e->d_name[0] != '.' && atoi(e->d_name) > 3
             && atoi(e->d_name) != dirfd(dir);
    }
    return dir != NULL ? n : 100;
}

static void test_files(void **state)
{
    char text[IMX_ERRAND_TEXT];
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(imx_errand_run(looks_at_its_files, NULL, 5000, text), 0);
    close(fds[0]);
    close(fds[1]);
}

static int tells_of_handler(void *context, char *text)
{
    struct sigaction sa;

    (void)context;
    (void)text;
    sigaction(SIGTERM, NULL, &sa);
    return sa.sa_handler != SIG_DFL;
}

static void test_handlers(void **state)
{
    char text[IMX_ERRAND_TEXT];
    struct sigaction sa = { .sa_handler = heard }, before;

    (void)state;
    sigaction(SIGTERM, &sa, &before);
    assert_int_equal(imx_errand_run(tells_of_handler, NULL, 5000, text), 0);
    sigaction(SIGTERM, &before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),      cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_crash),       cmocka_unit_test(test_hang),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_files),
        cmocka_unit_test(test_handlers),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
