/*
 * fault.h: named points in the code at which a unit test can interrupt it, or
 * kill the process.  They exist only where the tests compile them in.
 */
#ifndef IMX_FAULT_H
#define IMX_FAULT_H

#ifdef IMX_FAULTS
/* Called with the name of each point; NULL: nothing is called. */
__attribute__((weak)) void (*imx_fault)(const char *point);
#define FAULT(point) \
    do { \
        if (imx_fault) \
            imx_fault(point); \
    } while (0)
#else
#define FAULT(point) ((void)0)
#endif

#endif
