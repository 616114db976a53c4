/*
 * t/unit/spool_jobs.c: jobs on a disk, in the caller and on a thread; a disk
 * that hangs is an fsync() that waits.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "deliver/spool_jobs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT_MS 20000

static _Atomic int is_hanging, hung, woken;
static char top[64], dir[96];
static imx_spool_jobs_options_t o;
static imx_spool_jobs_t *j;
static struct iovec line = { "a n=1i 1\n", 9 };

int fsync(int fd)
{
    (void)fd;
    atomic_fetch_add(&hung, 1);
    while (atomic_load(&is_hanging)) {
        imx_clock_pause(1);
    }
    return 0;
}

static void wake(void *context)
{
    assert_ptr_equal(context, &woken);
    atomic_fetch_add(&woken, 1);
}

static int setup(void **state)
{
    (void)state;
    atomic_store(&is_hanging, 0);
    atomic_store(&hung, 0);
    atomic_store(&woken, 0);
    strcpy(top, "/tmp/imx-jobs-XXXXXX");
    if (mkdtemp(top) == NULL) {
        return 1;
    }
    snprintf(dir, sizeof dir, "%s/spool", top);
    o = (imx_spool_jobs_options_t){ .dirs = { dir, "/nowhere/at/all" },
                                    .wake = wake,
                                    .wake_context = &woken };
    return mkdir(dir, 0700);
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir) != 0 || rmdir(top) != 0;
}

static imx_spool_job_t result_of(const imx_spool_job_t *job)
{
    int64_t deadline = imx_clock_now() + LIMIT_MS * IMX_CLOCK_MS;
    imx_spool_job_t r;

    memset(&r, 0, sizeof r);
    assert_false(imx_spool_jobs_is_busy(j));
    imx_spool_jobs_begin(j, job);
    assert_true(imx_spool_jobs_is_busy(j));
    while (!imx_spool_jobs_take(j, &r)) {
        assert_true(imx_clock_now() < deadline);
        imx_clock_pause(1);
    }
    assert_false(imx_spool_jobs_is_busy(j));
    assert_int_equal(r.kind, job->kind);
    return r;
}

static imx_spool_job_t simple(imx_spool_job_e kind, int in, uint64_t count)
{
    imx_spool_job_t job = { .kind = kind,
                            .dir = in,
                            .lines = &line,
                            .count = count,
                            .max_bytes = 1000,
                            .max_lines = 1000 };

    return result_of(&job);
}

static void stop(void)
{
    assert_int_equal(imx_spool_jobs_stop(j, LIMIT_MS), 1);
    imx_spool_jobs_free(j);
}

static void each_job_has_its_result(void **state)
{
    imx_spool_job_t r;

    (void)state;
    j = imx_spool_jobs_create(&o);
    assert_non_null(j);
    r = simple(IMX_SPOOL_JOB_OPEN, 1, 0);
    assert_int_equal(r.err, ENOENT);
    assert_non_null(strstr(r.reason, "/nowhere"));
    r = simple(IMX_SPOOL_JOB_LOOK, 1, 0); /* of what is not open */
    assert_int_equal(r.totals.files, 0);
    assert_int_equal(simple(IMX_SPOOL_JOB_OPEN, 0, 0).err, 0);
    r = simple(IMX_SPOOL_JOB_PUT, 0, 1);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.totals.lines, 1);
    r = simple(IMX_SPOOL_JOB_NEXT, 0, 0);
    assert_int_equal(r.piece.count, 1);
    assert_memory_equal(r.piece.lines[0].iov_base, "a n=1i 1\n", 9);
    simple(IMX_SPOOL_JOB_PUT_BACK, 0, 0);
    r = simple(IMX_SPOOL_JOB_NEXT, 0, 0);
    assert_int_equal(r.piece.count, 1);
    r = simple(IMX_SPOOL_JOB_DONE, 0, 1);
    assert_int_equal(r.totals.files, 0);
    r = simple(IMX_SPOOL_JOB_NEXT, 0, 0);
    assert_int_equal(r.piece.count, 0);
    stop();
}

static void on_a_thread(void **state)
{
    each_job_has_its_result(state);
    assert_int_equal(atomic_load(&woken), 9);
}

static void in_the_caller(void **state)
{
    o.is_inline = 1;
    each_job_has_its_result(state);
    assert_int_equal(atomic_load(&woken), 0);
}

static void names_are_trusted_when_they_promise_that_much(void **state)
{
    imx_spool_job_t job = {
        .kind = IMX_SPOOL_JOB_OPEN, .count = 7, .trust = 1
    };
    char path[200];
    FILE *file;

    (void)state;
    o.is_inline = 1;
    snprintf(path, sizeof path, "%s/0000000000000000001-00000000-000007.lp",
             dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("a n=1i 1\n", file);
    fclose(file);
    j = imx_spool_jobs_create(&o);
    assert_int_equal(result_of(&job).totals.lines, 7);
    stop();
    job.count = 8;
    j = imx_spool_jobs_create(&o);
    assert_int_equal(result_of(&job).totals.lines, 0);
    assert_int_equal(simple(IMX_SPOOL_JOB_COUNT, 0, 0).totals.lines, 1);
    stop();
    unlink(path);
}

static void begin_a_put_that_hangs(void)
{
    imx_spool_job_t job = {
        .kind = IMX_SPOOL_JOB_PUT, .lines = &line, .count = 1
    };
    int64_t deadline = imx_clock_now() + LIMIT_MS * IMX_CLOCK_MS;

    j = imx_spool_jobs_create(&o);
    assert_int_equal(simple(IMX_SPOOL_JOB_OPEN, 0, 0).err, 0);
    atomic_store(&is_hanging, 1);
    imx_spool_jobs_begin(j, &job);
    while (atomic_load(&hung) == 0 && imx_clock_now() < deadline) {
        imx_clock_pause(1);
    }
}

static void an_abandoned_put_stores_nothing(void **state)
{
    imx_spool_job_t r;

    (void)state;
    begin_a_put_that_hangs();
    imx_spool_jobs_abandon(j);
    assert_int_equal(imx_spool_jobs_stop(j, 20), 0);
    assert_false(imx_spool_jobs_take(j, &r));
    atomic_store(&is_hanging, 0);
    assert_int_equal(imx_spool_jobs_stop(j, LIMIT_MS), 1);
    assert_true(imx_spool_jobs_take(j, &r));
    assert_int_equal(r.err, ECANCELED);
    imx_spool_jobs_free(j);
}

/* It ends by itself: what it did counts. */
static void the_last_result_can_be_taken_after_the_end(void **state)
{
    imx_spool_job_t r;
    char command[200];

    (void)state;
    begin_a_put_that_hangs();
    assert_int_equal(imx_spool_jobs_stop(j, 20), 0);
    atomic_store(&is_hanging, 0);
    assert_int_equal(imx_spool_jobs_stop(j, LIMIT_MS), 1);
    assert_true(imx_spool_jobs_take(j, &r));
    assert_int_equal(r.err, 0);
    imx_spool_jobs_free(j);
    snprintf(command, sizeof command, "rm %s/*.lp", dir);
    assert_int_equal(system(command), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(on_a_thread),
        TEST(in_the_caller),
        TEST(names_are_trusted_when_they_promise_that_much),
        TEST(an_abandoned_put_stores_nothing),
        TEST(the_last_result_can_be_taken_after_the_end),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
