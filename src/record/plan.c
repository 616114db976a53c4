/*
 * plan.c owns the working out of a line: which parts it has, in which order,
 * and the bytes of the constant ones.
 * Entered by the parent (check), a child's main thread (usual plans) and any
 * of its threads (others); none changes a plan that another can see.
 * Nothing survives a child.
 */
#include "record/plan.h"

#include "apr_strings.h"
#include "http_log.h"

#include "lineproto.h"
#include "base/log.h"

#include <stdlib.h>

APLOG_USE_MODULE(influx_metrics);

#define BUILTIN_MAX 1600 /* bytes of the built-in constant tags, escaped */

static const char *this_host, *this_process;
static imx_schema_kept_t others; /* directory, server_rec => plan */

/* A tag on its way into a plan; text: the constant, NULL: the request's. */
typedef struct {
    const char *name, *text;
    const imx_own_t *own;
    int builtin;
    unsigned guard;
} tag_t;

/* What is being worked out. */
typedef struct {
    apr_pool_t *p;
    server_rec *s;
    imx_plan_t *plan;
    imx_lineproto_t lp;
    int is_quiet; /* it was said before */
    char text[IMX_PLAN_CONSTANT_MAX];
} work_t;

/* ---- which tags ---- */

static const char *server_name(const server_rec *s)
{
    return s->server_hostname ? s->server_hostname : "";
}

static const char *constant_tag(const server_rec *s, imx_tag_e tag)
{
    return tag == IMX_TAG_HOSTNAME  ? this_host
           : tag == IMX_TAG_PROCESS ? this_process
           : tag == IMX_TAG_SERVER  ? server_name(s)
                                    : NULL;
}

static int has_own(const apr_array_header_t *own, const char *name)
{
    int i;

    for (i = 0; own != NULL && i < own->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(own, i, imx_own_t *)->name, name) == 0) {
            return 1;
        }
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tag_t *)a)->name, ((const tag_t *)b)->name);
}

/* Own ones take the place of built-in ones.  Returns how many, sorted. */
static size_t collect_tags(const work_t *w, tag_t *tags)
{
    const apr_array_header_t *own = w->plan->dir->own_tags;
    unsigned bits = imx_schema_tag_bits(w->plan->dir, w->plan->server);
    size_t n = 0;
    int i;

    if (this_process == NULL) {
        bits &= ~IMX_BIT(IMX_TAG_PROCESS);
    }
    for (i = 0; i < IMX_TAGS; i++) {
        const char *name = imx_schema_tag_name((imx_tag_e)i);

        if (bits & IMX_BIT(i) && !has_own(own, name)) {
            tags[n++] = (tag_t){ name, constant_tag(w->s, (imx_tag_e)i), NULL,
                                 i, imx_schema_guard((imx_tag_e)i) };
        }
    }
    for (i = 0; own != NULL && i < own->nelts; i++) {
        const imx_own_t *o = APR_ARRAY_IDX(own, i, const imx_own_t *);

        tags[n++] = (tag_t){ o->name, o->text, o, IMX_TAGS, o->guard };
    }
    qsort(tags, n, sizeof *tags, by_name);
    return n;
}

/* ---- encoding ---- */

static imx_plan_text_t copy(const work_t *w, const char *bytes, apr_size_t len)
{
    char *copied = apr_pcalloc(w->p, len + IMX_PLAN_PAD);
    imx_plan_text_t text = { copied, len };

    memcpy(copied, bytes, len);
    return text;
}

/* ",name=", escaped. */
static imx_plan_text_t key_of(const work_t *w, const char *name)
{
    char text[1024]; /* names have at most 255 bytes */
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag(&lp, name, strlen(name), "x", 1);
    return copy(w, text, imx_lineproto_length(&lp) - 1);
}

static void say_left_out(const work_t *w, const char *name)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, w->s, IMX_LOGNO(70) "%s is left "
                 "out: the constant parts of a line of server %s have more "
                 "than " APR_STRINGIFY(IMX_PLAN_CONSTANT_MAX) " bytes", name,
                 server_name(w->s));
}

/* Own ones leave room for the names of host, process and server, which a line
 * cannot do without: what does not fit is left out. */
static void undo_if_too_long(work_t *w, const imx_lineproto_t *before,
                             const char *name)
{
    if (imx_lineproto_error(&w->lp) != IMX_LINEPROTO_OK
        || w->lp.limit - w->lp.pos < BUILTIN_MAX) {
        w->lp = *before;
        if (!w->is_quiet) {
            say_left_out(w, name);
        }
    }
}

static void add_constant_tag(work_t *w, const tag_t *tag)
{
    imx_lineproto_t before = w->lp;

    imx_lineproto_tag(&w->lp, tag->name, strlen(tag->name), tag->text,
                      strlen(tag->text));
    if (tag->own != NULL) {
        undo_if_too_long(w, &before, tag->name);
    }
}

/* Are the tags that are not constant the method and then the status? */
static int is_usual(const tag_t *tags, size_t count)
{
    int found = IMX_TAG_METHOD;
    size_t i;

    for (i = 0; i < count; i++) {
        if (tags[i].text == NULL) {
            if (tags[i].builtin != found) {
                return 0;
            }
            found = found == IMX_TAG_METHOD ? IMX_TAG_STATUS : IMX_TAGS + 1;
        }
    }
    return found == IMX_TAGS + 1;
}

/* From byte `from` to the end of what is encoded so far. */
static imx_plan_text_t since(const work_t *w, apr_size_t from)
{
    return copy(w, w->text + from, imx_lineproto_length(&w->lp) - from);
}

/* Of most lines: a GET with the status 200. */
static imx_plan_text_t usual_beginning(const work_t *w)
{
    const imx_plan_t *plan = w->plan;
    const char *text = apr_psprintf(w->p, "%.*sGET%.*s200%.*s",
                                    (int)plan->head.len, plan->head.bytes,
                                    (int)plan->tail.len, plan->tail.bytes,
                                    (int)plan->lead.len, plan->lead.bytes);

    return copy(w, text, strlen(text));
}

static apr_size_t add_usual_tags(work_t *w, const tag_t *tags, size_t count)
{
    imx_plan_t *plan = w->plan;
    apr_size_t from = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        if (tags[i].text != NULL) {
            add_constant_tag(w, &tags[i]);
        }
        else if (tags[i].builtin == IMX_TAG_METHOD) {
            imx_lineproto_encoded(&w->lp, IMX_LINEPROTO_TEXT(",method="));
            plan->head = since(w, 0);
            from = plan->head.len;
        }
        else {
            imx_lineproto_encoded(&w->lp, IMX_LINEPROTO_TEXT(",status="));
            plan->tail = since(w, from);
            from += plan->tail.len;
        }
    }
    return from;
}

static apr_size_t add_other_tags(work_t *w, const tag_t *tags, size_t count)
{
    imx_plan_item_t *items = apr_pcalloc(w->p, (count + 1) * sizeof *items);
    apr_size_t from = 0;
    int n = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        if (tags[i].text != NULL) {
            add_constant_tag(w, &tags[i]);
        }
        else {
            items[n].before = since(w, from);
            from += items[n].before.len;
            items[n].key = key_of(w, tags[i].name);
            items[n].own = tags[i].own;
            items[n].builtin = tags[i].builtin;
            items[n++].guard = tags[i].guard;
        }
    }
    w->plan->tags = items;
    w->plan->tag_count = n;
    return from;
}

/* ---- which fields ---- */

/* ",name=value"; the first one has a space before it. */
static void add_constant_field(work_t *w, const imx_own_t *own)
{
    imx_plan_text_t key = key_of(w, own->name);
    char *p = w->lp.pos;
    int is_first = w->lp.stage == IMX_LINEPROTO_IN_TAGS;

    imx_lineproto_encoded_key(&w->lp, key.bytes, key.len);
    imx_schema_put_value(&w->lp, own->type, own->text);
    if (is_first && imx_lineproto_error(&w->lp) == IMX_LINEPROTO_OK) {
        *p = ' ';
    }
}

static void add_constant_fields(work_t *w, const apr_array_header_t *own)
{
    int i;

    for (i = 0; own != NULL && i < own->nelts; i++) {
        const imx_own_t *o = APR_ARRAY_IDX(own, i, const imx_own_t *);
        imx_lineproto_t before = w->lp;

        if (o->expr == NULL && *o->text != '\0') {
            add_constant_field(w, o);
            undo_if_too_long(w, &before, o->name);
        }
    }
}

static void add_builtin_fields(work_t *w)
{
    imx_plan_item_t *items = apr_pcalloc(w->p, IMX_FIELDS * sizeof *items);
    unsigned bits = w->plan->dir->field_bits;
    int n = 0, i;

    if (w->plan->has_usual_fields) {
        bits &= ~IMX_FIELDS_USUAL;
    }
    for (i = 0; i < IMX_FIELDS; i++) {
        if (bits & IMX_BIT(i)) {
            items[n].key = key_of(w, imx_schema_field_name((imx_field_e)i));
            items[n++].builtin = i;
        }
    }
    w->plan->fields = items;
    w->plan->field_count = n;
}

static void add_own_fields(work_t *w, const apr_array_header_t *own)
{
    size_t most = own != NULL ? (size_t)own->nelts : 0;
    imx_plan_item_t *items = apr_pcalloc(w->p, (most + 1) * sizeof *items);
    int n = 0;
    size_t i;

    for (i = 0; i < most; i++) {
        const imx_own_t *o = APR_ARRAY_IDX(own, i, const imx_own_t *);

        if (o->expr != NULL) {
            items[n].key = key_of(w, o->name);
            items[n].is_int = o->type == IMX_TYPE_INT;
            items[n].is_number = (o->type == IMX_TYPE_INT
                                  || o->type == IMX_TYPE_FLOAT)
                                 && items[n].key.len <= IMX_PLAN_PAD;
            items[n++].own = o;
        }
    }
    w->plan->own_fields = items;
    w->plan->own_count = n;
}

/* ",sample_rate=0.1" */
static imx_plan_text_t sample_text(const work_t *w, double rate)
{
    char text[64];
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_field_float(&lp, IMX_LINEPROTO_TEXT("sample_rate"), rate);
    text[0] = ',';
    return copy(w, text, imx_lineproto_length(&lp));
}

static void add_choice(work_t *w, const imx_schema_dir_t *dir)
{
    imx_plan_t *plan = w->plan;

    plan->is_selective = dir->condition != NULL;
    plan->sampled.bytes = plan->kept.bytes = "";
    if (dir->sample.rate >= 0 && dir->sample.rate < 1) {
        plan->is_selective = 1;
        plan->sample_below = (apr_uint32_t)(dir->sample.rate * 4294967296.0);
        plan->sampled = sample_text(w, dir->sample.rate);
        plan->kept = sample_text(w, 1);
    }
}

/* ---- plans ---- */

/* NULL: the names of measurement, host or server do not make a line. */
static imx_plan_t *make(apr_pool_t *p, server_rec *s,
                        const imx_schema_dir_t *dir, int is_quiet)
{
    const imx_schema_server_t *server = imx_schema_server(s);
    const char *measurement = server->measurement ? server->measurement
                                                  : "raw-requests";
    size_t most = IMX_TAGS
                  + (dir->own_tags ? (size_t)dir->own_tags->nelts : 0);
    tag_t *tags = apr_palloc(p, most * sizeof *tags);
    work_t w = { .p = p,
                 .s = s,
                 .plan = apr_pcalloc(p, sizeof *w.plan),
                 .is_quiet = is_quiet };
    imx_plan_t *plan = w.plan;
    apr_size_t from;
    size_t count;

    plan->dir = dir;
    plan->server = server;
    plan->has_usual_fields = (dir->field_bits & IMX_FIELDS_USUAL)
                             == IMX_FIELDS_USUAL;
    imx_lineproto_init(&w.lp, w.text, sizeof w.text);
    imx_lineproto_begin(&w.lp, measurement, strlen(measurement));
    count = collect_tags(&w, tags);
    plan->has_usual_tags = is_usual(tags, count);
    from = plan->has_usual_tags ? add_usual_tags(&w, tags, count)
                                : add_other_tags(&w, tags, count);
    plan->lead_tags = imx_lineproto_length(&w.lp) - from;
    add_constant_fields(&w, dir->own_fields);
    if (plan->has_usual_fields) {
        imx_lineproto_key(&w.lp, IMX_LINEPROTO_TEXT("request_time"));
    }
    if (imx_lineproto_error(&w.lp) != IMX_LINEPROTO_OK) {
        return NULL;
    }
    plan->lead = since(&w, from);
    if (plan->has_usual_tags) {
        plan->get_ok = usual_beginning(&w);
    }
    add_builtin_fields(&w);
    add_own_fields(&w, dir->own_fields);
    add_choice(&w, dir);
    plan->constant_len = imx_lineproto_length(&w.lp);
    plan->is_usual = plan->has_usual_tags && plan->has_usual_fields
                     && !plan->is_selective;
    return plan;
}

apr_status_t imx_plan_check(apr_pool_t *pconf, server_rec *s,
                            const char *hostname)
{
    this_host = hostname;
    this_process = apr_pstrcat(pconf, hostname, ":4294967295", NULL);
    for (; s != NULL; s = s->next) {
        /* Hosts without a directive of their own share the main server's. */
        ap_set_module_config(s->module_config, &influx_metrics_module,
                             apr_pmemdup(pconf, imx_schema_server(s),
                                         sizeof(imx_schema_server_t)));
        if (make(pconf, s, imx_schema_dir(s->lookup_defaults), 0) == NULL) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(14) "the names "
                         "of server %s cannot be made into a point's tags",
                         server_name(s));
            return APR_EGENERAL;
        }
    }
    return APR_SUCCESS;
}

void imx_plan_child_init(apr_pool_t *pchild, server_rec *s,
                         const char *hostname, const char *process)
{
    this_host = hostname;
    this_process = process;
    imx_schema_keep_merges();
    memset(&others, 0, sizeof others);
    for (; s != NULL; s = s->next) {
        imx_schema_server_t *server = imx_schema_server(s);

        server->usual_dir = imx_schema_dir(s->lookup_defaults);
        server->usual_plan = make(pchild, s, server->usual_dir, 1);
    }
}

static void *make_other(apr_pool_t *p, const void *dir, const void *server)
{
    server_rec *s = (server_rec *)server;
    imx_plan_t *plan = make(p, s, dir, 0);

    return plan != NULL ? plan : (void *)imx_schema_server(s)->usual_plan;
}

const imx_plan_t *imx_plan_find_other(const imx_schema_dir_t *dir,
                                      server_rec *s, apr_pool_t *p)
{
    const imx_plan_t *plan = NULL;

    if (!dir->is_passing) {
        plan = imx_schema_keep(&others, dir, s, make_other);
    }
    if (plan == NULL) {
        plan = make(p, s, dir, 1);
    }
    return plan != NULL ? plan : imx_schema_server(s)->usual_plan;
}
