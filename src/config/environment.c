/*
 * environment.c owns the secrets that stood in the environment of httpd's
 * parent.
 * Entered by the parent's only thread while it reads the configuration.
 * They outlive graceful restarts, in the memory of the parent.
 *
 * A variable is taken out at the first reading, so that no program that httpd
 * executes has it: environ loses it, and the bytes themselves, which the kernel
 * shows as /proc/PID/environ, become zeros.  At the next reading it is gone
 * from there; the module may have been unloaded meanwhile.  So the value is
 * kept where httpd keeps data over restarts.  The children need it, and have
 * it by the fork.
 */
#include "config/environment.h"

#include "apr_strings.h"
#include "httpd.h"
#include "http_config.h"

#include "deliver/secret.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_MAX 4096 /* bytes, as in a file */

typedef struct {
    char value[VALUE_MAX + 1];
    char secret[VALUE_MAX + 1]; /* what was cut out of it last */
} kept_t;

static const char *key_of(const char *name, char *key, apr_size_t size)
{
    apr_snprintf(key, size, "mod_influx_metrics: environment: %s", name);
    return key;
}

static kept_t *kept_of(const char *name)
{
    char key[IMX_ENVIRONMENT_NAME_MAX + 64];

    return ap_retained_data_get(key_of(name, key, sizeof key));
}

int imx_environment_is_name(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "abcdefghijklmnopqrstuvwxyz_0123456789";
    apr_size_t n = strlen(name);

    return n > 0 && n <= IMX_ENVIRONMENT_NAME_MAX && strspn(name, letters) == n
           && strchr("0123456789", *name) == NULL;
}

/* Its bytes, wherever it stands: somebody may have given it twice. */
static void wipe(const char *name)
{
    apr_size_t n = strlen(name);
    char **variable;

    for (variable = environ; *variable != NULL; variable++) {
        if (strncmp(*variable, name, n) == 0 && (*variable)[n] == '=') {
            explicit_bzero(*variable + n + 1, strlen(*variable + n + 1));
        }
    }
}

void imx_environment_take(const char *name)
{
    char key[IMX_ENVIRONMENT_NAME_MAX + 64];
    const char *value = getenv(name);
    kept_t *k = kept_of(name);

    if (value == NULL) {
        return;
    }
    if (k == NULL) {
        k = ap_retained_data_create(key_of(name, key, sizeof key), sizeof *k);
    }
    apr_cpystrn(k->value, value, sizeof k->value);
    wipe(name);
    unsetenv(name);
}

const char *imx_environment_secret(const char *name, int is_token,
                                   const char **wrong)
{
    kept_t *k = kept_of(name);

    *wrong = "it is not set in the environment of this process";
    if (k == NULL) {
        return NULL;
    }
    memcpy(k->secret, k->value, sizeof k->secret);
    *wrong = imx_secret_trim(k->secret, strlen(k->secret), is_token);
    return *wrong == NULL ? k->secret : NULL;
}
