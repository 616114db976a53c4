/*
 * spool_owner.c owns the note in a spool's directory that says which server
 * works there (see spool_owner.h).
 * The parent enters imx_spool_owner_name(), the thread that works on the spool
 * the rest.
 * The note survives anything.
 */
#include "deliver/spool_owner.h"

#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT "/proc/sys/kernel/random/boot_id"
#define PIDS "/proc/self/ns/pid" /* its inode says where pids count */

/* PID START BOOT PIDS, and LF. */
void imx_spool_owner_name(char note[IMX_SPOOL_OWNER_MAX])
{
    char boot[64];
    struct stat pids;
    imx_proc_stat_t s;

    note[0] = '\0';
    if (imx_proc_stat(getpid(), &s) != 0
        || imx_proc_read(BOOT, boot, sizeof boot) <= 0
        || stat(PIDS, &pids) != 0) {
        return;
    }
    boot[strcspn(boot, " \n")] = '\0';
    snprintf(note, IMX_SPOOL_OWNER_MAX, "%ld %llu %s %llu\n", (long)getpid(),
             (unsigned long long)s.started, boot,
             (unsigned long long)pids.st_ino);
}

static int is_none(const char *note)
{
    return note == NULL || note[0] == '\0';
}

/* "" when there is none, or none that can be read. */
static void read_note(int dir, char note[IMX_SPOOL_OWNER_MAX])
{
    int fd = openat(dir, IMX_SPOOL_OWNER_NOTE,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = -1;

    if (fd >= 0) {
        n = pread(fd, note, IMX_SPOOL_OWNER_MAX - 1, 0);
        close(fd);
    }
    note[n > 0 ? n : 0] = '\0';
}

static int is_note(int dir, const char *note)
{
    char now[IMX_SPOOL_OWNER_MAX];

    read_note(dir, now);
    return strcmp(now, note) == 0;
}

/* Where pids are the ones that we know. */
static const char *place_of(const char *note, long *pid,
                            unsigned long long *started)
{
    int place = 0;

    if (sscanf(note, "%ld %llu %n", pid, started, &place) != 2 || *pid <= 0) {
        return NULL;
    }
    return note + place;
}

/* kill() and /proc: a pid that is used again began at another time. */
static int is_alive(pid_t pid, unsigned long long started)
{
    imx_proc_stat_t s;

    return (kill(pid, 0) == 0 || errno != ESRCH) && imx_proc_stat(pid, &s) == 0
           && s.started == started && s.state != 'Z' && s.state != 'X';
}

int imx_spool_owner_is_other(int dir, const char *note)
{
    char theirs[IMX_SPOOL_OWNER_MAX];
    unsigned long long started, our_start;
    const char *here, *there;
    long pid, our_pid;

    if (is_none(note)) {
        return 0;
    }
    read_note(dir, theirs);
    here = place_of(note, &our_pid, &our_start);
    there = place_of(theirs, &pid, &started);
    return here != NULL && there != NULL && strcmp(here, there) == 0
           && (pid != our_pid || started != our_start)
           && is_alive((pid_t)pid, started);
}

/* A new file, as the old one may be somebody's that we cannot write to. */
void imx_spool_owner_write(int dir, const char *note)
{
    int fd;

    if (is_none(note) || is_note(dir, note)) {
        return;
    }
    unlinkat(dir, IMX_SPOOL_OWNER_NOTE, 0);
    fd = openat(dir, IMX_SPOOL_OWNER_NOTE,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        if (write(fd, note, strlen(note)) != (ssize_t)strlen(note)) {
            unlinkat(dir, IMX_SPOOL_OWNER_NOTE, 0);
        }
        close(fd);
    }
}

void imx_spool_owner_remove(int dir, const char *note)
{
    if (!is_none(note) && is_note(dir, note)) {
        unlinkat(dir, IMX_SPOOL_OWNER_NOTE, 0);
    }
}
