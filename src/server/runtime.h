/*
 * runtime.h: the shared memory that the parent makes and keeps over graceful
 * restarts.
 * The parent's only thread makes it; any process finds it at the same address.
 */
#ifndef IMX_RUNTIME_H
#define IMX_RUNTIME_H

#include "httpd.h"

#include "shared/batch.h"
#include "shared/values.h"

/* Parent: has a generation before this one made the memory? */
int imx_runtime_is_kept(void);

/* Parent, in post_config: makes the memory, or takes the one that is kept and
 * fits it to the configuration.  Logs and returns HTTP_INTERNAL_SERVER_ERROR
 * when that is not possible. */
int imx_runtime_prepare(server_rec *s);

/* The batch; NULL: this server records nothing.  And the values of tags. */
const imx_batch_t *imx_runtime_batch(void);
imx_values_t *imx_runtime_values(void);

#endif
