/*
 * backlog_news.h owns what the log is told of the spools, and how often.
 * Entered by the monitor's thread of the holder.
 * What was told is on the board, so the next holder does not repeat it.
 */
#ifndef IMX_BACKLOG_NEWS_H
#define IMX_BACKLOG_NEWS_H

#include <stdint.h>

#include "deliver/news.h"
#include "shared/board.h"

/* At most once a minute, whatever the directory. */
void imx_backlog_news_unusable(imx_news_t *n, const char *path,
                               const char *reason);

/* Another process works in the directory: once for the server, until that one
 * lets it go, and at most once a minute. */
void imx_backlog_news_in_use(imx_news_t *n, imx_board_spool_t *account,
                             const char *path);

/* The directory is ours now: says so if the log says that it was not. */
void imx_backlog_news_free(imx_news_t *n, imx_board_spool_t *account,
                           const char *path);

/* The directory was ours and does not work now; err is why. */
void imx_backlog_news_trouble(imx_news_t *n, imx_board_spool_t *account,
                              const char *path, int err);

/* So many points were given up for newer ones: at most once a minute; 0: to
 * say what became due. */
void imx_backlog_news_full(imx_news_t *n, uint64_t dropped);

#endif
