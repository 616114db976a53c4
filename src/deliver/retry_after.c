/*
 * retry_after.c owns when a server wants to be asked again: retry_after.h.
 * Pure functions for any thread.
 * Nothing survives a crash: there is nothing to survive.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* timegm */
#endif

#include "deliver/retry_after.h"

#include <stdio.h>

#include "deliver/span.h"

#define RETRY_AFTER_MAX 86400 /* seconds; more is a server's mistake */

typedef struct {
    int year, day, hour, minute, second;
    char month[4];
} date_t;

/* RFC 9110, 5.6.7: the form in use, and two that are to be understood. */
static int scan_date(const char *text, date_t *d)
{
    int end = 0;

    if (sscanf(text, "%*[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n", &d->day,
               d->month, &d->year, &d->hour, &d->minute, &d->second, &end)
        == 6) {
        return text[end] == '\0';
    }
    if (sscanf(text, "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n",
               &d->day, d->month, &d->year, &d->hour, &d->minute, &d->second,
               &end)
        == 6) {
        d->year += d->year < 70 ? 2000 : 1900;
        return text[end] == '\0';
    }
    return sscanf(text, "%*[A-Za-z] %3s %2d %2d:%2d:%2d %4d%n", d->month,
                  &d->day, &d->hour, &d->minute, &d->second, &d->year, &end)
               == 6
           && text[end] == '\0';
}

static int month_number(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *at = strlen(name) == 3 ? strstr(names, name) : NULL;

    return at && (at - names) % 3 == 0 ? (int)(at - names) / 3 : -1;
}

/* -1: this is not a date. */
static time_t parse_date(const char *text)
{
    date_t d = { 0 };
    struct tm tm = { 0 };

    if (!scan_date(text, &d) || month_number(d.month) < 0 || d.day < 1
        || d.day > 31 || d.hour < 0 || d.hour > 23 || d.minute < 0
        || d.minute > 59 || d.second < 0 || d.second > 60) {
        return -1;
    }
    tm.tm_year = d.year - 1900;
    tm.tm_mon = month_number(d.month);
    tm.tm_mday = d.day;
    tm.tm_hour = d.hour;
    tm.tm_min = d.minute;
    tm.tm_sec = d.second;
    return timegm(&tm);
}

/* Digits only, however many; -1: this is not a number. */
static int64_t parse_seconds(const char *text)
{
    int64_t seconds = 0;

    for (; isdigit((unsigned char)*text); text++) {
        if (seconds <= RETRY_AFTER_MAX) {
            seconds = seconds * 10 + (*text - '0');
        }
    }
    return *text ? -1 : seconds;
}

int64_t imx_retry_after_ms(const char *value, size_t len, time_t now)
{
    imx_span_t s = imx_span_trim((imx_span_t){ value, len, 0 });
    char text[64]; /* a date has at most 33 bytes */
    int64_t seconds;

    while (s.len && isspace((unsigned char)s.p[s.len - 1])) {
        s.len--;
    }
    if (s.len >= sizeof(text)) {
        return -1;
    }
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    seconds = parse_seconds(text);
    if (seconds < 0) {
        seconds = (int64_t)parse_date(text) - (int64_t)now;
    }
    if (seconds <= 0) {
        return -1;
    }
    return (seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX) * 1000;
}
