/*
 * tree.h: takes a test's directory away with all that is in it.
 * One thread.
 */
#ifndef TREE_H
#define TREE_H

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static inline int remove_entry(const char *path, const struct stat *st,
                               int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

/* 0, or what stopped it: -1 with errno. */
static inline int remove_tree(const char *top)
{
    return nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
