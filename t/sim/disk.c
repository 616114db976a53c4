/*
 * disk.c owns the simulated disk (see disk.h).
 * Entered by the tasks of simulated processes, and by the world.
 * What is in it survives the simulated processes, but no seed.
 */
#define _GNU_SOURCE /* memmem() */
#include "disk.h"

#include "calls.h"
#include "chance.h"
#include "ledger.h"
#include "sched.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kernel looks at the clock for a file's time 250 times a second. */
#define TIME_GRAIN (4 * SIM_MS)

typedef struct disk_change {
    struct disk_change *next;
    disk_node_t *node;
    char gone[DISK_NAME], came[DISK_NAME]; /* "": none */
} change_t;

static disk_node_t *root, *all;
static uint64_t next_inode;
static int64_t used;
static disk_trouble_t trouble;

static void *grown(void *p, size_t size)
{
    p = realloc(p, size);
    if (p == NULL) {
        abort();
    }
    return p;
}

static disk_node_t *new_node(int is_dir, disk_node_t *parent)
{
    disk_node_t *n = calloc(1, sizeof *n);

    if (n == NULL) {
        abort();
    }
    n->is_dir = is_dir;
    n->parent = parent;
    n->inode = next_inode++;
    n->next = all;
    all = n;
    return n;
}

static void forget_changes(disk_node_t *dir)
{
    while (dir->changes != NULL) {
        change_t *c = dir->changes;

        dir->changes = c->next;
        free(c);
    }
}

void disk_reset(void)
{
    while (all != NULL) {
        disk_node_t *n = all;

        all = n->next;
        forget_changes(n);
        free(n->data);
        free(n->entries);
        free(n->durable);
        free(n);
    }
    next_inode = 2;
    used = 0;
    memset(&trouble, 0, sizeof trouble);
    root = new_node(1, NULL);
    root->parent = root;
}

disk_node_t *disk_root(void)
{
    return root;
}

void disk_set_trouble(const disk_trouble_t *t)
{
    trouble = *t;
    ledger_disk(t->capacity || t->errors || t->write_errors || t->stalls
                || t->hangs || t->out_of_descriptors);
    sched_wake(&trouble);
}

int disk_fails_to_read(void)
{
    return trouble.errors > 0;
}

/* ---- directories ---- */

static disk_entry_t *entry_of(disk_node_t *dir, const char *name)
{
    size_t i;

    for (i = 0; i < dir->count; i++) {
        if (strcmp(dir->entries[i].name, name) == 0) {
            return &dir->entries[i];
        }
    }
    return NULL;
}

static void touch(disk_node_t *n)
{
    n->changed = calls_real_time() / TIME_GRAIN * TIME_GRAIN;
}

static void add_entry(disk_node_t *dir, const char *name, disk_node_t *node)
{
    size_t at = chance_below(dir->count + 1);

    if (dir->count == dir->entry_room) {
        dir->entry_room = dir->entry_room * 2 + 16;
        dir->entries = grown(dir->entries,
                             dir->entry_room * sizeof *dir->entries);
    }
    /* In no order that anybody could rely on. */
    dir->entries[dir->count] = dir->entries[at < dir->count ? at : 0];
    at = at < dir->count ? at : dir->count;
    snprintf(dir->entries[at].name, DISK_NAME, "%s", name);
    dir->entries[at].node = node;
    dir->count++;
    node->links++;
}

static void remove_entry(disk_node_t *dir, disk_entry_t *e)
{
    disk_node_t *node = e->node;

    *e = dir->entries[--dir->count];
    if (--node->links == 0) {
        used -= (int64_t)node->size;
    }
}

static void note_change(disk_node_t *dir, disk_node_t *node, const char *gone,
                        const char *came)
{
    change_t *c = calloc(1, sizeof *c);

    if (c == NULL) {
        abort();
    }
    c->node = node;
    snprintf(c->gone, DISK_NAME, "%s", gone);
    snprintf(c->came, DISK_NAME, "%s", came);
    c->next = dir->changes;
    dir->changes = c;
    touch(dir);
}

disk_node_t *disk_make_dir(const char *name)
{
    disk_node_t *dir = new_node(1, root);

    add_entry(root, name, dir);
    touch(dir);
    return dir;
}

void disk_hide(const char *name, int hidden)
{
    char away[DISK_NAME];
    disk_entry_t *e;

    snprintf(away, sizeof away, "%.60s.away", name);
    e = entry_of(root, hidden ? name : away);
    if (e != NULL) {
        snprintf(e->name, DISK_NAME, "%s", hidden ? away : name);
    }
}

/* ---- paths ---- */

static const char *next_component(const char *path, char *name)
{
    size_t n;

    path += strspn(path, "/");
    n = strcspn(path, "/");
    snprintf(name, DISK_NAME, "%.*s", (int)n, path);
    path += n;
    return path + strspn(path, "/");
}

int disk_find(disk_node_t *dir, const char *path, disk_place_t *place)
{
    disk_node_t *node = *path == '/' ? root : dir;

    snprintf(place->name, DISK_NAME, ".");
    place->dir = node;
    path += strspn(path, "/");
    while (*path != '\0') {
        disk_entry_t *e;

        if (node == NULL) {
            return ENOENT;
        }
        if (!node->is_dir) {
            return ENOTDIR;
        }
        path = next_component(path, place->name);
        if (strcmp(place->name, ".") == 0) {
            continue;
        }
        place->dir = node;
        e = entry_of(node, place->name);
        node = e != NULL ? e->node : NULL;
        if (strcmp(place->name, "..") == 0) {
            node = place->dir->parent;
        }
    }
    place->node = node;
    return 0;
}

/* ---- changes ---- */

int disk_create(const disk_place_t *place, disk_node_t **node)
{
    *node = new_node(0, place->dir);
    add_entry(place->dir, place->name, *node);
    note_change(place->dir, *node, "", place->name);
    touch(*node);
    return 0;
}

int disk_write(disk_node_t *n, size_t at, const void *from, size_t size)
{
    size_t end = at + size;
    int64_t more = end > n->size ? (int64_t)(end - n->size) : 0;

    if (trouble.capacity > 0 && used + more > trouble.capacity
        && process_self() != NULL) {
        return ENOSPC;
    }
    if (end > n->room) {
        n->room = end * 2;
        n->data = grown(n->data, n->room);
    }
    if (at > n->size) {
        memset(n->data + n->size, 0, at - n->size);
    }
    memcpy(n->data + at, from, size);
    n->size += (size_t)more;
    used += more;
    n->synced = n->synced < at ? n->synced : at;
    touch(n);
    return 0;
}

void disk_truncate(disk_node_t *n, size_t size)
{
    if (size < n->size) {
        used -= (int64_t)(n->size - size);
        n->size = size;
        n->synced = n->synced < size ? n->synced : size;
    }
    touch(n);
}

int disk_rename(const disk_place_t *from, const disk_place_t *to)
{
    disk_entry_t *e = entry_of(to->dir, to->name);
    disk_node_t *node = from->node;

    if (e != NULL) {
        trace_wrong("%s is renamed over %s", from->name, to->name);
        remove_entry(to->dir, e);
    }
    node->links++;
    remove_entry(from->dir, entry_of(from->dir, from->name));
    add_entry(to->dir, to->name, node);
    node->links--;
    note_change(to->dir, node, from->name, to->name);
    return 0;
}

int disk_unlink(const disk_place_t *place)
{
    remove_entry(place->dir, entry_of(place->dir, place->name));
    note_change(place->dir, place->node, place->name, "");
    return 0;
}

void disk_sync(disk_node_t *n)
{
    if (!n->is_dir) {
        n->synced = n->size;
        return;
    }
    forget_changes(n);
    n->durable_count = n->count;
    n->durable = grown(n->durable, (n->count + 1) * sizeof *n->durable);
    if (n->count > 0) {
        memcpy(n->durable, n->entries, n->count * sizeof *n->durable);
    }
}

void disk_let_go(process_fd_t *d)
{
    if (d->node->locked_by == d) {
        d->node->locked_by = NULL;
        sched_wake(&d->node->locked_by);
    }
    d->node->opens--;
}

/* ---- trouble ---- */

int disk_call(const char *name, int is_change)
{
    process_point(name);
    sched_spend(chance_between(1, 40) * SIM_US);
    while (trouble.hangs) {
        sched_wait(&trouble, SIM_NEVER - 1);
    }
    if (trouble.stalls > 0 && chance_below(1000) < trouble.stalls) {
        sched_sleep(chance_scale(SIM_MS, 4 * SIM_SECOND));
    }
    if (trouble.errors > 0 && chance_below(1000) < trouble.errors) {
        return trouble.error;
    }
    if (trouble.out_of_descriptors && name[0] == 'o') {
        return EMFILE;
    }
    if (is_change && chance_below(1000) < trouble.write_errors) {
        return trouble.error;
    }
    return 0;
}

/* ---- a power cut ---- */

static int ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n >= m && strcmp(name + n - m, suffix) == 0;
}

static void redo(disk_node_t *dir, const change_t *c)
{
    disk_entry_t *e = c->gone[0] ? entry_of(dir, c->gone) : NULL;

    c->node->links++;
    if (e != NULL) {
        remove_entry(dir, e);
    }
    if (c->came[0]) {
        add_entry(dir, c->came, c->node);
    }
    c->node->links--;
}

/* The oldest changes stay, as far as they had come. */
static void cut_dir(disk_node_t *dir, void (*lost)(const disk_node_t *node))
{
    change_t *order[4096], *c;
    size_t n = 0, i, stay;

    for (c = dir->changes; c != NULL && n < 4096; c = c->next) {
        order[n++] = c;
    }
    stay = chance_percent(30) ? n : chance_below(n + 1);
    while (dir->count > 0) {
        remove_entry(dir, &dir->entries[0]);
    }
    for (i = 0; i < dir->durable_count; i++) {
        disk_node_t *node = dir->durable[i].node;

        used += node->links == 0 ? (int64_t)node->size : 0;
        add_entry(dir, dir->durable[i].name, node);
    }
    for (i = n; i > 0; i--) {
        c = order[i - 1];
        used += c->came[0] && c->node->links == 0 ? (int64_t)c->node->size : 0;
        if (n - i < stay) {
            redo(dir, c);
        }
        else {
            lost(c->node);
        }
    }
    disk_sync(dir);
}

static void cut_file(disk_node_t *n, void (*lost)(const disk_node_t *node))
{
    size_t left = n->synced + chance_below(n->size - n->synced + 1);

    lost(n);
    if (chance_percent(40)) { /* blocks that were never written */
        memset(n->data + left, 0, n->size - left);
    }
    else {
        disk_truncate(n, left);
    }
    n->synced = n->size;
}

static size_t unsafe_files(const disk_node_t *dir)
{
    const change_t *c;
    size_t n = 0, i;

    for (c = dir->changes; c != NULL; c = c->next) {
        n += ends_in(c->gone, ".tmp") && ends_in(c->came, ".lp")
             && c->node->links > 0; /* else its fsync failed: undone */
    }
    n -= n > 0; /* that one may be under way */
    for (i = 0; i < dir->count; i++) {
        n += ends_in(dir->entries[i].name, ".lp")
             && dir->entries[i].node->synced < dir->entries[i].node->size;
    }
    return n;
}

void disk_power_cut(void (*lost)(const disk_node_t *node))
{
    disk_node_t *n;

    for (n = all; n != NULL; n = n->next) {
        if (n->is_dir && n != root) {
            if (unsafe_files(n) > 0) {
                trace_wrong("%zu files have their names and are not durable",
                            unsafe_files(n));
            }
            cut_dir(n, lost);
        }
        else if (!n->is_dir && n->synced < n->size) {
            cut_file(n, lost);
        }
    }
}

/* ---- for checks ---- */

int disk_had(const void *bytes, size_t size)
{
    const disk_node_t *n;

    for (n = all; n != NULL; n = n->next) {
        if (n->size > 0 && memmem(n->data, n->size, bytes, size) != NULL) {
            return 1;
        }
    }
    return 0;
}

uint64_t disk_bytes(const disk_node_t *dir, const char *suffix)
{
    uint64_t bytes = 0;
    size_t i;

    for (i = 0; i < dir->count; i++) {
        if (ends_in(dir->entries[i].name, suffix)) {
            bytes += dir->entries[i].node->size;
        }
    }
    return bytes;
}

size_t disk_files(const disk_node_t *dir, const char *suffix)
{
    size_t files = 0, i;

    for (i = 0; i < dir->count; i++) {
        files += ends_in(dir->entries[i].name, suffix)
                 && dir->entries[i].node->size > 0;
    }
    return files;
}
