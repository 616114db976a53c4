/*
 * spool_owner.h owns who works in a spool's directory, and the note in it that
 * says which server that is.
 * The parent says who it is; the thread that works on the spool reads, writes
 * and removes the note.
 * The note survives anything, and counts no more when its server has ended.
 *
 * The lock on the directory is a process's, and free for a moment when another
 * child of its server takes over: without the note a second httpd would get in
 * then, and deliver what is there to its own InfluxDB.  A server is its parent:
 * pid and start time, which stay over graceful restarts.  A note of another
 * boot of the machine, or of a place where other pids count (a container), says
 * nothing about who lives here: then the lock alone decides.
 */
#ifndef IMX_SPOOL_OWNER_H
#define IMX_SPOOL_OWNER_H

#include <stdint.h>

#define IMX_SPOOL_OWNER_NOTE ".server" /* no name of a spool's file */
#define IMX_SPOOL_OWNER_MAX 160        /* bytes of a note, with its NUL */

/* Who works in a directory. */
typedef struct {
    const char *note; /* its server's; borrowed; NULL or "": it has none */
    uint32_t writer;  /* the number in the names of its *.tmp, which those have
                         whose lines are in the same batch; 0: nothing is known
                         of that */
    int is_shared;    /* goes without the lock when somebody else has it */
} imx_spool_owner_t;

/* httpd's parent: what its server's note says; "" where /proc does not tell. */
void imx_spool_owner_name(char note[IMX_SPOOL_OWNER_MAX]);

/* dir: the directory's descriptor; note: ours; NULL or "": we have none, and
 * then all of these do nothing. */

/* 1: the note in the directory is that of another server, which lives. */
int imx_spool_owner_is_other(int dir, const char *note);

/* Leaves our note; what keeps it from being written keeps nobody from working
 * there.  Only who has the lock. */
void imx_spool_owner_write(int dir, const char *note);

/* Takes our note away.  Only who has the lock. */
void imx_spool_owner_remove(int dir, const char *note);

#endif
