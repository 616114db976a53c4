/*
 * outcome.c owns what a transfer of libcurl came to (see outcome.h).
 * Entered only by the thread that posts.
 * Nothing survives a crash.
 */
#include "deliver/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "deliver/headers.h"
#include "deliver/reason.h"

/* A sentence that quotes no line. */
static void explain(imx_influx_result_t *r, const char *why)
{
    imx_reason_explain(r->reason, why);
    imx_reason_explain(r->public_reason, why);
}

static void sort(struct imx_influx *in, long status, imx_influx_result_t *r)
{
    if (in->creating) {
        imx_answer_sort_created(status, in->reply.said, in->reply.kept, r);
    }
    else {
        imx_answer_sort(in->o->api, status, in->reply.said, in->reply.kept, r);
        r->more |= in->reply.kept == IMX_REPLY_KEPT
                   && r->answer == IMX_INFLUX_PARTIAL;
        imx_answer_count(in->o->api, in->body.count, r);
    }
}

/* libcurl's own words of a socket that it cannot connect to are about a host
 * and a port.  0: it is no socket, or libcurl does not know. */
static int socket_error(struct imx_influx *in, CURLcode code)
{
    long error = 0;

    if (in->o->unix_socket && code == CURLE_COULDNT_CONNECT) {
        curl_easy_getinfo(in->easy, CURLINFO_OS_ERRNO, &error);
    }
    return (int)error;
}

static void explain_socket(const char *path, int error, imx_influx_result_t *r)
{
    char why[2 * IMX_INFLUX_REASON_MAX];

    errno = error;
    snprintf(why, sizeof(why), "%.255s: %m", path);
    explain(r, why);
    r->advice = error == EACCES
                    ? "InfluxMetricsServer: may the server's user write to it?"
                    : NULL;
}

/* Which directives has somebody to look at? */
static const char *failure_advice(CURLcode code, const char *said)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return "InfluxMetricsTLSCAFile and InfluxMetricsServer";
    case CURLE_SSL_CACERT_BADFILE:
        return "InfluxMetricsTLSCAFile";
    case CURLE_SSL_CERTPROBLEM:
        return "InfluxMetricsTLSCertificateFile and "
               "InfluxMetricsTLSCertificateKeyFile";
    case CURLE_COULDNT_RESOLVE_HOST:
        return "InfluxMetricsServer";
    case CURLE_SSL_CONNECT_ERROR: /* an alert is TLS, and says what is wrong */
        return strstr(said, "alert")
                   ? NULL
                   : "InfluxMetricsServer: is https spoken at that port?";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return "InfluxMetricsServer: is http spoken at that port, or https?";
    default:
        return NULL;
    }
}

/* Which file, or which server, has somebody to look at? */
static void explain_failure(struct imx_influx *in, CURLcode code,
                            imx_influx_result_t *r)
{
    const imx_influx_options_t *o = in->o;
    const char *said = in->reply.flooded ? "the answer has no end"
                       : in->error[0]    ? in->error
                                         : curl_easy_strerror(code);
    const char *file = code == CURLE_SSL_CACERT_BADFILE ? o->ca_file
                       : code == CURLE_SSL_CERTPROBLEM  ? o->certificate_file
                                                        : NULL;
    char why[CURL_ERROR_SIZE + 3 * IMX_INFLUX_REASON_MAX];

    if (socket_error(in, code)) {
        explain_socket(o->unix_socket, socket_error(in, code), r);
        return;
    }
    snprintf(why, sizeof(why), "%.255s%s%s", file ? file : "",
             file ? ": " : "", said);
    explain(r, why);
    r->advice = failure_advice(code, said);
}

/*
 * A transfer that did not end well.  A refusal counts though its text is cut:
 * 413 is often followed by a reset.  But only the end of the text could tell
 * REFUSED from MALFORMED, so that becomes UNKNOWN, unless the server would
 * talk for ever.
 */
static void judge_failure(struct imx_influx *in, CURLcode code, long status,
                          imx_influx_result_t *r)
{
    long request = 0;

    if (status >= 300) {
        sort(in, status, r);
        r->more |= r->answer == IMX_INFLUX_PARTIAL;
        if (in->reply.flooded
            || (r->answer != IMX_INFLUX_REJECTED
                && r->answer != IMX_INFLUX_REFUSED)) {
            return;
        }
    }
    if (in->stage == MOVING) { /* else it tells of the one before */
        curl_easy_getinfo(in->easy, CURLINFO_REQUEST_SIZE, &request);
    }
    r->answer = request > 0 ? IMX_INFLUX_UNKNOWN : IMX_INFLUX_RETRY;
    r->try_smaller = request > 0 && code == CURLE_OPERATION_TIMEDOUT;
    r->dropped = -1;
    explain_failure(in, code, r);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT) {
        imx_address_forget(in->address);
    }
}

/*
 * Who says that the lines are stored before he had all of them cannot know, and
 * libcurl sends no more when such an answer closes the connection.
 */
static void judge_early(const struct imx_influx *in, imx_influx_result_t *r)
{
    if ((r->answer == IMX_INFLUX_SENT || r->answer == IMX_INFLUX_PARTIAL)
        && !imx_body_is_out(&in->body)) {
        r->answer = IMX_INFLUX_UNKNOWN;
        r->dropped = -1;
        r->advice = "InfluxMetricsServer: is this InfluxDB?";
        explain(r, "the answer came before all of the body was sent");
    }
}

/*
 * A proxy that passes a body on while it comes can only say so when InfluxDB
 * has refused the body with 413 and closed the connection before its end.
 */
static void judge_gateway(imx_influx_result_t *r)
{
    if (r->answer == IMX_INFLUX_RETRY
        && (r->status == 502 || r->status == 504)) {
        r->try_smaller = 1;
    }
}

/*
 * InfluxDB takes gzip in chunks, but what stands before it may want to know
 * the length (411), not know chunks (501, HTTP/1.0) or gzip (415).  Nothing of
 * that is said of the lines: they go out again as they are.
 */
static void judge_gzip(struct imx_influx *in, imx_influx_result_t *r)
{
    static const char text[] =
        "it is sent without gzip from now on, "
        "which was refused: ";
    char why[sizeof(text) + IMX_INFLUX_REASON_MAX];
    long version = 0;

    if (!in->body.packed || r->status < 400) {
        return;
    }
    curl_easy_getinfo(in->easy, CURLINFO_HTTP_VERSION, &version);
    if (r->status == 411 || r->status == 415 || r->status == 501
        || version == CURL_HTTP_VERSION_1_0) {
        in->plain = 1;
        snprintf(why, sizeof(why), "%s%s", text, r->reason);
        imx_reason_explain(r->reason, why);
        snprintf(why, sizeof(why), "%s%s", text, r->public_reason);
        imx_reason_explain(r->public_reason, why);
        r->advice = NULL;
        r->answer = IMX_INFLUX_RETRY;
        r->retry_after_ms = 0;
        r->dropped = -1;
    }
}

/* The lines stay here, and so does the secret; but whoever has to mend the
 * address wants to know where to. */
static void judge_redirect(struct imx_influx *in, imx_influx_result_t *r)
{
    char why[128 + IMX_INFLUX_REASON_MAX];

    if (r->status >= 300 && r->status < 400 && in->reply.location[0]) {
        snprintf(why, sizeof(why),
                 "HTTP status %ld, a redirect, which is not followed, to %s",
                 r->status, in->reply.location);
        explain(r, why);
    }
}

/* Nobody has answered.  The page asks the same itself. */
static const char *server_advice(const imx_influx_result_t *r)
{
    if (r->curl_code == CURLE_COULDNT_CONNECT) {
        return "InfluxMetricsServer: does InfluxDB run there?";
    }
    return r->curl_code == CURLE_OPERATION_TIMEDOUT && r->status == 0
                   && r->answer == IMX_INFLUX_RETRY
               ? "InfluxMetricsServer: does InfluxDB run there, and does a "
                 "firewall let httpd through?"
               : NULL;
}

static void finish_reasons(const struct imx_influx *in, imx_influx_result_t *r)
{
    char *reasons[] = { r->reason, r->public_reason };

    if (r->answer == IMX_INFLUX_UNAUTHORIZED && !r->advice) {
        r->advice = imx_headers_advice(in->o);
    }
    for (int i = 0; i < 2; i++) {
        imx_secret_hide_in(reasons[i], in->files ? in->files->word : NULL);
        imx_secret_hide_in(reasons[i], in->credential);
        if (r->advice) {
            imx_reason_advise(reasons[i], r->advice);
        }
    }
    if (!r->advice && server_advice(r)) {
        imx_reason_advise(r->reason, server_advice(r));
    }
}

void imx_outcome_judge(struct imx_influx *in, CURLcode code,
                       imx_influx_result_t *r)
{
    long status = 0;

    memset(r, 0, sizeof(*r));
    if (in->stage == MOVING) {
        curl_easy_getinfo(in->easy, CURLINFO_RESPONSE_CODE, &status);
    }
    r->status = status;
    r->curl_code = (int)code;
    r->retry_after_ms = in->reply.retry_after_ms;
    r->clock_ahead_s = status ? in->reply.clock_ahead_s : 0;
    r->repeated = in->repeated;
    if (code == CURLE_OK) {
        sort(in, status, r);
    }
    else {
        judge_failure(in, code, status, r);
    }
    judge_early(in, r);
    judge_gateway(r);
    judge_gzip(in, r);
    judge_redirect(in, r);
    finish_reasons(in, r);
}
