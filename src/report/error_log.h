/*
 * error_log.h: what a monitor tells httpd's error log.
 * A monitor's thread, or one that works for it.
 */
#ifndef IMX_ERROR_LOG_H
#define IMX_ERROR_LOG_H

#include "httpd.h"

/*
 * Does the error log of s take a message within 100 ms?  A pipe to a program
 * that does not read takes none once it is full, and whoever writes to it
 * waits: a request's thread for its own messages, as httpd does, but a monitor
 * delivers the points of the whole server.  Where it is 0 the message is left
 * out, and told of (IMX0084) with the next one.
 */
int imx_error_log_takes(const server_rec *s);

#endif
