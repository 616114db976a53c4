/*
 * spool_dir.h owns what is known of a spool's directory: which one it is, who
 * works in it, and which files are there.
 * The thread that works on the spool enters it.
 * The directory survives any crash; the list is made from it.
 *
 * An operator may remove files, add files, rename a *.bad to *.lp, move the
 * directory away and back, or mount something over it, all while the server
 * runs: the list is made again when the directory's inode or mtime has changed
 * and it was not us.
 *
 * Whoever works in the directory has a lock on it (flock), so a second httpd
 * with the same directory is refused.  The kernel takes the lock back when the
 * process ends.  Where locks are not known it is done without.  Between two
 * children of a server nobody has it: then the note of the server's keeps the
 * directory for it (spool_owner.h).
 */
#ifndef IMX_SPOOL_DIR_H
#define IMX_SPOOL_DIR_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/log.h"
#include "deliver/spool_names.h"
#include "deliver/spool_owner.h"

/* ns: in the minute from then on the log told of so many. */
typedef struct {
    int64_t since;
    int count;
} imx_spool_told_t;

typedef struct {
    char *path;
    imx_log_fn log;
    void *log_context;
    imx_spool_owner_t owner; /* we, as others see us */
    int fd;                  /* -1: the directory is gone */
    int is_ours;             /* locked, or locks are not known there */
    struct stat seen;        /* the directory, as the list knows it */
    int blind; /* somebody may have changed it together with us */
    imx_spool_names_t names;
    imx_spool_name_t newest;      /* the newest name, here or ever given */
    const imx_spool_name_t *held; /* the file that is being read, or NULL */
    uint64_t found; /* lines that became known and were not put by us */
    uint64_t lost;  /* lines that were known and nobody will get */
    int trouble;    /* errno of what was logged, 0 after a success */
    imx_spool_told_t told_troubles, told_files;
    uint64_t untold; /* files that the log was not told of */
} imx_spool_dir_t;

/* Fills *d, whose path and log are set and whose fd is -1.  Returns 0, or errno
 * with a sentence in reason (IMX_SAFE_PATH_REASON_MAX bytes). */
int imx_spool_dir_open(imx_spool_dir_t *d, char *reason);

/* Before anything is done: is it the directory that we know, as we know it?
 * Else the list is made again.  Returns 0 or errno. */
int imx_spool_dir_enter(imx_spool_dir_t *d);

/* Makes the list again. */
int imx_spool_dir_scan(imx_spool_dir_t *d);

/* We have changed it, and the list with it: no reason to look again.  Only
 * after imx_spool_dir_enter() has returned 0. */
void imx_spool_dir_remember(imx_spool_dir_t *d);

/* The whole file becomes *.bad; its lines are lost.  why: an errno value; 0: it
 * has no whole line.  Returns 0 or errno. */
int imx_spool_dir_quarantine(imx_spool_dir_t *d, imx_spool_name_t *n, int why);

/* One line for the log; %m in format is err's text. */
__attribute__((format(printf, 4, 5))) void imx_spool_dir_say(
    const imx_spool_dir_t *d, imx_log_level_e level, int err,
    const char *format, ...);

/* 1: the log is to tell of err.  A broken disk is told of once, until something
 * has worked; where some of it works, a few times a minute. */
int imx_spool_dir_is_new_trouble(imx_spool_dir_t *d, int err);

/* 1: the log is to tell of a file that has something wrong with it.  Of a few
 * in a minute it is told one by one, of the others how many they were. */
int imx_spool_dir_tells_of_file(imx_spool_dir_t *d);

/* Before it is closed: this server works there no more, and another one need
 * not wait until this one has ended. */
void imx_spool_dir_release(imx_spool_dir_t *d);

/* Lets the directory go and frees what *d has, but not *d. */
void imx_spool_dir_close(imx_spool_dir_t *d);

#endif
