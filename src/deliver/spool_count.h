/*
 * spool_count.h owns how many lines the files of a spool have: counted, read,
 * or as their names say.
 * The thread that works on the spool enters it.
 * What was counted dies with the process.
 */
#ifndef IMX_SPOOL_COUNT_H
#define IMX_SPOOL_COUNT_H

#include <stddef.h>

#include "deliver/spool_dir.h"
#include "deliver/spool_file.h"

/* Are all lines of the file known? */
int imx_spool_count_is_known(const imx_spool_name_t *n);

/* The names of the files that are there now are true. */
void imx_spool_count_trust(imx_spool_dir_t *d);

/* Counts lines, about max_bytes, but none of the file that is being read.
 * Returns 1 when there is more to count. */
int imx_spool_count_some(imx_spool_dir_t *d, size_t max_bytes);

/* Counts the file to its end, if it can be read. */
void imx_spool_count_all(imx_spool_dir_t *d, imx_spool_name_t *n);

/* From now on the account has the lines of this piece of the file. */
void imx_spool_count_learn(imx_spool_dir_t *d, imx_spool_name_t *n,
                           const imx_spool_content_t *piece);

#endif
