/*
 * values.h: how many distinct values a tag has, for tags whose values a client
 * can influence: at most a limit for the whole server, in memory that all
 * children share, so that no client can fill InfluxDB with series.
 *
 * The part:  header | tags[] | list and table of tag 0 | of tag 1 ...
 *
 * A value is known by its 64-bit fingerprint alone, so that must be made with a
 * keyed hash (SipHash with imx_values_key()): who cannot compute it cannot make
 * two values share one.  The list has as many places as the limit; 0 is an
 * empty one.  The table finds a fingerprint by open addressing (Knuth, TAOCP 3,
 * 6.4) and is at most half full.  Nothing is ever removed: a series that was
 * made stays in InfluxDB.
 *
 * Why this is right: a new value is appended to the list by compare-and-swap of
 * its first empty place.  So there are never more values than the limit, and
 * two threads that append the same value meet at the same place, where the
 * slower one sees that it is there.  Then the value is put into the table, and
 * only then the tag's count moves past its place in the list.  A reader that
 * has read the count, and then does not find a value in the table, knows that
 * it is none of the first `count` values; it looks at each of the others on its
 * way to the first empty place.  A reader of a count that is at the limit knows
 * that it is none of them at all.  A thread that passes a place does the rest
 * of the work for the value there, so a child that is killed in between leaves
 * nothing undone.
 *
 * "Any" may be called by any thread of any child: no lock, no malloc, no system
 * call; everything that is read from the arena is clamped.
 */
#ifndef IMX_VALUES_H
#define IMX_VALUES_H

#include <stddef.h>
#include <stdint.h>

#define IMX_VALUES_VERSION 1
#define IMX_VALUES_TAGS_MAX 64  /* tags that are counted */
#define IMX_VALUES_NAME_MAX 255 /* bytes of a tag's name */
#define IMX_VALUES_LIMIT_MAX 100000
#define IMX_VALUES_KEY_LEN 16 /* bytes */

/* A process's own view, in its private memory.  The caller numbers its tags
 * from 0, as it likes; index[number] is the tag's place in the part. */
typedef struct {
    struct imx_values_part *part; /* NULL: there is none */
    uint32_t limit, tags, slots;
    uint8_t index[IMX_VALUES_TAGS_MAX];
} imx_values_t;

typedef struct {
    uint64_t others;   /* values that became "other" */
    uint64_t left_out; /* values that were not of their type */
    uint32_t full;     /* tags that are at their limit */
} imx_values_totals_t;

/* Parent: bytes of memory for this many tags with this limit each. */
size_t imx_values_plan(uint32_t limit, uint32_t tags);

/* Parent: makes the part in zeroed shared memory (64 bytes aligned). */
void imx_values_format(imx_values_t *v, void *base, uint32_t limit,
                       uint32_t tags, const void *key);

/* Parent: says that the caller's tag `number` is this one, as it was before
 * or new.  Returns 0 when there is no place for another tag. */
int imx_values_use(imx_values_t *v, unsigned number, const char *name);

/* Any: the key for fingerprints. */
const unsigned char *imx_values_key(const imx_values_t *v);

/* Any: may the tag have this value?  1: it is known, or was added; 0: it is to
 * be "other", which is counted. */
int imx_values_admit(const imx_values_t *v, unsigned number,
                     uint64_t fingerprint);

/* Any: counts a value that was left out of its point. */
void imx_values_left_out(const imx_values_t *v);

/* Any: 1, and the name (IMX_VALUES_NAME_MAX + 1 bytes) of a tag that has
 * reached its limit, each once for all processes; 0: no news. */
int imx_values_news(const imx_values_t *v, char *name);

/* Any: sums. */
imx_values_totals_t imx_values_totals(const imx_values_t *v);

/* Any: 1, and what is known of tag i (its name as above); 0: there is none. */
int imx_values_tag(const imx_values_t *v, uint32_t i, char *name,
                   uint32_t *values, uint64_t *others);

#endif
