/*
 * errand.c owns the process that takes a step which may block without a limit.
 * Entered by the parent's only thread, while it starts or restarts.
 * Nothing survives the call, but perhaps a process that cannot be killed yet.
 */
#define _GNU_SOURCE
#include "base/errand.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* For so long a killed process may take to end. */
#define REAP (100 * IMX_CLOCK_MS)

typedef struct {
    signed char number;
    char text[IMX_ERRAND_TEXT];
} answer_t;

/* One write() of an answer is not cut in pieces by the kernel. */
_Static_assert(sizeof(answer_t) <= 4096, "an answer fits into a pipe at once");

static void close_from(int first)
{
    struct rlimit limit;
    int fd, last = 65535;

#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0u, 0) == 0) {
        return;
    }
#endif
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0
        && limit.rlim_cur < (rlim_t)last) {
        last = (int)limit.rlim_cur;
    }
    for (fd = first; fd < last; fd++) {
        close(fd);
    }
}

/* A process that is left behind must not keep a port, or the pipe to a program
 * that writes a log: only the way back is left, as descriptor 3. */
static void let_go_of_files(int way_back)
{
    int null, fd;

    if (way_back != 3) {
        dup2(way_back, 3);
    }
    null = open("/dev/null", O_RDWR);
    for (fd = 0; fd < 3 && null >= 0; fd++) {
        dup2(null, fd);
    }
    close_from(4);
}

static void go(imx_errand_fn step, void *context, int way_back)
{
    answer_t answer = { 0 };
    int signals[] = { SIGTERM, SIGHUP, SIGINT, SIGUSR1, SIGWINCH };
    size_t i;

    /* httpd's handlers are for httpd's processes. */
    for (i = 0; i < sizeof signals / sizeof *signals; i++) {
        signal(signals[i], SIG_DFL);
    }
    signal(SIGPIPE, SIG_IGN); /* nobody may wait for the answer any more */
    let_go_of_files(way_back);
    answer.number = (signed char)step(context, answer.text);
    answer.text[IMX_ERRAND_TEXT - 1] = '\0';
    _exit(write(3, &answer, sizeof answer) != (ssize_t)sizeof answer);
}

/* Returns whether an answer came before the deadline. */
static int get_answer(int fd, int64_t deadline, answer_t *answer, int *is_late)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    int64_t left;
    int n = 0;

    do {
        left = (deadline - imx_clock_now()) / IMX_CLOCK_MS;
        n = poll(&ready, 1, left > 0 ? (int)left : 0);
    } while (n < 0 && errno == EINTR && imx_clock_now() < deadline);
    *is_late = n <= 0;
    return n > 0
           && read(fd, answer, sizeof *answer) == (ssize_t)sizeof *answer;
}

static void end(pid_t pid)
{
    int64_t deadline = imx_clock_now() + REAP;
    pid_t done;

    /* It has answered, or is to be killed: there is nothing that it could
     * still do. */
    kill(pid, SIGKILL);
    do {
        done = waitpid(pid, NULL, WNOHANG);
        if (done == 0) {
            imx_clock_pause(1);
        }
    } while ((done == 0 || (done < 0 && errno == EINTR))
             && imx_clock_now() < deadline);
}

int imx_errand_run(imx_errand_fn step, void *context, int limit_ms, char *text)
{
    int64_t deadline = imx_clock_now() + limit_ms * IMX_CLOCK_MS;
    answer_t answer;
    int ways[2], came, is_late = 0;
    pid_t pid;

    *text = '\0';
    if (pipe2(ways, O_CLOEXEC) != 0) {
        return IMX_ERRAND_FAILED;
    }
    pid = fork();
    if (pid == 0) {
        go(step, context, ways[1]);
    }
    close(ways[1]);
    came = pid > 0 && get_answer(ways[0], deadline, &answer, &is_late);
    close(ways[0]);
    if (pid > 0) {
        end(pid);
    }
    if (came) {
        memcpy(text, answer.text, sizeof answer.text);
        return answer.number;
    }
    return is_late ? IMX_ERRAND_LATE : IMX_ERRAND_FAILED;
}
