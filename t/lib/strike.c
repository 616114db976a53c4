/*
 * strike.c: linked into a module that was built with its FAULT() points; kills
 * the process that comes to a point for the Nth time.  "POINT N" stands in the
 * file that IMX_STRIKE names; who strikes takes the file away.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/fault.h"

static const char *file;
static struct stat last; /* of the file, as it was counted for */
static int left;

static int is_wanted(const char *point)
{
    char wanted[32] = "";
    int n = 0, is_read;
    struct stat now;
    FILE *f = fopen(file, "r");

    if (f == NULL) {
        return 0;
    }
    is_read = fscanf(f, "%31s %d", wanted, &n) == 2
              && fstat(fileno(f), &now) == 0;
    fclose(f);
    if (!is_read || strcmp(wanted, point) != 0) {
        return 0;
    }
    if (now.st_ino != last.st_ino || now.st_mtim.tv_sec != last.st_mtim.tv_sec
        || now.st_mtim.tv_nsec != last.st_mtim.tv_nsec) {
        last = now;
        left = n;
    }
    return --left == 0;
}

static void strike(const char *point)
{
    if (is_wanted(point) && unlink(file) == 0) {
        kill(getpid(), SIGKILL);
    }
}

__attribute__((constructor)) static void begin(void)
{
    file = getenv("IMX_STRIKE");
    imx_fault = file != NULL ? strike : NULL;
}
