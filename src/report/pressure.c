/*
 * pressure.c owns the reading of what the machine and the cgroup are short of.
 * Entered by the holder's monitor thread.
 * Nothing is kept, so nothing has to survive.
 *
 * The files are the kernel's, and none of them waits.  There are none in
 * ChrootDir, on an old kernel, or where the cgroup has no such controller.
 */
#include "report/pressure.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/proc.h"

#define PATH_MAX_LEN 512
#define TEXT_MAX \
    4096 /* of cgroup files: memory.events and cpu.stat are short */

typedef enum { NUMBER = 0, RATIO, MICROSECONDS } kind_e;

/* key: what stands before the value, at the begin of a line. */
typedef struct {
    const char *field, *file, *key;
    kind_e kind;
} source_t;

/* Rows of the same file stand together: it is read once. */
static const source_t of_machine[] = {
    { "cpu_some", "/proc/pressure/cpu", "some avg10=", RATIO },
    { "cpu_full", "/proc/pressure/cpu", "full avg10=", RATIO },
    { "io_some", "/proc/pressure/io", "some avg10=", RATIO },
    { "io_full", "/proc/pressure/io", "full avg10=", RATIO },
    { "memory_some", "/proc/pressure/memory", "some avg10=", RATIO },
    { "memory_full", "/proc/pressure/memory", "full avg10=", RATIO },
    { "load1", "/proc/loadavg", "", RATIO }
};

static const source_t of_cgroup[] = {
    { "memory_current", "/memory.current", "", NUMBER },
    { "memory_max", "/memory.max", "", NUMBER },
    { "oom_kills", "/memory.events", "oom_kill ", NUMBER },
    { "cpu_throttled", "/cpu.stat", "throttled_usec ", MICROSECONDS },
    { "pids_current", "/pids.current", "", NUMBER },
    { "pids_max", "/pids.max", "", NUMBER }
};

/* ---- one value ---- */

/* What stands behind the key at the begin of a line, or NULL. */
static const char *find(const char *text, const char *key)
{
    while (text != NULL && strncmp(text, key, strlen(key)) != 0) {
        text = strchr(text, '\n');
        text = text != NULL ? text + 1 : NULL;
    }
    return text != NULL ? text + strlen(key) : NULL;
}

/* strtod() goes by the locale: "1.25" is parsed in two halves.  Returns 0, or
 * -1 when there is no number. */
static int parse(const char *text, double *value)
{
    char *end;
    double unit = 1;

    errno = 0;
    *value = (double)strtoull(text, &end, 10);
    if (end == text || errno != 0 || *text == '-') {
        return -1;
    }
    if (*end == '.') {
        while (*++end >= '0' && *end <= '9') {
            unit /= 10;
            *value += unit * (*end - '0');
        }
    }
    return 0;
}

/* Two decimals is what the kernel gives. */
static double rounded(double v)
{
    return (double)(int64_t)(v * 100 + 0.5) / 100;
}

static int put_value(imx_lineproto_t *lp, const source_t *s, const char *text)
{
    size_t length = strlen(s->field);
    double value;

    if (text == NULL || parse(text, &value) != 0) {
        return 0;
    }
    switch (s->kind) {
    case NUMBER:
        imx_lineproto_field_int(lp, s->field, length, (int64_t)value);
        break;
    case RATIO:
        imx_lineproto_field_float(lp, s->field, length, rounded(value));
        break;
    case MICROSECONDS:
        imx_lineproto_field_seconds(lp, s->field, length,
                                    (int64_t)value * 1000);
        break;
    }
    return 1;
}

/* ---- files ---- */

static unsigned put_all(imx_lineproto_t *lp, const char *root,
                        const source_t *sources, size_t count)
{
    char path[2 * PATH_MAX_LEN], text[TEXT_MAX];
    unsigned fields = 0;
    size_t i;
    int n = -1;

    for (i = 0; i < count; i++) {
        const source_t *s = &sources[i];

        if (i == 0 || strcmp(s->file, sources[i - 1].file) != 0) {
            snprintf(path, sizeof path, "%s%s", root, s->file);
            n = imx_proc_read(path, text, sizeof text);
        }
        if (n > 0) {
            fields += (unsigned)put_value(lp, s, find(text, s->key));
        }
    }
    return fields;
}

static int is_cgroup(const char *dir)
{
    char path[2 * PATH_MAX_LEN], text[8];

    snprintf(path, sizeof path, "%s/cgroup.procs", dir);
    return imx_proc_read(path, text, sizeof text) >= 0;
}

/*
 * Finds the directory of the cgroup (version 2) of this process.  In a
 * container it is named as the host sees it, but what is mounted there may
 * begin with it.
 */
static int find_cgroup(const char *root, char dir[PATH_MAX_LEN])
{
    static const char *const mounts[] = { "/sys/fs/cgroup",
                                          "/sys/fs/cgroup/unified" };
    char path[PATH_MAX_LEN], text[TEXT_MAX];
    const char *name;
    size_t i;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (imx_proc_read(path, text, sizeof text) <= 0
        || (name = find(text, "0::")) == NULL) {
        return 0;
    }
    for (i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        int length = snprintf(dir, PATH_MAX_LEN, "%s%s%.*s", root, mounts[i],
                              (int)strcspn(name, "\n"), name);

        if (length < PATH_MAX_LEN && is_cgroup(dir)) {
            return 1;
        }
    }
    snprintf(dir, PATH_MAX_LEN, "%s%s", root, mounts[0]);
    return is_cgroup(dir);
}

unsigned imx_pressure_put(imx_lineproto_t *lp, const char *root)
{
    char dir[PATH_MAX_LEN];
    unsigned fields = put_all(lp, root, of_machine,
                              sizeof of_machine / sizeof *of_machine);

    if (find_cgroup(root, dir)) {
        fields += put_all(lp, dir, of_cgroup,
                          sizeof of_cgroup / sizeof *of_cgroup);
    }
    return fields;
}

double imx_pressure_cpu_some(const char *root)
{
    const source_t *s = &of_machine[0];
    char path[2 * PATH_MAX_LEN], text[TEXT_MAX];
    const char *at;
    double percent;

    snprintf(path, sizeof path, "%s%s", root, s->file);
    if (imx_proc_read(path, text, sizeof text) <= 0
        || (at = find(text, s->key)) == NULL || parse(at, &percent) != 0) {
        return -1;
    }
    return percent;
}

/* Where none of it is known there is no line. */
static int write_pressure(imx_output_t *out,
                          const imx_interval_closed_t *closed)
{
    imx_output_begin(out, "resource-pressure");
    imx_pressure_put(&out->lp, "");
    return imx_output_end(out, closed->time);
}

const imx_measurement_t imx_pressure = { IMX_MEASURED_PRESSURE, NULL,
                                         write_pressure };
