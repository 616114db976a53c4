/*
 * slow.c owns the rows of what each child has under way.
 * Entered by each child's monitor (tell), and by any thread that reads.
 * What a child told survives it, and is not believed then.
 */
#include "shared/slow.h"

#include "shared/twin.h"

_Static_assert(sizeof(imx_slow_row_t) % sizeof(uint64_t) == 0,
               "a row is copied by words");

/* A child that has told nothing for so long is stopped, or has ended: three
 * looks, and some of a machine that has much to do. */
#define OLDEST (7 * IMX_SLOW_LOOK / 2)
#define LONGEST UINT64_C(1000000000000000000) /* ns: 31 years */

size_t imx_slow_size(uint32_t children)
{
    return (size_t)children * imx_twin_size(sizeof(imx_slow_row_t));
}

void imx_slow_format(imx_slow_t *s, void *base, uint32_t children)
{
    s->rows = base;
    s->children = children;
}

static imx_twin_t *row_of(const imx_slow_t *s, uint32_t slot)
{
    return (
        imx_twin_t *)(s->rows + slot * imx_twin_size(sizeof(imx_slow_row_t)));
}

void imx_slow_tell(const imx_slow_t *s, uint32_t slot,
                   const imx_slow_row_t *row)
{
    if (slot < s->children) {
        imx_twin_tell(row_of(s, slot), row, sizeof *row);
    }
}

/* Bounds for what another process may have written. */
static void tame(imx_slow_row_t *row, int64_t now)
{
    uint64_t i;

    if (row->count > IMX_SLOW_PLACES) {
        row->count = IMX_SLOW_PLACES;
    }
    if (row->in_flight < 0 || row->in_flight > INT32_MAX) {
        row->in_flight = 0;
    }
    for (i = 0; i < row->count; i++) {
        imx_slow_request_t *r = &row->slow[i];

        r->method[IMX_SLOW_METHOD_MAX] = '\0';
        r->path[IMX_SLOW_PATH_MAX] = '\0';
        if (r->began > now || (uint64_t)now - (uint64_t)r->began > LONGEST) {
            r->began = now;
        }
    }
}

/* Most rows are of nobody: then no twin is read. */
int imx_slow_told(const imx_slow_t *s, const imx_children_t *c, uint32_t slot,
                  int64_t now, imx_slow_row_t *row)
{
    imx_children_who_t who;

    if (slot >= s->children) {
        return 0;
    }
    who = imx_children_in(c, slot);
    if (who == 0) {
        return 0;
    }
    imx_twin_told(row_of(s, slot), row, sizeof *row);
    if (row->who != who || row->at <= 0 || row->at > now
        || now - row->at > OLDEST) {
        return 0;
    }
    tame(row, now);
    return 1;
}

/* Where it belongs; one that is shorter than all of a full list nowhere. */
static void insert(imx_slow_list_t *list, const imx_slow_request_t *r,
                   imx_children_who_t who, int64_t now)
{
    unsigned i = list->count < IMX_SLOW_LISTED ? list->count++
                                               : IMX_SLOW_LISTED;

    for (; i > 0 && list->of[i - 1].elapsed < now - r->began; i--) {
        if (i < IMX_SLOW_LISTED) {
            list->of[i] = list->of[i - 1];
        }
    }
    if (i < IMX_SLOW_LISTED) {
        list->of[i].elapsed = now - r->began;
        list->of[i].pid = imx_children_pid(who);
        list->of[i].request = *r;
    }
}

int64_t imx_slow_list(const imx_slow_t *s, const imx_children_t *c,
                      int64_t now, imx_slow_list_t *list)
{
    imx_slow_row_t row;
    int64_t sum = -1;
    uint32_t slot;
    uint64_t i;

    list->count = 0;
    for (slot = 0; slot < s->children; slot++) {
        if (!imx_slow_told(s, c, slot, now, &row)) {
            continue;
        }
        sum = (sum < 0 ? 0 : sum) + row.in_flight;
        for (i = 0; i < row.count; i++) {
            insert(list, &row.slow[i], row.who, now);
        }
    }
    return sum;
}

int64_t imx_slow_in_flight(const imx_slow_t *s, const imx_children_t *c,
                           int64_t now)
{
    imx_slow_list_t list;

    return imx_slow_list(s, c, now, &list);
}

const char *imx_slow_wait(uint32_t wait)
{
    static const char *const words[IMX_SLOW_WAITS] = {
        [IMX_SLOW_HANDLER] = "before the handler",
        [IMX_SLOW_APPLICATION] = "application",
        [IMX_SLOW_CLIENT_SENDS] = "client sends",
        [IMX_SLOW_CLIENT_TAKES] = "client takes"
    };

    return wait < IMX_SLOW_WAITS ? words[wait] : words[IMX_SLOW_HANDLER];
}
