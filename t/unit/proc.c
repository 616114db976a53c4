/*
 * t/unit/proc.c: the kernel's small files: numbers, missing ones, ones that
 * would wait, and what this process knows of itself.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static char dir[64], path[128];

static const char *file(const char *name, const char *text)
{
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/imx-proc-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void test_numbers(void **state)
{
    int64_t n = 7;

    (void)state;
    assert_int_equal(imx_proc_number(file("n", "4096\n"), &n), 0);
    assert_int_equal(n, 4096);
    assert_int_equal(imx_proc_number(file("n", "max\n"), &n), -1);
    assert_int_equal(imx_proc_number(file("n", ""), &n), -1);
    assert_int_equal(imx_proc_number(file("n", "12x\n"), &n), -1);
    assert_int_equal(imx_proc_number(file("n", "99999999999999999999\n"), &n),
                     -1);
    unlink(path);
    assert_int_equal(imx_proc_number(path, &n), -1);
}

/* A file that is longer is cut; the NUL has its place. */
static void test_bounds(void **state)
{
    char text[5];

    (void)state;
    assert_int_equal(imx_proc_read(file("n", "123456789"), text, 5), 4);
    assert_string_equal(text, "1234");
}

/* A pipe in the place of a file is not waited for. */
static void test_no_wait(void **state)
{
    char text[8];

    (void)state;
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(5);
    assert_true(imx_proc_read(path, text, sizeof text) <= 0);
    alarm(0);
}

static int64_t burn(void)
{
    struct rusage r;
    volatile unsigned n = 0;

    do {
        for (n = 0; n < 1000000;) {
            n = n + 1;
        }
        getrusage(RUSAGE_SELF, &r);
    } while (r.ru_utime.tv_sec * SECOND + r.ru_utime.tv_usec * 1000
             < SECOND / 5);
    return r.ru_utime.tv_sec * SECOND + r.ru_utime.tv_usec * 1000;
}

static void test_this_process(void **state)
{
    imx_proc_stat_t s;
    int64_t used = burn(), age;

    (void)state;
    assert_int_equal(imx_proc_stat(getpid(), &s), 0);
    assert_int_equal(s.state, 'R');
    assert_int_equal(s.threads, 1);
    assert_in_range(s.cpu_user + SECOND / 50, used, used + SECOND);
    assert_in_range(s.rss, 1 << 18, 1 << 30);
    age = imx_proc_age(s.started);
    assert_in_range(age, SECOND / 10, 60 * SECOND);
    assert_int_equal(imx_proc_stat(0x7ffffff0, &s), -1);
}

static void test_descriptors(void **state)
{
    int64_t before = imx_proc_fds(), fd[3], i, open_ones = 0;

    (void)state;
    for (i = 0; i < 65536; i++) {
        open_ones += fcntl((int)i, F_GETFD) >= 0;
    }
    assert_int_equal(before, open_ones);
    for (i = 0; i < 3; i++) {
        fd[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    assert_int_equal(imx_proc_fds(), before + 3);
    for (i = 0; i < 3; i++) {
        close((int)fd[i]);
    }
    assert_int_equal(imx_proc_fds(), before);
}

/* Not a test of speed: says what one look costs. */
static void test_cost(void **state)
{
    imx_proc_stat_t s;
    int64_t begun = imx_clock_now(), between;
    int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        imx_proc_stat(getpid(), &s);
    }
    between = imx_clock_now();
    for (i = 0; i < 1000; i++) {
        imx_proc_fds();
    }
    print_message("# stat %d ns, fds %d ns\n", (int)((between - begun) / 1000),
                  (int)((imx_clock_now() - between) / 1000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_numbers),
        TEST(test_bounds),
        TEST(test_no_wait),
        cmocka_unit_test(test_this_process),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_cost),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
