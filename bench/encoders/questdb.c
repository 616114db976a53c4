/*
 * questdb.c: c-questdb-client as a peer of bench/encoders.pl: a line of text
 * (version 1 of its protocol) for each request, into its buffer.
 * One thread; nothing is kept.
 *
 *     questdb REQUESTS
 */
#define _POSIX_C_SOURCE 200809L

#include <questdb/ingress/line_sender.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASSES 20
#define MOST 4096

typedef struct {
    char method[16], status[8];
    double request, application;
    int64_t bytes, end;
} request_t;

static request_t requests[MOST];
static size_t count;
static line_sender_error *error;

static void check(bool ok)
{
    size_t len;

    if (!ok) {
        fprintf(stderr, "questdb: %s\n", line_sender_error_msg(error, &len));
        exit(1);
    }
}

static void read_requests(const char *path)
{
    FILE *f = fopen(path, "r");
    request_t *r = requests;
    long long bytes, end;

    if (f == NULL)
        exit(1);
    while (count < MOST
           && fscanf(f, "%15s %7s %lf %lf %lld %lld", r->method, r->status,
                     &r->request, &r->application, &bytes, &end)
                  == 6) {
        r->bytes = bytes;
        r->end = end;
        r = &requests[++count];
    }
    fclose(f);
}

static void symbol(line_sender_buffer *b, line_sender_column_name name,
                   const char *value)
{
    line_sender_utf8 text = { strlen(value), value };

    check(line_sender_buffer_symbol(b, name, text, &error));
}

static void encode(line_sender_buffer *b)
{
    line_sender_table_name table = QDB_TABLE_NAME_LITERAL("raw-requests");
    line_sender_column_name hostname = QDB_COLUMN_NAME_LITERAL("hostname");
    line_sender_column_name method = QDB_COLUMN_NAME_LITERAL("method");
    line_sender_column_name process = QDB_COLUMN_NAME_LITERAL("process");
    line_sender_column_name server = QDB_COLUMN_NAME_LITERAL("server");
    line_sender_column_name status = QDB_COLUMN_NAME_LITERAL("status");
    line_sender_column_name total = QDB_COLUMN_NAME_LITERAL("request_time");
    line_sender_column_name own = QDB_COLUMN_NAME_LITERAL("application_time");
    line_sender_column_name bytes = QDB_COLUMN_NAME_LITERAL("bytes_sent");
    size_t i;

    line_sender_buffer_clear(b);
    for (i = 0; i < count; i++) {
        request_t *r = &requests[i];

        check(line_sender_buffer_table(b, table, &error));
        symbol(b, hostname, "web1");
        symbol(b, method, r->method);
        symbol(b, process, "web1:3");
        symbol(b, server, "www.example.org");
        symbol(b, status, r->status);
        check(line_sender_buffer_column_f64(b, total, r->request, &error));
        check(line_sender_buffer_column_f64(b, own, r->application, &error));
        check(line_sender_buffer_column_i64(b, bytes, r->bytes, &error));
        check(line_sender_buffer_at_nanos(b, r->end, &error));
    }
}

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
    line_sender_buffer *b = line_sender_buffer_new(
        line_sender_protocol_version_1);
    char command[16];
    int i;

    if (argc != 2)
        return 2;
    read_requests(argv[1]);
    while (fgets(command, sizeof(command), stdin) != NULL) {
        encode(b);
        if (strcmp(command, "bytes\n") == 0) {
            line_sender_buffer_view v = line_sender_buffer_peek(b);

            printf("%zu\n", v.len);
            fwrite(v.buf, 1, v.len, stdout);
        }
        else {
            double start = now_ns();

            for (i = 0; i < PASSES; i++)
                encode(b);
            printf("%.2f\n", (now_ns() - start) / PASSES / (double)count);
        }
        fflush(stdout);
    }
    return 0;
}
