/*
 * mod_neighbour.c: a module for tests.  The parent forks a process that
 * becomes another user, as mod_wsgi does for a daemon with user=: so it has the
 * arena, and the parent's memory, and no rights of the server's user.
 *
 * If there is a file "wanted", it writes down what it can reach
 * (neighbour.report in ServerRoot).  While there is a file "scribble", it
 * writes random words everywhere in the arena.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "ap_listen.h"
#include "mpm_common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOBODY 65534
#define SMALL (16 * 1024)
#define SOME (2 * 1024 * 1024)
#define MOST (8 * 1024 * 1024) /* of a part: the lines have gigabytes */
#define HUGE_SIZE (1UL << 28)  /* a sanitizer's own memory is larger */

static const char *root;
static FILE *report;

/* ---- what can it reach? ---- */

/* The text, each byte of which is one more than that of what is looked for, so
 * that this is not found itself. */
static char wanted[128];

static int holds_wanted(const unsigned char *p, size_t size)
{
    size_t len = strlen(wanted), i, at;

    for (i = 0; i + len <= size; i++) {
        for (at = 0; at < len; at++) {
            if (p[i + at] != (unsigned char)(wanted[at] - 1)) {
                break;
            }
        }
        if (at == len) {
            return 1;
        }
    }
    return 0;
}

static char *arena;
static size_t arena_size;

/* The largest mapping that is shared: its header may be nonsense already. */
static void find_arena(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long begin, end;
    char line[512], rights[8];

    if (maps == NULL) {
        return;
    }
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, rights) == 3
            && strcmp(rights, "rw-s") == 0 && end - begin > arena_size) {
            arena = (char *)begin;
            arena_size = end - begin;
        }
    }
    fclose(maps);
}

/* All its memory is searched, but of the arena only the beginning: most of it
 * is not there, and would be by being read. */
static void look_at_memory(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long begin, end, all = 0;
    char line[512], rights[8];
    int found = 0;

    if (maps == NULL) {
        return;
    }
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, rights) != 3
            || rights[0] != 'r' || strstr(line, "[v") != NULL) {
            continue;
        }
        if ((char *)begin == arena && arena_size > 16 * SOME) {
            end = begin + 16 * SOME;
        }
        if (end - begin > HUGE_SIZE) {
            continue;
        }
        found += holds_wanted((const unsigned char *)begin, end - begin);
        all += end - begin;
    }
    fclose(maps);
    fprintf(report, "memory %lu\nsecret %d\narena %lu\nmagic %d\n", all / 1024,
            found, (unsigned long)arena_size,
            memcmp(arena, "imxarena", 8) == 0);
}

static void try_to_open(const char *name, const char *path, int flags)
{
    int fd = open(path, flags);

    fprintf(report, "%s %s\n", name, fd >= 0 ? "open" : strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
}

static void look_around(pid_t parent)
{
    char path[1024];

    fprintf(report, "user %ld\n", (long)geteuid());
    look_at_memory();
    snprintf(path, sizeof path, "%s/token", root);
    try_to_open("token", path, O_RDONLY);
    snprintf(path, sizeof path, "%s/spool", root);
    try_to_open("spool", path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/%ld/mem", (long)parent);
    try_to_open("parent", path, O_RDWR);
    fprintf(report, "done 1\n");
    fflush(report);
}

/* ---- random words ---- */

static uint64_t seed;

static uint64_t random64(void)
{
    uint64_t x = seed += 0x9E3779B97F4A7C15u;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static size_t below(size_t n)
{
    return (size_t)(random64() >> 16) % n;
}

typedef struct {
    size_t at, words;
} part_t;

static part_t parts[17]; /* and the header */
static size_t part_count;

/* By the directory in the header, before anything is written there. */
static void find_parts(void)
{
    const char *entry = arena + 32;
    uint64_t at, size;
    size_t i;

    parts[part_count++] = (part_t){ 0, SMALL / 8 };
    for (i = 0; i < 16; i++, entry += 40) {
        memcpy(&at, entry + 24, sizeof at);
        memcpy(&size, entry + 32, sizeof size);
        if (size >= 8 && at < arena_size && size <= arena_size - at) {
            parts[part_count++] = (part_t){ at,
                                            (size < MOST ? size : MOST) / 8 };
        }
    }
}

static uint64_t bad_word(uint64_t now)
{
    switch (below(5)) {
    case 0:
        return random64();
    case 1:
        return now ^ (uint64_t)1 << below(64);
    case 2:
        return (uint64_t)getpid() << 32 | below(3);
    case 3:
        return random64() & random64() & random64();
    default:
        return below(2) ? UINT64_MAX : (uint64_t)1 << 63;
    }
}

/* Each part has as many of them as any other, and its beginning the most. */
static void scribble(void)
{
    int i;

    for (i = 0; i < 64; i++) {
        const part_t *p = &parts[below(part_count)];
        size_t most = below(2) && p->words > SMALL / 8 ? SMALL / 8 : p->words;
        uint64_t *word = (uint64_t *)(void *)(arena + p->at) + below(most);

        __atomic_store_n(word, bad_word(__atomic_load_n(word, 0)), 0);
    }
}

__attribute__((noreturn)) static void live(void)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/scribble", root);
    for (;;) {
        if (access(path, F_OK) == 0) {
            scribble();
            usleep(100);
        }
        else {
            usleep(10000);
        }
    }
}

/* ---- its life ---- */

static apr_status_t end(void *data)
{
    kill(*(pid_t *)data, SIGKILL);
    return APR_SUCCESS;
}

static void become_neighbour(pid_t parent)
{
    char path[1024];
    FILE *f;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof path, "%s/wanted", root);
    f = fopen(path, "r");
    if (f != NULL && fgets(wanted, sizeof wanted, f) == NULL) {
        _exit(2);
    }
    snprintf(path, sizeof path, "%s/neighbour.report", root);
    report = fopen(path, "w");
    if (report == NULL || setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        _exit(3);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* again: setuid() has cleared it */
    signal(SIGTERM, SIG_DFL);
    seed = (uint64_t)getpid();
    find_arena();
    if (arena == NULL) {
        _exit(4);
    }
    find_parts();
    snprintf(path, sizeof path, "%s/scribble", root);
    if (f != NULL && access(path, F_OK) != 0) {
        look_around(parent);
    }
    live();
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                       server_rec *s)
{
    static pid_t pid;
    pid_t parent = getpid();

    (void)plog;
    (void)ptemp;
    (void)s;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    root = ap_server_root_relative(pconf, "");
    pid = fork();
    if (pid == 0) {
        ap_close_listeners();
        become_neighbour(parent);
    }
    apr_pool_cleanup_register(pconf, &pid, end, apr_pool_cleanup_null);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_REALLY_LAST);
}

module AP_MODULE_DECLARE_DATA neighbour_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0
};
