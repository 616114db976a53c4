/*
 * backlog_news.c owns what the log is told of the spools, and how often.
 * Entered by the monitor's thread of the holder.
 * What was told is on the board, so the next holder does not repeat it.
 */
#include "deliver/backlog_news.h"

#include <errno.h>
#include <string.h>

void imx_backlog_news_unusable(imx_news_t *n, const char *path,
                               const char *reason)
{
    if (imx_news_count(n, IMX_BOARD_NO_SPOOL, 1) > 0) {
        imx_news_say(n, IMX_LOG_ERROR,
                     IMX_LOGNO(50) "the spool %s cannot be used: %s", path,
                     reason);
    }
}

void imx_backlog_news_in_use(imx_news_t *n, imx_board_spool_t *account,
                             const char *path)
{
    if (!account->is_used && !imx_news_is_quiet(n, IMX_BOARD_SPOOL_USED)) {
        account->is_used = 1;
        imx_news_count(n, IMX_BOARD_SPOOL_USED, 1);
        imx_news_say(n, IMX_LOG_ERROR,
                     IMX_LOGNO(56) "the spool %s is in use by another process, "
                                   "perhaps another httpd: this server does "
                                   "without it until it is free",
                     path);
    }
}

void imx_backlog_news_free(imx_news_t *n, imx_board_spool_t *account,
                           const char *path)
{
    if (account->is_used) {
        account->is_used = 0;
        imx_news_publish(n);
        imx_news_say(n, IMX_LOG_NOTICE,
                     IMX_LOGNO(57) "the spool %s is free now and is used from "
                                   "now on",
                     path);
    }
}

void imx_backlog_news_trouble(imx_news_t *n, imx_board_spool_t *account,
                              const char *path, int err)
{
    if (err == EBUSY) {
        imx_backlog_news_in_use(n, account, path);
    }
    else {
        imx_backlog_news_unusable(n, path, strerror(err));
    }
}

void imx_backlog_news_full(imx_news_t *n, uint64_t dropped)
{
    dropped = imx_news_count(n, IMX_BOARD_SPOOL_FULL, dropped);
    if (dropped > 0) {
        imx_news_say(n, IMX_LOG_ERROR,
                     IMX_LOGNO(55) "the spool is full: gave up its oldest %llu "
                                   "points",
                     (unsigned long long)dropped);
    }
}
