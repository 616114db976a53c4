/*
 * hash.h: a number that stands for texts, FNV-1a.  Any thread; nothing is kept.
 * Versions of the module must agree about it: some of these numbers stand in
 * the shared memory.
 */
#ifndef IMX_HASH_H
#define IMX_HASH_H

#include <stdint.h>

#define IMX_HASH_BEGIN UINT64_C(14695981039346656037)

/* With the text's NUL, so that "a", "bc" is another number than "ab", "c". */
static inline uint64_t imx_hash(uint64_t so_far, const char *text)
{
    do {
        so_far = (so_far ^ (unsigned char)*text) * UINT64_C(1099511628211);
    } while (*text++ != '\0');
    return so_far;
}

#endif
