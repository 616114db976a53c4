/*
 * process.h owns the simulated processes: pids, memory, descriptors, threads,
 * and how they die.  What the module's code asks of the kernel and of libc
 * comes here and to calls.c instead: the Makefile renames malloc() in it to
 * sim_malloc(), and so on, for the names in t/sim/calls.txt.
 *
 * A process can be killed at each point: at each of those calls and at each
 * FAULT() in the module.  Then its tasks end where they are, its descriptors
 * are closed, its locks are given back and its memory is gone, as with kill -9;
 * what it wrote to the arena and to the disk stays.
 */
#ifndef SIM_PROCESS_H
#define SIM_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_FDS 48

typedef enum { SIM_NONE = 0, SIM_RUNS, SIM_ZOMBIE, SIM_GONE } process_state_e;

typedef enum {
    SIM_FD_FREE = 0,
    SIM_FD_EVENT, /* an eventfd */
    SIM_FD_FILE,  /* a file or directory of disk.c */
    SIM_FD_TEXT   /* something to read, such as /proc/1/stat */
} fd_kind_e;

typedef struct {
    fd_kind_e kind;
    uint64_t count; /* of an eventfd */
    struct disk_node *node;
    int64_t at, flags;
    char text[200];
} process_fd_t;

typedef struct sim_process {
    process_state_e state;
    pid_t pid;
    int64_t born;
    const char *role;
    int number; /* of all that there were */
    uint64_t points;
    char doomed[24];    /* "": at any point, else at one of this name */
    int64_t kill_after; /* points; below 0: nobody kills it */
    int was_killed;
    int may_die;   /* in a trap */
    int is_ending; /* it may send at once what there is */
    struct heap_block *heap;
    size_t heap_blocks;
    process_fd_t fds[PROCESS_FDS];
    void *mutex_held;
} sim_process_t;

/* Called when a process is killed, before its memory is gone. */
typedef void (*process_death_fn)(sim_process_t *p);

void process_reset(process_death_fn on_death);

/* A new process, whose first task runs run(data). */
sim_process_t *process_make(const char *role, void (*run)(void *data),
                            void *data);

/* The parent has waited for it: its pid is free. */
void process_reap(sim_process_t *p);

/* Kills it: now, or when it has passed so many more points (of that name, if
 * there is one). */
void process_kill(sim_process_t *p);
void process_doom(sim_process_t *p, const char *name, int64_t points);

/* Whoever passes the point of that name as the n-th one from now on is killed,
 * and then run(data) is called; NULL: nobody. */
void process_trap(const char *name, int64_t n, void (*run)(void *data),
                  void *data);

/* One of so many calls of malloc() and calloc() fails; 0: none. */
void process_set_memory(uint64_t one_in);

/* The running task is the last of its process, which ends by itself. */
__attribute__((noreturn)) void process_exit(void);

/* Who runs; NULL between tasks. */
sim_process_t *process_self(void);

/* Something that can go wrong here, and a place to be killed. */
void process_point(const char *name);

/* The names of points that were passed so far in this seed. */
const char *process_point_name(size_t i);
size_t process_point_names(void);

/* Does the kernel know this pid? */
sim_process_t *process_find(pid_t pid);

/* A free descriptor of the running process, or NULL with errno. */
process_fd_t *process_open(fd_kind_e kind, int *fd);
process_fd_t *process_fd(int fd, fd_kind_e kind); /* NULL: EBADF */
void process_close(process_fd_t *d);

/* The share of points at which another task may run instead: one in n. */
void process_set_switches(uint64_t one_in);

#endif
