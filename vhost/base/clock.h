/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.h - monotonic time in nanoseconds, and a cheaper tick for the data path.
 * Layer L0. Safe from any thread after clock_init().
 */
#ifndef RINGSIDE_BASE_CLOCK_H
#define RINGSIDE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A tick is a TSC cycle where the kernel itself trusts the TSC as clock source, else 1 ns. */
extern uint64_t clock_ns_per_tick_q32; /* nanoseconds per tick, 32.32 fixed point */
extern int clock_tick_is_tsc;

/* clock_init - choose and calibrate the tick (about 5 ms). Once, before any thread starts. */
void clock_init(void);

static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
	if (__builtin_expect(clock_tick_is_tsc, 1))
		return __rdtsc();
#endif
	return clock_ns();
}

static inline uint64_t clock_ticks_to_ns(uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * clock_ns_per_tick_q32) >> 32);
}

static inline uint64_t clock_ns_to_ticks(uint64_t ns)
{
	return (uint64_t)(((unsigned __int128)ns << 32) / clock_ns_per_tick_q32);
}

#endif
