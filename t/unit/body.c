/*
 * body.c (unit) owns the tests of body.c: the bytes of a POST, as libcurl reads
 * them.
 * One thread.
 * Nothing survives a crash, and nothing needs to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "deliver/body.h"

enum { LINES = 40, ROOM = 8192 };

static imx_influx_line_t lines[LINES];
static char text[ROOM], got[ROOM], packed[ROOM];
static size_t text_len;
static imx_body_t body;

/* Lines of all lengths; the first one is an LF alone. */
static int setup(void **state)
{
    (void)state;
    memset(&body, 0, sizeof(body));
    text_len = 0;
    for (int i = 0; i < LINES; i++) {
        lines[i].data = text + text_len;
        lines[i].len = (uint32_t)(1 + 7 * i % 31);
        memset(text + text_len, 'a' + i % 26, lines[i].len);
        text_len += lines[i].len;
        text[text_len - 1] = '\n';
    }
    return imx_body_open_gzip(&body);
}

static int teardown(void **state)
{
    (void)state;
    imx_body_close(&body);
    imx_body_close(&body); /* once more is nothing */
    return 0;
}

/* All that can be read now, in pieces of `room` bytes. */
static size_t read_all(char *to, size_t room)
{
    size_t n, len = 0;

    while ((n = imx_body_read(to + len, 1, room, &body)) != 0
           && n != CURL_READFUNC_PAUSE) {
        assert_true(n <= room);
        len += n;
        assert_true(len + room <= ROOM);
    }
    assert_int_equal(body.waits, n == CURL_READFUNC_PAUSE);
    return len;
}

static void test_plain(void **state)
{
    (void)state;
    imx_body_set(&body, lines, LINES, 0);
    assert_int_equal(imx_body_bytes(&body), text_len);
    for (size_t room = 1; room < 100; room++) {
        assert_int_equal(imx_body_is_out(&body), 0);
        assert_int_equal(read_all(got, room), text_len);
        assert_memory_equal(got, text, text_len);
        assert_int_equal(imx_body_is_out(&body), 1);
        imx_body_rewind(&body);
    }
}

static void inflate_to(char *to, size_t size, const char *from, size_t len)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)from,
                   .avail_in = (uInt)len,
                   .next_out = (Bytef *)to,
                   .avail_out = (uInt)size };

    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, text_len);
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);
}

/* The same lines make the same bytes, however they are read. */
static void test_packed(void **state)
{
    size_t len;

    (void)state;
    imx_body_set(&body, lines, LINES, 1);
    assert_int_equal(imx_body_bytes(&body), -1);
    len = read_all(packed, 4000);
    assert_true(len > 0 && len < text_len);
    inflate_to(got, sizeof(got), packed, len);
    assert_memory_equal(got, text, text_len);
    for (size_t room = 1; room < 100; room += 7) {
        imx_body_rewind(&body);
        assert_int_equal(imx_body_is_out(&body), 0);
        assert_int_equal(read_all(got, room), len);
        assert_memory_equal(got, packed, len);
        assert_int_equal(imx_body_is_out(&body), 1);
    }
}

/* What may not go out yet makes libcurl wait, and is not lost. */
static void test_pieces(void **state)
{
    size_t len = 0;

    (void)state;
    imx_body_set(&body, lines, LINES, 0);
    for (size_t may = 0; may < text_len; may += 13) {
        imx_body_allow(&body, may, 0);
        len += read_all(got + len, 50);
        assert_int_equal(len, may);
        assert_int_equal(body.waits, 1);
        assert_int_equal(imx_body_is_out(&body), 0);
    }
    imx_body_allow(&body, UINT64_MAX, 0);
    len += read_all(got + len, 50);
    assert_int_equal(len, text_len);
    assert_memory_equal(got, text, text_len);
    assert_int_equal(body.waits, 0);
}

/* Packed lines go out whole: the first one that is beyond still goes. */
static void test_packed_pieces(void **state)
{
    size_t len = 0;
    uint64_t taken = 0;

    (void)state;
    imx_body_set(&body, lines, LINES, 1);
    for (size_t may = 0; may < text_len; may += 13) {
        imx_body_allow(&body, may, 0);
        len += read_all(packed + len, 50);
        assert_true(body.taken >= may && body.taken >= taken);
        assert_true(body.taken < may + 31);
        taken = body.taken;
    }
    imx_body_allow(&body, UINT64_MAX, 0);
    len += read_all(packed + len, 50);
    inflate_to(got, sizeof(got), packed, len);
    assert_memory_equal(got, text, text_len);
}

/* On a busy machine libcurl may come so late that no read begins in time: each
 * takes a line all the same, and so the body is out at last. */
static void test_time_is_over(void **state)
{
    size_t len = 0, n, reads;

    (void)state;
    imx_body_set(&body, lines, LINES, 1);
    for (reads = 0; reads < 2 * LINES && !imx_body_is_out(&body); reads++) {
        uint64_t before = body.taken;
        size_t at = body.at;

        imx_body_allow(&body, UINT64_MAX, imx_clock_now() - 1);
        n = imx_body_read(packed + len, 1, ROOM - len, &body);
        len += n == CURL_READFUNC_PAUSE ? 0 : n;
        assert_true(body.at == at || body.taken == before + lines[at].len);
        assert_true(body.at == at + 1 || body.at == LINES);
    }
    assert_int_equal(imx_body_is_out(&body), 1);
    inflate_to(got, sizeof(got), packed, len);
    assert_memory_equal(got, text, text_len);
}

/* ... and none that was not allowed. */
static void test_late_and_not_allowed(void **state)
{
    (void)state;
    imx_body_set(&body, lines, LINES, 1);
    imx_body_allow(&body, UINT64_MAX, imx_clock_now() - 1);
    imx_body_read(packed, 1, ROOM, &body);
    assert_int_equal(body.at, 1);
    imx_body_allow(&body, lines[0].len, 0);
    assert_int_equal(imx_body_read(packed, 1, ROOM, &body),
                     CURL_READFUNC_PAUSE);
    assert_int_equal(body.at, 1);
    assert_int_equal(body.waits, 1);
}

/* Without compression there is no work that takes time. */
static void test_plain_has_no_time(void **state)
{
    (void)state;
    imx_body_set(&body, lines, LINES, 0);
    imx_body_allow(&body, UINT64_MAX, imx_clock_now() - 1);
    assert_int_equal(read_all(got, 50), text_len);
}

/* A body that was broken off leaves nothing in the next one. */
static void test_another_body(void **state)
{
    size_t len;

    (void)state;
    imx_body_set(&body, lines, LINES, 1);
    assert_int_equal(imx_body_read(packed, 1, 1, &body), 1);
    assert_true(body.z.avail_in > 0);
    imx_body_set(&body, lines, LINES, 1);
    len = read_all(packed, 4000);
    inflate_to(got, sizeof(got), packed, len);
    assert_memory_equal(got, text, text_len);
    imx_body_set(&body, lines + 1, 1, 0);
    assert_int_equal(imx_body_bytes(&body), lines[1].len);
    assert_int_equal(read_all(got, 4000), lines[1].len);
    assert_memory_equal(got, lines[1].data, lines[1].len);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain),
        TEST(test_packed),
        TEST(test_pieces),
        TEST(test_packed_pieces),
        TEST(test_time_is_over),
        TEST(test_late_and_not_allowed),
        TEST(test_plain_has_no_time),
        TEST(test_another_body),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
