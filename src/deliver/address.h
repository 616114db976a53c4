/*
 * address.h owns where the name in InfluxMetricsServer leads to: libcurl is
 * given addresses and never asks a name server, as that would hold up the end
 * of a child, and as libcurl makes sockets for it that CGI programs inherit.
 * Entered by the thread that opened it; the name server is asked on a thread of
 * its own.  Nothing survives a crash.
 */
#ifndef IMX_ADDRESS_H
#define IMX_ADDRESS_H

#include <curl/curl.h>

typedef struct imx_address imx_address_t;

/* url: http://host[:port].  The string is copied.  NULL: no memory. */
imx_address_t *imx_address_open(const char *url);
void imx_address_close(imx_address_t *a);

typedef enum {
    IMX_ADDRESS_KNOWN = 0,
    IMX_ADDRESS_BUSY,  /* the name server has not answered yet */
    IMX_ADDRESS_FAILED /* it knows no such name; the next call asks again */
} imx_address_answer_e;

/*
 * Asks when nothing is known.  What is older than a minute is looked up again
 * meanwhile, and used until then.
 */
imx_address_answer_e imx_address_poll(imx_address_t *a);

/* Readable when the name server has answered; -1: nobody was asked. */
int imx_address_fd(const imx_address_t *a);

/* No connection could be made: the next poll asks again. */
void imx_address_forget(imx_address_t *a);

/* For CURLOPT_RESOLVE, valid until the next poll; NULL: no name to look up. */
struct curl_slist *imx_address_list(const imx_address_t *a);

/* The name, for messages. */
const char *imx_address_name(const imx_address_t *a);

#endif
