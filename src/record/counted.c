/*
 * counted.c owns what of a request is counted, and in which series.
 * Entered by the parent's only thread (names, prepare), and by any thread of a
 * child when a request is logged.
 * What was counted survives the child.
 */
#include "record/counted.h"

#include "apr_strings.h"

#include "config/reporting.h"
#include "lineproto.h"
#include "record/getters.h"

#define UNMATCHED "unmatched"

static const imx_stats_t *stats;
static uint32_t histograms; /* of stats */
static unsigned stripe;

/* ---- which series ---- */

static int routes_of(const server_rec *s)
{
    const apr_array_header_t *routes = imx_schema_server(s)->routes;

    return routes != NULL ? routes->nelts : 0;
}

unsigned imx_counted_names(const server_rec *s)
{
    unsigned names = 0;

    for (; s != NULL; s = s->next) {
        names += (unsigned)routes_of(s) + 1;
    }
    return names;
}

/*
 * A name as InfluxDB has it: what cannot be said in a line is repaired there,
 * and two names that are one in InfluxDB are one series, as a row of one would
 * overwrite that of the other.
 */
static const char *stored_name(apr_pool_t *p, const char *escaped)
{
    char *name = apr_pstrdup(p, escaped), *to = name;

    for (; *escaped != '\0'; escaped++) {
        if (*escaped == '\\' && escaped[1] != '\0'
            && strchr(", =", escaped[1]) != NULL) {
            escaped++;
        }
        *to++ = *escaped;
    }
    *to = '\0';
    return name;
}

static const char *server_name(apr_pool_t *p, const server_rec *s)
{
    const char *name = s->server_hostname != NULL ? s->server_hostname : "";
    char text[4 * IMX_SERIES_NAME_MAX];
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, text, sizeof text);
    imx_lineproto_encoded(&lp, "", 0);
    imx_lineproto_tag_value(&lp, name, strlen(name));
    return imx_lineproto_error(&lp) == IMX_LINEPROTO_OK
               ? stored_name(p, apr_pstrmemdup(p, text,
                                               imx_lineproto_length(&lp)))
               : name;
}

/* For route i, "unmatched" behind the last one, or the host that has none. */
static const char *route_name(apr_pool_t *p, const server_rec *s, int i)
{
    const int n = routes_of(s);

    if (n == 0) {
        return NULL;
    }
    return i == n ? UNMATCHED
                  : stored_name(p, APR_ARRAY_IDX(imx_schema_server(s)->routes,
                                                 i, imx_route_t)
                                       .name);
}

static unsigned prepare_host(apr_pool_t *pconf, server_rec *s,
                             const imx_series_t *series)
{
    const int n = routes_of(s);
    const char *name = server_name(pconf, s);
    unsigned *numbers = apr_palloc(pconf,
                                   ((apr_size_t)n + 1) * sizeof *numbers);
    unsigned others = 0;
    int i;

    for (i = 0; i <= n; i++) {
        numbers[i] = imx_series_use(series, name, route_name(pconf, s, i));
        others += numbers[i] == IMX_SERIES_OTHER
                  && imx_series_count(series) == series->capacity;
    }
    imx_schema_server(s)->series = numbers;
    return others;
}

unsigned imx_counted_prepare(apr_pool_t *pconf, server_rec *s,
                             const imx_series_t *series)
{
    unsigned others = 0;

    for (; s != NULL; s = s->next) {
        others += prepare_host(pconf, s, series);
    }
    return others;
}

void imx_counted_use(const imx_stats_t *shared, unsigned slot)
{
    stats = shared;
    histograms = shared->histograms;
    stripe = slot;
}

imx_stats_cell_t *imx_counted_cell(const imx_schema_server_t *server,
                                   int route)
{
    return imx_stats_cell(stats, stripe, server->series[route]);
}

/* ---- what is counted ---- */

void imx_counted_add(imx_stats_cell_t *cell, const imx_facts_t *f)
{
    const imx_stats_request_t request = {
        .request_ns = (apr_uint64_t)f->request_time,
        .application_ns = f->met_handler ? (apr_uint64_t)f->application_time
                                         : 0,
        .bytes_sent = (apr_uint64_t)f->bytes_sent,
        .status = (apr_uint32_t)f->last->status
    };

    imx_stats_count(cell, &request);
    if (imx_getters_is_aborted(f)) {
        imx_stats_count_aborted(cell);
    }
}

#define MORE \
    (IMX_BIT(IMX_FIELD_SERVER_TIME) | IMX_BIT(IMX_FIELD_INPUT_TIME) \
     | IMX_BIT(IMX_FIELD_OUTPUT_TIME) | IMX_BIT(IMX_FIELD_BYTES_RECEIVED))

unsigned imx_counted_fields(void)
{
    return imx_reporting()->sums_phases ? MORE : 0;
}

/* The fields of these that are known of a request that ends here. */
static unsigned known_fields(const imx_schema_dir_t *dir)
{
    return (dir->field_bits | imx_counted_fields()) & MORE;
}

static int has_objective(const imx_schema_dir_t *dir)
{
    return dir->objective.ns > 0;
}

int imx_counted_has_more(const imx_schema_dir_t *dir)
{
    return known_fields(dir) != 0 || has_objective(dir) || histograms > 1;
}

static apr_uint64_t recorded(const imx_facts_t *f, unsigned known,
                             imx_field_e field)
{
    apr_int64_t n = known & IMX_BIT(field)
                        ? imx_getters_fields[field].number(f)
                        : 0;

    return n > 0 ? (apr_uint64_t)n : 0; /* it can be absent */
}

static void add_times(imx_stats_cell_t *cell, const imx_facts_t *f,
                      unsigned known)
{
    const imx_stats_more_t more = {
        .server_ns = recorded(f, known, IMX_FIELD_SERVER_TIME),
        .input_ns = recorded(f, known, IMX_FIELD_INPUT_TIME),
        .output_ns = recorded(f, known, IMX_FIELD_OUTPUT_TIME),
        .bytes_received = recorded(f, known, IMX_FIELD_BYTES_RECEIVED)
    };

    imx_stats_count_more(cell, &more);
}

void imx_counted_add_more(imx_stats_cell_t *cell, const imx_facts_t *f,
                          const imx_schema_dir_t *dir)
{
    const unsigned known = known_fields(dir);

    if (histograms > 1 && f->met_handler) {
        imx_stats_count_application(cell, (apr_uint64_t)f->application_time);
    }
    if (has_objective(dir)) {
        imx_stats_count_objective(cell, f->request_time <= dir->objective.ns
                                            && f->last->status < 500);
    }
    if (known != 0) {
        add_times(cell, f, known);
    }
}
