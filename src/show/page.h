/*
 * page.h: the documents of the status page, as make has put them together of
 * the sources in src/show/page (tools/make-page.pl).  Constants: any thread.
 */
#ifndef IMX_PAGE_H
#define IMX_PAGE_H

#include <stddef.h>

/* What the server writes behind a piece of a document: {{title}} there is
 * IMX_PAGE_TITLE here. */
typedef enum {
    IMX_PAGE_END = 0,
    IMX_PAGE_TITLE,
    IMX_PAGE_NOSCRIPT,
    IMX_PAGE_ABOUT,
    IMX_PAGE_WORDS,
    IMX_PAGE_STILL,
    IMX_PAGE_TILE_REQUESTS,
    IMX_PAGE_TILE_ERRORS,
    IMX_PAGE_TILE_P50,
    IMX_PAGE_TILE_P99,
    IMX_PAGE_TILE_BUSY,
    IMX_PAGE_NOTE_BUSY,
    IMX_PAGE_TILE_SLOW,
    IMX_PAGE_NOTE_SLOW,
    IMX_PAGE_OBJECTIVE,
    IMX_PAGE_HOSTS,
    IMX_PAGE_WORKERS,
    IMX_PAGE_SLOW,
    IMX_PAGE_PROCESSES,
    IMX_PAGE_DELIVERY,
    IMX_PAGE_FIGURES,
    IMX_PAGE_VERSION,
    IMX_PAGE_SENTENCE,
    IMX_PAGE_MARKS
} imx_page_mark_e;

typedef struct {
    const char *text;
    size_t length;
    imx_page_mark_e next;
} imx_page_piece_t;

/* The pieces, up to the one with IMX_PAGE_END: of the page, and of a page that
 * is one sentence. */
const imx_page_piece_t *imx_page_document(void);
const imx_page_piece_t *imx_page_of_sentence(void);

/* Content-Security-Policy: the style and the script of these documents and no
 * others, by their hashes. */
const char *imx_page_policy(void);

/* Another one when the documents are others. */
const char *imx_page_tag(void);

#endif
