/*
 * board.c owns what the holder tells of its delivery and has learned.
 * Entered by the holder (tell), by the next one and by the status page (told).
 * It survives any process; what a writer that was killed had not finished is
 * not seen.
 */
#include "shared/board.h"

#include <stdatomic.h>
#include <string.h>

#include "shared/fault.h"

#define WORDS (sizeof(imx_board_t) / sizeof(uint64_t))
_Static_assert(sizeof(imx_board_t) % sizeof(uint64_t) == 0,
               "the board is copied by words");

struct imx_board_part {
    _Alignas(64) _Atomic uint64_t turn; /* its last bit: the copy to read */
    _Atomic uint64_t copy[2][WORDS];
    _Alignas(64) _Atomic int64_t beat; /* when the holder was at work */
    _Atomic int64_t silent; /* when the log was told that it is not */
};

size_t imx_board_size(void)
{
    return sizeof(struct imx_board_part);
}

void imx_board_format(imx_board_view_t *v, void *base)
{
    v->part = base;
}

void imx_board_tell(const imx_board_view_t *v, const imx_board_t *b)
{
    uint64_t words[WORDS], turn = atomic_load(&v->part->turn) + 1;
    size_t i;

    memcpy(words, b, sizeof words);
    for (i = 0; i < WORDS; i++) {
        atomic_store(&v->part->copy[turn & 1][i], words[i]);
        FAULT("tell");
    }
    FAULT("told");
    atomic_store(&v->part->turn, turn);
    FAULT("turned");
}

/* The holder turns a few times a second, so a reader that never comes to an end
 * has been played a trick. */
imx_board_t imx_board_told(const imx_board_view_t *v)
{
    imx_board_t b;
    uint64_t words[WORDS], turn;
    int tries = 0;
    size_t i;

    do {
        turn = atomic_load(&v->part->turn);
        for (i = 0; i < WORDS; i++) {
            words[i] = atomic_load(&v->part->copy[turn & 1][i]);
        }
    } while (atomic_load(&v->part->turn) != turn && ++tries < 1000);
    memcpy(&b, words, sizeof b);
    b.last_error[sizeof b.last_error - 1] = '\0';
    b.refusal_shown[sizeof b.refusal_shown - 1] = '\0';
    b.refusal[sizeof b.refusal - 1] = '\0';
    b.refused[sizeof b.refused - 1] = '\0';
    return b;
}

/* Unsigned, as the numbers can be nonsense. */
int imx_board_spell_lasts(const imx_board_spell_t *spell, int64_t now)
{
    return spell->last != 0
           && (uint64_t)now - (uint64_t)spell->last < IMX_BOARD_SPELL_NS;
}

void imx_board_spell_add(imx_board_spell_t *spell, uint64_t count, int64_t now)
{
    if (count == 0) {
        return;
    }
    if (!imx_board_spell_lasts(spell, now)) {
        spell->since = now;
        spell->count = 0;
    }
    spell->last = now;
    spell->count += count;
}

void imx_board_beat(const imx_board_view_t *v, int64_t now)
{
    atomic_store(&v->part->beat, now);
}

int64_t imx_board_beaten(const imx_board_view_t *v)
{
    return atomic_load(&v->part->beat);
}

int imx_board_may_say_silent(const imx_board_view_t *v, int64_t now,
                             int64_t quiet)
{
    int64_t last = atomic_load(&v->part->silent);

    /* No sum or difference with last: it can be anything. */
    if (last != 0 && last <= now && last > now - quiet) {
        return 0;
    }
    return atomic_compare_exchange_strong(&v->part->silent, &last, now);
}
