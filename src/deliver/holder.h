/*
 * holder.h owns the duties of the child that delivers for the whole server, and
 * their order.  Each is bounded, so none keeps the others waiting.
 * Entered by a child's monitor thread.
 * The lease, the batch and the board survive the holder; all that is here can
 * die with it.
 */
#ifndef IMX_HOLDER_H
#define IMX_HOLDER_H

#include <stdint.h>

#include "deliver/monitor_options.h"
#include "deliver/news.h"

typedef struct imx_holder imx_holder_t;

/* wake is called by the thread of the spool's disk when a step is due.  Returns
 * NULL when there is no memory. */
imx_holder_t *imx_holder_create(const imx_monitor_options_t *options,
                                void (*wake)(void *context),
                                void *wake_context);

/* Tries to get the lease, and takes over what the last holder left.  Returns 1
 * when this child is the holder now.  With ends_server the files of the spool
 * are left to the next server. */
int imx_holder_take(imx_holder_t *h, int ends_server);

/* Does this child hold the lease? */
int imx_holder_is_one(const imx_holder_t *h);

/* A newer configuration is in force and one of its children can deliver. */
int imx_holder_is_superseded(const imx_holder_t *h);

/* A child that is not the holder: says in the log when the holder does
 * nothing. */
void imx_holder_watch(imx_holder_t *h);

/* The holder: goes through its duties once.  Returns for how many milliseconds
 * nothing more is due.  It may have given up the lease. */
int imx_holder_step(imx_holder_t *h);

/* Waits until a step can do something, wake_fd is readable, or ms milliseconds
 * are over. */
void imx_holder_wait(imx_holder_t *h, int wake_fd, int ms);

/* Ends what is under way, puts it back, and gives up the lease, if this child
 * has it. */
void imx_holder_give(imx_holder_t *h);

/* 1: the disk of the spool hangs, and with it a thread of this process, which
 * is to end by _exit(). */
int imx_holder_hangs(const imx_holder_t *h);

/* Closes the connections. */
void imx_holder_close(imx_holder_t *h);

/* Frees h, which may be NULL, unless a disk hangs: then it is left to the
 * thread that hangs in it, and 0 is returned. */
int imx_holder_destroy(imx_holder_t *h);

/* ---- for the end (ending.h) ---- */

imx_news_t *imx_holder_news(imx_holder_t *h);
uint32_t imx_holder_random_below(imx_holder_t *h, uint32_t bound);

/* Moves what is under way.  Returns 1 while something is. */
int imx_holder_advance(imx_holder_t *h);

/* What is under way, and what is sent from here on, goes out as fast as it
 * can. */
void imx_holder_hurry(imx_holder_t *h);

/* Is there a body of which only the answer is missing? */
int imx_holder_is_out(const imx_holder_t *h);

/* Adds the lines of what is measured, up to now; is anything? */
void imx_holder_report(imx_holder_t *h);
int imx_holder_reports(const imx_holder_t *h);

/* Salvages, and seals everything. */
void imx_holder_seal(imx_holder_t *h);

/* Sends the next live lines, if there are any, whatever the pace.
 * Returns 1 if so. */
int imx_holder_send(imx_holder_t *h);

/* Ends what is under way, and puts it back. */
void imx_holder_abort(imx_holder_t *h);

/* Moves everything that is sealed to the spool, if there is one that takes it
 * within ms. */
void imx_holder_spool(imx_holder_t *h, int ms);

#endif
