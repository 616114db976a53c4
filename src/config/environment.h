/*
 * environment.h owns the secrets that stood in the environment of httpd's
 * parent: InfluxMetricsTokenEnv, InfluxMetricsPasswordEnv.
 * Entered by the parent's only thread while it reads the configuration.
 * They outlive graceful restarts, in the memory of the parent.
 */
#ifndef IMX_ENVIRONMENT_H
#define IMX_ENVIRONMENT_H

/* A token of InfluxDB has more characters: what was given as a name by mistake
 * is refused, and no message names it. */
#define IMX_ENVIRONMENT_NAME_MAX 64

/* Is this a name that a variable can have? */
int imx_environment_is_name(const char *name);

/* Takes the variable out of the environment, and keeps its value.  Nothing
 * when it is not there. */
void imx_environment_take(const char *name);

/* What was kept, cut to the secret in it (see imx_secret_trim()), or NULL with
 * a sentence in *wrong. */
const char *imx_environment_secret(const char *name, int is_token,
                                   const char **wrong);

#endif
