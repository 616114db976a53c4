/*
 * aside.h owns one call that may hang, such as a read from a network disk or a
 * question to a name server, made on a thread of its own.
 * Entered by the thread that starts the call, and by the call's own thread.
 * Nothing survives the process.
 *
 * A call that hangs cannot be ended.  So it is left alone: it owns all that it
 * reads and writes, and whoever of both lets go last frees it.
 */
#ifndef IMX_ASIDE_H
#define IMX_ASIDE_H

typedef struct imx_aside imx_aside_t;

/* The call, and what frees its data. */
typedef void (*imx_aside_fn)(void *data);

/*
 * Starts run(data) on a detached thread with all signals blocked.  The data are
 * the call's from now on.  Returns NULL when there is no thread or memory; then
 * the data are still the caller's.
 */
imx_aside_t *imx_aside_start(imx_aside_fn run, imx_aside_fn drop, void *data);

/* A descriptor that is readable once the call has returned. */
int imx_aside_fd(const imx_aside_t *a);

/* Waits for at most ms milliseconds.  Returns 1 when the call has returned. */
int imx_aside_wait(imx_aside_t *a, int ms);

/* The data of a call that has returned: the caller's again.  Frees a. */
void *imx_aside_take(imx_aside_t *a);

/* Lets go of a call, whether it has returned or not; a may be NULL. */
void imx_aside_abandon(imx_aside_t *a);

#endif
