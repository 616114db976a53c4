/*
 * proc.c owns the reading of the kernel's small files.
 * Any thread enters it.
 * Nothing is kept, so nothing has to survive.
 */
#include "base/proc.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/* ---- files ---- */

int imx_proc_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n;

    if (fd < 0) {
        return -1;
    }
    n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return (int)n;
}

int imx_proc_number(const char *path, int64_t *number)
{
    char text[32], *end;

    if (imx_proc_read(path, text, sizeof text) <= 0) {
        return -1;
    }
    errno = 0;
    *number = strtoll(text, &end, 10);
    return end == text || errno != 0 || (*end != '\n' && *end != '\0')
               ? -1
               : 0;
}

/* ---- processes ---- */

static int64_t ticks_to_ns(unsigned long long ticks)
{
    long hz = sysconf(_SC_CLK_TCK);

    return (
        int64_t)(ticks * (unsigned long long)(SECOND / (hz > 0 ? hz : 100)));
}

static int64_t pages_to_bytes(long pages)
{
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* Fields behind the command's name, which can have spaces and parentheses:
 * state (1st), user and system time (12th, 13th), threads (18th), start (20th),
 * resident pages (22nd), proc(5). */
static int parse_stat(const char *text, imx_proc_stat_t *s)
{
    const char *p = strrchr(text, ')');
    unsigned long long user, system, started;
    long threads, pages;

    if (p == NULL
        || sscanf(p + 1,
                  " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u"
                  " %*u %llu %llu %*d %*d %*d %*d %ld %*d %llu %*u %ld",
                  &s->state, &user, &system, &threads, &started, &pages)
               != 6) {
        return -1;
    }
    s->cpu_user = ticks_to_ns(user);
    s->cpu_system = ticks_to_ns(system);
    s->threads = threads;
    s->started = started;
    s->rss = pages_to_bytes(pages);
    return 0;
}

int imx_proc_stat(pid_t pid, imx_proc_stat_t *s)
{
    char path[32], text[1024];

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    return imx_proc_read(path, text, sizeof text) > 0
               ? parse_stat(text, s)
               : -1;
}

int64_t imx_proc_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    int64_t count = -1; /* the directory's own */

    if (dir == NULL) {
        return -1;
    }
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

int64_t imx_proc_age(uint64_t started)
{
    struct timespec t;
    int64_t age;

    if (clock_gettime(CLOCK_BOOTTIME, &t) != 0) {
        return -1;
    }
    age = t.tv_sec * SECOND + t.tv_nsec - ticks_to_ns(started);
    return age > 0 ? age : 0;
}
