/*
 * sched.h owns virtual time and who runs in it.  A task is a stack of its own
 * in the one thread of the simulation; it runs until it sleeps, waits or ends,
 * and the clock moves only between tasks.  So what happens in which order is
 * decided by chance.h alone, and a seed makes it happen again.
 *
 * "Task" functions are called by a running task, the others by anybody.
 */
#ifndef SIM_SCHED_H
#define SIM_SCHED_H

#include <stdint.h>

#define SIM_US INT64_C(1000) /* ns */
#define SIM_MS INT64_C(1000000)
#define SIM_SECOND INT64_C(1000000000)
#define SIM_NEVER INT64_MAX

struct sim_process;

/* Forgets all tasks; the clock stands at now. */
void sched_reset(int64_t now);

int64_t sched_now(void); /* ns, monotonic */

/* The clock goes on by ns while the task runs. */
void sched_spend(int64_t ns);

/* A new task, which begins after delay ns.  name is borrowed; process (NULL:
 * none) is whom it dies with.  Returns its number. */
int sched_spawn(struct sim_process *process, const char *name,
                void (*run)(void *data), void *data, int64_t delay);

/* Calls run(data) at that time, on the scheduler's own stack. */
void sched_at(int64_t time, void (*run)(void *data), void *data);

/* Task: is not run for so long. */
void sched_sleep(int64_t ns);

/* Task: is not run until somebody wakes the event, or until deadline.  Returns
 * 1 when it was woken. */
int sched_wait(const void *event, int64_t deadline);
void sched_wake(const void *event);

/* The process of the running task, NULL between tasks; the task's name. */
struct sim_process *sched_process(void);
const char *sched_name(void);

/* All tasks of the process end where they are.  When the running one is among
 * them, this does not return. */
void sched_end_tasks(struct sim_process *process);

/* Nobody of the process runs for ns from now on. */
void sched_freeze(struct sim_process *process, int64_t ns);

/* How many tasks the process has; is task number t still one?  The number of
 * the running one. */
int sched_tasks(const struct sim_process *process);
int sched_is_alive(int t);
int sched_self(void);

/* Not a task: lets the next one run.  Returns 0 when there is none left. */
int sched_step(void);

/* Task: goes back to the one who called sched_step(), for good. */
__attribute__((noreturn)) void sched_give_up(void);

/* What has happened so far, as one number: the same for the same seed. */
uint64_t sched_hash(void);
void sched_mix(uint64_t what);

/* How often a task was given the processor. */
uint64_t sched_steps(void);

#endif
