/*
 * calls.h: what stands for the kernel and libc (sim_NAME for each NAME in
 * calls.txt), and what files.c and client.c need of it.  Tasks of simulated
 * processes enter it.
 */
#ifndef SIM_CALLS_H
#define SIM_CALLS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "process.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The real clock is the monotonic one and offset. */
void calls_set_real_time(int64_t offset);
int64_t calls_real_time(void);

/* What is behind descriptors that are no files. */
int calls_is_readable(int fd);
ssize_t calls_read_event(process_fd_t *d, void *to, size_t size);
ssize_t calls_write_event(process_fd_t *d, const void *from, size_t size);
int calls_stat_text(pid_t pid, char *text, size_t size);

void *sim_malloc(size_t size);
void *sim_calloc(size_t n, size_t size);
void *sim_realloc(void *p, size_t size);
void sim_free(void *p);
char *sim_strdup(const char *s);

int sim_clock_gettime(clockid_t clock, struct timespec *t);
int sim_nanosleep(const struct timespec *t, struct timespec *left);
int sim_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
                        struct timespec *left);
int sim_usleep(useconds_t us);
int sim_poll(struct pollfd *fds, nfds_t n, int ms);
int sim_eventfd(unsigned int count, int flags);

pid_t sim_getpid(void);
uid_t sim_geteuid(void);
gid_t sim_getegid(void);
int sim_seteuid(uid_t user);
int sim_setegid(gid_t group);
int sim_getentropy(void *to, size_t size);
int sim_getrusage(int who, struct rusage *r);
int sim_kill(pid_t pid, int signal);
long sim_syscall(long number, ...);
int sim_prctl(int option, ...);
int sim_getpriority(int which, id_t who);
int sim_sched_getscheduler(pid_t pid);
pid_t sim_fork(void);
pid_t sim_waitpid(pid_t pid, int *status, int options);
void sim__exit(int status);
long sim_sysconf(int name);
void *sim_mmap(void *at, size_t size, int access, int flags, int fd,
               off_t from);
int sim_munmap(void *at, size_t size);
int sim_madvise(void *at, size_t size, int advice);

int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                       void *(*run)(void *), void *data);
int sim_pthread_attr_init(pthread_attr_t *attr);
int sim_pthread_attr_destroy(pthread_attr_t *attr);
int sim_pthread_attr_setstacksize(pthread_attr_t *attr, size_t size);
int sim_pthread_attr_setdetachstate(pthread_attr_t *attr, int state);
int sim_pthread_mutex_init(pthread_mutex_t *mutex,
                           const pthread_mutexattr_t *attr);
int sim_pthread_mutex_destroy(pthread_mutex_t *mutex);
int sim_pthread_mutex_trylock(pthread_mutex_t *mutex);
int sim_pthread_mutex_lock(pthread_mutex_t *mutex);
int sim_pthread_mutex_unlock(pthread_mutex_t *mutex);
int sim_pthread_mutex_consistent(pthread_mutex_t *mutex);
int sim_pthread_mutexattr_init(pthread_mutexattr_t *attr);
int sim_pthread_mutexattr_destroy(pthread_mutexattr_t *attr);
int sim_pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int shared);
int sim_pthread_mutexattr_setrobust(pthread_mutexattr_t *attr, int robust);
int sim_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int sim_pthread_cond_destroy(pthread_cond_t *c);
int sim_pthread_cond_broadcast(pthread_cond_t *c);
int sim_pthread_cond_signal(pthread_cond_t *c);
int sim_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *mutex,
                               const struct timespec *until);
int sim_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *mutex);

int sim_open(const char *path, int flags, ...);
int sim_openat(int dir, const char *path, int flags, ...);
int sim_close(int fd);
ssize_t sim_read(int fd, void *to, size_t size);
ssize_t sim_pread(int fd, void *to, size_t size, off_t at);
ssize_t sim_write(int fd, const void *from, size_t size);
ssize_t sim_writev(int fd, const struct iovec *spans, int count);
int sim_fstat(int fd, struct stat *st);
int sim_fstatat(int dir, const char *path, struct stat *st, int flags);
int sim_stat(const char *path, struct stat *st);
int sim_lstat(const char *path, struct stat *st);
int sim_fsync(int fd);
int sim_fdatasync(int fd);
int sim_renameat(int from, const char *old, int to, const char *new);
int sim_unlinkat(int dir, const char *name, int flags);
int sim_flock(int fd, int how);
int sim_faccessat(int dir, const char *path, int how, int flags);
int sim_mkdirat(int dir, const char *path, mode_t mode);
int sim_fchown(int fd, uid_t user, gid_t group);
int sim_ftruncate(int fd, off_t size);
int sim_fcntl(int fd, int command, ...);
DIR *sim_fdopendir(int fd);
DIR *sim_opendir(const char *path);
struct dirent *sim_readdir(DIR *dir);
int sim_closedir(DIR *dir);

#endif
