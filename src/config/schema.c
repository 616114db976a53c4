/*
 * schema.c owns the settings of what is recorded: how they begin, and how inner
 * ones change outer ones.
 * Entered by the parent's only thread while it reads the configuration, and by
 * any thread of a child to merge.
 * Nothing survives a restart; httpd reads the files again.
 */
#include "config/schema.h"

#include "base/memo.h"

/* httpd fixes the parameters of create and merge. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

static int keeps_merges; /* in a child */

const char *imx_schema_guarded(unsigned number)
{
    return imx_own_limited_name(number);
}

unsigned imx_schema_tag_bits(const imx_schema_dir_t *dir,
                             const imx_schema_server_t *server)
{
    unsigned usual = IMX_TAGS_USUAL;

    if (server->routes != NULL) {
        usual |= IMX_BIT(IMX_TAG_ROUTE);
    }
    return imx_choice_bits(&dir->tags, usual);
}

void *imx_schema_create_server(apr_pool_t *p, server_rec *s)
{
    return apr_pcalloc(p, sizeof(imx_schema_server_t));
}

static apr_array_header_t *append_lists(apr_pool_t *p,
                                        const apr_array_header_t *first,
                                        const apr_array_header_t *second)
{
    apr_array_header_t *all = first != NULL    ? apr_array_copy(p, first)
                              : second != NULL ? apr_array_copy(p, second)
                                               : NULL;

    if (first != NULL && second != NULL) {
        apr_array_cat(all, second);
    }
    return all;
}

/* The routes of a virtual host come before those of the main server. */
void *imx_schema_merge_server(apr_pool_t *p, void *base, void *add)
{
    imx_schema_server_t *merged = apr_pcalloc(p, sizeof *merged);
    const imx_schema_server_t *outer = base, *inner = add;

    merged->measurement = inner->measurement ? inner->measurement
                                             : outer->measurement;
    merged->routes = append_lists(p, inner->routes, outer->routes);
    merged->placed = outer->placed;
    imx_objective_join(&merged->placed, &inner->placed);
    return merged;
}

void *imx_schema_create_dir(apr_pool_t *p, char *path)
{
    imx_schema_dir_t *dir = apr_pcalloc(p, sizeof *dir);

    dir->enabled = IMX_UNSET;
    dir->server_timing = IMX_UNSET;
    dir->sample.rate = IMX_UNSET;
    dir->objective.ns = IMX_UNSET;
    dir->field_bits = IMX_FIELDS_USUAL;
    dir->is_passing = keeps_merges;
    return dir;
}

static void merge_dir(apr_pool_t *p, const imx_schema_dir_t *outer,
                      const imx_schema_dir_t *inner, imx_schema_dir_t *merged)
{
    memset(merged, 0, sizeof *merged);
    merged->enabled = inner->enabled != IMX_UNSET ? inner->enabled
                                                  : outer->enabled;
    merged->server_timing = inner->server_timing != IMX_UNSET
                                ? inner->server_timing
                                : outer->server_timing;
    merged->tags = imx_choice_merge(&outer->tags, &inner->tags);
    merged->fields = imx_choice_merge(&outer->fields, &inner->fields);
    merged->own_tags = imx_own_merge(p, outer->own_tags, inner->own_tags);
    merged->own_fields = imx_own_merge(p, outer->own_fields,
                                       inner->own_fields);
    merged->condition = inner->condition ? inner->condition : outer->condition;
    merged->sample = inner->sample.rate >= 0 ? inner->sample : outer->sample;
    merged->objective = inner->objective.ns >= 0 ? inner->objective
                                                 : outer->objective;
    merged->unset_headers = append_lists(p, outer->unset_headers,
                                         inner->unset_headers);
    merged->changes_headers = merged->unset_headers != NULL
                                      || merged->server_timing == 1
                                  ? merged
                                  : NULL;
    merged->handler = inner->handler ? inner->handler : outer->handler;
    merged->field_bits = imx_choice_bits(&merged->fields, IMX_FIELDS_USUAL);
}

/* ---- merges that a child keeps ---- */

static imx_memo_t merges = IMX_MEMO_INIT(IMX_SCHEMA_KEPT_MAX);
static apr_pool_t *merge_pool; /* only with the lock of merges */

typedef struct {
    imx_memo_pair_t pair;
    imx_schema_dir_t dir;
} kept_merge_t;

void imx_schema_keep_merges(void)
{
    keeps_merges = apr_pool_create_unmanaged_ex(&merge_pool, NULL, NULL)
                   == APR_SUCCESS;
}

static imx_memo_pair_t *make_merge(const void *outer, const void *inner)
{
    kept_merge_t *kept = apr_palloc(merge_pool, sizeof *kept);

    merge_dir(merge_pool, outer, inner, &kept->dir);
    kept->pair.made = &kept->dir;
    return &kept->pair;
}

/*
 * In a child, both sides were made while the configuration was read or are kept
 * merges, and live as long as the child.  The others are passing: what was made
 * when the memo was full or another thread was adding to it, and what .htaccess
 * files make, even if none of these directives may stand there.  They are
 * merged for their request alone: another one could have the same address.
 */
void *imx_schema_merge_dir(apr_pool_t *p, void *base, void *add)
{
    const imx_schema_dir_t *outer = base, *inner = add;
    imx_schema_dir_t *merged = NULL;

    if (keeps_merges && !outer->is_passing && !inner->is_passing) {
        merged = imx_memo_get(&merges, outer, inner, make_merge);
    }
    if (merged == NULL) {
        merged = apr_palloc(p, sizeof *merged);
        merge_dir(p, outer, inner, merged);
        merged->is_passing = keeps_merges;
    }
    return merged;
}
