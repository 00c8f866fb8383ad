/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.c - time by the ACPI timer. Test guest, the first CPU.
 */
#include "tests/guest/image/clock.h"

#include "tests/guest/image/acpi.h"

#define LOOKS_PER_TICK 64 /* reading the timer costs more than looking at memory */

uint64_t clock_ticks(void)
{
	static uint64_t total;
	static uint32_t last;
	static bool started;
	uint32_t now = acpi.pm_timer ? inl(acpi.pm_timer) & 0xffffff : 0;

	if (started)
		total += (now - last) & 0xffffff;
	started = true;
	last = now;
	return total;
}

uint64_t clock_after_ms(unsigned ms)
{
	return clock_ticks() + (uint64_t)ms * PM_TIMER_HZ / 1000;
}

bool clock_is_past(uint64_t deadline)
{
	return clock_ticks() >= deadline;
}

void wait_ms(unsigned ms)
{
	uint64_t deadline = clock_after_ms(ms);

	while (!clock_is_past(deadline))
		cpu_pause();
}

bool wait_for(const volatile unsigned *value, unsigned least, unsigned ms)
{
	uint64_t deadline = clock_after_ms(ms);

	for (unsigned i = 0;; i++) {
		if ((int)(*value - least) >= 0)
			return true;
		if (i % LOOKS_PER_TICK == 0 && clock_is_past(deadline))
			return (int)(*value - least) >= 0;
		cpu_pause();
	}
}
