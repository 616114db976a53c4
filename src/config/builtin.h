/*
 * builtin.h: the built-in tags and fields, made from the list in builtin.def:
 * their numbers, their bits in a set, and what is known of each.
 * Any thread: constants.
 */
#ifndef IMX_BUILTIN_H
#define IMX_BUILTIN_H

/* The tags, sorted by name. */
typedef enum {
#define TAG(symbol, name, when, limited, getter, help) IMX_TAG_##symbol,
#define CONSTANT_TAG(symbol, name, when, getter, help) IMX_TAG_##symbol,
#define FIELD(symbol, name, kind, unit, when, getter, help)
#include "config/builtin.def"
    IMX_TAGS
} imx_tag_e;

/* The fields, in the order in which they stand in a line. */
typedef enum {
#define TAG(symbol, name, when, limited, getter, help)
#define CONSTANT_TAG(symbol, name, when, getter, help)
#define FIELD(symbol, name, kind, unit, when, getter, help) IMX_FIELD_##symbol,
#include "config/builtin.def"
    IMX_FIELDS
} imx_field_e;

#define IMX_BIT(i) (1u << (i))
_Static_assert(IMX_TAGS <= 32 && IMX_FIELDS <= 32, "a set is one unsigned");

/* The sets that are in effect where nothing else is said. */
#define IMX_BUILTIN_USUAL(i) | IMX_BIT(i)
#define IMX_BUILTIN_ON_REQUEST(i)
enum {
    IMX_TAGS_USUAL = 0
#define TAG(symbol, name, when, limited, getter, help) \
    IMX_BUILTIN_##when(IMX_TAG_##symbol)
#define CONSTANT_TAG(symbol, name, when, getter, help) \
    IMX_BUILTIN_##when(IMX_TAG_##symbol)
#define FIELD(symbol, name, kind, unit, when, getter, help)
#include "config/builtin.def"
    ,
    IMX_FIELDS_USUAL = 0
#define TAG(symbol, name, when, limited, getter, help)
#define CONSTANT_TAG(symbol, name, when, getter, help)
#define FIELD(symbol, name, kind, unit, when, getter, help) \
    IMX_BUILTIN_##when(IMX_FIELD_##symbol)
#include "config/builtin.def"
};

typedef enum {
    IMX_KIND_SECONDS, /* a float in the line; ns until then */
    IMX_KIND_INT,
    IMX_KIND_BOOL,
    IMX_KIND_STRING
} imx_kind_e;

typedef struct {
    const char *name;
    int is_limited; /* InfluxMetricsTagLimit counts its values */
    const char *help;
} imx_builtin_tag_t;

typedef struct {
    const char *name;
    imx_kind_e kind;
    const char *unit; /* "" for none */
    const char *help;
} imx_builtin_field_t;

extern const imx_builtin_tag_t imx_builtin_tags[IMX_TAGS];
extern const imx_builtin_field_t imx_builtin_fields[IMX_FIELDS];

/* The number of the tag or field with this name; -1: there is none. */
int imx_builtin_find_tag(const char *name);
int imx_builtin_find_field(const char *name);

#endif
