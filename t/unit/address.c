/*
 * address.c (unit) owns the tests of address.c, with a name server of its own.
 * The test's thread, and those of the questions.
 * Nothing survives a crash, and nothing needs to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <netdb.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "base/clock.h"
#include "deliver/address.h"

static _Atomic(const char *) answer; /* NULL: no such name */
static _Atomic int questions, gate = 1;
static time_t ahead;

__attribute__((visibility("default"))) int getaddrinfo(
    const char *node, const char *service, const struct addrinfo *hints,
    struct addrinfo **res)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);

    (void)node;
    while (!gate) {
        usleep(1000);
    }
    questions++;
    if (!answer) {
        return EAI_NONAME;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(answer, service, hints, res);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock,
                                                         struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *);
    int rv;

    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    rv = real(clock, t);
    t->tv_sec += ahead;
    return rv;
}

static imx_address_answer_e settle(imx_address_t *a)
{
    imx_address_answer_e e;
    int64_t end = imx_clock_now() + 5000 * IMX_CLOCK_MS;

    while ((e = imx_address_poll(a)) == IMX_ADDRESS_BUSY) {
        assert_true(imx_clock_now() < end);
        imx_clock_pause(1);
    }
    return e;
}

/* Until a question that is under way was answered and taken. */
static void settle_quietly(imx_address_t *a)
{
    int64_t end = imx_clock_now() + 5000 * IMX_CLOCK_MS;

    while (imx_address_fd(a) >= 0) {
        assert_true(imx_clock_now() < end);
        assert_int_equal(imx_address_poll(a), IMX_ADDRESS_KNOWN);
    }
}

static void test_literal(void **state)
{
    static const char *const urls[] = { "http://127.0.0.1:8086",
                                        "https://[::1]:1", "", "nonsense://" };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        imx_address_t *a = imx_address_open(urls[i]);

        assert_int_equal(imx_address_poll(a), IMX_ADDRESS_KNOWN);
        assert_null(imx_address_list(a));
        imx_address_close(a);
    }
    assert_int_equal(questions, 0);
}

static void test_localhost(void **state)
{
    imx_address_t *a = imx_address_open("http://localhost:8086");

    (void)state;
    assert_int_equal(imx_address_poll(a), IMX_ADDRESS_KNOWN);
    assert_string_equal(imx_address_list(a)->data,
                        "localhost:8086:127.0.0.1,[::1]");
    imx_address_close(a);
    assert_int_equal(questions, 0);
}

static void test_name(void **state)
{
    imx_address_t *a = imx_address_open("https://db.example");

    (void)state;
    answer = NULL;
    assert_int_equal(settle(a), IMX_ADDRESS_FAILED);
    answer = "127.0.0.2";
    assert_int_equal(settle(a), IMX_ADDRESS_KNOWN);
    assert_string_equal(imx_address_list(a)->data, "db.example:443:127.0.0.2");
    questions = 0;
    assert_int_equal(settle(a), IMX_ADDRESS_KNOWN);
    assert_int_equal(questions, 0);

    /* after a minute again, and until then the old one serves */
    answer = "::1";
    gate = 0;
    ahead += 61;
    assert_int_equal(imx_address_poll(a), IMX_ADDRESS_KNOWN);
    assert_string_equal(imx_address_list(a)->data, "db.example:443:127.0.0.2");
    gate = 1;
    settle_quietly(a);
    assert_string_equal(imx_address_list(a)->data, "db.example:443:[::1]");

    /* nobody was there: it is asked again, and waited for */
    answer = "127.0.0.3";
    imx_address_forget(a);
    gate = 0;
    assert_int_equal(imx_address_poll(a), IMX_ADDRESS_BUSY);
    gate = 1;
    assert_int_equal(settle(a), IMX_ADDRESS_KNOWN);
    assert_string_equal(imx_address_list(a)->data, "db.example:443:127.0.0.3");

    /* a name server that fails takes nothing away */
    answer = NULL;
    imx_address_forget(a);
    assert_int_equal(settle(a), IMX_ADDRESS_KNOWN);
    assert_string_equal(imx_address_list(a)->data, "db.example:443:127.0.0.3");
    imx_address_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal),
        cmocka_unit_test(test_localhost),
        cmocka_unit_test(test_name),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
