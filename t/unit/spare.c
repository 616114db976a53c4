/*
 * t/unit/spare.c: memory that an outage took goes back to the system, and what
 * is needed stays.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/arena.h"
#include "shared/spare.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (4u << 20)
#define SEGMENTS 128u
#define SPAN IMX_SPARE_SPAN
#define LINE 1000 /* bytes */

static imx_arena_t arena;
static imx_batch_child_t child;
static imx_spare_t spare;
static uint32_t begun, seen; /* lines */

static int make(void **state)
{
    imx_arena_spec_t spec;
    imx_children_self_t self;
    void *memory;
    int raised;

    (void)state;
    memset(&spec, 0, sizeof spec);
    imx_batch_plan(SIZE, 4, 0, &spec.batch, &raised);
    assert_int_equal(spec.batch.segments, SEGMENTS);
    memory = mmap(NULL, imx_arena_size(&spec), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    imx_arena_format(&arena, memory, &spec);
    assert_int_equal(imx_children_join(&arena.children, &self, getpid()), 0);
    imx_batch_open(&child, &arena.batch, &self);
    imx_spare_begin(&spare, &arena.batch, 0);
    begun = seen = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    return munmap(arena.header, arena.size);
}

/* Segments of which any page takes memory. */
static unsigned there(void)
{
    const size_t size = arena.batch.geometry.segment_size;
    const size_t pages = size / (size_t)sysconf(_SC_PAGESIZE);
    unsigned char page[64];
    unsigned n = 0, i;

    assert_true(pages > 0 && pages <= sizeof page);
    for (i = 0; i < SEGMENTS; i++) {
        assert_int_equal(mincore(arena.batch.data + i * size, size, page), 0);
        n += memchr(page, 1, pages) != NULL;
    }
    return n;
}

static int append(void)
{
    char line[LINE + 1];

    snprintf(line, sizeof line, "%0*u\n", LINE - 1, begun);
    if (!imx_batch_append(&child, line, LINE)) {
        return 0;
    }
    begun++;
    return 1;
}

/* Until so many segments are not free. */
static void fill(uint32_t segments)
{
    while (imx_batch_level(&arena.batch).end < segments && append()) {
    }
    assert_int_equal(imx_batch_level(&arena.batch).end, segments);
}

static void look(int64_t now)
{
    imx_batch_level_t level = imx_batch_level(&arena.batch);

    imx_spare_look(&spare, &arena.batch, level.end, now);
}

static void look_often(int64_t now)
{
    unsigned i;

    for (i = 0; i < SEGMENTS / IMX_SPARE_AT_ONCE; i++) {
        look(now);
    }
}

/* All lines that wait, each of which is the one behind that before. */
static void deliver(void)
{
    imx_batch_claim_t claims[SEGMENTS];
    size_t n, i;

    imx_batch_seal_all(&arena.batch);
    n = imx_batch_claim(&arena.batch, claims, SEGMENTS, UINT64_MAX,
                        UINT64_MAX);
    for (i = 0; i < n; i++) {
        uint64_t fate[IMX_BATCH_FATES] = { 0 };
        uint32_t line;

        for (line = 0; line < claims[i].lines; line++) {
            unsigned number = UINT32_MAX;
            const char *text;

            assert_int_equal(imx_batch_line(&arena.batch, &claims[i], line,
                                            &text),
                             LINE);
            sscanf(text, "%u", &number);
            assert_int_equal(number, seen++);
            fate[IMX_BATCH_SENT]++;
        }
        imx_batch_settle(&arena.batch, &claims[i], fate);
    }
    assert_int_equal(seen, begun);
    assert_null(imx_batch_validate(&arena.batch));
}

static void test_after_an_outage(void **state)
{
    (void)state;
    fill(SEGMENTS);
    while (append()) {
    }
    look(1);
    deliver();
    fill(3);
    look(2);
    assert_int_equal(there(), SEGMENTS);
    look(SPAN); /* needed until now */
    assert_int_equal(there(), SEGMENTS);
    look(2 * SPAN - 1);
    assert_int_equal(there(), SEGMENTS);
    look(2 * SPAN); /* a few at once */
    assert_int_equal(there(), SEGMENTS - IMX_SPARE_AT_ONCE);
    look_often(2 * SPAN + 1);
    assert_int_equal(there(), 3);
    deliver();
    /* and the next one finds all its room */
    fill(SEGMENTS);
    assert_int_equal(there(), SEGMENTS);
    deliver();
}

static void test_what_is_needed_stays(void **state)
{
    int64_t now;

    (void)state;
    fill(40);
    look(0);
    deliver();
    for (now = 1; now < 5 * SPAN; now += SPAN / 2) {
        fill(20);
        look(now);
        deliver();
        look(now + 1);
        assert_in_range(there(), 20, 40);
    }
    assert_int_equal(there(), 20);
}

/* More is needed while it goes back: lines stay, whatever is above. */
static void test_an_outage_comes_back(void **state)
{
    (void)state;
    fill(SEGMENTS);
    look(1);
    deliver();
    look(SPAN);
    fill(SEGMENTS - 70);
    look(2 * SPAN);
    assert_int_equal(there(), SEGMENTS - IMX_SPARE_AT_ONCE);
    fill(SEGMENTS - 10);
    look(2 * SPAN + 1);
    assert_int_equal(there(), SEGMENTS - 10);
    deliver();
    look(3 * SPAN);
    look_often(4 * SPAN);
    assert_int_equal(there(), 0);
}

static void test_another_holder(void **state)
{
    (void)state;
    fill(50);
    look(1);
    deliver();
    imx_spare_begin(&spare, &arena.batch, 100 * SPAN);
    look(101 * SPAN - 1);
    assert_int_equal(there(), 50);
    look_often(101 * SPAN);
    assert_int_equal(there(), 0);
    /* the one behind it has nothing to do again */
    imx_spare_begin(&spare, &arena.batch, 200 * SPAN);
    assert_int_equal(spare.top, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_after_an_outage),
        TEST(test_what_is_needed_stays),
        TEST(test_an_outage_comes_back),
        TEST(test_another_holder),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
