/*
 * cases.c owns which runs the table of the flusher has, and what is said about
 * them (see cases.h).
 * One thread; nothing is kept.
 */
#define _GNU_SOURCE

#include "cases.h"

#include <stdio.h>

#include "common.h"

#define MILLION INT64_C(1000000)
#define GOAL 200000 /* lines a second a core into a fast sink */

/* Of networks, bytes a second. */
#define GIGABIT INT64_C(125000000)
#define FAST_ETHERNET INT64_C(12500000)
#define FAR_MS 50
#define LARGE_LINES 50000 /* of a body; five times the default */

enum {
    STEADY,
    BURST,
    CONTROL,
    BURST_GZIP,
    PROXIED,
    NETWORK,
    CASES = NETWORK + 6
};

static const case_t cases[CASES] = {
    [STEADY] = { .name = "steadily, 66,000 a second",
                 .rate = 66000,
                 .seconds = 5 },
    [BURST] = { .name = "a burst", .burst = MILLION },
    [CONTROL] = { .name = "a burst, once more: the control",
                  .burst = MILLION },
    [BURST_GZIP] = { .name = "a burst, gzip", .burst = MILLION, .gzip = 1 },
    [PROXIED] = { .name = "a burst through the proxy, no delay: its control",
                  .burst = MILLION,
                  .is_far = 1 },
    [NETWORK] = { .name = "1 Gbit/s, 50 ms",
                  .burst = MILLION,
                  .is_far = 1,
                  .delay_ms = FAR_MS,
                  .bandwidth = GIGABIT },
    { .name = "1 Gbit/s, 50 ms, 50,000 lines a body",
      .burst = MILLION,
      .most_lines = LARGE_LINES,
      .is_far = 1,
      .delay_ms = FAR_MS,
      .bandwidth = GIGABIT },
    { .name = "1 Gbit/s, 50 ms, gzip",
      .burst = MILLION,
      .gzip = 1,
      .is_far = 1,
      .delay_ms = FAR_MS,
      .bandwidth = GIGABIT },
    { .name = "100 Mbit/s, 50 ms, 300,000 lines",
      .burst = 3 * MILLION / 10,
      .is_far = 1,
      .delay_ms = FAR_MS,
      .bandwidth = FAST_ETHERNET },
    { .name = "100 Mbit/s, 50 ms, 500,000 lines, 50,000 a body",
      .burst = MILLION / 2,
      .most_lines = LARGE_LINES,
      .is_far = 1,
      .delay_ms = FAR_MS,
      .bandwidth = FAST_ETHERNET },
    { .name = "a burst, answers at whole seconds (API v3)",
      .burst = MILLION,
      .is_v3 = 1 },
};

static result_t results[CASES][FLUSHED_ROUNDS_MAX];
static double passed[FLUSHED_ROUNDS_MAX]; /* bytes a second, by the proxy */

static void run_rounds(int rounds, run_case_t run, probe_t probe)
{
    int round, i;

    for (round = 0; round < rounds; round++) {
        fprintf(stderr, "# round %d of %d\n", round + 1, rounds);
        for (i = 0; i < CASES; i++) {
            int c = round % 2 ? CASES - 1 - i : i;

            results[c][round] = run(&cases[c]);
        }
        passed[round] = probe(&cases[NETWORK]);
    }
}

static void say_rows(int rounds)
{
    double core = 1e9 / FLUSHED_MEDIAN(results[STEADY], rounds, ns);

    printf(
        "\nMedians (quartiles) of %d interleaved rounds; the sink has a "
        "processor of its own.\nSteadily, a core would bring %.0f lines a "
        "second into a fast sink (goal %d:\n%s).\n",
        rounds, core, GOAL, core >= GOAL ? "reached" : "not reached");
    printf(
        "\nLines of %d bytes; a burst is a million of them that lie in the "
        "buffer when delivery\nbegins. CPU and calls (send, recv, read, poll) "
        "are the monitor's; the sink is another\nprocess. The steady load is "
        "what its producers append (%d processes of %d threads).\nA burst "
        "fills less than half of its buffer, so it goes out in pieces with "
        "rests:\nlines/s is that pace, lines/s a core is what the processor "
        "time would allow. Copied:\nby memcpy() and memmove(), of the module, "
        "libcurl and zlib, and what send() gives\nto the system, which copies "
        "it once more.\n",
        CASES_LINE, CASES_CHILDREN, CASES_THREADS);
}

static void say_networks(int rounds)
{
    printf(
        "\nThe rows with a network have a proxy between the module and the "
        "sink. It passes on what\nit reads half of the delay later, each way, "
        "and no more bytes a second than the\nnetwork has; a new connection "
        "waits for its handshake. TCP's slow start and losses are\nnot there. "
        "The limit with one body at a time is its lines by the time of its "
        "bytes on the\nnetwork, there and back, and where answers come at "
        "whole seconds, a second. With two\nbodies it is twice that, up to "
        "what the network can take. Where one body is under way,\nthe rests "
        "between pieces, and packing with gzip, keep the module below the "
        "first limit.\nA second body goes only where bodies and their answers "
        "take three quarters of\nInfluxMetricsInterval (1 s here), and a "
        "quarter without the pauses, three times in a\nrow: a way of 50 ms "
        "alone is no reason. There larger bodies help\n"
        "(InfluxMetricsMaxBody).\n");
    printf(
        "\nThe proxy itself: a burst through it, without delay, against one "
        "without it, in\nlines/s: ");
    flushed_print_ratio(results[PROXIED], results[CONTROL], results[BURST],
                        rounds);
    printf(
        ".\nA body of 100 MB that nothing else holds up passes it at %.1f "
        "MB/s where it\nis told %.1f.\n",
        quartile(passed, rounds, 2) / 1e6, (double)GIGABIT / 1e6);
}

int cases_run(int rounds, run_case_t run, probe_t probe)
{
    int bad = 0, i;

    run_rounds(rounds, run, probe);
    flushed_print_head();
    for (i = 0; i < CASES; i++)
        bad |= !flushed_print_row(&cases[i], results[i], rounds);
    say_rows(rounds);
    printf("\n");
    flushed_print_limits_head();
    for (i = PROXIED; i < CASES; i++)
        flushed_print_limits(&cases[i], results[i], rounds);
    say_networks(rounds);
    return bad;
}
