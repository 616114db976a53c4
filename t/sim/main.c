/*
 * t/sim/main.c: lives seeds through, one after the other, and says which ones
 * went wrong.
 *
 *   simulate [-v] [-q] FIRST [COUNT]
 *
 * -v: tells what happens; -q: prints the hash of each seed, to compare.
 */
#include "ledger.h"
#include "sched.h"
#include "world.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS 300 /* for one seed: it takes milliseconds */

static volatile uint64_t present;

/* A crash, a failed assertion, or a loop in which no point is passed. */
static void on_signal(int number)
{
    static char text[] = "\nseed 00000000000000000000: signal 00\n";
    uint64_t n = present;
    size_t i;

    for (i = 25; i > 5; i--) {
        text[i] = (char)('0' + n % 10);
        n /= 10;
    }
    text[35] = (char)('0' + number / 10);
    text[36] = (char)('0' + number % 10);
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0) {
        _exit(3);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_signals(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM };
    static char stack[65536];
    stack_t other = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_handler = on_signal,
                                .sa_flags = SA_ONSTACK };
    size_t i;

    sigaltstack(&other, NULL);
    for (i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], &action, NULL);
    }
}

static void add(ledger_sums_t *all, const ledger_sums_t *one)
{
    all->lines += one->lines;
    all->stored += one->stored;
    all->refused += one->refused;
    all->lost += one->lost;
    all->repeated += one->repeated;
    all->searched += one->searched;
    all->kills += one->kills;
    all->posts += one->posts;
}

int main(int argc, char **argv)
{
    uint64_t first, count, seed, wrong = 0;
    ledger_sums_t all = { 0 }, one;
    int option, is_verbose = 0, is_quoted = 0;

    while ((option = getopt(argc, argv, "vq")) != -1) {
        is_verbose |= option == 'v';
        is_quoted |= option == 'q';
    }
    first = optind < argc ? strtoull(argv[optind], NULL, 10) : 1;
    count = optind + 1 < argc ? strtoull(argv[optind + 1], NULL, 10) : 1;
    watch_signals();
    for (seed = first; seed < first + count; seed++) {
        present = seed;
        alarm(SECONDS);
        if (!world_run(seed, is_verbose)) {
            wrong++;
            printf("seed %" PRIu64 ": %s\n", seed, trace_what());
        }
        if (is_quoted) {
            printf("seed %" PRIu64 " %016" PRIx64 "\n", seed, sched_hash());
        }
        fflush(stdout);
        one = ledger_sums();
        add(&all, &one);
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " wrong; %" PRIu64 " lines, %" PRIu64
           " stored, %" PRIu64 " refused, %" PRIu64
           " lost and counted; %" PRIu64 " bodies, %" PRIu64 " kills, %" PRIu64
           " lines acknowledged and sent again by who came after them, %" PRIu64
           " to find one that was refused\n",
           count, wrong, all.lines, all.stored, all.refused, all.lost,
           all.posts, all.kills, all.repeated, all.searched);
    return wrong > 0;
}
