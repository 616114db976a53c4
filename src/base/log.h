/*
 * log.h: the ids of log messages and the callback through which the files that
 * do not know httpd log.  Any thread.  docs/messages.md explains every id.
 */
#ifndef IMX_LOG_H
#define IMX_LOG_H

/* IMX_LOGNO(12) "text" is "IMX0012: text". */
#define IMX_LOGNO(n) "IMX00" #n ": "

typedef enum {
    IMX_LOG_ERROR = 0,
    IMX_LOG_WARNING,
    IMX_LOG_NOTICE,
    IMX_LOG_INFO,
    IMX_LOG_DEBUG
} imx_log_level_e;

/* text: one line, borrowed for the call. */
typedef void (*imx_log_fn)(void *context, imx_log_level_e level,
                           const char *text);

#endif
