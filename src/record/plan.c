/*
 * plan.c owns the working out of a line: which parts it has, in which order,
 * and the bytes of the constant ones.
 * Entered by the parent (check), and by any thread of a child; none changes a
 * plan that another one can see.
 * Nothing survives a child.
 *
 * A plan is made when the first request needs it: a server with a thousand
 * virtual hosts has children that never see most of them.  The parent cannot
 * make them for all, as the tag `process` is another in each child.
 */
#include "record/plan.h"

#include "apr_strings.h"
#include "http_log.h"

#include "base/log.h"
#include "base/memo.h"
#include "config/handler.h"
#include "lineproto.h"

#include <limits.h>
#include <stdlib.h>

APLOG_USE_MODULE(influx_metrics);

#define BUILTIN_MAX 1600 /* bytes of the built-in constant tags, escaped */

static const char *this_host;
static const char *this_process; /* behind the host's name; NULL: no tag */

/* A tag on its way into a plan; text: the constant, NULL: the request's. */
typedef struct {
    const char *name, *text;
    const imx_own_t *own;
    int builtin;
    unsigned limited;
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

/* ---- constant tags: a getter for each such row of config/builtin.def ---- */

static const char *server_name(const server_rec *s)
{
    return s->server_hostname ? s->server_hostname : "";
}

static const char *get_hostname(const work_t *w)
{
    (void)w;
    return this_host;
}

/* A constant tag `hostname` of the administrator's stands for the name of the
 * host here, too: in a container that name is new with each start. */
static const char *get_process(const work_t *w)
{
    const char *own = imx_own_host(w->plan->dir->own_tags);

    return apr_pstrcat(w->p, own != NULL ? own : this_host, this_process,
                       NULL);
}

static const char *get_server(const work_t *w)
{
    return server_name(w->s);
}

typedef const char *constant_t(const work_t *w);

/* NULL: the tag has another value in each request. */
static constant_t *const constants[IMX_TAGS] = {
#define TAG(symbol, name, when, limited, getter, help) NULL,
#define CONSTANT_TAG(symbol, name, when, getter, help) getter,
#define FIELD(symbol, name, kind, unit, when, getter, help)
#include "config/builtin.def"
};

/* ---- which tags ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tag_t *)a)->name, ((const tag_t *)b)->name);
}

static tag_t builtin_tag(const work_t *w, imx_tag_e i)
{
    tag_t tag = { imx_builtin_tags[i].name,
                  constants[i] != NULL ? constants[i](w) : NULL, NULL, (int)i,
                  imx_own_limited_number(i) };

    return tag;
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
        if (bits & IMX_BIT(i)
            && imx_own_find(own, imx_builtin_tags[i].name) == NULL) {
            tags[n++] = builtin_tag(w, (imx_tag_e)i);
        }
    }
    for (i = 0; own != NULL && i < own->nelts; i++) {
        const imx_own_t *o = APR_ARRAY_IDX(own, i, const imx_own_t *);

        tags[n++] = (tag_t){ o->name, o->expr != NULL ? NULL : o->text, o,
                             IMX_TAGS, o->limited };
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

/* From byte `from` to the end of what is encoded so far: nothing when a name
 * did not fit and the line was cut back to its beginning. */
static imx_plan_text_t since(const work_t *w, apr_size_t from)
{
    apr_size_t length = imx_lineproto_length(&w->lp);

    return copy(w, w->text + from, length > from ? length - from : 0);
}

static imx_plan_text_t get_ok(const work_t *w)
{
    const imx_plan_t *plan = w->plan;
    const char *text = apr_psprintf(w->p, "%.*sGET%.*s200%.*s" IMX_PLAN_TIMES,
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
    imx_plan_item_t *items = apr_pcalloc(w->p, count * sizeof *items);
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
            if (tags[i].own == NULL) {
                items[n].getter.text = imx_getters_tags[tags[i].builtin];
            }
            items[n++].limited = tags[i].limited;
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
    (void)imx_typed_put(&w->lp, own->type, own->text);
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

static int count_bits(unsigned bits)
{
    return __builtin_popcount(bits);
}

static void add_builtin_fields(work_t *w)
{
    unsigned bits = w->plan->dir->field_bits;
    imx_plan_item_t *items;
    int n = 0, i;

    if (w->plan->has_usual_fields) {
        bits &= ~(unsigned)IMX_FIELDS_USUAL;
    }
    items = apr_pcalloc(w->p, (size_t)count_bits(bits) * sizeof *items);
    for (i = 0; i < IMX_FIELDS; i++) {
        if (bits & IMX_BIT(i)) {
            items[n].key = key_of(w, imx_builtin_fields[i].name);
            items[n].kind = imx_builtin_fields[i].kind;
            items[n++].getter = imx_getters_fields[i];
        }
    }
    w->plan->fields = items;
    w->plan->field_count = n;
}

static size_t list_length(const apr_array_header_t *list)
{
    return list != NULL ? (size_t)list->nelts : 0;
}

static void add_own_fields(work_t *w, const apr_array_header_t *own)
{
    size_t most = list_length(own);
    imx_plan_item_t *items = apr_pcalloc(w->p, most * sizeof *items);
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

/* All from the measurement to what comes behind the last tag of a request;
 * returns 0 if the names of measurement, host or server do not make a line. */
static int work_out_beginning(work_t *w, tag_t *tags)
{
    imx_plan_t *plan = w->plan;
    const char *measurement = plan->server->measurement
                                  ? plan->server->measurement
                                  : "raw-requests";
    size_t count = collect_tags(w, tags);
    apr_size_t from;

    imx_lineproto_init(&w->lp, w->text, sizeof w->text);
    imx_lineproto_begin(&w->lp, measurement, strlen(measurement));
    plan->has_usual_tags = is_usual(tags, count);
    from = plan->has_usual_tags ? add_usual_tags(w, tags, count)
                                : add_other_tags(w, tags, count);
    plan->lead_tags = imx_lineproto_length(&w->lp) - from;
    add_constant_fields(w, plan->dir->own_fields);
    if (plan->has_usual_fields) {
        imx_lineproto_key(&w->lp, IMX_LINEPROTO_TEXT("request_time"));
    }
    if (imx_lineproto_error(&w->lp) != IMX_LINEPROTO_OK) {
        return 0;
    }
    plan->lead = since(w, from);
    plan->constant_len = imx_lineproto_length(&w->lp);
    return 1;
}

/* A constant one is encoded here, once. */
static int has_expression(const apr_array_header_t *own)
{
    size_t i;

    for (i = 0; i < list_length(own); i++) {
        if (APR_ARRAY_IDX(own, i, const imx_own_t *)->expr != NULL) {
            return 1;
        }
    }
    return 0;
}

/* A host with routes has no cell for all its requests; the parent has none for
 * any. */
static int is_plain(const imx_plan_t *plan)
{
    return plan->is_usual && !plan->has_expressions
           && plan->field_count + plan->own_count == 0 && !plan->is_ours
           && plan->server->routes == NULL && plan->server->series != NULL;
}

/* NULL: the names do not make a line. */
static imx_plan_t *make(apr_pool_t *p, server_rec *s,
                        const imx_schema_dir_t *dir, int is_quiet)
{
    tag_t *tags = malloc(
        (IMX_TAGS + list_length(dir->own_tags)) * sizeof *tags);
    work_t w = { .p = p,
                 .s = s,
                 .plan = apr_pcalloc(p, sizeof *w.plan),
                 .is_quiet = is_quiet };
    imx_plan_t *plan = w.plan;
    int is_line;

    plan->dir = dir;
    plan->server = imx_schema_server(s);
    plan->has_usual_fields = (dir->field_bits & IMX_FIELDS_USUAL)
                             == IMX_FIELDS_USUAL;
    if (tags == NULL) {
        abort(); /* as httpd's pools do */
    }
    is_line = work_out_beginning(&w, tags);
    free(tags);
    if (!is_line) {
        return NULL;
    }
    add_builtin_fields(&w);
    add_own_fields(&w, dir->own_fields);
    add_choice(&w, dir);
    plan->has_expressions = dir->condition != NULL
                            || has_expression(dir->own_tags)
                            || has_expression(dir->own_fields);
    plan->is_usual = plan->has_usual_tags && plan->has_usual_fields
                     && !plan->is_selective;
    plan->is_ours = imx_handler_is_ours(dir);
    plan->counts_more = imx_counted_has_more(dir);
    if (is_plain(plan)) {
        plan->plain_for = dir;
        plan->cell = imx_counted_cell(plan->server, 0);
        plan->get_ok = get_ok(&w);
    }
    return plan;
}

static int makes_line(apr_pool_t *pconf, server_rec *s)
{
    apr_pool_t *scratch;
    int is_good;

    if (apr_pool_create(&scratch, pconf) != APR_SUCCESS) {
        return 0;
    }
    is_good = make(scratch, s, imx_schema_dir(s->lookup_defaults), 0) != NULL;
    apr_pool_destroy(scratch);
    return is_good;
}

apr_status_t imx_plan_check(apr_pool_t *pconf, server_rec *s,
                            const char *hostname)
{
    this_host = hostname;
    this_process = ":4294967295"; /* as long as any */
    for (; s != NULL; s = s->next) {
        /* Hosts without a directive of their own share the main server's. */
        ap_set_module_config(s->module_config, &influx_metrics_module,
                             apr_pmemdup(pconf, imx_schema_server(s),
                                         sizeof(imx_schema_server_t)));
        if (!makes_line(pconf, s)) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, IMX_LOGNO(14) "the names "
                         "of server %s cannot be made into a point's tags",
                         server_name(s));
            return APR_EGENERAL;
        }
    }
    return APR_SUCCESS;
}

/* ---- plans that a child keeps ---- */

/* For each virtual host, with its own directory configuration; and for other
 * combinations, of which clients can make as many as they like. */
static imx_memo_t usual = IMX_MEMO_INIT(UINT_MAX);
static imx_memo_t others = IMX_MEMO_INIT(IMX_SCHEMA_KEPT_MAX);
static apr_pool_t *usual_pool, *other_pool; /* only with the memo's lock */

void imx_plan_child_init(const char *hostname, const char *process)
{
    this_host = hostname;
    this_process = process;
    imx_schema_keep_merges();
    if (apr_pool_create_unmanaged_ex(&usual_pool, NULL, NULL) != APR_SUCCESS
        || apr_pool_create_unmanaged_ex(&other_pool, NULL, NULL)
               != APR_SUCCESS) {
        usual.most = others.most = 0;
    }
}

static imx_memo_pair_t *make_kept(apr_pool_t *p, const void *dir,
                                  const void *s, int is_quiet)
{
    imx_memo_pair_t *pair = apr_palloc(p, sizeof *pair);

    pair->made = make(p, (server_rec *)s, dir, is_quiet);
    return pair->made != NULL ? pair : NULL;
}

/* What is left out of it was said at the start. */
static imx_memo_pair_t *make_usual(const void *dir, const void *s)
{
    return make_kept(usual_pool, dir, s, 1);
}

static imx_memo_pair_t *make_other(const void *dir, const void *s)
{
    return make_kept(other_pool, dir, s, 0);
}

static const imx_plan_t *find_usual(const imx_schema_dir_t *dir, server_rec *s)
{
    const imx_plan_t *plan = imx_memo_get(&usual, dir, s, make_usual);

    if (plan != NULL) {
        atomic_store_explicit(&imx_schema_server(s)->usual_plan, plan,
                              memory_order_release);
    }
    return plan;
}

const imx_plan_t *imx_plan_find_other(const imx_schema_dir_t *dir,
                                      server_rec *s, apr_pool_t *p)
{
    const imx_schema_dir_t *usual_dir = imx_schema_dir(s->lookup_defaults);
    const imx_plan_t *plan = NULL;

    if (dir == usual_dir) {
        plan = find_usual(dir, s);
    }
    else if (!dir->is_passing) {
        plan = imx_memo_get(&others, dir, s, make_other);
    }
    if (plan == NULL) {
        plan = make(p, s, dir, 1);
    }
    /* Here more tags are asked for than there is room for: those that were
     * found to fit when the server started. */
    return plan != NULL ? plan : make(p, s, usual_dir, 1);
}
