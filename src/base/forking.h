/*
 * forking.h: signals whose handler ends the process wait until a fork() is
 * over, and so does such a handler of the process that comes of it.
 *
 * Where a process has more than one thread, glibc's fork() holds malloc's locks
 * around the system call.  A handler that frees memory there waits for ever, in
 * either process: httpd's does, in prefork.
 */
#ifndef IMX_FORKING_H
#define IMX_FORKING_H

/* From now on SIGTERM and SIGHUP wait.  Once, from the thread that takes
 * signals; returns 0 or an errno.  It holds until the object that this code is
 * in is unloaded. */
int imx_forking_hold_signals(void);

/*
 * Is this thread in fork()?  Any thread that has forked, or that takes signals;
 * also in a signal handler, and in the process that comes of it.  exit() must
 * not come to its destructors then: glibc before 2.36 holds a lock there that
 * they want.
 */
int imx_forking_is_under_way(void);

#endif
