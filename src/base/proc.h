/*
 * proc.h: what the kernel tells in small files: of a process, of this machine.
 * Any thread.  Nothing is kept, nothing waits: a file that is not there, or
 * does not answer at once, is a value that there is none of.
 */
#ifndef IMX_PROC_H
#define IMX_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The begin of a file, at most size - 1 bytes with a NUL behind them.  Returns
 * how many bytes, or -1.  The file is not waited for, even if somebody put a
 * pipe in its place.
 */
int imx_proc_read(const char *path, char *text, size_t size);

/* The same for a file that has one whole number; returns 0, or -1 when there is
 * none ("max"). */
int imx_proc_number(const char *path, int64_t *number);

/* /proc/PID/stat; times in ns. */
typedef struct {
    char state;
    int64_t cpu_user, cpu_system; /* used since it was started */
    int64_t threads;
    uint64_t started; /* clock ticks since the machine was */
    int64_t rss;      /* bytes of memory that it has */
} imx_proc_stat_t;

/* Fills *s; returns 0, or -1 when there is no such file (or no /proc). */
int imx_proc_stat(pid_t pid, imx_proc_stat_t *s);

/* How many files this process has open, the one not counted that is needed to
 * look; -1: it cannot be seen. */
int64_t imx_proc_fds(void);

/* How long a process has been running that started at so many ticks, in ns; -1:
 * not known. */
int64_t imx_proc_age(uint64_t started);

#endif
