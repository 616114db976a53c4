/*
 * weather.c owns what befalls InfluxDB, the disk and the clock (see weather.h).
 * Entered at times of its own, between tasks.
 * Nothing survives a seed.
 */
#include "weather.h"

#include "calls.h"
#include "chance.h"
#include "disk.h"
#include "influxdb.h"
#include "ledger.h"
#include "sched.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REAL_TIME INT64_C(1763961600000000000)

static disk_node_t *spools[2];
static int64_t until, real_time;
static unsigned moods, disks, steps; /* percent: how likely it is bad */
static int secret, hidden;
static int64_t slow; /* bytes a second, for good; 0: not slow */
static int kind;     /* of what InfluxDB does in this seed; 0: all */

static influxdb_mood_t fair(void)
{
    return (influxdb_mood_t){ .wait = 2 * SIM_MS, .bytes_a_second = slow };
}

/* ---- InfluxDB ---- */

static influxdb_mood_t draw_mood(void)
{
    influxdb_mood_t m = fair();
    unsigned much = (unsigned)chance_scale(20, 1000);

    m.wait = chance_scale(SIM_MS, 3 * SIM_SECOND);
    m.asks = chance_percent(60) ? 1000 : 300;
    m.asks_most = chance_percent(5) ? 600 : 40;
    switch (kind > 0 ? kind : (int)chance_between(1, 12)) {
    case 1:
        m.refuses = much;
        break;
    case 2:
        m.connects_late = much;
        break;
    case 3:
        m.hangs_before = much / 2;
        m.hangs_after = much / 2;
        break;
    case 4:
        m.resets_before = much / 2;
        m.resets_after = much / 2;
        break;
    case 5:
        m.too_many = much;
        break;
    case 6:
        m.unavailable = much;
        break;
    case 7:
        m.fails = much;
        break;
    case 8:
        m.forbids = much;
        m.elsewhere = much / 4;
        break;
    case 9:
        m.strange = much;
        break;
    case 10:
        m.teapot = much;
        break;
    case 11:
        m.bytes_a_second = chance_scale(500, 100000);
        break;
    default: /* some of all */
        much /= 10;
        m.refuses = m.connects_late = m.hangs_before = m.hangs_after = much;
        m.resets_before = m.resets_after = m.too_many = m.unavailable = much;
        m.fails = m.forbids = much;
    }
    return m;
}

static void trouble_with_database(void)
{
    switch (chance_below(4)) {
    case 0:
        influxdb_give_secret(-1);
        trace_tell("the secret cannot be read");
        break;
    case 1:
        influxdb_drop_database();
        trace_tell("the database is dropped");
        break;
    case 2:
        influxdb_want_secret(++secret);
        trace_tell("another secret is wanted");
        break;
    default:
        influxdb_give_secret(secret);
        influxdb_make_database();
        trace_tell("secret and database are mended");
    }
}

static void change_mood(void *data)
{
    influxdb_mood_t m = fair();

    (void)data;
    if (sched_now() >= until) {
        return;
    }
    if (chance_percent(moods)) {
        m = draw_mood();
        trace_tell(
            "InfluxDB: refuses %u, connects late %u, hangs %u %u, "
            "resets %u %u, 429 %u, 503 %u, 500 %u, 403 %u, other %u, "
            "strange %u, refuses for good %u",
            m.refuses, m.connects_late, m.hangs_before, m.hangs_after,
            m.resets_before, m.resets_after, m.too_many, m.unavailable,
            m.fails, m.forbids, m.elsewhere, m.strange, m.teapot);
    }
    else {
        trace_tell("InfluxDB is well");
    }
    influxdb_set_mood(&m);
    if (chance_percent(moods / 4)) {
        trouble_with_database();
    }
    sched_at(sched_now() + chance_scale(200 * SIM_MS, 20 * SIM_SECOND),
             change_mood, NULL);
}

/* ---- the disk ---- */

static void hide_spool(int is_hidden)
{
    size_t i;

    if (hidden != is_hidden) {
        hidden = is_hidden;
        /* What is done of a file cannot be noted while it is away. */
        for (i = 0; i < spools[0]->count; i++) {
            ledger_file_stuck(spools[0]->entries[i].node);
        }
        disk_hide("spool0", is_hidden);
        trace_tell("the spool's directory is %s",
                   is_hidden ? "moved away" : "back");
    }
}

static disk_trouble_t draw_trouble(void)
{
    static const int errors[] = { EIO, ENOSPC, EROFS, EACCES, EDQUOT };
    disk_trouble_t t = { .error = errors[chance_below(5)] };

    switch (chance_below(7)) {
    case 0:
        t.capacity = chance_scale(100, 50000);
        break;
    case 1:
        t.write_errors = (unsigned)chance_scale(5, 1000);
        break;
    case 2:
        t.errors = (unsigned)chance_scale(5, 1000);
        t.error = EIO;
        break;
    case 3:
        t.out_of_descriptors = 1;
        break;
    case 4:
        t.stalls = (unsigned)chance_scale(5, 300);
        break;
    case 5:
        t.hangs = 1;
        break;
    default:
        hide_spool(1);
    }
    trace_tell(
        "disk: capacity %lld, errors %u %u (%s), EMFILE %d, stalls %u, "
        "hangs %d",
        (long long)t.capacity, t.errors, t.write_errors, strerror(t.error),
        t.out_of_descriptors, t.stalls, t.hangs);
    return t;
}

static void change_disk(void *data)
{
    disk_trouble_t t = { 0 };

    (void)data;
    if (sched_now() >= until) {
        return;
    }
    hide_spool(0);
    if (chance_percent(disks)) {
        t = draw_trouble();
    }
    disk_set_trouble(&t);
    sched_at(sched_now() + chance_scale(100 * SIM_MS, 15 * SIM_SECOND),
             change_disk, NULL);
}

/* What is no line, and must not be sent. */
static size_t add_rubbish(disk_node_t *file, size_t at)
{
    static const char *const rubbish[] = { "# a comment\n", "\n", " blank\n",
                                           "\0\0\0\0\0\n", "\1\n" };
    static const size_t bytes[] = { 12, 1, 7, 6, 2 };
    size_t i = chance_below(5);

    disk_write(file, at, rubbish[i], bytes[i]);
    return at + bytes[i];
}

/* Somebody puts a file there, by a rename, as the manual says; not all of it
 * need be lines, nor as many as its name promises. */
static void bring_file(void *data)
{
    char name[DISK_NAME], text[LEDGER_LINE_MAX];
    unsigned lines = (unsigned)chance_scale(1, 60), i;
    int is_mixed = chance_percent(30);
    disk_place_t place = { 0 };
    size_t len, at = 0;

    (void)data;
    if (sched_now() >= until || hidden) {
        return;
    }
    snprintf(name, sizeof name, "/spool0/%019lld-%08u-%06u.lp",
             (long long)calls_real_time(), 77777777u,
             chance_percent(30) ? (unsigned)chance_below(100) : lines);
    if (disk_find(disk_root(), name, &place) != 0
        || disk_create(&place, &place.node) != 0) {
        return;
    }
    for (i = 0; i < lines; i++) {
        ledger_bring(text, &len);
        disk_write(place.node, at, text, len);
        at += len;
        if (is_mixed && chance_percent(20)) {
            at = add_rubbish(place.node, at);
        }
    }
    if (is_mixed) {
        disk_write(place.node, at, "the,end=is missing", 18);
    }
    disk_sync(place.node);
    disk_sync(place.dir);
    trace_tell("somebody brings %s", place.name);
}

/* Somebody removes a file: its lines are lost, and counted. */
static void remove_file(void *data)
{
    disk_place_t place = { .dir = spools[0] };
    size_t i;

    (void)data;
    if (sched_now() >= until || hidden || spools[0]->count == 0) {
        return;
    }
    i = chance_below(spools[0]->count);
    place.node = spools[0]->entries[i].node;
    snprintf(place.name, sizeof place.name, "%s", spools[0]->entries[i].name);
    trace_tell("somebody removes %s", place.name);
    ledger_file_stuck(place.node);
    disk_unlink(&place);
}

/* ---- the clock ---- */

static void step_clock(void *data)
{
    int64_t by = chance_scale(SIM_MS, 7200 * SIM_SECOND);

    (void)data;
    if (sched_now() >= until) {
        return;
    }
    real_time += chance_percent(50) ? by : -by;
    calls_set_real_time(real_time);
    trace_tell("the clock is set by %lld ms", (long long)(by / SIM_MS));
    sched_at(sched_now() + chance_scale(SIM_SECOND, 20 * SIM_SECOND),
             step_clock, NULL);
}

/* ---- from begin to end ---- */

/* Bodies get as small as 64 KB on a slow way, and no smaller: these must
 * pass. */
static int64_t slowest(const product_options_t *o)
{
    int64_t bytes = o->max_bytes < 65536 ? (int64_t)o->max_bytes : 65536;

    return (bytes + 400) * 1300 / o->influx.total_timeout_ms;
}

void weather_begin(const product_options_t *o, int64_t from, int64_t to)
{
    influxdb_mood_t m;

    until = to;
    secret = 1;
    hidden = 0;
    real_time = REAL_TIME;
    calls_set_real_time(real_time);
    spools[0] = disk_make_dir("spool0");
    spools[1] = disk_make_dir("spool1");
    if (o->spool != NULL) {
        ledger_set_quota(spools[0], o->spool_max);
    }
    slow = chance_percent(8) ? slowest(o) * chance_scale(2, 40) / 2 + 20000
                             : 0;
    kind = chance_percent(60) ? 0 : (int)chance_between(1, 11);
    moods = chance_percent(85) ? (unsigned)chance_between(20, 90) : 0;
    disks = o->spool != NULL && chance_percent(50)
                ? (unsigned)chance_between(10, 70)
                : 0;
    steps = (unsigned)chance_percent(30);
    if (chance_percent(25)) { /* sender.c takes a lower one for a fault */
        influxdb_set_limit((size_t)chance_scale(512, 60000));
    }
    m = fair();
    influxdb_set_mood(&m);
    sched_at(from + chance_between(0, 9) * SIM_SECOND, change_mood, NULL);
    sched_at(from + chance_between(0, 9) * SIM_SECOND, change_disk, NULL);
    if (o->spool != NULL && chance_percent(15)) {
        sched_at(chance_between(from, to), bring_file, NULL);
    }
    if (o->spool != NULL && chance_percent(15)) {
        sched_at(chance_between(from, to), remove_file, NULL);
        sched_at(chance_between(from, to), remove_file, NULL);
    }
    if (steps) {
        sched_at(from + chance_between(0, 9) * SIM_SECOND, step_clock, NULL);
    }
}

void weather_clear(void)
{
    influxdb_mood_t m = fair();
    disk_trouble_t t = { 0 };

    influxdb_set_mood(&m);
    influxdb_give_secret(secret);
    influxdb_make_database();
    disk_set_trouble(&t);
    hide_spool(0);
}

size_t weather_files(void)
{
    size_t files = 0;
    int i;

    for (i = 0; i < 2; i++) {
        files += disk_files(spools[i], ".lp") + disk_files(spools[i], ".tmp");
    }
    return files;
}

void weather_tell_files(void)
{
    size_t n;
    int i;

    for (i = 0; i < 2; i++) {
        for (n = 0; n < spools[i]->count; n++) {
            trace_tell("/spool%d/%s has %zu bytes", i,
                       spools[i]->entries[n].name,
                       spools[i]->entries[n].node->size);
        }
    }
}

uint64_t weather_lines(void)
{
    uint64_t lines = 0;
    size_t n;
    int i;

    for (i = 0; i < 2; i++) {
        for (n = 0; n < spools[i]->count; n++) {
            const disk_entry_t *e = &spools[i]->entries[n];
            unsigned of_file;

            if (strstr(e->name, ".lp") != NULL && e->node->size > 0
                && sscanf(e->name, "%*19[0-9]-%*8[0-9]-%6u", &of_file) == 1) {
                lines += of_file;
            }
        }
    }
    return lines;
}
