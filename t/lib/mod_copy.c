/*
 * mod_copy.c: a module for t/copy.t.  Its handler does what mod_cgi does when a
 * client goes away at once: it forks, and sends SIGTERM to the copy, which has
 * not executed a program yet, but is out of fork().  As APR does, it kills the
 * copy after 3 s.  The answer is whether it had to.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int answer(request_rec *r)
{
    int ready[2], i;
    char byte = 'x';
    pid_t pid;

    if (r->handler == NULL || strcmp(r->handler, "copy") != 0) {
        return DECLINED;
    }
    if (pipe(ready) != 0) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    pid = fork();
    if (pid == 0) {
        while (write(ready[1], &byte, 1) == 1) {
            pause();
        }
    }
    if (pid < 0 || read(ready[0], &byte, 1) != 1 || kill(pid, SIGTERM) != 0) {
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
    close(ready[1]);
    ap_rputs(i < 3000 ? "ended\n" : "killed\n", r);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(answer, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA copy_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0
};
