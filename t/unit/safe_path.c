/*
 * t/unit/safe_path.c: which ways to a directory are taken, and which not.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/safe_path.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char top[] = "/tmp/imx-safe-path-XXXXXX";
static char reason[IMX_SAFE_PATH_REASON_MAX];

static const char *at(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", top, name);
    return path;
}

/* In the place of libc's: somebody who is quick puts another directory
 * there. */
static const char *swapped; /* NULL: nobody does */
static int is_squashed;     /* root is nobody there, as on NFS */

int mkdirat(int dir, const char *name, mode_t mode)
{
    int rv = (int)syscall(SYS_mkdirat, dir, name, mode), saved = errno;

    if (rv == 0 && is_squashed) {
        rv = fchownat(dir, name, 65534, 65534, 0);
    }
    if (rv == 0 && swapped != NULL) {
        rv = renameat(dir, name, dir, "away");
        rv = rv ? rv : renameat(dir, swapped, dir, name);
    }
    errno = rv == 0 ? saved : errno;
    return rv;
}

static int make(void **state)
{
    (void)state;
    strcpy(top + strlen(top) - 6, "XXXXXX");
    return mkdtemp(top) == NULL || mkdir(at("a"), 0755) != 0
           || mkdir(at("a/b"), 0755) != 0 || mkdir(at("a/b/spool"), 0700) != 0;
}

static int unmake(void **state)
{
    (void)state;
    return remove_tree(top);
}

static int try_open(const char *path, uid_t user)
{
    int fd;

    reason[0] = '\0';
    fd = imx_safe_path_open(path, user, reason);
    if (fd >= 0) {
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(fd);
        return 0;
    }
    return errno;
}

static void takes(const char *path)
{
    int err = try_open(path, geteuid());

    if (err != 0) {
        fail_msg("%s: %s (%s)", path, reason, strerror(err));
    }
}

static void refuses(const char *path, int err, const char *why)
{
    assert_int_equal(try_open(path, geteuid()), err);
    if (strstr(reason, why) == NULL) {
        fail_msg("%s: \"%s\" has no \"%s\"", path, reason, why);
    }
}

static void a_plain_way_is_taken(void **state)
{
    int here = open(".", O_PATH | O_DIRECTORY);

    (void)state;
    takes(at("a/b/spool"));
    takes(at("a/b/spool/"));
    takes(at("a//b/./spool///"));
    takes(at("a/b/../b/spool"));
    assert_int_equal(chdir(at("a")), 0);
    takes("b/spool");
    assert_int_equal(fchdir(here), 0);
    close(here);
}

static void no_link_is_followed_anywhere(void **state)
{
    (void)state;
    assert_int_equal(symlink("b", at("a/link")), 0);
    assert_int_equal(symlink("spool", at("a/b/last")), 0);
    refuses(at("a/link/spool"), ENOTDIR, "a/link is no directory");
    refuses(at("a/b/last"), ENOTDIR, "it is no directory");
    refuses(at("a/b/last/"), ENOTDIR, "it is no directory");
    refuses(at("a/b/last/."), ENOTDIR, "last is no directory");
    refuses(at("a/b/last//"), ENOTDIR, "it is no directory");
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    refuses(at("a/b/none"), ENOENT, "No such file");
    refuses(at("a/none/spool"), ENOENT, "a/none: No such file");
}

/* Whoever can write there can put another directory in its place. */
static void a_directory_above_that_others_write_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(at("a"), 0777), 0);
    refuses(at("a/b/spool"), EPERM, "others may write to");
    assert_int_equal(chmod(at("a"), 0775), 0);
    refuses(at("a/b/spool"), EPERM, "others may write to");
    assert_int_equal(chmod(at("a"), 01777), 0);
    takes(at("a/b/spool"));
}

static void a_directory_above_of_another_user_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("# not root: nothing can be given to another user\n");
        skip();
    }
    assert_int_equal(chown(at("a"), 12345, 12345), 0);
    refuses(at("a/b/spool"), EPERM, "a belongs to another user");
    assert_int_equal(chown(at("a/b/spool"), 12345, 12345), 0);
    assert_int_equal(try_open(at("a/b/spool"), 12345), 0);
}

static void the_directory_itself_is_the_users_alone(void **state)
{
    (void)state;
    assert_int_equal(chmod(at("a/b/spool"), 01777), 0);
    refuses(at("a/b/spool"), EPERM, "others may write to it");
    assert_int_equal(chmod(at("a/b/spool"), 0700), 0);
    assert_int_equal(try_open(at("a/b/spool"), geteuid() + 1), EPERM);
}

static int try_make(const char *path, uid_t user)
{
    int fd;

    reason[0] = '\0';
    fd = imx_safe_path_make(path, user, (gid_t)user, reason);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    return errno;
}

static void one_that_is_not_there_is_made(void **state)
{
    struct stat st;
    uid_t user = geteuid() == 0 ? 12345 : geteuid();

    (void)state;
    assert_int_equal(try_make(at("a/new/"), user), 0);
    assert_int_equal(stat(at("a/new"), &st), 0);
    assert_int_equal(st.st_uid, user);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(try_make(at("a/new"), user), 0); /* it is there now */
    assert_int_equal(try_make(at("none/new"), user), ENOENT);
}

static void nothing_is_made_through_a_link(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(symlink("b", at("a/link")), 0);
    assert_int_equal(symlink("elsewhere", at("a/dangling")), 0);
    assert_int_equal(try_make(at("a/link/new"), geteuid()), ENOTDIR);
    assert_int_not_equal(stat(at("a/b/new"), &st), 0);
    assert_int_equal(try_make(at("a/dangling/"), geteuid()), ENOTDIR);
    assert_int_not_equal(stat(at("a/elsewhere"), &st), 0);
}

/* Root takes nothing away from anybody. */
static void what_is_there_is_not_given_away(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(try_make(at("a/b/spool"), geteuid() + 1), EPERM);
    assert_int_equal(stat(at("a/b/spool"), &st), 0);
    assert_int_equal(st.st_uid, geteuid());
}

/* The user owns the directory above, and so can rename what root makes
 * there. */
static void what_is_put_there_instead_is_not_given_away(void **state)
{
    struct stat st;

    (void)state;
    if (geteuid() != 0) {
        print_message("# not root: nothing can be given to another user\n");
        skip();
    }
    assert_int_equal(mkdir(at("a/roots"), 0755), 0);
    assert_int_equal(chown(at("a"), 12345, 12345), 0);
    swapped = "roots";
    try_make(at("a/new"), 12345);
    swapped = NULL;
    assert_int_equal(stat(at("a/new"), &st), 0);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(geteuid(), 0);
}

static void what_root_cannot_make_as_root_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("# not root: nothing can be given to another user\n");
        skip();
    }
    is_squashed = 1;
    errno = ENOENT; /* of an earlier call */
    assert_int_equal(try_make(at("a/new"), 12345), EPERM);
    is_squashed = 0;
    assert_string_equal(reason, "what root makes there is another user's");
}

static void in_a_directory_of_the_user_it_is_made(void **state)
{
    struct stat st;
    uid_t user = geteuid() == 0 ? 12345 : geteuid();

    (void)state;
    assert_int_equal(chown(at("a"), user, (gid_t)-1), 0);
    assert_int_equal(try_make(at("a/new"), user), 0);
    assert_int_equal(stat(at("a/new"), &st), 0);
    assert_int_equal(st.st_uid, user);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(try_make(at("a/new"), user), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plain_way_is_taken),
        TEST(no_link_is_followed_anywhere),
        TEST(what_is_not_there_is_said),
        TEST(a_directory_above_that_others_write_is_refused),
        TEST(a_directory_above_of_another_user_is_refused),
        TEST(the_directory_itself_is_the_users_alone),
        TEST(one_that_is_not_there_is_made),
        TEST(nothing_is_made_through_a_link),
        TEST(what_is_there_is_not_given_away),
        TEST(what_is_put_there_instead_is_not_given_away),
        TEST(what_root_cannot_make_as_root_is_refused),
        TEST(in_a_directory_of_the_user_it_is_made),
    };

    umask(022);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
