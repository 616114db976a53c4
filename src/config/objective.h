/*
 * objective.h: what requests are to keep, and several of that together.
 * Any thread; knows no httpd.
 */
#ifndef IMX_OBJECTIVE_H
#define IMX_OBJECTIVE_H

#include <stdint.h>

/* So many of a hundred requests are to be good, that is answered in this time
 * and without an error of the server.  None: percent is 0. */
typedef struct {
    int64_t ns;
    double percent;
} imx_objective_t;

#define IMX_OBJECTIVE_SEVERAL (-1)

/* Adds one to those that are together already, in the beginning none: the
 * highest percentage, and SEVERAL instead of a time unless all have one. */
void imx_objective_join(imx_objective_t *all, const imx_objective_t *one);

#endif
