/*
 * safe_path.h owns the way to a directory that nobody else can redirect.
 * Any thread and process enters it; it keeps nothing.  A directory that it made
 * survives everything.
 *
 * The path is walked component by component, and no symbolic link is followed
 * anywhere in it, also not at a trailing slash.  Each directory above the last
 * component must belong to root or to the user, and must not be writable for
 * the group or others, unless it has the sticky bit, as /tmp does: else
 * somebody could put another directory in the place of the one we mean.  The
 * directory itself must belong to the user and be writable for nobody else.
 *
 * These calls wait for the disk: a hanging one holds the caller up.
 */
#ifndef IMX_SAFE_PATH_H
#define IMX_SAFE_PATH_H

#include <sys/types.h>

#define IMX_SAFE_PATH_REASON_MAX 512 /* bytes */

/*
 * Opens the directory for reading, close-on-exec.  user: who shall own it.
 * Returns the descriptor, or -1 with errno and, in reason, one sentence without
 * the path's name when the fault is with the directory itself, or with the name
 * of the component that is at fault when that stands above it.
 *   ENOENT           it is not there
 *   ENOTDIR          something on the way is no directory, or is a link
 *   EPERM            it, or a directory above it, is not safe
 *   others           as openat() says
 */
int imx_safe_path_open(const char *path, uid_t user, char *reason);

/*
 * The same, but makes the directory (mode 0700) if it is not there; the
 * directories above it must be.  When the caller is root, a directory that was
 * made is given to the user and group; in a directory that belongs to the user,
 * it is made with the user's rights.  Only for a process with one thread: for a
 * moment all of it may have these rights.
 */
int imx_safe_path_make(const char *path, uid_t user, gid_t group,
                       char *reason);

#endif
