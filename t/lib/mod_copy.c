/*
 * mod_copy.c: a module for t/copy.t.  Its handler does what mod_cgi does when a
 * client goes away at once: it forks, and sends SIGTERM to the copy, which has
 * not executed a program yet, but is out of fork().  As APR does, it kills the
 * copy after 3 s.  The answer is whether it had to.
 *
 * With ?copy the signal comes while the copy is within fork(), with ?child to
 * the child while that is.  The word "held" is in the answer, or in the error
 * log, when it waits there.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *within = ""; /* who gets the signal within fork() */
static int ready[2];

/* Does it wait when it comes? */
static int is_held(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1;
}

/* mod_influx_metrics registers its own later: of these the first runs after its
 * own, the other two before. */
static void before_fork(void)
{
    if (strcmp(within, "child") == 0) {
        kill(getpid(), SIGTERM);
    }
}

static void in_child(void)
{
    if (strcmp(within, "child") == 0 && is_held()) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, ap_server_conf, "held");
    }
}

static void in_copy(void)
{
    if (strcmp(within, "copy") == 0) {
        kill(getpid(), SIGTERM);
        if (is_held() && write(ready[1], "h", 1) != 1) {
            _exit(1);
        }
    }
}

static int answer(request_rec *r)
{
    int i;
    char byte = 'x';
    pid_t pid;

    if (r->handler == NULL || strcmp(r->handler, "copy") != 0) {
        return DECLINED;
    }
    if (pipe(ready) != 0) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    within = r->args != NULL ? r->args : "";
    pid = fork();
    if (pid == 0) {
        if (strcmp(within, "child") == 0) {
            _exit(0);
        }
        while (write(ready[1], &byte, 1) == 1) {
            pause();
        }
    }
    close(ready[1]);
    if (pid < 0
        || read(ready[0], &byte, 1) != (strcmp(within, "child") != 0)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (within[0] == '\0' && kill(pid, SIGTERM) != 0) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    for (i = 0; i < 3000 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
        usleep(1000);
    }
    if (i == 3000) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    close(ready[0]);
    ap_rputs(byte == 'h' ? "held\n" : "", r);
    ap_rputs(i < 3000 ? "ended\n" : "killed\n", r);
    return OK;
}

static void start_child(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
    pthread_atfork(before_fork, in_child, in_copy);
}

static void register_hooks(apr_pool_t *p)
{
    static const char *const later[] = { "mod_influx_metrics.c", NULL };

    (void)p;
    ap_hook_child_init(start_child, NULL, later, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(answer, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA copy_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0
};
