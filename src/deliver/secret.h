/*
 * secret.h owns what stands in the files that a connection to InfluxDB needs:
 * the token or password, and the certificates and keys of TLS.  A token or
 * password that stood in the environment is in the options instead.
 * Entered by the thread that has the reader; the files are read on a thread of
 * their own, so that a disk that hangs holds up nobody.
 * Nothing survives a crash.  What was secret is wiped before it is freed.
 */
#ifndef IMX_SECRET_H
#define IMX_SECRET_H

#include <stddef.h>

#include "deliver/influx_options.h"
#include "deliver/reason.h"

typedef struct {
    char *data; /* NULL: no file is configured, or the system has none */
    size_t len; /* bytes */
} imx_secret_pem_t;

/* What was in the files.  The owner frees it with imx_secret_free(). */
typedef struct {
    char *word; /* token or password; "": none */
    imx_secret_pem_t ca, certificate, key;
    int new_tls; /* 1: other TLS files than the ones read before */
} imx_secret_t;

void imx_secret_free(imx_secret_t *s);

typedef struct imx_secret_reader imx_secret_reader_t;

/*
 * system_ca: the file with the system's authorities, read when the options
 * name none; may be NULL.  The strings are copied.  NULL: no memory.
 */
imx_secret_reader_t *imx_secret_open(const imx_influx_options_t *o,
                                     const char *system_ca);
void imx_secret_close(imx_secret_reader_t *r);

/*
 * Begins to read, unless a reading is under way.  all: 1 reads in any case, 0
 * only when a file is another one than at the last reading.
 */
void imx_secret_ask(imx_secret_reader_t *r, int all);

typedef enum {
    IMX_SECRET_IDLE = 0, /* nothing was asked */
    IMX_SECRET_BUSY,     /* the disk has not answered yet */
    IMX_SECRET_READ,     /* *out is the caller's */
    IMX_SECRET_SAME,     /* the files are the ones of the last reading */
    IMX_SECRET_FAILED
} imx_secret_answer_e;

/*
 * The result of what was asked, once, after waiting for it for at most ms
 * milliseconds.  FAILED and BUSY come with a sentence in reason
 * (IMX_INFLUX_REASON_MAX bytes) that names the file.
 */
imx_secret_answer_e imx_secret_poll(imx_secret_reader_t *r, int ms,
                                    imx_secret_t **out, char *reason);

/* Readable when a result is there; -1 while nothing is under way. */
int imx_secret_fd(const imx_secret_reader_t *r);

/*
 * Is the file's first line a secret?  Reads it at once, so only where a disk
 * that hangs does no harm, such as in a forked process.  is_token: see
 * imx_secret_trim().  Returns 0, or an errno value with a sentence in reason.
 */
int imx_secret_check(const char *path, int is_token, char *reason);

/*
 * Cuts text (n bytes, with room for one more) to the secret in its first line:
 * without a byte order mark, and of a token without blanks around it and
 * without the word Token or Bearer before it.  Returns a sentence about what is
 * wrong with it, or NULL.
 */
const char *imx_secret_trim(char *text, size_t n, int is_token);

/*
 * The header line "Authorization: SCHEME CREDENTIAL" for this word, newly
 * allocated, for imx_secret_wipe(); NULL: no memory, or no secret is
 * configured.  We make it, not curl: curl would keep a copy of the password
 * and never wipe it.
 */
char *imx_secret_header(const imx_influx_options_t *o, const char *word);

/* Wipes and frees a string; NULL: nothing. */
void imx_secret_wipe(char *s);

/*
 * Puts stars over the secret wherever the reason shows it, be it as it is, in
 * percent coding, or with HTML's entities.  NULL: nothing.
 */
void imx_secret_hide_in(char *reason, const char *secret);

#endif
