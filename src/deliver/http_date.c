/*
 * http_date.c owns how a date in a header of HTTP is read: http_date.h.
 * Pure functions for any thread.
 * Nothing survives a crash: there is nothing to survive.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* timegm */
#endif

#include "deliver/http_date.h"

#include <stdio.h>
#include <time.h>

#include "deliver/span.h"

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

static int64_t parse(const char *text)
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

int64_t imx_http_date_read(const char *value, size_t len)
{
    char text[64]; /* a date has at most 33 bytes */

    return imx_span_copy((imx_span_t){ value, len, 0 }, text, sizeof(text))
               ? parse(text)
               : -1;
}
