/*
 * influx.c owns one POST of lines and its answer (see influx.h).
 * Entered only by the thread that opened the handle: the monitor's.
 * Nothing here survives a crash; the lines are the caller's until answered.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf, explicit_bzero */
#endif

#include "deliver/influx.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "deliver/address.h"
#include "deliver/body.h"
#include "deliver/flow.h"
#include "deliver/headers.h"
#include "deliver/outcome.h"
#include "deliver/post.h"
#include "deliver/reply.h"
#include "deliver/secret.h"
#include "deliver/target.h"
#include "deliver/wire.h"

#define LOOK_MS 50        /* the wait for a new look at the files of TLS */
#define READ_AGAIN_MS 200 /* the wait for a new secret */

/* --- The files --- */

static int out_of_memory(char *reason)
{
    snprintf(reason, IMX_INFLUX_REASON_MAX, "out of memory");
    return ENOMEM;
}

/*
 * Takes files over when it succeeds.  A transfer that runs gets the headers at
 * once, as libcurl only borrows them, but keeps the bytes of TLS until it ends:
 * see start().
 */
static int use_files(imx_influx_t *in, imx_secret_t *files)
{
    struct curl_slist *whole = imx_headers_make(in->o, files->word, 0);
    struct curl_slist *packed = imx_headers_make(in->o, files->word, 1);

    if (!whole || !packed) {
        imx_headers_wipe(whole);
        imx_headers_wipe(packed);
        return ENOMEM;
    }
    curl_easy_setopt(in->easy, CURLOPT_HTTPHEADER,
                     in->body.packed ? packed : whole);
    imx_headers_wipe(in->headers[0]);
    imx_headers_wipe(in->headers[1]);
    in->headers[0] = whole;
    in->headers[1] = packed;
    in->credential = imx_headers_credential(whole);
    in->stale |= files->new_tls && in->files != NULL;
    if (in->files != in->lent) {
        imx_secret_free(in->files);
    }
    in->files = files;
    return 0;
}

/* Lends libcurl the files that were read last.  Not while it works with the
 * ones before. */
static int lend_files(imx_influx_t *in)
{
    if (in->lent != in->files) {
        if (imx_wire_set_tls(in->easy, in->o, in->files)) {
            return ENOMEM;
        }
        imx_secret_free(in->lent);
        in->lent = in->files;
    }
    return 0;
}

/* Takes what was read, after waiting for it for at most ms.  Returns what
 * imx_secret_poll() does; FAILED also when there is no memory. */
static imx_secret_answer_e take_files(imx_influx_t *in, int ms, char *reason)
{
    imx_secret_t *files = NULL;
    imx_secret_answer_e a = imx_secret_poll(in->reader, ms, &files, reason);

    if (a == IMX_SECRET_READ && use_files(in, files)) {
        imx_secret_free(files);
        out_of_memory(reason);
        a = IMX_SECRET_FAILED;
    }
    return a;
}

int imx_influx_reload_secret(imx_influx_t *in, char *reason)
{
    char *old = in->files ? strdup(in->files->word) : NULL;
    int rv;

    in->stale = 1; /* a refusal can hang on the connection */
    imx_secret_ask(in->reader, 1);
    switch (take_files(in, READ_AGAIN_MS, reason)) {
    case IMX_SECRET_READ:
        rv = !old || strcmp(old, in->files->word) != 0;
        break;
    case IMX_SECRET_SAME:
        rv = 0;
        break;
    default:
        rv = -1;
    }
    imx_secret_wipe(old);
    return rv;
}

/* --- curl's callbacks --- */

/*
 * libcurl goes back to the start when a kept connection turns out to be dead
 * under the request, and sends everything again on a new one.  It would do so
 * five times: here it may once, and what may now be there twice is counted.
 */
static int seek_lines(void *arg, curl_off_t offset, int origin)
{
    imx_influx_t *in = arg;

    if (origin != SEEK_SET || offset != 0 || in->repeated > 0) {
        return CURL_SEEKFUNC_FAIL;
    }
    in->out = in->body.at;
    in->repeated = in->out > 0 ? in->out : 1;
    imx_body_rewind(&in->body);
    return CURL_SEEKFUNC_OK;
}

/* --- open and close --- */

static void set_callbacks(imx_influx_t *in)
{
    CURL *e = in->easy;

    curl_easy_setopt(e, CURLOPT_READFUNCTION, imx_body_read);
    curl_easy_setopt(e, CURLOPT_READDATA, &in->body);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, seek_lines);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, in);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, imx_reply_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, &in->reply);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, imx_reply_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &in->reply);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, in->error);
}

static int is_https(const imx_influx_options_t *o)
{
    return strncmp(o->url, "https:", 6) == 0;
}

static int open_curl(imx_influx_t *in)
{
    in->multi = imx_wire_multi();
    in->easy = curl_easy_init();
    if (!in->multi || !in->easy) {
        return ENOMEM;
    }
    set_callbacks(in);
    imx_wire_set_up(in->easy, in->o);
    return in->o->gzip ? imx_body_open_gzip(&in->body) : 0;
}

static int open_all(imx_influx_t *in)
{
    const imx_influx_options_t *o = in->o;

    if (open_curl(in) || imx_target_write(&in->write_url, o)
        || imx_target_create(&in->create_url, o)) {
        return ENOMEM;
    }
    in->address = imx_address_open(o->unix_socket ? "" : o->url);
    in->reader = imx_secret_open(o, is_https(o) ? imx_wire_system_ca(in->easy)
                                                : NULL);
    in->sleep_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return !in->address || !in->reader || in->sleep_fd < 0 ? ENOMEM : 0;
}

int imx_influx_open(imx_influx_t **out, const imx_influx_options_t *o,
                    char *reason)
{
    imx_influx_t *in = calloc(1, sizeof(*in));

    *out = NULL;
    if (!in) {
        return out_of_memory(reason);
    }
    in->o = o;
    in->sleep_fd = -1;
    if (open_all(in)) {
        imx_influx_close(in);
        return out_of_memory(reason);
    }
    imx_secret_ask(in->reader, 1);
    imx_address_poll(in->address);
    *out = in;
    return 0;
}

void imx_influx_close(imx_influx_t *in)
{
    if (!in) {
        return;
    }
    imx_influx_abort(in);
    curl_easy_cleanup(in->easy);
    curl_multi_cleanup(in->multi);
    imx_body_close(&in->body);
    imx_headers_wipe(in->headers[0]);
    imx_headers_wipe(in->headers[1]);
    if (in->files != in->lent) {
        imx_secret_free(in->files);
    }
    imx_secret_free(in->lent);
    imx_secret_close(in->reader);
    imx_address_close(in->address);
    if (in->sleep_fd >= 0) {
        close(in->sleep_fd);
    }
    free(in->write_url);
    free(in->create_url);
    free(in);
}

/* --- One post: what it needs, then libcurl --- */

/*
 * The old connection is closed, with the multi handle that keeps it: left
 * alone, it would be used again when the new one cannot be made.
 */
static int renew_connection(imx_influx_t *in)
{
    CURLM *multi = imx_wire_multi();

    in->stale = multi == NULL;
    if (!multi) {
        return ENOMEM;
    }
    curl_multi_cleanup(in->multi);
    in->multi = multi;
    return 0;
}

static int64_t since_ms(const imx_influx_t *in)
{
    return (imx_clock_now() - in->began) / IMX_CLOCK_MS;
}

/* The time that is left of InfluxMetricsTimeout; 0 would be no limit. */
static long time_left(const imx_influx_t *in)
{
    int64_t ms = in->o->total_timeout_ms - since_ms(in);

    return ms > 1 ? (long)ms : 1;
}

static int set_request(imx_influx_t *in)
{
    CURL *e = in->easy;

    return curl_easy_setopt(e, CURLOPT_URL, in->url)
           || curl_easy_setopt(e, CURLOPT_HTTPHEADER,
                               in->headers[in->body.packed])
           || curl_easy_setopt(e, CURLOPT_RESOLVE,
                               imx_address_list(in->address))
           || curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, time_left(in))
           || curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                               imx_body_bytes(&in->body));
}

static void fail(imx_influx_t *in, CURLcode code, const char *why)
{
    in->stage = FAILED;
    in->code = code;
    snprintf(in->error, sizeof(in->error), "%s", why);
}

/* Gives the request to libcurl. */
static void start(imx_influx_t *in)
{
    imx_body_rewind(&in->body);
    imx_reply_clear(&in->reply);
    in->error[0] = '\0';
    in->stage = MOVING;
    if ((in->stale && renew_connection(in)) || imx_wire_renew(&in->easy)
        || lend_files(in) || set_request(in)
        || curl_multi_add_handle(in->multi, in->easy)) {
        fail(in, CURLE_OUT_OF_MEMORY, "");
    }
}

/*
 * The files: what was read once serves until something else could be read.
 * Returns 1 when the post can go on.
 */
static int have_files(imx_influx_t *in)
{
    char reason[IMX_INFLUX_REASON_MAX];
    imx_secret_answer_e a = take_files(in, 0, reason);

    if (in->files) {
        return 1;
    }
    if (a == IMX_SECRET_IDLE) {
        imx_secret_ask(in->reader, 1);
        a = take_files(in, 0, reason);
    }
    if (a == IMX_SECRET_FAILED
        || (a != IMX_SECRET_READ
            && since_ms(in) >= in->o->connect_timeout_ms)) {
        fail(in, CURLE_READ_ERROR,
             a == IMX_SECRET_IDLE ? "out of memory" : reason);
    }
    return a == IMX_SECRET_READ;
}

/* An old address serves until the name server has answered. */
static int have_address(imx_influx_t *in)
{
    imx_address_answer_e a = imx_address_poll(in->address);
    char why[128];

    if (a == IMX_ADDRESS_FAILED) {
        snprintf(why, sizeof(why), "Could not resolve host: %.80s",
                 imx_address_name(in->address));
        fail(in, CURLE_COULDNT_RESOLVE_HOST, why);
    }
    else if (a == IMX_ADDRESS_BUSY && !imx_address_list(in->address)
             && since_ms(in) >= in->o->connect_timeout_ms) {
        snprintf(why, sizeof(why), "Resolving timed out after %d ms: %.80s",
                 in->o->connect_timeout_ms, imx_address_name(in->address));
        fail(in, CURLE_OPERATION_TIMEDOUT, why);
    }
    return a == IMX_ADDRESS_KNOWN
           || (in->stage == PREPARING
               && since_ms(in) >= in->o->connect_timeout_ms);
}

static void prepare(imx_influx_t *in)
{
    if (have_files(in) && have_address(in)) {
        start(in);
    }
}

/*
 * New files of TLS are looked for with each post, and waited for a little: a
 * disk that hangs must not hold up the lines.  What could not be read when it
 * was tried before is tried again.
 */
static void look_for_files(imx_influx_t *in)
{
    char reason[IMX_INFLUX_REASON_MAX];

    if (!in->files) {
        take_files(in, 0, reason);
    }
    if (!in->files) {
        imx_secret_ask(in->reader, 1);
    }
    else if (imx_secret_fd(in->reader) < 0
             && (is_https(in->o) || in->o->ca_file
                 || in->o->certificate_file)) {
        imx_secret_ask(in->reader, 0);
        take_files(in, LOOK_MS, reason);
    }
}

static void begin(imx_influx_t *in, const char *url,
                  const imx_influx_line_t *lines, size_t count)
{
    assert(!in->busy && url);
    in->url = url;
    imx_body_set(&in->body, lines, count,
                 in->o->gzip && !in->plain && count > 0);
    in->out = 0;
    in->repeated = 0;
    in->busy = 1;
    in->stage = PREPARING;
    in->error[0] = '\0';
    imx_reply_clear(&in->reply);
    in->began = imx_clock_now();
    imx_flow_begin(&in->flow, in->began);
    look_for_files(in);
}

void imx_influx_post(imx_influx_t *in, const imx_influx_line_t *lines,
                     size_t count)
{
    assert(count > 0);
    in->creating = 0;
    begin(in, in->write_url, lines, count);
}

void imx_influx_create_database(imx_influx_t *in)
{
    in->creating = 1;
    begin(in, in->create_url, NULL, 0);
}

void imx_influx_abort(imx_influx_t *in)
{
    if (in->busy && in->stage == MOVING) {
        curl_multi_remove_handle(in->multi, in->easy);
    }
    in->busy = 0;
    in->body.lines = NULL;
    in->body.count = in->body.at = 0;
}

/* ---- pieces of the body ---- */

/* What goes out as fast as it can does so to its end. */
void imx_influx_flow(imx_influx_t *in, uint64_t piece)
{
    if (in->flow.piece != IMX_FLOW_ANY || in->body.taken == 0) {
        imx_flow_limit(&in->flow, piece, imx_clock_now());
    }
}

/* For how many ms nothing may go out; 0: something may, or the body is out. */
static int held_ms(const imx_influx_t *in)
{
    int64_t now = imx_clock_now();
    int64_t next = imx_flow_next(&in->flow, in->body.taken, now);

    return in->busy && in->stage == MOVING && !imx_body_is_out(&in->body)
                   && next > now
               ? (int)((next - now) / IMX_CLOCK_MS) + 1
               : 0;
}

/* Before libcurl moves: what it may read. */
static void allow_piece(imx_influx_t *in)
{
    int64_t now = imx_clock_now();
    uint64_t bytes;

    if (in->body.taken == 0) {
        imx_flow_wait(&in->flow, now);
    }
    bytes = imx_flow_allow(&in->flow, now);
    imx_body_allow(&in->body, bytes,
                   imx_flow_until(&in->flow, in->body.taken, now));
    if (in->body.waits) {
        in->body.waits = 0;
        curl_easy_pause(in->easy, CURLPAUSE_CONT);
    }
}

static CURLMcode perform(imx_influx_t *in, int *running)
{
    uint64_t before = in->body.taken;
    CURLMcode code;

    allow_piece(in);
    code = curl_multi_perform(in->multi, running);
    if (in->body.until != 0 && imx_clock_now() >= in->body.until) {
        imx_flow_rest(&in->flow, in->body.taken - before, imx_clock_now());
    }
    if (!imx_body_is_out(&in->body)) {
        imx_flow_pause(&in->flow, in->body.taken, imx_clock_now());
    }
    return code;
}

/* Returns 1 when a descriptor is readable. */
static int wait_held(const int *fds, int ms)
{
    struct pollfd wait[4];
    int i;

    for (i = 0; i < 4; i++) {
        wait[i] = (struct pollfd){ fds[i], POLLIN, 0 };
    }
    return poll(wait, 4, ms) != 0;
}

/*
 * Sends pieces until no more is held, or for ms milliseconds: so a piece costs
 * no more than itself, and not a step of all the holder's duties.  The
 * connection is not watched meanwhile: it could be written to all the time.  An
 * answer that comes before the body is out is seen with the next piece.
 * Returns for how many milliseconds there is to be waited still.
 */
static int send_pieces(imx_influx_t *in, const int *fds, int ms)
{
    int64_t end = imx_clock_now() + ms * IMX_CLOCK_MS;
    int held, running = 1;

    while ((held = held_ms(in)) > 0) {
        if (wait_held(fds, held < ms ? held : ms)) {
            return 0;
        }
        ms = (int)((end - imx_clock_now()) / IMX_CLOCK_MS);
        if (ms <= 0
            || (held_ms(in) == 0
                && (perform(in, &running) != CURLM_OK || running == 0))) {
            return 0;
        }
    }
    return ms;
}

void imx_influx_wait(imx_influx_t *in, int wake_fd, int ms)
{
    int preparing = in->busy && in->stage == PREPARING;
    int fds[] = { in->sleep_fd, wake_fd,
                  preparing ? imx_secret_fd(in->reader) : -1,
                  preparing ? imx_address_fd(in->address) : -1 };

    ms = send_pieces(in, fds, ms);
    if (ms > 0 && (!in->busy || in->stage != FAILED)) {
        imx_wire_wait(in->multi, fds, 4, ms);
    }
}

uint64_t imx_influx_in_doubt(const imx_influx_t *in)
{
    size_t now = in->busy && in->stage == MOVING ? in->body.at : 0;

    return now > in->out ? now : in->out;
}

int imx_influx_is_out(const imx_influx_t *in)
{
    return in->busy && in->stage == MOVING && imx_body_is_out(&in->body);
}

/* Moves the transfer.  Returns 1 when it is over, with its code. */
static int move(imx_influx_t *in, CURLcode *code)
{
    CURLMsg *message;
    int unused;

    if (in->stage == PREPARING) {
        prepare(in);
    }
    if (in->stage == PREPARING || held_ms(in) > 0) {
        return 0;
    }
    *code = in->stage == FAILED ? in->code : CURLE_OUT_OF_MEMORY;
    if (in->stage == FAILED || perform(in, &unused) != CURLM_OK) {
        return 1;
    }
    while ((message = curl_multi_info_read(in->multi, &unused))) {
        if (message->msg == CURLMSG_DONE) {
            *code = message->data.result;
            return 1;
        }
    }
    return 0;
}

/* Also when nothing that the server said rules it out. */
static uint64_t doubtful(const imx_influx_t *in, const imx_influx_result_t *r)
{
    int unclear = r->answer == IMX_INFLUX_UNKNOWN
                  || (r->answer == IMX_INFLUX_RETRY && r->status >= 500
                      && r->status != 503);

    return unclear ? imx_influx_in_doubt(in) : 0;
}

imx_influx_answer_e imx_influx_step(imx_influx_t *in,
                                    imx_influx_result_t *result)
{
    CURLcode code;

    if (!in->busy) {
        return IMX_INFLUX_IDLE;
    }
    if (!move(in, &code)) {
        return IMX_INFLUX_BUSY;
    }
    imx_outcome_judge(in, code, result);
    result->in_doubt = doubtful(in, result);
    result->held_ns = in->flow.held;
    imx_influx_abort(in); /* lets go of the lines; keeps the connection */
    return result->answer;
}
