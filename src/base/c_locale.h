/*
 * c_locale.h: numbers as text, and text as numbers, with a point: whatever
 * locale a script in this process has set with setlocale() (mod_wsgi, mod_perl
 * and mod_lua let it), in which it may be a comma.
 * Any thread.
 * Nothing survives, as it keeps nothing.
 */
#ifndef IMX_C_LOCALE_H
#define IMX_C_LOCALE_H

#include <stdarg.h>
#include <stddef.h>

/* As snprintf() and vsnprintf(), in the locale "C". */
int imx_c_locale_print(char *to, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int imx_c_locale_vprint(char *to, size_t size, const char *format,
                        va_list args) __attribute__((format(printf, 3, 0)));

/* As strtod(), in the locale "C". */
double imx_c_locale_double(const char *text, char **end);

#endif
