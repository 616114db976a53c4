/*
 * t/fuzz/answer.c: any bytes as what an InfluxDB, or what stands before it,
 * says.  The first byte of an input says what the rest is: '1', '2', '3' an
 * answer to that API, 'c' one to CREATE DATABASE, 'r' a Retry-After header,
 * 's' a secret, a LF, and an answer that may show it.  Before an answer (not
 * the last kind) stand three digits, its status less 100.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -I. -o fuzz-answer \
 *       t/fuzz/answer.c answer.c && ./fuzz-answer t/fuzz/corpus/answer
 */
#include "deliver/answer.h"
#include "deliver/retry_after.h"
#include "deliver/secret.h"

#include <stdlib.h>
#include <string.h>

#define MUST(condition) ((condition) ? (void)0 : abort())
#define NOW 784111777

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reason(const char *reason)
{
    size_t n = strnlen(reason, IMX_INFLUX_REASON_MAX);

    MUST(n > 0 && n < IMX_INFLUX_REASON_MAX);
    for (size_t i = 0; i < n; i++) {
        MUST((unsigned char)reason[i] >= ' ' && reason[i] < 0x7f);
    }
}

/* No value of a tag on the page: behind each '=' is a number, a quote (for a
 * name, or for dots), or what was cut. */
static void check_values(const char *reason)
{
    for (const char *p = strchr(reason, '='); p; p = strchr(p, '=')) {
        p++;
        MUST(*p == '\0' || strchr(".\"'", *p) || (*p >= '0' && *p <= '9')
             || *p == ' ' || *p == ';' || *p == '=');
    }
}

/* A copy of exactly these bytes, so that reading behind them is seen. */
static char *copy_of(const char *data, size_t len)
{
    char *copy = malloc(len ? len : 1);

    MUST(copy);
    memcpy(copy, data, len);
    return copy;
}

static long take_status(const char **text, size_t *len)
{
    long status = 0;

    for (int i = 0; i < 3 && *len > 0; i++, (*text)++, (*len)--) {
        status = status * 10 + (unsigned char)**text % 10;
    }
    return 100 + status % 500;
}

static void fuzz_answer(int kind, const char *text, size_t len)
{
    imx_influx_api_e api = kind == '2'   ? IMX_INFLUX_V2
                           : kind == '3' ? IMX_INFLUX_V3
                                         : IMX_INFLUX_V1;
    long status = take_status(&text, &len);
    char *body = copy_of(text, len);
    imx_influx_result_t r;

    if (kind == 'c') {
        imx_answer_sort_created(status, body, len, &r);
    }
    else {
        imx_answer_sort(api, status, body, len, &r);
    }
    free(body);
    MUST(r.status == status);
    MUST(r.answer >= IMX_INFLUX_SENT && r.answer <= IMX_INFLUX_RETRY);
    MUST(r.answer != IMX_INFLUX_SENT || (status >= 200 && status < 300)
         || (r.remark && status >= 500));
    MUST(r.dropped >= -1 && (r.dropped <= 0 || status >= 400));
    check_reason(r.reason);
    check_reason(r.public_reason);
    check_values(r.public_reason);
    imx_answer_count(api, 2, &r);
    MUST(r.dropped <= 2);
}

static void fuzz_retry_after(const char *text, size_t len)
{
    char *value = copy_of(text, len);
    int64_t ms = imx_retry_after_ms(value, len, NOW);

    free(value);
    MUST(ms == -1 || (ms >= 1000 && ms <= 86400000 && ms % 1000 == 0));
}

/* What is shown of a secret: as a reason shows it, and not at the cut. */
static void fuzz_hide(const char *text, size_t len)
{
    char secret[300] = "", shown[IMX_INFLUX_REASON_MAX];
    const char *lf = memchr(text, '\n', len);
    imx_influx_result_t r;

    if (!lf || lf - text >= (long)sizeof(secret)) {
        return;
    }
    memcpy(secret, text, (size_t)(lf - text));
    imx_answer_sort(IMX_INFLUX_V1, 401, lf + 1, len - (size_t)(lf + 1 - text),
                    &r);
    imx_secret_hide_in(r.reason, secret);
    check_reason(r.reason);
    imx_reason_explain(shown, secret);
    /* Stars are what it is hidden behind. */
    MUST(!*shown || strchr(shown, '*') || !strstr(r.reason, shown));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    if (size == 0) {
        return 0;
    }
    if (*text == 'r') {
        fuzz_retry_after(text + 1, size - 1);
    }
    else if (*text == 's') {
        fuzz_hide(text + 1, size - 1);
    }
    else {
        fuzz_answer(*text, text + 1, size - 1);
    }
    return 0;
}
