/*
 * choice.h: which built-in tags or fields are recorded: a list of names, or
 * changes to the list further out.
 * The parent's only thread, while it reads the configuration; merging and
 * looking also any thread of a child.
 */
#ifndef IMX_CHOICE_H
#define IMX_CHOICE_H

#include "httpd.h"
#include "http_config.h"

/* Sets of built-in ones, as bits. */
typedef struct {
    int is_set; /* `set` is a list of its own */
    unsigned set, add, remove;
} imx_choice_t;

/* Parent: forgets what the configuration before asked for. */
void imx_choice_reset(void);

/* What is in effect; `usual`: what is neither set nor changed. */
unsigned imx_choice_bits(const imx_choice_t *c, unsigned usual);

/* A list of its own forgets what is further out; changes add up. */
imx_choice_t imx_choice_merge(const imx_choice_t *outer,
                              const imx_choice_t *inner);

/* Read the names of tags or of fields into *c, behind what earlier lines of the
 * same section said.  Return NULL, or the sentence about what is wrong. */
const char *imx_choice_read_tags(cmd_parms *cmd, int argc, char *const argv[],
                                 imx_choice_t *c);
const char *imx_choice_read_fields(cmd_parms *cmd, int argc,
                                   char *const argv[], imx_choice_t *c);

/* All built-in tags and fields that the configuration asks for anywhere. */
unsigned imx_choice_asked_tags(void);
unsigned imx_choice_asked_fields(void);

#endif
