/*
 * backlog_places.c owns which of a backlog's directories is next for what (see
 * backlog_places.h).
 * Entered by the monitor's thread of the holder; touches no disk.
 * It dies with the holder.
 */
#include "deliver/backlog_places.h"

#define PLACES IMX_BACKLOG_PLACES

int imx_backlog_places_to_open(const imx_backlog_places_t *p, int64_t now)
{
    int i;

    for (i = 0; i < PLACES; i++) {
        const imx_backlog_place_t *place = &p->all[i];

        if (place->path != NULL && !place->is_open
            && now >= place->not_before) {
            break;
        }
    }
    return i;
}

int imx_backlog_places_to_read(const imx_backlog_places_t *p,
                               const imx_backlog_account_t *account,
                               int64_t now)
{
    int i;

    for (i = PLACES - 1; i >= 0; i--) {
        const imx_backlog_place_t *place = &p->all[i];

        if (place->is_open && account->dirs[i].seen.files > 0
            && now >= place->not_before && now >= place->read_at) {
            return i;
        }
    }
    return PLACES;
}

int imx_backlog_places_to_count(const imx_backlog_places_t *p,
                                const imx_backlog_account_t *account, int read,
                                int64_t now)
{
    int i;

    for (i = 0; i < PLACES; i++) {
        const imx_backlog_place_t *place = &p->all[i];
        uint64_t held = read == i;

        if (place->is_open && account->dirs[i].seen.uncounted > held
            && now >= place->count_at) {
            break;
        }
    }
    return i;
}

int imx_backlog_places_to_look_at(imx_backlog_places_t *p, int64_t every,
                                  int64_t now)
{
    int i, place;

    for (i = 0; i < PLACES && now >= p->look_at; i++) {
        place = p->look_next;
        p->look_next = (p->look_next + 1) % PLACES;
        if (p->look_next == 0) {
            p->look_at = now + every;
        }
        if (p->all[place].is_open) {
            return place;
        }
    }
    return PLACES;
}

static int64_t sooner(int64_t due, int64_t left)
{
    return left > 0 && left < due ? left : due;
}

int64_t imx_backlog_places_due(const imx_backlog_places_t *p, int64_t most,
                               int64_t now)
{
    int64_t due = most;
    int i;

    for (i = 0; i < PLACES; i++) {
        if (p->all[i].path != NULL) {
            due = sooner(due, p->all[i].not_before - now);
            due = sooner(due, p->all[i].read_at - now);
        }
    }
    return due;
}
