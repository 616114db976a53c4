/*
 * t/unit/json_history.c: the answers that json_history.c writes, for
 * t/unit-json_history.t, which reads them:
 *
 *   json_history full HOSTS      25 hours of a busy server, by a false clock;
 *                                ?json&history
 *   json_history now             ?json&since=N of a server of two hosts, of
 *                                which one has an objective
 *   json_history gap             ?json four times: before, at once behind and
 *                                some seconds behind a minute in which no child
 *                                delivered, and ten seconds later
 *   json_history hostile N SEED  N answers, each ends with "}\n", while random
 *                                words are written into all that they are made
 *                                of
 *
 * httpd is a stand-in: what is written goes to stdout.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "apr_general.h"
#include "apr_pools.h"
#include "apr_strings.h"
#include "http_protocol.h"

#include "base/clock.h"
#include "report/server_events.h"
#include "shared/seconds.h"
#include "show/json_history.h"

#define SECOND INT64_C(1000000000)
#define HOURS 25

static imx_arena_t arena;
static imx_seconds_t seconds;
static imx_seconds_sample_t sample;
static uint64_t bytes;

/* ---- httpd ---- */

int ap_rwrite(const void *buffer, int length, request_rec *r)
{
    (void)r;
    bytes += (uint64_t)length;
    return (int)fwrite(buffer, 1, (size_t)length, stdout);
}

const char *imx_server_events_kind(const imx_event_t *event)
{
    (void)event;
    return "start";
}

int imx_server_events_text(const imx_event_t *event, char *text, size_t size)
{
    return snprintf(text, size, "process %d", (int)event->pid);
}

static const imx_objectives_t *objectives; /* of now */

static void answer(const char *args)
{
    request_rec r;
    apr_pool_t *pool;

    memset(&r, 0, sizeof r);
    apr_pool_create(&pool, NULL);
    r.pool = pool;
    r.args = apr_pstrdup(pool, args);
    if (imx_json_history_is_asked(&r)) {
        imx_json_history(&r);
    }
    else {
        printf("{\"is\":1");
        imx_json_history_now(&r, objectives);
        printf("}\n");
    }
    apr_pool_destroy(pool);
}

/* ---- a server ---- */

static void *memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        abort();
    }
    return p;
}

static void make_server(uint32_t hosts)
{
    char name[40];
    uint32_t i;

    sample.wall = 1700000040 * SECOND + 1;
    sample.mono = 4711 * SECOND;
    imx_stats_format(&arena.stats, memory(imx_stats_size(hosts + 1)),
                     hosts + 1);
    imx_series_format(&arena.series, memory(imx_series_size(hosts + 1)),
                      hosts + 1);
    imx_exemplars_format(&arena.exemplars,
                         memory(imx_exemplars_size(hosts + 1)), hosts + 1);
    imx_events_format(&arena.events, memory(imx_events_size()));
    imx_history_format(&arena.history, memory(imx_history_size()), sample.wall,
                       sample.mono);
    for (i = 1; i <= hosts; i++) {
        snprintf(name, sizeof name, "host-%u.example.org", i);
        imx_series_use(&arena.series, name, "");
    }
    seconds.history = &arena.history;
    seconds.stats = &arena.stats;
    seconds.series = &arena.series;
    imx_json_history_use(&arena);
}

/* About lognormal, from 0.1 ms to some seconds. */
static uint64_t some_time(void)
{
    uint64_t ns = 100000;
    int i;

    for (i = 0; i < 30; i++) {
        ns += lrand48() % 5 < 2 ? ns / 4 : 0;
    }
    return ns + (uint64_t)lrand48() % ns;
}

static void some_requests(uint32_t hosts, int each)
{
    uint32_t host;
    int i;

    for (host = 1; host <= hosts; host++) {
        for (i = 0; i < each; i++) {
            imx_stats_request_t r = { .request_ns = some_time(),
                                      .status = lrand48() % 100 ? 200 : 503 };

            imx_stats_count(imx_stats_cell(&arena.stats, (uint32_t)i, host),
                            &r);
        }
    }
}

static void pass(void)
{
    sample.wall += SECOND;
    sample.mono += SECOND;
    sample.gauges.busy = (uint32_t)lrand48() % 10000;
    sample.gauges.pending = (uint32_t)lrand48() % 10000;
    imx_seconds_close(&seconds, &sample);
}

/* ---- what is to be shown ---- */

static void full(uint32_t hosts)
{
    int64_t begun;
    int i;

    make_server(hosts);
    for (i = 0; i < HOURS * 3600; i++) {
        some_requests(hosts, 5);
        pass();
    }
    for (i = 0; i < IMX_EVENTS_KEPT; i++) {
        imx_events_add(&arena.events, IMX_EVENT_KILLED, 12345, 9, 1);
    }
    begun = imx_clock_now();
    answer("json&history");
    fprintf(stderr, "%llu bytes, %lld us\n", (unsigned long long)bytes,
            (long long)(imx_clock_now() - begun) / 1000);
}

/* All of the answer that is no history. */
static void now(void)
{
    static imx_objectives_t o = {
        .seconds = { 300, 3570 },
        .all = { { IMX_OBJECTIVE_SEVERAL, IMX_OBJECTIVE_SEVERAL },
                 { { 0, 0, 0 }, { 50, 40, 2.5 } } },
        .hosts[1] = { { 500000000, 99.9 }, { { 0, 0, 0 }, { 9, 8, 0.009 } } }
    };
    const char *id = "0af7651916cd43dd8448eb211c80319c";

    make_server(2);
    some_requests(2, 5);
    imx_exemplars_offer(&arena.exemplars, 1, id, 300000000,
                        1700000041500000000);
    imx_exemplars_offer(&arena.exemplars, 1, id, 200 * SECOND,
                        1700000041500000000);
    pass();
    objectives = &o;
    answer("json&since=1");
}

/* Each second has ten requests of each of two hosts, also where no child closes
 * it. */
static void seconds_pass(int n, int closed)
{
    for (; n > 0; n--) {
        some_requests(2, 10);
        if (closed) {
            pass();
        }
        else {
            sample.wall += SECOND;
            sample.mono += SECOND;
        }
    }
}

static void gap(void)
{
    make_server(2);
    seconds_pass(20, 1);
    answer("json");
    seconds_pass(59, 0);
    seconds_pass(1, 1);
    answer("json");
    seconds_pass(4, 1);
    answer("json");
    seconds_pass(10, 1);
    answer("json");
}

static uint64_t random64(void)
{
    return (uint64_t)lrand48() << 42 ^ (uint64_t)lrand48() << 21
           ^ (uint64_t)lrand48();
}

static void scribble(void *at, size_t size, int words)
{
    _Atomic uint64_t *to = at;
    int i;

    for (i = 0; i < words; i++) {
        atomic_store(&to[random64() % (size / 8)],
                     i % 3 == 0   ? random64()
                     : i % 3 == 1 ? UINT64_MAX >> lrand48() % 64
                                  : random64() & random64());
    }
}

static void hostile(int n)
{
    const uint32_t hosts = 5;
    int i, j;

    make_server(hosts);
    for (i = 0; i < n; i++) {
        for (j = 0; j < 3; j++) {
            some_requests(hosts, 2);
            scribble(arena.history.part, 4096, i % 4 * 20);
            scribble(arena.history.part, imx_history_size(), 3000);
            scribble(arena.series.part, imx_series_size(hosts + 1), 3);
            scribble(arena.events.part, imx_events_size(), 20);
            scribble(arena.exemplars.rows, imx_exemplars_size(hosts + 1), 20);
            pass();
        }
        answer(i % 3 == 0   ? "json&history"
               : i % 3 == 1 ? "json&since=1"
                            : "json&since=99999999999999999999999");
    }
}

int main(int argc, char **argv)
{
    apr_initialize();
    if (argc > 2 && strcmp(argv[1], "full") == 0) {
        full((uint32_t)atoi(argv[2]));
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "now") == 0) {
        now();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "gap") == 0) {
        gap();
        return 0;
    }
    if (argc > 3 && strcmp(argv[1], "hostile") == 0) {
        srand48(atoi(argv[3]));
        hostile(atoi(argv[2]));
        return 0;
    }
    return 2;
}
