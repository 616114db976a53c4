/*
 * exemplars.c owns the trace ids of requests: of a slow one for each series,
 * and of one for each bucket of durations.
 * Entered by request threads (offer), and by readers of figures (get).
 * They survive any process; one that was not finished is not seen.
 */
#include "shared/exemplars.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "shared/fault.h"

#define WORDS 4 /* the id's two halves, ns, time */

struct imx_exemplars_row {
    _Alignas(64) _Atomic uint64_t words[WORDS];
    _Atomic uint64_t sum; /* of them, mixed: 0 words have another one */
};

/* Not to keep anybody from forging one: to see that all words are of one. */
static uint64_t mixed(const uint64_t words[WORDS])
{
    uint64_t sum = UINT64_C(0x9E3779B97F4A7C15);
    int i;

    for (i = 0; i < WORDS; i++) {
        sum = (sum ^ words[i]) * UINT64_C(0xBF58476D1CE4E5B9);
        sum ^= sum >> 29;
    }
    return sum;
}

size_t imx_exemplars_size(uint32_t series)
{
    return ((size_t)series + IMX_STATS_BUCKETS)
           * sizeof(struct imx_exemplars_row);
}

void imx_exemplars_format(imx_exemplars_t *e, void *base, uint32_t series)
{
    e->rows = base;
    e->series = series;
}

static struct imx_exemplars_row *row_of(const imx_exemplars_t *e,
                                        uint32_t series)
{
    return &e->rows[series < e->series ? series : 0];
}

static struct imx_exemplars_row *row_of_bucket(const imx_exemplars_t *e,
                                               uint32_t bucket)
{
    return &e->rows[e->series + (bucket < IMX_STATS_BUCKETS ? bucket : 0)];
}

/* Sixteen digits; returns 0 when there are none. */
static int parse(const char *id, uint64_t *word)
{
    int i;

    *word = 0;
    for (i = 0; i < IMX_EXEMPLARS_ID_LEN / 2; i++) {
        char c = id[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;

        if (digit < 0) {
            return 0;
        }
        *word = *word << 4 | (unsigned)digit;
    }
    return 1;
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static int is_younger(const struct imx_exemplars_row *row, int64_t time,
                      int64_t than)
{
    int64_t age = (int64_t)((uint64_t)time - load(&row->words[3]));

    return age >= 0 && age < than;
}

static void put(struct imx_exemplars_row *row, const uint64_t words[WORDS])
{
    int i;

    for (i = 0; i < WORDS; i++) {
        atomic_store_explicit(&row->words[i], words[i], memory_order_relaxed);
        FAULT("exemplar");
    }
    atomic_store_explicit(&row->sum, mixed(words), memory_order_relaxed);
}

void imx_exemplars_offer(const imx_exemplars_t *e, uint32_t series,
                         const char *id, int64_t ns, int64_t time)
{
    struct imx_exemplars_row *slow = row_of(e, series);
    struct imx_exemplars_row *usual =
        row_of_bucket(e, imx_stats_bucket((uint64_t)ns));
    uint64_t words[WORDS] = { 0, 0, (uint64_t)ns, (uint64_t)time };
    int slow_stays = is_younger(slow, time, IMX_EXEMPLARS_NS)
                     && load(&slow->words[2]) > (uint64_t)ns;
    int usual_stays = is_younger(usual, time, IMX_EXEMPLARS_BUCKET_NS);

    if ((slow_stays && usual_stays)
        || strnlen(id, IMX_EXEMPLARS_ID_LEN + 1) != IMX_EXEMPLARS_ID_LEN
        || !parse(id, &words[0])
        || !parse(id + IMX_EXEMPLARS_ID_LEN / 2, &words[1])) {
        return;
    }
    if (!slow_stays) {
        put(slow, words);
    }
    if (!usual_stays) {
        put(usual, words);
    }
}

static int get(const struct imx_exemplars_row *row, imx_exemplar_t *exemplar)
{
    uint64_t words[WORDS];
    int i;

    for (i = 0; i < WORDS; i++) {
        words[i] = load(&row->words[i]);
    }
    if (load(&row->sum) != mixed(words) || words[2] > INT64_MAX
        || words[3] > INT64_MAX) {
        return 0;
    }
    snprintf(exemplar->id, sizeof exemplar->id, "%016llx%016llx",
             (unsigned long long)words[0], (unsigned long long)words[1]);
    exemplar->ns = (int64_t)words[2];
    exemplar->time = (int64_t)words[3];
    return 1;
}

int imx_exemplars_get(const imx_exemplars_t *e, uint32_t series,
                      imx_exemplar_t *exemplar)
{
    return get(row_of(e, series), exemplar);
}

int imx_exemplars_of_bucket(const imx_exemplars_t *e, uint32_t bucket,
                            imx_exemplar_t *exemplar)
{
    return get(row_of_bucket(e, bucket), exemplar);
}
