/*
 * t/unit/figures.c: the table of figures: names, and that the account adds up
 * whatever the snapshot is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/version.h"
#include "shared/figures.h"

#include <ctype.h>
#include <string.h>

static const imx_figures_row_t *row_of(const char *name)
{
    const imx_figures_row_t *row = imx_figures_find(name);

    assert_string_equal(row->name, name);
    return row;
}

static imx_figures_value_t get(const imx_snapshot_t *s, const char *name)
{
    return row_of(name)->get(s);
}

static uint64_t number(const imx_snapshot_t *s, const char *name)
{
    return (uint64_t)get(s, name).number;
}

/* Names are for JSON, for lines of text and, later, for OpenMetrics. */
static void rows(void **state)
{
    static imx_snapshot_t s;
    size_t rows, i;
    const imx_figures_row_t *row = imx_figures_table(&rows);

    (void)state;
    s.server = "";
    for (i = 0; i < rows; i++) {
        assert_ptr_equal(row_of(row[i].name), &row[i]); /* there once */
        assert_int_equal(strspn(row[i].name, "abcdefghijklmnopqrstuvwxyz_"),
                         strlen(row[i].name));
        assert_true(row[i].subject < IMX_FIGURES_SUBJECTS);
        assert_true(isupper(imx_figures_subject(row[i].subject)[0]));
        assert_int_equal(row[i].get(&s).text != NULL,
                         row[i].kind == IMX_FIGURES_TEXT);
    }
}

static void account(void **state)
{
    static imx_snapshot_t s;
    uint64_t *fate = s.totals.fate;

    (void)state;
    fate[IMX_BATCH_SENT] = 1000000;
    fate[IMX_BATCH_REJECTED] = 200000;
    fate[IMX_BATCH_DROPPED] = 30000;
    fate[IMX_BATCH_SPOOLED] = 4000;
    fate[IMX_BATCH_TORN] = 500;
    s.totals.no_room = 60;
    s.totals.pending = 7;
    s.totals.recorded = 1234567;
    s.told.spool_found = 100;
    s.told.spool_delivered = 2000;
    s.told.spool_rejected = 300;
    s.told.spool_dropped = 50;
    assert_int_equal(number(&s, "points_recorded"), 1234667);
    assert_int_equal(number(&s, "points_sent"), 1002000);
    assert_int_equal(number(&s, "points_rejected"), 200300);
    assert_int_equal(number(&s, "points_dropped"), 30610);
    assert_int_equal(number(&s, "points_pending"), 7);
    assert_int_equal(number(&s, "points_spooled"), 1750);
    assert_int_equal(number(&s, "points_recorded"),
                     number(&s, "points_sent") + number(&s, "points_rejected")
                         + number(&s, "points_dropped")
                         + number(&s, "points_pending")
                         + number(&s, "points_spooled"));
    assert_int_equal(number(&s, "points_dropped"),
                     number(&s, "dropped_no_room")
                         + number(&s, "dropped_oldest")
                         + number(&s, "dropped_torn")
                         + number(&s, "dropped_spool"));
}

static void others(void **state)
{
    static imx_snapshot_t s;

    (void)state;
    s.server = "http://db:8086";
    s.now = 1764165747123456789;
    s.made = s.now - 61 * 1000000000LL;
    s.told.last_flush = s.now;
    s.holder = 4711;
    s.told.last_status = 204;
    assert_string_equal(get(&s, "server").text, "http://db:8086");
    assert_string_equal(get(&s, "version").text, IMX_VERSION);
    assert_string_equal(get(&s, "state").text, "ok");
    assert_int_equal(number(&s, "last_flush"), 1764165747);
    assert_int_equal(number(&s, "uptime"), 61);
    assert_int_equal(number(&s, "outage"), 0);
    assert_int_equal(number(&s, "lease_holder"), 4711);
    s.tick = 10 * 1000000000LL;
    s.told.down_since = 1;
    assert_int_equal(number(&s, "outage"), 9);
    assert_int_equal(number(&s, "holder_silent"), 0);
    s.beaten = s.tick - 3 * 1000000000LL;
    assert_int_equal(number(&s, "holder_silent"), 3);
    s.told.repeated = 17;
    assert_int_equal(number(&s, "points_repeated"), 17);
    s.told.spool_hangs = s.tick - 4 * 1000000000LL;
    assert_int_equal(number(&s, "spool_hangs"), 4);
    s.made = s.now + 1; /* the clock was set back */
    assert_int_equal(number(&s, "uptime"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(account),
        cmocka_unit_test(others),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}
