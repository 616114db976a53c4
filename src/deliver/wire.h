/*
 * wire.h owns libcurl's handles: their options, and every descriptor that
 * libcurl opens.
 * Entered only by the thread that has the handles (the monitor's).
 * Nothing survives a crash.
 *
 * Programs that mod_cgi starts must inherit none of these descriptors: what one
 * does to a socket that it shares with us, it does to us.
 */
#ifndef IMX_WIRE_H
#define IMX_WIRE_H

#include <curl/curl.h>

#include "deliver/influx_options.h"
#include "deliver/secret.h"

/* A multi handle that keeps one connection; NULL: no memory. */
CURLM *imx_wire_multi(void);

/* Sets all of the easy handle that does not belong to a single request. */
void imx_wire_set_up(CURL *easy, const imx_influx_options_t *o);

/*
 * Before a request: libcurl counts how often it had to send a request again, as
 * long as the handle lives, and gives the sixth of them up.  So a handle that
 * has made a connection is replaced by its copy, which has counted nothing.
 * Returns 1 when there is no memory for that.
 */
int imx_wire_renew(CURL **easy);

/*
 * What the next connections verify and show, from memory: libcurl opens no
 * file.  It borrows the bytes until the next call.  Returns 1 when libcurl
 * does not take them.
 */
int imx_wire_set_tls(CURL *easy, const imx_influx_options_t *o,
                     const imx_secret_t *files);

/* The file with the system's authorities that libcurl knows; may be NULL. */
const char *imx_wire_system_ca(CURL *easy);

/*
 * Waits until a transfer can move, one of the n (at most 4) descriptors is
 * readable, or ms milliseconds are over.  Descriptors of -1 are left out.
 */
void imx_wire_wait(CURLM *multi, const int *fds, int n, int ms);

#endif
