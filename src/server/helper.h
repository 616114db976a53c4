/*
 * helper.h: the parent's last step, when the whole server ends: a helper
 * without root's rights delivers what is left.
 * The parent's only thread.
 */
#ifndef IMX_HELPER_H
#define IMX_HELPER_H

#include "httpd.h"

/*
 * Waits for the children, then for the helper, each for a bounded time of the
 * monotonic clock, and logs what is lost.  A helper that makes no progress is
 * killed.  Closes the listeners.
 */
void imx_helper_end_server(server_rec *s);

#endif
