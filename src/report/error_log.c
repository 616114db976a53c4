/*
 * error_log.c owns that a monitor does not wait for the error log.
 * Entered by a monitor's thread, and by those that work for it.
 * How many messages were left out is the process's own.
 */
#include "report/error_log.h"

#include "apr_portable.h"
#include "http_log.h"

#include "base/log.h"

#include <poll.h>
#include <stdatomic.h>

APLOG_USE_MODULE(influx_metrics);

#define WAIT_MS 100 /* for a program that has much to read just now */

/* A pipe that has room for less than a page takes nothing; a file takes all.
 * Of a log that is no file nothing is known. */
static int takes(const server_rec *s)
{
    struct pollfd p = { .events = POLLOUT };

    return s->error_log == NULL
           || apr_os_file_get(&p.fd, s->error_log) != APR_SUCCESS
           || poll(&p, 1, WAIT_MS) != 0;
}

int imx_error_log_takes(const server_rec *s)
{
    static _Atomic unsigned left_out;
    unsigned n;

    if (!takes(s)) {
        atomic_fetch_add(&left_out, 1);
        return 0;
    }
    n = atomic_exchange(&left_out, 0);
    if (n > 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, IMX_LOGNO(84) "%u "
                     "messages of this child were left out, as the program "
                     "that ErrorLog names did not read in time", n);
    }
    return 1;
}
