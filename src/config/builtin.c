/*
 * builtin.c owns what is known of each built-in tag and field.
 * Entered by any thread; everything here is constant.
 * Nothing survives, as nothing changes.
 */
#include "config/builtin.h"

#include <string.h>

#define LIMITED 1
#define FREE 0

const imx_builtin_tag_t imx_builtin_tags[IMX_TAGS] = {
#define TAG(symbol, name, when, limited, getter, help) { name, limited, help },
#define CONSTANT_TAG(symbol, name, when, getter, help) { name, FREE, help },
#define FIELD(symbol, name, kind, unit, when, getter, help)
#include "config/builtin.def"
};

const imx_builtin_field_t imx_builtin_fields[IMX_FIELDS] = {
#define TAG(symbol, name, when, limited, getter, help)
#define CONSTANT_TAG(symbol, name, when, getter, help)
#define FIELD(symbol, name, kind, unit, when, getter, help) \
    { name, IMX_KIND_##kind, unit, help },
#include "config/builtin.def"
};

int imx_builtin_find_tag(const char *name)
{
    int i;

    for (i = 0; i < IMX_TAGS; i++) {
        if (strcmp(imx_builtin_tags[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int imx_builtin_find_field(const char *name)
{
    int i;

    for (i = 0; i < IMX_FIELDS; i++) {
        if (strcmp(imx_builtin_fields[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}
