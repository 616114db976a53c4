/*
 * process.h: memory and processes of the unit tests of src/shared.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_LIMIT 120 /* seconds that a process may live */

/* Zeroed memory that processes to come share. */
static inline void *shared_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(p != MAP_FAILED);
    return p;
}

/* Runs work(arg) in a process of its own, which ends with it. */
static inline pid_t spawn(int (*work)(void *), void *arg)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGSEGV, SIG_DFL); /* cmocka would run the other tests */
        signal(SIGBUS, SIG_DFL);
        alarm(TEST_LIMIT);
        _exit(work(arg));
    }
    assert_true(pid > 0);
    return pid;
}

/* Waits for the end of a process: its exit code, or minus the signal. */
static inline int wait_for(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The same, and leaves it a zombie. */
static inline int wait_and_keep(pid_t pid)
{
    siginfo_t info;

    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

#endif
