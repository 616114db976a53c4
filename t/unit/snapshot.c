/*
 * t/unit/snapshot.c: what is shown of the shared memory, of a small one that is
 * really used, and of one that is full of nonsense.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/figures.h"
#include "shared/verdict.h"
#include "shared/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIMIT 2
#define TAGS 3

static imx_arena_t arena;
static imx_snapshot_inputs_t source = { &arena, "http://db:8086" };
static imx_snapshot_t s;
static unsigned char *area;
static size_t area_size;

static int setup(void **state)
{
    imx_arena_spec_t spec = {
        .tags = TAGS, .tag_limit = LIMIT, .key = "sixteen bytes :)"
    };
    int raised;

    (void)state;
    imx_batch_plan(1 << 20, 2, (uint32_t)sysconf(_SC_PAGESIZE), &spec.batch,
                   &raised);
    area_size = imx_arena_size(&spec);
    area = mmap(NULL, area_size, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    imx_arena_format(&arena, area, &spec);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(area, area_size);
    return 0;
}

static void of_a_batch(void **state)
{
    imx_batch_child_t child;
    imx_children_self_t self;
    imx_board_t told;
    int i;

    (void)state;
    assert_int_equal(imx_children_join(&arena.children, &self, getpid()), 0);
    imx_batch_open(&child, &arena.batch, &self);
    for (i = 0; i < 10; i++) {
        assert_true(imx_batch_append(&child, "m f=1 1\n", 8));
    }
    told = imx_board_told(&arena.board);
    told.spool_found = 100;
    strcpy(told.last_error, "no");
    imx_board_tell(&arena.board, &told);
    imx_snapshot_take(&s, &source);
    assert_int_equal(s.totals.recorded, 10);
    assert_int_equal(s.totals.pending, 10);
    assert_int_equal(imx_snapshot_recorded(&s), 110);
    assert_int_equal(imx_snapshot_spooled(&s), 100);
    assert_int_equal(imx_snapshot_dropped(&s), 0);
    assert_string_equal(s.told.last_error, "no");
    assert_string_equal(s.server, "http://db:8086");
    assert_int_equal(s.holder, 0);
    assert_true(s.buffer_size >= 1 << 20);
    assert_true(s.buffer_used > 0 && s.buffer_used < s.buffer_size);
    assert_true(s.now >= s.made && s.now - s.made < INT64_C(60000000000));
    assert_true(imx_lease_take(&arena.lease, &self));
    imx_snapshot_take(&s, &source);
    assert_int_equal(s.holder, getpid());
}

static void of_tags(void **state)
{
    static const char *const names[TAGS] = { "user", "path", "agent" };
    imx_values_t *values = &arena.values;
    unsigned i;
    uint64_t value;

    (void)state;
    for (i = 0; i < TAGS; i++) {
        assert_true(imx_values_use(values, i, names[i]));
    }
    imx_snapshot_take(&s, &source);
    assert_string_equal(s.tags_at_limit, "");
    for (value = 1; value <= LIMIT + 1; value++) {
        imx_values_admit(values, 0, value);
        imx_values_admit(values, 2, value);
    }
    imx_values_admit(values, 1, 1);
    imx_snapshot_take(&s, &source);
    assert_string_equal(s.tags_at_limit, "user agent");
    assert_int_equal(s.values.others, 2);
}

static void seconds(void **state)
{
    static const int64_t moments[] = { INT64_MIN, -1, 0, 1, INT64_MAX };
    int64_t age;
    size_t i, k;

    (void)state;
    assert_int_equal(imx_snapshot_seconds(1, 2000000001), 2);
    assert_int_equal(imx_snapshot_seconds(2000000001, 1), 0);
    for (i = 0; i < 5; i++) {
        for (k = 0; k < 5; k++) {
            age = imx_snapshot_seconds(moments[i], moments[k]);
            assert_true(age >= 0 && age <= INT64_MAX / 1000000000);
        }
    }
}

/* Every child can write all of it.  The page reads it in a request. */
static void of_nonsense(void **state)
{
    static const imx_verdict_facts_t facts = { .busiest = "" };
    static imx_verdict_t verdict;
    size_t rows, i, k;
    const imx_figures_row_t *row = imx_figures_table(&rows);
    int round;

    (void)state;
    srandom(4711);
    for (round = 0; round < 200; round++) {
        unsigned char fill = round < 2 ? (unsigned char)-round : 0;

        for (i = 0; i < area_size;
             i += i < 16384 || i + 32768 > area_size ? 1 : 61) {
            area[i] = round < 2 ? fill : (unsigned char)random();
        }
        imx_snapshot_take(&s, &source);
        assert_true(strlen(s.tags_at_limit) < sizeof s.tags_at_limit);
        assert_true(strlen(s.told.last_error) < sizeof s.told.last_error);
        imx_verdict_of(&verdict, &s, &facts);
        assert_true(strlen(verdict.words[0].what) > 0);
        for (k = 0; k < rows; k++) {
            row[k].get(&s);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(of_a_batch), TEST(of_tags),
                                        TEST(seconds), TEST(of_nonsense) };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
