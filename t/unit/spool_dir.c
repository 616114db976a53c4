/*
 * t/unit/spool_dir.c: which directory it is, who works in it, and which files
 * are known.  What goes wrong while it is used: t/unit/spool.c.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/safe_path.h"
#include "deliver/spool_dir.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char top[64], path[96], reason[IMX_SAFE_PATH_REASON_MAX];
static imx_spool_dir_t d;

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/imx-spool-dir-XXXXXX");
    if (mkdtemp(top) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/spool", top);
    memset(&d, 0, sizeof d);
    d.fd = -1;
    return mkdir(path, 0700);
}

static int teardown(void **state)
{
    (void)state;
    imx_spool_dir_close(&d);
    return remove_tree(top);
}

static int open_at(const char *at)
{
    imx_spool_dir_close(&d);
    memset(&d, 0, sizeof d);
    d.fd = -1;
    d.path = strdup(at);
    return imx_spool_dir_open(&d, reason);
}

static void make(const char *name)
{
    char file[300];
    FILE *f;

    snprintf(file, sizeof file, "%s/%s", path, name);
    f = fopen(file, "w");
    assert_non_null(f);
    fputs("a n=1i 1\n", f);
    fclose(f);
}

static void files_are_listed_by_age(void **state)
{
    (void)state;
    make("0000000000000000002-00000000-000001.lp");
    make("0000000000000000001-00000000-000001.lp");
    make("README");
    make(".0000000000000000001-00000000-000001.lp");
    assert_int_equal(open_at(path), 0);
    assert_int_equal(d.names.count, 2);
    assert_int_equal(imx_spool_names_at(&d.names, 0)->time, 1);
    assert_int_equal(imx_spool_names_at(&d.names, 0)->lines, 0);
    assert_int_equal(d.newest.time, 2);
    make("0000000000000000003-00000000-000001.lp");
    assert_int_equal(imx_spool_dir_enter(&d), 0);
    assert_int_equal(d.names.count, 3);
}

/* Also behind a slash, and above the directory. */
static void no_link_leads_there(void **state)
{
    char link[128], text[300];

    (void)state;
    snprintf(link, sizeof link, "%s/link", top);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(open_at(link), ENOTDIR);
    snprintf(text, sizeof text, "%s/", link);
    assert_int_equal(open_at(text), ENOTDIR);
    assert_non_null(strstr(reason, "a symbolic link is not followed"));
    snprintf(text, sizeof text, "%s/.", link);
    assert_int_equal(open_at(text), ENOTDIR);
    assert_int_equal(chmod(top, 0777), 0);
    assert_int_equal(open_at(path), EPERM);
    assert_non_null(strstr(reason, "others may write to"));
    assert_int_equal(chmod(top, 0700), 0);
    assert_int_equal(open_at(path), 0);
}

static void one_works_in_it_and_another_may_add(void **state)
{
    imx_spool_dir_t other = { .path = strdup(path), .fd = -1 };

    (void)state;
    assert_int_equal(open_at(path), 0);
    assert_true(d.is_ours);
    assert_int_equal(imx_spool_dir_open(&other, reason), EBUSY);
    other.owner.is_shared = 1;
    assert_int_equal(imx_spool_dir_open(&other, reason), 0);
    assert_false(other.is_ours);
    imx_spool_dir_close(&d);
    d.fd = -1;
    assert_int_equal(open_at(path),
                     0); /* one that only adds holds nobody up */
    imx_spool_dir_close(&other);
}

/* *.tmp are the business of the one whose directory it is. */
static void what_a_dead_writer_left_is_kept_by_the_owner(void **state)
{
    (void)state;
    assert_int_equal(open_at(path), 0);
    make("0000000000000000001-00000000-000001.tmp");
    {
        imx_spool_dir_t other = {
            .path = strdup(path), .fd = -1, .owner = { .is_shared = 1 }
        };

        assert_int_equal(imx_spool_dir_open(&other, reason), 0);
        assert_int_equal(other.names.count, 0);
        imx_spool_dir_close(&other);
    }
    assert_int_equal(imx_spool_dir_scan(&d), 0);
    assert_int_equal(d.names.count, 1);
    assert_int_equal(d.names.all[d.names.first].kind, IMX_SPOOL_READY);
    assert_int_equal(d.found, 1);
}

/* Of our batch: its lines are there still. */
static void what_our_own_dead_writer_left_is_removed(void **state)
{
    char file[300];

    (void)state;
    assert_int_equal(open_at(path), 0);
    d.owner.writer = 12345678;
    make("0000000000000000001-12345678-000001.tmp");
    make("0000000000000000002-12345679-000001.tmp");
    make("0000000000000000003-12345678-000001.lp");
    assert_int_equal(imx_spool_dir_scan(&d), 0);
    assert_int_equal(d.names.count, 2);
    assert_int_equal(imx_spool_names_at(&d.names, 0)->time, 2);
    assert_int_equal(imx_spool_names_at(&d.names, 1)->time, 3);
    assert_int_equal(d.found, 1);
    snprintf(file, sizeof file, "%s/0000000000000000001-12345678-000001.tmp",
             path);
    assert_int_equal(access(file, F_OK), -1);
}

static int said;
static char text[600];

static void note_log(void *context, imx_log_level_e level, const char *line)
{
    (void)context;
    (void)level;
    said++;
    snprintf(text, sizeof text, "%s", line);
}

/* ... of the others, how many they were, when the minute is over. */
static void the_log_has_a_line_for_a_few_files(void **state)
{
    int i, tells = 0;

    (void)state;
    assert_int_equal(open_at(path), 0);
    d.log = note_log;
    said = 0;
    for (i = 0; i < 12; i++) {
        tells += imx_spool_dir_tells_of_file(&d);
        assert_int_equal(imx_spool_dir_enter(&d), 0);
    }
    assert_int_equal(tells, 5);
    assert_int_equal(said, 0);
    d.told_files.since -= INT64_C(60000000000);
    assert_int_equal(imx_spool_dir_enter(&d), 0);
    assert_int_equal(imx_spool_dir_enter(&d), 0);
    assert_int_equal(said, 1);
    assert_non_null(strstr(text, "wrong with 7 more files"));
    assert_true(imx_spool_dir_tells_of_file(&d));
    assert_int_equal(said, 1);
}

static void a_directory_that_is_gone_comes_back(void **state)
{
    char away[128];

    (void)state;
    snprintf(away, sizeof away, "%s/away", top);
    make("0000000000000000001-00000000-000001.lp");
    assert_int_equal(open_at(path), 0);
    imx_spool_names_at(&d.names, 0)->lines = 5;
    d.found = 5;
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(imx_spool_dir_enter(&d), ENOENT);
    assert_int_equal(d.lost, 5);
    assert_int_equal(d.names.count, 0);
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(imx_spool_dir_enter(&d), 0);
    assert_int_equal(d.names.count, 1);
    assert_true(d.is_ours);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_listed_by_age),
        TEST(no_link_leads_there),
        TEST(one_works_in_it_and_another_may_add),
        TEST(what_a_dead_writer_left_is_kept_by_the_owner),
        TEST(what_our_own_dead_writer_left_is_removed),
        TEST(the_log_has_a_line_for_a_few_files),
        TEST(a_directory_that_is_gone_comes_back),
    };

    umask(022);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
