/*
 * intake.h: what became of the bodies that applications posted, in the arena:
 * counts, and since when the log is quiet about refused ones.
 *
 * Any thread of any child adds and reads.
 */
#ifndef IMX_INTAKE_H
#define IMX_INTAKE_H

#include <stddef.h>
#include <stdint.h>

#define IMX_INTAKE_VERSION 1

/* A process's own view, in its private memory. */
typedef struct {
    struct imx_intake_part *part;
} imx_intake_t;

typedef struct {
    uint64_t points;  /* that were taken */
    uint64_t refused; /* bodies that were not */
} imx_intake_totals_t;

/* Parent: bytes of the part; makes it in zeroed memory. */
size_t imx_intake_size(void);
void imx_intake_format(imx_intake_t *i, void *base);

/* Any: so many points were taken. */
void imx_intake_took(const imx_intake_t *i, uint64_t points);

/*
 * Any: a body was refused.  Returns how many were since the log was told of one
 * for the last time, when the caller may tell it now: one child may, once in
 * `quiet` ns; else 0.  now: ns of the monotonic clock.
 */
uint64_t imx_intake_refused(const imx_intake_t *i, int64_t now, int64_t quiet);

imx_intake_totals_t imx_intake_totals(const imx_intake_t *i);

#endif
