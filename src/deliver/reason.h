/*
 * reason.h owns the sentence that says why InfluxDB took no points or refused
 * some: printable ASCII, one line, blanks as one.
 * Pure functions for any thread.  Nothing survives a crash.
 *
 * InfluxDB quotes the lines that it refuses, and those have what clients sent.
 * The log may show that, and helps to find the line; the status page may not,
 * and what a client sent must not decide how an answer is understood.  So there
 * are words without what is quoted.
 */
#ifndef IMX_REASON_H
#define IMX_REASON_H

#include "deliver/span.h"

#define IMX_INFLUX_REASON_MAX 256 /* bytes of a reason, NUL included */
#define IMX_REASON_WORDS 4096     /* bytes of the words of an answer */

/* What a reason shows for this byte. */
char imx_reason_byte(char c);

/* Makes text the reason. */
void imx_reason_explain(char *reason, const char *text);

/* Adds what fits of s to a reason of size bytes, NUL included. */
void imx_reason_add(char *reason, size_t size, imx_span_t s);
void imx_reason_add_text(char *reason, size_t size, const char *text);

/* Cuts a blank at the end. */
void imx_reason_trim(char *reason);

/*
 * Replaces in words (a reason of any size) each quoted piece by "...", quotes
 * kept, but for short names that the administrator chose, such as those behind
 * the word "database".
 */
void imx_reason_cut_quotes(char *words);

/* The same, and the values of NAME=VALUE, but for numbers, are cut. */
void imx_reason_cut_values(char *words);

/* Adds advice behind the reason, whose end is cut where there is no room. */
void imx_reason_advise(char *reason, const char *advice);

#endif
