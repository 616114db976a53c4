/*
 * standin.h: an HTTP server for unit tests that misbehaves on request.
 * One thread serves one connection after the other; the test's thread calls
 * everything here.  What was seen is guarded by a lock.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <stddef.h>

typedef enum {
    STANDIN_ANSWER,  /* read the request, send the text, keep the
                           connection unless the text says Connection: close */
    STANDIN_CLOSE,   /* the same, then close whatever the text says */
    STANDIN_EARLY,   /* send the text before the body was read, then take
                           the rest of it and close, as Go's server does */
    STANDIN_RESET,   /* send the text before the body was read, and close on
                           it: the client sees a reset */
    STANDIN_SLOW,    /* send the text byte by byte, 1 ms apart */
    STANDIN_ENDLESS, /* send the text, then filler without an end */
    STANDIN_HANG,    /* read the request, say nothing */
    STANDIN_DEAF     /* read the head, and nothing more */
} standin_how_e;

typedef struct standin standin_t;

/* Listens on 127.0.0.1 and a free port, or on a unix socket. */
standin_t *standin_start(const char *socket_path);

/* Another thread that accepts connections on the same port (TCP only), so that
 * two can be open at once.  Has the first one's judge; stopped before it. */
standin_t *standin_beside(const standin_t *first);

/* Ends the thread and every connection; removes the socket. */
void standin_stop(standin_t *s);

int standin_port(const standin_t *s);

/* Bodies on connections made from now on are read at so many bytes a ms; 0: as
 * they come. */
void standin_slow(standin_t *s, int rate);

/* From now on connections are refused; one that is there goes on. */
void standin_refuse(standin_t *s);

/* What every request is answered from now on; the text is copied. */
void standin_say(standin_t *s, standin_how_e how, const char *text);

/* After one request of the last standin_say() or _then(): this, and so on. */
void standin_then(standin_t *s, standin_how_e how, const char *text);

/*
 * From now on judge says what a request is answered, not the steps above.  It
 * runs on the server's thread, when the body has been read, and changes *how
 * (to what does not come before the body) and returns the text, which must
 * live until the server ends.
 */
typedef const char *(*standin_judge_fn)(void *context, const char *head,
                                        const char *body, size_t len,
                                        standin_how_e *how);
void standin_ask(standin_t *s, standin_judge_fn judge, void *context);

/*
 * A judge for standin_ask() that answers as InfluxDB 3 was seen to do: at the
 * next whole second, when its log is flushed.  It refuses lines with a tab in a
 * tag's value, and bodies over max bytes.  The v3 API stores the good lines
 * (stored), the others none of a body with a bad one.
 */
typedef struct {
    size_t max; /* bytes; 0: 10 MB */
    int now;    /* 1: answers at once, as with no_sync=true */
    _Atomic long stored, refused; /* lines */
    char text[512];               /* the last answer */
} standin_influxdb3_t;

const char *standin_influxdb3(void *influxdb3, const char *head,
                              const char *body, size_t len,
                              standin_how_e *how);

/* Connections accepted, and requests whose head was read, so far. */
int standin_accepts(standin_t *s);
int standin_requests(standin_t *s);

/* Head and body of the last request, without the marks of its chunks; valid
 * until the next one. */
const char *standin_head(standin_t *s);
const char *standin_body(standin_t *s, size_t *len);

#endif
