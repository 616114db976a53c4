/*
 * stay.c owns the promise that code stays where it is (see stay.h).
 * Entered by any thread.
 * It holds as long as the process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif

#include "base/stay.h"

#include <dlfcn.h>
#include <stddef.h>

void imx_stay_loaded(const void *address)
{
    Dl_info info;

    if (dladdr(address, &info) != 0 && info.dli_fname != NULL) {
        /* cppcheck-suppress leakReturnValNotUsed ; it is to stay for ever */
        (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    }
}
