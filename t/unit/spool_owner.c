/*
 * t/unit/spool_owner.c: the note that says which server works in a spool's
 * directory, and what it does there (spool_dir.h).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/proc.h"
#include "base/safe_path.h"
#include "deliver/spool_dir.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[64], path[96];
static int dir;
static char ours[IMX_SPOOL_OWNER_MAX], theirs[IMX_SPOOL_OWNER_MAX];
static pid_t other; /* another server, in the part of its parent; 0: ended */

static void remove_note(void)
{
    unlinkat(dir, IMX_SPOOL_OWNER_NOTE, 0);
}

static void leave_note(const char *text)
{
    int fd;

    remove_note();
    fd = openat(dir, IMX_SPOOL_OWNER_NOTE, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static const char *note(void)
{
    static char text[400];
    int fd = openat(dir, IMX_SPOOL_OWNER_NOTE, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;

    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
    return text;
}

/* It says who it is, and lives until it is killed. */
static void start_other(void)
{
    int said[2];
    ssize_t n;

    assert_int_equal(pipe(said), 0);
    other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        imx_spool_owner_name(theirs);
        n = write(said[1], theirs, sizeof theirs);
        while (n > 0) {
            pause();
        }
        _exit(1);
    }
    close(said[1]);
    assert_int_equal(read(said[0], theirs, sizeof theirs), sizeof theirs);
    close(said[0]);
}

static void end_other(void)
{
    if (other != 0) {
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
        other = 0;
    }
}

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/imx-spool-owner-XXXXXX");
    if (mkdtemp(top) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/spool", top);
    if (mkdir(path, 0700) != 0) {
        return 1;
    }
    dir = open(path, O_RDONLY | O_DIRECTORY);
    imx_spool_owner_name(ours);
    start_other();
    return dir < 0;
}

static int teardown(void **state)
{
    (void)state;
    end_other();
    close(dir);
    return remove_tree(top);
}

static void a_server_is_its_parent(void **state)
{
    char again[IMX_SPOOL_OWNER_MAX], pid[32];

    (void)state;
    snprintf(pid, sizeof pid, "%ld ", (long)getpid());
    assert_int_equal(strncmp(ours, pid, strlen(pid)), 0);
    assert_string_not_equal(ours, theirs);
    imx_spool_owner_name(again); /* as after a graceful restart */
    assert_string_equal(ours, again);
}

static void a_living_server_keeps_its_directory(void **state)
{
    (void)state;
    assert_false(imx_spool_owner_is_other(dir, ours));
    leave_note(theirs);
    assert_true(imx_spool_owner_is_other(dir, ours));
    assert_false(imx_spool_owner_is_other(dir, theirs));
    assert_false(imx_spool_owner_is_other(dir, NULL)); /* /proc is not there */
    assert_false(imx_spool_owner_is_other(dir, ""));
    kill(other, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)other, NULL, WEXITED | WNOWAIT), 0);
    assert_false(imx_spool_owner_is_other(dir, ours)); /* nobody reaped it */
    end_other();
    assert_false(imx_spool_owner_is_other(dir, ours));
}

/* So many numbers into the note from its begin. */
static void leave_changed(int field, const char *text)
{
    char changed[400] = "", copy[IMX_SPOOL_OWNER_MAX], *rest = copy, *word;
    int i;

    strcpy(copy, theirs);
    for (i = 0; (word = strsep(&rest, " \n")) != NULL && i < 4; i++) {
        strcat(changed, i == field ? text : word);
        strcat(changed, i < 3 ? " " : "\n");
    }
    leave_note(changed);
}

/* Another process has that pid now, the machine was booted, or it is the note
 * of a container: nothing is known of who lives. */
static void what_cannot_be_judged_keeps_nobody_out(void **state)
{
    static const char *const nonsense[] = {
        "",
        "\n",
        "x",
        "1",
        "1 2",
        "-1 2 a b\n",
        "0 0 a b\n",
        "99999999999999999999999999 99999999999999999999999999999 a b\n"
    };
    char text[1000];
    size_t i;

    (void)state;
    leave_changed(9, "");
    assert_true(imx_spool_owner_is_other(dir, ours)); /* as it was */
    leave_changed(1, "1");
    assert_false(imx_spool_owner_is_other(dir, ours));
    leave_changed(2, "11111111-1111-1111-1111-111111111111");
    assert_false(imx_spool_owner_is_other(dir, ours));
    leave_changed(3, "1");
    assert_false(imx_spool_owner_is_other(dir, ours));
    for (i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        leave_note(nonsense[i]);
        assert_false(imx_spool_owner_is_other(dir, ours));
    }
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    leave_note(text);
    assert_false(imx_spool_owner_is_other(dir, ours));
    remove_note();
    assert_int_equal(mkfifoat(dir, IMX_SPOOL_OWNER_NOTE, 0600), 0);
    assert_false(imx_spool_owner_is_other(dir, ours));
    remove_note();
    assert_int_equal(symlinkat("/etc/passwd", dir, IMX_SPOOL_OWNER_NOTE), 0);
    assert_false(imx_spool_owner_is_other(dir, ours));
}

static void only_our_own_note_is_taken_away(void **state)
{
    (void)state;
    imx_spool_owner_write(dir, NULL);
    imx_spool_owner_write(dir, "");
    assert_string_equal(note(), "");
    imx_spool_owner_write(dir, theirs);
    assert_string_equal(note(), theirs);
    imx_spool_owner_remove(dir, ours);
    assert_string_equal(note(), theirs);
    imx_spool_owner_write(dir, ours);
    assert_string_equal(note(), ours);
    imx_spool_owner_remove(dir, ours);
    assert_int_equal(faccessat(dir, IMX_SPOOL_OWNER_NOTE, F_OK, 0), -1);
    assert_int_equal(symlinkat("../target", dir, IMX_SPOOL_OWNER_NOTE), 0);
    imx_spool_owner_write(dir, ours); /* the link is not followed */
    assert_string_equal(note(), ours);
}

/* ---- the directory ---- */

static int open_dir(imx_spool_dir_t *d, const char *who, int is_shared)
{
    char reason[IMX_SAFE_PATH_REASON_MAX];

    *d = (imx_spool_dir_t){ .path = strdup(path),
                            .fd = -1,
                            .owner = { .note = who, .is_shared = is_shared } };
    return imx_spool_dir_open(d, reason);
}

/* Between two children of a server nobody has the lock. */
static void nobody_gets_in_between_two_children(void **state)
{
    imx_spool_dir_t d;

    (void)state;
    assert_int_equal(open_dir(&d, theirs, 0), 0);
    imx_spool_dir_close(&d);
    assert_int_equal(open_dir(&d, ours, 0), EBUSY);
    imx_spool_dir_close(&d);
    assert_int_equal(open_dir(&d, theirs, 0), 0); /* its next child */
    imx_spool_dir_close(&d);
    end_other();
    assert_int_equal(open_dir(&d, ours, 0), 0);
    assert_string_equal(note(), ours);
    imx_spool_dir_close(&d);
    assert_string_equal(note(), ours);
}

/* Who is refused has not had the lock for a moment. */
static void who_looks_locks_nothing(void **state)
{
    imx_spool_dir_t d, child;

    (void)state;
    assert_int_equal(open_dir(&d, theirs, 0), 0);
    imx_spool_dir_close(&d);
    assert_int_equal(open_dir(&d, ours, 1), 0); /* the helper of a server */
    assert_false(d.is_ours);
    assert_int_equal(open_dir(&child, theirs, 0), 0);
    assert_true(child.is_ours);
    imx_spool_dir_release(&d);
    assert_string_equal(note(), theirs);
    imx_spool_dir_close(&d);
    imx_spool_dir_close(&child);
}

/* The next server need not wait until the one that ends has ended. */
static void who_works_there_no_more_lets_the_next_one_in(void **state)
{
    imx_spool_dir_t d;

    (void)state;
    assert_int_equal(open_dir(&d, theirs, 1), 0);
    imx_spool_dir_release(&d);
    imx_spool_dir_close(&d);
    assert_int_equal(open_dir(&d, ours, 0), 0);
    imx_spool_dir_close(&d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_is_its_parent),
        TEST(a_living_server_keeps_its_directory),
        TEST(what_cannot_be_judged_keeps_nobody_out),
        TEST(only_our_own_note_is_taken_away),
        TEST(nobody_gets_in_between_two_children),
        TEST(who_looks_locks_nothing),
        TEST(who_works_there_no_more_lets_the_next_one_in),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
