/*
 * runtime.h: the arena that the parent makes and keeps over graceful restarts.
 * The parent's only thread makes it; any process finds it at the same address.
 */
#ifndef IMX_RUNTIME_H
#define IMX_RUNTIME_H

#include "httpd.h"

#include "shared/arena.h"

/* Parent: has a generation before this one made the arena? */
int imx_runtime_is_kept(server_rec *s);

/* Parent, in post_config: makes the arena, or takes the one that is kept and
 * fits it to the configuration.  Logs and returns HTTP_INTERNAL_SERVER_ERROR
 * when that is not possible. */
int imx_runtime_prepare(server_rec *s);

/* Parent, in post_config: this generation records nothing.  What is kept stays
 * for the next one, and the children of before deliver what is in there: so
 * many points. */
apr_uint64_t imx_runtime_leave(server_rec *s);

/* NULL: this server records nothing. */
imx_arena_t *imx_runtime_arena(void);

#endif
