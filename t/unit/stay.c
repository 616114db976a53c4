/*
 * stay.c (unit) owns the tests of stay.c: code that a thread may still be in is
 * not unloaded.
 * One thread.
 * Nothing survives a crash, and nothing needs to.
 */
#define _GNU_SOURCE /* dlinfo */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <link.h>

#include "base/stay.h"

/* Small libraries of glibc; one that nothing here uses is taken. */
static const char *const libraries[] = { "libBrokenLocale.so.1", "libanl.so.1",
                                         "libutil.so.1", "libresolv.so.2" };

static int is_loaded(const char *name)
{
    void *handle = dlopen(name, RTLD_NOW | RTLD_NOLOAD);

    if (handle != NULL) {
        dlclose(handle);
    }
    return handle != NULL;
}

static const char *unused(void)
{
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        void *handle = is_loaded(libraries[i])
                           ? NULL
                           : dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);

        if (handle != NULL) {
            dlclose(handle);
            if (!is_loaded(libraries[i])) {
                return libraries[i];
            }
        }
    }
    return NULL;
}

static void test_stays(void **state)
{
    const char *name = unused();
    struct link_map *map = NULL;
    void *handle;

    (void)state;
    if (name == NULL) {
        skip();
    }
    handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
    imx_stay_loaded(map->l_ld);
    assert_int_equal(dlclose(handle), 0);
    assert_int_equal(is_loaded(name), 1);
}

/* An address of no library is no harm. */
static void test_no_library(void **state)
{
    int here = 0;

    (void)state;
    imx_stay_loaded(&here);
    imx_stay_loaded(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays),
        cmocka_unit_test(test_no_library),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("stay", tests, NULL, NULL);
}
