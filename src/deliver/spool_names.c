/*
 * spool_names.c owns the names of a spool's files (see spool_names.h).
 * The thread that works on the spool enters it.
 * The names survive any crash; the list is made from them.
 */
#include "deliver/spool_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_MAX ((uint64_t)INT64_MAX)
#define NUMBER_MAX 99999999u

static const char *const suffixes[IMX_SPOOL_KINDS] = { ".lp", ".lp", ".lp",
                                                       ".bad", ".tmp" };

void imx_spool_names_print(const imx_spool_name_t *n, char *text)
{
    char offset[16] = "";

    if (n->offset > 0) {
        snprintf(offset, sizeof offset, "-%012llu",
                 (unsigned long long)n->offset % (IMX_SPOOL_OFFSET_MAX + 1));
    }
    snprintf(text, IMX_SPOOL_NAME_SIZE, "%019llu-%08u-%06u%s%s",
             (unsigned long long)n->time, n->number % (NUMBER_MAX + 1),
             n->named % (IMX_SPOOL_LINES_MAX + 1), offset, suffixes[n->kind]);
}

/* Exactly `count` digits at *p, which moves behind them. */
static int digits(const char **p, int count, uint64_t *value)
{
    *value = 0;
    for (; count > 0; count--, (*p)++) {
        if (**p < '0' || **p > '9') {
            return 0;
        }
        *value = *value * 10 + (uint64_t)(**p - '0');
    }
    return 1;
}

static int parse_suffix(const char *suffix, unsigned char *kind)
{
    static const imx_spool_kind_e kinds[] = { IMX_SPOOL_READY, IMX_SPOOL_BAD,
                                              IMX_SPOOL_UNFINISHED };
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(suffix, suffixes[kinds[i]]) == 0) {
            *kind = (unsigned char)kinds[i];
            return 1;
        }
    }
    return 0;
}

int imx_spool_names_parse(imx_spool_name_t *n, const char *text)
{
    uint64_t number, named;

    memset(n, 0, sizeof *n);
    if (!digits(&text, 19, &n->time) || *text++ != '-'
        || !digits(&text, 8, &number) || *text++ != '-'
        || !digits(&text, 6, &named) || n->time > TIME_MAX) {
        return 0;
    }
    if (*text == '-') {
        text++;
        if (!digits(&text, 12, &n->offset) || n->offset == 0) {
            return 0;
        }
    }
    n->at = n->counted = n->offset;
    n->number = (uint32_t)number;
    n->named = (uint32_t)named;
    return parse_suffix(text, &n->kind);
}

int imx_spool_names_order(const imx_spool_name_t *a, const imx_spool_name_t *b)
{
    if (a->time != b->time) {
        return a->time < b->time ? -1 : 1;
    }
    if (a->number != b->number) {
        return a->number < b->number ? -1 : 1;
    }
    if ((a->kind == IMX_SPOOL_BAD) != (b->kind == IMX_SPOOL_BAD)) {
        return a->kind == IMX_SPOOL_BAD ? 1 : -1;
    }
    if (a->named != b->named) {
        return a->named < b->named ? -1 : 1;
    }
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static int by_age(const void *a, const void *b)
{
    return imx_spool_names_order(a, b);
}

void imx_spool_names_see(imx_spool_name_t *newest, const imx_spool_name_t *n)
{
    if (n->time > newest->time
        || (n->time == newest->time && n->number > newest->number)) {
        newest->time = n->time;
        newest->number = n->number;
    }
}

int imx_spool_names_new(imx_spool_name_t *n, imx_spool_name_t *newest,
                        uint64_t now)
{
    memset(n, 0, sizeof *n);
    n->time = newest->time;
    n->number = newest->number;
    if (now > n->time) {
        n->time = now;
        n->number = 0;
    }
    else if (n->number++ == NUMBER_MAX) {
        n->time++;
        n->number = 0;
    }
    if (n->time > TIME_MAX) {
        return EOVERFLOW;
    }
    imx_spool_names_see(newest, n);
    return 0;
}

/* ---- the list ---- */

imx_spool_name_t *imx_spool_names_at(const imx_spool_names_t *l, size_t i)
{
    return l->all + l->first + i;
}

int imx_spool_names_reserve(imx_spool_names_t *l)
{
    size_t room = l->room * 2 + 64;
    imx_spool_name_t *all;

    if (l->first + l->count < l->room) {
        return 0;
    }
    if (l->first > l->count) {
        memcpy(l->all, imx_spool_names_at(l, 0), l->count * sizeof *all);
        l->first = 0;
        return 0;
    }
    all = realloc(l->all, room * sizeof *all);
    if (all == NULL) {
        return ENOMEM;
    }
    l->all = all;
    l->room = room;
    return 0;
}

int imx_spool_names_add(imx_spool_names_t *l, const imx_spool_name_t *n)
{
    int err = imx_spool_names_reserve(l);

    if (err == 0) {
        *imx_spool_names_at(l, l->count++) = *n;
    }
    return err;
}

int imx_spool_names_set(imx_spool_names_t *l, const imx_spool_name_t *n)
{
    size_t i = imx_spool_names_find(l, n);
    int err;

    if (i < l->count) {
        *imx_spool_names_at(l, i) = *n;
        return 0;
    }
    err = imx_spool_names_add(l, n);
    imx_spool_names_sort(l);
    return err;
}

void imx_spool_names_remove(imx_spool_names_t *l, size_t i)
{
    memmove(imx_spool_names_at(l, 1), imx_spool_names_at(l, 0),
            i * sizeof *l->all);
    l->first++;
    l->count--;
}

void imx_spool_names_sort(imx_spool_names_t *l)
{
    if (l->count > 1) {
        qsort(imx_spool_names_at(l, 0), l->count, sizeof *l->all, by_age);
    }
}

size_t imx_spool_names_find(const imx_spool_names_t *l,
                            const imx_spool_name_t *n)
{
    const imx_spool_name_t *at = NULL;

    if (l->count > 0) {
        at = bsearch(n, imx_spool_names_at(l, 0), l->count, sizeof *n, by_age);
    }
    return at != NULL ? (size_t)(at - imx_spool_names_at(l, 0)) : l->count;
}

void imx_spool_names_free(imx_spool_names_t *l)
{
    free(l->all);
    memset(l, 0, sizeof *l);
}

uint64_t imx_spool_names_lines(const imx_spool_names_t *l)
{
    uint64_t lines = 0;
    size_t i;

    for (i = 0; i < l->count; i++) {
        lines += imx_spool_names_at(l, i)->lines;
    }
    return lines;
}

uint64_t imx_spool_names_bytes(const imx_spool_names_t *l)
{
    uint64_t bytes = 0;
    size_t i;

    for (i = 0; i < l->count; i++) {
        bytes += imx_spool_names_at(l, i)->bytes;
    }
    return bytes;
}
