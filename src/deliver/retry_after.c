/*
 * retry_after.c owns when a server wants to be asked again: retry_after.h.
 * Pure functions for any thread.
 * Nothing survives a crash: there is nothing to survive.
 */
#include "deliver/retry_after.h"

#include "deliver/http_date.h"
#include "deliver/span.h"

#define RETRY_AFTER_MAX 86400 /* seconds; more is a server's mistake */

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
    char text[64]; /* a date has at most 33 bytes */
    int64_t seconds;

    if (!imx_span_copy((imx_span_t){ value, len, 0 }, text, sizeof(text))) {
        return -1;
    }
    seconds = parse_seconds(text);
    if (seconds < 0) {
        seconds = imx_http_date_read(value, len) - (int64_t)now;
    }
    if (seconds <= 0) {
        return -1;
    }
    return (seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX) * 1000;
}
