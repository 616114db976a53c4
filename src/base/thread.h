/*
 * thread.h owns the life of one background thread: start, wake, wait, stop.
 * The owner and the thread enter it; imx_thread_stop() and what it needs may
 * also be called in a signal handler.  Nothing survives the process.
 *
 * The thread is detached, and nobody joins it: pthread_join() is not allowed in
 * a signal handler, and prefork ends a child inside of one.  Instead the
 * stopper asks the kernel whether the thread is gone.  So when
 * imx_thread_stop() has returned 1, the thread runs no instruction any more:
 * its memory may be freed, and the code that it ran may be unmapped (httpd -X
 * unloads its modules before it ends).
 */
#ifndef IMX_THREAD_H
#define IMX_THREAD_H

#define IMX_THREAD_STACK (512 * 1024) /* bytes */

/* The owner's; it stays where it is from imx_thread_init() to the end of
 * imx_thread_destroy().  The fields are private. */
typedef struct imx_thread {
    void (*run)(void *data);
    void *data;
    int wake_fd; /* an eventfd */
    int started;
    _Atomic int leave, stop, done;
    _Atomic int tid; /* the kernel's number of the thread */
} imx_thread_t;

/* Before anything else.  Returns 0 or an errno value; then only
 * imx_thread_destroy() may follow. */
int imx_thread_init(imx_thread_t *t);

/* Starts the thread: it calls run(data) once, has a small stack, and inherits
 * the caller's signal mask.  Returns 0 or an errno value. */
int imx_thread_start(imx_thread_t *t, void (*run)(void *data), void *data);

/* Any thread or signal handler: the thread's present or next wait ends. */
void imx_thread_wake(imx_thread_t *t);

/* The thread: waits until it is woken, but at most ms (-1: without limit). */
void imx_thread_wait(imx_thread_t *t, int ms);

/* The thread: the descriptor that is readable once the thread is woken, for a
 * wait of its own; imx_thread_woken() after it makes the next wait wait. */
int imx_thread_wake_fd(const imx_thread_t *t);
void imx_thread_woken(imx_thread_t *t);

/* Any thread or signal handler: the thread is to give up unfinished work when
 * it is told to stop.  Does not stop it. */
void imx_thread_leave(imx_thread_t *t);
int imx_thread_is_to_leave(const imx_thread_t *t);

/* Any thread or signal handler: tells it to end, and does not wait. */
void imx_thread_tell_to_stop(imx_thread_t *t);

/*
 * The thread, once: gives way to others at once that have something to do, and
 * does not push them aside when it wakes up; its share of the processor stays
 * the same, so it is not starved.  Threads that it starts do the same.  Where
 * the kernel does not do that, or does not allow it, nothing changes.
 */
void imx_thread_give_way(void);

/* Does the process survive that?  Where system calls are filtered, the first
 * call forks a process that tries it; the parent makes it before it has
 * children, which inherit the answer. */
int imx_thread_may_give_way(void);

/* The thread: has it been told to end? */
int imx_thread_is_to_stop(const imx_thread_t *t);

/*
 * Any thread but t itself, or a signal handler: tells it to end, and waits for
 * at most ms milliseconds until it has.  Returns 1 when it has ended or was
 * never started.
 */
int imx_thread_stop(imx_thread_t *t, int ms);

/* Frees what imx_thread_init() made.  Only when the thread is not running. */
void imx_thread_destroy(imx_thread_t *t);

#endif
