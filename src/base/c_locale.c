/*
 * c_locale.c owns the locale in which numbers have a point.
 * Entered by any thread; libc only.
 * Nothing survives, as it keeps nothing.
 *
 * setlocale() is for the whole process, uselocale() for the calling thread
 * only: so no script is disturbed.
 */
#include "base/c_locale.h"

#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t c_locale;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t get_locale(void)
{
    pthread_once(&once, make_locale);
    return c_locale;
}

int imx_c_locale_vprint(char *to, size_t size, const char *format,
                        va_list args)
{
    locale_t before = uselocale(get_locale());
    int length = vsnprintf(to, size, format, args);

    uselocale(before);
    return length;
}

int imx_c_locale_print(char *to, size_t size, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = imx_c_locale_vprint(to, size, format, args);
    va_end(args);
    return length;
}

double imx_c_locale_double(const char *text, char **end)
{
    locale_t before = uselocale(get_locale());
    double number = strtod(text, end);

    uselocale(before);
    return number;
}
