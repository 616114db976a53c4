/*
 * t/unit/spool_file.c: one file of a spool: what is a line in it, pieces,
 * counting, locks.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "deliver/spool_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "0000000000000000001-00000000-000003"

static char top[] = "/tmp/imx-spool-file-XXXXXX";
static int dir;
static imx_spool_name_t name, tmp;
static _Atomic int stage;

static int setup(void **state)
{
    (void)state;
    strcpy(top + strlen(top) - 6, "XXXXXX");
    stage = 0;
    return mkdtemp(top) == NULL
           || (dir = open(top, O_RDONLY | O_DIRECTORY)) < 0
           || !imx_spool_names_parse(&name, NAME ".lp")
           || !imx_spool_names_parse(&tmp, NAME ".tmp");
}

static int teardown(void **state)
{
    (void)state;
    unlinkat(dir, NAME ".lp", 0);
    unlinkat(dir, NAME ".tmp", 0);
    unlinkat(dir, NAME ".bad", 0);
    close(dir);
    return rmdir(top);
}

static void make(const char *file, const char *text, size_t size)
{
    int fd = openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
}

static int is_there(const char *file)
{
    return faccessat(dir, file, F_OK, 0) == 0;
}

/* The lines of a piece, and then what is none, with '|' behind each. */
static const char *piece(size_t max_bytes, size_t max_lines, int *is_last)
{
    static char text[1000];
    imx_spool_content_t c;
    size_t i, at = 0;

    assert_int_equal(imx_spool_file_read(&c, dir, &name, max_bytes, max_lines),
                     0);
    for (i = 0; i < c.lines + c.bad; i++) {
        at += (size_t)sprintf(text + at, "%.*s|", (int)c.spans[i].iov_len,
                              (char *)c.spans[i].iov_base);
    }
    text[at] = '\0';
    *is_last = c.is_last;
    name.at += c.size;
    imx_spool_file_free(&c);
    return text;
}

static void lines_and_what_is_none(void **state)
{
    static const char text[] = "a n=1\n#no\n\nb n=2\n c\nd\0\ne n";
    int last;

    (void)state;
    make(NAME ".lp", text, sizeof text - 1);
    assert_string_equal(piece(1000, 1000, &last),
                        "a n=1\n|b n=2\n|#no\n\n| c\nd|");
    assert_int_equal(last, 1);
}

static void pieces_end_with_a_line(void **state)
{
    int last;

    (void)state;
    make(NAME ".lp", "aa n=1\nbb n=2\ncc n=3\ndd", 23);
    assert_string_equal(piece(10, 1000, &last), "aa n=1\n|");
    assert_int_equal(last, 0);
    assert_string_equal(piece(1000, 1, &last), "bb n=2\n|");
    assert_int_equal(last, 0);
    assert_string_equal(piece(1000, 1000, &last), "cc n=3\n|dd|");
    assert_int_equal(last, 1);
}

static void lines_are_counted_in_steps(void **state)
{
    uint64_t lines = 0;
    int steps = 0;

    (void)state;
    make(NAME ".lp", "aa n=1\nbb n=2\n#c n=3\ndd n=4\nee", 30);
    while (name.counted != IMX_SPOOL_COUNTED) {
        assert_int_equal(imx_spool_file_count(dir, &name, 10, &lines), 0);
        assert_true(++steps < 10);
    }
    assert_int_equal(lines, 3);
    assert_int_equal(steps, 4);
}

static void neither_links_nor_fifos_are_read(void **state)
{
    imx_spool_content_t c;

    (void)state;
    assert_int_equal(symlinkat("/etc/passwd", dir, NAME ".lp"), 0);
    assert_int_equal(imx_spool_file_read(&c, dir, &name, 100, 100), ELOOP);
    unlinkat(dir, NAME ".lp", 0);
    assert_int_equal(mkfifoat(dir, NAME ".lp", 0600), 0);
    assert_int_equal(imx_spool_file_read(&c, dir, &name, 100, 100), EINVAL);
}

static void a_file_is_whole_when_it_has_its_name(void **state)
{
    struct iovec lines[2] = { { "a n=1\n", 6 }, { "b n=2\n", 6 } };
    struct stat st;
    int last;

    (void)state;
    assert_int_equal(imx_spool_file_store(dir, &name, 0, lines, 2, &stage), 0);
    assert_false(is_there(NAME ".tmp"));
    assert_int_equal(fstatat(dir, NAME ".lp", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_string_equal(piece(100, 100, &last), "a n=1\n|b n=2\n|");
}

static void nothing_is_stored_over_a_file_or_abandoned(void **state)
{
    struct iovec line = { "a n=1\n", 6 };
    int last;

    (void)state;
    stage = IMX_SPOOL_FILE_ABANDONED;
    assert_int_equal(imx_spool_file_store(dir, &name, 0, &line, 1, &stage),
                     ECANCELED);
    assert_false(is_there(NAME ".lp"));
    stage = 0;
    make(NAME ".lp", "b n=2\n", 6);
    assert_int_equal(imx_spool_file_store(dir, &name, 0, &line, 1, &stage),
                     EEXIST);
    assert_false(is_there(NAME ".tmp"));
    assert_string_equal(piece(100, 100, &last), "b n=2\n|");
}

/* Whose *.tmp it is stands in its name, until the file has its own. */
static void a_writer_is_in_the_name(void **state)
{
    struct iovec line = { "a n=1\n", 6 };

    (void)state;
    make("0000000000000000001-12345678-000003.tmp", "", 0);
    assert_int_equal(imx_spool_file_store(dir, &name, 12345678, &line, 1,
                                          &stage),
                     EEXIST);
    unlinkat(dir, "0000000000000000001-12345678-000003.tmp", 0);
    make(NAME ".tmp", "", 0);
    assert_int_equal(imx_spool_file_store(dir, &name, 12345678, &line, 1,
                                          &stage),
                     0);
    assert_true(is_there(NAME ".lp"));
}

static void a_file_of_root_can_be_locked(void **state)
{
    int fd;

    (void)state;
    make(NAME ".tmp", "", 0);
    assert_int_equal(fchmodat(dir, NAME ".tmp", 0400, 0), 0);
    assert_int_equal(imx_spool_file_lock(dir, &tmp, &fd), 0);
    close(fd);
}

static void who_has_no_right_is_not_given_up(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 20; i++) {
        assert_int_equal(imx_spool_file_may_pass(&name, EACCES), 1);
        assert_int_equal(name.denied, 1);
    }
    assert_int_equal(imx_spool_file_may_pass(&name, 0), 0);
    assert_int_equal(name.denied, 0);
}

static void a_living_writers_file_is_locked(void **state)
{
    int writer, fd;

    (void)state;
    make(NAME ".tmp", "", 0);
    writer = openat(dir, NAME ".tmp", O_WRONLY);
    assert_int_equal(flock(writer, LOCK_EX), 0);
    assert_int_equal(imx_spool_file_lock(dir, &tmp, &fd), EWOULDBLOCK);
    close(writer);
    assert_int_equal(imx_spool_file_lock(dir, &tmp, &fd), 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR); /* for NFS */
    writer = openat(dir, NAME ".tmp", O_WRONLY);
    assert_int_not_equal(flock(writer, LOCK_EX | LOCK_NB), 0);
    close(fd);
    close(writer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_and_what_is_none),
        TEST(pieces_end_with_a_line),
        TEST(lines_are_counted_in_steps),
        TEST(neither_links_nor_fifos_are_read),
        TEST(a_file_is_whole_when_it_has_its_name),
        TEST(nothing_is_stored_over_a_file_or_abandoned),
        TEST(a_living_writers_file_is_locked),
        TEST(a_writer_is_in_the_name),
        TEST(a_file_of_root_can_be_locked),
        TEST(who_has_no_right_is_not_given_up),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
