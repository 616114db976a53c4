/*
 * spool_names.h owns the names of a spool's files: what they say, their order,
 * and the list of them in memory.
 * The thread that works on the spool enters it.  The names survive any crash;
 * the list is made from them.
 *
 * Names:  TTTTTTTTTTTTTTTTTTT-NNNNNNNN-LLLLLL.lp
 *         TTTTTTTTTTTTTTTTTTT-NNNNNNNN-LLLLLL-OOOOOOOOOOOO.lp
 *   T  19 digits, ns since 1970 when it was written; N  a number that makes
 *   the name new and keeps the order within one T; L  how many lines are to be
 *   delivered; O  at which byte they begin, when those before were delivered.
 *   *.tmp is being written, or was when its writer died, and its N says who
 *   that is (spool_owner.h); *.bad is quarantined.
 * Sorted by name is sorted by age, also when the clock is set back: T is never
 * less than the newest name's, and then N counts.
 */
#ifndef IMX_SPOOL_NAMES_H
#define IMX_SPOOL_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define IMX_SPOOL_NAME_SIZE (19 + 1 + 8 + 1 + 6 + 1 + 12 + sizeof ".tmp")
#define IMX_SPOOL_LINES_MAX 999999 /* in a name */
#define IMX_SPOOL_OFFSET_MAX UINT64_C(999999999999)
#define IMX_SPOOL_COUNTED UINT64_MAX /* to the end */

typedef enum {
    IMX_SPOOL_READY = 0,  /* *.lp */
    IMX_SPOOL_DELIVERED,  /* *.lp that could not be removed */
    IMX_SPOOL_SKIPPED,    /* *.lp that can be neither read nor moved */
    IMX_SPOOL_BAD,        /* *.bad */
    IMX_SPOOL_UNFINISHED, /* *.tmp, only while the directory is looked at */
    IMX_SPOOL_KINDS
} imx_spool_kind_e;

/* A file, as its name tells, and what is known of it besides. */
typedef struct {
    uint64_t time, bytes;
    uint64_t offset;  /* where what is to be delivered begins, by its name, */
    uint64_t at;      /* and really: it could not be renamed */
    uint64_t counted; /* up to this byte the lines were counted */
    uint32_t number;
    uint32_t named; /* lines, by its name */
    uint32_t lines; /* lines of it that are known, not delivered, and ready */
    unsigned char kind;
    unsigned char unsaved; /* what is no line could not be copied to *.bad */
    unsigned char failed;  /* so many times the disk did not let us read it */
    unsigned char denied; /* we have no right to read it; until the next look */
} imx_spool_name_t;

/* all[first .. first + count), by age: the oldest goes without a memmove(). */
typedef struct {
    imx_spool_name_t *all;
    size_t first, count, room;
} imx_spool_names_t;

/* Writes the name, IMX_SPOOL_NAME_SIZE bytes at most. */
void imx_spool_names_print(const imx_spool_name_t *n, char *text);

/* Returns 1, and what text says in *n, when it is the name of a spool's file;
 * its lines are not yet known. */
int imx_spool_names_parse(imx_spool_name_t *n, const char *text);

/* Makes a name that is behind `newest`, which becomes it.  now: ns since 1970.
 * Returns 0 or EOVERFLOW. */
int imx_spool_names_new(imx_spool_name_t *n, imx_spool_name_t *newest,
                        uint64_t now);

/* n may be the newest name. */
void imx_spool_names_see(imx_spool_name_t *newest, const imx_spool_name_t *n);

/* Less than 0, 0, or more: a is older than b, is b, is younger. */
int imx_spool_names_order(const imx_spool_name_t *a,
                          const imx_spool_name_t *b);

/* The list.  at: until the list changes.  reserve, add and set return 0 or
 * ENOMEM; reserve makes the next add a success.  set adds n, or writes it over
 * the one of that name.  find returns an index, or count. */
imx_spool_name_t *imx_spool_names_at(const imx_spool_names_t *l, size_t i);
int imx_spool_names_reserve(imx_spool_names_t *l);
int imx_spool_names_add(imx_spool_names_t *l, const imx_spool_name_t *n);
int imx_spool_names_set(imx_spool_names_t *l, const imx_spool_name_t *n);
void imx_spool_names_remove(imx_spool_names_t *l, size_t i);
void imx_spool_names_sort(imx_spool_names_t *l);
size_t imx_spool_names_find(const imx_spool_names_t *l,
                            const imx_spool_name_t *n);
void imx_spool_names_free(imx_spool_names_t *l);

/* Lines that are known, and bytes of all files. */
uint64_t imx_spool_names_lines(const imx_spool_names_t *l);
uint64_t imx_spool_names_bytes(const imx_spool_names_t *l);

#endif
