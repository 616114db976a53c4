/*
 * disk.h owns the simulated disk: directories, files, what fsync() has made
 * durable, and what can go wrong with it.  files.c gives it to the module's
 * code as system calls.
 *
 * A power cut takes back what was not made durable: of the changes of a
 * directory since its last fsync() a prefix stays, of the bytes of a file since
 * its own some stay, or stay as NULs.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "process.h"

#define DISK_NAME 80

typedef struct disk_node disk_node_t;

typedef struct {
    char name[DISK_NAME];
    disk_node_t *node;
} disk_entry_t;

struct disk_node {
    int is_dir, links, opens;
    uint64_t inode;
    int64_t changed; /* mtime, ns of the real clock */
    unsigned char *data;
    size_t size, room, synced; /* bytes; synced: durable ones */
    process_fd_t *locked_by;
    disk_node_t *parent;
    /* of a directory */
    disk_entry_t *entries, *durable;
    size_t count, entry_room, durable_count;
    struct disk_change *changes; /* since its last fsync(), the newest first */
    disk_node_t *next;           /* of all nodes */
};

/* What is wrong with it; all 0: nothing. */
typedef struct {
    int64_t capacity;       /* bytes of files, 0: no limit */
    unsigned errors;        /* of 1,000 calls fail */
    int error;              /* with this errno */
    unsigned write_errors;  /* of 1,000 calls that change something */
    int out_of_descriptors; /* open() fails */
    unsigned stalls;        /* of 1,000 calls take seconds */
    int hangs;              /* no call returns */
} disk_trouble_t;

void disk_reset(void);
void disk_set_trouble(const disk_trouble_t *trouble);
int disk_fails_to_read(void);

/* The operator: makes a directory in /, moves it away, and back. */
disk_node_t *disk_make_dir(const char *name);
void disk_hide(const char *name, int hidden);
disk_node_t *disk_root(void);

/* What a path means, from dir on; NULL: errno.  *last is then filled with the
 * directory and the last component's name, also when only that is missing. */
typedef struct {
    disk_node_t *dir, *node;
    char name[DISK_NAME];
} disk_place_t;
int disk_find(disk_node_t *dir, const char *path, disk_place_t *place);

/* Changes; each returns 0 or an errno value. */
int disk_create(const disk_place_t *place, disk_node_t **node);
int disk_write(disk_node_t *node, size_t at, const void *from, size_t size);
void disk_truncate(disk_node_t *node, size_t size);
int disk_rename(const disk_place_t *from, const disk_place_t *to);
int disk_unlink(const disk_place_t *place);
void disk_sync(disk_node_t *node);

/* A descriptor of it is closed. */
void disk_let_go(process_fd_t *d);

/* Does this call fail?  Returns an errno value or 0.  Takes its time. */
int disk_call(const char *name, int is_change);

/* Everything stops; what is durable stays.  lost(node) is called for each file
 * of which a change is undone. */
void disk_power_cut(void (*lost)(const disk_node_t *node));

/* Were these bytes ever in a file? */
int disk_had(const void *bytes, size_t size);

/* Of the files in dir whose names end in this: bytes; how many have any. */
uint64_t disk_bytes(const disk_node_t *dir, const char *suffix);
size_t disk_files(const disk_node_t *dir, const char *suffix);

#endif
