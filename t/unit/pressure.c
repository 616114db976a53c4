/*
 * t/unit/pressure.c: the fields of resource-pressure, from files as the kernel
 * writes them, and from those that are not there.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* They know no httpd, but stand in a room that does. */
#include "report/output.c"
#include "report/pressure.c"

#include "base/clock.h"
#include "tree.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/imx-pressure-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return remove_tree(root);
}

/* Makes the directories, too. */
static void put(const char *name, const char *text)
{
    char path[256], *p;
    FILE *f;

    snprintf(path, sizeof path, "%s%s", root, name);
    for (p = path + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* The fields, in static memory. */
static const char *fields(void)
{
    static char line[2048];
    imx_lineproto_t lp;
    unsigned n;

    imx_lineproto_init(&lp, line, sizeof line);
    imx_lineproto_begin(&lp, IMX_LINEPROTO_TEXT("p"));
    n = imx_pressure_put(&lp, root);
    if (imx_lineproto_end(&lp, 1) != IMX_LINEPROTO_OK) {
        assert_int_equal(n, 0);
        return "";
    }
    line[imx_lineproto_length(&lp) - sizeof " 1"] = '\0';
    assert_true(n > 0);
    return line + 2;
}

static void test_nothing_is_there(void **state)
{
    (void)state;
    assert_string_equal(fields(), "");
}

static void test_cpu_some(void **state)
{
    (void)state;
    assert_true(imx_pressure_cpu_some(root) == -1);
    put("/proc/pressure/cpu", "some avg10=43.21 avg60=1.00\n");
    assert_true(imx_pressure_cpu_some(root) > 43.2
                && imx_pressure_cpu_some(root) < 43.22);
    put("/proc/pressure/cpu", "some avg10=-1\n");
    assert_true(imx_pressure_cpu_some(root) == -1);
    put("/proc/pressure/cpu", "nonsense");
    assert_true(imx_pressure_cpu_some(root) == -1);
}

static void test_machine(void **state)
{
    (void)state;
    put("/proc/pressure/cpu",
        "some avg10=12.34 avg60=1.00 avg300=0.00 total=9\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
    put("/proc/pressure/io", /* as it was before Linux 5.13, for cpu */
        "some avg10=100.00 avg60=1.00 avg300=0.00 total=9\n");
    put("/proc/loadavg", "1.05 2.00 3.00 1/234 5678\n");
    assert_string_equal(fields(),
                        "cpu_some=12.34,cpu_full=0,"
                        "io_some=100,load1=1.05");
}

static void put_cgroup(const char *dir)
{
    static const char *const files[][2] = {
        { "cgroup.procs", "1\n" },
        { "memory.current", "123456789\n" },
        { "memory.max", "536870912\n" },
        { "memory.events",
          "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n" },
        { "cpu.stat",
          "usage_usec 9\nnr_periods 5\nnr_throttled 4\n"
          "throttled_usec 1500001\n" },
        { "pids.current", "17\n" },
        { "pids.max", "max\n" }
    };
    char path[256];
    size_t i;

    for (i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i][0]);
        put(path, files[i][1]);
    }
}

#define OF_CGROUP \
    "memory_current=123456789i,memory_max=536870912i,oom_kills=2i," \
    "cpu_throttled=1.500001,pids_current=17i"

static void test_cgroup_of_a_service(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/system.slice/apache2.service\n");
    put_cgroup("/sys/fs/cgroup/system.slice/apache2.service");
    assert_string_equal(fields(), OF_CGROUP);
}

static void test_both_versions_of_cgroups(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/a\n1:cpu:/\n0::/b\n");
    put_cgroup("/sys/fs/cgroup/unified/b");
    assert_string_equal(fields(), OF_CGROUP);
}

/* The name is the host's, the mount begins at the container. */
static void test_container(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/docker/0123456789abcdef\n");
    put_cgroup("/sys/fs/cgroup");
    assert_string_equal(fields(), OF_CGROUP);
}

static void test_nonsense(void **state)
{
    (void)state;
    put("/proc/loadavg", "-1.0 x\n");
    put("/proc/pressure/cpu", "some avg10=");
    put("/proc/pressure/io", "some\nsome avg10=x\n\n\n");
    put("/proc/pressure/memory", "full avg10=99999999999999999999999.1\n");
    put("/proc/self/cgroup", "0::/");
    assert_string_equal(fields(), "");
}

/* Not a test of speed: says what one look costs here. */
static void test_cost(void **state)
{
    char line[2048];
    imx_lineproto_t lp;
    int64_t begun = imx_clock_now();
    int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        imx_lineproto_init(&lp, line, sizeof line);
        imx_lineproto_begin(&lp, IMX_LINEPROTO_TEXT("p"));
        imx_pressure_put(&lp, "");
        imx_lineproto_end(&lp, 1);
    }
    print_message("# %d ns\n", (int)((imx_clock_now() - begun) / 1000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_there),
        TEST(test_machine),
        TEST(test_cpu_some),
        TEST(test_cgroup_of_a_service),
        TEST(test_both_versions_of_cgroups),
        TEST(test_container),
        TEST(test_nonsense),
        TEST(test_cost),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
