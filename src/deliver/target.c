/*
 * target.c owns the URLs that lines and statements are posted to: target.h.
 * Pure functions for any thread.
 * Nothing survives a crash: there is nothing to survive.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf, stpcpy */
#endif

#include "deliver/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

/* Adds NAME=VALUE, percent-encoded; a NULL value adds nothing. */
static int add_parameter(char **url, const char *name, const char *value)
{
    char *coded, *longer;
    int n;

    if (!value) {
        return 0;
    }
    coded = curl_easy_escape(NULL, value, (int)strlen(value));
    if (!coded) {
        return ENOMEM;
    }
    n = asprintf(&longer, "%s%c%s=%s", *url, strchr(*url, '?') ? '&' : '?',
                 name, coded);
    curl_free(coded);
    if (n < 0) {
        return ENOMEM;
    }
    free(*url);
    *url = longer;
    return 0;
}

static int begin_url(char **url, const char *base, const char *path)
{
    if (asprintf(url, "%s%s", base, path) < 0) {
        *url = NULL;
        return ENOMEM;
    }
    return 0;
}

/* The precision is always said: InfluxDB 3 guesses it otherwise. */
int imx_target_write(char **url, const imx_influx_options_t *o)
{
    switch (o->api) {
    case IMX_INFLUX_V1:
        return begin_url(url, o->url, "/write")
               || add_parameter(url, "db", o->database)
               || add_parameter(url, "rp", o->retention_policy)
               || add_parameter(url, "precision", "n");
    case IMX_INFLUX_V2:
        return begin_url(url, o->url, "/api/v2/write")
               || add_parameter(url, "org", o->org)
               || add_parameter(url, "bucket", o->bucket)
               || add_parameter(url, "precision", "ns");
    default:
        return begin_url(url, o->url, "/api/v3/write_lp")
               || add_parameter(url, "db", o->database)
               || add_parameter(url, "precision", "nanosecond")
               || add_parameter(url, "accept_partial", "true")
               || add_parameter(url, "no_sync", "false");
    }
}

/* InfluxQL: the name between double quotes, " and \ behind a backslash. */
static char *create_statement(const char *database)
{
    static const char begin[] = "CREATE DATABASE \"";
    char *out = malloc(sizeof(begin) + 2 * strlen(database) + 1);
    char *to = out;

    if (!out) {
        return NULL;
    }
    to = stpcpy(to, begin);
    for (; *database; database++) {
        if (*database == '"' || *database == '\\') {
            *to++ = '\\';
        }
        *to++ = *database;
    }
    strcpy(to, "\"");
    return out;
}

int imx_target_create(char **url, const imx_influx_options_t *o)
{
    char *statement;
    int rv;

    if (o->api != IMX_INFLUX_V1 || !o->database) {
        return 0;
    }
    statement = create_statement(o->database);
    rv = !statement || begin_url(url, o->url, "/query")
         || add_parameter(url, "q", statement);
    free(statement);
    return rv;
}
