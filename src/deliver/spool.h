/*
 * spool.h: points that InfluxDB could not take, as files of line protocol text
 * in a directory, until it can.  An operator can send a file by hand with curl.
 *
 * Used by one process at a time (the holder of the lease, or the helper that
 * the parent forks when the server ends), in one thread at a time.
 *
 * Everything in the directory survives kill -9 and a reboot; spool_file.h says
 * how, spool_names.h what the files are called, and spool_dir.h what others may
 * do in the directory meanwhile.  What has no such name, or is no regular file,
 * is not ours: it is neither read, counted nor removed.
 *
 * A file is read and delivered in pieces.  After a piece the file gets a new
 * name that says so: that needs no room on a full disk, and whoever reads on,
 * after whatever, begins behind what InfluxDB has acknowledged.  In memory are
 * a piece and a list of the names, 56 bytes a file.
 *
 * How many lines a file has is known when we wrote it; when it was counted,
 * here or while it was read; or when the caller trusts its name.
 *
 * Accounts, in lines that are known, at every moment since imx_spool_open():
 *   found + put = delivered + dropped + lost + lines
 * put: by imx_spool_put(); delivered: by imx_spool_done(); the rest is in
 * imx_spool_totals_t and *dropped.
 *
 * "errno" below is the value, not the variable, where a function returns int.
 */
#ifndef IMX_SPOOL_H
#define IMX_SPOOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/log.h"
#include "base/safe_path.h"
#include "deliver/spool_file.h"
#include "deliver/spool_names.h"
#include "deliver/spool_owner.h"

#define IMX_SPOOL_REASON_MAX IMX_SAFE_PATH_REASON_MAX

typedef struct imx_spool imx_spool_t;

typedef struct {
    int is_ours;                  /* nobody else works in the directory */
    uint64_t files, lines, bytes; /* in the directory, ready to be sent, with
                                     the file that is being read */
    uint64_t uncounted; /* files of these whose lines are not all known */
    uint64_t named;     /* lines, if the names of those files are true */
    uint64_t found;     /* lines that came without imx_spool_put() and became
                       known */
    uint64_t lost;      /* lines that were known and nobody will get: torn,
                       quarantined, or removed by somebody */
} imx_spool_totals_t;

/* What was read of a file; valid until all of it is done, or until
 * imx_spool_put_back(). */
typedef struct {
    const struct iovec *lines; /* whole lines, LF included */
    size_t count;
} imx_spool_piece_t;

/*
 * Opens the directory, which must exist, be safe (safe_path.h), be writable for
 * us, and not be in use: EBUSY.  Looks at what is in it.  *.tmp of dead writers
 * become files with the whole lines that they have, but for those of the same
 * batch, which has the lines itself: they are removed.  max_bytes: of all *.lp
 * and *.bad, 0 is no limit; not enforced before the next put.  owner: who we
 * are, copied; NULL: all of it 0.  When it is_shared, also when another process
 * works there; then only imx_spool_put() may follow.  log may be NULL.  Returns
 * 0, or errno with a sentence in reason, without dir (IMX_SPOOL_REASON_MAX
 * bytes).
 */
int imx_spool_open(imx_spool_t **out, const char *dir, uint64_t max_bytes,
                   const imx_spool_owner_t *owner, imx_log_fn log,
                   void *log_context, char *reason);

/* The names of the files that are there now are true. */
void imx_spool_trust(imx_spool_t *s);

/* Counts lines, about max_bytes in one call.  Returns 1 when there is more to
 * count. */
int imx_spool_count(imx_spool_t *s, size_t max_bytes);

/*
 * Writes count lines (count > 0) as the newest file.  When *.lp and *.bad
 * would exceed max_bytes, quarantined files and then the oldest files are
 * removed first, but never the one that is being read, and *dropped says how
 * many lines that lost (also when the write then fails).  Returns 0, or errno:
 * then nothing was stored, no *.tmp is left, and the caller keeps the lines.
 *   ENOSPC, EDQUOT, EACCES, EROFS, EIO ...  what the disk says; EDQUOT also
 *           when max_bytes are used and nothing more can be removed
 *   ENOENT  the directory is gone; works again when it is back
 *   EPERM   it is back, but is not safe
 *   EBUSY   it is back, but another process works in it
 *   ECANCELED  see imx_spool_abandon()
 *   EFBIG   more than max_bytes, IMX_SPOOL_FILE_MAX or IMX_SPOOL_LINES_MAX:
 *           will never fit
 *   EINVAL  no lines
 */
int imx_spool_put(imx_spool_t *s, const struct iovec *lines, size_t count,
                  uint64_t *dropped);

/* Any thread: a put that is under way, and whose file does not have its name
 * yet, is to store nothing; nor is any later one.  1: it has its name, so its
 * lines are stored. */
int imx_spool_abandon(imx_spool_t *s);

/* Looks whether somebody changed the directory: imx_spool_totals() has it then.
 * When it cannot be looked at, imx_spool_next() says so. */
void imx_spool_look(imx_spool_t *s);

/*
 * Reads the next piece of the oldest file: at most max_bytes of it and
 * max_lines lines.  Returns 1 with *piece filled (count > 0), 0 when there is
 * none, -1 when the directory cannot be read, or a file not now (the variable
 * errno; see imx_spool_file_may_pass()).  EAGAIN: there are only files that we
 * have no right to read; the log knows, and they are tried again after a look.
 * Bytes that are no whole line are copied to *.bad when the lines around them
 * are done, with one log line a file, and not more than a few in a minute.  A
 * file that cannot be read, and one whose next piece has no whole line (nor has
 * a part of it, then: such a line is longer than max_bytes), becomes *.bad,
 * with a log line like that, and the next one is tried, not too many in one
 * call; an empty file is removed.  A file that is gone is no error.
 */
int imx_spool_next(imx_spool_t *s, size_t max_bytes, size_t max_lines,
                   imx_spool_piece_t *piece);

/*
 * The next count lines of the piece were delivered, or refused for good: they
 * will not be given out again, also not by another process, once this returns.
 * With the last line of a file the file is removed.  When it cannot be removed
 * it is emptied; when it cannot be emptied, or cannot be renamed, what is done
 * is remembered: s does not give it out again.
 */
void imx_spool_done(imx_spool_t *s, size_t count);

/* Not now: what is not done stays, its memory is freed.  Touches no disk. */
void imx_spool_put_back(imx_spool_t *s);

/* Walks the list; touches no disk. */
imx_spool_totals_t imx_spool_totals(const imx_spool_t *s);

/* Before imx_spool_close(): another server may have the directory at once. */
void imx_spool_release(imx_spool_t *s);

/* Lets the directory go and frees s (may be NULL); a file that is being read
 * stays. */
void imx_spool_close(imx_spool_t *s);

#endif
