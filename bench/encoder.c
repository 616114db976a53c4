/*
 * encoder.c: what the line of one request costs: snprintf, lineproto.c tag by
 * tag and field by field, and lineproto.c with its constant parts copied.
 * One thread; nothing is kept.
 *
 * The three run in turn, round by round, so that whatever else the machine
 * does falls on all of them; the ratios are medians over the ratios of single
 * rounds.  All three have to produce the same bytes, or the program fails.
 *
 *     encoder [--check]
 *     encoder --requests         (what bench/encoders.pl gives to the peers)
 *     encoder --serve WAY        (0, 1 or 2: one of the peers itself)
 *
 * --check: exit 1 unless tag by tag takes at most 1/4 of snprintf's time and
 * with the prefix copied at most 1/8.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lineproto.h"

#define ROUNDS 501
#define LINES 1024 /* different requests in a round */
#define PASSES 20  /* over them in a run that is served */
#define LINE_MAX 512
#define STR(s) \
    { \
        s, sizeof(s) - 1 \
    }

typedef struct {
    const char *s;
    size_t len;
} text_t;

/* One finished request, as request.c knows it. */
typedef struct {
    text_t method;
    int status;
    int64_t request_ns, application_ns, bytes, end;
} request_t;

typedef struct {
    const char *name;
    size_t (*write)(char *buf, size_t size, const request_t *r);
    double limit;      /* of snprintf's time, for --check */
    double ns[ROUNDS]; /* a line */
} way_t;

static const text_t hostname = STR("web1");
static const text_t process = STR("web1:3");
static const text_t server = STR("www.example.org");

static char head[LINE_MAX], middle[LINE_MAX];
static size_t head_len, middle_len;
static request_t requests[LINES];
static char text[LINES * LINE_MAX]; /* the lines of a pass */
static uint64_t written;            /* read by main: keeps the work alive */

static size_t write_snprintf(char *buf, size_t size, const request_t *r)
{
    return (size_t)
        snprintf(buf, size,
                 "raw-requests,hostname=%s,method=%s,process=%s,"
                 "server=%s,status=%d "
                 "request_time=%.6f,application_time=%.6f,bytes_sent=%" PRId64
                 "i "
                 "%" PRId64 "\n",
                 hostname.s, r->method.s, process.s, server.s, r->status,
                 (double)r->request_ns / 1e9, (double)r->application_ns / 1e9,
                 r->bytes, r->end);
}

static void put_status(imx_lineproto_t *lp, int status)
{
    char digits[3];

    digits[0] = (char)('0' + status / 100);
    digits[1] = (char)('0' + status / 10 % 10);
    digits[2] = (char)('0' + status % 10);
    imx_lineproto_tag(lp, IMX_LINEPROTO_TEXT("status"), digits, 3);
}

static size_t write_parts(char *buf, size_t size, const request_t *r)
{
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, buf, size);
    imx_lineproto_begin(&lp, IMX_LINEPROTO_TEXT("raw-requests"));
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("hostname"), hostname.s,
                      hostname.len);
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("method"), r->method.s,
                      r->method.len);
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("process"), process.s,
                      process.len);
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("server"), server.s, server.len);
    put_status(&lp, r->status);
    imx_lineproto_field_seconds(&lp, IMX_LINEPROTO_TEXT("request_time"),
                                r->request_ns);
    imx_lineproto_field_seconds(&lp, IMX_LINEPROTO_TEXT("application_time"),
                                r->application_ns);
    imx_lineproto_field_int(&lp, IMX_LINEPROTO_TEXT("bytes_sent"), r->bytes);
    imx_lineproto_end(&lp, r->end);
    return imx_lineproto_length(&lp);
}

static size_t write_copied(char *buf, size_t size, const request_t *r)
{
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, buf, size);
    imx_lineproto_encoded(&lp, head, head_len);
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("method"), r->method.s,
                      r->method.len);
    imx_lineproto_encoded(&lp, middle, middle_len);
    put_status(&lp, r->status);
    imx_lineproto_key(&lp, IMX_LINEPROTO_TEXT("request_time"));
    imx_lineproto_put_seconds(&lp, r->request_ns);
    imx_lineproto_key(&lp, IMX_LINEPROTO_TEXT("application_time"));
    imx_lineproto_put_seconds(&lp, r->application_ns);
    imx_lineproto_key(&lp, IMX_LINEPROTO_TEXT("bytes_sent"));
    imx_lineproto_put_int(&lp, r->bytes);
    imx_lineproto_end(&lp, r->end);
    return imx_lineproto_length(&lp);
}

static way_t ways[] = {
    { "snprintf", write_snprintf, 1.0, { 0 } },
    { "lineproto, tag by tag and field by field", write_parts, 0.25, { 0 } },
    { "lineproto, constant parts copied", write_copied, 0.125, { 0 } }
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* What configuration encodes once: all before the method, all behind it. */
static void encode_constants(void)
{
    char line[LINE_MAX];
    size_t from;
    imx_lineproto_t lp;

    imx_lineproto_init(&lp, line, sizeof(line));
    imx_lineproto_begin(&lp, IMX_LINEPROTO_TEXT("raw-requests"));
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("hostname"), hostname.s,
                      hostname.len);
    head_len = imx_lineproto_length(&lp);
    memcpy(head, line, head_len);
    from = head_len;
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("process"), process.s,
                      process.len);
    imx_lineproto_tag(&lp, IMX_LINEPROTO_TEXT("server"), server.s, server.len);
    middle_len = imx_lineproto_length(&lp) - from;
    memcpy(middle, line + from, middle_len);
}

/* Whole microseconds with a last digit, so that rounding (snprintf), cutting
 * (lineproto) and the shortest form (the peers) agree, from 0.1 ms on, below
 * which some write an exponent; magnitudes spread as those of real requests
 * are. */
static int64_t microseconds(unsigned at_random)
{
    return (int64_t)(at_random / 10 * 10 + 1 + at_random % 9);
}

static void make_requests(void)
{
    static const text_t methods[] = { STR("GET"), STR("POST"), STR("HEAD") };
    static const int statuses[] = { 200, 200, 200, 304, 404, 500 };
    unsigned seed = 1, us;
    size_t i;

    for (i = 0; i < LINES; i++) {
        request_t *r = &requests[i];

        seed = seed * 1103515245u + 12345u;
        us = 200 + (seed >> 4) % (100u << (i % 15));
        r->method = methods[(seed >> 8) % 3];
        r->status = statuses[(seed >> 12) % 6];
        r->request_ns = microseconds(us) * 1000;
        r->application_ns = microseconds(us / 5 * 4) * 1000;
        r->bytes = (int64_t)((seed >> 3) % (10u << (i % 22)));
        r->end = INT64_C(1763961600123456789) + (int64_t)i * 16667;
    }
}

static int same_bytes(void)
{
    char expected[LINE_MAX], got[LINE_MAX];
    size_t i, w;

    for (i = 0; i < LINES; i++) {
        size_t len = ways[0].write(expected, LINE_MAX, &requests[i]);

        for (w = 1; w < WAYS; w++) {
            size_t n = ways[w].write(got, LINE_MAX, &requests[i]);

            if (n != len || memcmp(got, expected, len) != 0) {
                fprintf(stderr, "%s differs:\n%.*s%.*s", ways[w].name,
                        (int)len, expected, (int)n, got);
                return 0;
            }
        }
    }
    return 1;
}

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* One line behind the other; returns their length. */
static size_t write_all(const way_t *way)
{
    size_t at = 0, i;

    for (i = 0; i < LINES; i++)
        at += way->write(text + at, LINE_MAX, &requests[i]);
    written += at + (unsigned char)text[at / 2];
    return at;
}

static double run(const way_t *way)
{
    double start = now_ns();

    write_all(way);
    return (now_ns() - start) / LINES;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(const double *values)
{
    double sorted[ROUNDS];

    memcpy(sorted, values, sizeof(sorted));
    qsort(sorted, ROUNDS, sizeof(sorted[0]), by_value);
    return sorted[ROUNDS / 2];
}

static double median_ratio(const way_t *way, const way_t *base)
{
    double ratios[ROUNDS];
    size_t i;

    for (i = 0; i < ROUNDS; i++)
        ratios[i] = way->ns[i] / base->ns[i];
    return median(ratios);
}

static void print_requests(void)
{
    size_t i;

    for (i = 0; i < LINES; i++) {
        const request_t *r = &requests[i];

        printf("%s %d %.6f %.6f %" PRId64 " %" PRId64 "\n", r->method.s,
               r->status, (double)r->request_ns / 1e9,
               (double)r->application_ns / 1e9, r->bytes, r->end);
    }
}

/* Commands of bench/encoders.pl: "bytes" and "run". */
static int serve(const way_t *way)
{
    char command[16];
    int i;

    while (fgets(command, sizeof(command), stdin) != NULL) {
        size_t len = write_all(way);

        if (strcmp(command, "bytes\n") == 0) {
            printf("%zu\n", len);
            fwrite(text, 1, len, stdout);
        }
        else {
            double start = now_ns();

            for (i = 0; i < PASSES; i++)
                write_all(way);
            printf("%.2f\n", (now_ns() - start) / PASSES / LINES);
        }
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int check = argc > 1 && strcmp(argv[1], "--check") == 0;
    int good = 1;
    size_t round, w;

    encode_constants();
    make_requests();
    if (argc == 2 && strcmp(argv[1], "--requests") == 0) {
        print_requests();
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--serve") == 0)
        return serve(&ways[(size_t)atoi(argv[2]) % WAYS]);
    if (!same_bytes())
        return 1;
    for (w = 0; w < WAYS; w++)
        run(&ways[w]); /* warm caches and clock */
    for (round = 0; round < ROUNDS; round++) {
        for (w = 0; w < WAYS; w++)
            ways[w].ns[round] = run(&ways[w]);
    }

    printf("| encoder | ns a line | of snprintf's time |\n|---|---|---|\n");
    for (w = 0; w < WAYS; w++) {
        double ratio = median_ratio(&ways[w], &ways[0]);

        printf("| %s | %.0f | %.3f |\n", ways[w].name, median(ways[w].ns),
               ratio);
        good &= ratio <= ways[w].limit;
    }
    printf(
        "\nMedians over %d interleaved rounds of %d lines; all three wrote "
        "the same bytes.\n",
        ROUNDS, LINES);
    if (check && !good)
        fprintf(stderr, "over the limit: 0.250 tag by tag, 0.125 copied\n");
    return check && !good ? 1 : written == 0;
}
