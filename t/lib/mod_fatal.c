/*
 * mod_fatal.c: a module for t/fatal-child.t.  When the file "fatal" is in
 * ServerRoot, a child ends in the way in which httpd ends one that says that
 * the whole server must end, while its other threads hang.
 */
#include "httpd.h"
#include "http_config.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int hanging;

static void hang(int signal)
{
    (void)signal;
    __atomic_store_n(&hanging, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        pause();
    }
}

/* httpd leaves SIGTRAP open in all threads. */
static void hang_others(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *e;

    signal(SIGTRAP, hang);
    while (tasks != NULL && (e = readdir(tasks)) != NULL) {
        if (atoi(e->d_name) > 0 && atoi(e->d_name) != getpid()) {
            syscall(SYS_tgkill, getpid(), atoi(e->d_name), SIGTRAP);
        }
    }
    while (!__atomic_load_n(&hanging, __ATOMIC_SEQ_CST)) {
        usleep(1000);
    }
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)s;
    if (access(ap_server_root_relative(pchild, "fatal"), F_OK) == 0) {
        hang_others();
        apr_pool_destroy(pchild);
        exit(APEXIT_CHILDFATAL);
    }
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_REALLY_LAST);
}

module AP_MODULE_DECLARE_DATA fatal_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0
};
