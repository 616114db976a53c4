/*
 * twin.h: something that one thread writes and others read, always whole.
 *
 * There are two copies, and the last bit of the turn says the one to read.  The
 * writer fills the other one, and turns.  A writer that is killed meanwhile has
 * changed nothing; a reader that was overtaken reads again.
 *
 * Threads: one writer at a time; any thread of any process reads.  In shared
 * memory every word can be nonsense; no index depends on one.
 */
#ifndef IMX_TWIN_H
#define IMX_TWIN_H

#include <stddef.h>
#include <stdint.h>

/* Begins at a cache line; zeroed memory has zeroes to read. */
typedef struct {
    _Alignas(64) _Atomic uint64_t turn;
    _Atomic uint64_t copies[]; /* both */
} imx_twin_t;

/* Bytes of a twin of so many bytes, divisible by 8. */
size_t imx_twin_size(size_t len);

void imx_twin_tell(imx_twin_t *twin, const void *from, size_t len);
void imx_twin_told(imx_twin_t *twin, void *to, size_t len);

#endif
