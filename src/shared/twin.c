/*
 * twin.c owns two copies of something, of which one can be read.
 * Entered by its one writer, and by any thread that reads.
 * What was told survives the writer.
 */
#include "shared/twin.h"

#include <stdatomic.h>
#include <string.h>

#include "shared/fault.h"

#define TRIES 100
#define WORD sizeof(uint64_t)

size_t imx_twin_size(size_t len)
{
    return (sizeof(imx_twin_t) + 2 * len + 63) / 64 * 64;
}

void imx_twin_tell(imx_twin_t *twin, const void *from, size_t len)
{
    uint64_t turn = atomic_load(&twin->turn) + 1, word;
    _Atomic uint64_t *copy = &twin->copies[(turn & 1) * (len / WORD)];
    size_t i;

    for (i = 0; i < len / WORD; i++) {
        memcpy(&word, (const char *)from + i * WORD, WORD);
        atomic_store(&copy[i], word);
        FAULT("twin");
    }
    atomic_store(&twin->turn, turn);
}

/* It turns each second at most, so a reader that never comes to an end has been
 * played a trick; it takes what it has. */
void imx_twin_told(imx_twin_t *twin, void *to, size_t len)
{
    int tries = 0;
    uint64_t turn;
    size_t i;

    do {
        _Atomic uint64_t *copy;

        turn = atomic_load(&twin->turn);
        copy = &twin->copies[(turn & 1) * (len / WORD)];
        for (i = 0; i < len / WORD; i++) {
            uint64_t word = atomic_load(&copy[i]);

            memcpy((char *)to + i * WORD, &word, WORD);
        }
    } while (atomic_load(&twin->turn) != turn && ++tries < TRIES);
}
