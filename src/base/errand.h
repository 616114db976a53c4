/*
 * errand.h: a step that may block without a limit, such as a look at a file on
 * a network disk, run in a process of its own for which the caller waits only
 * so long.
 * Entered by the parent's only thread.  Nothing survives the call, but perhaps
 * a process that the system cannot kill before a disk answers.
 */
#ifndef IMX_ERRAND_H
#define IMX_ERRAND_H

#define IMX_ERRAND_TEXT 1024 /* bytes of an answer, with its NUL */

/*
 * The step.  It runs in the forked process, which has no descriptors but
 * /dev/null as 0, 1 and 2, and in which the descriptors of the caller must not
 * be used.  text (IMX_ERRAND_TEXT bytes, "" at first) is the answer's text.
 * Returns the answer's number, 0 to 127.
 */
typedef int (*imx_errand_fn)(void *context, char *text);

typedef enum {
    IMX_ERRAND_LATE = -1,  /* no answer within the limit */
    IMX_ERRAND_FAILED = -2 /* no process could be made, or it crashed */
} imx_errand_failure_e;

/*
 * Runs the step for at most limit_ms of the monotonic clock.  Returns its
 * number, with its text in text (IMX_ERRAND_TEXT bytes), or an
 * imx_errand_failure_e, with "" in text.  A process that is late is killed.
 * One that even the kernel cannot end now is left behind: it holds no
 * descriptor, and whoever waits for this process's children reaps it.
 */
int imx_errand_run(imx_errand_fn step, void *context, int limit_ms,
                   char *text);

#endif
