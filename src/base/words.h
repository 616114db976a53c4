/*
 * words.h: numbers and strings as people and programs read them.
 * Any thread; libc only.
 * Nothing is kept.
 *
 * Each function writes at most size bytes with the NUL to `to` and returns how
 * many bytes the whole text has without it, as snprintf() does.  `to` may be
 * NULL when size is 0.
 */
#ifndef IMX_WORDS_H
#define IMX_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define IMX_WORDS_SHORT 64 /* bytes: enough for all but json and line */

/* A string of JSON with its quotes.  What is not UTF-8 becomes U+FFFD. */
size_t imx_words_json(char *to, size_t size, const char *text);

/* A value of a label in Prometheus' text form, without its quotes.  What is not
 * UTF-8 becomes U+FFFD, and so do control characters but the end of a line. */
size_t imx_words_label(char *to, size_t size, const char *text);

/* The text on one line: a space stands for each control character, U+FFFD for
 * what is not UTF-8. */
size_t imx_words_line(char *to, size_t size, const char *text);

/* Is there a control character in it? */
int imx_words_has_control(const char *text);

/* "12,345,678" */
size_t imx_words_number(char *to, size_t size, int64_t number);

/* Seconds, in the two largest units: "2 hours 5 minutes", "0 seconds". */
size_t imx_words_duration(char *to, size_t size, int64_t seconds);

/* The same in short, from millionths of a second on: "467 µs", "59.8 ms",
 * "1.90 s", "2 min 10 s", "41 d 3 h".  What is negative or no number is 0. */
size_t imx_words_taken(char *to, size_t size, double seconds);

/* "512 bytes", "16 KB", "1.5 GB"; K is 1,024, as in the directives. */
size_t imx_words_bytes(char *to, size_t size, uint64_t bytes);

/* Seconds since 1970: "2026-11-26 14:02:27 UTC". */
size_t imx_words_time(char *to, size_t size, int64_t seconds);

#endif
