/*
 * page.c owns what of the status page is the same for everybody: its documents,
 * and the policy that lets a browser run their script and nothing else.
 * Entered by any thread that serves a request; constants.
 * Nothing is kept, so nothing has to survive.
 */
#include "show/page.h"

#include "show/page_made.h"

const imx_page_piece_t *imx_page_document(void)
{
    return page_pieces;
}

const imx_page_piece_t *imx_page_of_sentence(void)
{
    return sentence_pieces;
}

const char *imx_page_policy(void)
{
    return IMX_PAGE_POLICY;
}

const char *imx_page_tag(void)
{
    return IMX_PAGE_TAG;
}
