/*
 * values.c owns the sets of tag values that this server may still write.
 * Entered by request threads (admit, left_out), by the monitor (news) and by
 * httpd's parent (format, use).
 * Everything in the arena survives any process; see values.h for why.
 */
#include "shared/values.h"

#include <stdatomic.h>
#include <string.h>

#include "shared/fault.h"

typedef struct {
    char name[IMX_VALUES_NAME_MAX + 1]; /* "": the place is free */
    _Alignas(64) _Atomic uint32_t count;
    _Atomic uint32_t is_full, is_told;
    _Atomic uint64_t others;
} tag_t;

struct imx_values_part {
    unsigned char key[IMX_VALUES_KEY_LEN];
    _Alignas(64) _Atomic uint64_t left_out;
    _Alignas(64) tag_t tags[];
};

/* Places of a table: a power of two, at least twice the limit. */
static uint32_t slots_for(uint32_t limit)
{
    uint32_t slots = 64;

    while (slots < 2 * limit) {
        slots *= 2;
    }
    return slots;
}

/* The list of a tag; its table is behind it. */
static _Atomic uint64_t *list_of(const imx_values_t *v, uint32_t tag)
{
    return (_Atomic uint64_t *)(v->part->tags + v->tags)
           + (size_t)tag * (v->limit + (size_t)v->slots);
}

size_t imx_values_plan(uint32_t limit, uint32_t tags)
{
    return sizeof(struct imx_values_part)
           + tags
                 * (sizeof(tag_t)
                    + (limit + (size_t)slots_for(limit)) * sizeof(uint64_t));
}

void imx_values_format(imx_values_t *v, void *base, uint32_t limit,
                       uint32_t tags, const void *key)
{
    v->part = base;
    v->limit = limit;
    v->tags = tags;
    v->slots = slots_for(limit);
    memcpy(v->part->key, key, IMX_VALUES_KEY_LEN);
}

int imx_values_use(imx_values_t *v, unsigned number, const char *name)
{
    uint32_t i;

    if (number >= IMX_VALUES_TAGS_MAX || strlen(name) > IMX_VALUES_NAME_MAX) {
        return 0;
    }
    for (i = 0; i < v->tags; i++) {
        tag_t *tag = &v->part->tags[i];

        if (tag->name[0] == '\0') {
            memcpy(tag->name, name, strlen(name) + 1);
        }
        if (strcmp(tag->name, name) == 0) {
            v->index[number] = (uint8_t)i;
            return 1;
        }
    }
    return 0;
}

const unsigned char *imx_values_key(const imx_values_t *v)
{
    return v->part->key;
}

static int is_other(tag_t *tag)
{
    if (!atomic_load_explicit(&tag->is_full, memory_order_relaxed)) {
        atomic_store_explicit(&tag->is_full, 1, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&tag->others, 1, memory_order_relaxed);
    return 0;
}

/* Nobody who adds values only looks further: a run of that length in a table
 * that is half full has a probability below 2^-200. */
#define PROBES_MAX 1024

typedef struct {
    _Atomic uint64_t *places;
    uint32_t mask;
} table_t;

/* The place that has the fingerprint, or the empty one where it would be;
 * NULL: somebody has filled the table with nonsense. */
static _Atomic uint64_t *find(const table_t *table, uint64_t fingerprint,
                              uint64_t *found)
{
    uint32_t i = (uint32_t)fingerprint & table->mask, tried;

    for (tried = 0; tried < PROBES_MAX; tried++, i = (i + 1) & table->mask) {
        *found = atomic_load_explicit(&table->places[i], memory_order_relaxed);
        if (*found == fingerprint || *found == 0) {
            return &table->places[i];
        }
    }
    return NULL;
}

static int is_known(const table_t *table, uint64_t fingerprint)
{
    uint64_t found;

    return find(table, fingerprint, &found) != NULL && found == fingerprint;
}

/* Once, whoever does it, and however many at a time.  Each failure means that
 * somebody else has put a value there; too many, that somebody takes them out
 * again. */
static void put(const table_t *table, uint64_t fingerprint)
{
    _Atomic uint64_t *place;
    uint64_t found;
    int tries = 0;

    do {
        place = find(table, fingerprint, &found);
    } while (place != NULL && found == 0 && ++tries < PROBES_MAX
             && !atomic_compare_exchange_strong(place, &found, fingerprint));
}

/* The value was not in the table a moment ago. */
static int admit_new(const imx_values_t *v, tag_t *tag, _Atomic uint64_t *list,
                     const table_t *table, uint64_t fingerprint)
{
    uint32_t i;

    FAULT("missed");
    i = atomic_load_explicit(&tag->count, memory_order_acquire);
    if (is_known(table, fingerprint)) {
        return 1;
    }
    for (; i < v->limit; i++) {
        uint64_t listed = 0;
        uint32_t count = i;

        if (atomic_compare_exchange_strong(&list[i], &listed, fingerprint)) {
            listed = fingerprint;
        }
        FAULT("listed");
        put(table, listed);
        FAULT("put");
        atomic_compare_exchange_strong(&tag->count, &count, i + 1);
        if (listed == fingerprint) {
            return 1;
        }
    }
    return is_other(tag);
}

int imx_values_admit(const imx_values_t *v, unsigned number,
                     uint64_t fingerprint)
{
    uint32_t place = v->index[number % IMX_VALUES_TAGS_MAX];
    _Atomic uint64_t *list = list_of(v, place);
    table_t table = { list + v->limit, v->slots - 1 };

    fingerprint += fingerprint == 0;
    return is_known(&table, fingerprint)
           || admit_new(v, &v->part->tags[place], list, &table, fingerprint);
}

void imx_values_left_out(const imx_values_t *v)
{
    atomic_fetch_add_explicit(&v->part->left_out, 1, memory_order_relaxed);
}

/* A copy, as it ends for sure, whoever writes to the arena meanwhile. */
static void copy_name(char *name, const tag_t *tag)
{
    memcpy(name, tag->name, IMX_VALUES_NAME_MAX);
    name[IMX_VALUES_NAME_MAX] = '\0';
}

int imx_values_news(const imx_values_t *v, char *name)
{
    uint32_t i;

    for (i = 0; i < v->tags; i++) {
        tag_t *tag = &v->part->tags[i];

        if (atomic_load_explicit(&tag->is_full, memory_order_relaxed)
            && atomic_exchange(&tag->is_told, 1) == 0) {
            copy_name(name, tag);
            return 1;
        }
    }
    return 0;
}

int imx_values_tag(const imx_values_t *v, uint32_t i, char *name,
                   uint32_t *values, uint64_t *others)
{
    tag_t *tag;

    if (v->part == NULL || i >= v->tags || v->part->tags[i].name[0] == '\0') {
        return 0;
    }
    tag = &v->part->tags[i];
    *values = atomic_load(&tag->count);
    *others = atomic_load(&tag->others);
    copy_name(name, tag);
    return 1;
}

imx_values_totals_t imx_values_totals(const imx_values_t *v)
{
    imx_values_totals_t t = { 0, 0, 0 };
    uint32_t i;

    if (v->part == NULL) {
        return t;
    }
    t.left_out = atomic_load(&v->part->left_out);
    for (i = 0; i < v->tags; i++) {
        t.others += atomic_load(&v->part->tags[i].others);
        t.full += atomic_load(&v->part->tags[i].is_full);
    }
    return t;
}
