/*
 * influxdb.c owns the simulated InfluxDB (see influxdb.h).
 * Entered by the client's tasks, and at times of its own between tasks.
 * What it stored is in the ledger.
 */
#include "influxdb.h"

#include "chance.h"
#include "ledger.h"
#include "sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 60000 /* each line that cannot be parsed is named */

static imx_influx_api_e api;
static influxdb_mood_t mood;
static size_t limit;
static int has_database, wanted, on_file;
static influxdb_post_t *posts;
static int post_count;

void influxdb_reset(imx_influx_api_e which)
{
    while (posts != NULL) {
        influxdb_post_t *p = posts;

        posts = p->next;
        free(p->numbers);
        free(p->text);
        free(p);
    }
    api = which;
    memset(&mood, 0, sizeof mood);
    limit = 0;
    has_database = 1;
    wanted = on_file = 1;
    post_count = 0;
}

void influxdb_set_mood(const influxdb_mood_t *m)
{
    mood = *m;
}

void influxdb_set_limit(size_t bytes)
{
    limit = bytes;
}

void influxdb_drop_database(void)
{
    has_database = 0;
}

void influxdb_make_database(void)
{
    has_database = 1;
}

void influxdb_want_secret(int number)
{
    wanted = number;
}

void influxdb_give_secret(int number)
{
    on_file = number;
}

int influxdb_secret(void)
{
    return on_file;
}

/* ---- what it says of lines ---- */

static void say(influxdb_post_t *p, long status, const char *text)
{
    p->status = status;
    snprintf(p->text, TEXT_BYTES, "%s", text);
}

static size_t count_kind(const influxdb_post_t *p, line_kind_e kind)
{
    size_t n = 0, i;

    for (i = 0; i < p->count; i++) {
        n += ledger_kind(p->numbers[i]) == kind;
    }
    return n;
}

static void store_good(const influxdb_post_t *p)
{
    size_t i;

    for (i = 0; i < p->count; i++) {
        if (ledger_kind(p->numbers[i]) == LINE_GOOD) {
            ledger_stored(p->numbers[i]);
        }
    }
}

/* A list of all lines that cannot be parsed, as InfluxDB 1 and 2 have it. */
static size_t list_malformed(const influxdb_post_t *p, char *to, size_t room)
{
    size_t at = 0, i;

    for (i = 0; i < p->count && at + 200 < room; i++) {
        if (ledger_kind(p->numbers[i]) == LINE_MALFORMED) {
            at += (size_t)snprintf(to + at, room - at,
                                   "%sunable to parse 'line %u': missing "
                                   "fields",
                                   at > 0 ? "\\n" : "", p->numbers[i]);
        }
    }
    return at;
}

#define CONFLICT \
    "partial write: field type conflict: input field \\\"v\\\" on " \
    "measurement \\\"m\\\" is type integer, already exists as type float " \
    "dropped=%zu"

static void answer_conflict(influxdb_post_t *p, size_t refused)
{
    char text[512];

    if (api == IMX_INFLUX_V1) {
        snprintf(text, sizeof text, "{\"error\":\"" CONFLICT "\"}\n", refused);
        say(p, 400, text);
    }
    else {
        snprintf(text, sizeof text,
                 "{\"code\":\"unprocessable entity\","
                 "\"message\":\"failure writing points to database: " CONFLICT
                 "\"}",
                 refused);
        say(p, 422, text);
    }
    store_good(p);
}

static void answer_malformed(influxdb_post_t *p, size_t refused)
{
    size_t at;

    if (api == IMX_INFLUX_V1 && refused < p->count) {
        at = (size_t)snprintf(p->text, TEXT_BYTES,
                              "{\"error\":\"partial write: ");
        at += list_malformed(p, p->text + at, TEXT_BYTES - at - 100);
        snprintf(p->text + at, TEXT_BYTES - at, " dropped=0\"}\n");
        store_good(p);
    }
    else {
        at = (size_t)snprintf(p->text, TEXT_BYTES,
                              api == IMX_INFLUX_V1
                                  ? "{\"error\":\""
                                  : "{\"code\":\"invalid\",\"message\":\"");
        at += list_malformed(p, p->text + at, TEXT_BYTES - at - 100);
        snprintf(p->text + at, TEXT_BYTES - at, "\"}");
        p->is_fatal = refused == p->count;
    }
    p->status = 400;
}

/* InfluxDB 3 names at most a hundred lines, of either kind. */
static void answer_v3(influxdb_post_t *p)
{
    size_t at, i;
    int named = 0;

    at = (size_t)snprintf(p->text, TEXT_BYTES,
                          "{\"error\":\"partial write of "
                          "line protocol occurred\",\"data\":[");
    for (i = 0; i < p->count && named < 100; i++) {
        if (ledger_kind(p->numbers[i]) != LINE_GOOD) {
            at += (size_t)snprintf(p->text + at, TEXT_BYTES - at,
                                   "%s{\"original_line\":\"line %u\","
                                   "\"line_number\":%zu,\"error_message\":"
                                   "\"no fields were provided\"}",
                                   named > 0 ? "," : "", p->numbers[i], i + 1);
            named++;
        }
    }
    snprintf(p->text + at, TEXT_BYTES - at, "]}");
    p->status = 400;
    store_good(p);
}

static void answer_lines(influxdb_post_t *p)
{
    size_t conflict = count_kind(p, LINE_CONFLICT);
    size_t malformed = count_kind(p, LINE_MALFORMED);

    if (api == IMX_INFLUX_V3 && conflict + malformed > 0) {
        answer_v3(p);
    }
    else if (malformed > 0) {
        answer_malformed(p, malformed);
    }
    else if (conflict > 0) {
        answer_conflict(p, conflict);
    }
    else {
        say(p, 204, "");
        store_good(p);
    }
}

/* ---- what it says for other reasons ---- */

static void ask_for_time(influxdb_post_t *p)
{
    if (chance_below(1000) < mood.asks) {
        snprintf(p->retry_after, sizeof p->retry_after, "%lld",
                 (long long)chance_scale(1, mood.asks_most));
    }
}

static size_t bytes_of(const influxdb_post_t *p)
{
    size_t bytes = 0, i;

    for (i = 0; i < p->count; i++) {
        bytes += p->lines[i].len;
    }
    return bytes;
}

static void refuse_all(influxdb_post_t *p, long status, const char *text)
{
    size_t i;

    say(p, status, text);
    for (i = 0; i < p->count; i++) {
        ledger_may_be_refused(p->numbers[i]);
    }
}

static int is_drawn(unsigned *left, unsigned share)
{
    if (*left < share) {
        return 1;
    }
    *left -= share;
    return 0;
}

/* Fills the answer, if it is none that the lines have deserved. */
static int answer_badly(influxdb_post_t *p)
{
    unsigned left = (unsigned)chance_below(1000);

    if (is_drawn(&left, mood.too_many)) {
        say(p, 429, "{\"error\":\"too many requests\"}");
        ask_for_time(p);
    }
    else if (is_drawn(&left, mood.unavailable)) {
        say(p, 503, "<html><title>Service Unavailable</title></html>");
        ask_for_time(p);
    }
    else if (is_drawn(&left, mood.fails)) {
        say(p, 500, "{\"error\":\"timeout\"}");
    }
    else if (is_drawn(&left, mood.forbids)) {
        say(p, 403, "{\"error\":\"not now\"}");
    }
    else if (is_drawn(&left, mood.elsewhere)) {
        say(p, chance_percent(50) ? 404 : 302, "404 page not found\n");
    }
    else if (is_drawn(&left, mood.strange)) {
        refuse_all(p, 400, "{\"error\":\"the moon is full\"}");
    }
    else if (is_drawn(&left, mood.teapot)) {
        refuse_all(p, 418, "I am a teapot");
        p->is_fatal = 1;
    }
    else {
        return 0;
    }
    return 1;
}

static void answer(influxdb_post_t *p)
{
    if (p->secret != wanted) {
        say(p, 401, "{\"error\":\"authorization failed\"}");
    }
    else if (limit > 0 && !p->creates && bytes_of(p) > limit) {
        say(p, 413, "{\"error\":\"Request Entity Too Large\"}\n");
        if (p->count == 1) {
            ledger_may_be_refused(p->numbers[0]);
        }
    }
    else if (answer_badly(p)) {
        return;
    }
    else if (p->creates) {
        say(p, 200, "{\"results\":[{\"statement_id\":0}]}");
        has_database = 1;
    }
    else if (!has_database) {
        say(p, 404,
            api == IMX_INFLUX_V1
                ? "{\"error\":\"database not found: \\\"d\\\"\"}\n"
                : "{\"code\":\"not found\",\"message\":\"bucket "
                  "\\\"b\\\" not found\"}");
    }
    else {
        answer_lines(p);
    }
}

/* ---- the way of a body ---- */

static void wake(influxdb_post_t *p, post_state_e state)
{
    if (p->state != POST_LEFT) {
        p->state = state;
        sched_wake(p->event);
    }
}

static void give_answer(void *data)
{
    influxdb_post_t *p = data;

    wake(p, POST_ANSWERED);
}

static void break_off(void *data)
{
    influxdb_post_t *p = data;

    wake(p, POST_BROKEN);
}

static void read_lines(influxdb_post_t *p)
{
    size_t i;

    p->numbers = calloc(p->count + 1, sizeof *p->numbers);
    if (p->numbers == NULL) {
        abort();
    }
    for (i = 0; i < p->count; i++) {
        p->numbers[i] = ledger_number(p->lines[i].data, p->lines[i].len);
        ledger_arrived(p->numbers[i]);
    }
}

/* The last byte is here.  From now on it is stored, or not, whoever leaves. */
static void arrive(void *data)
{
    influxdb_post_t *p = data;
    int64_t wait = chance_below(2) ? chance_scale(SIM_US, mood.wait + SIM_US)
                                   : chance_scale(SIM_US, SIM_MS);

    if (p->state == POST_LEFT) {
        return;
    }
    p->state = POST_CAME;
    read_lines(p);
    answer(p);
    ledger_tell("body %d, %zu lines: %ld%s%s %.60s", p->number, p->count,
                p->status, p->retry_after[0] ? ", Retry-After " : "",
                p->retry_after, p->text);
    sched_mix((uint64_t)p->status << 20 ^ p->count);
    if (chance_below(1000) < mood.resets_after) {
        ledger_tell("body %d: its answer is lost", p->number);
        p->curl_code = 52;
        sched_at(sched_now() + wait, break_off, p);
    }
    else if (chance_below(1000) < mood.hangs_after) {
        ledger_tell("body %d: it is never answered", p->number);
    }
    else {
        sched_at(sched_now() + wait, give_answer, p);
    }
    p->lines = NULL;
}

static influxdb_post_t *new_post(sim_process_t *process, const void *event,
                                 int secret)
{
    influxdb_post_t *p = calloc(1, sizeof *p);

    if (p == NULL || (p->text = calloc(1, TEXT_BYTES)) == NULL) {
        abort();
    }
    p->next = posts;
    posts = p;
    p->number = ++post_count;
    p->process = process;
    p->event = event;
    p->secret = secret;
    return p;
}

static void set_out(influxdb_post_t *p)
{
    unsigned left = (unsigned)chance_below(1000);
    int64_t way = chance_scale(50 * SIM_US, 3 * SIM_MS);

    if (is_drawn(&left, mood.refuses)) {
        p->curl_code = 7;
        sched_at(sched_now() + way, break_off, p);
    }
    else if (is_drawn(&left, mood.connects_late)) {
        return; /* the client gives up */
    }
    else if (is_drawn(&left, mood.hangs_before)) {
        p->was_sent = 1;
    }
    else if (is_drawn(&left, mood.resets_before)) {
        p->was_sent = 1;
        p->curl_code = 56;
        sched_at(sched_now() + way, break_off, p);
    }
    else {
        p->was_sent = 1;
        if (mood.bytes_a_second > 0) {
            way += (int64_t)bytes_of(p) * SIM_SECOND / mood.bytes_a_second;
        }
        sched_at(sched_now() + way, arrive, p);
    }
}

int influxdb_serves_another(const sim_process_t *process)
{
    const influxdb_post_t *p = posts;
    int recent = 0; /* those long before have ended */

    for (; p != NULL && recent < 100; p = p->next, recent++) {
        if (p->process != process && p->state < POST_ANSWERED) {
            return 1;
        }
    }
    return 0;
}

influxdb_post_t *influxdb_take(sim_process_t *process, const void *event,
                               const imx_influx_line_t *lines, size_t count,
                               int secret)
{
    influxdb_post_t *p = new_post(process, event, secret);

    p->lines = lines;
    p->count = count;
    set_out(p);
    return p;
}

influxdb_post_t *influxdb_take_creation(sim_process_t *process,
                                        const void *event, int secret)
{
    influxdb_post_t *p = new_post(process, event, secret);

    p->creates = 1;
    set_out(p);
    return p;
}

void influxdb_leave(influxdb_post_t *p)
{
    p->state = POST_LEFT;
    p->lines = NULL;
}

void influxdb_leave_all(const sim_process_t *process)
{
    influxdb_post_t *p;

    for (p = posts; p != NULL; p = p->next) {
        if (p->process == process) {
            influxdb_leave(p);
        }
    }
}
