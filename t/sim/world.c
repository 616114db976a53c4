/*
 * world.c owns the story of a seed (see world.h): the parent, its children and
 * their requests, restarts, kills.  What befalls InfluxDB and the disk is in
 * weather.c.
 * Entered by main.c; its parts are tasks of simulated processes.
 * Nothing survives a seed.
 */
#include "world.h"

#include "calls.h"
#include "chance.h"
#include "disk.h"
#include "influxdb.h"
#include "ledger.h"
#include "process.h"
#include "product.h"
#include "sched.h"
#include "weather.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHILDREN 8
#define PATIENCE (1500 * SIM_SECOND) /* until all must have been delivered */

typedef struct {
    sim_process_t *process;
    product_options_t options;
    int told, leaves; /* to end, and that others see to the rest */
    int has_thread;
    int requests; /* tasks of it that append */
} child_t;

static struct {
    product_options_t options;
    product_size_t size;
    int children;
    child_t child[CHILDREN];
    int64_t begun, end; /* of the bad times */
    int is_over, is_done;
    unsigned kills, restarts, crashes; /* how likely, percent a minute */
    unsigned malformed, conflicts;     /* of 1,000 lines */
    int64_t pause; /* between two bursts of requests, at most */
    int64_t burst;
    int64_t lines; /* that there may still be */
    int swaps_spools;
    const char *spools[2];
    sim_process_t *parent, *helper;
} w;

/* ---- a child ---- */

static void append_one(product_child_t *c)
{
    char text[LEDGER_LINE_MAX];
    unsigned draw = (unsigned)chance_below(1000);
    size_t len;
    uint32_t n = ledger_make(text, &len,
                             draw < w.malformed ? LINE_MALFORMED
                             : draw < w.malformed + w.conflicts ? LINE_CONFLICT
                                                                : LINE_GOOD);

    ledger_appended(n, product_append(c, text, len));
}

typedef struct {
    child_t *child;
    product_child_t *product;
} request_t;

static request_t requests[64];
static int request_count;

static void serve(void *data)
{
    request_t *r = data;
    int64_t i;

    while (!w.is_over && !r->child->told) {
        sched_sleep(chance_scale(SIM_MS, w.pause));
        for (i = chance_scale(1, w.burst); i > 0 && !w.is_over && w.lines > 0;
             i--, w.lines--) {
            append_one(r->product);
            sched_spend(5 * SIM_US);
        }
    }
    r->child->requests--;
    sched_wake(&r->child->requests);
}

static void begin_requests(child_t *c, product_child_t *product)
{
    int n = (int)chance_between(1, 2);

    for (c->requests = 0; c->requests < n; c->requests++) {
        request_t *r = &requests[request_count++ % 64];

        r->child = c;
        r->product = product;
        sched_spawn(process_self(), "request", serve, r, SIM_MS);
    }
}

static void live(void *data)
{
    child_t *c = data;
    product_child_t *product = product_join(&c->options);

    if (product == NULL) {
        process_exit();
    }
    c->has_thread = product_start(product);
    begin_requests(c, product);
    while (!c->told) {
        sched_wait(&c->told, SIM_NEVER - 1);
    }
    while (c->requests > 0) {
        sched_wait(&c->requests, SIM_NEVER - 1);
    }
    if (c->leaves && c->has_thread) {
        product_leave(product);
    }
    process_self()->is_ending = !c->leaves;
    if (c->has_thread && !product_stop(product)) {
        trace_tell("its thread does not end: it leaves without it");
        process_kill(process_self());
    }
    product_destroy(product);
    process_exit();
}

static void begin_child(int i)
{
    child_t *c = &w.child[i];

    c->options = w.options;
    c->told = c->leaves = c->requests = c->has_thread = 0;
    c->process = process_make("child", live, c);
    c->process->may_die = 1;
}

static void tell_child(int i, int leaves)
{
    w.child[i].leaves = leaves;
    w.child[i].told = 1;
    sched_wake(&w.child[i].told);
}

static int runs(const child_t *c)
{
    return c->process != NULL && c->process->state == SIM_RUNS;
}

/* ---- the parent ---- */

/* It waits for the dead, and tells the module of them, or never does. */
static void bury(int tells)
{
    int i;

    for (i = 0; i < CHILDREN; i++) {
        sim_process_t *p = w.child[i].process;

        if (p != NULL && p->state == SIM_ZOMBIE) {
            if (tells) {
                product_child_died(p->pid);
            }
            process_reap(p);
            w.child[i].process = NULL;
        }
    }
}

static void keep_children(void)
{
    int i, living = 0;

    for (i = 0; i < CHILDREN; i++) {
        living += runs(&w.child[i]) && !w.child[i].told;
    }
    for (i = 0; i < CHILDREN && living < w.children; i++) {
        if (w.child[i].process == NULL) {
            begin_child(i);
            living++;
        }
    }
}

static void tell_all(int leaves)
{
    int i;

    for (i = 0; i < CHILDREN; i++) {
        if (runs(&w.child[i]) && !w.child[i].told) {
            tell_child(i, leaves);
        }
    }
}

static void swap_spools(void)
{
    const char *other = w.options.spool == w.spools[0] ? w.spools[1]
                                                       : w.spools[0];

    w.options.spool_before = w.options.spool;
    w.options.spool = other;
}

static void restart_gracefully(void)
{
    trace_tell("a graceful restart");
    if (chance_percent(30)) {
        product_resize((
            uint32_t)chance_between(w.size.segments / 2, 2 * w.size.segments));
    }
    if (w.swaps_spools && chance_percent(50)) {
        swap_spools();
    }
    w.options.epoch = product_new_epoch();
    tell_all(0);
    if (chance_percent(70)) {
        sched_sleep(chance_scale(SIM_MS, SIM_SECOND));
    }
    bury(chance_percent(70));
    keep_children();
}

static void help(void *data)
{
    (void)data;
    process_self()->is_ending = 1;
    product_end_server(&w.options);
    process_exit();
}

static void kill_all_children(void)
{
    int i;

    for (i = 0; i < CHILDREN; i++) {
        if (runs(&w.child[i])) {
            process_kill(w.child[i].process);
        }
    }
}

/* As server/runtime.c does it. */
static void stop_server(void)
{
    int64_t deadline = sched_now() + (w.options.shutdown_ms + 1000) * SIM_MS;

    trace_tell("the server stops");
    tell_all(1);
    while (product_children() > 0 && sched_now() < deadline) {
        bury(1);
        sched_sleep(10 * SIM_MS);
    }
    kill_all_children();
    bury(chance_percent(50));
    if (product_totals().pending > 0) {
        deadline = sched_now() + (w.options.shutdown_ms + 8000) * SIM_MS;
        w.helper = process_make("helper", help, NULL);
        w.helper->may_die = 1;
        while (w.helper->state == SIM_RUNS && sched_now() < deadline) {
            sched_sleep(5 * SIM_MS);
        }
        if (w.helper->state == SIM_RUNS) {
            trace_tell("the helper is not done: it is killed");
            process_kill(w.helper);
        }
        process_reap(w.helper);
        w.helper = NULL;
    }
    product_totals_t t = product_totals();

    ledger_end_arena(&t, weather_lines());
    product_free_arena();
}

static void start_server(void)
{
    trace_tell("the server starts");
    product_make_arena(&w.size);
    ledger_begin_arena();
    w.options.epoch = product_new_epoch();
    keep_children();
}

/* For whoever comes by first. */
static void set_trap(void (*run)(void *data))
{
    const char *name = process_point_name(chance_below(process_point_names()));
    int64_t n = chance_scale(0, 10);

    trace_tell("whoever passes \"%s\" for the %" PRId64 ". time is killed%s",
               name, n + 1, run != NULL ? ", with the machine" : "");
    process_trap(name, n, run, &w);
}

static void doom_somebody(void)
{
    sim_process_t *p = w.helper;
    const char *name = "";
    int64_t points = chance_scale(0, 4000);
    int i = (int)chance_below(CHILDREN), tries = 0;

    while (p == NULL && tries++ < CHILDREN) {
        i = (i + 1) % CHILDREN;
        p = runs(&w.child[i]) ? w.child[i].process : NULL;
    }
    if (p == NULL || p->kill_after >= 0) {
        return;
    }
    if (chance_percent(50)) {
        set_trap(NULL);
        return;
    }
    if (chance_percent(60)) {
        name = process_point_name(chance_below(process_point_names()));
        points = chance_scale(0, 30);
    }
    trace_tell("%s %d is to be killed at point %" PRId64 " \"%s\"", p->role,
               p->number, points, name);
    process_doom(p, name, points);
}

static void recycle_somebody(void)
{
    int i = (int)chance_below(CHILDREN);

    if (runs(&w.child[i]) && !w.child[i].told) {
        trace_tell("child %d is recycled", w.child[i].process->number);
        tell_child(i, 1);
    }
}

static void freeze_somebody(void)
{
    int i = (int)chance_below(CHILDREN);

    if (runs(&w.child[i])) {
        trace_tell("child %d is stopped for a while",
                   w.child[i].process->number);
        sched_freeze(w.child[i].process, chance_scale(SIM_MS, 6 * SIM_SECOND));
    }
}

static void something_happens(void)
{
    unsigned draw = (unsigned)chance_below(100);

    if (draw < w.kills) {
        doom_somebody();
    }
    else if (draw < w.kills + 10) {
        recycle_somebody();
    }
    else if (draw < w.kills + 10 + w.restarts) {
        restart_gracefully();
    }
    else if (draw < w.kills + 15 + w.restarts) {
        freeze_somebody();
    }
    else if (draw < w.kills + 15 + w.restarts + w.crashes) {
        stop_server();
        if (chance_percent(50)) {
            sched_sleep(chance_scale(SIM_MS, 3 * SIM_SECOND));
        }
        start_server();
    }
}

/* Is all of it with InfluxDB, or counted? */
static int is_delivered(void)
{
    product_totals_t t = product_totals();

    return t.pending == 0 && t.in_spool == 0 && weather_files() == 0;
}

static void cancel_dooms(void)
{
    int i;

    process_trap(NULL, 0, NULL, NULL);
    process_set_memory(0);
    for (i = 0; i < CHILDREN; i++) {
        if (runs(&w.child[i])) {
            w.child[i].process->kill_after = -1;
        }
    }
}

static void end_well(void)
{
    int64_t limit = sched_now() + PATIENCE;
    int i;

    trace_tell("from now on all is well");
    w.is_over = 1;
    cancel_dooms();
    weather_clear();
    for (i = 0; i < CHILDREN; i++) {
        /* There was no memory for its monitor; or it has seen that a former
         * spool was gone, which is for the next holder to find again. */
        if (runs(&w.child[i]) && (!w.child[i].has_thread || w.swaps_spools)) {
            tell_child(i, 1);
        }
    }
    while (!is_delivered() && sched_now() < limit) {
        sched_sleep(500 * SIM_MS);
        bury(chance_percent(50));
        keep_children();
    }
    if (!is_delivered()) {
        product_totals_t t = product_totals();

        weather_tell_files();
        trace_wrong("after %d s in which all was well, %" PRIu64
                    " lines are "
                    "pending, %" PRIu64 " in the spool, in %zu files",
                    (int)(PATIENCE / SIM_SECOND), t.pending, t.in_spool,
                    weather_files());
    }
    stop_server();
    w.is_done = 1;
}

static void be_parent(void *data)
{
    (void)data;
    start_server();
    while (sched_now() < w.end) {
        sched_sleep(chance_scale(50 * SIM_MS, 4 * SIM_SECOND));
        something_happens();
        bury(chance_percent(60));
        if (chance_percent(80)) {
            keep_children();
        }
    }
    end_well();
    process_exit();
}

/* ---- all at once ---- */

static void crash(void *data)
{
    int with_power = data != NULL, i;
    product_totals_t t;

    if (!product_has_arena() || w.is_over) {
        return;
    }
    trace_tell(with_power ? "the machine stops" : "all are killed at once");
    process_kill(w.parent);
    kill_all_children();
    if (w.helper != NULL) {
        process_kill(w.helper);
    }
    process_reap(w.parent);
    for (i = 0; i < CHILDREN; i++) {
        if (w.child[i].process != NULL) {
            process_reap(w.child[i].process);
            w.child[i].process = NULL;
        }
    }
    w.helper = NULL;
    t = product_totals();
    ledger_end_arena(&t, weather_lines());
    product_free_arena();
    if (with_power) {
        disk_power_cut(ledger_power_cut);
    }
    w.parent = process_make("parent", be_parent, NULL);
}

/* ---- what is configured ---- */

static void draw_options(void)
{
    product_options_t *o = &w.options;

    memset(o, 0, sizeof *o);
    o->influx.api = (imx_influx_api_e)chance_between(1, 3);
    o->influx.url = "http://127.0.0.1:8086";
    o->influx.database = "d";
    o->influx.connect_timeout_ms = (int)chance_between(500, 3000);
    o->influx.total_timeout_ms = o->influx.connect_timeout_ms
                                 + (int)chance_between(500, 8000);
    o->create_database = chance_percent(70);
    o->interval_ms = (int)chance_scale(100, 4000);
    o->shutdown_ms = chance_percent(15) ? 0 : (int)chance_scale(1, 3000);
    o->max_bytes = (uint64_t)chance_scale(1000, 100000);
    o->max_lines = (uint64_t)chance_scale(2, 1000);
    if (chance_percent(70)) {
        o->spool = w.spools[0];
        o->spool_max = chance_percent(40)
                           ? 0
                           : (uint64_t)chance_scale(3000, 200000);
    }
}

static void draw_story(void)
{
    static const uint32_t sizes[] = { 1024, 2048, 4096, 8192 };

    w.children = (int)chance_between(1, 4);
    w.size.segment_size = sizes[chance_below(4)];
    w.size.segments = (uint32_t)(3 * w.children + chance_scale(2, 30));
    w.size.rows = chance_percent(10) ? (uint32_t)w.children + 1 : CHILDREN * 2;
    w.begun = sched_now();
    w.end = w.begun + chance_scale(5, 60) * SIM_SECOND;
    w.kills = chance_percent(50) ? (unsigned)chance_between(5, 40) : 0;
    w.restarts = chance_percent(50) ? (unsigned)chance_between(2, 15) : 0;
    w.crashes = chance_percent(30) ? (unsigned)chance_between(2, 10) : 0;
    w.malformed = chance_percent(25) ? (unsigned)chance_scale(1, 700) : 0;
    w.conflicts = !w.malformed && chance_percent(25)
                      ? (unsigned)chance_scale(1, 700)
                      : 0;
    w.pause = chance_scale(20 * SIM_MS, 2 * SIM_SECOND);
    w.burst = chance_scale(1, 25);
    w.lines = chance_scale(200, 5000);
    ledger_set_size((size_t)chance_between(64, 350));
    process_set_switches((uint64_t)chance_scale(5, 2000));
    process_set_memory(
        chance_percent(8) ? (uint64_t)chance_scale(50, 5000) : 0);
}

static void set_power_trap(void *data)
{
    (void)data;
    if (!w.is_over) {
        set_trap(crash);
    }
}

static void draw_crashes(void)
{
    int n = chance_percent(20) ? (int)chance_between(1, 2) : 0;
    int traps = chance_percent(15) ? (int)chance_between(1, 3) : 0;

    w.swaps_spools = w.options.spool != NULL && w.crashes == 0 && n == 0
                     && traps == 0 && chance_percent(30);
    for (; n > 0; n--) {
        sched_at(chance_between(w.begun, w.end), crash,
                 chance_percent(50) ? &w : NULL);
    }
    for (; traps > 0; traps--) {
        sched_at(chance_between(w.begun, w.end), set_power_trap, NULL);
    }
}

static void on_death(sim_process_t *p)
{
    influxdb_leave_all(p);
    ledger_died(p);
}

static void begin_world(uint64_t seed, int is_verbose)
{
    chance_seed(seed);
    sched_reset(1000 * SIM_SECOND);
    process_reset(on_death);
    disk_reset();
    trace_reset(is_verbose);
    ledger_reset(seed);
    memset(&w, 0, sizeof w);
    request_count = 0;
    w.spools[0] = "/spool0";
    w.spools[1] = "/spool1";
    draw_options();
    draw_story();
    influxdb_reset(w.options.influx.api);
    weather_begin(&w.options, w.begun, w.end);
    draw_crashes();
    trace_tell("seed %" PRIu64
               ": API v%d, %d children, %u segments of %u "
               "bytes, bodies of %" PRIu64 " bytes and %" PRIu64
               " lines, "
               "interval %d ms, shutdown %d ms, spool %s of %" PRIu64 " bytes",
               seed, (int)w.options.influx.api, w.children, w.size.segments,
               w.size.segment_size, w.options.max_bytes, w.options.max_lines,
               w.options.interval_ms, w.options.shutdown_ms,
               w.options.spool ? w.options.spool : "(none)",
               w.options.spool_max);
}

static void check(void)
{
    product_totals_t t;

    if (product_has_arena() && sched_steps() % 16 == 0) {
        t = product_totals();
        ledger_check(&t);
    }
}

int world_run(uint64_t seed, int is_verbose)
{
    begin_world(seed, is_verbose);
    w.parent = process_make("parent", be_parent, NULL);
    while (!trace_is_wrong() && !w.is_done && sched_step()) {
        check();
    }
    if (!trace_is_wrong() && !w.is_done) {
        trace_wrong("nobody has anything to do");
    }
    if (!trace_is_wrong()) {
        ledger_check_end(weather_files());
    }
    return !trace_is_wrong();
}
