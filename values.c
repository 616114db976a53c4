/*
 * values.c owns the sets of tag values that this server may still write.
 * Entered by request threads (admit, left_out), by the monitor (news) and by
 * httpd's parent (format, use).
 * Everything in the area survives any process; see values.h for why.
 */
#include "values.h"

#include <stdatomic.h>
#include <string.h>

typedef struct {
    char name[IMX_VALUES_NAME_MAX + 1]; /* "": the place is free */
    _Alignas(64) _Atomic uint32_t count;
    _Atomic uint32_t is_full, is_told;
    _Atomic uint64_t others;
} tag_t;

struct imx_values_area {
    unsigned char key[IMX_VALUES_KEY_LEN];
    _Alignas(64) _Atomic uint64_t left_out;
    _Alignas(64) tag_t tags[];
};

/* A power of two, at least twice the limit. */
static uint32_t slots_for(uint32_t limit)
{
    uint32_t slots = 64;

    while (slots < 2 * limit) {
        slots *= 2;
    }
    return slots;
}

static _Atomic uint64_t *entries_of(const imx_values_t *v, uint32_t tag)
{
    return (_Atomic uint64_t *)(v->area->tags + v->tags)
           + (size_t)tag * v->slots;
}

size_t imx_values_plan(uint32_t limit, uint32_t tags)
{
    return sizeof(struct imx_values_area)
           + tags
                 * (sizeof(tag_t)
                    + (size_t)slots_for(limit) * sizeof(uint64_t));
}

void imx_values_format(imx_values_t *v, void *base, uint32_t limit,
                       uint32_t tags, const void *key)
{
    v->area = base;
    v->limit = limit;
    v->tags = tags;
    v->slots = slots_for(limit);
    memcpy(v->area->key, key, IMX_VALUES_KEY_LEN);
}

int imx_values_use(imx_values_t *v, unsigned number, const char *name)
{
    uint32_t i;

    if (number >= IMX_VALUES_TAGS_MAX || strlen(name) > IMX_VALUES_NAME_MAX) {
        return 0;
    }
    for (i = 0; i < v->tags; i++) {
        tag_t *tag = &v->area->tags[i];

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
    return v->area->key;
}

static int is_other(tag_t *tag)
{
    atomic_store_explicit(&tag->is_full, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&tag->others, 1, memory_order_relaxed);
    return 0;
}

/* Adds one to the count; 0 when it is at its limit. */
static int count_one(tag_t *tag, uint32_t limit)
{
    uint32_t count = atomic_load_explicit(&tag->count, memory_order_relaxed);

    do {
        if (count >= limit) {
            return 0;
        }
    } while (!atomic_compare_exchange_weak(&tag->count, &count, count + 1));
    return 1;
}

/* The value is not in the set: entry i is where it would go. */
static int admit_new(const imx_values_t *v, tag_t *tag,
                     _Atomic uint64_t *entries, uint32_t i,
                     uint64_t fingerprint)
{
    uint32_t mask = v->slots - 1, tried;

    if (!count_one(tag, v->limit)) {
        return is_other(tag);
    }
    for (tried = 0; tried <= mask; tried++, i = (i + 1) & mask) {
        uint64_t found = 0;

        if (atomic_compare_exchange_strong(&entries[i], &found, fingerprint)) {
            return 1;
        }
        if (found == fingerprint) {
            atomic_fetch_sub(&tag->count, 1);
            return 1;
        }
    }
    return is_other(tag); /* somebody has filled the set with nonsense */
}

int imx_values_admit(const imx_values_t *v, unsigned number,
                     uint64_t fingerprint)
{
    uint32_t place = v->index[number % IMX_VALUES_TAGS_MAX];
    _Atomic uint64_t *entries = entries_of(v, place);
    uint32_t mask = v->slots - 1, tried, i;

    fingerprint += fingerprint == 0;
    i = (uint32_t)fingerprint & mask;
    for (tried = 0; tried <= mask; tried++, i = (i + 1) & mask) {
        uint64_t found = atomic_load_explicit(&entries[i],
                                              memory_order_relaxed);

        if (found == fingerprint) {
            return 1;
        }
        if (found == 0) {
            break;
        }
    }
    return admit_new(v, &v->area->tags[place], entries, i, fingerprint);
}

void imx_values_left_out(const imx_values_t *v)
{
    atomic_fetch_add_explicit(&v->area->left_out, 1, memory_order_relaxed);
}

/* A name from the area ends, whoever wrote there. */
static const char *name_of(tag_t *tag)
{
    tag->name[IMX_VALUES_NAME_MAX] = '\0';
    return tag->name;
}

const char *imx_values_news(const imx_values_t *v)
{
    uint32_t i;

    for (i = 0; i < v->tags; i++) {
        tag_t *tag = &v->area->tags[i];

        if (atomic_load_explicit(&tag->is_full, memory_order_relaxed)
            && atomic_exchange(&tag->is_told, 1) == 0) {
            return name_of(tag);
        }
    }
    return NULL;
}

const char *imx_values_tag(const imx_values_t *v, uint32_t i, uint32_t *values,
                           uint64_t *others)
{
    tag_t *tag;

    if (v->area == NULL || i >= v->tags || v->area->tags[i].name[0] == '\0') {
        return NULL;
    }
    tag = &v->area->tags[i];
    *values = atomic_load(&tag->count);
    *others = atomic_load(&tag->others);
    return name_of(tag);
}

imx_values_totals_t imx_values_totals(const imx_values_t *v)
{
    imx_values_totals_t t = { 0, 0, 0 };
    uint32_t i;

    if (v->area == NULL) {
        return t;
    }
    t.left_out = atomic_load(&v->area->left_out);
    for (i = 0; i < v->tags; i++) {
        t.others += atomic_load(&v->area->tags[i].others);
        t.full += atomic_load(&v->area->tags[i].is_full);
    }
    return t;
}
