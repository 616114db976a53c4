/*
 * choice.c owns the lists of built-in tags and fields: how they are written,
 * and how inner ones change outer ones.
 * Entered by the parent's only thread while it reads the configuration, and by
 * any thread of a child to merge.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/choice.h"

#include "apr_strings.h"

#include "config/builtin.h"
#include "config/directive.h"

static unsigned asked_tags, asked_fields;

void imx_choice_reset(void)
{
    asked_tags = asked_fields = 0;
}

unsigned imx_choice_asked_tags(void)
{
    return asked_tags;
}

unsigned imx_choice_asked_fields(void)
{
    return asked_fields;
}

unsigned imx_choice_bits(const imx_choice_t *c, unsigned usual)
{
    return ((c->is_set ? c->set : usual) | c->add) & ~c->remove;
}

imx_choice_t imx_choice_merge(const imx_choice_t *outer,
                              const imx_choice_t *inner)
{
    imx_choice_t merged = *inner;

    if (!inner->is_set) {
        merged.is_set = outer->is_set;
        merged.set = outer->set;
        merged.add = (outer->add & ~inner->remove) | inner->add;
        merged.remove = (outer->remove & ~inner->add) | inner->remove;
    }
    return merged;
}

/* ---- reading ---- */

typedef const char *name_t(int i);

static const char *tag_name(int i)
{
    return imx_builtin_tags[i].name;
}

static const char *field_name(int i)
{
    return imx_builtin_fields[i].name;
}

static const char *allowed_names(apr_pool_t *p, name_t *name, int count)
{
    const char *text =
        "\"none\" alone, or names, all or none of them with + or - "
        "before it, of:";
    int i;

    for (i = 0; i < count; i++) {
        text = apr_pstrcat(p, text, i ? ", " : " ", name(i), NULL);
    }
    return text;
}

static int is_change(const char *word)
{
    return *word == '+' || *word == '-';
}

static void note_word(imx_choice_t *list, const char *word, unsigned bit)
{
    if (*word == '-') {
        list->remove |= bit;
        list->add &= ~bit;
    }
    else if (*word == '+') {
        list->add |= bit;
        list->remove &= ~bit;
    }
    else {
        list->set |= bit;
    }
}

/* One directive's words.  Returns the first word that is wrong, or NULL. */
static const char *read_words(int argc, char *const argv[],
                              int (*find)(const char *), imx_choice_t *list)
{
    int i, number;

    list->is_set = !is_change(argv[0]);
    if (argc == 1 && strcmp(argv[0], "none") == 0) {
        return NULL;
    }
    for (i = 0; i < argc; i++) {
        number = find(argv[i] + is_change(argv[i]));
        if (number < 0 || is_change(argv[i]) == list->is_set) {
            return argv[i];
        }
        note_word(list, argv[i], IMX_BIT(number));
    }
    return NULL;
}

static const char *read_choice(cmd_parms *cmd, int argc, char *const argv[],
                               int (*find)(const char *), const char *allowed,
                               imx_choice_t *c, unsigned *asked)
{
    const char *err = imx_directive_not_htaccess(cmd);
    imx_choice_t list = { 0, 0, 0, 0 };
    const char *wrong = "";

    if (err != NULL) {
        return err;
    }
    if (argc > 0) {
        wrong = read_words(argc, argv, find, &list);
    }
    if (wrong != NULL) {
        return imx_directive_wrong(cmd, wrong, allowed);
    }
    *c = imx_choice_merge(c, &list);
    *asked |= list.set | list.add;
    return NULL;
}

const char *imx_choice_read_tags(cmd_parms *cmd, int argc, char *const argv[],
                                 imx_choice_t *c)
{
    return read_choice(cmd, argc, argv, imx_builtin_find_tag,
                       allowed_names(cmd->temp_pool, tag_name, IMX_TAGS), c,
                       &asked_tags);
}

const char *imx_choice_read_fields(cmd_parms *cmd, int argc,
                                   char *const argv[], imx_choice_t *c)
{
    return read_choice(cmd, argc, argv, imx_builtin_find_field,
                       allowed_names(cmd->temp_pool, field_name, IMX_FIELDS),
                       c, &asked_fields);
}
