/*
 * influx_options.h owns the list of what the administrator configured of the
 * way to InfluxDB.  It has no code, and any thread may read it.
 * Nothing here survives a process: config.c makes it anew at each start.
 */
#ifndef IMX_INFLUX_OPTIONS_H
#define IMX_INFLUX_OPTIONS_H

typedef enum {
    IMX_INFLUX_V1 = 1, /* POST /write?db=&rp=&precision=n */
    IMX_INFLUX_V2,     /* POST /api/v2/write?org=&bucket= */
    IMX_INFLUX_V3      /* POST /api/v3/write_lp?db= */
} imx_influx_api_e;

/* NULL where nothing is set. */
typedef struct {
    imx_influx_api_e api;
    const char *url;                  /* http://host:port, no trailing slash */
    const char *unix_socket;          /* path, or NULL for TCP */
    const char *database;             /* v1, v3 */
    const char *retention_policy;     /* v1 */
    const char *org, *bucket;         /* v2 */
    const char *user, *password_file; /* v1 Basic */
    const char *token_file;           /* v1, v2 "Token", v3 "Bearer" */
    const char *password, *token;     /* itself, in the place of a file */
    int hides_path; /* 1: of that file, as it may be the secret itself */
    int connect_timeout_ms, total_timeout_ms;
    const char *ca_file;                     /* PEM; NULL: the system's CAs */
    const char *certificate_file, *key_file; /* PEM; both or none of them */
    int gzip;                                /* 1: bodies are compressed */
} imx_influx_options_t;

#endif
