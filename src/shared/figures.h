/*
 * figures.h: the figures of the module, one row each.  All that shows figures
 * (the page, JSON, text, the module's own measurement) reads this table, and a
 * new figure is one row and one function.
 */
#ifndef IMX_FIGURES_H
#define IMX_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "shared/snapshot.h"

typedef enum {
    IMX_FIGURES_COUNTER, /* only grows while the server runs */
    IMX_FIGURES_GAUGE,
    IMX_FIGURES_TIME, /* seconds since 1970, 0: never */
    IMX_FIGURES_TEXT
} imx_figures_kind_e;

/* Figures of one subject stand together, in this order. */
typedef enum {
    IMX_FIGURES_POINTS = 0,
    IMX_FIGURES_LOST,
    IMX_FIGURES_DELIVERY,
    IMX_FIGURES_ROOM,
    IMX_FIGURES_VALUES,
    IMX_FIGURES_MODULE,
    IMX_FIGURES_SUBJECTS
} imx_figures_subject_e;

/* text: for kind TEXT, in the snapshot or constant; else NULL. */
typedef struct {
    int64_t number;
    const char *text;
} imx_figures_value_t;

typedef struct {
    const char *name;  /* for programs; never changes */
    const char *label; /* for people, without a point */
    imx_figures_kind_e kind;
    imx_figures_subject_e subject;
    const char *unit; /* "points", "bytes", "seconds" or "" */
    const char *help; /* a sentence */
    imx_figures_value_t (*get)(const imx_snapshot_t *s);
} imx_figures_row_t;

const imx_figures_row_t *imx_figures_table(size_t *rows);

/* The one with this name, which one of them has. */
const imx_figures_row_t *imx_figures_find(const char *name);

/* A heading: "Points". */
const char *imx_figures_subject(imx_figures_subject_e subject);

#endif
