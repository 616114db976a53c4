/*
 * spool_file.h owns one file of a spool: what is a line in it, reading a piece
 * of it, writing it whole, giving it another name.
 * The thread that works on the spool enters it; it keeps nothing.
 * A file is whole from the moment it has its name: it is written under another
 * name, fsync'ed and renamed, and the directory is fsync'ed.
 *
 * dir is the directory's descriptor.  Functions that return int return 0 or an
 * errno value.  No symbolic link is followed, and no FIFO is waited for.
 */
#ifndef IMX_SPOOL_FILE_H
#define IMX_SPOOL_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "deliver/spool_names.h"

#define IMX_SPOOL_FILE_MAX (64 * 1024 * 1024) /* bytes of a file we write */

/* A piece in memory: the spans that are lines, then, in their order, those that
 * are none. */
typedef struct {
    char *data;
    size_t size;
    struct iovec *spans;
    size_t lines, bad;
    int is_last; /* nothing is behind it */
} imx_spool_content_t;

/*
 * Reads the next piece, from n->at: at most max_bytes and max_lines, up to the
 * end of a line if there is one.  A whole line ends with LF, begins with a
 * printable character other than '#', and has no NUL.
 */
int imx_spool_file_read(imx_spool_content_t *c, int dir,
                        const imx_spool_name_t *n, size_t max_bytes,
                        size_t max_lines);
void imx_spool_file_free(imx_spool_content_t *c);

/* Counts lines from n->counted on, in about max_bytes, and moves n->counted, to
 * IMX_SPOOL_COUNTED at the end.  *lines grows. */
int imx_spool_file_count(int dir, imx_spool_name_t *n, size_t max_bytes,
                         uint64_t *lines);

/* After each try to read the file, with what came of it.  1: it is not the
 * file's fault, or not yet: a disk that failed is to be asked a few times, with
 * some time between.  Later it may work.  Who has no right to read it
 * (n->denied) never gives it up: somebody is to give the right. */
int imx_spool_file_may_pass(imx_spool_name_t *n, int err);

/* How far a store is, for a thread that must know whether the lines are in a
 * file that somebody will find. */
enum {
    IMX_SPOOL_FILE_UNNAMED = 0,
    IMX_SPOOL_FILE_NAMED,
    IMX_SPOOL_FILE_ABANDONED /* by that thread */
};

/*
 * Writes the lines to a *.tmp, locked, and renames it to n.  writer: the number
 * in the name of the *.tmp, 0: n's.  Nothing of it is left when that fails, nor
 * when *stage becomes ABANDONED before it has its name: ECANCELED.  After that
 * the file stays, whatever the disk says of the directory.
 */
int imx_spool_file_store(int dir, const imx_spool_name_t *n, uint32_t writer,
                         const struct iovec *lines, size_t count,
                         _Atomic int *stage);

/* Writes the spans as the file n, over what it had.  Nothing is left of it when
 * that fails. */
int imx_spool_file_write(int dir, const imx_spool_name_t *n,
                         const struct iovec *spans, size_t count);

/* EEXIST: never over a file that is there. */
int imx_spool_file_rename(int dir, const imx_spool_name_t *from,
                          const imx_spool_name_t *to);

int imx_spool_file_remove(int dir, const imx_spool_name_t *n);

/* What cannot be removed is at least not sent by the next process. */
void imx_spool_file_empty(int dir, const imx_spool_name_t *n);

/* fsync() of a file or directory, where the file system knows it. */
int imx_spool_file_sync(int fd);

/* Opens a *.tmp and locks it.  EWOULDBLOCK: its writer lives.  The kernel
 * unlocks what a dead writer had locked.  To write, though nothing is written:
 * NFS locks no other descriptor. */
int imx_spool_file_lock(int dir, const imx_spool_name_t *n, int *fd);

#endif
