/*
 * decimal.h: a double as text that reads back as exactly that double.
 * Any thread; no globals that change, no allocation, no locale, no errno.
 * Nothing survives a crash.
 */
#ifndef IMX_DECIMAL_H
#define IMX_DECIMAL_H

#define IMX_DECIMAL_MAX 32 /* bytes that a text takes at most */

/*
 * Writes v, which is finite, at p and returns where the text ends (there is no
 * NUL behind it).  A value that is a short decimal, of 15 digits or a little
 * more, is written as that decimal: "0.1", "-12.5", "3".  Others have 17 digits
 * and an exponent: "1.7976931348623157e308".
 */
char *imx_decimal_write(char *p, double v);

#endif
