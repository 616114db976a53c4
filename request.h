/*
 * request.h: a finished request becomes a line in the batch.
 */
#ifndef IMX_REQUEST_H
#define IMX_REQUEST_H

#include "httpd.h"

/* Registers the filters.  Parent, when hooks are registered. */
void imx_request_register_filters(void);

/* Hook child_init, after the runtime's: completes the beginnings of the lines
 * with the child's own tag. */
void imx_request_child_init(apr_pool_t *pchild, server_rec *s);

/* Hooks of a request, on the thread that works on it. */
void imx_request_insert_filter(request_rec *r);
int imx_request_log(request_rec *r);

#endif
