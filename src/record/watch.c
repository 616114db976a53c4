/*
 * watch.c owns what the monitor sees of a request that is under way.
 * Entered by the monitor's thread of each child.
 * Nothing survives the child; what it told does (shared/slow.h).
 *
 * A request is looked at while its seat is held: then it is there.  Of what
 * httpd writes while a request runs only the path can change, which is the same
 * piece of memory with a NUL at the latest where it was when it was read.
 */
#include "record/watch.h"

#include "apr_strings.h"

#include "config/schema.h"
#include "config/typed.h"
#include "record/getters.h"
#include "shared/series.h"

/* ---- one request ---- */

static imx_slow_wait_e wait_of(const imx_marks_t *m)
{
    if (IMX_MARKS_SEEN(&m->seen.is_reading)) {
        return IMX_SLOW_CLIENT_SENDS;
    }
    if (IMX_MARKS_SEEN(&m->seen.handler) == 0) {
        return IMX_SLOW_HANDLER;
    }
    return IMX_MARKS_SEEN(&m->seen.is_writing)
                   || IMX_MARKS_SEEN(&m->seen.end) != 0
               ? IMX_SLOW_CLIENT_TAKES
               : IMX_SLOW_APPLICATION;
}

/* Where requests are not recorded nobody is to see one. */
static int is_seen(const imx_marks_t *m)
{
    return IMX_MARKS_SEEN(&m->seen.handler) != 0
           || !IMX_MARKS_SEEN(&m->seen.is_passed_over);
}

/* At most MAX bytes, and not half of a character; from a query on nothing. */
static void put_path(char *to, const char *path)
{
    apr_size_t len = strnlen(path, IMX_SLOW_PATH_MAX + 1);
    const char *query = memchr(path, '?', len);

    if (query != NULL) {
        len = (apr_size_t)(query - path);
    }
    len = imx_typed_cut(path, len, IMX_SLOW_PATH_MAX);
    memcpy(to, path, len);
    to[len] = '\0';
}

static imx_slow_request_t describe(const request_rec *first,
                                   const imx_marks_t *m, int64_t began,
                                   int hides_path)
{
    const imx_schema_server_t *server = imx_schema_server(first->server);
    const char *path = hides_path ? NULL : imx_getters_uri(first);
    imx_slow_request_t slow = { .began = began, .wait = wait_of(m) };

    slow.series = server->series != NULL ? server->series[0]
                                         : IMX_SERIES_OTHER;
    apr_cpystrn(slow.method, imx_getters_method(first), sizeof slow.method);
    put_path(slow.path, path != NULL ? path : "");
    return slow;
}

/* ---- those that have a place ---- */

static void look_again(imx_watch_place_t *p, int64_t now)
{
    int noted;
    void *who = imx_flight_hold(p->seat, &noted);

    if (who != NULL) {
        if (noted) {
            p->request.wait = wait_of(p->seat->owner);
        }
        imx_flight_let_go(p->seat, who, noted);
    }
    if (who == NULL || !noted) {
        int64_t ended = imx_flight_ended(p->seat);

        p->ended = ended > 0 ? ended : now;
    }
}

static imx_watch_place_t *free_place(imx_watch_t *w)
{
    int i;

    for (i = 0; i < IMX_SLOW_PLACES; i++) {
        if (w->places[i].seat == NULL) {
            return &w->places[i];
        }
    }
    return NULL;
}

/* ---- all of them ---- */

/* Is it slow, and has it a place now?  It is held. */
static int takes_place(imx_watch_t *w, imx_flight_t *seat,
                       const request_rec *first, int64_t now,
                       const imx_watch_rule_t *rule)
{
    int64_t age = imx_marks_age(seat->owner, first, now);
    imx_watch_place_t *p = age >= rule->threshold ? free_place(w) : NULL;

    if (p != NULL) {
        p->seat = seat;
        p->ended = 0;
        p->due = now;
        p->request = describe(first, seat->owner, now - age,
                              rule->hides_paths);
    }
    return p != NULL;
}

static void look_at(imx_watch_t *w, imx_flight_t *seat, int64_t now,
                    const imx_watch_rule_t *rule)
{
    int noted;
    void *who = imx_flight_hold(seat, &noted);

    if (who == NULL) {
        return;
    }
    if (!is_seen(seat->owner)) {
        imx_flight_let_go(seat, who, noted);
        return;
    }
    w->in_flight++;
    if (!noted && takes_place(w, seat, who, now, rule)) {
        imx_flight_note(seat, who);
    }
    else {
        imx_flight_let_go(seat, who, noted);
    }
}

void imx_watch_look(imx_watch_t *w, int64_t now, const imx_watch_rule_t *rule)
{
    imx_flights_t *flights = imx_marks_flights();
    unsigned used = imx_flights_used(flights), i;

    for (i = 0; i < IMX_SLOW_PLACES; i++) {
        if (w->places[i].seat != NULL && w->places[i].ended == 0) {
            look_again(&w->places[i], now);
        }
    }
    w->in_flight = atomic_load(&flights->unseated);
    for (i = 0; i < used; i++) {
        look_at(w, &flights->seats[i], now, rule);
    }
}
