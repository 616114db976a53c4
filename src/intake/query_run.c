/*
 * query_run.c owns one run of a query, from the connection to the lines of its
 * rows (see query_run.h).
 * Entered by the holder's monitor thread, which starts and frees a run, and by
 * the run's own thread.
 * Nothing survives the process.
 */
#include "intake/query_run.h"

#include <strings.h>

#include "apr_lib.h"
#include "apr_strings.h"

#include "shared/batch.h"

#define ERROR_MAX 400 /* bytes of a database's words */
#define AT_FIRST (64 * 1024)

typedef struct {
    imx_query_run_t told; /* the rest is the thread's own */
    const apr_dbd_driver_t *driver;
    const char *params;
    const char **sql; /* statements at the begin of a connection; NULL ends */
    imx_query_conf_t query;
    apr_int64_t time;
    apr_size_t size; /* of told.text */
    apr_dbd_t *handle;
} run_t;

/* ---- errors ---- */

/* Its words in one line: some databases take several. */
static void fail(run_t *run, const char *what, const char *words)
{
    char *text = apr_pstrcat(run->told.pool, what,
                             apr_pstrndup(run->told.pool, words, ERROR_MAX),
                             NULL);
    char *from, *to;

    for (from = to = text; *from != '\0'; from++) {
        char c = (unsigned char)*from < ' ' || *from == 127 ? ' ' : *from;

        if (c != ' ' || (to > text && to[-1] != ' ')) {
            *to++ = c;
        }
    }
    while (to > text && to[-1] == ' ') {
        to--;
    }
    *to = '\0';
    run->told.error = text;
}

/* Is this place of the parameters the value of a name, and not of "password",
 * "pass" and the like? */
static int may_be_told(const char *params, const char *at)
{
    const char *name = at - 1;

    if (at == params || *name != '=') {
        return 0;
    }
    while (name > params && apr_isalnum(name[-1])) {
        if (strncasecmp(--name, "pass", 4) == 0) {
            return 0;
        }
    }
    return 1;
}

static int is_secret(const char *params, const char *word)
{
    const char *at = params;

    while (*word != '\0' && strcmp(word, "=") != 0
           && (at = strstr(at, word)) != NULL) {
        if (!may_be_told(params, at++)) {
            return 1;
        }
    }
    return 0;
}

/*
 * PostgreSQL's library repeats in quotes what it cannot read of the parameters,
 * and that may be a part of a password which has a space, '@' or '%' in it.
 * Returns the words without what they repeat so.
 */
static const char *without_secrets(const run_t *run, const char *words)
{
    char *text = apr_pstrdup(run->told.pool, words);
    const char *told = "";
    char *from, *to;

    while ((from = strchr(text, '"')) != NULL
           && (to = strchr(from + 1, '"')) != NULL) {
        *from++ = *to = '\0';
        told = apr_pstrcat(run->told.pool, told, text, "\"",
                           is_secret(run->params, from) ? "***" : from, "\"",
                           NULL);
        text = to + 1;
    }
    return apr_pstrcat(run->told.pool, told, text, NULL);
}

static void fail_by_handle(run_t *run, int number)
{
    const char *words = apr_dbd_error(run->driver, run->handle, number);

    fail(run, "", words != NULL && *words != '\0' ? words : "unknown error");
}

/* ---- rows ---- */

static int is_mysql(const run_t *run)
{
    return strcmp(apr_dbd_name(run->driver), "mysql") == 0;
}

static int begin_rows(run_t *run, apr_dbd_results_t *results)
{
    int n = apr_dbd_num_cols(run->driver, results), i;
    const char **names = apr_pcalloc(run->told.pool,
                                     (apr_size_t)(n > 0 ? n : 1)
                                         * sizeof *names);

    for (i = 0; i < n; i++) {
        const char *name = apr_dbd_get_name(run->driver, results, i);

        names[i] = name != NULL ? apr_pstrdup(run->told.pool, name) : "";
    }
    if (!imx_rows_begin(&run->told.rows, run->query.measurement, names, n)) {
        fail(run, "", run->told.rows.wrong);
        return 0;
    }
    return 1;
}

static void make_room(run_t *run)
{
    imx_query_run_t *told = &run->told;
    char *larger;

    if (run->size - told->len >= IMX_BATCH_LINE_MAX) {
        return;
    }
    run->size = run->size > 0 ? 2 * run->size : AT_FIRST;
    larger = apr_palloc(told->pool, run->size);
    if (told->len > 0) {
        memcpy(larger, told->text, told->len);
    }
    told->text = larger;
}

/* NULL for NULL.  PostgreSQL's driver gives "" for it, and says which it
 * is in another call; in MariaDB's that one is for prepared statements only. */
static const char *value_of(run_t *run, apr_dbd_row_t *row, int column)
{
    const char *value = apr_dbd_get_entry(run->driver, row, column);
    const char *same;

    if (value != NULL && *value == '\0'
        && strcmp(apr_dbd_name(run->driver), "pgsql") == 0
        && apr_dbd_datum_get(run->driver, row, column, APR_DBD_TYPE_STRING,
                             &same)
               == APR_ENOENT) {
        return NULL;
    }
    return value;
}

static void add_row(run_t *run, apr_dbd_row_t *row)
{
    imx_query_run_t *told = &run->told;
    const char *values[IMX_ROWS_COLUMNS_MAX];
    apr_size_t len;
    int i;

    for (i = 0; i < told->rows.count; i++) {
        values[i] = value_of(run, row, i);
    }
    make_room(run);
    len = imx_rows_line(&told->rows, values, run->time, told->text + told->len,
                        IMX_BATCH_LINE_MAX);
    told->left_out += told->rows.left_out;
    told->len += len;
    told->lines += len > 0;
}

/* MariaDB's rows come one by one, and the server can end the statement behind
 * any of them.  The driver then says that there is no further row. */
static void fail_if_ended(run_t *run)
{
    const char *words = apr_dbd_error(run->driver, run->handle, 0);

    if (words != NULL && *words != '\0') {
        fail(run, "", words);
    }
}

static void read_rows(run_t *run, apr_pool_t *p, apr_dbd_results_t *results)
{
    apr_dbd_row_t *row = NULL;
    int n = 0;

    while (apr_dbd_get_row(run->driver, p, results, &row, -1) != -1) {
        if (n == 0 && !begin_rows(run, results)) {
            return;
        }
        if (n == IMX_QUERY_ROWS_MAX) {
            run->told.is_cut = 1;
            return;
        }
        add_row(run, row);
        n++;
    }
    if (is_mysql(run)) {
        fail_if_ended(run);
    }
}

/* ---- the connection ---- */

/* Returns 0 when a statement failed.  Its rows, if it has any, are nobody's. */
static int begin_connection(run_t *run)
{
    int i, changed, rv;

    for (i = 0; run->sql[i] != NULL; i++) {
        rv = apr_dbd_query(run->driver, run->handle, &changed, run->sql[i]);
        if (rv != 0) {
            fail_by_handle(run, rv);
            return 0;
        }
    }
    return 1;
}

/*
 * All rows at once ("random" access): with PostgreSQL's driver only that way
 * says whether the statement failed.  With MariaDB's that way has no next row.
 *
 * The rows have a pool of their own, which ends before the connection does:
 * what MariaDB's driver does then with rows that were not read needs it.
 */
static void ask(run_t *run)
{
    apr_dbd_results_t *results = NULL;
    apr_pool_t *p;
    int rv;

    if (!begin_connection(run)) {
        return;
    }
    apr_pool_create(&p, run->told.pool);
    rv = apr_dbd_select(run->driver, p, run->handle, &results, run->query.sql,
                        !is_mysql(run));
    if (rv != 0) {
        fail_by_handle(run, rv);
    }
    else if (results != NULL) {
        read_rows(run, p, results);
    }
    apr_pool_destroy(p);
}

static void go(void *data)
{
    run_t *run = data;
    const char *words = NULL;
    apr_status_t rv = apr_dbd_open_ex(run->driver, run->told.pool, run->params,
                                      &run->handle, &words);
    char text[120];

    if (rv != APR_SUCCESS) {
        fail(run, "no connection: ",
             words != NULL && *words != '\0'
                 ? without_secrets(run, words)
                 : apr_strerror(rv, text, sizeof text));
        return;
    }
    ask(run);
    apr_dbd_close(run->driver, run->handle);
}

/* ---- its life ---- */

void imx_query_run_free(imx_query_run_t *run)
{
    apr_pool_destroy(run->pool);
}

/* By whichever thread lets go of the call last: nobody else has the pool. */
static void drop(void *data)
{
    run_t *run = data;

    imx_query_run_free(&run->told);
}

static const char **copy_statements(apr_pool_t *p,
                                    const imx_queries_t *queries)
{
    int n = queries->sql->nelts, i;
    const char **copies = apr_pcalloc(p, (apr_size_t)(n + 1) * sizeof *copies);

    for (i = 0; i < n; i++) {
        copies[i] = apr_pstrdup(p,
                                APR_ARRAY_IDX(queries->sql, i, const char *));
    }
    return copies;
}

/* All that the thread reads: the configuration may end before it does. */
static run_t *make_run(const imx_query_order_t *order)
{
    apr_pool_t *p;
    run_t *run;

    if (apr_pool_create_unmanaged_ex(&p, NULL, NULL) != APR_SUCCESS) {
        return NULL;
    }
    run = apr_pcalloc(p, sizeof *run);
    run->told.pool = p;
    run->driver = order->driver;
    run->params = apr_pstrdup(p, order->queries->params);
    run->sql = copy_statements(p, order->queries);
    run->query = *order->query;
    run->query.sql = apr_pstrdup(p, run->query.sql);
    run->query.measurement = apr_pstrdup(p, run->query.measurement);
    run->time = order->time;
    return run;
}

imx_aside_t *imx_query_run_start(const imx_query_order_t *order)
{
    run_t *run = make_run(order);
    imx_aside_t *aside = run != NULL ? imx_aside_start(go, drop, run) : NULL;

    if (aside == NULL && run != NULL) {
        drop(run);
    }
    return aside;
}
