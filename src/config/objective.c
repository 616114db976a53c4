/*
 * objective.c owns what several objectives are together.
 * Entered by any thread.
 * Nothing is kept, so nothing has to survive.
 */
#include "config/objective.h"

void imx_objective_join(imx_objective_t *all, const imx_objective_t *one)
{
    if (!(one->percent > 0)) {
        return;
    }
    if (all->percent == 0) {
        *all = *one;
        return;
    }
    if (all->ns != one->ns) {
        all->ns = IMX_OBJECTIVE_SEVERAL;
    }
    if (all->percent < one->percent) {
        all->percent = one->percent;
    }
}
