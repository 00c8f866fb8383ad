/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.c - choose the tick of the data path and measure it against CLOCK_MONOTONIC.
 * Layer L0. Runs once at start-up.
 */
#include "vhost/base/clock.h"

#include <stdio.h>
#include <string.h>

#define ONE_Q32        (1ull << 32)
#define CALIBRATION_NS 5000000u

uint64_t clock_ns_per_tick_q32 = ONE_Q32;
int clock_tick_is_tsc;

#if defined(__x86_64__)
#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

/* kernel_trusts_tsc - the kernel watches the TSC of all CPUs and drops it as soon as it drifts
 * or jumps, so its own choice is the test. */
static int kernel_trusts_tsc(void)
{
	FILE *f = fopen(CLOCKSOURCE, "re");
	char name[32] = "";

	if (!f)
		return 0;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	return !strcmp(name, "tsc\n");
}

struct sample {
	uint64_t tsc;
	uint64_t ns;
};

/* sample_both - TSC and CLOCK_MONOTONIC of one moment: of several tries, the one whose two TSC
 * reads lie closest together was disturbed least. */
static struct sample sample_both(void)
{
	struct sample best = {0, 0};
	uint64_t best_gap = UINT64_MAX;

	for (unsigned i = 0; i < 16; i++) {
		uint64_t before = __rdtsc();
		uint64_t ns = clock_ns();
		uint64_t gap = __rdtsc() - before;

		if (gap < best_gap) {
			best_gap = gap;
			best.tsc = before + gap / 2;
			best.ns = ns;
		}
	}
	return best;
}

void clock_init(void)
{
	struct timespec pause = {0, CALIBRATION_NS};
	struct sample from, to;
	uint64_t per_tick;

	if (!kernel_trusts_tsc())
		return;
	from = sample_both();
	nanosleep(&pause, NULL);
	to = sample_both();
	if (to.tsc <= from.tsc || to.ns <= from.ns)
		return;
	per_tick = (uint64_t)(((unsigned __int128)(to.ns - from.ns) << 32) / (to.tsc - from.tsc));
	if (per_tick == 0)
		return;
	clock_ns_per_tick_q32 = per_tick;
	clock_tick_is_tsc = 1;
}
#else
void clock_init(void)
{
}
#endif
