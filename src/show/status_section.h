/*
 * status_section.h: the module's section of mod_status' page, where that module
 * is loaded.
 */
#ifndef IMX_STATUS_SECTION_H
#define IMX_STATUS_SECTION_H

/* When hooks are registered; the hook's thread serves a request. */
void imx_status_section_register(void);

#endif
