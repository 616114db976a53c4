/*
 * line.c owns the writing of a line: which part comes when, and how a value of
 * each type stands there.
 * Entered by any thread of a child, when a request is logged.
 * Nothing survives a child.
 *
 * A line is put together without a check on the way but for what can be long.
 * So the long parts end before LINE_LONG, and the rest, which has a bound, fits
 * behind them.
 */
#include "record/line.h"

#include "apr_siphash.h"
#include "http_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/typed.h"
#include "lineproto.h"
#include "record/getters.h"

#include <stdatomic.h>

APLOG_USE_MODULE(influx_metrics);

#define NUMBER_ROOM IMX_LINEPROTO_NUMBER_MAX
#define NUMBERS_MAX (4 * NUMBER_ROOM)
#define CONSTANTS_MAX 256 /* bytes of names, separators and sample_rate */
#define LINE_LONG \
    (IMX_BATCH_LINE_MAX - NUMBERS_MAX - CONSTANTS_MAX - IMX_PLAN_PAD)
_Static_assert(IMX_PLAN_CONSTANT_MAX + 2048 <= LINE_LONG,
               "what is constant leaves room for the rest");

static const imx_values_t *values;

void imx_line_child_init(const imx_values_t *shared)
{
    values = shared;
}

static char *put(char *p, const char *bytes, apr_size_t len)
{
    memcpy(p, bytes, len);
    return p + len;
}

#define PUT(p, text) put((p), (text), sizeof(text) - 1)

/* Most keys are short, and behind p there are IMX_PLAN_PAD bytes that may be
 * written over. */
static inline char *put_text(char *p, const imx_plan_text_t *text)
{
    memcpy(p, text->bytes, IMX_PLAN_PAD);
    if (text->len > IMX_PLAN_PAD) {
        memcpy(p, text->bytes, text->len);
    }
    return p + text->len;
}

static apr_size_t room(const char *p, const char *end)
{
    return p < end ? (apr_size_t)(end - p) : 0;
}

/* ---- values that are left out ---- */

/* Between two messages of a child about one name. */
#define SAY_EVERY (3600 * 1000 * IMX_CLOCK_MS)
#define NO_ROOM "the line has no room for it"

/* Is a message due?  The first loss is told, then one an hour. */
static int is_due(imx_own_loss_t *loss)
{
    apr_int64_t said = loss->said, now = imx_clock_now();

    return (said == 0 || now - said >= SAY_EVERY)
           && atomic_compare_exchange_strong(&loss->said, &said, now);
}

/* Never the value itself, nor anything else that a client has sent. */
__attribute__((noinline, cold)) static void left_out(
    const imx_facts_t *f, const imx_plan_item_t *item, const char *why)
{
    const imx_own_t *own = item->own;
    unsigned count;

    imx_values_left_out(values);
    if (own == NULL || own->loss == NULL) {
        return;
    }
    count = ++own->loss->count;
    if (is_due(own->loss)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, f->first->server,
                     IMX_LOGNO(90) "%s %s is missing in points: %s (%u in this "
                     "child so far, and no further message on it for an hour)",
                     own->type == IMX_TYPE_TAG ? "tag" : "field", own->name,
                     why, count);
    }
}

static const char *why_not_type(imx_type_e type)
{
    static const char *const texts[] = {
        "what its expression gives is no whole number",
        "what its expression gives is no number", NO_ROOM,
        "what its expression gives is no bool", NO_ROOM
    };

    return texts[type];
}

/* What an own one says for this request; NULL: nothing. */
static inline const char *evaluate(const imx_facts_t *f,
                                   const imx_plan_item_t *item)
{
    const char *text = imx_getters_own(item->own, f->last);

    if (text == NULL) {
        left_out(f, item, "its expression failed");
    }
    return text;
}

/* ---- tags ---- */

/* Is this value one of those that the tag may have? */
static int is_admitted(unsigned number, const char *value, apr_size_t len)
{
    return imx_values_admit(values, number,
                            apr_siphash24(value, len, imx_values_key(values)));
}

static char *put_limited_tag(char *p, char *end, const imx_facts_t *f,
                             const imx_plan_item_t *item, const char *value)
{
    apr_size_t len = imx_typed_cut(value, strlen(value), IMX_VALUE_MAX);
    imx_lineproto_t lp;

    if (!is_admitted(item->limited, value, len)) {
        value = "other";
        len = strlen(value);
    }
    imx_lineproto_init(&lp, p, room(p, end));
    imx_lineproto_encoded(&lp, item->key.bytes, item->key.len);
    imx_lineproto_tag_value(&lp, value, len);
    if (imx_lineproto_error(&lp) != IMX_LINEPROTO_OK) {
        left_out(f, item, NO_ROOM);
        return p;
    }
    return imx_lineproto_length(&lp) > item->key.len
               ? p + imx_lineproto_length(&lp)
               : p;
}

/* Without a limit are a route and the few values of a built-in tag, in which
 * nothing needs an escape. */
static char *put_tag(char *p, char *end, const imx_facts_t *f,
                     const imx_plan_item_t *item, const char *value)
{
    apr_size_t len;

    if (item->limited != IMX_NOT_LIMITED) {
        return put_limited_tag(p, end, f, item, value);
    }
    len = strlen(value);
    if (room(p, end) < item->key.len + len) {
        left_out(f, item, NO_ROOM);
        return p;
    }
    return put(put_text(p, &item->key), value, len);
}

/* From the measurement to the last tag that is not constant; the plan's lead
 * follows. */
static char *put_tags(char *p, char *end, const imx_plan_t *plan,
                      const imx_facts_t *f)
{
    int i;

    end -= plan->constant_len;
    for (i = 0; i < plan->tag_count; i++) {
        const imx_plan_item_t *item = &plan->tags[i];
        const char *value = item->own != NULL ? evaluate(f, item)
                                              : item->getter.text(f);

        p = put_text(p, &item->before);
        end += item->before.len;
        if (value != NULL && *value != '\0') {
            p = put_tag(p, end, f, item, value);
        }
    }
    return p;
}

/* ---- the usual tags and fields ---- */

__attribute__((noinline)) static char *put_usual_tags(
    char *p, const imx_plan_t *plan, const request_rec *first,
    const request_rec *last)
{
    const char *method = imx_getters_method(first);
    unsigned status = (unsigned)last->status;

    p = put(p, plan->head.bytes, plan->head.len);
    p = put(p, method, strlen(method));
    p = put(p, plan->tail.bytes, plan->tail.len);
    status = status <= IMX_GETTERS_STATUS_MAX ? status : 0;
    return put(p, imx_getters_status[status], 3);
}

/* ",application_time=..,bytes_sent=..", behind request_time. */
static inline __attribute__((always_inline)) char *put_usual_fields(
    char *p, const imx_facts_t *f)
{
    p = imx_lineproto_write_seconds(p, f->request_time);
    if (f->met_handler) {
        p = PUT(p, ",application_time=");
        p = imx_lineproto_write_seconds(p, f->application_time);
    }
    p = PUT(p, ",bytes_sent=");
    return imx_lineproto_write_int(p, f->bytes_sent);
}

/* ---- fields ---- */

/*
 * A string that does not fit is cut, so that the field is there: a byte needs
 * at most three.
 */
static char *put_string(char *p, char *end, const imx_facts_t *f,
                        const imx_plan_item_t *item, const char *text)
{
    apr_size_t most = room(p + item->key.len + 2, end) / 3;
    apr_size_t len = strlen(text);
    imx_lineproto_t lp;

    if (len > IMX_VALUE_MAX || len > most) {
        len = imx_typed_cut(text, len,
                            most < IMX_VALUE_MAX ? most : IMX_VALUE_MAX);
    }
    if (most < IMX_PLAN_PAD || item->key.len > 3 * most) {
        left_out(f, item, NO_ROOM);
        return p;
    }
    imx_lineproto_init(&lp, put_text(p, &item->key), 3 * most + 2);
    imx_lineproto_encoded_key(&lp, "", 0);
    imx_lineproto_put_string(&lp, text, len);
    return lp.pos;
}

/* ",key=12i", ",key=0.000312" or ",key=true" */
static inline char *put_number(char *p, char *end, const imx_facts_t *f,
                               const imx_plan_item_t *item)
{
    apr_int64_t v = item->getter.number(f);

    if (v == IMX_ABSENT) {
        return p;
    }
    if (room(p, end) < item->key.len + NUMBER_ROOM) {
        left_out(f, item, NO_ROOM);
        return p;
    }
    p = put_text(p, &item->key);
    switch (item->kind) {
    case IMX_KIND_SECONDS:
        return imx_lineproto_write_seconds(p, v);
    case IMX_KIND_INT:
        return imx_lineproto_write_int(p, v);
    default:
        return v ? PUT(p, "true") : PUT(p, "false");
    }
}

/* The plan's built-in fields besides the usual ones, each with a comma before
 * it. */
__attribute__((noinline)) static char *put_builtin_fields(
    char *p, char *end, const imx_plan_t *plan, const imx_facts_t *f)
{
    const imx_plan_item_t *item = plan->fields;
    const imx_plan_item_t *behind = item + plan->field_count;

    for (; item < behind; item++) {
        const char *text;

        if (item->kind != IMX_KIND_STRING) {
            p = put_number(p, end, f, item);
            continue;
        }
        text = item->getter.text(f);
        if (text != NULL && *text != '\0') {
            p = put_string(p, end, f, item, text);
        }
    }
    return p;
}

/*
 * A number as people write it can stand in a line as it is: a sign, digits, and
 * with a fraction a point and more digits.  Copies it if it has at most 18
 * digits, which an int64 holds; returns where it ends, or NULL.
 */
static inline char *copy_number(char *p, const char *text, int is_int)
{
    char *most = p + 18;
    const char *begin = p;

    if (*text == '-') {
        *p++ = *text++;
        begin = p;
    }
    while ((unsigned char)(*text - '0') <= 9 && p < most) {
        *p++ = *text++;
    }
    if (p == begin) {
        return NULL;
    }
    if (!is_int && *text == '.' && text[1] != '\0') {
        do {
            *p++ = *text++;
        } while ((unsigned char)(*text - '0') <= 9 && p < most);
    }
    return *text == '\0' ? p : NULL;
}

/* A value that is not as simple as a number that can be copied. */
__attribute__((noinline)) static char *put_own_other(
    char *p, char *end, const imx_facts_t *f, const imx_plan_item_t *item,
    const char *text)
{
    imx_type_e type = item->own->type;
    imx_lineproto_t lp;

    if (type == IMX_TYPE_STRING) {
        return put_string(p, end, f, item, text);
    }
    imx_lineproto_init(&lp, p, room(p, end));
    imx_lineproto_encoded_key(&lp, item->key.bytes, item->key.len);
    if (!imx_typed_put(&lp, type, text)) {
        left_out(f, item,
                 imx_lineproto_error(&lp) == IMX_LINEPROTO_NO_ROOM
                     ? NO_ROOM
                     : why_not_type(type));
        return p;
    }
    return lp.pos;
}

/* The administrator's own fields that are not constant. */
static char *put_own_fields(char *p, char *end, const imx_plan_t *plan,
                            const imx_facts_t *f)
{
    const imx_plan_item_t *item = plan->own_fields;
    const imx_plan_item_t *behind = item + plan->own_count;

    for (; item < behind; item++) {
        const char *text = evaluate(f, item);
        char *number = NULL;

        if (text == NULL || *text == '\0') {
            continue;
        }
        if (item->is_number && end - p > IMX_PLAN_PAD + NUMBER_ROOM) {
            memcpy(p, item->key.bytes, IMX_PLAN_PAD);
            number = copy_number(p + item->key.len, text, item->is_int);
        }
        if (number == NULL) {
            p = put_own_other(p, end, f, item, text);
        }
        else {
            *number = 'i';
            p = number + item->is_int;
        }
    }
    return p;
}

static inline char *put_more_fields(char *p, char *end, const imx_plan_t *plan,
                                    const imx_facts_t *f)
{
    if (plan->field_count > 0) {
        p = put_builtin_fields(p, end, plan, f);
    }
    if (plan->own_count > 0) {
        p = put_own_fields(p, end, plan, f);
    }
    return p;
}

/* ---- the line ---- */

/* Everything is absent: a line has to have a field. */
static char *put_any_field(char *p, const imx_facts_t *f)
{
    p = PUT(p, ",request_time=");
    return imx_lineproto_write_seconds(p, f->request_time);
}

/* A line with other tags or fields than the usual ones, or of a sample. */
__attribute__((noinline)) static char *put_other(
    char *p, const imx_plan_t *plan, const imx_facts_t *f,
    const imx_plan_text_t *rate)
{
    char *end = p + LINE_LONG, *fields;

    p = plan->has_usual_tags ? put_usual_tags(p, plan, f->first, f->last)
                             : put_tags(p, end, plan, f);
    fields = p + plan->lead_tags;
    p = put(p, plan->lead.bytes, plan->lead.len);
    if (plan->has_usual_fields) {
        p = put_usual_fields(p, f);
    }
    p = put_more_fields(p, end, plan, f);
    p = put(p, rate->bytes, rate->len);
    if (p == fields) {
        p = put_any_field(p, f);
    }
    *fields = ' ';
    return p;
}

char *imx_line_put(char *p, const imx_plan_t *plan, const imx_facts_t *f,
                   const imx_plan_text_t *rate)
{
    char *end = p + LINE_LONG;

    if (!plan->is_usual) {
        return put_other(p, plan, f, rate);
    }
    p = put_usual_tags(p, plan, f->first, f->last);
    p = put(p, plan->lead.bytes, plan->lead.len);
    return put_more_fields(put_usual_fields(p, f), end, plan, f);
}

/* ---- the time ---- */

/* A second from 2001 to 2286 has ten digits; a clock that is not set gives
 * fewer, which are not kept. */
__attribute__((noinline, cold)) static int keep_second(imx_marks_t *m,
                                                       apr_int64_t ns)
{
    char text[NUMBER_ROOM];

    if (ns < IMX_SECOND * IMX_SECOND) {
        return 0;
    }
    imx_lineproto_write_time(text, ns);
    memcpy(m->second_text, text, IMX_SECOND_LEN);
    m->second = ns - ns % IMX_SECOND;
    return 1;
}

/* *behind: ns since the second that is kept then. */
static inline int has_second(imx_marks_t *m, apr_int64_t ns,
                             apr_uint32_t *behind)
{
    apr_uint64_t since = (apr_uint64_t)ns - (apr_uint64_t)m->second;

    if (since >= IMX_SECOND) {
        if (!keep_second(m, ns)) {
            return 0;
        }
        since = (apr_uint64_t)(ns - m->second);
    }
    *behind = (apr_uint32_t)since;
    return 1;
}

static inline char *put_time(char *p, const imx_marks_t *m,
                             apr_uint32_t behind)
{
    memcpy(p, m->second_text, IMX_SECOND_LEN);
    p = imx_lineproto_write_nine(p + IMX_SECOND_LEN, behind);
    *p = '\n';
    return p + 1;
}

#define TIME_LEN (IMX_SECOND_LEN + 10) /* bytes of that */

char *imx_line_put_time(char *p, const imx_facts_t *f, apr_int64_t ns)
{
    apr_uint32_t behind;

    return f->marks != NULL && has_second(f->marks, ns, &behind)
               ? put_time(p, f->marks, behind)
               : imx_lineproto_write_time(p, ns);
}

/* ---- a line whose length is known before it is written ---- */

#define BLOCK 16

/* HEAD has GET's number, and so has a request without a method. */
static inline int is_get(const request_rec *r)
{
    return r->method_number == M_GET && r->method != NULL && *r->method == 'G';
}

int imx_line_is_short(imx_line_short_t *line, const imx_facts_t *f)
{
    /* One look for both times: it may say no to some that are nearly as long,
     * which then go the other way. */
    if (f->last->status != HTTP_OK || !is_get(f->first)
        || (apr_uint64_t)(f->request_time | f->application_time) >= IMX_SECOND
        || (apr_uint64_t)f->bytes_sent >= IMX_LINEPROTO_SHORT) {
        return 0;
    }
    line->sent = imx_lineproto_short((apr_uint32_t)f->bytes_sent,
                                     &line->sent_len);
    return 1;
}

int imx_line_set_time(imx_line_short_t *line, imx_marks_t *marks,
                      apr_int64_t ns)
{
    return has_second(marks, ns, &line->behind_second);
}

apr_size_t imx_line_short_length(const imx_line_short_t *line,
                                 const imx_plan_t *plan)
{
    return plan->get_ok.len + line->sent_len + sizeof "i" - 1 + TIME_LEN;
}

/* In blocks, of which the last two end with the text and may begin in what is
 * copied already. */
static inline char *put_blocks(char *p, const imx_plan_text_t *text)
{
    const char *bytes = text->bytes;
    const apr_size_t len = text->len, last = len - 2 * BLOCK;
    apr_size_t i;

    if (len < 8 * BLOCK) {
        return put(p, bytes, len);
    }
#pragma GCC unroll 8
    for (i = 0; i < 8 * BLOCK; i += BLOCK) {
        memcpy(p + i, bytes + i, BLOCK);
    }
    for (; i < last; i += BLOCK) {
        memcpy(p + i, bytes + i, BLOCK);
    }
    memcpy(p + last, bytes + last, 2 * BLOCK);
    return p + len;
}

/* What is written too much of bytes_sent is less than the time has, which is
 * written last. */
void imx_line_put_short(char *p, const imx_line_short_t *line,
                        const imx_plan_t *plan, const imx_facts_t *f)
{
    p = put_blocks(p, &plan->get_ok);
    imx_lineproto_write_six_of_nine(p - IMX_PLAN_TO_REQUEST_TIME,
                                    (apr_uint32_t)f->request_time);
    imx_lineproto_write_six_of_nine(p - IMX_PLAN_TO_APPLICATION_TIME,
                                    (apr_uint32_t)f->application_time);
    memcpy(p, &line->sent, sizeof line->sent);
    p += line->sent_len;
    *p = 'i';
    put_time(p + 1, f->marks, line->behind_second);
}
