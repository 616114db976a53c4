/*
 * counting.h: the system calls that libcurl and the monitor make, and the bytes
 * that they, and zlib, copy: counted on their way, as the linker finds
 * counting.c's send(), memcpy() and so on before libc's.
 * Futexes are not among the calls, nor clocks, which are no system calls.
 * Copies are those of memcpy() and memmove(), as far as the compiler does not
 * make them in place, which it does with few bytes of a constant number.
 */
#ifndef IMX_BENCH_COUNTING_H
#define IMX_BENCH_COUNTING_H

#include <stdint.h>

/* Zeroed, in memory that all processes see. */
typedef struct {
    _Atomic uint64_t calls;  /* send, recv, read, poll */
    _Atomic uint64_t sent;   /* bytes, which the kernel copies once more */
    _Atomic uint64_t copied; /* bytes; up to a thread's last call */
} counting_t;

/* Before other threads; what this process forks counts there, too. */
void counting_into(counting_t *sums);

/* 1: this thread is not counted. */
extern _Thread_local int counting_is_off;

#endif
